//! The checks: each makes one thing happen, and says what the helper saw of it in words that are the same on every
//! kernel.

use crate::bed::{A, B, Bed};
use crate::disks;
use crate::helper::Helper;
use anyhow::{Context, Result, ensure};
use model::attempt::WatchedFlow;
use model::event::{Event, Seen};
use model::flow::{Flow, TCP, UDP};
use model::protocol::{Filter, ProbeStatus};
use model::word::Hook;
use serde::{Deserialize, Serialize};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

/// A plain emulated machine needs its time.
const WINDOW: Duration = Duration::from_secs(10);

/// What one check came to.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Check {
    /// Its name, a row of the table.
    pub name: String,
    /// It holds: what must be seen was seen, or the helper said in words why it cannot be.
    pub holds: bool,
    /// What was seen, or why not.
    pub says: String,
}

/// Makes one thing happen and says what was seen of it.
type Scene = fn(&mut Helper, &Bed) -> Result<String>;

/// All checks in order. What goes wrong becomes a check that does not hold.
pub fn run(helper_path: &str) -> Vec<Check> {
    let mut helper = match Helper::start(helper_path) {
        Ok(helper) => helper,
        Err(error) => return vec![check("helper", Err(error))],
    };
    let mut checks = vec![Check {
        name: "kernel".to_owned(),
        holds: true,
        says: helper.hello.kernel.clone(),
    }];
    for status in helper.hello.probes.clone() {
        checks.push(probe(&mut helper, &status));
    }
    let bed = match Bed::build() {
        Ok(bed) => bed,
        Err(error) => {
            checks.push(check("namespaces", Err(error)));
            return checks;
        }
    };
    let scenes: [(&str, Scene); 8] = [
        ("a drop", drop_by_rule),
        ("a reset", reset),
        ("no DNS answer", dns_unanswered),
        ("the hop trail", trail),
        ("waits in the kernel", waits),
        ("a disk's reads", disks::reads),
        ("a pod's disk", disks::io_of_a_pod),
        ("what is written later", disks::writeback_of_a_pod),
    ];
    for (name, scene) in scenes {
        checks.push(check(name, scene(&mut helper, &bed)));
    }
    checks
}

fn check(name: &str, result: Result<String>) -> Check {
    let (holds, says) = match result {
        Ok(says) => (true, says),
        Err(error) => (false, format!("{error:#}")),
    };
    Check {
        name: name.to_owned(),
        holds,
        says,
    }
}

/// A probe that says it can run is armed and runs; any other says in words why not.
fn probe(helper: &mut Helper, status: &ProbeStatus) -> Check {
    let name = format!("probe {}", status.name);
    if let Some(missing) = &status.unsupported {
        return Check {
            name,
            holds: !missing.why.is_empty(),
            says: format!("cannot: {}", missing.why),
        };
    }
    let armed = helper.watch(&status.name, Filter::default(), Duration::ZERO, || Ok(()), |_| true);
    let lacks = if status.lacks.is_empty() {
        String::new()
    } else {
        format!(" (lacks {})", status.lacks.join(", "))
    };
    check(
        &name,
        armed.map(|_| format!("loads: {}{lacks}", status.hooks.join(" "))),
    )
}

/// A rule of the receiving namespace drops a SYN.
fn drop_by_rule(helper: &mut Helper, bed: &Bed) -> Result<String> {
    let port = 7001;
    bed.b.run(&["nft", "add table ip check; add chain ip check input { type filter hook input priority 0; }; add rule ip check input tcp dport 7001 drop"])?;
    let of_ours = |event: &Event| event.flow.dport == port && matches!(event.seen, Seen::Drop { .. });
    let events = helper.watch(
        "drop",
        Filter {
            netns: vec![bed.b.id],
            ports: vec![port],
            ..Filter::default()
        },
        WINDOW,
        || {
            bed.a.inside(|| {
                // It times out, which is what it is for.
                let _ = TcpStream::connect_timeout(&SocketAddr::from((B, port)), Duration::from_millis(300));
                Ok(())
            })
        },
        |events| events.iter().any(of_ours),
    );
    bed.b.run(&["nft", "delete table ip check"])?;
    let event = events?
        .into_iter()
        .find(of_ours)
        .context("no drop of the SYN was seen")?;
    let Seen::Drop { reason, .. } = &event.seen else {
        unreachable!("chosen above")
    };
    ensure!(reason == "NETFILTER_DROP", "the reason is {reason}, not NETFILTER_DROP");
    ensure!(
        event.flow.protocol == TCP && event.flow.src() == A && event.flow.dst() == B,
        "the flow is {}",
        event.flow
    );
    ensure!(event.netns == bed.b.id, "it was seen in another namespace");
    Ok(format!("drop {reason} in b, tcp from a"))
}

/// A connection to a port where nothing listens is reset.
fn reset(helper: &mut Helper, bed: &Bed) -> Result<String> {
    let port = 7002;
    let of_ours = |event: &Event| {
        matches!(event.seen, Seen::ResetSent { .. }) && (event.flow.dport == port || event.flow.sport == port)
    };
    let events = helper.watch(
        "tcpreset",
        Filter {
            netns: vec![bed.b.id],
            ports: vec![port],
            ..Filter::default()
        },
        WINDOW,
        || {
            bed.a.inside(|| {
                let refused = TcpStream::connect_timeout(&SocketAddr::from((B, port)), Duration::from_secs(5));
                ensure!(refused.is_err(), "something listens on port {port}");
                Ok(())
            })
        },
        |events| events.iter().any(of_ours),
    )?;
    let event = events.into_iter().find(of_ours).context("no reset was seen")?;
    let Seen::ResetSent { reason, active, .. } = &event.seen else {
        unreachable!("chosen above")
    };
    ensure!(!active, "the reset answers a SYN and was not called so");
    // The kernel tells its reason since 6.10.
    ensure!(
        reason.as_deref().is_none_or(|reason| reason == "NO_SOCKET"),
        "the reason is {reason:?}"
    );
    ensure!(event.netns == bed.b.id, "it was seen in another namespace");
    Ok("reset sent by b, no socket".to_owned())
}

/// A query to a socket that never answers.
fn dns_unanswered(helper: &mut Helper, bed: &Bed) -> Result<String> {
    // "never.test", type A, as RFC 1035 writes it.
    const QUERY: &[u8] = b"\x12\x34\x01\x00\x00\x01\x00\x00\x00\x00\x00\x00\x05never\x04test\x00\x00\x01\x00\x01";
    let silent = bed.b.inside(|| Ok(UdpSocket::bind((B, 53))?))?;
    let asked = |event: &Event| matches!(&event.seen, Seen::DnsQuery { name, qtype, .. } if name == "never.test" && qtype == "A");
    let unanswered = |event: &Event| matches!(&event.seen, Seen::DnsUnanswered { name, .. } if name == "never.test");
    let events = helper.watch(
        "dns",
        Filter {
            netns: vec![bed.a.id],
            ..Filter::default()
        },
        Duration::from_secs(2),
        || {
            bed.a.inside(|| {
                UdpSocket::bind((A, 0))?.send_to(QUERY, (B, 53))?;
                Ok(())
            })
        },
        |events| events.iter().any(unanswered),
    )?;
    drop(silent);
    ensure!(events.iter().any(asked), "the query was not seen");
    ensure!(
        events.iter().any(unanswered),
        "nothing says that the query was never answered"
    );
    Ok("query never.test A, never answered".to_owned())
}

/// A datagram is followed from one namespace into the other.
fn trail(helper: &mut Helper, bed: &Bed) -> Result<String> {
    let (from, to) = (SocketAddr::from((A, 7003)), SocketAddr::from((B, 7003)));
    let flow = Flow::new(UDP, from, to);
    let sink = bed.b.inside(|| Ok(UdpSocket::bind(to)?))?;
    let hop = |netns: u32, wanted: Hook| {
        move |event: &Event| {
            event.netns == netns && event.flow == flow && matches!(event.seen, Seen::Hop { hook, .. } if hook == wanted)
        }
    };
    let (left, arrived) = (hop(bed.a.id, Hook::Queue), hop(bed.b.id, Hook::Receive));
    let events = helper.watch(
        "path",
        Filter {
            flows: vec![WatchedFlow {
                attempt: 0,
                netns: bed.a.id,
                flow,
            }],
            ..Filter::default()
        },
        WINDOW,
        || {
            bed.a.inside(|| {
                UdpSocket::bind(from)?.send_to(b"hello", to)?;
                Ok(())
            })
        },
        |events| events.iter().any(arrived),
    )?;
    drop(sink);
    let left = events
        .iter()
        .find(|event| left(event))
        .context("the packet was not seen leaving a")?;
    let arrived = events
        .iter()
        .find(|event| arrived(event))
        .context("the packet was not seen arriving in b")?;
    ensure!(left.at_ns <= arrived.at_ns, "it arrived before it left");
    ensure!(
        left.skb == arrived.skb && left.skb != 0,
        "the skb changed its address on a veth"
    );
    Ok("sent by a, eth0 of a, eth0 of b, one skb".to_owned())
}

/// A few bytes go from one namespace into the other by TCP, and every wait of a microsecond is told.
fn waits(helper: &mut Helper, bed: &Bed) -> Result<String> {
    let listener = bed.b.inside(|| Ok(TcpListener::bind((B, 7004))?))?;
    let mut client = bed.a.inside(|| Ok(TcpStream::connect((B, 7004))?))?;
    let (mut server, _) = listener.accept()?;
    let waited = |netns: u32, wanted: &'static str| {
        move |event: &Event| {
            let is_ours = event.netns == netns && event.flow.dst() == B && event.flow.dport == 7004;
            let stages = match &event.seen {
                Seen::Slow { stages, .. } => stages.as_slice(),
                _ => &[],
            };
            is_ours && stages.iter().any(|stage| stage.stage == wanted)
        }
    };
    let sent = waited(bed.a.id, "kernellatency.send");
    let queued = waited(bed.a.id, "kernellatency.queue");
    let received = waited(bed.b.id, "kernellatency.receive");
    let events = helper.watch(
        "kernellatency",
        Filter {
            netns: vec![bed.a.id, bed.b.id],
            slow_ns: 1_000,
            ..Filter::default()
        },
        WINDOW,
        || {
            for _ in 0..20 {
                client.write_all(b"ask")?;
                server.read_exact(&mut [0; 3])?;
            }
            Ok(())
        },
        |events| events.iter().any(received) && events.iter().any(queued),
    )?;
    ensure!(events.iter().any(sent), "no wait between socket and queue was told");
    ensure!(events.iter().any(queued), "no wait between queue and device was told");
    ensure!(
        events.iter().any(received),
        "no wait between device and socket was told"
    );
    Ok("send and queue in a, receive in b".to_owned())
}
