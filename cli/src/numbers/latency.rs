//! Where time passes at a place: a row for each stage that a packet or its data goes through, from what was measured there. Pure.

use super::distribution::Distribution;
use super::place::NumbersPlace;
use model::numbers;
use model::stages::{STAGES, WaitStage};
use model::views::{LatencyPlace, LatencyStage};

/// The times of a stage at a place.
#[derive(Clone, Debug)]
pub struct MeasuredStage {
    /// Which stage.
    pub stage: &'static WaitStage,
    /// It is of the node as a whole, whoever's packets it meets.
    pub of_node: bool,
    /// Whose it is.
    pub of: String,
    /// The row that shows it.
    pub row: LatencyStage,
}

/// What was measured at a place: the stages of which there is any value. Where there are some, those of its node stand between them,
/// which its packets go through as others do.
pub fn of(place: &NumbersPlace, node: Option<&NumbersPlace>) -> (LatencyPlace, Vec<MeasuredStage>) {
    let has_some = !measured(&[place]).is_empty();
    let with_node: Vec<&NumbersPlace> = std::iter::once(place).chain(node.filter(|_| has_some)).collect();
    let stages = measured(&with_node);
    let shown = LatencyPlace {
        name: place.full_name(),
        node: place.node.clone(),
        netns: place.netns,
        with: None,
        stages: stages.iter().map(|measured| measured.row.clone()).collect(),
    };
    (shown, stages)
}

/// What was measured between two ends, at the places of one of them and at those of the other: each stage says where.
pub fn between(one: (&str, &[&NumbersPlace]), other: (&str, &[&NumbersPlace])) -> (LatencyPlace, Vec<MeasuredStage>) {
    let ((name, ours), (with, theirs)) = (one, other);
    let places: Vec<&NumbersPlace> = ours.iter().chain(theirs).copied().collect();
    let mut stages = measured(&places);
    for measured in &mut stages {
        let is_ours = ours.iter().any(|place| place.full_name() == measured.of);
        let far_end = if is_ours { with } else { name };
        measured.row.location = if measured.stage.spans_both_ends {
            format!("{} -> {far_end}", measured.of)
        } else {
            format!("{} {}", measured.of, measured.row.location)
        };
    }
    let shown = LatencyPlace {
        name: name.to_owned(),
        node: ours.first().map_or_else(String::new, |place| place.node.clone()),
        netns: ours.first().map_or(0, |place| place.netns),
        with: Some(with.to_owned()),
        stages: stages.iter().map(|measured| measured.row.clone()).collect(),
    };
    (shown, stages)
}

/// What was measured at these places, in the order in which data goes through.
fn measured(places: &[&NumbersPlace]) -> Vec<MeasuredStage> {
    let mut stages = Vec::new();
    for stage in STAGES {
        for place in places {
            let here = place.histograms.iter();
            for grown in here.filter(|grown| grown.series.name == stage.number) {
                let all = Distribution::of(&grown.buckets);
                if all.count > 0 {
                    let labels: Vec<&str> = grown.series.labels.values().map(String::as_str).collect();
                    let row = LatencyStage {
                        location: location(stage, place),
                        ..row(stage, &labels.join(" "), &all)
                    };
                    stages.push(MeasuredStage {
                        stage,
                        of_node: place.netns == 0,
                        of: place.full_name(),
                        row,
                    });
                }
            }
        }
    }
    stages
}

/// Where a stage of a place is. Of disks the node has only what its kernel reads and writes for no pod.
fn location(stage: &WaitStage, place: &NumbersPlace) -> String {
    let for_nobody = place.netns == 0 && numbers::probe_of(stage.number) == "biolatency";
    format!("{}{}", stage.location, if for_nobody { ", for no pod" } else { "" })
}

fn row(stage: &WaitStage, of: &str, all: &Distribution) -> LatencyStage {
    let says = if of.is_empty() {
        stage.says.to_owned()
    } else {
        format!("{}, {of}", stage.says)
    };
    LatencyStage {
        stage: says,
        location: String::new(),
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
    use super::{between, of};
    use crate::conversation::numbers::BucketGrowth;
    use crate::numbers::NumbersPlace;
    use model::histogram::bucket;
    use model::series::Series;
    use std::collections::BTreeMap;
    use std::rc::Rc;

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
            now: Vec::new(),
        };
        let place = |netns, histograms| NumbersPlace {
            namespace: "shop".to_owned(),
            name: "web".to_owned(),
            node: "n1".to_owned(),
            netns,
            is_node: netns == 0,
            seconds: 10.0,
            probes: vec!["socketlatency"],
            movements: Vec::new(),
            histograms,
            drops: BTreeMap::new(),
            known: Rc::default(),
            lookups_ns: Vec::new(),
            shares_node: false,
        };
        let slow: &[(u16, u64)] = &[(bucket(200_000_000) as u16, 4)];
        let web = place(7, vec![grown(&tcp, slow), grown(&udp, &[])]);
        let told = of(&web, None).0;
        assert_eq!((told.name.as_str(), told.stages.len()), ("shop/web", 1));
        let row = &told.stages[0];
        assert_eq!(
            (row.stage.as_str(), row.location.as_str(), row.count),
            ("read by application, tcp", "socket", 4)
        );
        assert!((200_000.0..=225_000.0).contains(&row.p50_us), "{row:?}");
        assert_eq!(row.buckets.len(), 1);
        // The node's softirqs come before the program reads, and make no row where nothing else does.
        let softirq = Series {
            name: "kernellatency.softirq".to_owned(),
            labels: [("softirq".to_owned(), "NET_RX".to_owned())].into(),
            ..Series::default()
        };
        let node = place(0, vec![grown(&softirq, slow)]);
        let stages = of(&web, Some(&node)).0.stages;
        let says: Vec<&str> = stages.iter().map(|stage| stage.stage.as_str()).collect();
        assert_eq!(says, ["softirq raised to run, NET_RX", "read by application, tcp"]);
        assert_eq!(of(&place(8, Vec::new()), Some(&node)).0.stages, []);
        // Disks come last, and what the kernel writes for nobody beside what it does for the pod.
        let disk = |device: &str| Series {
            name: "biolatency.write".to_owned(),
            labels: [("device".to_owned(), device.to_owned())].into(),
            ..Series::default()
        };
        let (vda, vdb) = (disk("vda"), disk("vdb"));
        let web = place(7, vec![grown(&vda, slow), grown(&tcp, slow)]);
        let stages = of(&web, Some(&place(0, vec![grown(&vdb, slow)]))).0.stages;
        let says: Vec<_> = stages
            .iter()
            .map(|row| (row.stage.as_str(), row.location.as_str()))
            .collect();
        let expected = [
            ("read by application, tcp", "socket"),
            ("disk write, vda", "disk"),
            ("disk write, vdb", "disk, for no pod"),
        ];
        assert_eq!(says, expected);
    }

    #[test]
    fn between_two_ends_each_stage_says_at_which_of_them_it_is() {
        let series = |name: &str| Series {
            name: name.to_owned(),
            ..Series::default()
        };
        let (connect, read) = (series("socketlatency.connect"), series("socketlatency.read"));
        let slow = [(bucket(200_000_000) as u16, 4)];
        let place = |name: &str, netns, all: &[&'static str]| {
            let grown = |series| BucketGrowth {
                series,
                buckets: slow.to_vec(),
                now: Vec::new(),
            };
            let known = [&connect, &read];
            let wanted = known.into_iter().filter(|series| all.contains(&series.name.as_str()));
            NumbersPlace {
                namespace: "shop".to_owned(),
                name: name.to_owned(),
                node: "n1".to_owned(),
                netns,
                is_node: false,
                shares_node: false,
                seconds: 10.0,
                probes: Vec::new(),
                movements: Vec::new(),
                histograms: wanted.map(grown).collect(),
                drops: BTreeMap::new(),
                lookups_ns: Vec::new(),
                known: Rc::default(),
            }
        };
        let web = place("web", 7, &["socketlatency.connect", "socketlatency.read"]);
        let db = place("db-0", 8, &["socketlatency.read"]);
        let (told, _) = between(("shop/web", &[&web]), ("shop/db:5432", &[&db]));
        assert_eq!(
            (told.name.as_str(), told.with.as_deref()),
            ("shop/web", Some("shop/db:5432"))
        );
        let says: Vec<_> = told
            .stages
            .iter()
            .map(|row| (row.stage.as_str(), row.location.as_str()))
            .collect();
        let expected = [
            ("connect", "shop/web -> shop/db:5432"),
            ("read by application", "shop/web socket"),
            ("read by application", "shop/db-0 socket"),
        ];
        assert_eq!(says, expected);
    }
}
