//! One time for machines whose clocks differ: by cause, from the watched packets themselves.
//!
//! A packet leaves one machine before it arrives at the next. Each that was seen at both bounds how far one clock can be ahead
//! of the other: from above on its way there, from below on the way back. The middle of what is left is the estimate, as NTP
//! makes it (RFC 5905, 8), over all packets of a run and with a constant drift; half of what is left is its error. It puts every
//! such packet into the right order whatever the clocks say. Where no packet was seen at both, nothing is known, and nothing
//! may be claimed from the order of times.
//!
//! All that makes times of two machines comparable belongs here, on top of `attribution`; what follows from the order of events is
//! asked elsewhere, with [`order`] and [`error_ns`].

mod bounds;
mod sights;

use bounds::{Bounds, Offset};
use model::event::Event;
use model::evidence::{Clock, Evidence, Window};
use model::report::Direction;
use std::borrow::Cow;

/// The same evidence with the times of all nodes brought to the source's clock. Nodes that share a kernel share a clock.
#[must_use]
pub fn aligned(evidence: &Evidence) -> Cow<'_, Evidence> {
    let machines = Machines::of(evidence);
    if machines.boots.len() < 2 {
        return Cow::Borrowed(evidence);
    }
    let offsets = offsets(evidence, &machines);
    let mut aligned = evidence.clone();
    for event in &mut aligned.events {
        event.at_ns = offsets[machines.of_event(evidence, event)].apply(event.at_ns);
    }
    aligned.events.sort_by_key(|event| event.at_ns);
    let mut window = Window::default();
    for node in &mut aligned.nodes {
        let offset = &offsets[machines.of_boot(&node.boot_id)];
        node.clock = offset.clock;
        if offset.clock != Clock::Unknown && node.window.start_ns != 0 {
            let start_ns = offset.apply(node.window.start_ns);
            let earliest = window.start_ns == 0 || start_ns < window.start_ns;
            window.start_ns = if earliest { start_ns } else { window.start_ns };
            window.end_ns = window.end_ns.max(offset.apply(node.window.end_ns));
        }
    }
    if window.start_ns != 0 {
        aligned.window = window;
    }
    Cow::Owned(aligned)
}

/// The place of a node on a packet's way by cause alone, where its time tells nothing: a request begins at the source, an
/// answer ends there. Nodes whose times can be compared have the same.
#[must_use]
pub fn rank(evidence: &Evidence, node: &str, direction: Direction) -> u8 {
    let unknown = |clock: Clock| clock == Clock::Unknown;
    let of_node = evidence.nodes.iter().any(|own| own.name == node && unknown(own.clock));
    u8::from(of_node == (direction == Direction::Request))
}

/// The order of events of packets that go the same way.
#[must_use]
pub fn order(evidence: &Evidence, event: &Event, direction: Direction) -> (u8, u64) {
    (rank(evidence, evidence.node_of(event), direction), event.at_ns)
}

/// Times of both nodes can be compared, and are off by at most so much, in nanoseconds.
#[must_use]
pub fn error_ns(evidence: &Evidence, one: &str, other: &str) -> Option<u64> {
    if one == other {
        return Some(0);
    }
    let error = |name: &str| match evidence.node(name).map_or(Clock::Same, |node| node.clock) {
        Clock::Same => Some(0),
        Clock::Within { ns } => Some(ns),
        Clock::OneWay | Clock::Unknown => None,
    };
    Some(error(one)?.saturating_add(error(other)?))
}

/// Machines by the identity of their boot, that of the source first.
struct Machines<'a> {
    boots: Vec<&'a str>,
    /// The first one is the source's.
    sends: bool,
}

impl<'a> Machines<'a> {
    fn of(evidence: &'a Evidence) -> Self {
        let source = evidence.node(&evidence.source.node);
        let source = source.or_else(|| evidence.node(&evidence.source_netns()?.node));
        let mut boots: Vec<&str> = source.iter().map(|node| node.boot_id.as_str()).collect();
        for node in &evidence.nodes {
            if !boots.contains(&node.boot_id.as_str()) {
                boots.push(&node.boot_id);
            }
        }
        Self {
            boots,
            sends: source.is_some(),
        }
    }

    fn of_boot(&self, boot: &str) -> usize {
        self.boots.iter().position(|own| *own == boot).unwrap_or_default()
    }

    fn of_event(&self, evidence: &Evidence, event: &Event) -> usize {
        let node = evidence.node(evidence.node_of(event));
        node.map_or(0, |node| self.of_boot(&node.boot_id))
    }
}

fn offsets(evidence: &Evidence, machines: &Machines<'_>) -> Vec<Offset> {
    let packets = sights::packets(evidence, machines);
    let count = machines.boots.len();
    let mut offsets: Vec<Option<Offset>> = vec![None; count];
    offsets[0] = Some(Offset::none(Clock::Same));
    loop {
        let open = (0..count).filter(|machine| offsets[*machine].is_none());
        let found = open.filter_map(|machine| {
            let bounds = Bounds::of(&packets, &offsets, machine, machines.sends);
            Some((machine, bounds.middle()?))
        });
        // One that is bounded from both sides is surer, and may help with the next.
        let best = found.min_by_key(|(_, offset)| match offset.clock {
            Clock::Within { ns } => ns,
            _ => u64::MAX,
        });
        let Some((machine, offset)) = best else { break };
        offsets[machine] = Some(offset);
    }
    let unknown = Offset::none(Clock::Unknown);
    offsets.into_iter().map(|offset| offset.unwrap_or(unknown)).collect()
}

#[cfg(test)]
mod tests {
    use super::{aligned, rank};
    use crate::scenes::{self, Scene};
    use crate::{Judgement, judge};
    use model::event::{Seen, TcpState};
    use model::evidence::Clock;
    use model::report::Direction;

    const MS: i64 = 1_000_000;

    fn healthy() -> Scene {
        let mut scene = Scene::two_machines();
        scene.connects(3);
        scene
    }

    fn lost_between() -> Scene {
        let mut scene = Scene::two_machines();
        scene.vanishes(3, scenes::X, "up0");
        scene
    }

    fn lost_at_the_far_end() -> Scene {
        let mut scene = Scene::two_machines();
        scene.vanishes(3, scenes::Y, "vethc");
        scene
    }

    fn answers_lost() -> Scene {
        let mut scene = Scene::two_machines();
        scene.answers_vanish(3);
        scene
    }

    /// What is told, without the exact times.
    fn told(judgement: &Judgement) -> (String, Vec<String>, Vec<String>) {
        let verdict =
            |verdict: &model::report::Verdict| format!("{} {:?} {:?}", verdict.says, verdict.place, verdict.because);
        let hop = |hop: &model::report::Hop| format!("{:?} {} {} {}", hop.direction, hop.attempt, hop.netns, hop.says);
        (
            format!("{:?} {}", judgement.outcome, judgement.headline),
            judgement.verdicts.iter().map(verdict).collect(),
            judgement.path.iter().map(hop).collect(),
        )
    }

    #[test]
    fn whatever_the_clocks_of_two_machines_say_the_verdict_and_the_path_are_the_same() {
        for make in [healthy, lost_between, lost_at_the_far_end, answers_lost] {
            let right = told(&judge(&make().evidence));
            for ms in [-2000, -200, -20, -5, -1, 1, 5, 20, 200, 2000] {
                for drift_ppm in [-100, 0, 100] {
                    let shifted = make().with_clock_ahead(ms * MS, drift_ppm);
                    assert_eq!(told(&judge(&shifted.evidence)), right, "{ms} ms, {drift_ppm} ppm");
                }
            }
        }
    }

    /// Rounds `every_ms` apart, each there and back through both machines.
    fn rounds(count: u32, every_ms: u64) -> Scene {
        let mut scene = Scene::two_machines();
        for id in 0..count {
            scene.connects_once(id).pauses_ms(every_ms);
        }
        scene
    }

    #[test]
    fn a_drift_over_a_long_run_is_taken_out() {
        for drift_ppm in [-500, -100, 0, 100, 500] {
            let true_times: Vec<(u32, u64)> = times(&rounds(50, 200));
            let shifted = rounds(50, 200).with_clock_ahead(3 * MS, drift_ppm);
            let aligned = aligned(&shifted.evidence).into_owned();
            let Clock::Within { ns } = aligned.nodes[1].clock else {
                panic!("{:?}", aligned.nodes[1].clock)
            };
            assert!(ns < 100_000, "{ns} ns");
            let got: Vec<(u32, u64)> = aligned.events.iter().map(|event| (event.netns, event.at_ns)).collect();
            for ((place, at_ns), (true_place, true_ns)) in got.iter().zip(&true_times) {
                assert_eq!(place, true_place, "{drift_ppm} ppm");
                assert!(
                    at_ns.abs_diff(*true_ns) <= ns + 1_000,
                    "{at_ns} for {true_ns}, {drift_ppm} ppm"
                );
            }
        }
    }

    fn times(scene: &Scene) -> Vec<(u32, u64)> {
        let events = scene.evidence.events.iter();
        events.map(|event| (event.netns, event.at_ns)).collect()
    }

    #[test]
    fn one_way_alone_tells_only_which_came_first() {
        let scene = lost_at_the_far_end().with_clock_ahead(-50 * MS, 0);
        let aligned = aligned(&scene.evidence);
        assert_eq!(aligned.nodes[1].clock, Clock::OneWay);
        assert_eq!(super::error_ns(&aligned, "n1", "n2"), None);
    }

    #[test]
    fn where_no_packet_was_seen_at_both_the_order_is_said_to_be_unknown() {
        let mut scene = Scene::two_machines();
        scene.connects(1);
        // Each saw packets that the other missed.
        let mut turn = 0;
        scene.evidence.events.retain_mut(|event| {
            let there = [scenes::Y, scenes::C].contains(&event.netns);
            if let Some(packet) = event.packet.as_mut().filter(|_| there) {
                packet.seq += 1_000;
                turn += 1;
            }
            true
        });
        assert_ne!(turn, 0);
        let scene = scene.with_clock_ahead(-50 * MS, 0);
        let aligned = aligned(&scene.evidence);
        assert_eq!(aligned.nodes[1].clock, Clock::Unknown);
        let order = |direction| ["n1", "n2"].map(|node| rank(&aligned, node, direction));
        assert!(order(Direction::Request).is_sorted(), "a request begins at the source");
        assert_eq!(order(Direction::Answer), [1, 0]);
        let path = judge(&scene.evidence).path;
        let requests: Vec<_> = path.iter().filter(|hop| hop.direction == Direction::Request).collect();
        assert!(requests[0].netns.ends_with('a'), "{requests:?}");
        assert!(requests.iter().any(|hop| hop.says.contains("is not known")));
    }

    #[test]
    fn a_reset_whose_time_cannot_be_compared_accuses_no_middlebox() {
        let reset = |ahead_ms: i64| {
            let mut scene = healthy();
            let flow = scene.evidence.watched[0].flow;
            let state = TcpState::Established;
            scene.saw(scenes::A, "", flow.reversed(), Seen::ResetReceived { state });
            scene.saw(
                scenes::C,
                "",
                flow.reversed(),
                Seen::ResetSent {
                    reason: None,
                    state,
                    active: true,
                },
            );
            scene.with_clock_ahead(ahead_ms * MS, 0)
        };
        let causes = |scene: &Scene| scenes::causes(&judge(&scene.evidence));
        assert_eq!(causes(&reset(-300)), causes(&reset(300)));
    }

    #[test]
    fn routers_on_both_machines_tell_the_way_by_ttl() {
        let mut scene = healthy();
        for event in &mut scene.evidence.events {
            let request = event.flow.dport == 80;
            let far = [scenes::Y, scenes::C].contains(&event.netns);
            let ttl = if far == request { 63 } else { 64 };
            event.packet.as_mut().unwrap().ttl = ttl;
        }
        let right = told(&judge(&scene.evidence));
        let shifted = scene.with_clock_ahead(-7 * MS, 0);
        assert_eq!(told(&judge(&shifted.evidence)), right);
    }
}
