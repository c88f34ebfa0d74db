//! `peers`: whom the sockets of a place are connected to, and what waits and is lost on the way to each.

use crate::facts::{peers, sockets};
use crate::readings::ReadingProbe;
use model::facts::SocketPeer;
use model::flow::protocol_name;
use std::cmp::Reverse;

/// Peers told one by one, at most: those first to which something waits.
const TOLD: usize = 256;

/// See [`crate::readings::READINGS`].
pub const PEERS: ReadingProbe = ReadingProbe {
    name: "peers",
    about: "each peer that sockets are connected to: connections made and asked for, round trip time, bytes that wait, segments sent again",
    cost: "what tcpsummary costs, and up to 1 ms more a namespace for connected UDP sockets",
    sources: &["SOCK_DIAG_BY_FAMILY"],
    lacking: None,
    of_node: false,
    read: |place, sink| {
        let tcp = place.tcp_sockets()?;
        let udp = sockets::connected_udp(place.diag()?)?;
        let mut all = peers::peers(tcp.iter().chain(&udp));
        let waits = |peer: &SocketPeer| peer.unread_bytes + peer.unacknowledged_bytes;
        all.sort_by_key(|peer| Reverse((peer.opening, waits(peer), peer.resent, peer.connections)));
        sink.set("peers.left_out", &[], all.len().saturating_sub(TOLD) as u64);
        for peer in all.iter().take(TOLD) {
            let (role, address) = if peer.is_server {
                ("server", peer.client)
            } else {
                ("client", peer.server)
            };
            let (address, port) = (
                address.to_string(),
                format!("{}/{}", peer.port, protocol_name(peer.protocol)),
            );
            let of = [("peer", address.as_str()), ("port", port.as_str()), ("role", role)];
            for (name, value) in [
                ("peers.connections", u64::from(peer.connections)),
                ("peers.opening", u64::from(peer.opening)),
                ("peers.rtt_p50", u64::from(peer.rtt_p50_us)),
                ("peers.unread", peer.unread_bytes),
                ("peers.unacknowledged", peer.unacknowledged_bytes),
                ("peers.resent", peer.resent),
                ("peers.sent_bytes", peer.sent_bytes),
                ("peers.received_bytes", peer.received_bytes),
            ] {
                sink.set(name, &of, value);
            }
        }
        Ok(())
    },
};
