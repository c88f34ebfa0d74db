//! What Cilium's programs count, by reason and direction: its map `cilium_metrics`, which is there whether the agent lives or not.
//!
//! All nodes of a machine that makes nodes of namespaces share one kernel, and there is such a map for each: it is found by the
//! programs that are attached in the namespace. The reader tells which these are; a map of theirs is opened by the usher.

use super::{Fact, Look, bpf};
use crate::system::bpf::MapInfo;
use model::facts::{CiliumCount, CiliumMetrics, NetnsFacts};
use std::collections::{BTreeMap, BTreeSet};

pub(super) const FACT: Fact = Fact {
    name: "cilium_metrics",
    moves: true,
    read: |look, facts: &mut NetnsFacts| {
        facts.cilium_metrics = look.known("what Cilium's programs count", programs(look, facts));
    },
};

/// Programs whose maps are looked at, at most: any of Cilium's leads there.
const PROGRAMS_MAX: usize = 64;
/// Entries that are read, at most; Cilium makes the map for 1024.
pub(crate) const ENTRIES_MAX: usize = 4096;

/// `struct metrics_key`: reason, direction in the lowest two bits of the next byte, line and file in Cilium's source.
pub(crate) type MetricsKey = [u8; 8];
/// `struct metrics_value` of one CPU: packets, bytes.
pub(crate) type MetricsValue = [u64; 2];

/// `BPF_MAP_TYPE_PERCPU_HASH`.
const PERCPU_HASH: u32 = 5;

/// It is Cilium's map, by its name and shape.
pub(crate) fn is_it(map: &MapInfo) -> bool {
    let shape = (map.kind, map.key, map.value);
    map.name == "cilium_metrics"
        && shape
            == (
                PERCPU_HASH,
                size_of::<MetricsKey>() as u32,
                size_of::<MetricsValue>() as u32,
            )
}

fn programs(look: &Look, facts: &NetnsFacts) -> anyhow::Result<CiliumMetrics> {
    let found = match facts.bpf.ok() {
        Some(known) => of_interfaces(known.iter().map(|program| (program.ifindex, program.id))),
        None => of_interfaces(
            bpf::of_interfaces(look)?
                .iter()
                .map(|program| (program.ifindex, program.id)),
        ),
    };
    Ok(CiliumMetrics {
        programs: found,
        ..CiliumMetrics::default()
    })
}

fn of_interfaces(attached: impl Iterator<Item = (u32, u32)>) -> Vec<u32> {
    let here = attached.filter(|(ifindex, id)| *ifindex != 0 && *id != 0);
    let ids: BTreeSet<u32> = here.map(|(_, id)| id).collect();
    ids.into_iter().take(PROGRAMS_MAX).collect()
}

/// What the entries of the map come to; lines and files of Cilium's source are of its version, and added up.
pub(crate) fn counts(entries: impl Iterator<Item = (MetricsKey, Vec<MetricsValue>)>) -> Vec<CiliumCount> {
    let mut sums: BTreeMap<(u8, u8), [u64; 2]> = BTreeMap::new();
    for ([reason, direction, ..], cpus) in entries.take(ENTRIES_MAX) {
        let sum = sums.entry((reason, direction & 0b11)).or_default();
        for [packets, bytes] in cpus {
            sum[0] = sum[0].saturating_add(packets);
            sum[1] = sum[1].saturating_add(bytes);
        }
    }
    let counted = sums.into_iter().filter(|(_, [packets, _])| *packets > 0);
    counted
        .map(|((reason, direction), [packets, bytes])| CiliumCount {
            reason,
            direction,
            packets,
            bytes,
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{MapInfo, counts, is_it, of_interfaces};
    use model::facts::CiliumCount;

    #[test]
    fn lines_and_cpus_are_added_up_by_reason_and_direction() {
        let key = |text: &str| -> [u8; 8] {
            let bytes: Vec<u8> = text
                .split(' ')
                .map(|byte| u8::from_str_radix(byte, 16).unwrap())
                .collect();
            bytes.try_into().unwrap()
        };
        let entries = [
            // As it stands in a map of Cilium 1.20: policy denied, ingress, line 2410 of bpf_lxc.c.
            (key("85 01 6a 09 02 00 00 00"), vec![[7, 420], [3, 180]]),
            (key("85 01 11 00 05 00 00 00"), vec![[1, 60], [0, 0]]),
            (key("85 02 6a 09 02 00 00 00"), vec![[0, 0], [2, 120]]),
            // The other bits of the second byte are not the direction's.
            (key("00 fd 00 00 00 00 00 00"), vec![[u64::MAX, 1], [1, 1]]),
            (key("97 01 00 00 00 00 00 00"), vec![[0, 0], [0, 0]]),
        ];
        let count = |reason, direction, packets, bytes| CiliumCount {
            reason,
            direction,
            packets,
            bytes,
        };
        assert_eq!(
            counts(entries.into_iter()),
            [count(0, 1, u64::MAX, 2), count(133, 1, 11, 660), count(133, 2, 2, 120)]
        );
        assert!(counts(std::iter::empty()).is_empty());
    }

    #[test]
    fn a_map_of_that_name_and_another_shape_is_another() {
        let map = |name: &str, kind, key, value| MapInfo {
            id: 1,
            name: name.to_owned(),
            kind,
            key,
            value,
        };
        assert!(is_it(&map("cilium_metrics", 5, 8, 16)));
        for other in [
            map("cilium_metric", 5, 8, 16),
            map("cilium_metrics", 1, 8, 16),
            map("cilium_metrics", 5, 4, 16),
            map("cilium_metrics", 5, 8, 8),
        ] {
            assert!(!is_it(&other), "{other:?}");
        }
    }

    #[test]
    fn programs_of_cgroups_and_filters_without_a_program_lead_nowhere() {
        let attached = [(2, 7), (0, 8), (3, 7), (3, 0), (4, 5)];
        assert_eq!(of_interfaces(attached.into_iter()), [5, 7]);
        assert_eq!(of_interfaces((1..500).map(|id| (1, id))).len(), 64);
    }
}
