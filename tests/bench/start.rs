//! How soon the helper is armed, and how much it holds.

use crate::figure::{Figure, median};
use crate::helper::{DIAGNOSIS, Helper, binary};
use crate::peer;
use anyhow::Result;
use model::protocol::Filter;
use std::time::Instant;

const ROUNDS: usize = 15;

/// Start to armed, memory while armed and at its peak, size on disk.
pub fn take() -> Result<Vec<Figure>> {
    let (mut ours, mut peers, mut resident, mut peak) = (Vec::new(), Vec::new(), Vec::new(), Vec::new());
    let with_peer = peer::present();
    for _ in 0..ROUNDS {
        let start = Instant::now();
        let mut helper = Helper::start()?;
        helper.arm(DIAGNOSIS, Filter::default())?;
        ours.push(start.elapsed().as_secs_f64());
        resident.push(helper.memory_kb("VmRSS")? / 1024.0);
        peak.push(helper.memory_kb("VmHWM")? / 1024.0);
        drop(helper);
        if with_peer {
            peers.push(peer::armed_s()?);
        }
    }
    let size = std::fs::metadata(binary()?)?.len() as f64 / 1024.0 / 1024.0;
    Ok(vec![
        Figure::new(
            "helper start to armed, all probes of a diagnosis (median)",
            median(&ours),
            "s",
        )
        .beside("bpftrace, the same hooks", with_peer.then(|| median(&peers)))
        .at_most(0.08)
        .at_most_of_peer(0.125),
        Figure::new("helper resident memory while armed", median(&resident), "MB").at_most(20.0),
        Figure::new("helper peak memory", median(&peak), "MB").at_most(40.0),
        Figure::new("static helper on disk, stripped", size, "MB").at_most(8.0),
    ])
}
