//! The hop trail: where the packets of each attempt were seen, in which form, and how they ended.
//!
//! It claims what a hook saw and nothing else: events may be lost, late, or of another packet that reuses an address, so a
//! tuple is only followed when it is the attempt's own or was learned on a packet of the attempt.
//!
//! How events become places and losses belongs here. Whose an event is is `attribution`, whose clock told its time is `clocks`; what
//! a place or a loss means is asked elsewhere.

mod leg;
mod ways;

pub use leg::{Dropped, Leg, Stop};

use self::ways::Ways;
use crate::case::attribution::{Datagrams, FlowOwners, is_icmp, learn, ours, owner_of, tunnelled};
use crate::kernel::drops::{Class, class_of};
use crate::kernel::tunnel;
use model::event::{Event, Seen};
use model::evidence::Evidence;
use model::flow::{ACK, Flow, RST, SYN, TCP};
use model::report::Direction;
use std::collections::{HashMap, HashSet};

/// All watched packets of a run.
#[derive(Clone, Debug, Default)]
pub struct Trail<'a> {
    /// One for each attempt and direction in which anything was seen, requests first.
    pub legs: Vec<Leg<'a>>,
}

/// Within one host a packet goes from one hook to the next in less, in nanoseconds.
const ONE_HOP_NS: u64 = 5_000_000;

impl<'a> Trail<'a> {
    /// Follows every watched flow through the events of a run.
    pub fn follow(evidence: &'a Evidence) -> Self {
        let events = ours(evidence);
        let (known, translations) = learn(evidence, &events);
        let mut trail = Self::default();
        // Packets of ours last met inside a tunnel's packet: its loss is theirs.
        let mut inside: HashMap<u64, (u32, Direction, u64)> = HashMap::new();
        // Packets of ours that were met on the path: what shares only their tuple, elsewhere on this machine, is not ours.
        let mut ours: HashSet<u64> = HashSet::new();
        let mut ways = Ways::default();
        let mut datagrams = Datagrams::default();
        for event in events {
            let carried = |skbs: &HashMap<u64, (u32, Direction, u64)>| {
                let &(attempt, direction, at_ns) = skbs.get(&event.skb)?;
                let soon = event.at_ns.saturating_sub(at_ns) < ONE_HOP_NS;
                (soon && matches!(event.seen, Seen::Drop { .. })).then_some((attempt, direction))
            };
            let owner = owner_of(&known, event)
                .or_else(|| carried(&inside))
                .or_else(|| tunnelled(&known, event))
                .or_else(|| datagrams.whose(event));
            let Some((attempt, direction)) = owner else {
                trail.lost_error(&known, event);
                continue;
            };
            datagrams.meet(event, (attempt, direction));
            if matches!(event.seen, Seen::NeighbourFailed { .. }) {
                continue;
            }
            let leg = trail.leg_mut(attempt, direction);
            match &event.seen {
                Seen::Hop { hook, .. } => {
                    let packet = event.packet.unwrap_or_default();
                    if evidence.netns(event.netns).is_some() {
                        ours.insert(event.skb);
                    }
                    if packet.inner && event.skb != 0 {
                        inside.insert(event.skb, (attempt, direction, event.at_ns));
                    } else {
                        inside.remove(&event.skb);
                    }
                    let moment = ways.meet(evidence, event, *hook, packet, (attempt, direction));
                    let before = translations.get(&event.flow).copied();
                    leg.meet(evidence, event, *hook, moment, before);
                }
                // Who resets a connection waits for nothing more.
                Seen::Drop { .. } if direction == Direction::Request && is_reset(event) => leg.others.push(event),
                Seen::Drop { .. } => {
                    let class = match class_of(event).unwrap_or(Class::Other) {
                        // Where nothing takes a tunnel's packets there is no tunnel; the target's port says nothing of it.
                        Class::NoSocket if tunnel::is_around(event) => Class::Overlay,
                        class => class,
                    };
                    let elsewhere =
                        event.netns != 0 && evidence.netns(event.netns).is_none() && !evidence.netns.is_empty();
                    if elsewhere && !ours.contains(&event.skb) {
                        continue;
                    }
                    if class != Class::Benign && !leg.has_drop(event) {
                        leg.drops.push(Dropped {
                            event,
                            class,
                            attempt,
                            direction,
                        });
                    }
                }
                _ => leg.others.push(event),
            }
        }
        for leg in &mut trail.legs {
            leg.sort(&ways);
            leg.mark_translations();
        }
        trail.leave_out_repeated_syns();
        trail
            .legs
            .sort_by_key(|leg| (leg.attempt, leg.direction == Direction::Answer));
        trail
    }

    /// A SYN that comes again after its answer has left is of no further use, and freed without a reason (in `tcp_v4_rcv`, by 6.18
    /// in the name of the listener): what was lost is the answer.
    fn leave_out_repeated_syns(&mut self) {
        let mut answered: HashMap<(u32, u32), u64> = HashMap::new();
        for leg in self.legs.iter().filter(|leg| leg.direction == Direction::Answer) {
            for stop in &leg.stops {
                let first_ns = answered.entry((leg.attempt, stop.netns)).or_insert(stop.first_ns);
                *first_ns = stop.first_ns.min(*first_ns);
            }
        }
        for leg in self.legs.iter_mut().filter(|leg| leg.direction == Direction::Request) {
            leg.drops.retain(|drop| {
                let event = drop.event;
                let is_syn = event.packet.is_some_and(|packet| packet.tcp_flags & (SYN | ACK) == SYN);
                let at_socket = drop.location().starts_with("tcp_v4_rcv") || drop.location().starts_with("tcp_v6_rcv");
                let before = answered
                    .get(&(leg.attempt, event.netns))
                    .is_some_and(|at_ns| *at_ns < event.at_ns);
                !(is_syn && at_socket && before && drop.class == Class::Other)
            });
        }
    }

    /// A dropped ICMP error that quotes a packet of ours.
    fn lost_error(&mut self, known: &FlowOwners, event: &'a Event) {
        let quoted = event.quoted.filter(|_| is_icmp(event));
        let owner = quoted.and_then(|quoted| known.get(&quoted).copied());
        if let (Some((attempt, direction)), Some(class)) = (owner, class_of(event)) {
            self.leg_mut(attempt, direction).lost_errors.push(Dropped {
                event,
                class,
                attempt,
                direction,
            });
        }
    }

    fn leg_mut(&mut self, attempt: u32, direction: Direction) -> &mut Leg<'a> {
        let at = self
            .legs
            .iter()
            .position(|leg| leg.attempt == attempt && leg.direction == direction);
        let at = at.unwrap_or_else(|| {
            self.legs.push(Leg {
                attempt,
                direction,
                stops: Vec::new(),
                drops: Vec::new(),
                lost_errors: Vec::new(),
                others: Vec::new(),
            });
            self.legs.len() - 1
        });
        &mut self.legs[at]
    }

    /// The packets of an attempt in one direction, where any were seen.
    pub fn leg(&self, attempt: u32, direction: Direction) -> Option<&Leg<'a>> {
        self.legs
            .iter()
            .find(|leg| leg.attempt == attempt && leg.direction == direction)
    }

    /// Losses of all attempts, in time order within each leg.
    pub fn drops(&self) -> impl Iterator<Item = &Dropped<'a>> {
        self.legs.iter().flat_map(|leg| &leg.drops)
    }

    /// All forms in which an attempt's request was seen, the first one first.
    pub fn forms(&self, attempt: u32) -> Vec<Flow> {
        let mut forms = Vec::new();
        for stop in self.leg(attempt, Direction::Request).iter().flat_map(|leg| &leg.stops) {
            if !forms.contains(&stop.flow) {
                forms.push(stop.flow);
            }
        }
        forms
    }
}

/// The packet of this event is a reset.
pub fn is_reset(event: &Event) -> bool {
    event.flow.protocol == TCP && event.packet.is_some_and(|packet| packet.tcp_flags & RST != 0)
}

#[cfg(test)]
mod tests {
    use super::Trail;
    use crate::scenes::{self, Scene, tcp};
    use model::event::{Packet, Seen, TcpState};
    use model::flow::RST;
    use model::report::Direction;

    #[test]
    fn a_request_is_followed_from_hop_to_hop_and_its_answer_back() {
        let mut scene = Scene::two_nodes();
        scene.connects(1);
        let evidence = scene.evidence;
        let trail = Trail::follow(&evidence);
        let request = trail.leg(0, Direction::Request).unwrap();
        let places: Vec<_> = request
            .stops
            .iter()
            .map(|stop| (stop.netns, stop.interface.clone().unwrap_or_default()))
            .collect();
        assert_eq!(places.first().map(|place| place.0), Some(scenes::A));
        assert!(request.reached(scenes::C));
        assert!(trail.leg(0, Direction::Answer).unwrap().reached(scenes::A));
    }

    #[test]
    fn shuffled_events_make_the_same_trail() {
        let mut scene = Scene::two_nodes();
        scene.connects(2);
        let straight = Trail::follow(&scene.evidence).legs[0].stops.clone();
        let mut shuffled = scene.evidence.clone();
        shuffled.events.reverse();
        assert_eq!(Trail::follow(&shuffled).legs[0].stops, straight);
    }

    #[test]
    fn a_lost_event_leaves_a_gap_and_no_wrong_end() {
        let mut scene = Scene::two_nodes();
        scene.connects(1);
        let whole = Trail::follow(&scene.evidence).legs[0].farthest().unwrap().netns;
        let mut thinned = scene.evidence.clone();
        thinned.events.remove(2);
        assert_eq!(Trail::follow(&thinned).legs[0].farthest().unwrap().netns, whole);
    }

    #[test]
    fn a_translation_is_learned_and_the_answer_followed() {
        let mut scene = Scene::two_nodes();
        let asked = tcp("10.90.1.2:40001", "10.96.0.10:80");
        let real = tcp("10.90.1.2:40001", "10.90.2.2:80");
        scene.watch(0, asked);
        scene
            .hop(scenes::A, "eth0", asked, 7)
            .hop_learned(scenes::X, "up0", real, 7);
        scene.hop(scenes::A, "eth0", real.reversed(), 9);
        let trail = Trail::follow(&scene.evidence);
        let request = trail.leg(0, Direction::Request).unwrap();
        assert_eq!(request.stops.last().unwrap().translated_from, Some(asked));
        assert!(trail.leg(0, Direction::Answer).unwrap().reached(scenes::A));
    }

    #[test]
    fn the_same_tuple_in_a_namespace_off_the_path_is_somebody_elses() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(1, scenes::X, "up0");
        let flow = scene.evidence.watched[0].flow;
        scene.drop(9_999, "", flow, "IP_INADDRERRORS", "ip_error");
        assert_eq!(Trail::follow(&scene.evidence).drops().count(), 0);
        let ours = scene.evidence.events[0].skb;
        scene.evidence.events.last_mut().unwrap().skb = ours;
        assert_eq!(
            Trail::follow(&scene.evidence).drops().count(),
            1,
            "a packet of ours that went on to where nobody looked"
        );
    }

    #[test]
    fn a_tunnels_packet_is_lost_for_whom_it_carries() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(1, scenes::X, "cbr0");
        let within = scene.evidence.watched[0].flow;
        let outer = scenes::udp("172.31.90.1:50000", "172.31.90.2:8472");
        scene.drop(scenes::X, "up0", outer, "NETFILTER_DROP", "nf_hook_slow");
        scene.evidence.events.last_mut().unwrap().quoted = Some(within);
        assert_eq!(Trail::follow(&scene.evidence).drops().count(), 1);
        scene.evidence.events.last_mut().unwrap().flow = scenes::icmp("172.31.90.1", "172.31.90.2");
        assert_eq!(
            Trail::follow(&scene.evidence).drops().count(),
            0,
            "an error that quotes it"
        );
    }

    #[test]
    fn what_a_bridge_floods_to_others_is_no_part_of_the_way() {
        let mut scene = Scene::two_nodes();
        scene.connects(1);
        let (flow, skb) = (scene.evidence.watched[0].flow, scene.evidence.events[0].skb);
        let before = Trail::follow(&scene.evidence).legs[0].stops.len();
        let other = 9_999;
        scene.hop(other, "eth0", flow, skb);
        scene.drop(other, "eth0", flow, "OTHERHOST", "ip_rcv_core");
        scene.evidence.events.last_mut().unwrap().skb = skb;
        let trail = Trail::follow(&scene.evidence);
        assert_eq!((trail.legs[0].stops.len(), trail.drops().count()), (before, 0));
    }

    #[test]
    fn a_socket_without_its_port_is_known_by_the_rest_of_the_tuple() {
        let mut scene = Scene::two_nodes();
        let flows = [40001, 40002].map(|port| tcp(&format!("10.90.1.2:{port}"), "10.90.2.2:80"));
        scene.watch(1, flows[0]).watch(2, flows[1]);
        let state = TcpState::Close;
        let seen = Seen::ResetReceived { state };
        for flow in flows {
            let flow = model::flow::Flow {
                sport: 0,
                ..flow.reversed()
            };
            scene.saw(scenes::C, "", flow, seen.clone());
        }
        let of_both = model::flow::Flow { sport: 0, ..flows[0] };
        scene.saw(scenes::A, "", of_both, seen);
        let trail = Trail::follow(&scene.evidence);
        assert_eq!(trail.leg(1, Direction::Answer).unwrap().others.len(), 1);
        assert_eq!(trail.leg(2, Direction::Answer).unwrap().others.len(), 1);
        assert!(
            trail.leg(1, Direction::Request).is_none(),
            "it may be of either attempt"
        );
    }

    #[test]
    fn a_reset_of_the_client_that_is_dropped_is_no_lost_request() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(1, scenes::X, "up0");
        let flow = scene.evidence.watched[0].flow;
        for (flow, lost) in [(flow, 0), (flow.reversed(), 1)] {
            scene.drop(scenes::X, "up0", flow, "NETFILTER_DROP", "nf_hook_slow");
            scene.evidence.events.last_mut().unwrap().packet = Some(Packet {
                tcp_flags: RST,
                ..Packet::default()
            });
            assert_eq!(Trail::follow(&scene.evidence).drops().count(), lost);
        }
    }

    #[test]
    fn a_drop_of_the_same_tuple_off_the_path_is_not_ours() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(1, scenes::X, "up0");
        let flow = scene.evidence.watched[0].flow;
        scene.drop(999, "cbr0", flow, "NETFILTER_DROP", "nf_hook_slow");
        assert_eq!(Trail::follow(&scene.evidence).drops().count(), 0);
    }

    #[test]
    fn a_stale_address_is_not_a_translation() {
        let mut scene = Scene::two_nodes();
        let ours = tcp("10.90.1.2:40001", "10.90.2.2:80");
        let foreign = tcp("10.90.1.9:5555", "10.90.2.9:443");
        scene.watch(0, ours);
        scene
            .hop(scenes::A, "eth0", ours, 7)
            .hop_learned(scenes::X, "up0", foreign, 8);
        let last = scene.evidence.events.last_mut().unwrap();
        last.skb = 7;
        let trail = Trail::follow(&scene.evidence);
        assert!(!trail.leg(0, Direction::Request).unwrap().reached(scenes::X));
    }
}
