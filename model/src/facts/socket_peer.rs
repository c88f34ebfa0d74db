//! Whom the sockets of a namespace are connected to: one line for each peer, port and role, however many connections there are.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// The connections of one namespace with one peer on one port, as its sockets are now.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SocketPeer {
    /// The namespace's own end is the server: something listens on the port there.
    pub is_server: bool,
    /// The client's address, as the namespace knows it.
    pub client: IpAddr,
    /// The server's.
    pub server: IpAddr,
    /// The server's port.
    pub port: u16,
    /// IP protocol.
    pub protocol: u8,
    /// Connections that are established, or have been and are not closed by both ends.
    pub connections: u32,
    /// Connections that are asked for and not made yet.
    pub opening: u32,
    /// Half of the connections have a smoothed round trip time of no more, microseconds; 0 where none is known.
    pub rtt_p50_us: u32,
    /// Bytes that the namespace sent and its peer acknowledged, on the connections that are open now.
    pub sent_bytes: u64,
    /// Bytes that it received on them.
    pub received_bytes: u64,
    /// Bytes that came on them and no program has read yet.
    #[serde(default)]
    pub unread_bytes: u64,
    /// Bytes that were written to them and the peer has not acknowledged yet.
    #[serde(default)]
    pub unacknowledged_bytes: u64,
    /// Segments that were sent again on them.
    #[serde(default)]
    pub resent: u64,
}
