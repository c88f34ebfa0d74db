//! Every string of a report, an event and an inventory holds what a stranger would like to do to a terminal, and nothing that is
//! printed for people does it. The samples are made from the schemas, so that no field is forgotten.

use super::capture_totals::CaptureTotals;
use super::event_lines::EventLines;
use super::event_phrases::PodNames;
use super::paper::{Paper, TextPage};
use super::table::Sheet;
use super::{
    CheckResult, TopLook, comparison, findings, html, inspection, latency, lists, map, map_graphs, top, untrusted_text,
};
use model::evidence::Evidence;
use model::letter::is_plain;
use model::missing::Missing;
use model::protocol::Hello;
use model::report::{CausesReport, OneEndReport, Report};
use model::traffic_map::TrafficMap;
use model::views::{Compare, Inspect, Latency, Top};
use schemars::JsonSchema;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value, json};

/// A title for the window, a bell, a line of ours, C1, a line end of Unicode's, a text turned around, spaces up to the next line.
const HOSTILE: &str = "\u{1b}]0;x\u{7}\n✓ t/web reaches t/db:80/tcp\n  remedy    run x\u{9b}2J\u{2028}\u{202e}\u{a0}\u{e0041} \
    x x x x x x x x x x x x x x x x ✗ x ✓ t/web  remedy    run x  cause x x x x x x x x x x x ✓ x x x x ? x x x x x x x x x x x x";
/// Alternatives of a sample that differ: no type of ours has more.
const VARIANTS: usize = 17;
const LABELS: [&str; 17] = [
    "cause", "warning", "because", "remedy", "besides", "not seen", "proven", "path", "attempts", "looked", "why",
    "sees", "hooks", "lacks", "suffers", "also", "seen",
];

/// A value that fits the schema, with every field, list and map filled, and of several alternatives the one of that number.
fn fill(schema: &Value, root: &Value, variant: usize) -> Value {
    if let Some(known) = schema
        .get("const")
        .or_else(|| schema["enum"].get(variant % schema["enum"].as_array().map_or(1, Vec::len)))
    {
        return known.clone();
    }
    let mut made = Map::new();
    if let Some(name) = schema["$ref"].as_str() {
        let of = root.pointer(name.trim_start_matches('#')).unwrap();
        match fill(of, root, variant) {
            Value::Object(fields) => made.extend(fields),
            other => return other,
        }
    }
    if let Some(alternatives) = schema
        .get("oneOf")
        .or_else(|| schema.get("anyOf"))
        .and_then(Value::as_array)
    {
        let some: Vec<&Value> = alternatives.iter().filter(|one| one["type"] != "null").collect();
        match fill(some[variant % some.len()], root, variant) {
            Value::Object(fields) => made.extend(fields),
            other => return other,
        }
    }
    let kind = match &schema["type"] {
        Value::Array(kinds) => kinds[0].as_str().unwrap_or_default(),
        kind => kind.as_str().unwrap_or("object"),
    };
    match kind {
        "string" if schema["format"] == "ip" => json!(["10.0.0.1", "fd00::1"][variant % 2]),
        "string" => json!(HOSTILE),
        "integer" | "number" => json!(1),
        "boolean" => json!(variant.is_multiple_of(2)),
        "array" => {
            let fixed = schema["prefixItems"].as_array().map(Vec::as_slice).unwrap_or_default();
            let fixed = fixed.iter().map(|item| fill(item, root, variant));
            let more = schema["items"]
                .is_object()
                .then(|| fill(&schema["items"], root, variant));
            fixed.chain(more).collect()
        }
        _ => {
            for (name, field) in schema["properties"].as_object().into_iter().flatten() {
                made.insert(name.clone(), fill(field, root, variant));
            }
            if schema["additionalProperties"].is_object() {
                made.insert(HOSTILE.to_owned(), fill(&schema["additionalProperties"], root, variant));
            }
            // A number's name.
            if made.contains_key("sport") && made["protocol"].is_string() {
                made.insert("protocol".to_owned(), json!(["tcp", "udp", "icmp"][variant % 3]));
            }
            Value::Object(made)
        }
    }
}

fn samples<T: JsonSchema + DeserializeOwned>() -> Vec<T> {
    let schema = schemars::schema_for!(T).to_value();
    (0..VARIANTS)
        .map(|variant| fill(&schema, &schema, variant))
        .map(|value| serde_json::from_value(value.clone()).unwrap_or_else(|error| panic!("{error}: {value:#}")))
        .collect()
}

/// What is on the screen, in lines, without our own colours; nothing else that is not plain was left.
fn screen(page: &TextPage, width: usize) -> Vec<String> {
    let text = Paper { colour: true, width }.write(page);
    let mut rest = text.as_str();
    let mut bare = String::new();
    while let Some((before, colour)) = rest.split_once("\u{1b}[") {
        bare += before;
        let end = colour
            .find(|letter: char| !letter.is_ascii_digit() && letter != ';')
            .unwrap();
        assert!(colour[end..].starts_with('m'), "{text:?}");
        rest = &colour[end + 1..];
    }
    bare += rest;
    for line in bare.lines() {
        assert_eq!(line.chars().find(|letter| !is_plain(*letter)), None, "{line:?}");
    }
    bare.lines().map(str::to_owned).collect()
}

/// Beyond the first line, a line has a label of ours, stands behind one, or goes on with the headline.
fn is_ours(line: &str) -> bool {
    let labelled = |line: &str| {
        let (label, _) = line.split_at_checked(12).unwrap_or((line, ""));
        let known = LABELS.iter().any(|known| format!("  {known:<10}") == label);
        known || label.trim().is_empty()
    };
    line.is_empty() || line.starts_with("    ") || labelled(line)
}

fn reports_are_harmless(reports: &[Report]) {
    for (report, width, wide) in reports
        .iter()
        .flat_map(|report| [(report, 60, false), (report, 120, true), (report, 500, false)])
    {
        let paper = Paper { colour: true, width };
        let lines = screen(&Sheet { paper, wide }.report(report), width);
        let begins = |line: &String| line.starts_with(['✓', '✗', '?']);
        assert_eq!(lines.iter().filter(|line| begins(line)).count(), 1, "{lines:#?}");
        for line in &lines[1..] {
            assert!(is_ours(line), "{line:?}\n{lines:#?}");
        }
        let remedies = report
            .verdicts
            .iter()
            .filter(|verdict| verdict.cause && !verdict.remedy.is_empty());
        let shown = lines.iter().filter(|line| line.starts_with("  remedy"));
        assert!(shown.count() <= remedies.count(), "{lines:#?}");
    }
}

#[test]
fn nothing_in_a_report_moves_the_cursor_or_begins_a_line() {
    reports_are_harmless(&samples());
}

#[test]
fn nothing_in_a_report_about_one_end_does_either() {
    for report in samples::<OneEndReport>() {
        for (width, all) in [(60, false), (120, true)] {
            let paper = Paper { colour: true, width };
            let lines = screen(&Sheet { paper, wide: all }.one_end(&report, all), width);
            for line in &lines[1..] {
                assert!(is_ours(line), "{line:?}\n{lines:#?}");
            }
        }
    }
}

#[test]
fn nothing_in_the_causes_of_a_capture_does_either() {
    for report in samples::<CausesReport>() {
        let paper = Paper {
            colour: true,
            width: 60,
        };
        let lines = screen(&Sheet { paper, wide: false }.causes(&report, true), 60);
        let begins = |line: &&String| line.starts_with('✗');
        assert_eq!(lines.iter().filter(begins).count(), 1, "{lines:#?}");
        assert!(
            lines
                .iter()
                .filter(|line| !begins(line))
                .all(|line| is_ours(line) || line.starts_with("  unproven")),
            "{lines:#?}"
        );
    }
}

#[test]
fn nothing_in_an_inventory_or_in_evidence_does_either() {
    let reports: Vec<Report> = samples::<Evidence>()
        .into_iter()
        .map(|evidence| crate::report::of(evidence, model::report::Timing::default()))
        .collect();
    assert!(reports.iter().any(|report| !report.verdicts.is_empty()));
    reports_are_harmless(&reports);
}

#[test]
fn nothing_in_an_event_or_in_the_totals_does_either() {
    let mut kinds = std::collections::BTreeSet::new();
    for evidence in samples::<Evidence>() {
        for event in &evidence.events {
            let mut lines = EventLines::sample(100);
            let pods = &evidence
                .inventory
                .ok()
                .map(|inventory| inventory.pods.clone())
                .unwrap_or_default();
            lines.name(
                [event.flow.src(), event.flow.dst()].map(|address| (address, HOSTILE.to_owned())),
                pods.iter().map(|pod| (pod.uid.clone(), PodNames::of(pod))),
            );
            kinds.insert(super::event_phrases::what(&event.seen));
            let shown = screen(&lines.event(event), 100);
            let begins = |line: &&String| !line.starts_with("              ");
            assert_eq!(shown.iter().filter(begins).count(), 1, "{shown:#?}");
            let json = lines.json(event).unwrap();
            assert!(json.trim_end().chars().all(is_plain), "{json:?}");
            let back: Value = serde_json::from_str(&json).unwrap();
            assert_eq!(back["probe"], HOSTILE, "JSON is exact");
        }
        let summary = CaptureTotals {
            nodes: &evidence.nodes,
            without_totals: &[HOSTILE],
            printed: 1,
            left_out: 1,
            took: std::time::Duration::ZERO,
            measured_times: false,
            several_clocks: false,
        };
        let shown = screen(&summary.page(&super::event_lines::NetnsNames::new()), 100);
        assert!(shown.len() <= 4, "{shown:#?}");
    }
    assert!(kinds.len() > 9, "every kind of event: {kinds:?}");
}

#[test]
fn nothing_in_a_page_of_numbers_or_in_a_map_does_either() {
    for width in [60, 200] {
        let paper = Paper { colour: true, width };
        let mut pages = Vec::new();
        let look = TopLook {
            all: true,
            ..TopLook::default()
        };
        pages.extend(samples::<Top>().iter().map(|page| top::page(page, &look, paper)));
        pages.extend(samples::<Inspect>().iter().map(|page| inspection::page(page, paper)));
        pages.extend(
            samples::<Compare>()
                .iter()
                .map(|page| comparison::page(page, true, paper)),
        );
        pages.extend(samples::<Latency>().iter().map(|page| latency::page(page, paper)));
        pages.extend(samples::<TrafficMap>().iter().map(|page| map::page(page, paper)));
        for page in &pages {
            let lines = screen(page, width);
            assert!(lines.len() < 60, "{lines:#?}");
            assert!(lines.iter().all(|line| !line.starts_with('✓')), "{lines:#?}");
        }
    }
}

#[test]
fn nothing_in_a_map_ends_what_other_programs_draw() {
    for map in samples::<TrafficMap>() {
        for text in [map_graphs::mermaid(&map), map_graphs::dot(&map), html::map(&map)] {
            assert!(text.lines().all(|line| line.chars().all(is_plain)), "{text:?}");
        }
    }
}

#[test]
fn nothing_in_a_page_is_markup_but_ours() {
    let reports = samples::<Report>();
    let one_end = samples::<OneEndReport>();
    let (inspected, compared, times) = (samples::<Inspect>(), samples::<Compare>(), samples::<Latency>());
    let pages = reports
        .iter()
        .map(html::report)
        .chain(one_end.iter().map(html::one_end))
        .chain(inspected.iter().map(html::inspection))
        .chain(compared.iter().map(html::comparison))
        .chain(times.iter().map(html::latency));
    for page in pages {
        assert!(page.lines().all(|line| line.chars().all(is_plain)), "{page:?}");
        assert!(!page.contains("<script"), "{page}");
    }
    let mut report = reports[0].clone();
    report.headline = "</title><script>alert(1)</script>".to_owned();
    report.verdicts[0].remedy = "<img src=x onerror=alert(1)>".to_owned();
    let page = html::report(&report);
    assert!(!page.contains("<script") && !page.contains("<img"), "{page}");
}

#[test]
fn findings_probes_notes_and_errors_do_not_either() {
    let paper = Paper {
        colour: true,
        width: 80,
    };
    let missing = Missing::new(HOSTILE, HOSTILE).remedy(HOSTILE);
    let lines = screen(
        &findings::findings(
            &[CheckResult::fine(HOSTILE), CheckResult::missing(HOSTILE, missing)],
            paper,
        ),
        80,
    );
    assert_eq!(
        lines.iter().filter(|line| line.starts_with(['✓', '✗'])).count(),
        2,
        "{lines:#?}"
    );
    assert_eq!(
        lines.iter().filter(|line| line.starts_with("  remedy")).count(),
        1,
        "{lines:#?}"
    );
    for report in samples::<Report>() {
        let hello: Hello = serde_json::from_value(json!({
            "version": 1, "node": HOSTILE, "kernel": HOSTILE, "arch": HOSTILE, "boot_id": HOSTILE, "netns": 1, "monotonic_ns": 1,
            "boottime_ns": 1, "wall_ns": 1, "capabilities": [HOSTILE], "probes": report.nodes[0].probes,
        }))
        .unwrap();
        let text = lists::probes(&hello, super::ListFormat::Table, Paper { colour: false, ..paper }).unwrap();
        assert!(text.lines().all(|line| line.chars().all(is_plain)), "{text:?}");
    }
    let error = anyhow::anyhow!(HOSTILE).context(HOSTILE);
    for text in [
        super::beside("", HOSTILE, 60),
        super::beside(" ", &format!("{error:#}"), 60),
    ] {
        assert!(text.lines().skip(1).all(|line| line.starts_with("    ")), "{text}");
        assert!(text.lines().all(|line| line.chars().all(is_plain)), "{text:?}");
    }
    let long = super::beside("", &"x".repeat(1 << 20), 60);
    assert!(
        long.len() < 3 * untrusted_text::PARAGRAPH && long.contains("more letters"),
        "{}",
        long.len()
    );
}

#[test]
fn json_and_yaml_say_exactly_what_was_there() {
    for report in samples::<Report>() {
        let whole = serde_json::to_value(&report).unwrap();
        let (json, yaml) = (super::json(&report).unwrap(), super::yaml(&report).unwrap());
        for text in [&json, &yaml] {
            assert!(text.lines().all(|line| line.chars().all(is_plain)), "{text:?}");
        }
        assert_eq!(serde_json::from_str::<Value>(&json).unwrap(), whole);
        assert_eq!(serde_yaml::from_str::<Value>(&yaml).unwrap(), whole);
    }
}

#[test]
fn only_this_folder_prints() {
    fn sources(folder: &std::path::Path, found: &mut Vec<std::path::PathBuf>) {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                sources(&path, found);
            } else {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    let own = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    sources(&own, &mut found);
    for path in found.iter().filter(|path| !path.starts_with(own.join("render"))) {
        let text = std::fs::read_to_string(path).unwrap();
        for door in ["io::stdout", "io::stderr", "/dev/tty", "anstream"] {
            assert!(!text.contains(door), "{} has {door}", path.display());
        }
    }
}
