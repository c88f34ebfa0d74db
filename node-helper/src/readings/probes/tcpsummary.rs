//! `tcpsummary`: a namespace's TCP sockets by state, what waits in them, their listeners' queues, their round trip times.

use crate::facts::sockets;
use crate::readings::{NumberSink, ReadPlace, ReadingProbe};
use model::facts::Socket;
use model::flow::address;
use std::collections::BTreeMap;
use std::net::SocketAddr;

/// Listeners told one by one, at most: those with the longest queues.
const LISTENERS_MAX: usize = 64;

/// See [`crate::readings::READINGS`].
pub const TCPSUMMARY: ReadingProbe = ReadingProbe {
    name: "tcpsummary",
    about: "TCP sockets by state, bytes nobody has read or acknowledged, accept queues, round trip times",
    cost: "up to 1 ms a namespace that has TCP sockets and round: the kernel looks through all of the node's",
    sources: &["SOCK_DIAG_BY_FAMILY"],
    lacking: None,
    of_node: false,
    read: |place, sink| {
        // The kernel looks through all connections of the node to list those of one namespace, however few.
        let sockets = if has_none(place)? {
            Vec::new()
        } else {
            sockets::tcp(place.diag()?)?
        };
        summarize(&sockets, sink);
        Ok(())
    },
};

/// Whether the place has no TCP socket at all, by the kernel's count. (That of `TIME_WAIT` is the whole node's before Linux 6.1.)
fn has_none(place: &mut ReadPlace) -> anyhow::Result<bool> {
    let counts = place.socket_counts()?;
    let of = |name: &str| counts.get(name).copied().unwrap_or_default();
    Ok(of("tcp inuse") + of("tcp6 inuse") + of("tcp TIME_WAIT") == 0)
}

fn summarize(sockets: &[Socket], sink: &mut NumberSink) {
    let mut states: BTreeMap<&str, u64> = BTreeMap::new();
    let (mut unread, mut unacknowledged) = (0, 0);
    let mut rtts = Vec::new();
    let mut listeners = Vec::new();
    for socket in sockets {
        *states.entry(&socket.state).or_default() += 1;
        if socket.state == "LISTEN" {
            listeners.push(socket);
            continue;
        }
        unread += u64::from(socket.rx_queue);
        unacknowledged += u64::from(socket.tx_queue);
        let rtt_us = socket.tcp.map_or(0, |tcp| tcp.rtt_us);
        if socket.state == "ESTABLISHED" && rtt_us > 0 {
            rtts.push(u64::from(rtt_us));
        }
    }
    for state in STATES {
        sink.set(
            "tcpsummary.sockets",
            &[("state", state)],
            states.get(state).copied().unwrap_or_default(),
        );
    }
    sink.set("tcpsummary.unread", &[], unread);
    sink.set("tcpsummary.unacknowledged", &[], unacknowledged);
    rtts.sort_unstable();
    sink.set("tcpsummary.rtt_p50", &[], quantile(&rtts, 50));
    sink.set("tcpsummary.rtt_p99", &[], quantile(&rtts, 99));
    listeners.sort_by_key(|listener| std::cmp::Reverse(listener.rx_queue));
    for listener in listeners.into_iter().take(LISTENERS_MAX) {
        let at = SocketAddr::new(address(listener.flow.saddr), listener.flow.sport).to_string();
        let of = [("listener", at.as_str())];
        sink.set("tcpsummary.waiting", &of, listener.rx_queue.into());
        sink.set("tcpsummary.backlog", &of, listener.tx_queue.into());
    }
}

/// As [`sockets`] names them.
const STATES: [&str; 11] = [
    "ESTABLISHED",
    "SYN_SENT",
    "SYN_RECV",
    "FIN_WAIT1",
    "FIN_WAIT2",
    "TIME_WAIT",
    "CLOSE",
    "CLOSE_WAIT",
    "LAST_ACK",
    "LISTEN",
    "CLOSING",
];

/// So many of a hundred of these sorted values are no larger; 0 of none.
fn quantile(sorted: &[u64], percent: usize) -> u64 {
    let at = (sorted.len() * percent).div_ceil(100).saturating_sub(1);
    sorted.get(at).copied().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::quantile;

    #[test]
    fn a_quantile_is_one_of_the_values() {
        let hundred: Vec<u64> = (1..=100).collect();
        assert_eq!((quantile(&hundred, 50), quantile(&hundred, 99)), (50, 99));
        assert_eq!((quantile(&[7], 50), quantile(&[7], 99), quantile(&[], 50)), (7, 7, 0));
    }
}
