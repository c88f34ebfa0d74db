//! What tells one conversation from another, and what one has cost.

use std::net::IpAddr;

/// Which end the target is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TargetRole {
    /// It asks.
    #[default]
    Client,
    /// It answers.
    Server,
}

/// What tells one conversation from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Key {
    /// The target's place among those watched.
    pub target: usize,
    /// Which end it is.
    pub role: TargetRole,
    /// The client's address, as the target's namespace knows it.
    pub client: IpAddr,
    /// The server's.
    pub server: IpAddr,
    /// The server's port.
    pub port: u16,
    /// IP protocol.
    pub protocol: u8,
}

impl Key {
    /// The address of the end that is not the target.
    #[must_use]
    pub fn peer(&self) -> IpAddr {
        match self.role {
            TargetRole::Client => self.server,
            TargetRole::Server => self.client,
        }
    }
}

/// Packets lost on connections that go on: fewer happen on every network.
const LOST_MIN: u32 = 5;

/// What a conversation has cost, the worst first.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Cost {
    /// Connections or lookups that failed.
    pub failed: u32,
    /// Segments sent again, datagrams dropped.
    pub lost: u32,
    /// Time spent waiting in vain, or for what came late.
    pub waited_ns: u64,
}

impl Cost {
    /// Somebody felt it; what only looks odd nobody does.
    #[must_use]
    pub fn is_felt(&self) -> bool {
        self.failed > 0 || self.lost >= LOST_MIN || self.waited_ns > 0
    }

    /// Both.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        Self {
            failed: self.failed.saturating_add(other.failed),
            lost: self.lost.saturating_add(other.lost),
            waited_ns: self.waited_ns.saturating_add(other.waited_ns),
        }
    }
}
