//! What routing made of a watched packet: the way it would take, a refusal, or nothing for want of forwarding.

use crate::case::Case;
use crate::case::trail::Dropped;
use crate::kernel::drops::Class;
use crate::kernel::interfaces;
use crate::kernel::route::{self, Query, Way};
use crate::kernel::translate;
use crate::kernel::tunnel;
use crate::verdict::remedy::Remedy;
use model::facts::{Route, RouteKind, RoutingRule};
use model::flow::protocol_name;
use model::report::Direction;
use std::net::IpAddr;

/// What the routing of the place of a drop says about its packet.
pub fn way<'a>(case: &Case<'a>, drop: &Dropped<'a>) -> Option<Way<'a>> {
    let facts = &case.evidence.netns(drop.event.netns)?.before;
    let made_here = tunnel::is_made_here(facts, drop.event);
    let iif = (drop.event.ifindex != 0 && !made_here).then_some(drop.event.ifindex);
    let query = Query {
        mark: match drop.direction {
            Direction::Request => translate::mark(facts, iif, drop.event.flow),
            Direction::Answer => 0,
        },
        ..Query::of(drop.event.flow, iif)
    };
    Some(route::lookup(facts, &query))
}

/// The remedy that deletes what refuses.
pub fn without(case: &Case<'_>, netns: u32, arguments: &[String]) -> Remedy {
    let delete = || case.command(netns, "ip", &[])?.with(arguments);
    Remedy::from("delete it").run(": ", delete())
}

/// The command that adds a route: for which prefix, by which gateway.
pub const fn add_route(to: IpAddr) -> &'static str {
    if to.is_ipv6() {
        "ip -6 route add {} via {}"
    } else {
        "ip route add {} via {}"
    }
}

/// IPv6 writes "no route" as an unreachable default route of its own.
pub fn is_kernels_own_refusal(route: &Route) -> bool {
    route.prefix == 0 && route.kind == RouteKind::Unreachable && route.metric == u32::MAX
}

/// The refusing route or rule as `ip` prints it, and the arguments with which `ip` deletes it.
pub fn refusal(way: &Way<'_>) -> Option<(String, Vec<String>)> {
    let arguments = |text: &str| text.split(' ').map(str::to_owned).collect();
    match way {
        Way::Refused(route) if refuses(route) && !is_kernels_own_refusal(route) => {
            let text = text(route);
            let table = if route.table == 254 {
                String::new()
            } else {
                format!(" table {}", route.table)
            };
            let six = if route.dst.is_ipv6() { "-6 " } else { "" };
            let delete = arguments(&format!("{six}route del {text}{table}"));
            Some((format!("{text}{table}"), delete))
        }
        Way::RuleRefuses(rule) => {
            let text = rule_text(rule);
            let (_, what) = text.split_once(':')?;
            let delete = arguments(&format!("rule del priority {}{what}", rule.priority));
            Some((format!("rule {text}"), delete))
        }
        _ => None,
    }
}

fn refuses(route: &Route) -> bool {
    matches!(
        route.kind,
        RouteKind::Blackhole | RouteKind::Prohibit | RouteKind::Unreachable
    )
}

fn text(route: &Route) -> String {
    let kind = format!("{:?}", route.kind).to_lowercase();
    if route.prefix == 0 {
        format!("{kind} default")
    } else {
        format!("{kind} {}/{}", route.dst, route.prefix)
    }
}

fn rule_text(rule: &RoutingRule) -> String {
    let prefix = |name: &str, prefix: Option<(IpAddr, u8)>| {
        prefix.map_or(String::new(), |(address, length)| format!(" {name} {address}/{length}"))
    };
    let mark = rule.fwmark.map_or(String::new(), |(value, mask)| match mask {
        u32::MAX => format!(" fwmark {value:#x}"),
        _ => format!(" fwmark {value:#x}/{mask:#x}"),
    });
    let range = |name: &str, range: Option<(u32, u32)>| match range {
        None => String::new(),
        Some((first, last)) if first == last => format!(" {name} {first}"),
        Some((first, last)) => format!(" {name} {first}-{last}"),
    };
    let ports = |ports: Option<(u16, u16)>| ports.map(|(first, last)| (first.into(), last.into()));
    let named = |name: &str, value: Option<&str>| value.map_or(String::new(), |value| format!(" {name} {value}"));
    format!(
        "{}:{}{}{}{}{mark}{}{}{}{}{} {}",
        rule.priority,
        if rule.invert { " not" } else { "" },
        prefix("from", rule.src),
        prefix("to", rule.dst),
        named("iif", rule.iif.as_deref()),
        range("uidrange", rule.uids),
        named("ipproto", rule.protocol.map(protocol_name).as_deref()),
        range("sport", ports(rule.sport)),
        range("dport", ports(rule.dport)),
        named("oif", rule.oif.as_deref()),
        rule.action
    )
}

/// Watched packets that a host did not forward, as reason, location and sysctl say.
pub fn not_forwarded<'a>(case: &Case<'a>, direction: Direction) -> Vec<Dropped<'a>> {
    let mut drops = case.drops(Class::NotForwarding);
    let v6 = case
        .drops(Class::Other)
        .into_iter()
        .filter(|drop| drop.location().starts_with("ip6_forward"));
    let unnamed = case.drops(Class::Route);
    drops.extend(v6.chain(unnamed).filter(|drop| {
        setting(
            case,
            drop.event.netns,
            &case.interface(drop.event),
            drop.event.flow.dst(),
        )
        .is_some()
            && !matches!(way(case, drop), Some(Way::Refused(_) | Way::RuleRefuses(_)))
    }));
    drops.retain(|drop| {
        let own = case
            .owners(drop.event.flow.dst())
            .iter()
            .any(|(netns, _)| *netns == drop.event.netns);
        drop.direction == direction && !own && is_router(case, drop.event.netns)
    });
    drops
}

/// This namespace has more than one interface to forward between; with one it is an end, whatever its sysctls say.
pub fn is_router(case: &Case<'_>, netns: u32) -> bool {
    let links = case.after(netns, "interfaces", |facts| &facts.links);
    links.is_ok_and(|links| links.iter().filter(|link| !link.loopback).count() > 1)
}

/// The sysctl that keeps a host from forwarding, where one does.
pub fn setting(case: &Case<'_>, netns: u32, interface: &str, target: IpAddr) -> Option<String> {
    interfaces::not_forwarding(&case.evidence.netns(netns)?.before, interface, target)
}
