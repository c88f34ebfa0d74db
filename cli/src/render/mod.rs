//! The only code that prints: data to stdout, all else to stderr.
//!
//! It may use the model, the report and exit codes, and knows nothing of where the data comes from. Text that others wrote
//! passes through `untrusted_text`, and there is no other way to a screen.
#![expect(clippy::print_stderr, reason = "this is the place that prints")]
#![expect(clippy::format_push_string, reason = "one screen of text reads better than it runs")]

mod capture_totals;
mod comparison;
mod event_json;
mod event_lines;
mod event_phrases;
mod event_printer;
mod findings;
mod holders;
#[cfg(test)]
mod hostile;
mod html;
mod inspection;
mod latency;
mod lists;
mod map;
mod map_graphs;
mod map_labels;
mod numbers_parts;
mod one_end;
mod paper;
mod phrases;
pub mod progress;
#[cfg(test)]
mod samples;
pub mod schema;
mod table;
mod top;
mod untrusted_text;

pub use capture_totals::CaptureTotals;
pub use event_json::EventJson;
pub use event_lines::EventNames;
pub use event_phrases::PodNames;
pub use event_printer::{EventFormat, EventPrinter};
pub use findings::CheckResult;
pub use lists::ListFormat;

use crate::exit::WrongUsage;
use anyhow::{Context as _, Result};
use model::predecessor::PredecessorProbe;
use model::protocol::{Hello, ProbeStatus};
use model::report::{OneEndReport, Report};
use model::traffic_map::TrafficMap;
use model::views::{Compare, Inspect, Latency, Top, TopColumn};
use std::io::{IsTerminal as _, Write as _};

/// How to print an answer.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Format {
    /// One screen, the answer first.
    #[default]
    Table,
    /// Like table, with every attempt and every hop.
    Wide,
    /// The report as JSON.
    Json,
    /// The report as YAML.
    Yaml,
    /// One page to attach to a ticket: the path as a picture, the causes, the evidence folded.
    Html,
}

/// When to colour.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum Colour {
    /// On a terminal, unless `NO_COLOR` is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

impl Colour {
    fn on(self, terminal: bool) -> bool {
        let set = |name: &str| std::env::var_os(name).is_some_and(|value| !value.is_empty());
        match self {
            Self::Always => true,
            Self::Never => false,
            Self::Auto => terminal && !set("NO_COLOR") && std::env::var_os("TERM").is_none_or(|term| term != "dumb"),
        }
    }
}

/// Standard output as paper.
fn paper(colour: Colour) -> paper::Paper {
    paper::Paper {
        colour: colour.on(std::io::stdout().is_terminal()),
        width: width(),
    }
}

/// As JSON in plain letters.
fn json(document: &impl serde::Serialize) -> Result<String> {
    Ok(untrusted_text::json(&serde_json::to_string_pretty(document)?) + "\n")
}

/// As JSON in plain letters and in one line, without its end.
pub fn json_line(document: &impl serde::Serialize) -> serde_json::Result<String> {
    Ok(untrusted_text::json(&serde_json::to_string(document)?))
}

/// The same document as the JSON, in YAML: written directly, enums would become tags, which few other tools read.
fn yaml(document: &impl serde::Serialize) -> Result<String> {
    let document = serde_json::to_value(document)?;
    let text = serde_yaml::to_string(&document)?;
    if text.lines().all(model::letter::all_plain) {
        return Ok(text);
    }
    // Not all that hides is escaped there; JSON is YAML too (YAML 1.2, 1.3).
    Ok(untrusted_text::json_as_yaml(&serde_json::to_string_pretty(&document)?) + "\n")
}

/// Prints a report.
pub fn report(report: &Report, format: Format, colour: Colour) -> Result<()> {
    answer(
        report,
        format,
        colour,
        || html::report(report),
        |sheet| sheet.report(report),
    )
}

/// Prints a report about one end.
pub fn one_end(report: &OneEndReport, format: Format, all: bool, colour: Colour) -> Result<()> {
    answer(
        report,
        format,
        colour,
        || html::one_end(report),
        |sheet| sheet.one_end(report, all || sheet.wide),
    )
}

/// Prints a report of either kind: as data, or as the sheet that people read.
fn answer(
    report: &impl serde::Serialize,
    format: Format,
    colour: Colour,
    page: impl FnOnce() -> String,
    on: impl FnOnce(&table::Sheet) -> paper::TextPage,
) -> Result<()> {
    let text = match format {
        Format::Json => json(report).context("writing the report as JSON")?,
        Format::Yaml => yaml(report).context("writing the report as YAML")?,
        Format::Html => page(),
        Format::Table | Format::Wide => {
            let paper = paper(colour);
            let wide = format == Format::Wide;
            paper.write(&on(&table::Sheet { paper, wide }))
        }
    };
    match print(&text) {
        // Whoever closed the pipe has read enough; the exit code still tells the outcome.
        Err(error) if is_broken_pipe(&error) => Ok(()),
        printed => printed,
    }
}

/// How to print numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum NumbersFormat {
    /// For reading.
    #[default]
    Table,
    /// One JSON object a line, each of one reading.
    Json,
    /// One page of HTML to attach to a ticket.
    Html,
}

/// What is done with what stood on the screen before.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Repaint {
    /// Nothing: this stands below it.
    #[default]
    Below,
    /// This stands in its place; where nobody looks at a terminal, below it.
    InPlace,
}

/// How `top` is shown.
#[derive(Debug, Default)]
pub struct TopLook {
    /// Its columns.
    pub columns: Vec<TopColumn>,
    /// Rows are sorted by this column; by what hurts where none is chosen.
    pub sorted_by: Option<usize>,
    /// Every row is shown.
    pub all: bool,
    /// Its places are those of one machine, and not of a cluster.
    pub of_machine: bool,
    /// What keys there are, where there are any.
    pub keys: Option<String>,
    /// What becomes of the reading before.
    pub repaint: Repaint,
}

/// Prints who suffers.
pub fn top(top: &Top, look: &TopLook, format: NumbersFormat, colour: Colour) -> Result<()> {
    numbers(
        top,
        format,
        look.repaint,
        || html::top(top, &look.columns),
        || {
            let paper = paper(colour);
            paper.write(&top::page(top, look, paper))
        },
    )
}

/// Prints all numbers of some places.
pub fn inspection(inspect: &Inspect, format: NumbersFormat, colour: Colour, repaint: Repaint) -> Result<()> {
    numbers(
        inspect,
        format,
        repaint,
        || html::inspection(inspect),
        || {
            let paper = paper(colour);
            paper.write(&inspection::page(inspect, paper))
        },
    )
}

/// Prints what is different.
pub fn comparison(compare: &Compare, format: NumbersFormat, all: bool, colour: Colour) -> Result<()> {
    numbers(
        compare,
        format,
        Repaint::Below,
        || html::comparison(compare),
        || {
            let paper = paper(colour);
            paper.write(&comparison::page(compare, all, paper))
        },
    )
}

/// Prints where time passes.
pub fn latency(latency: &Latency, format: NumbersFormat, colour: Colour, repaint: Repaint) -> Result<()> {
    numbers(
        latency,
        format,
        repaint,
        || html::latency(latency),
        || {
            let paper = paper(colour);
            paper.write(&latency::page(latency, paper))
        },
    )
}

/// How to print a map.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum MapFormat {
    /// A row for each edge, the worst first.
    #[default]
    Table,
    /// The map as JSON.
    Json,
    /// A flowchart of Mermaid, for tickets and wikis.
    Mermaid,
    /// A graph for Graphviz.
    Dot,
    /// One page with a picture, to open in a browser.
    Html,
}

/// The page of a document that was printed as JSON: a diagnosis, numbers or a map.
pub fn page_of(document: &str) -> serde_json::Result<String> {
    let kind: serde_json::Value = serde_json::from_str(document)?;
    Ok(match kind["kind"].as_str() {
        Some("Inspect") => html::inspection(&serde_json::from_str(document)?),
        Some("Compare") => html::comparison(&serde_json::from_str(document)?),
        Some("Latency") => html::latency(&serde_json::from_str(document)?),
        Some("Map") => html::map(&serde_json::from_str(document)?),
        _ => match serde_json::from_str::<Report>(document) {
            Ok(report) => html::report(&report),
            Err(_) => html::one_end(&serde_json::from_str(document)?),
        },
    })
}

/// Prints who talks to whom.
pub fn traffic_map(map: &TrafficMap, format: MapFormat, colour: Colour) -> Result<()> {
    let text = match format {
        MapFormat::Table => {
            let paper = paper(colour);
            paper.write(&map::page(map, paper))
        }
        MapFormat::Json => json(map).context("writing the map as JSON")?,
        MapFormat::Mermaid => map_graphs::mermaid(map),
        MapFormat::Dot => map_graphs::dot(map),
        MapFormat::Html => html::map(map),
    };
    match print(&text) {
        Err(error) if is_broken_pipe(&error) => Ok(()),
        printed => printed,
    }
}

fn numbers(
    document: &impl serde::Serialize,
    format: NumbersFormat,
    repaint: Repaint,
    page: impl FnOnce() -> String,
    table: impl FnOnce() -> String,
) -> Result<()> {
    match format {
        NumbersFormat::Html => print(&page()),
        NumbersFormat::Json => print(&(untrusted_text::json(&serde_json::to_string(document)?) + "\n")),
        NumbersFormat::Table if repaint == Repaint::InPlace && std::io::stdout().is_terminal() => {
            // Home, and what stands below is erased (ECMA-48 CUP, ED).
            print(&format!("\u{1b}[H\u{1b}[J{}", table()))
        }
        NumbersFormat::Table => print(&table()),
    }
}

/// Prints the probes of a node.
pub fn probes(hello: &Hello, format: ListFormat, colour: Colour) -> Result<()> {
    print(&lists::probes(hello, format, paper(colour))?)
}

/// Prints rules: id and summary.
pub fn rules(rules: &[(&str, String)], format: ListFormat, colour: Colour) -> Result<()> {
    print(&lists::rules(rules, format, paper(colour))?)
}

/// Prints what a rule says of itself.
pub fn explain_rule(id: &str, head: &str, colour: Colour) -> Result<()> {
    let paper = paper(colour);
    print(&paper.write(&lists::rule(id, head, paper)))
}

/// Prints what a number means.
pub fn explain_number(name: &str, colour: Colour) -> Result<()> {
    let paper = paper(colour);
    print(&paper.write(&lists::number(name, paper)))
}

/// Prints what became of a probe of the predecessor.
pub fn explain_predecessor(probe: &PredecessorProbe, colour: Colour) -> Result<()> {
    let paper = paper(colour);
    print(&paper.write(&lists::predecessor(probe, paper)))
}

/// Prints what a probe says of itself.
pub fn explain_probe(probe: &ProbeStatus, colour: Colour) -> Result<()> {
    let paper = paper(colour);
    print(&paper.write(&lists::probe(probe, paper)))
}

/// Prints what was found fine or missing.
pub fn findings(findings: &[CheckResult], colour: Colour) -> Result<()> {
    let paper = paper(colour);
    print(&paper.write(&findings::findings(findings, paper)))
}

/// Prints objects as `kubectl apply` takes them.
pub fn manifests(objects: &[impl serde::Serialize]) -> Result<()> {
    let documents: Result<Vec<String>> = objects.iter().map(yaml).collect();
    print(&documents.context("writing the manifests as YAML")?.join("---\n"))
}

/// Prints one line for each; on a terminal what does not fit goes on indented.
pub fn lines(texts: &[String]) -> Result<()> {
    let width = if std::io::stdout().is_terminal() {
        width() - 4
    } else {
        usize::MAX
    };
    let lines = texts
        .iter()
        .flat_map(|text| paper::paragraph(paper::TextLine::default(), text, width));
    print(&paper(Colour::Never).write(&lines.collect()))
}

/// Prints what a program reads and this one has made all by itself: a schema, a shell's script.
pub fn script(text: &str) -> Result<()> {
    print(text)
}

/// Writes to standard output.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    out.write_all(text.as_bytes())
        .and_then(|()| out.flush())
        .context("writing to standard output")
}

/// Says something beside the data.
pub fn note(text: &str) {
    eprintln!("{}", beside("", text, of_stderr()));
}

/// Says several lines beside the data.
fn notes(page: &paper::TextPage) {
    eprint!("{}", paper(Colour::Never).write(page));
}

/// Says why a command could not do what it was asked.
pub fn error(program: &str, colour: Colour, error: &anyhow::Error) {
    let paint = colour.on(std::io::stderr().is_terminal());
    let (bold, plain) = if paint { ("\u{1b}[1;31m", "\u{1b}[0m") } else { ("", "") };
    eprintln!("{bold}error:{plain}{}", beside(" ", &format!("{error:#}"), of_stderr()));
    if let Some(tip) = help_tip(program, error) {
        eprintln!("\n{tip}");
    }
}

/// Where to read more of how the program is used; nothing where no help knows more of the error.
fn help_tip(program: &str, error: &anyhow::Error) -> Option<String> {
    error
        .is::<WrongUsage>()
        .then(|| format!("For more, try `{program} --help`."))
}

/// One paragraph: what goes on in a second line does not stand where a line of ours would begin.
fn beside(before: &str, text: &str, width: usize) -> String {
    format!("{before}{}", paper::wrap(text, width).join("\n    "))
}

/// Columns of a paragraph on stderr; where nobody breaks lines, neither do we.
fn of_stderr() -> usize {
    if std::io::stderr().is_terminal() {
        width().saturating_sub("error: ".len())
    } else {
        usize::MAX
    }
}

/// The reader of standard output has gone.
pub fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<std::io::Error>())
        .any(|cause| cause.kind() == std::io::ErrorKind::BrokenPipe)
}

/// Columns of the terminal; of a pipe, what `COLUMNS` says, else enough for a long line.
fn width() -> usize {
    const PIPE: usize = 120;
    let columns = || std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok());
    let terminal = terminal_size::terminal_size().map(|(width, _)| usize::from(width.0));
    terminal.or_else(columns).unwrap_or(PIPE).max(40)
}

#[cfg(test)]
mod tests {
    use super::help_tip;
    use crate::exit::{self, Exit, NotThere, WrongUsage};

    #[test]
    fn the_help_is_named_for_a_wrong_use_and_not_for_what_is_not_there() {
        let tip = |error| help_tip("kubectl skoop", error);
        let wrong = WrongUsage::error("--attempts 0 sends nothing");
        assert_eq!(tip(&wrong).as_deref(), Some("For more, try `kubectl skoop --help`."));
        let not_there = NotThere::error("there is no pod `web` in namespace shop");
        assert_eq!(tip(&not_there), None);
        assert_eq!(tip(&anyhow::anyhow!("the helper could not be started")), None);
        assert_eq!((exit::of(&wrong), exit::of(&not_there)), (Exit::Usage, Exit::Usage));
    }
}
