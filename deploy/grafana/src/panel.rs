//! One panel: which numbers it shows and how, and the JSON of it. Pure.

use super::promql;
use model::kernel_counters::{COUNTERS, CounterGroup};
use model::numbers::{help_of, of};
use serde_json::{Value, json};

/// How numbers are shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PanelShows {
    /// How much more each second, of what flows.
    Rate,
    /// How much more in each interval, of what should not grow.
    Growth,
    /// How much there is.
    Level,
    /// The median and the slowest hundredth.
    Times,
    /// Events by what was seen, and why.
    Events,
    /// The places with the most of it.
    Most,
    /// Log lines of events.
    Lines,
    /// What an export says of itself.
    Export,
}

/// Which numbers.
#[derive(Clone, Copy, Debug)]
pub enum PanelNumbers {
    /// These, by name; of `Events`, probes; of `Lines`, queries; of `Export`, metrics.
    Named(&'static [&'static str]),
    /// All of the kernel's own that hurt and speak of this.
    Hurting(CounterGroup),
}

/// One panel.
#[derive(Clone, Copy, Debug)]
pub struct PanelPlan {
    /// Its title.
    pub title: &'static str,
    /// How it shows them.
    pub shows: PanelShows,
    /// Which.
    pub of: PanelNumbers,
    /// The labels it keeps apart beside those of its dashboard, separated by commas.
    pub by: &'static str,
    /// What is said beside the meaning of its numbers.
    pub about: &'static str,
    /// Labels that its samples have besides those that its dashboard asks for, as a selector has them.
    pub only: &'static str,
}

/// A panel with these numbers.
pub const fn panel(
    title: &'static str,
    shows: PanelShows,
    names: &'static [&'static str],
    by: &'static str,
) -> PanelPlan {
    PanelPlan {
        title,
        shows,
        of: PanelNumbers::Named(names),
        by,
        about: "",
        only: "",
    }
}

/// A panel of the kernel's counters that hurt.
pub const fn hurting(title: &'static str, group: CounterGroup) -> PanelPlan {
    PanelPlan {
        title,
        shows: PanelShows::Growth,
        of: PanelNumbers::Hurting(group),
        by: "",
        about: "",
        only: "",
    }
}

impl PanelPlan {
    /// With such words.
    #[must_use]
    pub const fn saying(self, about: &'static str) -> Self {
        Self { about, ..self }
    }

    /// Of samples with such labels alone.
    #[must_use]
    pub const fn of_only(self, only: &'static str) -> Self {
        Self { only, ..self }
    }

    /// The names of its numbers.
    pub fn numbers(&self) -> Vec<&'static str> {
        match (self.shows, self.of) {
            (PanelShows::Events | PanelShows::Lines | PanelShows::Export, _) => Vec::new(),
            (_, PanelNumbers::Named(names)) => names.to_vec(),
            (_, PanelNumbers::Hurting(group)) => {
                let all = COUNTERS
                    .iter()
                    .filter(|counter| counter.hurts && counter.group == group);
                all.map(|counter| counter.name).collect()
            }
        }
    }

    /// Grafana's word for the unit of a number that is shown so.
    pub fn unit_of(shows: PanelShows, number: &str) -> &'static str {
        let each_second = shows == PanelShows::Rate;
        match (promql::metric_of(number).unit, each_second) {
            ("bytes", true) | ("bytes_per_second", _) => "Bps",
            ("bytes", false) => "bytes",
            // Seconds in each second.
            ("seconds", true) => "percentunit",
            ("seconds", false) => "s",
            (_, true) => "cps",
            (_, false) => "short",
        }
    }

    fn unit(&self) -> &'static str {
        let first = self.numbers().first().copied();
        first.map_or("short", |number| Self::unit_of(self.shows, number))
    }

    /// What its numbers mean.
    fn description(&self) -> String {
        let mut lines: Vec<String> = Vec::new();
        lines.extend((!self.about.is_empty()).then(|| self.about.to_owned()));
        let how = match self.shows {
            PanelShows::Rate => "Each second:",
            PanelShows::Growth => "How often in each interval:",
            PanelShows::Level => "At the time:",
            PanelShows::Times => "The median, and what 99 of 100 stay below:",
            PanelShows::Most => "In each interval, the ten with the most:",
            PanelShows::Events | PanelShows::Lines | PanelShows::Export => "",
        };
        lines.extend((!how.is_empty()).then(|| how.to_owned()));
        lines.extend(
            self.numbers()
                .into_iter()
                .map(|name| format!("- {name}: {}", help_of(name).unwrap_or_default())),
        );
        lines.join("\n")
    }

    /// What is asked, and what each answer is called.
    fn queries(&self, own: &str, selector: &str) -> Vec<(String, String)> {
        let selector = &promql::narrowed(selector, self.only);
        let by: Vec<&str> = [own, self.by].into_iter().filter(|labels| !labels.is_empty()).collect();
        let by = by.join(", ");
        let labels = by.split(", ").filter(|label| !label.is_empty());
        let labels = labels
            .map(|label| format!("{{{{{label}}}}} "))
            .collect::<Vec<_>>()
            .concat();
        let called = |name: &str| format!("{labels}{name}");
        let PanelNumbers::Named(named) = self.of else {
            let each = |name| (promql::growth(name, &by, selector), called(name));
            return self.numbers().into_iter().map(each).collect();
        };
        let short = |name: &str| match of(name) {
            Some(_) if named.len() == 1 => String::new(),
            Some(_) => name.split_once('.').map_or(name, |(_, name)| name).replace('_', " "),
            None => name.to_owned(),
        };
        let each = named.iter().flat_map(|name| {
            let one = match self.shows {
                PanelShows::Rate => promql::rate(name, &by, selector),
                PanelShows::Growth => promql::growth(name, &by, selector),
                PanelShows::Level => promql::level(name, &by, selector),
                PanelShows::Times => {
                    let of = |share: &str, word: &str| {
                        (
                            promql::quantile(share, name, &by, selector),
                            called(format!("{} {word}", short(name)).trim()),
                        )
                    };
                    return vec![of("0.5", "p50"), of("0.99", "p99")];
                }
                PanelShows::Most => {
                    return vec![(
                        format!("topk(10, {})", promql::growth(name, &by, selector)),
                        called(&short(name)),
                    )];
                }
                PanelShows::Events => return vec![(promql::events(name, &by, selector), format!("{labels}{name}"))],
                PanelShows::Export => return vec![(promql::of_export(name), "{{sink}}".to_owned())],
                PanelShows::Lines => return vec![((*name).to_owned(), String::new())],
            };
            vec![(one, called(&short(name)).trim().to_owned())]
        });
        each.collect()
    }

    /// The panel, at this place of its dashboard.
    pub fn json(
        &self,
        id: usize,
        (x, y, width, height): (usize, usize, usize, usize),
        (own, selector): (&str, &str),
    ) -> Value {
        let lines = self.shows == PanelShows::Lines;
        let (kind, source) = match self.shows {
            PanelShows::Lines => ("logs", json!({"type": "loki", "uid": "${logs}"})),
            PanelShows::Most => ("bargauge", prometheus()),
            _ => ("timeseries", prometheus()),
        };
        let queries = self.queries(own, selector).into_iter().enumerate();
        let targets: Vec<Value> = queries
            .map(|(at, (query, called))| {
                let mut target = json!({"refId": reference(at), "expr": query, "datasource": source.clone()});
                if lines {
                    target["queryType"] = "range".into();
                } else {
                    target["legendFormat"] = if called.is_empty() { "all".into() } else { called.into() };
                    target["instant"] = (kind == "bargauge").into();
                    target["range"] = (kind != "bargauge").into();
                }
                target
            })
            .collect();
        let mut defaults = json!({});
        if !lines {
            defaults["unit"] = self.unit().into();
            defaults["min"] = 0.into();
        }
        json!({
            "id": id,
            "type": kind,
            "title": self.title,
            "description": self.description(),
            "gridPos": {"x": x, "y": y, "w": width, "h": height},
            "datasource": source,
            "fieldConfig": {"defaults": defaults, "overrides": []},
            "options": options(kind),
            "targets": targets,
        })
    }
}

fn prometheus() -> Value {
    json!({"type": "prometheus", "uid": "${metrics}"})
}

/// What a panel of that kind wants to be told.
fn options(kind: &str) -> Value {
    match kind {
        "logs" => json!({
            "dedupStrategy": "none", "enableLogDetails": true, "prettifyLogMessage": false, "showCommonLabels": false,
            "showLabels": false, "showLogContextToggle": false, "showTime": true, "sortOrder": "Descending", "wrapLogMessage": true,
        }),
        "bargauge" => json!({
            "displayMode": "basic", "valueMode": "color", "namePlacement": "auto", "sizing": "auto", "showUnfilled": false,
            "minVizWidth": 8, "minVizHeight": 16, "maxVizHeight": 32, "orientation": "horizontal",
            "legend": {"showLegend": false, "displayMode": "list", "placement": "bottom", "calcs": []},
            "reduceOptions": {"values": false, "calcs": ["lastNotNull"], "fields": ""},
        }),
        _ => json!({
            "legend": {"showLegend": true, "displayMode": "table", "placement": "bottom", "calcs": ["max", "lastNotNull"]},
            "tooltip": {"mode": "multi", "sort": "desc"},
        }),
    }
}

/// A, B ... Z, A1, B1 ...
fn reference(at: usize) -> String {
    let letter = char::from(b'A' + (at % 26) as u8);
    if at < 26 {
        letter.to_string()
    } else {
        format!("{letter}{}", at / 26)
    }
}
