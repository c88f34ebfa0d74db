//! Where time passes at a place: a row for each stage that a packet or its data goes through, from what was measured there. Pure.

use super::distribution::Distribution;
use super::place::NumbersPlace;
use model::numbers;
use model::stages::{STAGES, WaitStage};
use model::views::{LatencyPlace, LatencyStage};

/// What was measured at a place: the stages of which there is any value. Where there are some, those of its node stand between them,
/// which its packets go through as others do.
pub fn of(place: &NumbersPlace, node: Option<&NumbersPlace>) -> LatencyPlace {
    let has_some = !rows(&[place]).is_empty();
    let with_node: Vec<&NumbersPlace> = std::iter::once(place).chain(node.filter(|_| has_some)).collect();
    LatencyPlace {
        name: place.full_name(),
        node: place.node.clone(),
        netns: place.netns,
        stages: rows(&with_node),
    }
}

/// What was measured at these places, in the order in which data goes through.
fn rows(places: &[&NumbersPlace]) -> Vec<LatencyStage> {
    let mut stages = Vec::new();
    for stage in STAGES {
        for place in places {
            let here = place.histograms.iter();
            for grown in here.filter(|grown| grown.series.name == stage.number) {
                let all = Distribution::of(&grown.buckets);
                if all.count > 0 {
                    let labels: Vec<&str> = grown.series.labels.values().map(String::as_str).collect();
                    stages.push(LatencyStage {
                        location: location(stage, place),
                        ..row(stage, &labels.join(" "), &all)
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
    use super::of;
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
        let told = of(&web, None);
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
        let stages = of(&web, Some(&node)).stages;
        let says: Vec<&str> = stages.iter().map(|stage| stage.stage.as_str()).collect();
        assert_eq!(says, ["softirq raised to run, NET_RX", "read by application, tcp"]);
        assert_eq!(of(&place(8, Vec::new()), Some(&node)).stages, []);
        // Disks come last, and what the kernel writes for nobody beside what it does for the pod.
        let disk = |device: &str| Series {
            name: "biolatency.write".to_owned(),
            labels: [("device".to_owned(), device.to_owned())].into(),
            ..Series::default()
        };
        let (vda, vdb) = (disk("vda"), disk("vdb"));
        let web = place(7, vec![grown(&vda, slow), grown(&tcp, slow)]);
        let stages = of(&web, Some(&place(0, vec![grown(&vdb, slow)]))).stages;
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
}
