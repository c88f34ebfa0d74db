//! The receiver's socket buffer overflows: datagrams arrive and are dropped at the socket.
//!
//! Why it happens: the program reads slower than datagrams come (a burst, a slow loop, too little CPU), and its receive buffer
//! (`SO_RCVBUF`, `net.core.rmem_default`) is too small for the burst.
//!
//! How it knows: the kernel dropped datagrams of the watched flow with `SOCKET_RCVBUFF`, or counted them at the very socket
//! they were sent to (its drops and `Udp.RcvbufErrors` grew by what was not read).
//!
//! Remedy: make the program read faster, with more sockets (`SO_REUSEPORT`) or a larger buffer.
//!
//! Silent on: overflows of other sockets, and loss on the way.

use super::{Checked, Need};
use crate::case::Case;
use crate::drops::Class;
use crate::ends::{far_end, holders, latest, listener, process_words, target_words};
use crate::finding::fatal;
use crate::words::count;
use model::event::Seen;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("sockets"),
    Need::Fact("counters"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let drops = case.all_drops(Class::ReceiveBuffer);
    let told: Vec<_> = case
        .tried
        .iter()
        .flat_map(|tried| case.about(tried.attempt.id).map(move |event| (tried.attempt.id, event)))
        .filter(|(_, event)| matches!(event.seen, Seen::ReceiveBufferFull { .. }))
        .collect();
    let mut ids: Vec<u32> = drops.iter().map(|drop| drop.attempt).collect();
    ids.extend(told.iter().map(|(id, _)| *id));
    let Some(end) = ids.first().and_then(|id| far_end(case, *id)) else {
        return Ok(Vec::new());
    };
    let netns = case.name(end.netns);
    let socket = listener(case, end).ok().flatten();
    let program = socket
        .and_then(|socket| holders(case, end.netns, socket).first().copied())
        .map(|process| process_words(latest(process)));
    let who = program.as_deref().unwrap_or("the program");
    let grew = case.growth(end.netns, "Udp.RcvbufErrors").unwrap_or(0)
        + case.growth(end.netns, "Udp6.RcvbufErrors").unwrap_or(0);
    let packets = drops.len().max(told.len());
    let seen = match drops.first() {
        Some(drop) => format!(
            "{} of {} dropped at the socket in {netns} ({})",
            count(packets, "datagram"),
            drop.event.flow,
            drop.words()
        ),
        None => format!("{} found the receive buffer full in {netns}", count(packets, "datagram")),
    };
    Ok(vec![
        fatal(
            "udp-buffer-overflow",
            format!("the receive buffer of {} in {netns} overflows: {who} reads too slowly", target_words(end.flow)),
        )
        .at(case.node(end.netns), &netns)
        .of(ids)
        .remedy(format!("make {who} read faster, or enlarge its buffer (SO_RCVBUF, net.core.rmem_max)"))
        .because(seen)
        .and_if((grew > 0).then(|| format!("RcvbufErrors of {netns} grew by {grew} in the window")))
        .and_if(socket.filter(|socket| socket.rcvbuf_bytes > 0).map(|socket| {
            format!(
                "the socket holds {} bytes unread of {} at most, and has dropped {}",
                socket.rx_queue, socket.rcvbuf_bytes, socket.drops
            )
        })),
    ])
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scene::{self, Scene};

    #[test]
    fn a_datagram_dropped_at_the_socket_names_it() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scene::C, "eth0", "SOCKET_RCVBUFF", "udp_queue_rcv_one_skb");
        assert_eq!(scene::causes(&judge(&scene.evidence)), ["udp-buffer-overflow"]);
    }

    #[test]
    fn another_sockets_overflow_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        scene.connects(3).grew(scene::C, "Udp.RcvbufErrors", 30);
        assert_eq!(scene::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }
}
