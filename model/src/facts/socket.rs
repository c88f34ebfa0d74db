//! Sockets, and what TCP tells of a connection.

use crate::flow::Flow;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A socket.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
#[derive(Default)]
pub struct Socket {
    /// Local and remote tuple, seen from the socket (`src` is local).
    pub flow: Flow,
    /// `LISTEN`, `ESTABLISHED`..., for UDP `UNCONN` or `ESTABLISHED`.
    pub state: String,
    /// IPv6 only.
    pub v6only: bool,
    /// For a listener: connections waiting to be accepted. Else bytes not yet read.
    pub rx_queue: u32,
    /// For a listener: the most that may wait. Else bytes not yet acknowledged.
    pub tx_queue: u32,
    /// Packets this socket dropped (`sk_drops`).
    pub drops: u32,
    /// Receive buffer limit, in bytes.
    pub rcvbuf_bytes: u32,
    /// Interface it is bound to, 0 for none.
    pub bound_ifindex: u32,
    /// Inode, which tells the process.
    pub inode: u64,
    /// Processes that hold it; empty when not looked for.
    pub pids: Vec<u32>,
    /// TCP details of an established connection.
    pub tcp: Option<TcpInfo>,
}

/// TCP details (`struct tcp_info`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct TcpInfo {
    /// Smoothed round trip time, microseconds.
    pub rtt_us: u32,
    /// Retransmissions so far.
    pub total_retrans: u32,
    /// Segments not yet acknowledged.
    pub unacked: u32,
    /// Window the peer grants, bytes.
    pub peer_window_bytes: u32,
    /// Bytes not yet sent.
    pub not_sent_bytes: u32,
    /// Time spent blocked by the peer's window, microseconds.
    pub rwnd_limited_us: u64,
    /// Congestion window, segments.
    pub cwnd: u32,
    /// Path MTU, bytes.
    pub pmtu: u32,
    /// Largest segment sent, bytes.
    pub snd_mss: u32,
    /// Segments found out of order by the peer's acknowledgements.
    pub reord_seen: u32,
    /// Bytes that the peer has acknowledged (`tcpi_bytes_acked`).
    pub acknowledged_bytes: u64,
    /// Bytes that came in order (`tcpi_bytes_received`).
    pub received_bytes: u64,
}
