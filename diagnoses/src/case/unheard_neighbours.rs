//! Neighbours that were asked for (ARP, ND) and not heard, because a firewall drops the questions or the answers.

use crate::case::Case;
use crate::case::firewall_drops::Blocked;
use crate::case::neighbours::Silent;
use crate::case::trail::Dropped;
use crate::kernel::drops::{Class, class_of};
use crate::kernel::firewall::ArpOperation;
use crate::kernel::firewall::culprit::of_neighbours;
use crate::kernel::interfaces;
use model::event::Event;
use model::flow::ICMPV6;
use std::net::IpAddr;

/// `ICMPv6` types (RFC 4861, 4.3 and 4.4).
const SOLICITATION: u8 = 135;
const ADVERTISEMENT: u8 = 136;

/// A next hop that is silent because what is asked or answered is dropped.
#[derive(Debug)]
pub struct Unheard<'a> {
    /// Whom nobody hears.
    pub silent: Silent,
    /// What is dropped.
    pub message: NeighbourMessage,
    /// Where and by what.
    pub blocked: Blocked<'a>,
}

/// The two messages of ARP and ND.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NeighbourMessage {
    /// Who has this address?
    Question,
    /// It is here.
    Answer,
}

impl NeighbourMessage {
    /// As its protocol calls it.
    pub const fn words(self, address: IpAddr) -> &'static str {
        match (self, address) {
            (Self::Question, IpAddr::V4(_)) => "ARP request",
            (Self::Answer, IpAddr::V4(_)) => "ARP reply",
            (Self::Question, IpAddr::V6(_)) => "neighbour solicitation",
            (Self::Answer, IpAddr::V6(_)) => "neighbour advertisement",
        }
    }
}

/// Why next hops are silent, for each of which a firewall was seen to drop what is asked or answered.
pub fn unheard<'a>(case: &Case<'a>) -> Vec<Unheard<'a>> {
    case.silent.iter().filter_map(|silent| of_one(case, silent)).collect()
}

/// Why one next hop is silent, if a firewall was seen to drop what is asked of it or answered.
pub fn of_one<'a>(case: &Case<'a>, silent: &Silent) -> Option<Unheard<'a>> {
    let dropped: Vec<(NeighbourMessage, &Event)> = case
        .evidence
        .events
        .iter()
        .filter(|event| class_of(event) == Some(Class::Netfilter))
        .filter_map(|event| Some((message(case, silent, event)?, event)))
        .collect();
    // An answer proves that the question arrived.
    let answers = dropped.iter().any(|(message, _)| *message == NeighbourMessage::Answer);
    let message = if answers {
        NeighbourMessage::Answer
    } else {
        NeighbourMessage::Question
    };
    let at = dropped.iter().find(|(own, _)| *own == message)?.1.netns;
    let drops: Vec<Dropped<'a>> = dropped
        .into_iter()
        .filter(|(own, event)| (*own, event.netns) == (message, at))
        .map(|(_, event)| Dropped {
            event,
            class: Class::Netfilter,
            attempt: 0,
            direction: silent.direction,
        })
        .collect();
    // A question that came through was answered by nobody.
    let asked = usize::from(silent.probes.unwrap_or(1).max(1));
    if !answers && drops.len() < asked {
        return None;
    }
    let first = drops[0].event;
    let arp = silent.address.is_ipv4().then_some(match message {
        NeighbourMessage::Question => ArpOperation::Request,
        NeighbourMessage::Answer => ArpOperation::Reply,
    });
    let netns = case.evidence.netns(at);
    let blocked = Blocked {
        netns: at,
        direction: silent.direction,
        culprit: netns.map(|netns| of_neighbours(netns, first, arp)),
        drops,
    };
    Some(Unheard {
        silent: silent.clone(),
        message,
        blocked,
    })
}

/// What an event's packet is to a silent next hop, where it is on the way between it and who asks.
fn message(case: &Case<'_>, silent: &Silent, event: &Event) -> Option<NeighbourMessage> {
    let (src, dst) = (event.flow.src(), event.flow.dst());
    let asker = case.evidence.netns(silent.netns)?;
    let asks = |address: IpAddr| interfaces::owns(&asker.before, address);
    let kind = event.packet.map_or(0, |packet| packet.tcp_flags);
    let message = match silent.address {
        IpAddr::V4(address) if event.flow.protocol == 0 => {
            if dst == address && (asks(src) || src.is_unspecified()) {
                NeighbourMessage::Question
            } else if src == address && asks(dst) {
                NeighbourMessage::Answer
            } else {
                return None;
            }
        }
        IpAddr::V6(_) if event.flow.protocol == ICMPV6 && kind == SOLICITATION => {
            let is_about_it = dst == silent.address || solicits(dst, silent.address);
            (is_about_it && asks(src)).then_some(NeighbourMessage::Question)?
        }
        IpAddr::V6(_) if event.flow.protocol == ICMPV6 && kind == ADVERTISEMENT => {
            (src == silent.address && asks(dst)).then_some(NeighbourMessage::Answer)?
        }
        _ => return None,
    };
    (message == NeighbourMessage::Answer || leads_there(case, silent, event)).then_some(message)
}

/// The group that is asked for an address (RFC 4291, 2.7.1).
fn solicits(group: IpAddr, address: IpAddr) -> bool {
    match (group, address) {
        (IpAddr::V6(group), IpAddr::V6(address)) => {
            let (group, address) = (group.octets(), address.octets());
            group[..13] == [0xff, 2, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, 0xff] && group[13..] == address[13..]
        }
        _ => false,
    }
}

/// A bridge copies a question to all of its ports: only the copy for the owner counts, and what was not copied yet.
fn leads_there(case: &Case<'_>, silent: &Silent, event: &Event) -> bool {
    let ends: Vec<u32> = case.owners(silent.address).iter().map(|(owner, _)| *owner).collect();
    if event.netns == silent.netns && event.ifindex == silent.ifindex || ends.contains(&event.netns) {
        return true;
    }
    let Some(link) = case.link(event.netns, event.ifindex) else {
        return false;
    };
    match link.peer.as_ref().and_then(|peer| peer.netns) {
        Some(there) if link.master.is_some() => there == silent.netns || ends.contains(&there),
        _ => link.master.is_none(),
    }
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::event::Seen;
    use model::facts::{Action, Match, NetfilterRule};
    use model::flow::{Flow, ICMPV6};
    use model::missing::Known;

    fn of_link(protocol: u8, src: &str, dst: &str) -> Flow {
        Flow::new(protocol, (scenes::ip(src), 0).into(), (scenes::ip(dst), 0).into())
    }

    /// Nobody hears the next hop, which was asked for three times.
    fn silent(scene: &mut Scene, netns: u32, interface: &str, address: &str) {
        let asked = of_link(0, if address.contains(':') { "::" } else { "0.0.0.0" }, address);
        let seen = Seen::NeighbourFailed { state: 0x20, probes: 3 };
        scene.fails(3, 113, "EHOSTUNREACH").saw(netns, interface, asked, seen);
    }

    fn freed(scene: &mut Scene, netns: u32, interface: &str, flow: Flow, kind: u8) {
        scene.drop(netns, interface, flow, "NETFILTER_DROP", "nf_hook_slow");
        let packet = scene.evidence.events.last_mut().unwrap().packet.as_mut().unwrap();
        packet.tcp_flags = kind;
    }

    /// A rule of this family and hook that counted packets in the window.
    fn filter(scene: &mut Scene, netns: u32, family: &str, hook: &str, matches: &[Match]) {
        let table = |packets| {
            let rule = NetfilterRule {
                handle: 4,
                text: "counter drop".to_owned(),
                packets: Some(packets),
                matches: matches.to_vec(),
                action: Action::Drop,
                ..NetfilterRule::default()
            };
            let mut rules = scenes::one_rule("filter", "input", rule);
            for chain in &mut rules.chains {
                (chain.backend, chain.family) = ("nftables".to_owned(), family.to_owned());
                (chain.name, chain.hook) = (hook.to_owned(), Some(hook.to_owned()));
            }
            Known::Known(rules)
        };
        scene.facts(netns, |facts| facts.netfilter = table(0));
        scene.after(netns, |facts| facts.netfilter = table(3));
    }

    fn operation(word: &str) -> Match {
        Match::Arp {
            field: "operation".to_owned(),
            any: vec![word.to_owned()],
            not: false,
        }
    }

    #[test]
    fn a_rule_that_drops_arp_replies_is_the_cause() {
        let mut scene = Scene::two_nodes();
        silent(&mut scene, scenes::A, "eth0", "10.90.1.1");
        filter(&mut scene, scenes::A, "arp", "input", &[operation("reply")]);
        let reply = of_link(0, "10.90.1.1", "10.90.1.2");
        freed(&mut scene, scenes::A, "eth0", reply, 0);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["netfilter-drop"]);
        let verdict = &judgement.verdicts[0];
        assert!(
            verdict.says.contains("drops the ARP reply of 10.90.1.1 to netns/a"),
            "{}",
            verdict.says
        );
        assert_eq!(verdict.place.rule.as_ref().unwrap().family, "arp");
        filter(&mut scene, scenes::A, "arp", "input", &[operation("request")]);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["netfilter-drop"]);
        assert!(
            judgement.verdicts[0].place.rule.is_none(),
            "a rule for requests drops no reply"
        );
    }

    #[test]
    fn a_policy_that_drops_advertisements_is_the_cause() {
        let mut scene = Scene::two_nodes().over_ipv6();
        silent(&mut scene, scenes::A, "eth0", "fd90:1::1");
        let state = Match::CtState {
            any: vec!["RELATED".to_owned(), "ESTABLISHED".to_owned()],
            not: true,
        };
        filter(&mut scene, scenes::X, "ip6", "forward", &[state]);
        let advertisement = of_link(ICMPV6, "fd90:1::1", "fd90:1::2");
        freed(&mut scene, scenes::X, "vetha", advertisement, 136);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["netfilter-drop"]);
        let verdict = &judgement.verdicts[0];
        assert!(verdict.says.contains("neighbour advertisement"), "{}", verdict.says);
        assert_eq!(verdict.place.rule.as_ref().unwrap().chain, "forward");
    }

    #[test]
    fn solicitations_are_known_by_their_group() {
        let mut scene = Scene::two_nodes().over_ipv6();
        silent(&mut scene, scenes::A, "eth0", "fd90:1::1");
        for _ in 0..3 {
            let solicitation = of_link(ICMPV6, "fd90:1::2", "ff02::1:ff00:1");
            freed(&mut scene, scenes::A, "eth0", solicitation, 135);
        }
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["netfilter-drop"]);
        for event in &mut scene.evidence.events {
            if event.flow.dst() == scenes::ip("ff02::1:ff00:1") {
                event.flow = of_link(ICMPV6, "fd90:1::2", "ff02::1:ff00:7");
            }
        }
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["neighbour-unreachable"]);
    }

    #[test]
    fn what_is_dropped_of_other_neighbours_explains_nothing() {
        let mut scene = Scene::two_nodes();
        silent(&mut scene, scenes::A, "eth0", "10.90.1.1");
        freed(&mut scene, scenes::A, "eth0", of_link(0, "10.90.1.9", "10.90.1.2"), 0);
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["neighbour-unreachable"]);
    }

    #[test]
    fn a_question_that_came_through_was_answered_by_nobody() {
        let mut scene = Scene::two_nodes();
        silent(&mut scene, scenes::A, "eth0", "10.90.1.1");
        let request = of_link(0, "10.90.1.2", "10.90.1.1");
        freed(&mut scene, scenes::A, "eth0", request, 0);
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["neighbour-unreachable"]);
        // The copies for other ports say nothing of the one for the owner.
        for _ in 0..3 {
            freed(&mut scene, scenes::X, "vethb", request, 0);
        }
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["neighbour-unreachable"]);
    }

    #[test]
    fn a_neighbour_that_is_heard_in_the_end_accuses_no_rule() {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        freed(&mut scene, scenes::A, "eth0", of_link(0, "10.90.1.1", "10.90.1.2"), 0);
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }
}
