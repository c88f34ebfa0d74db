//! Results for people (a table and totals) and for programs (JSON).
use std::io::Write;

use anyhow::Result;
use comfy_table::{CellAlignment, ContentArrangement, Table, presets};
use serde_json::{Value, json};

use crate::runner::{Outturn, OutturnClass};

/// The line that precedes a scenario's result is printed as soon as it is known.
pub fn line(out: &mut impl Write, outturn: &Outturn) -> Result<()> {
    let sign = match outturn.class {
        OutturnClass::Right => "ok",
        OutturnClass::Wrong => "WRONG",
        OutturnClass::Inconclusive => "inconclusive",
        OutturnClass::Skipped => "skipped",
        OutturnClass::Broken => "BROKEN",
    };
    writeln!(
        out,
        "{sign:<12} {:>6.2} s  {}",
        outturn.took.as_secs_f64(),
        outturn.name
    )?;
    for why in outturn.why.iter().flat_map(|why| why.lines()) {
        writeln!(out, "                       {why}")?;
    }
    out.flush()?;
    Ok(())
}

/// The table and the totals.
pub fn table(out: &mut impl Write, outturns: &[Outturn]) -> Result<()> {
    let mut table = Table::new();
    table.load_style(presets::NOTHING);
    table.set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(["SCENARIO", "EXPECTED", "GOT", "TIME"]);
    for outturn in outturns {
        let sign = if fine(outturn) { "" } else { "  <-" };
        let time = format!("{:.2} s", outturn.took.as_secs_f64());
        table.add_row([
            outturn.name.as_str(),
            outturn.expected.as_str(),
            &format!("{}{sign}", outturn.got),
            &time,
        ]);
    }
    if let Some(time) = table.column_mut(3) {
        time.set_cell_alignment(CellAlignment::Right);
    }
    writeln!(out, "{table}")?;
    let totals = json(outturns);
    let total = |key: &str| totals[key].to_string();
    let words = ["right", "wrong", "inconclusive", "skipped", "broken"].map(|key| format!("{} {key}", total(key)));
    writeln!(
        out,
        "{} scenarios: {}; {} false accusations",
        total("total"),
        words.join(", "),
        total("false_accusations")
    )?;
    // Once more, and last: whoever sees but the end of a long log has to see what failed, and why.
    for outturn in outturns.iter().filter(|outturn| !fine(outturn)) {
        line(out, outturn)?;
    }
    Ok(())
}

/// The same as JSON.
pub fn json(outturns: &[Outturn]) -> Value {
    let count = |class: OutturnClass| outturns.iter().filter(|outturn| outturn.class == class).count();
    let scenarios: Vec<_> = outturns
        .iter()
        .map(|outturn| {
            json!({
                "name": outturn.name,
                "expected": outturn.expected,
                "got": outturn.got,
                "outcome": outturn.outcome,
                "seconds": (outturn.took.as_secs_f64() * 1000.0).round() / 1000.0,
                "right": outturn.class == OutturnClass::Right,
                "why": outturn.why,
            })
        })
        .collect();
    json!({
        "total": outturns.len(),
        "right": count(OutturnClass::Right),
        "wrong": count(OutturnClass::Wrong),
        "inconclusive": count(OutturnClass::Inconclusive),
        "skipped": count(OutturnClass::Skipped),
        "broken": count(OutturnClass::Broken),
        "false_accusations": outturns.iter().map(|outturn| outturn.false_accusations).sum::<usize>(),
        "scenarios": scenarios,
    })
}

/// Whether all is as it should be: nothing wrong, nothing left open, nothing broken.
pub fn all_right(outturns: &[Outturn]) -> bool {
    outturns.iter().all(fine)
}

fn fine(outturn: &Outturn) -> bool {
    matches!(outturn.class, OutturnClass::Right | OutturnClass::Skipped)
}
