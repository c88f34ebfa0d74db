//! A rule hands the packets to a proxy on the way, but a part of what this needs is missing.
//!
//! Why it happens: `TPROXY` gives a packet to a socket of the host that it passes. Routing must then keep the packet there: a
//! policy rule for the mark that `TPROXY` sets, and a local route in the table of that rule. Programs that manage the network
//! remove the policy rules of others when they restart, and a proxy that died leaves its rules behind. `REDIRECT` sends packets
//! to a port of the host itself, which refuses them if nothing listens there.
//!
//! How it knows: the watched packets were freed in that namespace, and a rule there hands exactly this packet to a proxy. And
//! one of these is true: the kernel would not forward what a socket already owns (`ip_forward`), and the mark leads to no local
//! route; or netfilter dropped the packets at the rule, and no socket listens on its port; or nothing listened on the port that
//! they were redirected to.
//!
//! Remedy: restore the policy rule and its local route, start the proxy, or delete its rule.
//!
//! Silent on: proxies that work, packets that other rules drop (`netfilter-drop`), hosts that do not forward
//! (`forwarding-disabled`), and targets on which nothing listens (`port-closed`).

use crate::case::Case;
use crate::case::observations::freed;
use crate::case::trail::Dropped;
use crate::kernel::drops::Class;
use crate::kernel::firewall::proxy::{self, Proxy};
use crate::kernel::route::{self, Query, Way};
use crate::kernel::translate;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Claim, Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::rule_place;
use model::facts::{Action, Socket};
use model::flow::{Flow, TCP};
use model::report::Direction;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("netfilter"),
    Need::Fact("rules"),
    Need::Fact("routes"),
    Need::Fact("sockets"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let mut drops: Vec<Dropped<'_>> = case.accusing().collect();
    drops.retain(|drop| drop.direction == Direction::Request);
    let finding = |netns: u32| {
        let here = |class: Class| {
            drops
                .iter()
                .copied()
                .filter(move |drop| drop.event.netns == netns && drop.class == class)
        };
        let owned: Vec<_> = here(Class::Other).filter(is_forwarding).collect();
        let dropped: Vec<_> = here(Class::Netfilter).collect();
        let refused: Vec<_> = here(Class::NoSocket).collect();
        no_local_route(case, &owned)
            .or_else(|| unserved(case, &dropped))
            .or_else(|| redirected(case, &refused))
    };
    let mut places: Vec<u32> = drops.iter().map(|drop| drop.event.netns).collect();
    places.sort_unstable();
    places.dedup();
    Ok(places.into_iter().filter_map(finding).collect())
}

/// Where the kernel frees what it will not forward for a socket already owns it.
fn is_forwarding(drop: &Dropped<'_>) -> bool {
    let location = drop.location();
    location.starts_with("ip_forward") || location.starts_with("ip6_forward")
}

/// The rule that hands the packet of a drop to a proxy, and the packet as the rule met it.
fn handed(case: &Case<'_>, drop: &Dropped<'_>) -> Option<(Proxy, Flow)> {
    let facts = &case.evidence.netns(drop.event.netns)?.before;
    let iif = (drop.event.ifindex != 0).then_some(drop.event.ifindex)?;
    let forms = case.trail.forms(drop.attempt);
    forms.into_iter().chain([drop.event.flow]).find_map(|flow| {
        let (_, packet) = translate::arriving(facts, Some(iif), flow);
        Some((proxy::proxies(facts, &packet).into_iter().next()?, flow))
    })
}

/// The mark leads to no local route.
fn no_local_route(case: &Case<'_>, drops: &[Dropped<'_>]) -> Option<Finding> {
    let first = drops.first()?;
    let netns = first.event.netns;
    let (proxy, flow) = handed(case, first)?;
    let facts = &case.evidence.netns(netns)?.before;
    let mark = proxy.mark.unwrap_or_default().on(0);
    let query = Query {
        mark,
        ..Query::of(flow, Some(first.event.ifindex))
    };
    let way = route::lookup(facts, &query);
    if matches!(way, Way::Local(_) | Way::Unknown(_)) {
        return None;
    }
    let leads = facts.rules.ok().into_iter().flatten().find(|rule| {
        let ours = rule.family == if flow.dst().is_ipv4() { 4 } else { 6 };
        ours && mark != 0 && rule.fits_mark(mark) == Some(true)
    });
    let lacks = match leads.and_then(|rule| Some((rule, rule.table?))) {
        Some((rule, table)) => format!(
            "the policy rule {} leads the mark {mark:#x} to table {table}, which has no local route for it",
            rule.priority
        ),
        None => format!("no policy rule leads the mark {mark:#x} to a table with a local route"),
    };
    let table = leads.and_then(|rule| rule.table);
    let remedy = match (table, flow.dst().is_ipv6()) {
        (Some(table), false) => Remedy::from("bring its route back").run(
            ": ",
            case.command(netns, "ip route add local 0.0.0.0/0 dev lo table {}", &[&table]),
        ),
        (Some(table), true) => Remedy::from("bring its route back").run(
            ": ",
            case.command(netns, "ip -6 route add local ::/0 dev lo table {}", &[&table]),
        ),
        (None, v6) => {
            let show = if v6 {
                "ip -6 route show table all type local"
            } else {
                "ip route show table all type local"
            };
            Remedy::from(format!(
                "bring the policy rule for the mark {mark:#x} back, which leads to the table with the proxy's local route, and see what removed it"
            ))
            .run("; ", case.command(netns, show, &[]))
            .say(" shows these tables")
        }
    };
    Some(
        claim(
            case,
            netns,
            &proxy,
            drops,
            &format!("hands {flow} to a proxy, and the mark it sets leads nowhere"),
        )
        .remedy(remedy)
        .because(freed(case, drops))
        .and("the kernel does not forward what a socket already owns".to_owned())
        .and(proxy.words)
        .and(lacks),
    )
}

/// Nothing listens on the proxy's port.
fn unserved(case: &Case<'_>, drops: &[Dropped<'_>]) -> Option<Finding> {
    let first = drops.first()?;
    let netns = first.event.netns;
    let (proxy, flow) = handed(case, first)?;
    let port = proxy.port.unwrap_or(flow.dport);
    let sockets = case.after(netns, "sockets", |facts| &facts.sockets).ok()?;
    if sockets.iter().any(|socket| serves(socket, flow.protocol, port)) {
        return None;
    }
    let name = case.name(netns);
    Some(
        claim(
            case,
            netns,
            &proxy,
            drops,
            &format!("hands {flow} to a proxy on port {port}, where nothing listens"),
        )
        .remedy(Remedy::from(format!(
            "start the proxy that listens on port {port} in {name}, or take its rule away"
        )))
        .because(freed(case, drops))
        .and(proxy.words)
        .and(format!("no socket of {name} listens on port {port}")),
    )
}

fn serves(socket: &Socket, protocol: u8, port: u16) -> bool {
    socket.flow.protocol == protocol && socket.flow.sport == port && (protocol != TCP || socket.state == "LISTEN")
}

/// Nothing listens on the port to which a rule redirects.
fn redirected(case: &Case<'_>, drops: &[Dropped<'_>]) -> Option<Finding> {
    let first = drops.first()?;
    let (netns, port) = (first.event.netns, first.event.flow.dport);
    let asked = case.attempt(first.attempt)?.attempt.flow;
    if asked.dport == port && asked.dst() == first.event.flow.dst() {
        return None;
    }
    let facts = &case.evidence.netns(netns)?.before;
    let netfilter = facts.netfilter.ok()?;
    let iif = (first.event.ifindex != 0 && case.evidence.source.netns != Some(netns)).then_some(first.event.ifindex);
    let stop = case.trail.forms(first.attempt).into_iter().chain([asked]).find_map(|flow| {
        let (hook, packet) = translate::arriving(facts, iif, flow);
        crate::kernel::firewall::evaluate(netfilter, hook, &packet).into_iter().find(|stop| {
            stop.rule.is_some_and(|rule| matches!(&rule.action, Action::Nat { kind, to } if kind == "REDIRECT" && to.rsplit(':').next() == Some(&port.to_string())))
        })
    })?;
    let name = case.name(netns);
    let place = stop.place();
    Some(
        fatal(
            "transparent-proxy-broken",
            format!(
                "a rule in {name} redirects the request to port {port}, where nothing listens ({})",
                rule_place(&place)
            ),
        )
        .at(case.node(netns), &name)
        .rule(place)
        .of(drops.iter().map(|drop| drop.attempt))
        .remedy(Remedy::from(format!(
            "start the proxy that listens on port {port} in {name}, or take its rule away"
        )))
        .because(freed(case, drops))
        .and(format!("{asked} became {}", first.event.flow))
        .and(stop.words()),
    )
}

fn claim(case: &Case<'_>, netns: u32, proxy: &Proxy, drops: &[Dropped<'_>], says: &str) -> Claim {
    let name = case.name(netns);
    fatal(
        "transparent-proxy-broken",
        format!("a rule in {name} {says} ({})", rule_place(&proxy.place)),
    )
    .at(case.node(netns), &name)
    .interface(case.interface(drops[0].event))
    .rule(proxy.place.clone())
    .of(drops.iter().map(|drop| drop.attempt))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::facts::{Action, Match, Netfilter, NetfilterRule, Socket};
    use model::missing::Known;

    fn handing() -> Netfilter {
        let rule = NetfilterRule {
            text: "-A PREROUTING -p tcp -m tcp --dport 80 -j TPROXY --on-port 15001 --on-ip 0.0.0.0 --tproxy-mark 0x200/0xffffffff".to_owned(),
            matches: vec![Match::DestinationPort { any: vec![(80, 80)], not: false }],
            action: Action::Other { text: "TPROXY".to_owned() },
            ..NetfilterRule::default()
        };
        scenes::one_rule("mangle", "PREROUTING", rule)
    }

    /// y hands HTTP to a proxy; its packets are freed there.
    fn proxied(reason: &str, location: &str) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.facts(scenes::Y, |facts| facts.netfilter = Known::Known(handing()));
        scene.dropped(3, scenes::Y, "up0", reason, location);
        scene
    }

    fn with_rule(scene: &mut Scene) {
        scene.facts(scenes::Y, |facts| {
            if let Known::Known(rules) = &mut facts.rules {
                let mut marked = scenes::rule(4, 9, 2004);
                marked.fwmark = Some((0x200, u32::MAX));
                rules.push(marked);
            }
        });
    }

    #[test]
    fn a_mark_without_its_policy_rule_leads_nowhere() {
        let judgement = judge(&proxied("NOT_SPECIFIED", "ip_forward").evidence);
        assert_eq!(scenes::causes(&judgement), ["transparent-proxy-broken"]);
        let because = judgement.verdicts[0].because.join("\n");
        assert!(because.contains("no policy rule leads the mark 0x200"), "{because}");
    }

    #[test]
    fn a_policy_rule_without_its_route_leads_nowhere_either() {
        let mut scene = proxied("NOT_SPECIFIED", "ip_forward");
        with_rule(&mut scene);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["transparent-proxy-broken"]);
        let remedy = &judgement.verdicts[0].remedy;
        assert!(
            remedy.contains("ip route add local 0.0.0.0/0 dev lo table 2004"),
            "{remedy}"
        );
    }

    #[test]
    fn one_whose_mark_leads_to_a_local_route_is_not_accused() {
        let mut scene = proxied("NOT_SPECIFIED", "ip_forward");
        with_rule(&mut scene);
        scene.facts(scenes::Y, |facts| {
            if let Known::Known(routes) = &mut facts.routes {
                routes.push(scenes::all_local(2004));
            }
        });
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"transparent-proxy-broken".to_owned()));
    }

    #[test]
    fn a_proxy_that_does_not_listen_is_named_by_its_port() {
        let mut scene = proxied("NETFILTER_DROP", "nf_hook_slow");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["transparent-proxy-broken"]);
        assert!(judgement.verdicts[0].says.contains("port 15001, where nothing listens"));
        scene.facts(scenes::Y, |facts| {
            facts.sockets = Known::Known(vec![Socket {
                flow: scenes::tcp("0.0.0.0:15001", "0.0.0.0:0"),
                state: "LISTEN".to_owned(),
                ..Socket::default()
            }]);
        });
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"transparent-proxy-broken".to_owned()));
    }
}
