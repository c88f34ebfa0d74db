//! Packets arrive with a wrong checksum.
//!
//! Why it happens: checksum offload does not work over a tunnel or a virtual device (nobody fills in the checksum). Or a
//! program changes packets and does not correct the checksum. Or hardware is broken.
//!
//! How it knows: the receiving kernel dropped watched packets because of their checksum. Or its `InCsumErrors` grew while they
//! were retransmitted.
//!
//! Remedy: switch the offload off where the packets are sent (`ethtool -K DEV tx off`, often on the VXLAN device).
//!
//! Silent on: wrong checksums of other flows.

use crate::case::Case;
use crate::kernel::drops::Class;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::words::{at, count};
use model::report::Direction;

pub const NEEDS: &[Need] = &[Need::Probe("drop"), Need::Probe("path"), Need::Fact("counters")];

pub fn check(case: &Case<'_>) -> Checked {
    let drops = case.all_drops(Class::Checksum);
    let Some(first) = drops.first() else {
        return Ok(Vec::new());
    };
    let event = first.event;
    let sender = match first.direction {
        Direction::Request => case.source(),
        Direction::Answer => case.destination(),
    };
    let (netns, interface) = (case.name(event.netns), case.interface(event));
    let grew: u64 = ["Tcp.InCsumErrors", "Udp.InCsumErrors", "Udp6.InCsumErrors"]
        .into_iter()
        .map(|name| case.growth(event.netns, name).unwrap_or(0))
        .sum();
    Ok(vec![
        fatal(
            "checksum-broken",
            format!("packets arrive in {netns} with a wrong checksum"),
        )
        .at(case.node(event.netns), &netns)
        .interface(interface.clone())
        .of(drops.iter().map(|drop| drop.attempt))
        .remedy(format!(
            "switch checksum offload off at the sender ({sender}): ethtool -K DEV tx off"
        ))
        .because(format!(
            "{} of {} dropped at {} ({})",
            count(drops.len(), "packet"),
            event.flow,
            at(&netns, Some(&interface)),
            first.words()
        ))
        .and_if((grew > 0).then(|| format!("InCsumErrors of {netns} grew by {grew} in the window"))),
    ])
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};

    #[test]
    fn a_watched_packet_with_a_wrong_checksum_names_it() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::C, "eth0", "TCP_CSUM", "tcp_v4_rcv");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["checksum-broken"]);
    }

    #[test]
    fn a_counter_alone_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        scene.connects(3).grew(scenes::C, "Tcp.InCsumErrors", 3);
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }

    #[test]
    fn the_sender_of_an_answer_is_its_far_end() {
        let sender = |answers| {
            let mut scene = Scene::two_nodes();
            if answers {
                scene.answer_dropped(3, scenes::A, "eth0", "TCP_CSUM", "tcp_v4_rcv");
            } else {
                scene.dropped(3, scenes::C, "eth0", "TCP_CSUM", "tcp_v4_rcv");
            }
            judge(&scene.evidence).verdicts[0].remedy.clone()
        };
        assert!(sender(false).contains("the sender (netns/a)"), "{}", sender(false));
        assert!(sender(true).contains("the sender (netns/c)"), "{}", sender(true));
    }
}
