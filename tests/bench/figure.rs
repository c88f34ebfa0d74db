//! One figure: what was measured, beside what, and whether it is what we promise.

use comfy_table::{Table, presets};
use serde::Serialize;

/// A figure as it goes into the table and into `bench.json`.
#[derive(Clone, Debug, Serialize)]
#[expect(clippy::struct_field_names, reason = "the names of bench.json")]
pub struct Figure {
    /// What was measured.
    pub figure: String,
    /// Its value.
    pub value: f64,
    /// The value's unit.
    pub unit: &'static str,
    /// What stands beside it, measured in the same run.
    pub peer: Option<String>,
    /// The peer's value, in the same unit.
    pub peer_value: Option<f64>,
    /// Value over peer value.
    pub ratio: Option<f64>,
    /// The promise in words.
    pub promise: String,
    /// Whether it was kept; `None` where nothing is promised.
    pub reached: Option<bool>,
}

impl Figure {
    /// A figure without a peer or a promise.
    pub fn new(figure: impl Into<String>, value: f64, unit: &'static str) -> Self {
        Self {
            figure: figure.into(),
            value,
            unit,
            peer: None,
            peer_value: None,
            ratio: None,
            promise: String::new(),
            reached: None,
        }
    }

    /// What stands beside it.
    pub fn beside(mut self, peer: impl Into<String>, value: Option<f64>) -> Self {
        self.peer = Some(peer.into());
        self.peer_value = value;
        self.ratio = value.filter(|value| *value != 0.0).map(|value| self.value / value);
        self
    }

    /// The most it may be.
    pub fn at_most(mut self, limit: f64) -> Self {
        self.promise = format!("<= {limit} {}", self.unit);
        self.reached = Some(self.value <= limit);
        self
    }

    /// The least it may be.
    pub fn at_least(mut self, limit: f64) -> Self {
        self.promise = format!(">= {limit} {}", self.unit);
        self.reached = Some(self.value >= limit);
        self
    }

    /// The most it may be of its peer; not judged where the peer is not here.
    pub fn at_most_of_peer(mut self, share: f64) -> Self {
        self.promise = format!(
            "{}{}<= {share} of its peer",
            self.promise,
            if self.promise.is_empty() { "" } else { ", " }
        );
        if let Some(ratio) = self.ratio {
            self.reached = Some(self.reached.unwrap_or(true) && ratio <= share);
        }
        self
    }
}

/// All figures as a table.
pub fn table(figures: &[Figure]) -> Table {
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_header([
        "FIGURE",
        "VALUE",
        "BESIDE",
        "ITS VALUE",
        "RATIO",
        "PROMISE",
        "KEPT",
    ]);
    for figure in figures {
        table.add_row([
            figure.figure.clone(),
            format!("{} {}", short(figure.value), figure.unit),
            figure.peer.clone().unwrap_or_default(),
            figure
                .peer_value
                .map_or_else(String::new, |value| format!("{} {}", short(value), figure.unit)),
            figure.ratio.map_or_else(String::new, short),
            figure.promise.clone(),
            figure
                .reached
                .map_or("", |reached| if reached { "yes" } else { "NO" })
                .into(),
        ]);
    }
    table
}

fn short(value: f64) -> String {
    match value.abs() {
        large if large >= 1000.0 => format!("{value:.0}"),
        middle if middle >= 10.0 => format!("{value:.1}"),
        _ => format!("{value:.3}"),
    }
}

/// The middle value; 0 of nothing.
pub fn median(values: &[f64]) -> f64 {
    quantile(values, 0.5)
}

/// The value below which `share` of all lie.
pub fn quantile(values: &[f64], share: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let last = sorted.len().saturating_sub(1);
    sorted
        .get((last as f64 * share).round() as usize)
        .copied()
        .unwrap_or_default()
}
