//! The node or the container has too little CPU: packets or answers have to wait for it.
//!
//! Why it happens: one CPU takes all packets, and its backlog fills. Or the CPU quota of the container is used up, so its
//! program stands still for the rest of each period.
//!
//! How it knows: watched packets were dropped because the backlog of a CPU was full. Or the answer to a watched request came
//! late although the connection was made at once, and the cgroup of the program that answers was throttled in the window.
//!
//! Remedy: spread packets over CPUs (RPS, more queues), raise `net.core.netdev_max_backlog`, or raise the container's CPU
//! limit.
//!
//! Silent on: busy nodes on which the watched flow had no delay, throttled containers that answer in time, and slow paths
//! (there, handshakes are slow too).

use crate::case::Case;
use crate::case::far_end::{Process, far_end, holders, listener, process_words};
use crate::case::late_answers::late_answers;
use crate::kernel::drops::Class;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal, warning};
use crate::words::{count, time};

pub const NEEDS: &[Need] = &[Need::Probe("drop"), Need::Probe("path"), Need::Fact("sockets")];

pub fn check(case: &Case<'_>) -> Checked {
    if let Some(finding) = backlog(case) {
        return Ok(vec![finding]);
    }
    Ok(throttled(case).into_iter().collect())
}

fn backlog(case: &Case<'_>) -> Option<Finding> {
    let drops = case.all_drops(Class::Backlog);
    let first = drops.first()?;
    let event = first.event;
    let netns = case.name(event.netns);
    let dropped: u64 = case
        .evidence
        .nodes
        .iter()
        .filter(|node| node.name == case.node(event.netns))
        .filter_map(|node| {
            Some(
                node.after
                    .softnet_dropped
                    .ok()?
                    .saturating_sub(*node.before.softnet_dropped.ok()?),
            )
        })
        .sum();
    let says = format!("a CPU of the node takes packets too slowly: its backlog is full at {netns}");
    let claim = if case.drops(Class::Backlog).is_empty() {
        warning("node-overloaded", says)
    } else {
        fatal("node-overloaded", says)
    };
    Some(
        claim
            .at(case.node(event.netns), &netns)
            .of(drops.iter().map(|drop| drop.attempt))
            .remedy("spread packets over CPUs (RPS, more receive queues), raise net.core.netdev_max_backlog")
            .because(format!(
                "{} of {} dropped ({})",
                count(drops.len(), "packet"),
                event.flow,
                first.words()
            ))
            .and_if((dropped > 0).then(|| {
                format!(
                    "the node dropped {} for that reason in the window",
                    count(dropped as usize, "packet")
                )
            })),
    )
}

fn throttled(case: &Case<'_>) -> Option<Finding> {
    let late = late_answers(case);
    let first = late.first()?;
    let end = far_end(case, first.attempt.id)?;
    let socket = listener(case, end).ok()??;
    let (process, (periods, stood)) = holders(case, end.netns, socket)
        .into_iter()
        .find_map(|process| Some((&process.0, growth(process)?)))?;
    let who = process_words(process);
    let netns = case.name(end.netns);
    let says = format!("{who} in {netns} is throttled: its CPU quota is used up, and answers wait for it");
    let claim = if case.failed().is_empty() {
        warning("node-overloaded", says)
    } else {
        fatal("node-overloaded", says)
    };
    let quota = process.throttling.ok().and_then(|throttling| throttling.quota_percent);
    Some(
        claim
            .at(case.node(end.netns), &netns)
            .of(late.iter().map(|tried| tried.attempt.id))
            .remedy("raise the container's CPU limit, or see what uses its CPU")
            .because(format!(
                "its cgroup was throttled in {periods} periods of the window, {} in all",
                time(stood * 1_000)
            ))
            .and(format!(
                "connected in {}, the first answer came after {}, the exchange took {}",
                time(first.attempt.connected_ns.unwrap_or_default()),
                first
                    .attempt
                    .first_answer_ns
                    .map_or_else(|| "more than the time-out".to_owned(), time),
                time(first.attempt.took_ns)
            ))
            .and_if(quota.map(|percent| format!("its quota is {percent} % of one CPU"))),
    )
}

/// Throttled periods and microseconds in the window, where there were any.
fn growth((before, after): &Process) -> Option<(u64, u64)> {
    let (before, after) = (before.throttling.ok()?, after.as_ref()?.throttling.ok()?);
    let periods = after.throttled.saturating_sub(before.throttled);
    let stood = after.throttled_us.saturating_sub(before.throttled_us);
    (periods > 0).then_some((periods, stood))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::facts::{ProcessFacts, Throttling};
    use model::missing::Known;

    fn answered_after(ms: u64, throttled: u64) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        for attempt in &mut scene.evidence.attempts {
            attempt.first_answer_ns = Some(ms * 1_000_000);
            attempt.received_bytes = 10;
        }
        scene.facts(scenes::C, |facts| {
            if let Known::Known(sockets) = &mut facts.sockets {
                sockets[0].pids = vec![42];
            }
        });
        let process = |throttled| ProcessFacts {
            pid: 42,
            throttling: Known::Known(Throttling {
                throttled,
                throttled_us: throttled * 90_000,
                ..Throttling::default()
            }),
            ..ProcessFacts::default()
        };
        scene.evidence.processes.push((process(0), Some(process(throttled))));
        scene
    }

    #[test]
    fn a_late_answer_of_a_throttled_container_is_it() {
        assert_eq!(
            scenes::causes(&judge(&answered_after(150, 8).evidence)),
            ["node-overloaded"]
        );
    }

    #[test]
    fn late_without_throttling_or_throttled_without_delay_is_not() {
        for (ms, throttled) in [(150, 0), (2, 8)] {
            let causes = scenes::causes(&judge(&answered_after(ms, throttled).evidence));
            assert!(!causes.contains(&"node-overloaded".to_owned()), "{causes:?}");
        }
    }

    #[test]
    fn a_full_backlog_that_met_our_packets_is_it() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::Y, "up0", "CPU_BACKLOG", "enqueue_to_backlog");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["node-overloaded"]);
    }
}
