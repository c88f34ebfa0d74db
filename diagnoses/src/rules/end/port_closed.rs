//! Nothing listens on that port.
//!
//! Why it happens: the program is not running, is not listening yet, crashed, or listens on another port.
//!
//! How it knows: the target's own kernel looked for a socket for the request, found none and said so (a packet dropped with
//! `NO_SOCKET`, a reset with the same reason, ICMP port unreachable), and the target's list has no socket with that port and
//! protocol. If a firewall rule refuses the connection, it looks the same to the sender; but then the target's kernel did not
//! look.
//!
//! Remedy: start the program, or use the port that it listens on.
//!
//! Silent on: answers that come after the sender has closed its socket (they find no socket at the sender), segments that
//! arrive after a connection was closed, and ports that are open on another address (`listener-on-other-address`).

use crate::case::Case;
use crate::case::far_end::{FarEnd, listeners, refused, target_words};
use crate::kernel::drops::Class;
use crate::kubernetes::pods;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::words::{at, count};
use model::report::Direction;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("tcpreset"),
    Need::Probe("path"),
    Need::Fact("sockets"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let mut ids = Vec::new();
    let mut proof = None;
    for (id, end) in refused(case) {
        // Something of that port is there: on another address, or it came up meanwhile.
        if listeners(case, end).is_ok_and(|found| !found.is_empty()) {
            continue;
        }
        ids.push(id);
        proof.get_or_insert((id, end));
    }
    let Some((id, end)) = proof else {
        return Ok(Vec::new());
    };
    let netns = case.name(end.netns);
    let target = target_words(end.flow);
    let drop = case.leg(id, Direction::Request).and_then(|leg| {
        leg.drops
            .iter()
            .find(|drop| drop.class == Class::NoSocket && drop.event.flow == end.flow)
    });
    let interface = drop.map_or_else(String::new, |drop| case.interface(drop.event));
    let seen = match drop {
        Some(drop) => format!(
            "{} of {} found no socket in {} ({})",
            count(ids.len(), "request"),
            drop.event.flow,
            at(&netns, Some(&interface)),
            drop.words()
        ),
        None => format!("{netns} answered {} with a reset: no socket", end.flow),
    };
    let listens = listeners(case, end).is_ok();
    Ok(vec![
        fatal("port-closed", format!("nothing listens on {target} in {netns}"))
            .at(case.node(end.netns), &netns)
            .interface(interface)
            .of(ids)
            .remedy(format!(
                "start the program that should listen on port {} in {netns}, or ask for the port it listens on",
                end.flow.dport
            ))
            .because(seen)
            .and_if(listens.then(|| format!("no socket of {netns} listens on port {}", end.flow.dport)))
            .and_if(other_ports(case, end))
            .and_if(not_ready(case, end)),
    ])
}

/// Why the pod there is not ready, where it is one that is not.
fn not_ready(case: &Case<'_>, end: FarEnd) -> Option<String> {
    let pod = pods::pod_in(case.evidence, end.netns)?;
    let why = pods::not_ready(case.inventory()?, pod)?;
    Some(format!("pod {} is not ready: {why}", pod.full_name()))
}

/// Which other ports of the same protocol are open there, where they are few.
fn other_ports(case: &Case<'_>, end: FarEnd) -> Option<String> {
    let sockets = case.after(end.netns, "sockets", |facts| &facts.sockets).ok()?;
    let mut open: Vec<u16> = sockets
        .iter()
        .filter(|socket| socket.state == "LISTEN" && socket.flow.protocol == end.flow.protocol)
        .map(|socket| socket.flow.sport)
        .collect();
    open.sort_unstable();
    open.dedup();
    let few = !open.is_empty() && open.len() <= 8;
    let ports: Vec<String> = open.iter().map(u16::to_string).collect();
    few.then(|| format!("ports that are open there: {}", ports.join(", ")))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::missing::Known;

    fn nothing_listens(scene: &mut Scene) {
        scene.facts(scenes::C, |facts| facts.sockets = Known::Known(vec![]));
    }

    #[test]
    fn a_request_that_finds_no_socket_names_the_port() {
        let mut scene = Scene::two_nodes();
        nothing_listens(&mut scene);
        scene.finds_no_socket(3, scenes::C, "eth0");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["port-closed"]);
        assert_eq!(judgement.verdicts[0].place.netns.as_deref(), Some("netns/c"));
        assert!(judgement.verdicts[0].says.contains("10.90.2.2:80/tcp"));
    }

    #[test]
    fn an_answer_that_comes_after_the_sender_closed_is_no_closed_port() {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        let late = scene.evidence.watched[0].flow.reversed();
        scene.drop(scenes::A, "eth0", late, "NO_SOCKET", "__udp4_lib_rcv");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }

    #[test]
    fn a_refusal_elsewhere_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        let foreign = scenes::tcp("10.90.1.9:1000", "10.90.2.2:81");
        scene.drop(scenes::C, "eth0", foreign, "NO_SOCKET", "tcp_v4_rcv");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }
}
