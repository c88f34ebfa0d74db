//! The connection is made and the data arrived, but the program does not read or answer.
//!
//! Why it happens: the process is stopped (a debugger, SIGSTOP, a frozen cgroup), stuck in the kernel (a dead disk or NFS),
//! busy with garbage collection, in a deadlock, or waiting for something else.
//!
//! How it knows: the kernel made the connection and acknowledged the data, and no packet was lost. Then one of three things is
//! seen: the process that holds the socket is stopped; or the connections still wait to be accepted after the window; or the
//! data was delivered and no answer came in time.
//!
//! Remedy: continue, restart or debug the process. Its stack shows what it waits for (`/proc/PID/stack`, `wchan`).
//!
//! Silent on: loss on the way (then there are retransmissions or drops), full accept queues, closed windows, and programs that
//! answer slowly but in time.

use crate::case::far_end::{FarEnd, Process, far_end, holders, latest, listener, listener_before, process_words};
use crate::case::trail::Leg;
use crate::case::{Case, Failure, Tried};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::shell::command;
use crate::words::{count, time};
use model::facts::ProcessFacts;
use model::flow::{TCP, UDP};
use model::report::Direction;

pub const NEEDS: &[Need] = &[
    Need::Probe("path"),
    Need::Probe("tcpretrans"),
    Need::Probe("drop"),
    Need::Fact("sockets"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let connected: Vec<&Tried<'_>> = case
        .asked()
        .filter(|tried| tried.attempt.flow.protocol == TCP && tried.connected())
        .collect();
    let Some(end) = connected.iter().find_map(|tried| far_end(case, tried.attempt.id)) else {
        return Ok(not_read(case).into_iter().collect());
    };
    // Sockets that were not read decide nothing about a connection that works.
    let socket = listener(case, end).ok().flatten();
    let holder = socket.and_then(|socket| holders(case, end.netns, socket).first().copied());
    let silent: Vec<&Tried<'_>> = connected
        .iter()
        .copied()
        .filter(|tried| unanswered(case, tried))
        .collect();
    if !silent.is_empty() {
        return Ok(vec![no_answer(case, end, holder, &silent)]);
    }
    let waiting = socket.map_or(0, |socket| socket.rx_queue);
    let before = listener_before(case, end).map_or(0, |socket| socket.rx_queue);
    let ours = connected.len() as u32;
    // A queue that is too short for what comes fails other connections; only a process that stands still is deeper than that.
    let stands_still = holder.map(latest).is_some_and(stopped);
    let accepts_none = stands_still || case.failed().is_empty();
    if ours > 0 && accepts_none && waiting >= before + ours {
        return Ok(vec![not_accepted(case, end, holder, &connected, waiting)]);
    }
    Ok(Vec::new())
}

/// Datagrams arrived and went unanswered, and the process that should read them is stopped.
fn not_read(case: &Case<'_>) -> Option<Finding> {
    let silent: Vec<_> = case
        .failed()
        .into_iter()
        .filter(|tried| tried.attempt.flow.protocol == UDP && matches!(tried.failure(), Some(Failure::Silent(_))))
        .collect();
    let id = silent.first()?.attempt.id;
    let end = far_end(case, id)?;
    let request = case.leg(id, Direction::Request)?;
    let holder = holders(case, end.netns, listener(case, end).ok()??).first().copied()?;
    if !request.reached(end.netns) || !request.drops.is_empty() || !stopped(latest(holder)) {
        return None;
    }
    let (netns, (who, state)) = (case.name(end.netns), describe(Some(holder)));
    let says = format!("{who} in {netns} {} and reads nothing", state.unwrap_or("stands still"));
    let arrived = format!("the request arrived in {netns} and went unanswered, and no packet of it was lost");
    Some(
        claim(case, end, Some(holder), says)
            .of(silent.iter().map(|tried| tried.attempt.id))
            .because(arrived)
            .and(state_words(latest(holder))),
    )
}

/// Time ran out while waiting for an answer to data that the far end's kernel had taken.
fn unanswered(case: &Case<'_>, tried: &Tried<'_>) -> bool {
    let attempt = tried.attempt;
    let waits = matches!(tried.failure(), Some(Failure::Silent("read" | "receive" | "answer")));
    let taken = attempt.sent_bytes > 0
        && attempt
            .acknowledged_bytes
            .map_or(attempt.tcp.is_some_and(|tcp| tcp.unacked == 0), |bytes| {
                bytes >= attempt.sent_bytes
            });
    let whole = [Direction::Request, Direction::Answer].into_iter().all(|direction| {
        case.leg(attempt.id, direction)
            .is_none_or(|leg| leg.drops.is_empty() && Leg::retransmits(leg) == 0)
    });
    waits && taken && whole && attempt.received_bytes == 0 && case.saw_all_by(&["drop", "tcpretrans"])
}

fn no_answer(case: &Case<'_>, end: FarEnd, holder: Option<&Process>, silent: &[&Tried<'_>]) -> Finding {
    let netns = case.name(end.netns);
    let attempt = silent[0].attempt;
    let (who, state) = describe(holder);
    let says = match state {
        Some(state) => format!("{who} in {netns} {state} and does not answer"),
        None => format!("{who} in {netns} takes the connection and the data, and does not answer"),
    };
    claim(case, end, holder, says)
        .of(silent.iter().map(|tried| tried.attempt.id))
        .because(format!(
            "connected in {}, {} bytes sent and acknowledged, no byte came back in {}",
            time(attempt.connected_ns.unwrap_or_default()),
            attempt.sent_bytes,
            time(attempt.took_ns)
        ))
        .and("no packet of it was lost or sent again".to_owned())
        .and_if(holder.map(|process| state_words(latest(process))))
}

fn not_accepted(
    case: &Case<'_>,
    end: FarEnd,
    holder: Option<&Process>,
    connected: &[&Tried<'_>],
    waiting: u32,
) -> Finding {
    let netns = case.name(end.netns);
    let (who, state) = describe(holder);
    let says = match state {
        Some(state) => format!("{who} in {netns} {state}: it accepts no connection"),
        None => format!("{who} in {netns} accepts no connection: the kernel makes them, nobody takes them"),
    };
    claim(case, end, holder, says)
        .of(connected.iter().map(|tried| tried.attempt.id))
        .because(format!(
            "{} made by the kernel, {} still waiting to be accepted after the window",
            count(connected.len(), "connection"),
            waiting
        ))
        .and_if(holder.map(|process| state_words(latest(process))))
}

fn claim(case: &Case<'_>, end: FarEnd, holder: Option<&Process>, says: String) -> crate::verdict::finding::Claim {
    let remedy = match holder.map(latest) {
        Some(process) if stopped(process) => {
            Remedy::from("continue it").run(": ", command("kill -CONT {}", &[&process.pid]))
        }
        Some(process) => Remedy::from("see what it waits for")
            .run(": ", command("cat {}", &[&format!("/proc/{}/stack", process.pid)]))
            .say(", its log; then restart it"),
        None => format!("find the program in {} and see what it waits for", case.name(end.netns)).into(),
    };
    fatal("application-stalled", says)
        .at(case.node(end.netns), case.name(end.netns))
        .remedy(remedy)
}

fn stopped(process: &ProcessFacts) -> bool {
    matches!(process.state.as_str(), "T" | "t")
}

fn describe(holder: Option<&Process>) -> (String, Option<&'static str>) {
    match holder.map(latest) {
        Some(process) => (
            process_words(process),
            match process.state.as_str() {
                "T" => Some("is stopped"),
                "t" => Some("is held by a debugger"),
                "D" => Some("is stuck in the kernel"),
                _ => None,
            },
        ),
        None => ("the program".to_owned(), None),
    }
}

fn state_words(process: &ProcessFacts) -> String {
    let sleeps = process.wchan.as_deref().filter(|wchan| !matches!(*wchan, "" | "0"));
    let at = sleeps.map_or(String::new(), |wchan| format!(", in {wchan}"));
    format!("{} is in state {}{at}", process_words(process), process.state)
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::attempt::Outcome;
    use model::facts::{ProcessFacts, Socket};
    use model::flow::{Flow, UDP};
    use model::missing::Known;

    fn waiting(scene: &mut Scene, count: u32) {
        scene.facts(scenes::C, |facts| {
            if let Known::Known(sockets) = &mut facts.sockets {
                sockets[0].pids = vec![42];
            }
        });
        scene.after(scenes::C, |facts| {
            if let Known::Known(sockets) = &mut facts.sockets {
                sockets[0].rx_queue = count;
            }
        });
    }

    fn process(scene: &mut Scene, state: &str) {
        let process = ProcessFacts {
            pid: 42,
            netns: scenes::C,
            name: "server".to_owned(),
            state: state.to_owned(),
            ..ProcessFacts::default()
        };
        scene.evidence.processes.push((process.clone(), Some(process)));
    }

    #[test]
    fn connections_that_a_stopped_process_does_not_accept_name_it() {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        waiting(&mut scene, 3);
        process(&mut scene, "T");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["application-stalled"]);
        assert!(judgement.verdicts[0].says.contains("server (pid 42)"));
        assert!(judgement.verdicts[0].says.contains("is stopped"));
    }

    #[test]
    fn a_stopped_reader_of_datagrams_is_named_and_a_running_one_is_not() {
        for (state, named) in [("T", true), ("S", false)] {
            let mut scene = scenes::dns::LookupScene::of("web").silence("web").scene();
            process(&mut scene, state);
            scene.facts(scenes::C, |facts| {
                facts.sockets = Known::Known(vec![Socket {
                    flow: Flow::new(UDP, "[::]:53".parse().unwrap(), "[::]:0".parse().unwrap()),
                    state: "UNCONN".to_owned(),
                    pids: vec![42],
                    ..Socket::default()
                }]);
            });
            let causes = scenes::causes(&judge(&scene.evidence));
            assert_eq!(causes == ["application-stalled"], named, "{state}: {causes:?}");
        }
    }

    #[test]
    fn a_queue_that_overflows_is_not_a_stall() {
        let mut scene = Scene::two_nodes();
        scene.connects(2);
        waiting(&mut scene, 2);
        let flow = scene.flow(7);
        let during = "connect".to_owned();
        scene.attempt(7, flow, Outcome::TimedOut { during });
        let causes = scenes::causes(&judge(&scene.evidence));
        assert!(!causes.contains(&"application-stalled".to_owned()), "{causes:?}");
    }

    #[test]
    fn data_that_is_taken_and_never_answered_names_it() {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        for attempt in &mut scene.evidence.attempts {
            attempt.sent_bytes = 5;
            attempt.acknowledged_bytes = Some(5);
            let during = "read".to_owned();
            attempt.outcome = Outcome::TimedOut { during };
        }
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["application-stalled"]);
        // An answer that was lost may not have been told.
        scene.misses("drop", 1);
        let causes = scenes::causes(&judge(&scene.evidence));
        assert!(!causes.contains(&"application-stalled".to_owned()), "{causes:?}");
    }

    #[test]
    fn a_stopped_process_elsewhere_and_a_queue_that_was_there_accuse_nobody() {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        process(&mut scene, "T");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
        let mut busy = Scene::two_nodes();
        busy.connects(3);
        waiting(&mut busy, 1);
        assert_eq!(scenes::causes(&judge(&busy.evidence)), Vec::<String>::new());
    }
}
