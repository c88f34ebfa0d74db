//! Who holds tables of tracked connections, as a table: of each kind of holder the first few, and the rest in one row.

use super::numbers_parts::aligned;
use super::paper::{Ink, TextLine, TextPage};
use super::untrusted_text::{CELL, shown};
use model::views::TableHolder;

/// Holders of each kind and table that are shown; all with `--all`.
const SHOWN: usize = 5;

/// The table; nothing where nobody holds anything.
pub fn table(page: &mut TextPage, holders: &[TableHolder], all: bool) {
    if holders.is_empty() {
        return;
    }
    let mut lines = vec![["TABLE OF", "CONNECTIONS FROM", "TO", "ENTRIES", "GREW"].map(str::to_owned)];
    let kinds = holders.chunk_by(|one, next| (&one.table, &one.by) == (&next.table, &next.by));
    for kind in kinds {
        let (others, told): (Vec<_>, Vec<_>) = kind.iter().partition(|holder| holder.others);
        let (first, rest) = told.split_at(if all { told.len() } else { told.len().min(SHOWN) });
        lines.extend(first.iter().map(|holder| line(holder)));
        let hidden: u64 = rest.iter().chain(&others).map(|holder| holder.entries).sum();
        if let (true, Some(one)) = (hidden > 0, kind.first()) {
            let (from, to) = match one.by.as_str() {
                "source" => ("all others", "anywhere"),
                "destination" => ("anywhere", "all others"),
                _ => ("all others", "all others"),
            };
            lines.push([
                shown(&one.table, CELL),
                from.to_owned(),
                to.to_owned(),
                hidden.to_string(),
                String::new(),
            ]);
        }
    }
    page.blank();
    for (at, text) in aligned(&lines, 3).iter().enumerate() {
        let line = TextLine::default();
        page.line(if at == 0 {
            line.ink(Ink::Strong, text)
        } else {
            line.plain(text.trim_end())
        });
    }
}

fn line(holder: &TableHolder) -> [String; 5] {
    let end = |end: &Option<String>| {
        end.as_ref()
            .map_or_else(|| "anywhere".to_owned(), |end| shown(end, CELL))
    };
    let growth = match holder.growth {
        Some(growth) if growth != 0 => format!("{growth:+}"),
        Some(_) => String::new(),
        None => "?".to_owned(),
    };
    [
        shown(&holder.table, CELL),
        end(&holder.source),
        end(&holder.destination),
        holder.entries.to_string(),
        growth,
    ]
}

#[cfg(test)]
mod tests {
    use super::table;
    use crate::render::paper::{Paper, TextPage};
    use model::views::TableHolder;

    #[test]
    fn the_first_of_each_kind_are_shown_and_all_others_are_one_row() {
        let holder = |at: u64, others: bool| TableHolder {
            table: "n1".to_owned(),
            by: "source".to_owned(),
            source: (!others).then(|| format!("10.0.0.{at}")),
            others,
            entries: 100 - at,
            growth: (at != 1).then_some(if at == 0 { 90 } else { 0 }),
            ..TableHolder::default()
        };
        let mut all: Vec<TableHolder> = (0..7).map(|at| holder(at, false)).collect();
        all.push(holder(60, true));
        let shown = |all_of_them: bool| {
            let mut page = TextPage::new();
            table(&mut page, &all, all_of_them);
            Paper {
                colour: false,
                width: 120,
            }
            .write(&page)
        };
        let text = shown(false);
        let lines: Vec<Vec<&str>> = text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines[2], ["n1", "10.0.0.0", "anywhere", "100", "+90"]);
        assert_eq!(lines[3], ["n1", "10.0.0.1", "anywhere", "99", "?"]);
        assert_eq!(lines.last().unwrap()[..], ["n1", "all", "others", "anywhere", "229"]);
        assert_eq!(
            shown(true).lines().last().unwrap().split_whitespace().last(),
            Some("40")
        );
    }
}
