//! What was not seen and could change the answer: probes, events, objects, rules, and attempts that prove nothing.

use super::not_made::not_made;
use crate::case::late_answers::late_answers;
use crate::case::policy_rulings::{of_attempt, of_question};
use crate::case::services::{AskedService, services};
use crate::case::{Case, Fate};
use crate::kubernetes::policy::Ruling;
use crate::words;
use model::attempt::Outcome;
use model::missing::{Known, Missing};
use model::numbers;
use model::protocol::Lost;
use model::report::Direction;

/// Adds what is not there yet.
pub fn push(missing: &mut Vec<Missing>, lack: Missing) {
    let known = missing
        .iter()
        .any(|other| other.what == lack.what && other.why == lack.why && other.node == lack.node);
    if !known {
        missing.push(lack);
    }
}

/// What was not seen and could change the answer.
pub fn gaps(case: &Case<'_>) -> Vec<Missing> {
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
                && (explains_more(&status.name) || !late_answers(case).is_empty())
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
        let of_packets = |lost: &Lost| !numbers::measures_times(&lost.probe);
        let matters = |lost: &&Lost| lost.missed > 0 && of_packets(lost) && !case.all_worked();
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

/// A probe tells of more than how long things take, which explains nothing where no answer was late.
fn explains_more(probe: &str) -> bool {
    !numbers::measures_times(probe)
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
    lacks.extend(inventory.policy_objects.unread.iter().cloned());
    lacks.extend(undecided_policies(case));
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

/// What policies of a network plug-in's own kinds, or of admins, leave open.
fn undecided_policies(case: &Case<'_>) -> Option<Missing> {
    let inventory = case.inventory()?;
    let theirs = &inventory.policy_objects;
    if theirs.objects.is_empty() || !theirs.unread.is_empty() || !inventory.other_policies.is_empty() {
        return None;
    }
    let failed = case.failed().into_iter().find_map(|tried| of_attempt(case, tried));
    match failed.or_else(|| of_question(case))? {
        Ruling::Unknown(why) => {
            Some(Missing::new("what policies say of it", why).remedy("ask the network plug-in's own tool"))
        }
        Ruling::Allowed { .. } | Ruling::Denied(_) => None,
    }
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

/// Nothing was sent, though it was asked; where a cause is proven without it, nothing is to be done about that.
pub fn nothing_sent(case: &Case<'_>, is_proven: bool) -> Missing {
    let (what, why) = ("attempts", "none was made");
    match case.evidence.inventory {
        Known::Known(_) if is_proven => {
            Missing::new(what, format!("{why}: what the cluster's API says proves the cause"))
        }
        Known::Known(_) => {
            Missing::new(what, why).remedy("let helpers be started: leave --no-helper out, and see what `doctor` says")
        }
        Known::Missing(_) => Missing::new(what, why),
    }
}

/// Attempts that prove nothing.
fn undecided(case: &Case<'_>) -> Vec<Missing> {
    let evidence = case.evidence;
    if evidence.passive {
        if !case.trail.legs.is_empty() || !evidence.attempts.is_empty() {
            return Vec::new();
        }
        let lack = Missing::new("the watched flow", "no packet of it was seen in the window");
        return vec![lack.remedy("watch longer (--for), or while it is in use")];
    }
    if case.asked().next().is_none() {
        return Vec::new();
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
    // A pod that asks a service may be what stands behind it.
    let behind = |asked: &AskedService<'_>| {
        let mut usable = asked.usable().into_iter();
        usable.any(|backend| (backend.address, backend.port) == (end.dst(), end.dport))
    };
    if services(case).iter().any(behind) {
        return None;
    }
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

#[cfg(test)]
mod tests {
    use super::local_proxy;
    use crate::case::Case;
    use crate::scenes::cluster::Cluster;
    use crate::scenes::{self, A};
    use model::attempt::Outcome;
    use model::flow::{Flow, TCP};

    #[test]
    fn a_pod_that_stands_behind_the_service_it_asks_is_no_proxy() {
        let ended_at_port = |port: u16| {
            let mut cluster = Cluster::web();
            cluster.slice("web").endpoints[0].addresses = vec![scenes::ip("10.90.1.2")];
            let scene = &mut cluster.scene;
            let sent = scene.flow(0);
            let own = (scenes::ip("10.90.1.2"), port);
            let became = Flow::new(TCP, (sent.src(), sent.sport).into(), own.into());
            scene.watch(0, became);
            scene.hop(A, "lo", became, 1).attempt(0, sent, Outcome::Ok).connected_ns = Some(400_000);
            local_proxy(&Case::new(cluster.evidence()))
        };
        assert_eq!(ended_at_port(80), None);
        assert!(ended_at_port(15_001).unwrap().why.contains("10.90.1.2:15001"));
    }
}
