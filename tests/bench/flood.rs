//! What watching costs the sender of a flood of dropped datagrams, counting and streaming, beside bpftrace.

use crate::figure::{Figure, median, quantile};
use crate::helper::{Helper, Summary};
use crate::peer;
use crate::traffic::Net;
use anyhow::{Result, ensure};
use model::protocol::Filter;

const PACKETS: u64 = 60_000;
const PAIRS: usize = 21;

/// Slow-downs in percent: medians of interleaved pairs.
pub fn take() -> Result<Vec<Figure>> {
    let net = Net::alone()?;
    net.run("flood", "127.0.0.1", PACKETS)?;
    let counting = ours(&net, 1)?;
    let streaming = ours(&net, u32::MAX)?;
    let (peer_counting, peer_printing) = if peer::present() {
        (
            Some(theirs(&net, "tracepoint:skb:kfree_skb { @[args->reason] = count(); }")?),
            Some(theirs(
                &net,
                "tracepoint:skb:kfree_skb { printf(\"%d %d\\n\", args->reason, args->protocol); }",
            )?),
        )
    } else {
        (None, None)
    };
    Ok(vec![
        figure("UDP drop flood slowed, exact totals", &counting, 4.0)
            .beside("bpftrace counting", peer_counting.map(|all| median(&all))),
        figure("UDP drop flood slowed, events streamed", &streaming, 15.0)
            .beside("bpftrace printing", peer_printing.map(|all| median(&all))),
    ])
}

fn figure(name: &str, slowed: &[f64], limit: f64) -> Figure {
    let name = format!(
        "{name} (median; quartiles {:.1}..{:.1})",
        quantile(slowed, 0.25),
        quantile(slowed, 0.75)
    );
    Figure::new(name, median(slowed), "%").at_most(limit)
}

/// Pairs without and with the helper armed, in turns; the totals must be exact.
fn ours(net: &Net, events_per_second: u32) -> Result<Vec<f64>> {
    let mut helper = Helper::start()?;
    let filter = Filter {
        netns: vec![net.inode()?],
        events_per_second,
        ..Filter::default()
    };
    let mut slowed = Vec::new();
    for _ in 0..PAIRS {
        let off = net.run("flood", "127.0.0.1", PACKETS)?;
        helper.arm(&["drop"], filter.clone())?;
        helper.go()?;
        let on = net.run("flood", "127.0.0.1", PACKETS)?;
        let summary = helper.stop()?;
        exact(&summary)?;
        slowed.push((off / on - 1.0) * 100.0);
    }
    Ok(slowed)
}

/// Every drop is in the totals, and every event was said or counted as lost.
fn exact(summary: &Summary) -> Result<()> {
    let total: u64 = summary
        .totals
        .iter()
        .filter(|total| total.what.contains("NO_SOCKET"))
        .map(|total| total.count)
        .sum();
    ensure!(total >= PACKETS, "{total} drops in the totals, {PACKETS} were sent");
    let lost: u64 = summary.lost.iter().map(|lost| lost.ring_full + lost.over_budget).sum();
    ensure!(
        summary.events + lost >= PACKETS,
        "{} events and {lost} lost do not add up to {PACKETS}",
        summary.events
    );
    Ok(())
}

fn theirs(net: &Net, program: &str) -> Result<Vec<f64>> {
    let mut slowed = Vec::new();
    for _ in 0..PAIRS.div_ceil(2) {
        let off = net.run("flood", "127.0.0.1", PACKETS)?;
        let watching = peer::Running::start(program)?;
        let on = net.run("flood", "127.0.0.1", PACKETS)?;
        drop(watching);
        slowed.push((off / on - 1.0) * 100.0);
    }
    Ok(slowed)
}
