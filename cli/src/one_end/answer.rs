//! From what was seen of one end to its report: every conversation that suffers is judged by the rules, and what they say is
//! brought together.

use super::overflow_watch;
use super::question::OneEndQuestion;
use super::triage::Triage;
use crate::report::node;
use diagnoses::conversations::{
    Arrivals, Cost, Ends, Key, Looked, PathOf, Suffering, TargetRole, arrivals, cost_in, is_expected, is_selected,
    judge_conversations, question, refused_unseen, routeless,
};
use diagnoses::words::count;
use model::endpoint::{Endpoint, EndpointKind};
use model::evidence::{Evidence, Intent};
use model::flow::protocol_name;
use model::missing::Missing;
use model::owner::Owner;
use model::protocol::Lost;
use model::report::{API_VERSION, ConversationReport, OneEndReport, SeenTraffic, Timing};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// Probes without whose events a connection or a lookup that failed may be overlooked.
const DECIDING: [&str; 3] = ["tcpstate", "tcpretrans", "dns"];

/// The conversations that suffer and were followed, each as a question with what was seen of it.
#[must_use]
pub fn questions(triage: &Triage, seen: &Evidence) -> Vec<Suffering> {
    let now_ns = triage.end_ns(seen);
    let mut suffering = Vec::new();
    for &(key, cost) in &triage.suffering {
        let Some(followed) = triage.followed.iter().find(|followed| followed.key == key) else {
            continue;
        };
        let path = PathOf {
            key,
            ends: followed.ends.clone(),
            inventory: followed.inventory.clone(),
            since_ns: followed.since_ns,
        };
        let evidence = question(seen, &triage.table, &path, now_ns);
        let shown = cost_in(&evidence);
        let cost = Cost {
            failed: cost.failed.max(shown.failed),
            waited_ns: cost.waited_ns.max(shown.waited_ns),
            ..cost
        };
        suffering.push(Suffering {
            report: report_of(triage, &key, cost, &followed.ends),
            cost,
            role: key.role,
            evidence,
        });
    }
    suffering
}

/// The report about one end.
#[must_use]
pub fn answer(
    asked: &OneEndQuestion,
    target: Endpoint,
    triage: &Triage,
    suffering: &[Suffering],
    seen: Evidence,
    timing: Timing,
) -> OneEndReport {
    let traffic = traffic(triage, &seen);
    let looked = Looked {
        target: name(&target),
        seconds: triage.took.as_secs_f64(),
        seen: traffic.clone(),
        missing: gaps(&seen)
            .into_iter()
            .chain(left_out(triage))
            .chain(routeless(&seen, &triage.targets))
            .collect(),
        unheard: unheard(asked.intent, &seen, triage),
        unseen: refused_unseen(&seen, &triage.targets),
        unjudged: unjudged(triage),
    };
    let judged = judge_conversations(suffering, &looked);
    OneEndReport {
        api_version: API_VERSION.to_owned(),
        kind: "Diagnosis".to_owned(),
        intent: asked.intent,
        source: target,
        outcome: judged.outcome,
        headline: judged.headline,
        verdicts: judged.verdicts,
        seen: traffic,
        missing: judged.missing,
        nodes: seen.nodes.into_iter().map(node).collect(),
        timing,
    }
}

/// Targets of which something is expected and to which nothing came: each of a few pods that were asked for, and all that a node or a
/// namespace has together, of which some are always idle.
fn unheard(intent: Intent, seen: &Evidence, triage: &Triage) -> Vec<String> {
    let targets = triage.targets.iter().enumerate();
    let heard: Vec<(&Endpoint, Arrivals)> = targets
        .map(|(at, target)| (target, arrivals(seen, target, &triage.table, at)))
        .collect();
    let is_wide = matches!(intent, Intent::Node | Intent::Namespace);
    if is_wide && heard.iter().any(|(_, arrived)| arrived.at_all) {
        return Vec::new();
    }
    let is_silent = |(target, arrived): &&(&Endpoint, Arrivals)| {
        if is_selected(seen, target) {
            !arrived.as_server
        } else {
            is_expected(seen, target) && !arrived.at_all
        }
    };
    heard.iter().filter(is_silent).map(|(target, _)| name(target)).collect()
}

/// What of the targets and their conversations was not looked at, as there were too many.
fn left_out(triage: &Triage) -> Vec<Missing> {
    let mut left_out = Vec::new();
    let conversations = triage.table.left_out;
    if conversations > 0 {
        let what = format!("{conversations} connections or lookups of further peers");
        let lack = Missing::new(what, "a table of conversations has no room for more");
        left_out.push(lack.remedy("look at fewer pods at once, or for a shorter time"));
    }
    let unwatched = triage.targets.len().saturating_sub(overflow_watch::TARGETS_MAX);
    if unwatched > 0 {
        let what = format!("overflows of what {} listen on", count(unwatched, "more target"));
        let why = format!(
            "counters of {} targets are read again and again, and no more",
            overflow_watch::TARGETS_MAX
        );
        left_out.push(Missing::new(what, why).remedy("look at fewer pods at once"));
    }
    left_out
}

/// Conversations in which something failed, and that were not followed.
fn unjudged(triage: &Triage) -> usize {
    let followed = |key: &Key| triage.followed.iter().any(|followed| followed.key == *key);
    let failed = triage.suffering.iter().filter(|(_, cost)| cost.failed > 0);
    failed.filter(|(key, _)| !followed(key)).count()
}

/// The numbers of a conversation.
fn report_of(triage: &Triage, key: &Key, cost: Cost, ends: &Ends) -> ConversationReport {
    let conversation = triage.table.conversations.get(key);
    ConversationReport {
        source: name(&ends.client),
        destination: name(&ends.server),
        port: key.port,
        protocol: protocol_name(key.protocol).into_owned(),
        tried: conversation.map_or(0, |conversation| conversation.tried),
        failed: cost.failed,
        lost: cost.lost,
        waited_ms: cost.waited_ns / 1_000_000,
    }
}

/// As people call it. What was found by an address alone is called by whose it is.
fn name(end: &Endpoint) -> String {
    match &end.owner {
        Owner::Netns { name } if end.kind == EndpointKind::Address => return format!("netns/{name}"),
        Owner::Host if end.kind == EndpointKind::Address => return "host".to_owned(),
        _ => {}
    }
    [&end.name, &end.asked]
        .into_iter()
        .find(|name| !name.is_empty())
        .cloned()
        .unwrap_or_default()
}

/// What was seen to work.
fn traffic(triage: &Triage, seen: &Evidence) -> SeenTraffic {
    let table = &triage.table;
    let made = |role: TargetRole| {
        let of_role = table
            .conversations
            .iter()
            .filter(move |(key, own)| key.role == role && own.lookups.is_empty() && !table.is_twin(key));
        of_role.map(|(_, own)| u64::from(own.made)).sum::<u64>()
    };
    let lookups = table
        .conversations
        .iter()
        .filter(|(key, own)| key.role == TargetRole::Client && !own.lookups.is_empty());
    let met = table.conversations.iter().filter(|(_, own)| own.made > 0);
    let peers: BTreeSet<IpAddr> = met.map(|(key, _)| key.peer()).collect();
    SeenTraffic {
        connections: made(TargetRole::Client) + made(TargetRole::Server),
        lookups: lookups.map(|(_, own)| u64::from(own.made)).sum(),
        datagrams: triage.targets.iter().filter_map(|target| datagrams(seen, target)).sum(),
        peers: peers.len() as u64,
        connect_p99_ms: p99_ms(&table.connect_ns),
        lookup_p99_ms: p99_ms(&table.lookup_ns),
    }
}

/// Datagrams that a target's namespace sent and received in the window.
fn datagrams(seen: &Evidence, target: &Endpoint) -> Option<u64> {
    let netns = seen.netns(target.netns?)?;
    let (before, after) = (netns.before.counters.ok()?, netns.after.counters.ok()?);
    let grown = |name: &str| {
        let value = |counters: &std::collections::BTreeMap<String, u64>| counters.get(name).copied().unwrap_or(0);
        value(after).saturating_sub(value(before))
    };
    Some(
        [
            "Udp.InDatagrams",
            "Udp.OutDatagrams",
            "Udp6.InDatagrams",
            "Udp6.OutDatagrams",
            "Udp.RcvbufErrors",
            "Udp6.RcvbufErrors",
        ]
        .into_iter()
        .map(grown)
        .sum(),
    )
}

fn p99_ms(times_ns: &[u64]) -> Option<f64> {
    let mut sorted = times_ns.to_vec();
    sorted.sort_unstable();
    let rank = (sorted.len() * 99).div_ceil(100).checked_sub(1)?;
    // Hundredths of a millisecond are enough.
    Some((sorted[rank] as f64 / 10_000.0).round() / 100.0)
}

/// What of the window was not seen.
fn gaps(seen: &Evidence) -> Vec<Missing> {
    let mut gaps = seen.missing.clone();
    for node in &seen.nodes {
        gaps.extend(node.truncated.clone());
        for status in &node.probes {
            gaps.extend(status.unsupported.clone());
        }
        // Drops come in floods wherever much is received and thrown away; what fails is told by sockets and lookups.
        let decides = |lost: &&Lost| DECIDING.contains(&lost.probe.as_str());
        let unseen: u64 = node
            .lost
            .iter()
            .filter(decides)
            .map(|lost| lost.ring_full + lost.over_budget)
            .sum();
        if unseen > 0 {
            let what = format!("{unseen} events of sockets and lookups");
            let lack = Missing::new(what, "more came at once than can be told one by one");
            gaps.push(lack.remedy("look at fewer pods at once, or when they are less busy"));
        }
    }
    gaps
}
