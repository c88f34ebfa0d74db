//! How far on its way each packet is when it is met: the visits that it pays to nodes, and the time since each began.
//!
//! Places on one node are put in order by that node's clock alone, and visits to nodes by the time of the way there. What two
//! packets took to the same node says nothing of which of their places comes first.

use crate::case::clocks;
use model::event::{Event, Packet};
use model::evidence::Evidence;
use model::flow::Flow;
use model::report::Direction;
use model::word::Hook;
use std::collections::HashMap;

/// A packet after which no hook may see another for it to count as the same one, in nanoseconds: below TCP's least RTO.
const ONE_PACKET_NS: u64 = 190_000_000;

/// Packets that go the same way: of one attempt, in one direction.
type Way = (u32, Direction);

/// A place at which packets are met, and their form there: namespace, interface, whether they leave by it, tuple.
type PlaceOfForm = (u32, u32, bool, Flow);

/// What tells a packet of a way: sequence, acknowledgement, flags, length, and whose time it was told in.
type Marks = (u32, u32, u8, u32, u8);

/// A visit to a node: which time a packet comes to it, and the node, by the order in which nodes were first met.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Visit {
    time: u32,
    node: usize,
}

/// When on its way a packet is somewhere.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Moment {
    /// By cause alone, where the node's time tells nothing (see [`clocks::rank`]).
    pub rank: u8,
    pub visit: Visit,
    /// Time since this visit began, in nanoseconds.
    pub since_ns: u64,
}

/// A packet on its way.
#[derive(Debug)]
struct OnWay {
    born_ns: u64,
    last_ns: u64,
    visit: Visit,
    entered_ns: u64,
    /// Times it came to each node so far.
    times: HashMap<usize, u32>,
}

/// All packets of all ways.
#[derive(Debug, Default)]
pub struct Ways<'a> {
    nodes: Vec<&'a str>,
    packets: HashMap<(Way, Marks), OnWay>,
    /// When the first packet was at each place.
    places: HashMap<(Way, PlaceOfForm), Moment>,
    /// The least time from a packet's birth to a visit, of packets that came from another node.
    began_ns: HashMap<(Way, Visit), u64>,
}

impl<'a> Ways<'a> {
    /// A packet was met at a hook. Packets are met in the order of time.
    ///
    /// A large packet is cut or put together on its way, and then looks like a new one: it is as far as the packet before it
    /// was at the place where it is met first.
    pub fn meet(&mut self, evidence: &'a Evidence, event: &'a Event, hook: Hook, packet: Packet, way: Way) -> Moment {
        let name = evidence.node_of(event);
        let node = self.nodes.iter().position(|known| *known == name).unwrap_or_else(|| {
            self.nodes.push(name);
            self.nodes.len() - 1
        });
        let rank = clocks::rank(evidence, name, way.1);
        let marks = (packet.seq, packet.ack, packet.tcp_flags, packet.len, rank);
        let now_ns = event.at_ns;
        let leaves = matches!(hook, Hook::Queue | Hook::Transmit);
        let place = (way, (event.netns, event.ifindex, leaves, event.flow));
        let known = self.places.get(&place).filter(|known| known.rank == rank);
        let (visit, since_ns) = known.map_or((Visit { time: 1, node }, 0), |known| (known.visit, known.since_ns));
        let began_ns = self.began_ns.get(&(way, visit)).copied().unwrap_or_default();
        let fresh = || OnWay {
            born_ns: now_ns.saturating_sub(began_ns + since_ns),
            last_ns: now_ns,
            visit,
            entered_ns: now_ns.saturating_sub(since_ns),
            times: HashMap::from([(node, visit.time)]),
        };
        let on_way = self.packets.entry((way, marks)).or_insert_with(fresh);
        if now_ns.saturating_sub(on_way.last_ns) > ONE_PACKET_NS {
            *on_way = fresh();
        }
        on_way.last_ns = now_ns;
        if on_way.visit.node != node {
            let time = on_way.times.entry(node).or_default();
            *time += 1;
            on_way.visit = Visit { time: *time, node };
            on_way.entered_ns = now_ns;
            let took_ns = now_ns.saturating_sub(on_way.born_ns);
            let least = self.began_ns.entry((way, on_way.visit)).or_insert(took_ns);
            *least = took_ns.min(*least);
        }
        let moment = Moment {
            rank,
            visit: on_way.visit,
            since_ns: now_ns.saturating_sub(on_way.entered_ns),
        };
        self.places.entry(place).or_insert(moment);
        moment
    }

    /// How long after its birth a packet pays this visit; zero where it is only seen to begin there.
    pub fn began_ns(&self, way: Way, visit: Visit) -> u64 {
        self.began_ns.get(&(way, visit)).copied().unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use crate::case::trail::Trail;
    use crate::scenes::{self, Scene, tcp};
    use model::report::Direction;

    #[test]
    fn of_two_forms_of_a_way_the_one_met_first_is_told_first_however_fast_the_other_was() {
        let mut scene = Scene::two_machines();
        let asked = tcp("10.90.1.2:40001", "10.96.0.10:80");
        let forms = [2, 3].map(|host| tcp("10.90.1.2:40001", &format!("10.90.2.{host}:80")));
        scene.watch(0, asked);
        scene.hop(scenes::A, "eth0", asked, 1).hop(scenes::X, "vetha", asked, 1);
        scene
            .hop_learned(scenes::X, "up0", forms[0], 1)
            .hop(scenes::Y, "up0", forms[0], 1);
        // The second is met at one place less, and so comes to the other node sooner after it left.
        scene.pauses_ms(1_000).hop(scenes::A, "eth0", asked, 2);
        scene
            .hop_learned(scenes::X, "up0", forms[1], 2)
            .hop(scenes::Y, "up0", forms[1], 2);
        let trail = Trail::follow(&scene.evidence);
        let stops = &trail.leg(0, Direction::Request).unwrap().stops;
        let of_y: Vec<_> = stops.iter().filter(|stop| stop.netns == scenes::Y).collect();
        assert_eq!(of_y.iter().map(|stop| stop.flow).collect::<Vec<_>>(), forms);
        assert!(
            stops.ends_with(&of_y.into_iter().cloned().collect::<Vec<_>>()),
            "{stops:?}"
        );
    }

    #[test]
    fn a_large_packet_that_is_cut_on_its_way_changes_the_order_of_no_place() {
        for scene in [Scene::two_nodes(), Scene::two_machines(), Scene::over_vxlan()] {
            let mut scene = scene;
            scene.connects(1);
            let flow = scene.evidence.attempts[0].flow;
            let places = |scene: &Scene| {
                let trail = Trail::follow(&scene.evidence);
                let stops = &trail.leg(0, Direction::Request).unwrap().stops;
                stops.iter().map(|stop| (stop.netns, stop.ifindex)).collect::<Vec<_>>()
            };
            let before = places(&scene);
            // One of 2800 bytes up to the uplink, where it becomes two, that are put together again in front of the pod.
            let large = |scene: &mut Scene, places: &[(u32, &str)], seq: u32, len: u32| {
                for (netns, interface) in places {
                    scene.hop(*netns, interface, flow, 700);
                    let packet = scene.evidence.events.last_mut().unwrap().packet.as_mut().unwrap();
                    (packet.seq, packet.len, packet.tcp_flags) = (seq, len, 16);
                }
            };
            let (near, far) = (
                [(scenes::A, "eth0"), (scenes::X, "vetha")],
                [(scenes::Y, "vethc"), (scenes::C, "eth0")],
            );
            let between = [(scenes::X, "up0"), (scenes::Y, "up0")];
            large(&mut scene, &near, 500, 2800);
            large(&mut scene, &between, 500, 1400);
            large(&mut scene, &between, 1900, 1400);
            large(&mut scene, &far, 500, 2760);
            assert_eq!(places(&scene), before);
        }
    }

    #[test]
    fn a_node_to_which_a_packet_comes_back_is_told_of_twice() {
        let mut scene = Scene::two_machines();
        let asked = tcp("10.90.1.2:40001", "10.90.2.2:80");
        let back = tcp("172.31.90.2:40001", "10.90.1.3:80");
        scene.watch(0, asked);
        scene.hop(scenes::A, "eth0", asked, 1).hop(scenes::X, "up0", asked, 1);
        scene
            .hop(scenes::Y, "up0", asked, 1)
            .hop_learned(scenes::Y, "up0", back, 1);
        scene.hop_learned(scenes::X, "vethb", back, 1);
        let trail = Trail::follow(&scene.evidence);
        let stops = &trail.leg(0, Direction::Request).unwrap().stops;
        let places: Vec<u32> = stops.iter().map(|stop| stop.netns).collect();
        let (a, x, y) = (scenes::A, scenes::X, scenes::Y);
        assert_eq!(places, [a, x, y, y, x]);
    }
}
