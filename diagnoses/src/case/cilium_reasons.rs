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
    (135, "truncated or invalid header"),
    (136, "fragmentation needed"),
    (137, "unknown protocol for connection tracking"),
    (139, "unsupported layer 3 protocol"),
    (140, "missed tail call"),
    (141, "error writing to the packet"),
    (142, "unknown layer 4 protocol"),
    (143, "unknown ICMPv4 code"),
    (144, "unknown ICMPv4 type"),
    (145, "unknown ICMPv6 code"),
    (146, "unknown ICMPv6 type"),
    (147, "no tunnel key"),
    (150, "unknown layer 3 target address"),
    (151, "stale or unroutable IP"),
    (153, "error correcting the layer 3 checksum"),
    (154, "error correcting the layer 4 checksum"),
    (155, "connection tracking map insertion failed"),
    (156, "invalid IPv6 extension header"),
    (157, "fragmentation not supported"),
    (158, "service backend not found"),
    (160, "no tunnel endpoint"),
    (162, "beyond the horizon of the rate limit"),
    (163, "unknown connection tracking state"),
    (164, "host unreachable"),
    (166, "unsupported layer 2 protocol"),
    (167, "no mapping for masquerading"),
    (168, "unsupported protocol for masquerading"),
    (169, "FIB lookup failed"),
    (170, "encapsulation is prohibited"),
    (171, "invalid identity"),
    (172, "unknown sender"),
    (174, "the address is a ClusterIP"),
    (175, "first fragment not found"),
    (176, "forbidden ICMPv6 message"),
    (177, "not in the source range of the load balancer"),
    (178, "socket lookup failed"),
    (179, "socket assignment failed"),
    (180, "no redirection to the proxy for this protocol"),
    (181, "denied by a rule of a policy that denies"),
    (182, "VLAN not allowed"),
    (183, "invalid network identifier of the tunnel"),
    (189, "authentication required"),
    (190, "no connection tracking map"),
    (191, "no NAT map"),
    (194, "no egress gateway"),
    (195, "unencrypted traffic"),
    (196, "TTL exceeded"),
    (197, "no node ID"),
    (198, "rate limited"),
    (202, "host not ready"),
    (203, "policy program of the endpoint not available"),
    (204, "no egress IP"),
    (207, "first fragment from outside not found"),
];

/// Those by which a policy denies.
const OF_POLICIES: [u8; 2] = [133, 181];

/// The counters of a node that rose in the window. They are the node's, not the flow's: a reason that rose by fewer packets than
/// were watched is not that of all of them.
struct Rose {
    /// Counters that rose by as many packets as were watched, or more.
    likely: Vec<CiliumCount>,
    /// Counters that rose by fewer.
    fewer: Vec<CiliumCount>,
    /// Watched packets that eBPF programs dropped on the node.
    watched: u64,
}

/// What Cilium says of the watched packets that eBPF programs dropped on this node: a sentence for a proof.
pub fn said(case: &Case<'_>, netns: u32) -> Option<String> {
    let rose = rose(case, netns)?;
    let others = match rose.fewer.as_slice() {
        [] => "no other reason".to_owned(),
        fewer => format!("other reasons for fewer than were watched: {}", listed(fewer, ", ")),
    };
    match rose.likely.as_slice() {
        [] => None,
        [one] => {
            let with = if one.packets > rose.watched {
                ", with those of other flows"
            } else {
                ""
            };
            Some(format!(
                "Cilium says: {}, {}, {} in the window{with}, {others}",
                reason(one.reason),
                direction(one.direction),
                packets(one.packets)
            ))
        }
        several => Some(format!(
            "Cilium says it is one of these, which rose in the window: {}",
            listed(several, "; ")
        )),
    }
}

/// Cilium says that it was a policy, and no other reason is as likely.
pub fn is_policy(case: &Case<'_>, netns: u32) -> bool {
    let likely = rose(case, netns).map(|rose| rose.likely);
    likely.is_some_and(|likely| matches!(likely.as_slice(), [one] if OF_POLICIES.contains(&one.reason)))
}

fn listed(counts: &[CiliumCount], between: &str) -> String {
    let words = counts.iter().map(|one| {
        format!(
            "{} ({}, {})",
            reason(one.reason),
            direction(one.direction),
            packets(one.packets)
        )
    });
    words.collect::<Vec<String>>().join(between)
}

/// The reasons that rose, where they were counted twice; `None` too where none can be that of the watched packets.
fn rose(case: &Case<'_>, netns: u32) -> Option<Rose> {
    let node = case.node(netns);
    let host = case.evidence.node(&node).map(|node| node.host_netns);
    let grown = [Some(netns), host]
        .into_iter()
        .flatten()
        .find_map(|id| grown(case, id))?;
    let here = |other: u32| other == netns || (!node.is_empty() && case.node(other) == node);
    let watched = case.all_drops(Class::Bpf);
    let watched = watched.iter().filter(|drop| here(drop.event.netns)).count() as u64;
    let (likely, fewer) = grown.into_iter().partition(|one| one.packets >= watched);
    Some(Rose { likely, fewer, watched })
}

/// The drops that were counted in the window by the programs of a namespace, the most frequent first; `None` where they do not
/// count, or were not read twice.
fn grown(case: &Case<'_>, netns: u32) -> Option<Vec<CiliumCount>> {
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
        let because = dropped(&before, &metrics(9, &[(133, 1, 13), (211, 2, 7)]));
        assert_eq!(
            said(&because).unwrap(),
            "Cilium says it is one of these, which rose in the window: reason 211 (egress, 7 packets); policy denied (ingress, 3 packets)"
        );
    }

    #[test]
    fn what_rose_by_fewer_packets_than_were_watched_is_not_the_reason_of_all() {
        let because = dropped(&metrics(9, &[(133, 1, 10)]), &metrics(9, &[(133, 1, 13), (139, 2, 1)]));
        assert_eq!(
            said(&because).unwrap(),
            "Cilium says: policy denied, ingress, 3 packets in the window, other reasons for fewer than were watched: unsupported layer 3 protocol (egress, 1 packet)"
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
