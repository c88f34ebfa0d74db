//! Times, places and attempts in words, for the screen.

pub use diagnoses::words::time;

use model::attempt::{Attempt, DnsLookup, Outcome};
use model::object_ref::ObjectRef;
use model::protocol::{BpfCost, Lost};
use model::report::{Place, RulePlace};
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// An attempt that was ended sooner had sent nothing.
const BEGUN_NS: u64 = 1_000;

/// From the shortest to the longest: one time when they read the same.
pub fn times(ns: impl Iterator<Item = u64> + Clone) -> String {
    let (Some(least), Some(most)) = (ns.clone().min(), ns.max()) else {
        return String::new();
    };
    let (least, most) = (time(least), time(most));
    if least == most {
        least
    } else {
        format!("{least} to {most}")
    }
}

/// What our own programs cost: `our eBPF used 1.4 ms`; where they ran so often that only slices were measured,
/// `our eBPF used about 31 ms (measured in 40 % of the time)`, or that this was too little to tell.
pub fn cost(cost: BpfCost) -> String {
    match cost.sampled_percent() {
        Some(percent) if !cost.rests_on_enough() => {
            format!("our eBPF time is not known (measured in {percent} % of the time, which is too little to tell)")
        }
        Some(percent) => format!(
            "our eBPF used about {} (measured in {percent} % of the time)",
            time(cost.ns)
        ),
        None => format!("our eBPF used {}", time(cost.ns)),
    }
}

/// What the kernel kept from our programs, where it did: `the kernel left out 12 runs of drop, which was running already`.
pub fn missed<'a>(lost: impl Iterator<Item = &'a Lost>) -> Option<String> {
    let mut by_probe: BTreeMap<&str, u64> = BTreeMap::new();
    for lost in lost.filter(|lost| lost.missed > 0) {
        *by_probe.entry(&lost.probe).or_default() += lost.missed;
    }
    let runs: Vec<String> = by_probe
        .iter()
        .map(|(probe, missed)| format!("{} of {probe}", count(*missed, "run")))
        .collect();
    (!runs.is_empty()).then(|| format!("the kernel left out {}, which was running already", runs.join(" and ")))
}

/// What came in interrupts while others were counted, if anything did.
pub fn nested<'a>(lost: impl Iterator<Item = &'a Lost>) -> Option<String> {
    let nested: u64 = lost.map(|lost| lost.nested).sum();
    (nested > 0).then(|| {
        let met = count(nested, "event");
        format!("{met} came in interrupts while others were counted, where the kernel may leave out more")
    })
}

/// `1 event`, `3 events`.
pub fn count(number: u64, one: &str) -> String {
    if number == 1 {
        format!("1 {one}")
    } else {
        format!("{number} {one}s")
    }
}

/// `in netns/x, on up0`, `on node n2, on eth0`; empty when it is nowhere in particular.
pub fn place(place: &Place) -> String {
    let mut text = match (&place.pod, &place.netns) {
        (Some(pod), _) => format!("at {pod}"),
        // A node's own namespace has its name.
        (None, Some(netns)) if place.node.as_ref() == Some(netns) => format!("on node {netns}"),
        (None, Some(netns)) => format!("in {netns}"),
        (None, None) => String::new(),
    };
    if let Some(interface) = &place.interface {
        text += if text.is_empty() { "on " } else { ", on " };
        text += interface;
    }
    let full = |object: &ObjectRef| format!("{}/{}", object.namespace, object.name);
    let said = |object: &&ObjectRef| object.kind == "Pod" && place.pod == Some(full(object));
    if let Some(object) = place.object.as_ref().filter(|object| !said(object)) {
        text += if text.is_empty() { "" } else { ", " };
        text += &format!("{} {}", object.kind, full(object).trim_start_matches('/'));
    }
    text
}

/// `iptables-legacy filter FORWARD #3:  -d ... -j DROP`.
pub fn rule(rule: &RulePlace) -> String {
    let handle = rule.handle.map_or_else(String::new, |handle| format!(" #{handle}"));
    let text = if rule.text.is_empty() {
        String::new()
    } else {
        format!(":  {}", rule.text)
    };
    let family = if rule.family.is_empty() { "" } else { " " };
    format!(
        "{} {}{family}{} {}{handle}{text}",
        rule.backend, rule.family, rule.table, rule.chain
    )
}

/// What was sent where, e.g. `TCP connect 10.90.1.2 -> 10.90.2.2:80`.
pub fn sending(attempt: &Attempt) -> String {
    let what = match attempt.kind.as_str() {
        "tcp" => "TCP connect",
        "udp" => "datagram",
        "echo" => "echo train",
        "echo-full-size" => "full-size echo",
        "dns" => {
            let name = attempt.dns.as_ref().map_or("", |dns| dns.name.as_str());
            return format!("lookup of {name}");
        }
        "dns-query" => "DNS query",
        other => other,
    };
    let flow = attempt.flow;
    if flow.dst().is_unspecified() {
        return what.to_owned();
    }
    let to = if attempt.kind.starts_with("echo") {
        flow.dst().to_string()
    } else {
        end(flow.dst(), flow.dport)
    };
    let from = if flow.src().is_unspecified() {
        String::new()
    } else {
        format!("{} -> ", flow.src())
    };
    format!("{what} {from}{to}")
}

fn end(address: IpAddr, port: u16) -> String {
    if port == 0 {
        address.to_string()
    } else {
        SocketAddr::new(address, port).to_string()
    }
}

/// What attempts of one kind met that ended in the same way.
pub fn met(attempts: &[&Attempt]) -> String {
    let Some(first) = attempts.first() else {
        return String::new();
    };
    let took = times(attempts.iter().map(|attempt| attempt.took_ns));
    match &first.outcome {
        Outcome::Ok => worked(first, attempts),
        Outcome::Error { during, errno } => format!("{} on {during} after {took}", errno.name),
        Outcome::TimedOut { .. } if first.echo.is_some() => worked(first, attempts),
        Outcome::TimedOut { during } if during == "connect" => format!("no answer in {took}"),
        Outcome::TimedOut { during } if during == "send" => format!("could not send all of it in {took}"),
        Outcome::TimedOut { .. } if attempts.iter().all(|attempt| attempt.first_answer_ns.is_none()) => {
            format!("{}no answer in {took}", connected(attempts))
        }
        Outcome::TimedOut { .. } => format!("{}the answer was not complete after {took}", connected(attempts)),
        Outcome::Cancelled if attempts.iter().all(|attempt| attempt.took_ns < BEGUN_NS) => {
            "not begun when the run ended".to_owned()
        }
        Outcome::Cancelled => match first.dns.as_ref().map_or((0, 0), answered) {
            (0, _) => format!("no answer in {took}, then the run ended"),
            (answered, of) => format!("{answered} of {of} queries answered in {took}, then the run ended"),
        },
        Outcome::NotTried { why } => format!("not tried: {why}"),
    }
}

/// `connected in 85 us, then `, where it was.
fn connected(attempts: &[&Attempt]) -> String {
    let within = times(attempts.iter().filter_map(|attempt| attempt.connected_ns));
    if within.is_empty() {
        String::new()
    } else {
        format!("connected in {within}, then ")
    }
}

/// How many queries of a lookup were answered, of how many.
fn answered(dns: &DnsLookup) -> (usize, usize) {
    let answered = dns.queries.iter().filter(|query| query.rcode.is_some());
    (answered.count(), dns.queries.len())
}

fn worked(first: &Attempt, attempts: &[&Attempt]) -> String {
    if first.echo.is_some() {
        let trains = attempts.iter().filter_map(|attempt| attempt.echo.as_ref());
        let sent: u64 = trains.clone().map(|train| train.rtt_ns.len() as u64).sum();
        let answers: Vec<u64> = trains
            .flat_map(|train| train.rtt_ns.iter().flatten().copied())
            .collect();
        let size = first.echo.as_ref().map_or(0, |train| train.packet_bytes);
        let of = format!("{} of {sent} answered", answers.len());
        return match (answers.is_empty(), first.kind == "echo-full-size") {
            (true, _) => format!("none of {sent} answered, {size} bytes each"),
            (false, true) => format!("{of}, {size} bytes each, in {}", times(answers.into_iter())),
            (false, false) => format!("{of} in {}", times(answers.into_iter())),
        };
    }
    if first.kind == "dns-query" {
        let rcode = |attempt: &&Attempt| attempt.dns.as_ref()?.queries.last()?.rcode.clone();
        let answer = attempts.iter().find_map(rcode).unwrap_or_else(|| "answered".to_owned());
        return format!(
            "{answer} after {}",
            times(attempts.iter().map(|attempt| attempt.took_ns))
        );
    }
    if let Some(dns) = &first.dns {
        let addresses: Vec<String> = dns.addresses.iter().map(IpAddr::to_string).collect();
        let queries = if dns.queries.len() == 1 { "query" } else { "queries" };
        let found = if addresses.is_empty() {
            "no address".to_owned()
        } else {
            addresses.join(", ")
        };
        return format!(
            "{found} after {} {queries} and {}",
            dns.queries.len(),
            time(first.took_ns)
        );
    }
    let exchanged = {
        let (sent, received): (u64, u64) = attempts.iter().fold((0, 0), |sum, attempt| {
            (sum.0 + attempt.sent_bytes, sum.1 + attempt.received_bytes)
        });
        let status = first
            .http_status
            .as_deref()
            .map_or_else(String::new, |status| format!(", {status}"));
        if sent + received > 0 {
            format!(", {sent} bytes sent, {received} received{status}")
        } else {
            status
        }
    };
    let connected = attempts.iter().filter_map(|attempt| attempt.connected_ns);
    let answered = attempts.iter().filter_map(|attempt| attempt.first_answer_ns);
    if connected.clone().next().is_some() {
        format!("connected in {}{exchanged}", times(connected))
    } else if answered.clone().next().is_some() {
        format!("answered in {}{exchanged}", times(answered))
    } else {
        format!("sent{exchanged}")
    }
}

#[cfg(test)]
mod tests {
    use super::{cost, met};
    use model::attempt::{Attempt, EchoTrain, Outcome};
    use model::protocol::BpfCost;

    #[test]
    fn an_estimate_that_rests_on_too_little_is_not_printed() {
        let measured = |measured_ns, armed_ns| {
            cost(BpfCost {
                runs: 1_000,
                ns: 329_000_000,
                measured_ns,
                armed_ns,
            })
        };
        assert_eq!(measured(2_000_000_000, 2_000_000_000), "our eBPF used 329 ms");
        assert_eq!(
            measured(800_000_000, 2_000_000_000),
            "our eBPF used about 329 ms (measured in 40 % of the time)"
        );
        let too_little = measured(100_000_000, 2_000_000_000);
        assert!(
            too_little.contains("5 % of the time") && !too_little.contains("329"),
            "{too_little}"
        );
        assert!(
            measured(30_000_000_000, 600_000_000_000).contains("about 329 ms"),
            "half a minute is long enough"
        );
    }

    #[test]
    fn what_was_not_answered_is_said_in_plain_words() {
        let timed_out = |kind: &str, change: &dyn Fn(&mut Attempt)| {
            let mut attempt = Attempt {
                kind: kind.to_owned(),
                took_ns: 2_000_000_000,
                outcome: Outcome::TimedOut { during: "read".into() },
                ..Attempt::default()
            };
            change(&mut attempt);
            met(&[&attempt])
        };
        let train = EchoTrain {
            packet_bytes: 84,
            rtt_ns: vec![None; 20],
            ..EchoTrain::default()
        };
        let echoes = timed_out("echo", &|attempt| attempt.echo = Some(train.clone()));
        assert_eq!(echoes, "none of 20 answered, 84 bytes each");
        let stalled = |attempt: &mut Attempt| attempt.connected_ns = Some(85_000);
        assert_eq!(
            timed_out("tcp", &stalled),
            "connected in 85 us, then no answer in 2.0 s"
        );
        let in_part = timed_out("tcp", &|attempt| {
            stalled(attempt);
            attempt.first_answer_ns = Some(90_000);
        });
        assert_eq!(
            in_part,
            "connected in 85 us, then the answer was not complete after 2.0 s"
        );
        assert_eq!(timed_out("udp", &|_| {}), "no answer in 2.0 s");
    }
}
