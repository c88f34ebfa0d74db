//! The application does not accept connections fast enough: its accept queue is full.
//!
//! Why it happens: the program is busy, blocked (a lock, garbage collection, a slow disk) or throttled. Or its backlog is too
//! small for its bursts of connections. The kernel then drops the SYN, or the last ACK of the handshake, and tells nobody.
//!
//! How it knows: the listener of the watched flow holds more connections than it may (`Recv-Q` above `Send-Q`), and
//! `TcpExt.ListenOverflows` of its namespace grew in the window, while the watched request arrived and got no answer. Or the
//! kernel dropped the watched handshake itself for this reason. Where an eBPF program can hand the request to the pod unseen, as
//! many overflows must have been counted as packets of the request came to the program. If several sockets share the port (`SO_REUSEPORT`), the rule
//! means the one whose queue is full.
//!
//! Remedy: make the program accept faster, or raise its backlog (the argument of listen(2), and `net.core.somaxconn`).
//!
//! Silent on: listeners whose queue has room, overflows of other listeners, half-open connections (`syn-queue-full`).

use crate::case::Case;
use crate::case::far_end::{far_end, holders, latest, listeners, process_words, takes, target_words, unanswered};
use crate::case::unseen_arrivals::unseen;
use crate::kernel::drops::Class;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::words::count;
use model::facts::Socket;
use model::report::Direction;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("bpf"),
    Need::Fact("sockets"),
    Need::Fact("counters"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let mut dropped = case.all_drops(Class::ListenOverflow);
    dropped.retain(|drop| drop.direction == Direction::Request);
    let unanswered = unanswered(case);
    let unseen = unseen(case).filter(|_| dropped.is_empty() && unanswered.is_empty());
    let Some(end) = dropped
        .first()
        .and_then(|drop| far_end(case, drop.attempt))
        .or_else(|| unanswered.first().map(|(_, end)| *end))
        .or_else(|| unseen.as_ref().map(|unseen| unseen.end))
    else {
        return Ok(Vec::new());
    };
    let grew = case.growth(end.netns, "TcpExt.ListenOverflows")?;
    if unseen.as_ref().is_some_and(|unseen| grew < unseen.packets) {
        return Ok(Vec::new());
    }
    // Several sockets may share the port (SO_REUSEPORT): the kernel gives each of them its share, however it fares.
    let sharing: Vec<&Socket> = listeners(case, end)?
        .into_iter()
        .filter(|socket| takes(socket, end.flow.dst()))
        .collect();
    let socket = sharing
        .iter()
        .copied()
        .find(|socket| is_full(socket))
        .or_else(|| sharing.first().copied());
    if dropped.is_empty() && (grew == 0 || !socket.is_some_and(is_full)) {
        return Ok(Vec::new());
    }
    let mut ids: Vec<u32> = dropped.iter().map(|drop| drop.attempt).collect();
    ids.extend(unanswered.iter().map(|(id, _)| *id));
    ids.extend(unseen.iter().flat_map(|unseen| &unseen.attempts));
    let netns = case.name(end.netns);
    let program = socket
        .and_then(|socket| holders(case, end.netns, socket).first().copied())
        .map(|process| process_words(latest(process)));
    let who = program.as_deref().unwrap_or("the program");
    let seen = match (dropped.first(), &unseen) {
        (_, Some(unseen)) => format!(
            "{} of the request came to {}",
            count(usize::try_from(unseen.packets).unwrap_or(usize::MAX), "packet"),
            unseen.place
        ),
        (Some(drop), None) => format!(
            "{} of the watched handshake dropped in {netns} ({})",
            count(dropped.len(), "packet"),
            drop.words()
        ),
        (None, None) => format!("the request arrived in {netns} and was not answered, and no drop of it was seen"),
    };
    Ok(vec![
        fatal(
            "accept-queue-full",
            format!("{who} in {netns} does not accept fast enough: the accept queue of {} is full", target_words(end.flow)),
        )
        .at(case.node(end.netns), &netns)
        .of(ids)
        .remedy(format!(
            "see what keeps {who} from accepting (CPU, locks, file descriptors), or raise its backlog and net.core.somaxconn"
        ))
        .because(seen)
        .and_if(socket.map(|socket| {
            format!(
                "{} waiting to be accepted, the most is {}",
                count(socket.rx_queue as usize, "connection"),
                socket.tx_queue
            )
        }))
        .and_if((sharing.len() > 1).then(|| {
            format!(
                "{} listen there and share what comes (SO_REUSEPORT); the queue of {} is full",
                count(sharing.len(), "socket"),
                sharing.iter().filter(|socket| is_full(socket)).count()
            )
        }))
        .and_if((grew > 0).then(|| format!("ListenOverflows of {netns} grew by {grew} in the window"))),
    ])
}

/// The kernel takes one more than the backlog says.
fn is_full(socket: &Socket) -> bool {
    socket.rx_queue > socket.tx_queue
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::missing::Known;

    fn queue(scene: &mut Scene, waiting: u32, most: u32) {
        scene.facts(scenes::C, |facts| {
            if let Known::Known(sockets) = &mut facts.sockets {
                sockets[0].rx_queue = waiting;
                sockets[0].tx_queue = most;
            }
        });
    }

    #[test]
    fn a_full_queue_and_an_unanswered_request_name_it() {
        let mut scene = Scene::two_nodes();
        queue(&mut scene, 2, 1);
        scene
            .vanishes(3, scenes::C, "eth0")
            .grew(scenes::C, "TcpExt.ListenOverflows", 6);
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["accept-queue-full"]);
    }

    #[test]
    fn what_a_program_hands_to_the_pod_unseen_is_known_by_as_many_overflows() {
        let came_to_a_program = |overflows| {
            let mut scene = Scene::two_nodes();
            queue(&mut scene, 2, 1);
            scene.facts(scenes::Y, |facts| {
                facts.bpf = Known::Known(vec![model::facts::BpfAttachment {
                    kind: "tcx-ingress".to_owned(),
                    on: "up0".to_owned(),
                    ifindex: 2,
                    id: 7,
                    name: "cil_from_netdev".to_owned(),
                }]);
            });
            scene
                .vanishes(3, scenes::Y, "up0")
                .grew(scenes::C, "TcpExt.ListenOverflows", overflows);
            judge(&scene.evidence)
        };
        let judgement = came_to_a_program(3);
        assert_eq!(scenes::causes(&judgement), ["accept-queue-full"]);
        let because = judgement.verdicts[0].because.join("\n");
        assert!(because.contains("3 packets of the request came to"), "{because}");
        let judgement = came_to_a_program(2);
        assert_eq!(scenes::causes(&judgement), ["unexplained-timeout"]);
        let because = judgement.verdicts[0].because.join("\n");
        assert!(
            because.contains("cannot be told") && !because.contains("never seen"),
            "{because}"
        );
    }

    #[test]
    fn of_several_listeners_that_share_a_port_the_full_one_is_meant() {
        let mut scene = Scene::two_nodes();
        queue(&mut scene, 0, 128);
        scene.facts(scenes::C, |facts| {
            if let Known::Known(sockets) = &mut facts.sockets {
                let stuck = model::facts::Socket {
                    rx_queue: 2,
                    tx_queue: 1,
                    ..sockets[0].clone()
                };
                sockets.push(stuck);
            }
        });
        scene
            .vanishes(3, scenes::C, "eth0")
            .grew(scenes::C, "TcpExt.ListenOverflows", 6);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["accept-queue-full"]);
        let because = judgement.verdicts[0].because.join("\n");
        assert!(
            because.contains("2 connections waiting") && because.contains("the queue of 1 is full"),
            "{because}"
        );
    }

    #[test]
    fn the_last_ack_refused_names_it() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::C, "eth0", "TCP_LISTEN_OVERFLOW", "tcp_v4_rcv");
        assert_eq!(scenes::cause(&judge(&scene.evidence)), "accept-queue-full");
    }

    #[test]
    fn an_overflow_of_another_listener_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        queue(&mut scene, 0, 128);
        scene
            .vanishes(3, scenes::C, "eth0")
            .grew(scenes::C, "TcpExt.ListenOverflows", 6);
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"accept-queue-full".to_owned()));
        let mut healthy = Scene::two_nodes();
        queue(&mut healthy, 2, 1);
        healthy.connects(3).grew(scenes::C, "TcpExt.ListenOverflows", 6);
        assert_eq!(scenes::causes(&judge(&healthy.evidence)), Vec::<String>::new());
    }
}
