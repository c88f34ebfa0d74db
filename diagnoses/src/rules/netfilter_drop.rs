//! A netfilter rule (iptables or nftables) drops the packets.
//!
//! Why it happens: a network policy or a firewall written by hand forbids the flow, a chain's default policy is DROP and no
//! rule accepts it, or a rule meant for other traffic matches too widely.
//!
//! How it knows: the kernel freed the watched packets with `NETFILTER_DROP` (or in netfilter's own functions, on kernels
//! before 5.17), which says the namespace, the interface and, by the direction of the packet, whether the request or its
//! answer is meant. Which rule it was is found by matching the packet's tuple in its form at that place against the rules of
//! that namespace, and confirmed by the counters before and after the window.
//!
//! Remedy: delete the rule, or accept the flow before it.
//!
//! Silent on: drops of other flows, connection tracking that is full or clashes (no rule matches and its `drop` counter
//! grows), rules that limit or drop at random, and rules that answer (`netfilter-reject`).

use super::{Checked, Need};
use crate::case::Case;
use crate::drops::Class;
use crate::finding::fatal;
use crate::words::{at, count};
use model::report::Direction;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("netfilter"),
    Need::Fact("conntrack"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let drops = case.drops(Class::Netfilter);
    let Some(first) = drops.first() else {
        return Ok(Vec::new());
    };
    let event = first.event;
    let (netns, interface) = (case.name(event.netns), case.interface(event));
    let what = match first.direction {
        Direction::Request => "the request",
        Direction::Answer => "the answer",
    };
    Ok(vec![
        fatal("netfilter-drop", format!("a firewall rule in {netns} drops {what}"))
            .at(case.node(event.netns), &netns)
            .interface(interface.clone())
            .of(drops.iter().map(|drop| drop.attempt))
            .remedy(format!("accept {} in {netns} before the rule that drops it", event.flow))
            .because(format!(
                "{} of {} dropped in {} ({})",
                count(drops.len(), "packet"),
                event.flow,
                at(&netns, Some(&interface)),
                first.words()
            )),
    ])
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scene::{self, Scene};

    #[test]
    fn a_dropped_syn_names_the_namespace() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scene::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        let judgement = judge(&scene.evidence);
        assert_eq!(scene::cause(&judgement), "netfilter-drop");
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/x"));
    }

    #[test]
    fn a_drop_of_another_flow_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        let foreign = scene::tcp("10.90.1.9:1000", "10.90.2.2:80");
        scene.drop(scene::X, "cbr0", foreign, "NETFILTER_DROP", "nf_hook_slow");
        assert_eq!(scene::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }
}
