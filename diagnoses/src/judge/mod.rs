//! Outcome, headline and ranked verdicts of one run.
//!
//! What needs all rules or the whole case at once belongs here: what the run means, and when it may end early. It uses every
//! other room and is used by none. What proves one cause is that cause's rule.

pub mod early_end;
mod not_made;
mod rank;
mod what_works;

use crate::case::clocks;
use crate::case::lookups::lookups;
use crate::case::{Case, Fate};
use crate::rules;
use crate::verdict::finding::Finding;
use crate::words;
use model::attempt::Outcome;
use model::evidence::{Clock, Evidence, Intent};
use model::missing::{Known, Missing};
use model::protocol::Lost;
use model::report::{Conclusion, Direction, Happened, Hop, Severity, Verdict};
use not_made::not_made;
use rank::rank;
use what_works::proven;

/// What a run means; the client adds what was looked at and for how long, which makes it the report.
#[derive(Clone, Debug, PartialEq)]
pub struct Judgement {
    /// The answer.
    pub outcome: Conclusion,
    /// The answer in one plain sentence.
    pub headline: String,
    /// Causes first, then symptoms, then what is only worth knowing.
    pub verdicts: Vec<Verdict>,
    /// What was proven to work, one short fact each.
    pub proven: Vec<String>,
    /// The way of the watched packets, and of the answers.
    pub path: Vec<Hop>,
    /// What could not be seen.
    pub missing: Vec<Missing>,
}

/// Judges a run: every rule of its intent reads the same case; what they conclude is ranked.
#[must_use]
pub fn judge(evidence: &Evidence) -> Judgement {
    #[cfg(test)]
    crate::scenes::hostile::check(evidence, judged);
    judged(evidence)
}

fn judged(evidence: &Evidence) -> Judgement {
    let evidence = &*clocks::aligned(evidence);
    let case = Case::new(evidence);
    let mut findings = Vec::new();
    let mut missing = gaps(&case);
    for rule in rules::RULES {
        match (rule.check)(&case) {
            Ok(found) => findings.extend(found),
            Err(lack) => push(&mut missing, lack),
        }
    }
    if case.inventory().is_some() {
        findings.iter_mut().for_each(Finding::name_node);
    }
    let mut verdicts = rank(findings);
    for verdict in &mut verdicts {
        in_clusters_words(&case, verdict);
    }
    // Where nothing was sent or watched, only what needs no packet to be proven accuses.
    let looked = evidence.passive || case.asked().next().is_some();
    let accused = verdicts
        .iter()
        .any(|verdict| verdict.cause && (verdict.severity == Severity::Fatal || looked));
    let outcome = if accused || !case.failed().is_empty() {
        Conclusion::Fault
    } else if missing.is_empty() {
        Conclusion::Healthy
    } else {
        Conclusion::Inconclusive
    };
    let proven = proven(&case);
    Judgement {
        outcome,
        headline: headline(&case, outcome, &verdicts, &proven, &missing),
        verdicts,
        proven,
        path: path(&case),
        missing,
    }
}

/// Names the pod of the namespace that a verdict points to.
fn in_clusters_words(case: &Case<'_>, verdict: &mut Verdict) {
    let Some(inventory) = case.inventory() else {
        return;
    };
    let place = &mut verdict.place;
    let is_pod = |name: &&String| inventory.pods.iter().any(|pod| pod.full_name() == **name);
    if place.pod.is_none() {
        place.pod = place.netns.as_ref().filter(is_pod).cloned();
    }
}

fn push(missing: &mut Vec<Missing>, lack: Missing) {
    let known = missing
        .iter()
        .any(|other| other.what == lack.what && other.why == lack.why && other.node == lack.node);
    if !known {
        missing.push(lack);
    }
}

/// What was not seen and could change the answer.
fn gaps(case: &Case<'_>) -> Vec<Missing> {
    let evidence = case.evidence;
    let mut gaps = Vec::new();
    for lack in &evidence.missing {
        push(&mut gaps, lack.clone());
    }
    for lack in unread_objects(case) {
        push(&mut gaps, lack);
    }
    let wanted = crate::needs(evidence.intent).probes;
    for node in &evidence.nodes {
        let of_node = |mut lack: Missing| {
            lack.node = Some(node.name.clone());
            lack
        };
        if let Some(cut) = &node.truncated {
            push(&mut gaps, of_node(cut.clone()));
        }
        for status in &node.probes {
            if let Some(why) = &status.unsupported
                && wanted.contains(&status.name.as_str())
            {
                push(&mut gaps, of_node(why.clone()));
            }
        }
        for lost in node.lost.iter().filter(|lost| lost.of_watched > 0) {
            let what = format!(
                "{} of the watched flow",
                words::count(lost.of_watched as usize, "event")
            );
            let why = format!("lost by probe {}: its ring was full", lost.probe);
            let lack = Missing::new(what, why).remedy("run again when the node is less busy");
            push(&mut gaps, of_node(lack));
        }
        // Whatever was not seen there, it kept nothing that was asked for from working.
        let matters = |lost: &&Lost| lost.missed > 0 && !case.all_worked();
        for lost in node.lost.iter().filter(matters) {
            let runs = words::count(lost.missed as usize, "run");
            let what = format!(
                "{runs} of probe {}, which may have been about the watched flow",
                lost.probe
            );
            let why = "left out by the kernel: its program was running already on that processor";
            let lack = Missing::new(what, why).remedy("run again when the node is less busy");
            push(&mut gaps, of_node(lack));
        }
    }
    for lack in unread_rules(case) {
        push(&mut gaps, lack);
    }
    for lack in undecided(case) {
        push(&mut gaps, lack);
    }
    gaps
}

/// What the cluster's API did not tell. Where everything worked, it would change nothing; but a node that nobody looks into may
/// still hide a fault.
fn unread_objects(case: &Case<'_>) -> Vec<Missing> {
    let Some(inventory) = case.inventory() else {
        return Vec::new();
    };
    let decides = |lack: &&Missing| !case.all_worked() || lack.what.starts_with("what happens on");
    let mut lacks: Vec<Missing> = inventory.missing.iter().filter(decides).cloned().collect();
    if case.all_worked() {
        return lacks;
    }
    lacks.extend(inventory.policies.get().err().cloned());
    lacks.extend(inventory.other_policies.iter().map(|policy| {
        let name = if policy.namespace.is_empty() {
            policy.name.clone()
        } else {
            format!("{}/{}", policy.namespace, policy.name)
        };
        Missing::new(
            format!("what {} {name} says of it", policy.kind),
            "policies of this kind are not evaluated",
        )
        .remedy("ask the network plug-in's own tool")
    }));
    lacks
}

/// Firewall rules of the path that could not be read.
fn unread_rules(case: &Case<'_>) -> Vec<Missing> {
    let mut lacks = Vec::new();
    for netns in &case.evidence.netns {
        match case.before(netns.id, "netfilter rules", |facts| &facts.netfilter) {
            Ok(netfilter) => lacks.extend(netfilter.unread.iter().cloned()),
            Err(lack) => lacks.push(lack),
        }
    }
    lacks
}

/// Attempts that prove nothing.
fn undecided(case: &Case<'_>) -> Vec<Missing> {
    let evidence = case.evidence;
    if evidence.passive {
        if !case.trail.legs.is_empty() {
            return Vec::new();
        }
        let lack = Missing::new("the watched flow", "no packet of it was seen in the window");
        return vec![lack.remedy("watch longer (--for), or while it is in use")];
    }
    if case.asked().next().is_none() {
        let lack = Missing::new("attempts", "none was made");
        return vec![match evidence.inventory {
            Known::Known(_) => lack.remedy("let helpers be started: leave --no-helper out, and see what `doctor` says"),
            Known::Missing(_) => lack,
        }];
    }
    let mut lacks = not_made(case);
    if !case.worked().is_empty() {
        lacks.extend(local_proxy(case));
        return lacks;
    }
    for tried in case.asked().filter(|tried| tried.fate == Fate::Unknown) {
        let attempt = tried.attempt;
        let what = format!("the end of {} {}", attempt.kind, attempt.flow);
        let why = match &attempt.outcome {
            Outcome::NotTried { .. } => continue,
            _ if case.overran(attempt.id) => {
                let why = "more answers came at once than our own socket takes, and some were dropped there";
                let lack = Missing::new(what, why).remedy("see what the far end sends: it is more than was asked for");
                push(&mut lacks, lack);
                continue;
            }
            Outcome::Cancelled => "the run ended before it was answered".to_owned(),
            _ => "it was sent, nothing came back, and its far end could not be watched".to_owned(),
        };
        push(
            &mut lacks,
            Missing::new(what, why).remedy("give it longer (--timeout), or look at the far end"),
        );
    }
    lacks
}

/// A connection that never left the source's namespace ended at a proxy there and proves nothing about the target.
fn local_proxy(case: &Case<'_>) -> Option<Missing> {
    let source = case.evidence.source.netns?;
    if case.evidence.destination.netns == Some(source) || !case.watched_by("path") {
        return None;
    }
    let worked = case.worked();
    let local = worked.iter().find(|tried| {
        let request = case.leg(tried.attempt.id, Direction::Request);
        request.is_some_and(|leg| {
            leg.stayed_in(source) && leg.stops.iter().all(|stop| is_loopback(case, stop.netns, stop.ifindex))
        })
    })?;
    let forms = case.trail.forms(local.attempt.id);
    let end = forms.last().copied().unwrap_or(local.attempt.flow);
    Some(
        Missing::new(
            format!("whether {} was reached", case.target()),
            format!(
                "the connection ended at {}:{} inside {} itself (a local proxy, such as a mesh sidecar, took it)",
                end.dst(),
                end.dport,
                case.name(source)
            ),
        )
        .remedy("ask the proxy's own log or statistics whether it reached the target"),
    )
}

fn is_loopback(case: &Case<'_>, netns: u32, ifindex: u32) -> bool {
    case.link(netns, ifindex).is_some_and(|link| link.loopback)
}

fn headline(
    case: &Case<'_>,
    outcome: Conclusion,
    verdicts: &[Verdict],
    proven: &[String],
    missing: &[Missing],
) -> String {
    let (source, target) = (case.source(), case.target());
    let first = verdicts.iter().find(|verdict| verdict.cause);
    let dns = case.evidence.intent == Intent::Dns;
    let name = dns_name(case);
    let (does, does_not) = if dns {
        (
            format!("{source} resolves {name}"),
            format!("{source} cannot resolve {name}"),
        )
    } else {
        (
            format!("{source} reaches {target}"),
            format!("{source} cannot reach {target}"),
        )
    };
    match outcome {
        Conclusion::Healthy => match proven.first() {
            Some(first) => format!("{does}: {first}"),
            None => does,
        },
        Conclusion::Fault => {
            let says = first.map_or("it failed, and nothing seen says why", |verdict| verdict.says.as_str());
            if dns && in_part(case) {
                format!("{source} resolves {name} late or not at all: {says}")
            } else if case.worked().is_empty() {
                format!("{does_not}: {says}")
            } else if case.failed().is_empty() {
                format!("{does}, but {says}")
            } else if let Some((works, fails)) = families(case) {
                format!("{does} over {works} and not over {fails}: {says}")
            } else {
                let (failed, all) = (case.failed().len(), case.asked().count());
                format!("{does} only sometimes ({failed} of {all} attempts failed): {says}")
            }
        }
        Conclusion::Inconclusive => {
            let untried = case.asked().next().is_none() && case.inventory().is_some();
            if untried && first.is_none() && missing.len() == 1 {
                return format!("{source} should reach {target} by what the API says, but nothing was sent to see it");
            }
            let why = missing.first().map_or_else(
                || "too little was seen".to_owned(),
                |lack| format!("{}: {}", lack.what, lack.why),
            );
            if let Some(first) = first {
                format!("{source} should not reach {target}: {}; {why}", first.says)
            } else if case.all_worked() {
                format!("{does} as far as was seen, but not all was: {why}")
            } else if dns {
                format!("cannot tell whether {source} resolves {name}: {why}")
            } else {
                format!("cannot tell whether {source} reaches {target}: {why}")
            }
        }
    }
}

/// A lookup that failed, or was cut short, while some answer had come or a name server was left to ask.
fn in_part(case: &Case<'_>) -> bool {
    let servers = case
        .evidence
        .source
        .resolv
        .ok()
        .map_or(&[][..], |resolv| &resolv.nameservers);
    lookups(case).iter().any(|lookup| {
        let asked = lookup.servers();
        let cut_short = lookup.tried.attempt.outcome == Outcome::Cancelled;
        let left = cut_short && servers.iter().any(|server| !asked.contains(server));
        lookup.tried.fate == Fate::Failed && (left || lookup.dns.queries.iter().any(|query| query.answers > 0))
    })
}

/// The address family that works and the one that does not, where that is the difference.
fn families(case: &Case<'_>) -> Option<(&'static str, &'static str)> {
    let v6 = |tried: &&crate::case::Tried<'_>| tried.attempt.flow.dst().is_ipv6();
    let (failed, worked) = (case.failed(), case.worked());
    if failed.iter().all(v6) && !worked.iter().any(v6) {
        Some(("IPv4", "IPv6"))
    } else if worked.iter().all(v6) && !failed.iter().any(v6) {
        Some(("IPv6", "IPv4"))
    } else {
        None
    }
}

fn dns_name(case: &Case<'_>) -> String {
    let lookups = case.asked().filter_map(|tried| tried.attempt.dns.as_ref());
    lookups
        .map(|lookup| lookup.name.clone())
        .find(|name| !name.is_empty())
        .unwrap_or_else(|| case.evidence.destination.asked.clone())
}

/// The trail of the attempt that tells most: the first that failed, else the first that was asked for; one for each address family.
fn path(case: &Case<'_>) -> Vec<Hop> {
    let mut chosen: Vec<u32> = Vec::new();
    for v6 in [false, true] {
        let of_family = |tried: &&&crate::case::Tried<'_>| tried.attempt.flow.dst().is_ipv6() == v6;
        let failed = case.failed();
        let asked: Vec<_> = case.asked().collect();
        let first = failed.iter().find(of_family).or_else(|| asked.iter().find(of_family));
        chosen.extend(first.map(|tried| tried.attempt.id));
    }
    if chosen.is_empty() {
        chosen.extend(case.trail.legs.first().map(|leg| leg.attempt));
    }
    let legs = case.trail.legs.iter().filter(|leg| chosen.contains(&leg.attempt));
    legs.flat_map(|leg| hops(case, leg)).collect()
}

fn hops(case: &Case<'_>, leg: &crate::case::trail::Leg<'_>) -> Vec<Hop> {
    let start = case.evidence.window.start_ns;
    let several = leg
        .stops
        .iter()
        .any(|stop| case.node(stop.netns) != case.node(leg.stops[0].netns));
    let unordered = |netns: u32| {
        let name = case.evidence.netns(netns).map_or("", |netns| netns.node.as_str());
        let node = case.evidence.nodes.iter().find(|node| node.name == name);
        several && node.is_some_and(|node| node.clock == Clock::Unknown)
    };
    let hop = |netns: u32, interface: Option<String>, happened, flow, from, at_ns: u64, packets, says| Hop {
        direction: leg.direction,
        attempt: leg.attempt,
        node: case.node(netns),
        netns: case.name(netns),
        netns_id: netns,
        interface,
        happened,
        flow,
        translated_from: from,
        at_ns: at_ns.saturating_sub(start),
        packets,
        says,
    };
    let mut hops: Vec<Hop> = leg
        .stops
        .iter()
        .map(|stop| {
            let verb = match stop.happened {
                Happened::Left => "left through",
                Happened::Arrived => "arrived at",
                _ => "read by a program in",
            };
            let place = words::at(&case.name(stop.netns), stop.interface.as_deref());
            let from = stop.translated_from.map_or(String::new(), |from| {
                format!(", translated: {from} became {}", stop.flow)
            });
            hop(
                stop.netns,
                stop.interface.clone(),
                stop.happened,
                stop.flow,
                stop.translated_from,
                stop.first_ns,
                stop.packets,
                if unordered(stop.netns) {
                    format!("{verb} {place}{from}; when, beside what other nodes saw, is not known: no packet was seen at both")
                } else {
                    format!("{verb} {place}{from}")
                },
            )
        })
        .collect();
    let mut ends: Vec<Hop> = Vec::new();
    for drop in &leg.drops {
        let interface = Some(case.interface(drop.event)).filter(|name| !name.is_empty());
        let (happened, says) = if drop.class == crate::kernel::drops::Class::NoSocket {
            (Happened::NoSocket, "delivered to no socket: nothing listens".to_owned())
        } else {
            let meaning = crate::kernel::drops::meaning(drop.class);
            (Happened::Dropped, format!("dropped: {} ({meaning})", drop.words()))
        };
        let same = ends
            .iter_mut()
            .find(|end| end.says == says && end.netns_id == drop.event.netns && end.interface == interface);
        match same {
            Some(end) => end.packets += 1,
            None => ends.push(hop(
                drop.event.netns,
                interface,
                happened,
                drop.event.flow,
                None,
                drop.event.at_ns,
                1,
                says,
            )),
        }
    }
    hops.append(&mut ends);
    let ended = hops.iter().any(|hop| {
        matches!(
            hop.happened,
            Happened::Dropped | Happened::Delivered | Happened::NoSocket
        )
    });
    let answered = leg.direction == Direction::Request && case.leg(leg.attempt, Direction::Answer).is_some();
    let worked = case
        .attempt(leg.attempt)
        .is_some_and(|tried| tried.fate == Fate::Worked);
    if let Some(last) = hops.last().filter(|_| !ended && !answered && !worked) {
        let mut end = last.clone();
        end.happened = Happened::LastSeen;
        end.translated_from = None;
        end.says = format!("last seen here: {}", last.says);
        hops.push(end);
    }
    hops
}

#[cfg(test)]
mod tests {
    use super::judge;
    use crate::scenes::Scene;
    use model::protocol::Lost;
    use model::report::Conclusion;

    #[test]
    fn a_probe_that_the_kernel_left_out_matters_unless_all_that_was_asked_for_worked() {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        scene.evidence.nodes[0].lost = vec![Lost {
            probe: "drop".to_owned(),
            missed: 2,
            ..Lost::default()
        }];
        assert_eq!(judge(&scene.evidence).outcome, Conclusion::Healthy);
        scene.evidence.attempts[2].outcome = model::attempt::Outcome::Cancelled;
        scene.evidence.attempts[2].connected_ns = None;
        let judged = judge(&scene.evidence);
        assert!(
            judged
                .missing
                .iter()
                .any(|lack| lack.what.starts_with("2 runs of probe drop")),
            "{:?}",
            judged.missing
        );
        assert_ne!(judged.outcome, Conclusion::Healthy);
    }
}
