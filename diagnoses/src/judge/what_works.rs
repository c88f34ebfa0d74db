//! What was proven to work, in short facts with numbers.

use crate::case::policy_rulings;
use crate::case::services;
use crate::case::{Case, Fate};
use crate::kubernetes::pods;
use crate::kubernetes::policy::Ruling;
use crate::words::{count, time};
use model::attempt::Attempt;
use std::net::IpAddr;

/// Short facts, the most important first.
pub fn proven(case: &Case<'_>) -> Vec<String> {
    let mut facts = Vec::new();
    if case.asked().next().is_none() {
        facts.extend(by_the_api(case));
    }
    let worked: Vec<&Attempt> = case.worked().iter().map(|tried| tried.attempt).collect();
    for (v6, family) in [(false, "IPv4"), (true, "IPv6")] {
        let of_family: Vec<&Attempt> = worked
            .iter()
            .copied()
            .filter(|attempt| attempt.flow.dst().is_ipv6() == v6)
            .collect();
        let other = worked.len() > of_family.len();
        facts.extend(connects(&of_family, other.then_some(family)));
    }
    facts.extend(exchanged(&worked));
    facts.extend(datagrams(case));
    facts.extend(worked.iter().filter_map(|attempt| lookup(attempt)));
    for tried in &case.tried {
        facts.extend(train(tried.attempt));
    }
    facts
}

/// What the cluster's API alone says in favour of it.
fn by_the_api(case: &Case<'_>) -> Vec<String> {
    let mut facts = Vec::new();
    let Some(inventory) = case.inventory() else {
        return facts;
    };
    for end in [&case.evidence.source, &case.evidence.destination] {
        if let Some(pod) = pods::pod_of(case.evidence, end)
            && pods::not_ready(inventory, pod).is_none()
        {
            facts.push(format!(
                "pod {} runs and is ready on node {}",
                pod.full_name(),
                pod.node
            ));
        }
    }
    for asked in services::services(case) {
        let usable = asked.usable();
        if !usable.is_empty() {
            facts.push(format!(
                "{} has {}",
                asked.words(),
                count(usable.len(), "ready endpoint")
            ));
        }
    }
    if policy_rulings::of_question(case) == Some(Ruling::Allowed) {
        facts.push("no network policy forbids it".to_owned());
    }
    facts
}

fn connects(attempts: &[&Attempt], family: Option<&str>) -> Option<String> {
    let times: Vec<u64> = attempts.iter().filter_map(|attempt| attempt.connected_ns).collect();
    let (least, sum) = (times.iter().min()?, times.iter().sum::<u64>());
    let mean = sum / times.len() as u64;
    let over = family.map_or(String::new(), |family| format!(" over {family}"));
    let times = if times.len() == 1 {
        time(*least)
    } else {
        format!("{} at best, {} on average", time(*least), time(mean))
    };
    Some(format!(
        "{} TCP {} made{over} in {times}",
        attempts.len(),
        if attempts.len() == 1 {
            "connection"
        } else {
            "connections"
        }
    ))
}

fn exchanged(attempts: &[&Attempt]) -> Option<String> {
    let received: u64 = attempts.iter().map(|attempt| attempt.received_bytes).sum();
    let sent: u64 = attempts.iter().map(|attempt| attempt.sent_bytes).sum();
    let status = attempts.iter().find_map(|attempt| attempt.http_status.clone());
    let tcp = attempts.iter().any(|attempt| attempt.connected_ns.is_some());
    if !tcp || (sent == 0 && received == 0) {
        return None;
    }
    let status = status.map_or(String::new(), |status| format!(" ({status})"));
    Some(format!("{sent} bytes sent, {received} bytes answered{status}"))
}

fn datagrams(case: &Case<'_>) -> Option<String> {
    let udp: Vec<_> = case.asked().filter(|tried| tried.attempt.kind == "udp").collect();
    let worked: Vec<_> = udp.iter().filter(|tried| tried.fate == Fate::Worked).collect();
    if worked.is_empty() {
        return None;
    }
    let answered: Vec<u64> = worked
        .iter()
        .filter_map(|tried| tried.attempt.first_answer_ns)
        .collect();
    let answer = match answered.iter().min() {
        Some(least) => format!(", {} answered, the fastest in {}", answered.len(), time(*least)),
        None => ", none answered (which UDP does not ask for)".to_owned(),
    };
    Some(format!(
        "{} of {} delivered{answer}",
        worked.len(),
        count(udp.len(), "datagram")
    ))
}

fn lookup(attempt: &Attempt) -> Option<String> {
    let dns = attempt.dns.as_ref()?;
    let found = dns.found.as_ref().unwrap_or(&dns.name);
    let addresses: Vec<String> = dns.addresses.iter().map(IpAddr::to_string).collect();
    if addresses.is_empty() {
        return None;
    }
    Some(format!(
        "{found} is {} ({}, {})",
        addresses.join(", "),
        count(dns.queries.len(), "query").replace("querys", "queries"),
        time(attempt.took_ns)
    ))
}

fn train(attempt: &Attempt) -> Option<String> {
    let echo = attempt.echo.as_ref()?;
    let answered: Vec<u64> = echo.rtt_ns.iter().flatten().copied().collect();
    let (least, sum) = (answered.iter().min()?, answered.iter().sum::<u64>());
    let over = if attempt.flow.dst().is_ipv6() { "IPv6" } else { "IPv4" };
    if attempt.kind == "echo-full-size" {
        return Some(format!(
            "packets of {} bytes pass whole over {over}, there and back",
            echo.packet_bytes
        ));
    }
    Some(format!(
        "{} of {} echoes over {over} answered, round trip {} at best, {} on average",
        answered.len(),
        echo.rtt_ns.len(),
        time(*least),
        time(sum / answered.len() as u64)
    ))
}
