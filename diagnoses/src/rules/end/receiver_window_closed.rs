//! The reader stalls: its window is closed, so the sender may not send.
//!
//! Why it happens: the program reads slower than data comes, or not at all, and its receive buffer is full.
//!
//! How it knows: the watched connection is made, and its answers advertise a window of zero bytes while data waits to be sent.
//! This is seen in the packets, or in the sender's own statistics (peer window 0, time blocked by it). And no packet was lost.
//!
//! Remedy: find out why the program does not read. A larger receive buffer helps only against bursts.
//!
//! Silent on: short closures that open again while the exchange goes on, resets (their window is always zero), and loss.

use crate::case::clocks;
use crate::case::far_end::{answer_packets, far_end, holders, latest, listener, process_words};
use crate::case::{Case, Failure};
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::words::{count, time};
use model::attempt::Attempt;
use model::event::Event;
use model::facts::Socket;
use model::flow::{RST, SYN, TCP};
use model::report::Direction;

pub const NEEDS: &[Need] = &[Need::Probe("path"), Need::Fact("sockets"), Need::Fact("counters")];

/// SYN and RST carry windows that say nothing.
const SYN_OR_RST: u8 = SYN | RST;

pub fn check(case: &Case<'_>) -> Checked {
    let mut ids = Vec::new();
    let mut first = None;
    for tried in case.asked() {
        let attempt = tried.attempt;
        let stuck = matches!(
            tried.failure(),
            Some(Failure::Silent("send" | "read" | "write" | "close"))
        );
        if attempt.flow.protocol != TCP || !tried.connected() || !stuck {
            continue;
        }
        let waits = attempt.tcp.is_some_and(|tcp| tcp.not_sent_bytes > 0 || tcp.unacked > 0)
            || attempt
                .acknowledged_bytes
                .is_some_and(|bytes| bytes < attempt.sent_bytes)
            || matches!(tried.failure(), Some(Failure::Silent("send" | "write")));
        let goes_on = |event: &&Event| event.packet.is_some_and(|packet| packet.tcp_flags & SYN_OR_RST == 0);
        let last = answer_packets(case, attempt.id)
            .filter(goes_on)
            .max_by_key(|event| clocks::order(case.evidence, event, Direction::Answer))
            .and_then(|event| event.packet);
        let told = attempt
            .tcp
            .is_some_and(|tcp| tcp.rwnd_limited_us > 200_000 || tcp.peer_window_bytes == 0);
        let closed = last.is_some_and(|packet| packet.window == 0);
        if waits && (closed || (told && last.is_none())) {
            ids.push(attempt.id);
            first.get_or_insert(attempt);
        }
    }
    let Some(attempt) = first else {
        return Ok(Vec::new());
    };
    let Some(end) = far_end(case, attempt.id) else {
        return Ok(Vec::new());
    };
    let netns = case.name(end.netns);
    let zero = answer_packets(case, attempt.id)
        .filter_map(|event| event.packet)
        .filter(|packet| packet.window == 0 && packet.tcp_flags & SYN_OR_RST == 0)
        .count();
    let program = listener(case, end)
        .ok()
        .flatten()
        .and_then(|socket| holders(case, end.netns, socket).first().copied())
        .map(|process| process_words(latest(process)));
    let who = program.as_deref().unwrap_or("the program");
    let advertised = case.growth(end.netns, "TcpExt.TCPToZeroWindowAdv").unwrap_or(0);
    let queued = unread(case, end.netns, attempt.flow);
    Ok(vec![
        fatal(
            "receiver-window-closed",
            format!("{who} in {netns} does not read: its receive window is closed"),
        )
        .at(case.node(end.netns), &netns)
        .of(ids)
        .remedy(format!("see why {who} does not read (blocked, slow, too little CPU)"))
        .because(how_far(attempt))
        .and_if((zero > 0).then(|| format!("{} with a window of 0 bytes seen", count(zero, "answer"))))
        .and_if((advertised > 0).then(|| format!("TCPToZeroWindowAdv of {netns} grew by {advertised}")))
        .and_if(queued.map(|bytes| format!("{bytes} bytes wait unread in the socket of {netns}"))),
    ])
}

/// How far the sender got.
fn how_far(attempt: &Attempt) -> String {
    let took = time(attempt.took_ns);
    match (attempt.sent_bytes, attempt.acknowledged_bytes) {
        (0, None) => format!("connected, and the window was still closed after {took}"),
        (sent, acknowledged) => format!(
            "connected, {} of {sent} bytes acknowledged after {took}, then the window stayed closed",
            acknowledged.unwrap_or_default()
        ),
    }
}

/// Bytes that the program has not read, where the socket was seen.
fn unread(case: &Case<'_>, netns: u32, flow: model::flow::Flow) -> Option<u32> {
    let sockets: &Vec<Socket> = case.after(netns, "sockets", |facts| &facts.sockets).ok()?;
    sockets
        .iter()
        .find(|socket| socket.flow.dport == flow.sport && socket.flow.daddr == flow.saddr && socket.rx_queue > 0)
        .map(|socket| socket.rx_queue)
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::attempt::Outcome;

    fn stuck(window: u16) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.connects(1);
        let attempt = &mut scene.evidence.attempts[0];
        attempt.sent_bytes = 100_000;
        attempt.acknowledged_bytes = Some(8_000);
        let during = "send".to_owned();
        attempt.outcome = Outcome::TimedOut { during };
        let answer = scene.evidence.watched[0].flow.reversed();
        scene.hop(scenes::A, "eth0", answer, 50);
        if let Some(packet) = scene.evidence.events.last_mut().and_then(|event| event.packet.as_mut()) {
            (packet.window, packet.tcp_flags) = (window, 16);
        }
        scene
    }

    #[test]
    fn a_window_that_stays_closed_names_the_reader() {
        let judgement = judge(&stuck(0).evidence);
        assert_eq!(scenes::causes(&judgement), ["receiver-window-closed"]);
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/c"));
    }

    #[test]
    fn an_open_window_is_not_it() {
        let causes = scenes::causes(&judge(&stuck(500).evidence));
        assert!(!causes.contains(&"receiver-window-closed".to_owned()), "{causes:?}");
    }
}
