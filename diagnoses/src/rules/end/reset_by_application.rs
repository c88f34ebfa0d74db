//! The peer's application aborts the connection.
//!
//! Why it happens: the program closes its socket before it has read all data, asks for an abort (`SO_LINGER` 0), crashes, or is
//! killed during the connection. Or it has closed an idle connection that the client then uses again (a keep-alive race).
//!
//! How it knows: the watched connection was made and then reset. The peer's own kernel says that its TCP sent the reset, in
//! which state of the socket, and (since 6.10) why. Of the user's own traffic: a connection that had been of use was closed by the
//! far end, the client's next request left all the same, and a reset was all that came back.
//!
//! Remedy: look into the peer's program and its log: requests larger than it reads, early closes, crashes, idle time-outs
//! shorter than the client's. A client should close idle connections before its server does.
//!
//! Silent on: resets of other connections, a connection that the client itself aborts, refused connections (`port-closed`),
//! resets made by a firewall rule or on the way, resets of a listener that never knew the connection (`conntrack-lost`), and what
//! a client says at the end of a connection that its server has closed (TLS' `close_notify`).

use crate::case::far_end::{far_end, resets_sent};
use crate::case::kept_connections::lost_requests;
use crate::case::{Case, Failure};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::words::{at, count, time};
use model::event::{Seen, TcpState};

pub const NEEDS: &[Need] = &[Need::Probe("tcpreset"), Need::Probe("tcpstate"), Need::Probe("path")];

pub fn check(case: &Case<'_>) -> Checked {
    let source = case.evidence.source.netns;
    let mut ids = Vec::new();
    let mut first = None;
    for tried in case.failed() {
        let reset = matches!(tried.failure(), Some(Failure::Reset));
        if !reset {
            continue;
        }
        let end = far_end(case, tried.attempt.id);
        let sent = resets_sent(case, tried.attempt.id).into_iter().find(|event| {
            // Where both ends are in one namespace, the port tells whose reset it is.
            let from_us =
                event.flow.sport == tried.attempt.flow.sport && event.flow.protocol == tried.attempt.flow.protocol;
            let own = Some(event.netns) == source && (from_us || source != end.map(|end| end.netns));
            // A socket that aborts by itself had a connection, even where its client had no time to see it made.
            let had = |active: bool| active || tried.connected();
            matches!(event.seen, Seen::ResetSent { state, active, .. } if state != TcpState::Listen && had(active))
                && !own
        });
        if let Some(event) = sent {
            ids.push(tried.attempt.id);
            first.get_or_insert((tried.attempt, event));
        }
    }
    let Some((attempt, event)) = first else {
        return Ok(idle_too_long(case).into_iter().collect());
    };
    let Seen::ResetSent { reason, state, active } = &event.seen else {
        return Ok(Vec::new());
    };
    let netns = case.name(event.netns);
    let reason = reason.as_deref().unwrap_or("not told");
    let why = meaning(reason, *state);
    let provoked = if *active { "on its own" } else { "in answer to a packet" };
    Ok(vec![
        fatal(
            "reset-by-application",
            format!("the program in {netns} aborts the connection: {why}"),
        )
        .at(case.node(event.netns), &netns)
        .of(ids.iter().copied())
        .remedy(format!(
            "look into the program's log in {netns}: early close, crash, request larger than it reads, idle time-out"
        ))
        .because(format!(
            "TCP of {} sent a reset {provoked} (reason {reason}, socket state {state:?})",
            at(&netns, event.interface.as_deref())
        ))
        .and(match attempt.connected_ns {
            Some(connected_ns) => format!(
                "{} made after {} and then reset",
                count(ids.len(), "connection"),
                time(connected_ns)
            ),
            None => format!("{} reset before the client saw it made", count(ids.len(), "connection")),
        })
        .and_if((attempt.sent_bytes > 0).then(|| {
            format!(
                "{} bytes had been sent, {} bytes received",
                attempt.sent_bytes, attempt.received_bytes
            )
        })),
    ])
}

/// The user's own connections: the program had closed some that their client kept for its next request.
fn idle_too_long(case: &Case<'_>) -> Option<Finding> {
    let lost = lost_requests(case);
    let first = lost.first()?;
    let netns = case.name(first.reset.netns);
    let idle_ns = lost.iter().filter_map(|request| request.idle_ns).min();
    let idle = idle_ns.map_or_else(String::new, |idle| format!(" that was idle for {}", time(idle)));
    let finding = fatal(
        "reset-by-application",
        format!("the program in {netns} had closed a connection{idle} when its client sent the next request into it"),
    )
    .at(case.node(first.reset.netns), &netns)
    .of(lost.iter().map(|request| request.attempt))
    .remedy(format!(
        "let the client close idle connections earlier than the program in {netns} does (its keep-alive or idle time-out), or \
         let it send such a request again on a new connection"
    ))
    .because(format!(
        "{} of {}: TCP of {netns} answered with a reset, and nothing else came",
        count(lost.len(), "request"),
        case.source()
    ))
    .and_if(first.closed_ns.map(|closed| {
        format!("the FIN of {netns} had arrived {} before the request left", time(closed))
    }));
    Some(finding)
}

/// What the kernel's reason says about the program (`enum sk_rst_reason`).
fn meaning(reason: &str, state: TcpState) -> &'static str {
    match reason {
        "TCP_ABORT_ON_CLOSE" => "it closed its socket with data unread",
        "TCP_ABORT_ON_LINGER" | "TCP_DISCONNECT_WITH_DATA" => "it asked for an abort (SO_LINGER 0)",
        "TCP_ABORT_ON_MEMORY" => "its socket memory is used up",
        "TCP_KEEPALIVE_TIMEOUT" => "its keep-alive probes went unanswered",
        "TCP_STATE" => "it ended the connection before it was through",
        "TCP_ABORT_ON_DATA" => "data came after it had closed",
        "TCP_TIMEWAIT_SOCKET" | "NO_SOCKET" => "it had closed the connection before the request came",
        _ if state == TcpState::CloseWait => "it left the connection half closed and then dropped it",
        _ => "its socket was gone or in no state to go on",
    }
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::attempt::Outcome;
    use model::errno::Errno;
    use model::event::{Seen, TcpState};

    fn reset(scene: &mut Scene) {
        scene.connects(3);
        for attempt in &mut scene.evidence.attempts {
            attempt.outcome = Outcome::Error {
                during: "read".to_owned(),
                errno: Errno {
                    number: 104,
                    name: "ECONNRESET".to_owned(),
                },
            };
        }
    }

    fn sent_in(scene: &mut Scene, netns: u32, reason: &str, state: TcpState) {
        for watched in scene.evidence.watched.clone() {
            let seen = Seen::ResetSent {
                reason: Some(reason.to_owned()),
                state,
                active: true,
            };
            scene.saw(netns, "eth0", watched.flow.reversed(), seen);
        }
    }

    #[test]
    fn a_reset_from_the_peers_own_socket_is_its_programs() {
        let mut scene = Scene::two_nodes();
        reset(&mut scene);
        sent_in(&mut scene, scenes::C, "TCP_ABORT_ON_CLOSE", TcpState::Established);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["reset-by-application"]);
        assert!(judgement.verdicts[0].says.contains("data unread"));
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/c"));
    }

    #[test]
    fn a_client_that_had_no_time_to_see_its_connection_made_was_reset_all_the_same() {
        let mut scene = Scene::two_nodes();
        reset(&mut scene);
        for attempt in &mut scene.evidence.attempts {
            attempt.connected_ns = None;
        }
        sent_in(&mut scene, scenes::C, "TCP_ABORT_ON_LINGER", TcpState::Close);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["reset-by-application"]);
        assert!(
            judgement.verdicts[0]
                .because
                .join(" ")
                .contains("before the client saw it made")
        );
    }

    #[test]
    fn a_client_that_aborts_after_its_answer_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        sent_in(&mut scene, scenes::A, "TCP_ABORT_ON_CLOSE", TcpState::Established);
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }

    /// The user's own connection: a request that is answered, a FIN of the far end, and this much more, which meets a reset.
    fn kept(second: &str) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.evidence.passive = true;
        let flow = scene.flow(1);
        let (request, rest) = (60, if second == "request" { 60 } else { 24 });
        let says = [
            (flow, 0x10, 0),
            (flow, 0x18, request),
            (flow.reversed(), 0x10, 0),
            (flow.reversed(), 0x18, 40),
            (flow.reversed(), 0x11, 0),
            (flow, 0x18, rest),
        ];
        for (skb, (way, flags, bytes)) in (1..).zip(says) {
            scene.hop(scenes::A, "eth0", way, skb);
            let packet = scene.evidence.events.last_mut().unwrap().packet.as_mut().unwrap();
            (packet.tcp_flags, packet.len) = (flags, 52 + bytes);
            scene.pauses_ms(100);
        }
        let seen = Seen::ResetSent {
            reason: Some("TCP_ABORT_ON_DATA".to_owned()),
            state: TcpState::FinWait2,
            active: false,
        };
        scene.saw(scenes::C, "eth0", flow.reversed(), seen);
        scene
    }

    #[test]
    fn a_request_into_a_connection_that_the_server_closed_is_lost() {
        let judgement = judge(&kept("request").evidence);
        assert_eq!(scenes::causes(&judgement), ["reset-by-application"]);
        let verdict = &judgement.verdicts[0];
        assert!(verdict.says.contains("idle for 200 ms"), "{}", verdict.says);
        assert!(verdict.remedy.contains("idle time-out"), "{}", verdict.remedy);
        assert_eq!(verdict.place.netns.as_deref(), Some("netns/c"));
    }

    #[test]
    fn a_farewell_into_a_connection_that_the_server_closed_hurts_nobody() {
        assert_eq!(scenes::causes(&judge(&kept("farewell").evidence)), Vec::<String>::new());
    }

    #[test]
    fn where_both_ends_share_a_namespace_our_own_reset_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        reset(&mut scene);
        scene.evidence.source.netns = Some(scenes::C);
        for watched in scene.evidence.watched.clone() {
            let (reason, state, active) = (None, TcpState::Established, true);
            scene.saw(
                scenes::C,
                "eth0",
                watched.flow,
                Seen::ResetSent { reason, state, active },
            );
        }
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"reset-by-application".to_owned()));
        sent_in(&mut scene, scenes::C, "TCP_ABORT_ON_CLOSE", TcpState::Established);
        assert_eq!(scenes::cause(&judge(&scene.evidence)), "reset-by-application");
    }
}
