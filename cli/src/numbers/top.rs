//! The rows of `top`: a view's columns for each place, those that suffer most first.

use super::holders;
use super::hurts::{self, Hurt};
use super::parts::PartKind;
use super::place::NumbersPlace;
use super::views::{View, ViewColumn};
use model::missing::Missing;
use model::protocol::BpfCost;
use model::views::{API_VERSION, Top, TopRow};
use std::cmp::Ordering;
use std::collections::BTreeMap;

/// Which columns, and in which order the rows stand.
#[derive(Clone, Debug)]
pub struct TopShape {
    /// The view that was asked for.
    pub view: &'static View,
    /// Its columns, and those of probes that were added.
    pub columns: Vec<&'static ViewColumn>,
    /// Rows are sorted by this column; by what hurts where none is chosen.
    pub sorted_by: Option<usize>,
}

/// What looking cost.
#[derive(Clone, Copy, Debug, Default)]
pub struct TopCost {
    /// Microseconds on a CPU that the last reading took, on all nodes together.
    pub reading_cpu_us: u64,
    /// What our own eBPF programs cost, where that is known.
    pub bpf: Option<BpfCost>,
}

/// The document of a view, made of these places.
pub fn document(shape: &TopShape, places: &[NumbersPlace], at: String, cost: TopCost, missing: Vec<Missing>) -> Top {
    let shown = |place: &&NumbersPlace| {
        if shape.view.of_nodes {
            place.netns == 0
        } else {
            place.netns != 0
        }
    };
    let rows = places
        .iter()
        .filter(shown)
        .map(|place| row(shape, place, hurts::all(place)));
    Top {
        view: shape.view.name.to_owned(),
        pods: sorted(shape, rows.collect()),
        holders: places.iter().filter(shown).flat_map(holders::of).collect(),
        ..empty(places, at, cost, missing)
    }
}

/// The document of the parts of these places: a row for each process or peer.
pub fn of_parts(
    shape: &TopShape,
    kind: &PartKind,
    places: &[NumbersPlace],
    at: String,
    cost: TopCost,
    missing: Vec<Missing>,
) -> Top {
    let of_place = |place: &NumbersPlace| -> Vec<(Vec<Hurt>, TopRow)> {
        let told = |(name, part): (String, NumbersPlace)| {
            let (hurts, row) = row(shape, &part, kind.hurts(&part));
            let part = Some(name);
            (hurts, TopRow { part, ..row })
        };
        kind.of(place).into_iter().map(told).collect()
    };
    Top {
        view: shape.view.name.to_owned(),
        pods: sorted(shape, places.iter().flat_map(of_place).collect()),
        left_out: places.iter().map(|place| kind.left_out(place)).sum(),
        ..empty(places, at, cost, missing)
    }
}

/// A document without rows.
fn empty(places: &[NumbersPlace], at: String, cost: TopCost, missing: Vec<Missing>) -> Top {
    Top {
        api_version: API_VERSION.to_owned(),
        kind: "Top".to_owned(),
        at,
        seconds: places.iter().map(|place| place.seconds).fold(0.0, f64::max),
        view: String::new(),
        reading_cpu_ms: cost.reading_cpu_us as f64 / 1e3,
        bpf: cost.bpf,
        pods: Vec::new(),
        left_out: 0,
        holders: Vec::new(),
        missing,
    }
}

/// Rows, those that suffer most first, then by the first column; or by the column that was chosen, and then by what they suffer.
fn sorted(shape: &TopShape, mut rows: Vec<(Vec<Hurt>, TopRow)>) -> Vec<TopRow> {
    let weight = |hurts: &[Hurt]| hurts.first().map_or(0.0, |hurt| hurt.weight);
    let value = |row: &TopRow, column: usize| {
        let key = shape.columns.get(column).map_or("", |shown| shown.column.key);
        row.values.get(key).copied().unwrap_or_default()
    };
    rows.sort_by(|(hurts, row), (others, other)| {
        let by = |one: f64, two: f64| two.partial_cmp(&one).unwrap_or(Ordering::Equal);
        let chosen = shape
            .sorted_by
            .map_or(Ordering::Equal, |at| by(value(row, at), value(other, at)));
        chosen
            .then_with(|| by(weight(hurts), weight(others)))
            .then_with(|| by(value(row, 0), value(other, 0)))
            .then_with(|| (&row.namespace, &row.name, &row.part).cmp(&(&other.namespace, &other.name, &other.part)))
    });
    rows.into_iter().map(|(_, row)| row).collect()
}

fn row(shape: &TopShape, place: &NumbersPlace, hurts: Vec<Hurt>) -> (Vec<Hurt>, TopRow) {
    let values: BTreeMap<String, f64> = shape
        .columns
        .iter()
        .filter_map(|shown| Some((shown.column.key.to_owned(), (shown.of)(place)?)))
        .collect();
    let row = TopRow {
        namespace: place.namespace.clone(),
        name: place.name.clone(),
        node: place.node.clone(),
        netns: place.netns,
        host_network: place.shares_node,
        part: None,
        values,
        worst: hurts.first().map(|hurt| hurt.says.clone()),
        waits: hurts.first().is_some_and(|hurt| hurt.waits),
        hurts: hurts.iter().map(|hurt| hurt.says.clone()).collect(),
    };
    (hurts, row)
}

#[cfg(test)]
mod tests {
    use super::{TopCost, TopShape, document};
    use crate::conversation::numbers::Movement;
    use crate::numbers::NumbersPlace;
    use crate::numbers::views::VIEWS;
    use model::series::Series;

    #[test]
    fn a_row_says_whether_what_hurts_most_is_a_wait() {
        let series = |name: &str| Series {
            name: name.to_owned(),
            ..Series::default()
        };
        let all = [
            series("cpu.periods"),
            series("cpu.throttled"),
            series("Tcp.AttemptFails"),
        ];
        let waits = |growth: [u64; 3]| {
            let movements = all.iter().zip(growth).map(|(series, growth)| Movement {
                series,
                now: growth,
                then: None,
                growth,
            });
            let place = NumbersPlace {
                netns: 7,
                seconds: 5.0,
                movements: movements.collect(),
                ..NumbersPlace::default()
            };
            let shape = TopShape {
                view: &VIEWS[0],
                columns: Vec::new(),
                sorted_by: None,
            };
            let top = document(&shape, &[place], String::new(), TopCost::default(), Vec::new());
            (top.pods[0].worst.is_some(), top.pods[0].waits)
        };
        assert_eq!(waits([50, 40, 0]), (true, true), "throttled");
        assert_eq!(waits([50, 40, 3]), (true, false), "failed connects are worse");
        assert_eq!(waits([50, 0, 0]), (false, false));
    }
}
