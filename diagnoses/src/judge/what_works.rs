//! What was proven to work, in short facts with numbers.

use crate::case::connect_translation;
use crate::case::policy_rulings;
use crate::case::services;
use crate::case::{Case, Fate, Tried};
use crate::kernel::drops;
use crate::kubernetes::pods;
use crate::kubernetes::policy::Ruling;
use crate::words::{at, count, time};
use model::attempt::{Attempt, Outcome};
use model::report::Direction;
use std::net::IpAddr;

/// Backends of a service that are named, at most.
const TRANSLATIONS_SHOWN: usize = 3;

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
    facts.extend(translated_in_connect(case, &worked));
    facts.extend(datagrams(case));
    facts.extend(worked.iter().filter_map(|attempt| lookup(attempt)));
    for tried in &case.tried {
        facts.extend(train(case, tried.attempt));
    }
    facts.extend(echoes_alone_fail(case));
    facts
}

/// Where an eBPF program gave the sockets another target than was asked for; said once for each address.
fn translated_in_connect(case: &Case<'_>, worked: &[&Attempt]) -> Vec<String> {
    let mut facts: Vec<String> = Vec::new();
    for attempt in worked {
        let request = case.leg(attempt.id, Direction::Request);
        let done = request.and_then(|leg| connect_translation::of(case, leg));
        facts.extend(done.map(|done| done.words()).filter(|words| !facts.contains(words)));
    }
    facts.truncate(TRANSLATIONS_SHOWN);
    facts
}

/// Echoes that are not answered beside connections that work: a policy may let the one pass and not the other.
fn echoes_alone_fail(case: &Case<'_>) -> Option<String> {
    let silent = |tried: &Tried<'_>| {
        let train = tried.attempt.echo.as_ref();
        let tried_at_all = !matches!(tried.attempt.outcome, Outcome::Cancelled | Outcome::NotTried { .. });
        tried_at_all && train.is_some_and(|train| !train.rtt_ns.is_empty() && train.order.is_empty())
    };
    let trains: Vec<&Tried<'_>> = case
        .tried
        .iter()
        .filter(|tried| !tried.asked && tried.attempt.echo.is_some())
        .collect();
    let made = case.all_worked() && case.asked().any(Tried::connected);
    if !made || trains.is_empty() || !trains.iter().all(|tried| silent(tried)) {
        return None;
    }
    let lost = trains
        .iter()
        .find_map(|tried| case.trail.drops().find(|drop| drop.attempt == tried.attempt.id));
    let how = lost.map_or_else(
        || "are not answered".to_owned(),
        |drop| {
            let place = at(&case.name(drop.event.netns), Some(&case.interface(drop.event)));
            format!(
                "are dropped in {place} ({}: {})",
                drop.words(),
                drops::meaning(drop.class)
            )
        },
    );
    Some(format!(
        "echoes {how}; that says nothing of TCP, which works; which sizes of packets pass was not tried"
    ))
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
    if matches!(policy_rulings::of_question(case), Some(Ruling::Allowed { .. })) {
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
    if dns.hosts_file.is_some() {
        return Some(format!("{found} is {} (from its hosts file)", addresses.join(", ")));
    }
    Some(format!(
        "{found} is {} ({}, {})",
        addresses.join(", "),
        count(dns.queries.len(), "query").replace("querys", "queries"),
        time(attempt.took_ns)
    ))
}

fn train(case: &Case<'_>, attempt: &Attempt) -> Option<String> {
    let echo = attempt.echo.as_ref()?;
    let answered: Vec<u64> = echo.rtt_ns.iter().flatten().copied().collect();
    let (least, sum) = (answered.iter().min()?, answered.iter().sum::<u64>());
    let over = if attempt.flow.dst().is_ipv6() { "IPv6" } else { "IPv4" };
    if attempt.kind == "echo-full-size" {
        let bytes = echo.packet_bytes;
        return Some(match largest_answer(case, attempt) {
            Some(largest) if largest < bytes => format!(
                "packets of {bytes} bytes pass whole over {over} on the way there; the answers came back in fragments of up to \
                 {largest} bytes"
            ),
            Some(_) => format!("packets of {bytes} bytes pass whole over {over}, there and back"),
            None => format!("packets of {bytes} bytes pass whole over {over} on the way there, and are answered"),
        });
    }
    Some(format!(
        "{} of {} echoes over {over} answered, round trip {} at best, {} on average",
        answered.len(),
        echo.rtt_ns.len(),
        time(*least),
        time(sum / answered.len() as u64)
    ))
}

/// The largest packet in which its answers were seen at the place where these were the smallest: a sender of echo replies lets
/// routers cut them. `None` where none was seen.
fn largest_answer(case: &Case<'_>, attempt: &Attempt) -> Option<u32> {
    let answers = case.leg(attempt.id, Direction::Answer)?;
    let sizes = answers.stops.iter().map(|stop| stop.largest_bytes);
    sizes.filter(|bytes| *bytes > 0).min()
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::attempt::{EchoTrain, Outcome};
    use model::flow::Flow;

    /// Connections that work, and beside them a full-size echo that was answered or not.
    fn beside_an_echo(answered: bool) -> (Scene, Flow) {
        let mut scene = Scene::two_nodes();
        scene.connects(2);
        let flow = scenes::icmp("10.90.1.2", "10.90.2.2");
        scene.watch(9, flow);
        let outcome = if answered {
            Outcome::Ok
        } else {
            Outcome::TimedOut { during: "read".into() }
        };
        let echo = scene.attempt(9, flow, outcome);
        echo.kind = "echo-full-size".to_owned();
        echo.echo = Some(EchoTrain {
            packet_bytes: 1500,
            rtt_ns: vec![answered.then_some(120_000)],
            order: answered.then_some(0).into_iter().collect(),
        });
        (scene, flow)
    }

    /// An answer to the echo is met here in this size.
    fn answer(scene: &mut Scene, flow: Flow, (netns, interface): (u32, &str), bytes: u32) {
        scene.hop(netns, interface, flow.reversed(), 900);
        scene.evidence.events.last_mut().unwrap().packet.as_mut().unwrap().len = bytes;
    }

    fn proven(scene: &Scene, wanted: &str) -> bool {
        let judgement = judge(&scene.evidence);
        judgement.proven.iter().any(|fact| fact.contains(wanted))
    }

    #[test]
    fn answers_that_came_back_in_fragments_did_not_pass_whole() {
        let (mut scene, flow) = beside_an_echo(true);
        answer(&mut scene, flow, (scenes::C, "eth0"), 1500);
        answer(&mut scene, flow, (scenes::X, "up0"), 1500);
        assert!(proven(&scene, "there and back"));
        answer(&mut scene, flow, (scenes::A, "eth0"), 1396);
        assert!(!proven(&scene, "there and back"));
        assert!(proven(&scene, "fragments of up to 1396 bytes"));
    }

    #[test]
    fn of_answers_that_nobody_saw_only_what_went_there_is_told() {
        let (scene, _) = beside_an_echo(true);
        assert!(proven(&scene, "on the way there, and are answered"));
    }

    #[test]
    fn echoes_that_are_not_answered_say_nothing_of_tcp() {
        let (mut scene, flow) = beside_an_echo(false);
        assert!(proven(&scene, "echoes are not answered; that says nothing of TCP"));
        scene.drop(scenes::Y, "up0", flow, "NETFILTER_DROP", "nf_hook_slow");
        assert!(proven(&scene, "echoes are dropped in netns/y up0"));
        assert!(proven(&scene, "was not tried"));
        let (scene, _) = beside_an_echo(true);
        assert!(!proven(&scene, "says nothing of TCP"));
    }
}
