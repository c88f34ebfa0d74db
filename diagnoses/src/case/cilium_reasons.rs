//! Why Cilium's programs dropped packets, by their own counters: Cilium's agent is not asked, and need not live.

use crate::case::Case;
use crate::kernel::drops::Class;
use crate::words::count;
use model::facts::{CiliumCount, CiliumMetrics};
use std::collections::BTreeMap;

/// Numbers below this are no drops (`bpf/lib/drop_reasons.h` of Cilium, where numbers stay what they are).
const FIRST_DROP: u8 = 130;

/// What the numbers mean.
const REASONS: &[(u8, &str)] = &[
    (132, "invalid source IP"),
    (133, "policy denied"),
    (134, "invalid packet"),
    (136, "fragmentation needed"),
    (140, "missed tail call"),
    (151, "stale or unroutable IP"),
    (155, "connection tracking map insertion failed"),
    (157, "fragmentation not supported"),
    (158, "service backend not found"),
    (160, "no tunnel endpoint"),
    (169, "FIB lookup failed"),
    (181, "denied by a rule of a policy that denies"),
    (189, "authentication required"),
    (195, "unencrypted traffic"),
    (202, "host not ready"),
    (203, "policy program of the endpoint not available"),
];

/// What Cilium says of the watched packets that eBPF programs dropped on this node: a sentence for a proof. The counters are the
/// node's, not the flow's, so it stands only where they rose by no less than the watched packets.
pub fn said(case: &Case<'_>, netns: u32) -> Option<String> {
    let node = case.node(netns);
    let host = case.evidence.node(&node).map(|node| node.host_netns);
    let rose = [Some(netns), host]
        .into_iter()
        .flatten()
        .find_map(|id| rose(case, id))?;
    let here = |other: u32| other == netns || (!node.is_empty() && case.node(other) == node);
    let watched = case.all_drops(Class::Bpf);
    let watched = watched.iter().filter(|drop| here(drop.event.netns)).count() as u64;
    let all: u64 = rose.iter().map(|one| one.packets).sum();
    match rose.as_slice() {
        _ if all < watched => None,
        [] => None,
        [one] => {
            let others = if all > watched {
                ", with those of other flows"
            } else {
                ""
            };
            Some(format!(
                "Cilium says: {}, {}, {} in the window{others}, no other reason",
                reason(one.reason),
                direction(one.direction),
                packets(one.packets)
            ))
        }
        several => {
            let words = several.iter().map(|one| {
                format!(
                    "{} ({}, {})",
                    reason(one.reason),
                    direction(one.direction),
                    packets(one.packets)
                )
            });
            let words: Vec<String> = words.collect();
            Some(format!(
                "Cilium says it is one of these, which rose in the window: {}",
                words.join("; ")
            ))
        }
    }
}

/// The drops that were counted in the window by the programs of a namespace, the most frequent first; `None` where they do not
/// count, or were not read twice.
fn rose(case: &Case<'_>, netns: u32) -> Option<Vec<CiliumCount>> {
    let of = case.evidence.netns(netns)?;
    let (before, after) = (of.before.cilium_metrics.ok()?, of.after.cilium_metrics.ok()?);
    // Another map began at nothing.
    if before.map.is_none() || before.map != after.map {
        return None;
    }
    let numbers = |metrics: &CiliumMetrics| -> BTreeMap<(u8, u8), u64> {
        let counts = metrics.counts.iter();
        counts.map(|one| ((one.reason, one.direction), one.packets)).collect()
    };
    let before = numbers(before);
    let grown = numbers(after).into_iter().filter_map(|((reason, direction), packets)| {
        let packets = packets.checked_sub(before.get(&(reason, direction)).copied().unwrap_or(0))?;
        (packets > 0 && reason >= FIRST_DROP).then_some(CiliumCount {
            reason,
            direction,
            packets,
            bytes: 0,
        })
    });
    let mut grown: Vec<CiliumCount> = grown.collect();
    grown.sort_by_key(|one| std::cmp::Reverse(one.packets));
    Some(grown)
}

fn reason(number: u8) -> String {
    let known = REASONS.iter().find(|(known, _)| *known == number);
    known.map_or_else(|| format!("reason {number}"), |(_, words)| (*words).to_owned())
}

const fn direction(number: u8) -> &'static str {
    match number {
        1 => "ingress",
        2 => "egress",
        _ => "in no direction that it tells",
    }
}

fn packets(number: u64) -> String {
    count(usize::try_from(number).unwrap_or(usize::MAX), "packet")
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene, X};
    use model::facts::{CiliumCount, CiliumMetrics};
    use model::missing::{Known, Missing};

    fn metrics(map: u32, counts: &[(u8, u8, u64)]) -> Known<CiliumMetrics> {
        let counts = counts.iter().map(|(reason, direction, packets)| CiliumCount {
            reason: *reason,
            direction: *direction,
            packets: *packets,
            bytes: packets * 60,
        });
        Known::Known(CiliumMetrics {
            programs: vec![7],
            map: Some(map),
            counts: counts.collect(),
        })
    }

    /// A program of Cilium's drops three requests at the host's end of a's veth, and these are its counters.
    fn dropped(before: &Known<CiliumMetrics>, after: &Known<CiliumMetrics>) -> Vec<String> {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, X, "vetha", "TC_INGRESS", "__netif_receive_skb_core");
        scene.facts(X, |facts| facts.cilium_metrics = before.clone());
        scene.after(X, |facts| facts.cilium_metrics = after.clone());
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["bpf-drop"]);
        judgement.verdicts[0].because.clone()
    }

    fn said(because: &[String]) -> Option<&String> {
        because.iter().find(|line| line.starts_with("Cilium says"))
    }

    #[test]
    fn one_reason_that_rose_by_the_watched_packets_is_theirs() {
        let before = metrics(9, &[(0, 1, 500), (133, 1, 10), (151, 2, 4)]);
        let after = metrics(9, &[(0, 1, 900), (133, 1, 13), (151, 2, 4)]);
        let because = dropped(&before, &after);
        assert_eq!(
            said(&because).unwrap(),
            "Cilium says: policy denied, ingress, 3 packets in the window, no other reason"
        );
    }

    #[test]
    fn what_rose_by_more_counts_others_too_and_of_several_reasons_it_is_one() {
        let before = metrics(9, &[(133, 1, 10)]);
        let because = dropped(&before, &metrics(9, &[(133, 1, 30)]));
        assert_eq!(
            said(&because).unwrap(),
            "Cilium says: policy denied, ingress, 20 packets in the window, with those of other flows, no other reason"
        );
        let because = dropped(&before, &metrics(9, &[(133, 1, 13), (201, 2, 7)]));
        assert_eq!(
            said(&because).unwrap(),
            "Cilium says it is one of these, which rose in the window: reason 201 (egress, 7 packets); policy denied (ingress, 3 packets)"
        );
    }

    #[test]
    fn counters_that_cannot_be_of_these_packets_say_nothing() {
        let before = metrics(9, &[(133, 1, 10)]);
        let unread = || Known::Missing(Missing::new("what Cilium's programs count", "no right to"));
        for (before, after) in [
            (before.clone(), before.clone()),
            // Somebody else dropped ours.
            (before.clone(), metrics(9, &[(133, 1, 12)])),
            (before.clone(), metrics(9, &[(133, 1, 10), (0, 1, 90)])),
            // It was made anew.
            (before.clone(), metrics(10, &[(133, 1, 13)])),
            (before.clone(), unread()),
            (unread(), before.clone()),
            (Known::Known(CiliumMetrics::default()), before.clone()),
        ] {
            let because = dropped(&before, &after);
            assert_eq!(said(&because), None, "{after:?}");
        }
    }
}
