//! `tcpsummary`: a namespace's TCP sockets by state, what waits in them, their listeners' queues, their round trip times.

use crate::facts::sockets;
use crate::readings::{NumberSink, ReadingProbe};
use crate::system::door;
use model::facts::Socket;
use model::flow::address;
use std::collections::{BTreeMap, HashSet};
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
        let all = place.tcp_sockets()?;
        summarize(all.iter(), &[], sink);
        if place.is_host() {
            for (pod, pids) in place.groups() {
                let held = pids.iter().flat_map(|pid| sockets::held_among(*pid, door::ENTRIES_MAX));
                let held: HashSet<u64> = held.collect();
                let own = all.iter().filter(|socket| held.contains(&socket.inode));
                summarize(own, &pod.with(&[]), sink);
            }
        }
        Ok(())
    },
};

/// What these sockets come to, told with these labels.
fn summarize<'a>(sockets: impl Iterator<Item = &'a Socket>, of: &[(&str, &str)], sink: &mut NumberSink) {
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
        let of: Vec<(&str, &str)> = of.iter().copied().chain([("state", state)]).collect();
        sink.set(
            "tcpsummary.sockets",
            &of,
            states.get(state).copied().unwrap_or_default(),
        );
    }
    sink.set("tcpsummary.unread", of, unread);
    sink.set("tcpsummary.unacknowledged", of, unacknowledged);
    rtts.sort_unstable();
    sink.set("tcpsummary.rtt_p50", of, quantile(&rtts, 50));
    sink.set("tcpsummary.rtt_p99", of, quantile(&rtts, 99));
    listeners.sort_by_key(|listener| std::cmp::Reverse(listener.rx_queue));
    for listener in listeners.into_iter().take(LISTENERS_MAX) {
        let at = SocketAddr::new(address(listener.flow.saddr), listener.flow.sport).to_string();
        let of: Vec<(&str, &str)> = of.iter().copied().chain([("listener", at.as_str())]).collect();
        sink.set("tcpsummary.waiting", &of, listener.rx_queue.into());
        sink.set("tcpsummary.backlog", &of, listener.tx_queue.into());
    }
}

/// As [`crate::facts::sockets`] names them.
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

/// The value that this percentage of the sorted values does not exceed; 0 where there is none.
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
