//! Whether traffic of a target is to be expected, or may not have been seen: then silence is no proof that all is well.

use super::key::TargetRole;
use super::table::ConversationTable;
use crate::kubernetes::selector;
use model::endpoint::Endpoint;
use model::evidence::Evidence;
use model::facts::{BpfAttachment, NetnsFacts, Route};
use model::inventory::Pod;
use model::missing::Missing;
use std::collections::BTreeMap;
use std::net::IpAddr;

/// What came to a target in the window.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Arrivals {
    /// Anything at all: of a conversation, a datagram, or a segment of a connection that was there before.
    pub at_all: bool,
    /// Of somebody who asks it, or who may: what else comes on connections that it has belongs to either end.
    pub as_server: bool,
}

/// What came to a target.
#[must_use]
pub fn arrivals(evidence: &Evidence, target: &Endpoint, table: &ConversationTable, at: usize) -> Arrivals {
    let own = table.conversations.iter().filter(|(key, _)| key.target == at);
    let is_asked = own.clone().any(|(key, _)| key.role == TargetRole::Server);
    let on_connections = had_peers(evidence, target) && grew(evidence, target, &["Tcp.InSegs"]);
    let datagrams = grew(
        evidence,
        target,
        &[
            "Udp.InDatagrams",
            "Udp6.InDatagrams",
            "Udp.RcvbufErrors",
            "Udp6.RcvbufErrors",
        ],
    );
    // Answers to lookups are no requests.
    let looks_up = own
        .clone()
        .any(|(key, own)| key.role == TargetRole::Client && !own.lookups.is_empty());
    Arrivals {
        at_all: own.count() > 0 || on_connections || datagrams,
        as_server: is_asked || on_connections || (datagrams && !looks_up),
    }
}

/// One of these counters of a target's namespace grew in the window.
fn grew(evidence: &Evidence, target: &Endpoint, counters: &[&str]) -> bool {
    let netns = target.netns.and_then(|netns| evidence.netns(netns));
    let value = |facts: &NetnsFacts, name: &str| {
        let counters = facts.counters.ok();
        counters.and_then(|counters| counters.get(name)).copied().unwrap_or(0)
    };
    netns.is_some_and(|netns| {
        counters
            .iter()
            .any(|name| value(&netns.after, name) > value(&netns.before, name))
    })
}

/// Somebody expects something of this target: a service selects it, or it had peers before the window.
#[must_use]
pub fn is_expected(evidence: &Evidence, target: &Endpoint) -> bool {
    is_selected(evidence, target) || had_peers(evidence, target)
}

/// What silence leaves open: of a connection that an eBPF program refuses in `connect()` (of a service without endpoints, say), no
/// packet leaves.
#[must_use]
pub fn refused_unseen(evidence: &Evidence, targets: &[Endpoint]) -> Option<Missing> {
    let (target, program) = targets
        .iter()
        .find_map(|target| Some((target, asked_in_connect(evidence, target)?)))?;
    let why = format!(
        "eBPF program {} ({}, id {}) is asked in connect(); of what it refuses no packet leaves, and none was seen",
        program.name, program.kind, program.id
    );
    let lack = Missing::new(format!("connections of {} that fail at once", target.name), why);
    Some(lack.remedy("ask about what it connects to: kubectl skoop diagnose POD SERVICE:PORT"))
}

/// Connects and datagrams of a target for which its kernel found no route: none of their packets leaves, and nobody tells where they
/// were to go. Told where the target has an address of that family and no default route: other programs only ask which of several
/// addresses could be reached (RFC 6724).
#[must_use]
pub fn routeless(evidence: &Evidence, targets: &[Endpoint]) -> Option<Missing> {
    targets.iter().find_map(|target| {
        let netns = evidence.netns(target.netns?)?;
        let (before, after) = (netns.before.counters.ok()?, netns.after.counters.ok()?);
        let routes = netns.before.routes.ok()?;
        let family = |name: &str, is_of: fn(&IpAddr) -> bool| {
            let value = |counters: &BTreeMap<String, u64>| counters.get(name).copied().unwrap_or(0);
            let grown = value(after).saturating_sub(value(before));
            let is_default = |route: &&Route| route.prefix == 0 && is_of(&route.dst) && !route.hops.is_empty();
            let stranded = target.addresses.iter().any(is_of) && !routes.iter().any(|route| is_default(&route));
            (stranded && grown > 0).then_some((name.to_owned(), grown))
        };
        let (counter, grown) =
            family("Ip.OutNoRoutes", IpAddr::is_ipv4).or_else(|| family("Ip6.OutNoRoutes", IpAddr::is_ipv6))?;
        let what = format!("where {grown} connects or datagrams of {} were to go", target.name);
        let why = format!(
            "its kernel found no route for them ({counter} grew by {grown}), and it has no default route; of what fails so, no packet leaves"
        );
        let lack = Missing::new(what, why);
        Some(lack.remedy("see its routes (`ip route`), or ask about what it connects to: kubectl skoop diagnose POD SERVER:PORT"))
    })
}

fn asked_in_connect<'a>(evidence: &'a Evidence, target: &Endpoint) -> Option<&'a BpfAttachment> {
    let mut attached = evidence.netns(target.netns?)?.before.bpf.ok()?.iter();
    attached.find(|program| program.kind.starts_with("cgroup-connect"))
}

/// A service selects it.
#[must_use]
pub fn is_selected(evidence: &Evidence, target: &Endpoint) -> bool {
    let is_it = |pod: &&Pod| target.object.as_ref() == Some(&pod.object());
    let inventory = evidence.inventory.ok();
    let Some((inventory, pod)) = inventory.and_then(|all| Some((all, all.pods.iter().find(is_it)?))) else {
        return false;
    };
    let mut services = inventory.services.iter();
    services.any(|service| selector::service_selects(service, pod))
}

fn had_peers(evidence: &Evidence, target: &Endpoint) -> bool {
    let netns = target.netns.and_then(|netns| evidence.netns(netns));
    let counts = netns.and_then(|netns| netns.before.socket_counts.ok());
    counts.is_some_and(|counts| counts.get("tcp ESTABLISHED").is_some_and(|count| *count > 0))
}

#[cfg(test)]
mod tests {
    use super::{refused_unseen, routeless};
    use crate::scenes::{A, Scene};
    use model::endpoint::Endpoint;
    use model::facts::BpfAttachment;
    use model::missing::Known;

    #[test]
    fn what_a_program_refuses_in_connect_is_seen_by_nobody() {
        let asked = |kind: &str| {
            let mut scene = Scene::two_nodes();
            scene.facts(A, |facts| {
                facts.bpf = Known::Known(vec![BpfAttachment {
                    kind: kind.to_owned(),
                    on: "/".to_owned(),
                    ifindex: 0,
                    id: 7,
                    name: "cil_sock4_conne".to_owned(),
                }]);
            });
            let target = Endpoint {
                name: "shop/a".to_owned(),
                netns: Some(A),
                ..Endpoint::default()
            };
            refused_unseen(&scene.evidence, &[target])
        };
        let lack = asked("cgroup-connect4").unwrap();
        assert!(lack.why.contains("cil_sock4_conne"), "{lack:?}");
        assert_eq!(asked("cgroup-skb-egress"), None);
    }

    #[test]
    fn what_finds_no_route_is_told_where_there_is_no_default_route() {
        let asked = |grown: u64, has_default: bool| {
            let mut scene = Scene::two_nodes();
            scene.grew(A, "Ip.OutNoRoutes", grown);
            if !has_default {
                scene.facts(A, |facts| {
                    if let Known::Known(routes) = &mut facts.routes {
                        routes.retain(|route| route.prefix != 0);
                    }
                });
            }
            let target = Endpoint {
                name: "shop/a".to_owned(),
                netns: Some(A),
                addresses: vec!["10.90.1.2".parse().unwrap()],
                ..Endpoint::default()
            };
            routeless(&scene.evidence, &[target])
        };
        assert!(asked(3, false).is_some_and(|lack| lack.what.starts_with("where 3 connects")));
        assert_eq!((asked(0, false), asked(3, true)), (None, None));
    }
}
