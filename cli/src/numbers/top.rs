//! The rows of `top`: a view's columns for each place, those that suffer most first.

use super::hurts::{self, Hurt};
use super::place::NumbersPlace;
use super::views::View;
use model::missing::Missing;
use model::views::{API_VERSION, Top, TopRow};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// The document of a view, made of these places.
pub fn document(view: &View, places: &[NumbersPlace], at: String, reading_cpu_us: u64, missing: Vec<Missing>) -> Top {
    let shown = |place: &&NumbersPlace| {
        if view.of_nodes {
            place.netns == 0
        } else {
            place.netns != 0
        }
    };
    let mut rows: Vec<(Vec<Hurt>, TopRow)> = places.iter().filter(shown).map(|place| row(view, place)).collect();
    let weight = |hurts: &[Hurt]| hurts.first().map_or(0.0, |hurt| hurt.weight);
    let traffic = |row: &TopRow| {
        view.columns
            .first()
            .and_then(|shown| row.values.get(shown.column.key).copied())
    };
    rows.sort_by(|(hurts, row), (others, other)| {
        let by = |one: f64, two: f64| two.partial_cmp(&one).unwrap_or(Ordering::Equal);
        by(weight(hurts), weight(others))
            .then_with(|| by(traffic(row).unwrap_or_default(), traffic(other).unwrap_or_default()))
            .then_with(|| (&row.namespace, &row.name).cmp(&(&other.namespace, &other.name)))
    });
    Top {
        api_version: API_VERSION.to_owned(),
        kind: "Top".to_owned(),
        at,
        seconds: places.iter().map(|place| place.seconds).fold(0.0, f64::max),
        view: view.name.to_owned(),
        reading_cpu_ms: reading_cpu_us as f64 / 1e3,
        pods: rows.into_iter().map(|(_, row)| row).collect(),
        missing,
    }
}

fn row(view: &View, place: &NumbersPlace) -> (Vec<Hurt>, TopRow) {
    let hurts = hurts::all(place);
    let values: BTreeMap<String, f64> = view
        .columns
        .iter()
        .filter_map(|shown| Some((shown.column.key.to_owned(), (shown.of)(place)?)))
        .collect();
    let row = TopRow {
        namespace: place.namespace.clone(),
        name: place.name.clone(),
        node: place.node.clone(),
        netns: place.netns,
        values,
        worst: hurts.first().map(|hurt| hurt.says.clone()),
        hurts: hurts.iter().map(|hurt| hurt.says.clone()).collect(),
    };
    (hurts, row)
}
