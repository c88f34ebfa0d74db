//! What a round of all probes that read numbers costs, on a node full of pods.

use crate::figure::{Figure, median};
use crate::helper::Helper;
use crate::traffic::Net;
use anyhow::Result;
use model::protocol::{Filter, Reply};

const NAMESPACES: usize = 110;
const SOCKETS: u64 = 20;
const ROUNDS: usize = 8;
const INTERVAL_MS: u32 = 1000;

/// All that `inspect` reads.
const READINGS: &[&str] = &[
    "tcp",
    "udp",
    "tcpext",
    "ip",
    "sock",
    "sockmem",
    "tcpsummary",
    "netdev",
    "qdisc",
    "softnet",
    "conntrack",
    "fd",
    "io",
    "cpu",
];

/// Processor time of a round, and the bytes that it sends.
pub fn take() -> Result<Vec<Figure>> {
    let crowd = Net::crowd(NAMESPACES, SOCKETS)?;
    let mut helper = Helper::start()?;
    let filter = Filter {
        interval_ms: INTERVAL_MS,
        netns: crowd.inodes()?,
        ..Filter::default()
    };
    helper.arm(READINGS, filter)?;
    helper.go()?;
    let mut rounds = Vec::new();
    helper.until(|reply| {
        if let Reply::Round(round) = reply {
            rounds.push(round);
        }
        (rounds.len() > ROUNDS).then_some(())
    })?;
    // The first tells all numbers, the others what has changed.
    let cpu_ms: Vec<f64> = rounds.iter().skip(1).map(|round| round.cpu_us as f64 / 1e3).collect();
    let memory_mb = helper.memory_kb("VmHWM")? / 1024.0;
    Ok(vec![
        Figure::new(
            format!("a round of all probes that read, {NAMESPACES} namespaces with {SOCKETS} TCP sockets each"),
            median(&cpu_ms),
            "ms",
        )
        .at_most(50.0),
        Figure::new("memory of the helper meanwhile, peak", memory_mb, "MB").at_most(40.0),
    ])
}
