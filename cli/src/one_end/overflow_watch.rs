//! Listeners of targets whose queues overflow: the kernel drops requests for connections there and tells nobody, so they are
//! found by counters, and then whoever asks is watched.

use super::follow::Followers;
use crate::conversation::session::Session;
use crate::evidence::path_facts;
use model::endpoint::Endpoint;
use model::facts::{NetnsFacts, Socket};
use model::flow::TCP;
use std::collections::BTreeMap;
use std::net::IpAddr;
use std::time::Duration;

/// Counters of a namespace that grow where a listener takes no more (Linux `include/uapi/linux/snmp.h`).
const OVERFLOWS: [&str; 3] = ["TcpExt.ListenOverflows", "TcpExt.ListenDrops", "TcpExt.TCPReqQFullDrop"];
/// They are read so often, and more seldom while a fault is waited for.
const EVERY: Duration = Duration::from_secs(1);
const EVERY_WAITING: Duration = Duration::from_secs(5);
/// Targets whose counters are read again and again.
pub const TARGETS_MAX: usize = 64;
/// Listeners of a target that are watched.
const LISTENERS_MAX: usize = 8;

/// When it was looked last, and what the counters were.
#[derive(Debug, Default)]
pub struct OverflowWatch {
    last: Duration,
    overflows: BTreeMap<u32, u64>,
}

impl OverflowWatch {
    /// It is time to look again, so long after the window was opened.
    pub fn is_due(&mut self, elapsed: Duration, waiting: bool) -> bool {
        let is_due = elapsed.saturating_sub(self.last) >= if waiting { EVERY_WAITING } else { EVERY };
        if is_due {
            self.last = elapsed;
        }
        is_due
    }

    /// Reads the counters, and watches the listeners of a target where they grew.
    pub async fn look(&mut self, session: &mut Session, targets: &[Endpoint], followers: &mut Followers) {
        let netns: Vec<u32> = targets
            .iter()
            .filter_map(|target| target.netns)
            .take(TARGETS_MAX)
            .collect();
        path_facts::read_now(session, netns, &["counters", "sockets"]).await;
        let mut full: Vec<(IpAddr, u16)> = Vec::new();
        for target in targets.iter().take(TARGETS_MAX) {
            let Some(known) = target.netns.and_then(|netns| session.state.evidence.netns(netns)) else {
                continue;
            };
            let now = overflows(&known.after);
            let before = self
                .overflows
                .insert(known.id, now)
                .unwrap_or_else(|| overflows(&known.before));
            if now > before {
                full.extend(listening(&known.after, target));
            }
        }
        for (address, port) in full {
            followers.listen(session, address, port);
        }
    }
}

fn overflows(facts: &NetnsFacts) -> u64 {
    let counters = facts.counters.ok();
    let value = |name: &&str| counters.and_then(|counters| counters.get(*name)).copied().unwrap_or(0);
    OVERFLOWS.iter().map(value).sum()
}

/// Where a target listens: those whose queue is full, or all where none is (half-open connections are no part of it).
fn listening(facts: &NetnsFacts, target: &Endpoint) -> Vec<(IpAddr, u16)> {
    let listens = |socket: &&Socket| socket.state == "LISTEN" && socket.flow.protocol == TCP;
    let all: Vec<&Socket> = facts.sockets.ok().into_iter().flatten().filter(listens).collect();
    let full: Vec<&Socket> = all
        .iter()
        .copied()
        .filter(|socket| socket.rx_queue > socket.tx_queue)
        .collect();
    let chosen = if full.is_empty() { all } else { full };
    let mut places = Vec::new();
    for socket in chosen.into_iter().take(LISTENERS_MAX) {
        let own = socket.flow.src();
        let addresses = target
            .addresses
            .iter()
            .filter(|address| own.is_unspecified() || **address == own);
        places.extend(addresses.map(|address| (*address, socket.flow.sport)));
    }
    places.sort_unstable();
    places.dedup();
    places
}
