//! Whom sockets are connected to (`SOCK_DIAG`): thousands of connections are a few peers.

use super::{Fact, sockets};
use crate::system::netlink::Netlink;
use anyhow::bail;
use model::facts::{NetnsFacts, Socket, SocketPeer};
use model::flow::TCP;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub(super) const FACT: Fact = Fact {
    name: "peers",
    moves: true,
    read: |look, facts: &mut NetnsFacts| facts.peers = look.known("peers of its sockets", read()),
};

/// More peers than this are not told: of a proxy to the whole internet nobody draws a map.
const PEERS_MAX: usize = 4_096;

fn read() -> anyhow::Result<Vec<SocketPeer>> {
    let mut diag = Netlink::open(libc::NETLINK_SOCK_DIAG)?;
    let mut all = sockets::tcp(&mut diag)?;
    all.extend(sockets::connected_udp(&mut diag)?);
    let peers = peers(all.iter());
    if peers.len() > PEERS_MAX {
        bail!("it has {} peers, and no more than {PEERS_MAX} are told", peers.len());
    }
    Ok(peers)
}

/// Which peer, port and role.
type Key = (bool, IpAddr, IpAddr, u16, u8);

/// What the sockets of one peer come to.
#[derive(Default)]
struct Sum {
    connections: u32,
    opening: u32,
    rtts_us: Vec<u32>,
    sent_bytes: u64,
    received_bytes: u64,
    unread_bytes: u64,
    unacknowledged_bytes: u64,
    resent: u64,
}

/// The sockets by peer, in order. Connections within the namespace leave it nowhere, and are left out.
pub(crate) fn peers<'a>(sockets: impl Iterator<Item = &'a Socket> + Clone) -> Vec<SocketPeer> {
    let of_listener = |socket: &&Socket| socket.state == "LISTEN";
    let listeners = sockets.clone().filter(of_listener);
    let served: BTreeSet<u16> = listeners.map(|socket| socket.flow.sport).collect();
    let mut sums: BTreeMap<Key, Sum> = BTreeMap::new();
    for socket in sockets {
        let (connections, opening) = match &*socket.state {
            "ESTABLISHED" | "FIN_WAIT1" | "FIN_WAIT2" | "CLOSE_WAIT" | "LAST_ACK" | "CLOSING" => (1, 0),
            "SYN_SENT" | "SYN_RECV" => (0, 1),
            _ => continue,
        };
        let flow = socket.flow;
        let (own, other) = (flow.src().to_canonical(), flow.dst().to_canonical());
        if other.is_loopback() || other.is_unspecified() || own == other {
            continue;
        }
        let is_server = flow.protocol == TCP && served.contains(&flow.sport);
        let key = if is_server {
            (is_server, other, own, flow.sport, flow.protocol)
        } else {
            (is_server, own, other, flow.dport, flow.protocol)
        };
        let sum = sums.entry(key).or_default();
        sum.connections += connections;
        sum.opening += opening;
        sum.unread_bytes += u64::from(socket.rx_queue);
        sum.unacknowledged_bytes += u64::from(socket.tx_queue);
        if let Some(tcp) = socket.tcp {
            sum.sent_bytes = sum.sent_bytes.saturating_add(tcp.acknowledged_bytes);
            sum.received_bytes = sum.received_bytes.saturating_add(tcp.received_bytes);
            sum.resent += u64::from(tcp.total_retrans);
            sum.rtts_us
                .extend((tcp.rtt_us > 0 && connections > 0).then_some(tcp.rtt_us));
        }
    }
    sums.into_iter().map(told).collect()
}

fn told(((is_server, client, server, port, protocol), mut sum): (Key, Sum)) -> SocketPeer {
    sum.rtts_us.sort_unstable();
    let middle = sum.rtts_us.len().saturating_sub(1) / 2;
    SocketPeer {
        is_server,
        client,
        server,
        port,
        protocol,
        connections: sum.connections,
        opening: sum.opening,
        rtt_p50_us: sum.rtts_us.get(middle).copied().unwrap_or_default(),
        sent_bytes: sum.sent_bytes,
        received_bytes: sum.received_bytes,
        unread_bytes: sum.unread_bytes,
        unacknowledged_bytes: sum.unacknowledged_bytes,
        resent: sum.resent,
    }
}

#[cfg(test)]
mod tests {
    use super::peers;
    use model::facts::{Socket, TcpInfo};
    use model::flow::{Flow, TCP, UDP};

    fn socket(protocol: u8, state: &str, own: &str, other: &str, rtt_us: u32) -> Socket {
        Socket {
            flow: Flow::new(protocol, own.parse().unwrap(), other.parse().unwrap()),
            state: state.to_owned(),
            tcp: (protocol == TCP).then_some(TcpInfo {
                rtt_us,
                acknowledged_bytes: 100,
                received_bytes: 7,
                ..TcpInfo::default()
            }),
            ..Socket::default()
        }
    }

    #[test]
    fn connections_are_told_by_peer_and_by_which_end_listens() {
        let sockets = [
            socket(TCP, "LISTEN", "0.0.0.0:80", "0.0.0.0:0", 0),
            socket(TCP, "ESTABLISHED", "10.0.0.2:80", "10.0.0.9:40001", 300),
            socket(TCP, "CLOSE_WAIT", "10.0.0.2:80", "10.0.0.9:40002", 100),
            socket(TCP, "ESTABLISHED", "10.0.0.2:80", "10.0.0.9:40003", 200),
            socket(TCP, "TIME_WAIT", "10.0.0.2:80", "10.0.0.9:40004", 0),
            socket(TCP, "SYN_SENT", "10.0.0.2:51000", "10.96.0.1:443", 0),
            socket(UDP, "ESTABLISHED", "10.0.0.2:52000", "10.96.0.10:53", 0),
            socket(TCP, "ESTABLISHED", "127.0.0.1:80", "127.0.0.1:40005", 20),
        ];
        let told = peers(sockets.iter());
        let line = |at: usize| {
            let peer = &told[at];
            (
                peer.is_server,
                peer.server.to_string(),
                peer.port,
                peer.connections,
                peer.opening,
            )
        };
        assert_eq!(told.len(), 3);
        assert_eq!(line(0), (false, "10.96.0.1".to_owned(), 443, 0, 1));
        assert_eq!(line(1), (false, "10.96.0.10".to_owned(), 53, 1, 0));
        assert_eq!(line(2), (true, "10.0.0.2".to_owned(), 80, 3, 0));
        assert_eq!(
            (told[2].rtt_p50_us, told[2].sent_bytes, told[2].received_bytes),
            (200, 300, 21)
        );
    }
}
