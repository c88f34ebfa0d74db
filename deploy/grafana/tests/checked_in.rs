//! The dashboards that are checked in are those of the table of numbers, and nothing of it is missing.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]

use dashboards::BOARDS;
use dashboards::panel::PanelPlan;
use model::kernel_counters::COUNTERS;
use model::numbers::NUMBERS;
use serde_json::Value;
use std::collections::BTreeSet;
use std::path::Path;

#[test]
fn checked_in_dashboards_are_those_of_the_table_of_numbers() {
    for board in BOARDS {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("{}.json", board.name));
        let wanted = board.json();
        if std::env::var_os("UPDATE").is_some() {
            let text = serde_json::to_string_pretty(&wanted).unwrap() + "\n";
            std::fs::write(&path, text).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        let there: Value = serde_json::from_str(&there).unwrap_or_default();
        assert!(
            there == wanted,
            "{}.json is outdated: run `UPDATE=1 cargo test -p dashboards`",
            board.name
        );
    }
}

/// What tells of single processes and peers has more series than a dashboard is for: `top --by` shows it.
const OF_PARTS: [&str; 3] = ["process.", "peers.", "holders."];

#[test]
fn every_number_that_means_something_has_its_place() {
    let mut shown = BTreeSet::new();
    for panel in BOARDS.iter().flat_map(|board| board.rows).flat_map(|row| row.panels) {
        shown.extend(panel.numbers());
    }
    let hurting = COUNTERS
        .iter()
        .filter(|counter| counter.hurts)
        .map(|counter| counter.name);
    let of_a_part = |name: &&str| OF_PARTS.iter().any(|probe| name.starts_with(probe));
    let missed: Vec<&str> = NUMBERS
        .iter()
        .map(|number| number.name)
        .filter(|name| !of_a_part(name))
        .chain(hurting)
        .filter(|name| !shown.contains(name))
        .collect();
    assert!(missed.is_empty(), "give these a panel in boards.rs: {missed:?}");
}

#[test]
fn every_panel_says_what_it_shows_and_in_which_unit_and_none_covers_another() {
    for board in BOARDS {
        let json = board.json();
        let panels = json["panels"].as_array().unwrap();
        let mut taken = BTreeSet::new();
        for panel in panels {
            let title = panel["title"].as_str().unwrap();
            let place = |key: &str| panel["gridPos"][key].as_u64().unwrap();
            for x in place("x")..place("x") + place("w") {
                for y in place("y")..place("y") + place("h") {
                    assert!(
                        x < 24 && taken.insert((x, y)),
                        "{title} of {} covers another panel",
                        board.name
                    );
                }
            }
            if panel["type"] == "row" {
                continue;
            }
            assert!(!panel["description"].as_str().unwrap().is_empty(), "{title}");
            let targets = panel["targets"].as_array().unwrap();
            assert!(
                !targets.is_empty() && targets.iter().all(|target| target["expr"].is_string()),
                "{title}"
            );
            if panel["type"] != "logs" {
                assert!(panel["fieldConfig"]["defaults"]["unit"].is_string(), "{title}");
            }
        }
        let ids: BTreeSet<u64> = panels.iter().map(|panel| panel["id"].as_u64().unwrap()).collect();
        assert_eq!(ids.len(), panels.len(), "{}", board.name);
    }
}

#[test]
fn numbers_of_one_panel_have_one_unit() {
    for panel in BOARDS.iter().flat_map(|board| board.rows).flat_map(|row| row.panels) {
        let units: BTreeSet<&str> = panel
            .numbers()
            .iter()
            .map(|name| PanelPlan::unit_of(panel.shows, name))
            .collect();
        assert!(units.len() <= 1, "{}: {units:?}", panel.title);
    }
}
