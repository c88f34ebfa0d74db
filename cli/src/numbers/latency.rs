//! Where time passes at a place: a row for each stage that a packet or its data goes through, from what was measured there. Pure.

use super::distribution::Distribution;
use super::place::NumbersPlace;
use model::views::{LatencyPlace, LatencyStage};

/// A stage: what is measured, what happens meanwhile, and where.
struct Stage {
    number: &'static str,
    says: &'static str,
    location: &'static str,
}

/// All of them, in the order in which data goes through them.
const STAGES: &[Stage] = &[
    Stage {
        number: "socketlatency.write",
        says: "written by application",
        location: "socket",
    },
    Stage {
        number: "socketlatency.read",
        says: "read by application",
        location: "socket",
    },
    Stage {
        number: "biolatency.read",
        says: "disk read",
        location: DISK,
    },
    Stage {
        number: "biolatency.write",
        says: "disk write",
        location: DISK,
    },
    Stage {
        number: "biolatency.flush",
        says: "disk flush",
        location: DISK,
    },
];

/// Where no device is told.
const DISK: &str = "disk";

/// What was measured at a place: the stages of which there is any value.
pub fn of(place: &NumbersPlace) -> LatencyPlace {
    let mut stages = Vec::new();
    for stage in STAGES {
        let here = place.histograms.iter();
        for grown in here.filter(|grown| grown.series.name == stage.number) {
            let all = Distribution::of(&grown.buckets);
            if all.count > 0 {
                let label = |name: &str| grown.series.labels.get(name).map(String::as_str);
                stages.push(row(stage, label("protocol"), label("device"), &all));
            }
        }
    }
    LatencyPlace {
        name: place.full_name(),
        node: place.node.clone(),
        netns: place.netns,
        stages,
    }
}

fn row(stage: &Stage, protocol: Option<&str>, device: Option<&str>, all: &Distribution) -> LatencyStage {
    let protocol = protocol.map_or_else(String::new, |protocol| format!(", {protocol}"));
    LatencyStage {
        stage: format!("{}{protocol}", stage.says),
        location: device.unwrap_or(stage.location).to_owned(),
        count: all.count,
        p50_us: microseconds(all.percentile(50)),
        p99_us: microseconds(all.percentile(99)),
        max_us: microseconds(all.max()),
        buckets: all
            .buckets
            .iter()
            .map(|(from, to, count)| (microseconds(*from), microseconds(*to), *count))
            .collect(),
    }
}

fn microseconds(ns: u64) -> f64 {
    ns as f64 / 1e3
}

#[cfg(test)]
mod tests {
    use super::{STAGES, of};
    use crate::conversation::numbers::BucketGrowth;
    use crate::numbers::NumbersPlace;
    use model::histogram::bucket;
    use model::numbers;
    use model::series::Series;
    use std::collections::BTreeMap;

    #[test]
    fn every_stage_is_a_number_there_is() {
        assert!(STAGES.iter().all(|stage| numbers::of(stage.number).is_some()));
    }

    #[test]
    fn disks_come_last_each_where_it_is() {
        let series = |name: &str, label: &str, of: &str| Series {
            name: name.to_owned(),
            labels: [(label.to_owned(), of.to_owned())].into(),
            ..Series::default()
        };
        let all = [
            series("biolatency.read", "device", "vda"),
            series("biolatency.read", "device", "loop0"),
            series("socketlatency.read", "protocol", "tcp"),
        ];
        let grown = |series| BucketGrowth {
            series,
            buckets: vec![(80, 1)],
        };
        let place = NumbersPlace {
            histograms: all.iter().map(grown).collect(),
            ..nowhere()
        };
        let told = of(&place).stages;
        let told: Vec<_> = told
            .iter()
            .map(|row| (row.stage.as_str(), row.location.as_str()))
            .collect();
        let disk = |device| ("disk read", device);
        assert_eq!(
            told,
            [("read by application, tcp", "socket"), disk("vda"), disk("loop0")]
        );
    }

    fn nowhere<'a>() -> NumbersPlace<'a> {
        NumbersPlace {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            node: "n1".to_owned(),
            netns: 7,
            is_node: false,
            seconds: 10.0,
            probes: Vec::new(),
            movements: Vec::new(),
            histograms: Vec::new(),
            drops: BTreeMap::new(),
        }
    }

    #[test]
    fn a_stage_is_told_by_protocol_and_one_without_values_is_not() {
        let series = |protocol: &str| Series {
            name: "socketlatency.read".to_owned(),
            labels: [("protocol".to_owned(), protocol.to_owned())].into(),
            ..Series::default()
        };
        let (tcp, udp) = (series("tcp"), series("udp"));
        let grown = |series, buckets: &[(u16, u64)]| BucketGrowth {
            series,
            buckets: buckets.to_vec(),
        };
        let place = NumbersPlace {
            histograms: vec![grown(&tcp, &[(bucket(200_000_000) as u16, 4)]), grown(&udp, &[])],
            ..nowhere()
        };
        let told = of(&place);
        assert_eq!((told.name.as_str(), told.stages.len()), ("shop/web", 1));
        let row = &told.stages[0];
        assert_eq!(
            (row.stage.as_str(), row.location.as_str(), row.count),
            ("read by application, tcp", "socket", 4)
        );
        assert!((200_000.0..=225_000.0).contains(&row.p50_us), "{row:?}");
        assert_eq!(row.buckets.len(), 1);
    }
}
