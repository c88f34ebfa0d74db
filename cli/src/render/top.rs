//! Who suffers, as a table: columns that say nothing are left out, and so are rows without a finding beyond the first few.

use super::TopLook;
use super::holders;
use super::numbers_parts::{aligned, cost, foot};
use super::paper::{Ink, Paper, TextLine, TextPage, columns, wrap};
use super::untrusted_text::{CELL, shown};
use diagnoses::words::{count, shell};
use model::views::{ColumnUnit, Top, TopColumn, TopRow};

/// Rows without a finding that are shown.
const WELL_SHOWN: usize = 10;

/// The page.
pub fn page(top: &Top, look: &TopLook, paper: Paper) -> TextPage {
    let mut page = TextPage::new();
    let suffering = top.pods.iter().filter(|row| row.worst.is_some()).count();
    let shown_rows = if look.all { usize::MAX } else { suffering + WELL_SHOWN };
    let rows: Vec<&TopRow> = top.pods.iter().take(shown_rows).collect();
    let mut nodes: Vec<&str> = top.pods.iter().map(|row| row.node.as_str()).collect();
    nodes.sort_unstable();
    nodes.dedup();
    let on = if nodes.is_empty() {
        String::new()
    } else {
        format!(" on {}", nodes.join(", "))
    };
    let chosen = look.sorted_by.and_then(|at| look.columns.get(at));
    let order = match chosen {
        Some(column) => format!("sorted by {}", column.heading),
        None if suffering > 0 => "sorted by what hurts".to_owned(),
        None => "nothing hurts".to_owned(),
    };
    page.line(TextLine::default().ink(
        Ink::Quiet,
        &format!(
            "{:.1} s{on} · {} · {order} · read in {:.1} ms of CPU",
            top.seconds,
            in_words(top, top.pods.len()),
            top.reading_cpu_ms
        ),
    ));
    if !rows.is_empty() {
        table(&mut page, &rows, (&look.columns, &top.view), nodes.len() > 1, paper);
    }
    if rows.len() < top.pods.len() {
        page.line(TextLine::default().ink(
            Ink::Quiet,
            &format!(
                "... {} more{} (--all)",
                top.pods.len() - rows.len(),
                if chosen.is_some() { "" } else { " without a finding" }
            ),
        ));
    }
    if top.left_out > 0 {
        let parts = in_words(top, top.left_out as usize);
        page.line(TextLine::default().ink(Ink::Quiet, &format!("... {parts} more are not told one by one")));
    }
    if rows.iter().any(|row| row.host_network) {
        let says =
            "* shares its node's network: it has what its cgroup and its sockets tell, and the rest is the node's";
        page.line(TextLine::default().ink(Ink::Quiet, says));
    }
    holders::table(&mut page, &top.holders, look.all);
    foot(&mut page, false, &top.missing);
    cost(&mut page, top.bpf);
    let worst = rows.iter().find(|row| row.worst.is_some());
    if let Some(command) = worst.and_then(|row| next_command(row, look.of_machine)) {
        page.line(TextLine::default().ink(Ink::Quiet, "next: ").plain(&command));
    }
    for line in look.keys.iter().flat_map(|keys| wrap(keys, paper.width)) {
        page.line(TextLine::default().ink(Ink::Quiet, &line));
    }
    page
}

/// The command that asks on about a row: where it waits, or else what is wrong. None where the place cannot be named to it.
fn next_command(row: &TopRow, of_machine: bool) -> Option<String> {
    let template = match (of_machine, row.waits) {
        (true, true) => "sudo kubectl-skoop latency {} --local",
        (true, false) => "sudo kubectl-skoop diagnose {} --local",
        (false, true) => "kubectl skoop latency {}",
        (false, false) => "kubectl skoop diagnose {}",
    };
    shell::command(template, &[&argument(row, of_machine)?]).map(|command| command.to_string())
}

/// A row's place as it is named to other commands.
fn argument(row: &TopRow, of_machine: bool) -> Option<String> {
    let is_node = row.netns == 0 || row.name == row.node;
    match (row.namespace.as_str(), of_machine, is_node) {
        ("", true, true) => Some("host".to_owned()),
        ("", true, false) => place_argument(&row.name),
        ("", false, true) => Some(format!("node/{}", row.name)),
        ("", false, false) => None,
        (namespace, ..) => Some(format!("pod/{namespace}/{}", row.name)),
    }
}

/// A place of a machine: a process is shown with its program.
fn place_argument(name: &str) -> Option<String> {
    let name = match name.split_once(" (") {
        Some((process, _)) if process.starts_with("pid/") => process,
        _ => name,
    };
    let kinds = ["netns/", "pid/", "container/"];
    kinds.iter().any(|kind| name.starts_with(kind)).then(|| name.to_owned())
}

/// The number of rows in words: nodes, places, processes or peers.
fn in_words(top: &Top, rows: usize) -> String {
    let of_parts = top.pods.iter().any(|row| row.part.is_some());
    match (of_parts, is_of_nodes(top)) {
        (true, _) if top.view == "process" && rows != 1 => format!("{rows} processes"),
        (true, _) => count(rows, &top.view),
        (false, true) => count(rows, "node"),
        (false, false) => count(rows, "place"),
    }
}

/// Its rows are whole nodes.
fn is_of_nodes(top: &Top) -> bool {
    !top.pods.is_empty() && top.pods.iter().all(|row| row.netns == 0)
}

fn table(
    page: &mut TextPage,
    rows: &[&TopRow],
    (all_columns, part_heading): (&[TopColumn], &str),
    several: bool,
    paper: Paper,
) {
    let shown_columns: Vec<&TopColumn> = all_columns
        .iter()
        .filter(|column| says(rows.iter().copied(), column))
        .collect();
    let of_nodes = rows.iter().all(|row| row.netns == 0);
    let has_pods = rows.iter().any(|row| !row.namespace.is_empty());
    let first = match (of_nodes, has_pods) {
        (true, _) => "NODE",
        (false, true) => "POD",
        (false, false) => "PLACE",
    };
    let has_namespaces = rows.iter().any(|row| row.namespace != rows[0].namespace);
    let name = |row: &TopRow| {
        let name = if has_namespaces && !row.namespace.is_empty() {
            format!("{}/{}", row.namespace, row.name)
        } else {
            row.name.clone()
        };
        shown(&name, CELL) + if row.host_network { " *" } else { "" }
    };
    let mut head = vec![first.to_owned()];
    let of_parts = rows.iter().any(|row| row.part.is_some());
    if of_parts {
        head.push(part_heading.to_uppercase());
    }
    if several && !of_nodes {
        head.push("NODE".to_owned());
    }
    head.extend(shown_columns.iter().map(|column| column.heading.to_owned()));
    let lines: Vec<Vec<String>> = rows
        .iter()
        .map(|row| {
            let mut cells = vec![name(row)];
            if of_parts {
                cells.push(shown(row.part.as_deref().unwrap_or_default(), CELL));
            }
            if several && !of_nodes {
                cells.push(shown(&row.node, CELL));
            }
            cells.extend(
                shown_columns
                    .iter()
                    .map(|column| cell(column.unit, row.values.get(column.key).copied())),
            );
            cells
        })
        .collect();
    let texts = head.len() - shown_columns.len();
    let all: Vec<Vec<String>> = std::iter::once(head).chain(lines).collect();
    let all = aligned(&all, texts);
    let hurts = rows.iter().any(|row| row.worst.is_some());
    let mut heading = all[0].clone();
    if hurts {
        heading += "  WORST";
    }
    page.line(TextLine::default().ink(Ink::Strong, &heading));
    let width = columns(&all[0]) + 2;
    let room = paper.width.saturating_sub(width).max(24);
    for (row, text) in rows.iter().zip(&all[1..]) {
        let line = TextLine::default().plain(text);
        match (&row.worst, hurts) {
            (Some(worst), _) => {
                let words = wrap(worst, room);
                for (at, words) in words.iter().enumerate() {
                    let begin = if at == 0 {
                        line.clone().plain("  ")
                    } else {
                        TextLine::default().plain(&" ".repeat(width))
                    };
                    page.line(begin.ink(Ink::Bad, words));
                }
            }
            (None, true) => page.line(line.ink(Ink::Quiet, "  -")),
            (None, false) => page.line(line),
        }
    }
}

/// A column says something of any of these rows.
pub fn says<'a>(rows: impl IntoIterator<Item = &'a TopRow>, column: &TopColumn) -> bool {
    let mut values = rows.into_iter().filter_map(|row| row.values.get(column.key));
    values.any(|value| *value != 0.0)
}

/// A number as its column writes it.
pub fn cell(unit: ColumnUnit, value: Option<f64>) -> String {
    let Some(value) = value else { return "-".to_owned() };
    match unit {
        ColumnUnit::Rate if value == 0.0 => "0".to_owned(),
        ColumnUnit::Rate if value < 10.0 => format!("{value:.1}"),
        ColumnUnit::Count | ColumnUnit::Rate => format!("{value:.0}"),
        ColumnUnit::Share if value == 0.0 => "0 %".to_owned(),
        ColumnUnit::Share if value < 0.1 => format!("{:.1} %", value * 100.0),
        ColumnUnit::Share => format!("{:.0} %", value * 100.0),
        ColumnUnit::Seconds => super::phrases::time((value * 1e9) as u64),
        ColumnUnit::Bytes => bytes(value),
        ColumnUnit::BytesPerSecond => format!("{}/s", bytes(value)),
    }
}

fn bytes(value: f64) -> String {
    if value < 1024.0 {
        format!("{value:.0} B")
    } else {
        diagnoses::words::bytes(value as u64)
    }
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::render::TopLook;
    use crate::render::paper::Paper;
    use model::protocol::BpfCost;
    use model::views::{API_VERSION, Top, TopRow};

    /// What stands below the rows where this one suffers.
    fn foot(row: TopRow, of_machine: bool) -> Vec<String> {
        let top = Top {
            api_version: API_VERSION.to_owned(),
            kind: "Top".to_owned(),
            at: String::new(),
            seconds: 5.0,
            view: "health".to_owned(),
            reading_cpu_ms: 0.1,
            bpf: Some(BpfCost {
                ns: 1_400_000,
                ..BpfCost::default()
            }),
            pods: vec![row],
            left_out: 0,
            holders: Vec::new(),
            missing: Vec::new(),
        };
        let look = TopLook {
            of_machine,
            ..TopLook::default()
        };
        let paper = Paper {
            colour: false,
            width: 120,
        };
        let text = paper.write(&page(&top, &look, paper));
        text.lines().skip(3).map(str::to_owned).collect()
    }

    fn row(namespace: &str, name: &str, netns: u32) -> TopRow {
        TopRow {
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            node: "n1".to_owned(),
            netns,
            worst: Some("something hurts".to_owned()),
            ..TopRow::default()
        }
    }

    #[test]
    fn below_the_rows_stand_what_it_cost_and_the_command_that_asks_on_about_the_worst() {
        for (row, of_machine, command) in [
            (
                row("shop", "web-1", 7),
                false,
                "`kubectl skoop diagnose pod/shop/web-1`",
            ),
            (row("", "n1", 0), false, "`kubectl skoop diagnose node/n1`"),
            (
                row("", "netns/a", 7),
                true,
                "`sudo kubectl-skoop diagnose netns/a --local`",
            ),
            (
                row("", "pid/12 (nginx)", 7),
                true,
                "`sudo kubectl-skoop diagnose pid/12 --local`",
            ),
            (row("", "n1", 5), true, "`sudo kubectl-skoop diagnose host --local`"),
        ] {
            let next = format!("next: {command}");
            assert_eq!(foot(row, of_machine), ["our eBPF used 1.4 ms", next.as_str()]);
        }
        let waits = TopRow {
            waits: true,
            ..row("shop", "web-1", 7)
        };
        assert_eq!(foot(waits, false)[1], "next: `kubectl skoop latency pod/shop/web-1`");
    }

    #[test]
    fn what_cannot_be_named_to_another_command_leads_to_none() {
        let well = TopRow {
            worst: None,
            ..row("shop", "web-1", 7)
        };
        for (row, of_machine) in [
            (well, false),
            (row("", "container/4f2a", 7), false),
            (row("", "pod/u1", 7), true),
            (row("shop", "web`id`", 7), false),
        ] {
            assert_eq!(foot(row, of_machine), ["our eBPF used 1.4 ms"]);
        }
    }
}
