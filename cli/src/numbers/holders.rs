//! Who holds the tables of tracked connections, by the numbers of the probe `holders`. Pure.

use super::place::NumbersPlace;
use crate::conversation::numbers::Movement;
use model::views::TableHolder;
use std::cmp::Reverse;

/// What is counted, and the number that tells it.
const KINDS: [(&str, &str); 3] = [
    ("source", "holders.by_source"),
    ("destination", "holders.by_destination"),
    ("pair", "holders.by_pair"),
];
/// What a helper says for all that it does not tell one by one.
const OTHERS: &str = "others";

/// All that hold the table of a place: sources, destinations, and pairs of both, each most entries first and the others last.
pub fn of(place: &NumbersPlace) -> Vec<TableHolder> {
    let of_kind = |(by, number): &(&str, &str)| {
        let mut all: Vec<&Movement> = place.of(number).filter(|moved| moved.now > 0).collect();
        all.sort_by_key(|moved| (is_others(moved), Reverse(moved.now)));
        // Who is not told has fewer entries than those that are: none where nobody was left out.
        let all_were_told = !place
            .of(number)
            .any(|moved| is_others(moved) && moved.then.unwrap_or_default() > 0);
        let told = all.into_iter().map(|moved| TableHolder {
            by: (*by).to_owned(),
            ..holder(place, moved, all_were_told)
        });
        told.collect::<Vec<_>>()
    };
    KINDS.iter().flat_map(of_kind).collect()
}

/// The address with the most entries, and how many; nothing where the table was not looked through.
pub fn most(place: &NumbersPlace) -> Option<(String, u64)> {
    let sources = place.of("holders.by_source").filter(|moved| !is_others(moved));
    let most = sources.max_by_key(|moved| moved.now)?;
    Some((place.named(moved_label(most, "source")?), most.now))
}

fn moved_label<'a>(moved: &'a Movement, label: &str) -> Option<&'a str> {
    moved.series.labels.get(label).map(String::as_str)
}

fn is_others(moved: &Movement) -> bool {
    moved.series.labels.values().any(|value| value == OTHERS)
}

fn holder(place: &NumbersPlace, moved: &Movement, all_were_told: bool) -> TableHolder {
    let others = is_others(moved);
    let end = |label: &str| {
        moved_label(moved, label)
            .filter(|_| !others)
            .map(|address| place.named(address))
    };
    let port = moved_label(moved, "port").unwrap_or_default();
    let then = moved.then.or_else(|| all_were_told.then_some(0));
    TableHolder {
        table: place.full_name(),
        node: place.node.clone(),
        source: end("source"),
        destination: end("destination").map(|address| format!("{address} port {port}")),
        others,
        entries: moved.now,
        growth: then.map(|then| moved.now.cast_signed().saturating_sub(then.cast_signed())),
        ..TableHolder::default()
    }
}
