//! What the hop trail costs traffic that is not watched: a hook, bulk TCP, small datagrams.

use crate::figure::Figure;
use crate::helper::Helper;
use crate::kept::kept;
use crate::peer;
use crate::traffic::Net;
use anyhow::Result;
use model::attempt::WatchedFlow;
use model::flow::{Flow, TCP};
use model::protocol::Filter;

const ROUND_MS: u64 = 400;

/// Cost per hook, and traffic kept, in percent of unwatched.
pub fn take() -> Result<Vec<Figure>> {
    let net = Net::pair()?;
    let filter = other_flow(&net)?;
    let mut figures = vec![per_hook(&net, &filter)?];
    for (kind, name, least) in [
        ("bulk", "TCP bulk over a veth, kept while watched", 97.0),
        ("packets", "small UDP packets over a veth, kept while watched", 95.0),
    ] {
        let kept = kept(&["path"], &filter, || net.run(kind, "10.99.0.2", ROUND_MS))?;
        figures.push(
            Figure::new(name, kept.armed, "%")
                .beside("off against off", Some(kept.control))
                .at_least(least),
        );
    }
    Ok(figures)
}

/// A flow that no packet here belongs to.
fn other_flow(net: &Net) -> Result<Filter> {
    let netns = net.inode()?;
    let flow = Flow::new(TCP, "10.99.0.1:41000".parse()?, "10.99.0.9:80".parse()?);
    Ok(Filter {
        netns: vec![netns],
        flows: vec![WatchedFlow {
            attempt: 1,
            netns,
            flow,
        }],
        ..Filter::default()
    })
}

fn per_hook(net: &Net, filter: &Filter) -> Result<Figure> {
    let mut helper = Helper::start()?;
    helper.arm(&["path"], filter.clone())?;
    helper.go()?;
    // An empty program on the same hooks pays for the two readings of the clock that the statistics themselves take.
    let clock = if peer::present() {
        let empty = peer::Running::start(
            "tracepoint:net:net_dev_queue,tracepoint:net:netif_receive_skb,tracepoint:skb:skb_copy_datagram_iovec,tracepoint:skb:consume_skb { $nothing = 1; }",
        )?;
        net.run("packets", "10.99.0.2", 2000)?;
        let ns = peer::Running::ns_a_run()?;
        drop(empty);
        Some(ns)
    } else {
        net.run("packets", "10.99.0.2", 2000)?;
        None
    };
    let bpf = helper.stop()?.bpf;
    let ns = bpf.ns as f64 / bpf.runs.max(1) as f64;
    let name = "path with the filter on another flow, per hook and packet";
    Ok(match clock {
        Some(clock) => Figure::new(
            format!("{name}, less the clock's {clock:.0} ns"),
            (ns - clock).max(0.0),
            "ns",
        )
        .beside("an empty program", Some(clock)),
        None => Figure::new(format!("{name}, the clock included"), ns, "ns"),
    }
    .at_most(25.0))
}
