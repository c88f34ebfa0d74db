//! The program that should answer waits for a disk.
//!
//! Why it happens: it has to read or write before it can answer, and the disk is busy with others, at a limit of the provider or of
//! the pod's cgroup, or broken. The network has no part in it.
//!
//! How it knows: the connection was made at once, and the answer came late or not at all. Meanwhile, requests to a block device that
//! the process of the listening socket itself had sent were not done: together for at least half of the time that the answer took.
//!
//! Remedy: see what else uses the disk and which limit it has (`kubectl skoop top --view disk`, `kubectl skoop latency`). Move the data to
//! a faster disk, raise the limit, or keep what is asked for in memory.
//!
//! Silent on: disks that others wait for, disks that are slow while no answer is late, and disks that take less than half of the time that
//! an answer took. It sees no waits that are not for a device: network file systems, limits that hold a request back before the
//! device is asked, and journals, which a thread of the kernel writes for all. And one end alone (`diagnose web-7c9`): there nobody
//! times the answers, and so disks are not watched either; `kubectl skoop latency` shows what takes the time.

use crate::case::clocks::error_ns;
use crate::case::far_end::{FarEnd, Process, far_end, holders, latest, listener, process_words};
use crate::case::late_answers::late_answers;
use crate::case::{Case, Tried};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal, warning};
use crate::words::{count, time};
use model::event::{Event, Seen};

pub const NEEDS: &[Need] = &[Need::Probe("biolatency"), Need::Probe("path"), Need::Fact("sockets")];

pub fn check(case: &Case<'_>) -> Checked {
    Ok(waits_for_disk(case).into_iter().collect())
}

/// What one answer had to wait for.
struct Wait<'a> {
    tried: &'a Tried<'a>,
    process: &'a Process,
    device: &'a str,
    /// How many requests, how long the longest took, and how long there was one under way.
    requests: usize,
    longest_ns: u64,
    covered_ns: u64,
    /// How long the answer took.
    answer_ns: u64,
}

fn waits_for_disk(case: &Case<'_>) -> Option<Finding> {
    let late = late_answers(case);
    let end = far_end(case, late.first()?.attempt.id)?;
    let socket = listener(case, end).ok()??;
    let processes = holders(case, end.netns, socket);
    let waits: Vec<Wait<'_>> = late
        .iter()
        .filter(|tried| far_end(case, tried.attempt.id).is_some_and(|own| own.netns == end.netns))
        .filter_map(|tried| processes.iter().find_map(|process| wait(case, end, tried, process)))
        .collect();
    let worst = waits.iter().max_by_key(|wait| wait.covered_ns)?;
    let who = process_words(latest(worst.process));
    let netns = case.name(end.netns);
    let says = format!(
        "{who} in {netns} waits for disk {}, and answers wait for it",
        worst.device
    );
    let claim = if case.failed().is_empty() {
        warning("disk-slow", says)
    } else {
        fatal("disk-slow", says)
    };
    let attempt = worst.tried.attempt;
    Some(
        claim
            .at(case.node(end.netns), &netns)
            .of(waits.iter().map(|wait| wait.tried.attempt.id))
            .remedy(format!(
                "see what else uses disk {} and which limit it has; move the data, or raise the limit",
                worst.device
            ))
            .because(format!(
                "{} of it to {} under way for {} of the {} that an answer took, the longest for {}",
                count(worst.requests, "request"),
                worst.device,
                time(worst.covered_ns),
                time(worst.answer_ns),
                time(worst.longest_ns)
            ))
            .and(format!(
                "connected in {}, the first answer came after {}",
                time(attempt.connected_ns.unwrap_or_default()),
                attempt
                    .first_answer_ns
                    .map_or_else(|| "more than the time-out".to_owned(), time)
            )),
    )
}

/// The wait of a process for one device, where it explains a late answer: it takes half of its time at least.
fn wait<'a>(case: &'a Case<'_>, end: FarEnd, tried: &'a Tried<'a>, process: &'a Process) -> Option<Wait<'a>> {
    let attempt = tried.attempt;
    let from = attempt.started_ns + attempt.connected_ns?;
    let answer_ns = attempt.first_answer_ns.unwrap_or(attempt.took_ns);
    let to = attempt.started_ns + answer_ns;
    let answer_ns = to.checked_sub(from)?;
    let node = case.node(end.netns);
    let source = case.evidence.source_netns().map_or("", |source| source.node.as_str());
    if error_ns(case.evidence, source, &node)? > answer_ns / 4 {
        return None;
    }
    let of_process = |event: &&Event| {
        event.pid == process.0.pid && (node.is_empty() || case.evidence.node_of(event) == node.as_str())
    };
    let events = case.evidence.events.iter().filter(of_process);
    let requests: Vec<(&str, u64, u64, u64)> = events
        .filter_map(|event| match &event.seen {
            Seen::Slow {
                took_ns,
                device: Some(device),
                ..
            } => {
                let began = event.at_ns.saturating_sub(*took_ns).max(from);
                let ended = event.at_ns.min(to);
                (began < ended).then_some((device.as_str(), began, ended, *took_ns))
            }
            _ => None,
        })
        .collect();
    let device = requests.iter().max_by_key(|(.., took_ns)| *took_ns)?.0;
    let mut own: Vec<_> = requests.into_iter().filter(|(of, ..)| *of == device).collect();
    own.sort_unstable_by_key(|(_, began, ..)| *began);
    // Several at the same time are one wait.
    let (mut covered_ns, mut reached) = (0, from);
    for (_, began, ended, _) in &own {
        covered_ns += ended.saturating_sub(reached.max(*began));
        reached = reached.max(*ended);
    }
    (covered_ns >= answer_ns / 2).then(|| Wait {
        tried,
        process,
        device,
        requests: own.len(),
        longest_ns: own.iter().map(|(.., took_ns)| *took_ns).max().unwrap_or_default(),
        covered_ns,
        answer_ns,
    })
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::attempt::Outcome;
    use model::event::{Event, Seen, SlowStage};
    use model::facts::ProcessFacts;
    use model::flow::Flow;
    use model::missing::Known;
    use model::owner::Owner;

    const MS: u64 = 1_000_000;
    const SERVER: u32 = 42;

    /// Three connections, each answered so late by a process that listens.
    fn answered_after(ms: u64) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        for attempt in &mut scene.evidence.attempts {
            attempt.sent_bytes = 5;
            attempt.received_bytes = 10;
            attempt.first_answer_ns = Some(ms * MS);
            attempt.took_ns = ms * MS;
        }
        scene.facts(scenes::C, |facts| {
            if let Known::Known(sockets) = &mut facts.sockets {
                sockets[0].pids = vec![SERVER];
            }
        });
        let process = ProcessFacts {
            pid: SERVER,
            netns: scenes::C,
            name: "db".to_owned(),
            state: "S".to_owned(),
            ..ProcessFacts::default()
        };
        scene.evidence.processes.push((process.clone(), Some(process)));
        scene
    }

    /// A request of a process took from one moment of each attempt to another, in milliseconds after its start.
    fn disk(scene: &mut Scene, pid: u32, (from, to): (u64, u64)) {
        for attempt in &scene.evidence.attempts {
            let took_ns = (to - from) * MS;
            scene.evidence.events.push(Event {
                node: String::new(),
                at_ns: attempt.started_ns + to * MS,
                probe: "biolatency".to_owned(),
                netns: scenes::C,
                ifindex: 0,
                interface: None,
                pid,
                process: None,
                owner: Owner::Unknown,
                flow: Flow::default(),
                skb: 0,
                sk: 0,
                packet: None,
                exchanged: None,
                quoted: None,
                attempt: None,
                seen: Seen::Slow {
                    took_ns,
                    stages: vec![SlowStage {
                        stage: "biolatency.read".to_owned(),
                        took_ns,
                    }],
                    device: Some("vda".to_owned()),
                },
            });
        }
    }

    fn causes(scene: &Scene) -> Vec<String> {
        scenes::causes(&judge(&scene.evidence))
    }

    #[test]
    fn an_answer_that_comes_when_the_disk_has_is_its_and_says_how_long_it_took() {
        let mut scene = answered_after(400);
        disk(&mut scene, SERVER, (5, 200));
        disk(&mut scene, SERVER, (150, 390));
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["disk-slow"]);
        let verdict = &judgement.verdicts[0];
        assert!(
            verdict.says.contains("db (pid 42)") && verdict.says.contains("disk vda"),
            "{verdict:?}"
        );
        assert!(
            verdict.because[0].contains("of it to vda under way for 385 ms of the 399 ms"),
            "{verdict:?}"
        );
    }

    #[test]
    fn an_answer_that_never_comes_while_the_disk_is_asked_is_its_and_no_stall_of_the_program() {
        let mut scene = answered_after(3_000);
        for attempt in &mut scene.evidence.attempts {
            attempt.first_answer_ns = None;
            attempt.received_bytes = 0;
            attempt.acknowledged_bytes = Some(5);
            let during = "read".to_owned();
            attempt.outcome = Outcome::TimedOut { during };
        }
        assert_eq!(causes(&scene), ["application-stalled"]);
        disk(&mut scene, SERVER, (5, 3_500));
        assert_eq!(causes(&scene), ["disk-slow"]);
    }

    #[test]
    fn the_disk_of_another_process_and_one_that_takes_little_of_the_time_accuse_nobody() {
        let mut neighbour = answered_after(400);
        disk(&mut neighbour, SERVER + 1, (5, 390));
        let mut little = answered_after(400);
        disk(&mut little, SERVER, (5, 150));
        for scene in [neighbour, little] {
            assert_eq!(causes(&scene), Vec::<String>::new());
        }
    }

    #[test]
    fn a_slow_disk_whose_process_answers_in_time_or_waited_at_another_time_accuses_nobody() {
        let mut in_time = answered_after(50);
        disk(&mut in_time, SERVER, (1, 2_000));
        let mut later = answered_after(400);
        disk(&mut later, SERVER, (410, 900));
        for scene in [in_time, later] {
            assert_eq!(causes(&scene), Vec::<String>::new());
        }
    }
}
