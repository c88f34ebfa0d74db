//! What a namespace's routing would answer, computed from its facts (policy rules, tables, longest prefix, metric).
//!
//! The kernel's own answers are in `NetnsFacts::lookups`; this is for the questions nobody asked it: another source, an
//! incoming interface, an address learned on the way. A rule of routing policy that cannot be evaluated makes the answer
//! [`Way::Unknown`], never a guess.

use super::interfaces::link;
use core::net::IpAddr;
use ipnet::IpNet;
use model::facts::{NetnsFacts, NextHop, Route, RouteKind, RoutingRule};
use model::flow::{Flow, has_ports};

/// Tables of the kernel's default rules, in their order: local, main, default.
const DEFAULT_TABLES: [u32; 3] = [255, 254, 253];

/// A question to the routing of one namespace.
#[derive(Clone, Copy, Debug)]
pub struct Query {
    /// Where to.
    pub dst: IpAddr,
    /// Where from, if that is already settled.
    pub src: Option<IpAddr>,
    /// Interface it came in by, by index; `None` for what is made here.
    pub iif: Option<u32>,
    /// Its firewall mark.
    pub mark: u32,
    /// Its protocol and ports, where it is a certain packet.
    pub flow: Option<Flow>,
    /// The user whose socket sends it, where that is known.
    pub uid: Option<u32>,
}

/// The user that the kernel takes forwarded packets for, and that our own attempts are made by.
const ROOT: u32 = 0;

impl Query {
    /// A packet made here, unmarked.
    #[must_use]
    pub const fn to(dst: IpAddr) -> Self {
        Self {
            dst,
            src: None,
            iif: None,
            mark: 0,
            flow: None,
            uid: None,
        }
    }

    /// An unmarked packet that came in by `iif`, or that is made here by nobody knows whom.
    #[must_use]
    pub fn of(flow: Flow, iif: Option<u32>) -> Self {
        Self {
            src: Some(flow.src()),
            iif,
            flow: Some(flow),
            uid: iif.map(|_| ROOT),
            ..Self::to(flow.dst())
        }
    }

    /// An unmarked packet of an attempt of our own, where it is made.
    #[must_use]
    pub fn ours(flow: Flow) -> Self {
        Self {
            uid: Some(ROOT),
            ..Self::of(flow, None)
        }
    }
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Way<'a> {
    /// The address is one of this namespace's own.
    Local(&'a Route),
    /// It leaves this way; `hop` is the first next hop that can be used.
    Out {
        /// The route that decides.
        route: &'a Route,
        /// To this next hop.
        hop: &'a NextHop,
    },
    /// A route refuses it (blackhole, unreachable, prohibit), or has no next hop that is alive.
    Refused(&'a Route),
    /// A rule of routing policy refuses it.
    RuleRefuses(&'a RoutingRule),
    /// Nothing matches.
    None,
    /// It cannot be told, for this reason.
    Unknown(String),
}

impl<'a> Way<'a> {
    /// The interface it leaves by.
    #[must_use]
    pub fn oif(&self) -> Option<u32> {
        match self {
            Self::Out { hop, .. } => hop.oif,
            _ => None,
        }
    }

    /// The route it is about.
    #[must_use]
    pub fn route(&self) -> Option<&'a Route> {
        match self {
            Self::Local(route) | Self::Refused(route) | Self::Out { route, .. } => Some(route),
            Self::RuleRefuses(_) | Self::None | Self::Unknown(_) => None,
        }
    }
}

/// Whether `address` lies in `prefix`/`length`; never across families.
#[must_use]
pub fn within(address: IpAddr, prefix: IpAddr, length: u8) -> bool {
    let longest = if prefix.is_ipv4() { 32 } else { 128 };
    IpNet::new(prefix, length.min(longest)).is_ok_and(|net| net.contains(&address))
}

/// How a packet would go.
#[must_use]
pub fn lookup<'a>(facts: &'a NetnsFacts, query: &Query) -> Way<'a> {
    let routes = match facts.routes.get() {
        Ok(routes) => routes,
        Err(missing) => return Way::Unknown(format!("routes were not read: {}", missing.why)),
    };
    let family = if query.dst.is_ipv4() { 4 } else { 6 };
    let mut rules: Vec<&RoutingRule> = facts
        .rules
        .ok()
        .into_iter()
        .flatten()
        .filter(|rule| rule.family == family)
        .collect();
    if rules.is_empty() {
        return DEFAULT_TABLES
            .into_iter()
            .find_map(|table| in_table(facts, routes, table, query))
            .unwrap_or(Way::None);
    }
    rules.sort_by_key(|rule| rule.priority);
    for rule in rules {
        match selects(facts, rule, query) {
            Some(false) => {}
            Some(true) => match rule.action.as_str() {
                "lookup" => {
                    let found = rule.table.and_then(|table| in_table(facts, routes, table, query));
                    if let Some(way) = found.filter(|way| !suppresses(rule, way)) {
                        return way;
                    }
                }
                "blackhole" | "unreachable" | "prohibit" => return Way::RuleRefuses(rule),
                "nop" => {}
                other => {
                    return Way::Unknown(format!("rule {} does `{other}`, which is not followed", rule.priority));
                }
            },
            None => {
                let leads_on = rule.action == "lookup"
                    && rule
                        .table
                        .is_some_and(|table| in_table(facts, routes, table, query).is_none());
                if !leads_on {
                    return Way::Unknown(format!("rule {} cannot be evaluated from outside", rule.priority));
                }
            }
        }
    }
    Way::None
}

/// Whether a policy rule selects the packet; `None` when that cannot be told.
fn selects(facts: &NetnsFacts, rule: &RoutingRule, query: &Query) -> Option<bool> {
    let unspecified = query.src.is_none_or(|src| src.is_unspecified());
    let src = rule.src.is_none_or(|(prefix, length)| {
        length == 0 || (!unspecified && query.src.is_some_and(|src| within(src, prefix, length)))
    });
    let dst = rule
        .dst
        .is_none_or(|(prefix, length)| within(query.dst, prefix, length));
    let iif = rule.iif.as_ref().is_none_or(|name| match query.iif {
        Some(index) => link(facts, index).is_some_and(|link| &link.name == name),
        None => name == "lo",
    });
    let oif = rule.oif.is_none();
    let mark = rule.fits_mark(query.mark) != Some(false);
    let all = src && dst && iif && oif && mark;
    let rest = [
        rule.protocol
            .map(|protocol| Some(query.flow.as_ref()?.protocol == protocol)),
        rule.sport.map(|ports| port_in(query, ports, |flow| flow.sport)),
        rule.dport.map(|ports| port_in(query, ports, |flow| flow.dport)),
        rule.uids
            .map(|(first, last)| Some((first..=last).contains(&query.uid?))),
        rule.opaque.then_some(None),
    ];
    let rest = || rest.into_iter().flatten();
    if !all || rest().any(|fits| fits == Some(false)) {
        return Some(rule.invert);
    }
    rest().all(|fits| fits.is_some()).then_some(!rule.invert)
}

/// Whether a port is in a range; `None` where it is not chosen yet.
fn port_in(query: &Query, (first, last): (u16, u16), of: impl Fn(&Flow) -> u16) -> Option<bool> {
    let flow = query.flow.as_ref()?;
    let carries = has_ports(flow.protocol);
    let port = of(flow);
    (!carries || port != 0).then(|| carries && (first..=last).contains(&port))
}

/// Whether a rule passes over what its table found (`fib4_rule_suppress`; a refusal stands).
fn suppresses(rule: &RoutingRule, way: &Way<'_>) -> bool {
    let found = match way {
        Way::Local(route) | Way::Out { route, .. } => u32::from(route.prefix),
        _ => return false,
    };
    rule.suppress_prefixlength.is_some_and(|length| found <= length)
}

/// The answer of one table: longest prefix, then smallest metric; `None` when nothing matches or a `throw` route does.
fn in_table<'a>(facts: &NetnsFacts, routes: &'a [Route], table: u32, query: &Query) -> Option<Way<'a>> {
    let mut fitting: Vec<&Route> = routes
        .iter()
        .filter(|route| route.table == table && within(query.dst, route.dst, route.prefix))
        .collect();
    fitting.sort_by_key(|route| (core::cmp::Reverse(route.prefix), route.metric));
    for route in fitting {
        match route.kind {
            RouteKind::Local | RouteKind::Broadcast | RouteKind::Anycast | RouteKind::Multicast
                if route.kind != RouteKind::Multicast || query.dst.is_multicast() =>
            {
                return Some(Way::Local(route));
            }
            RouteKind::Unicast => {
                if let Some(hop) = route
                    .hops
                    .iter()
                    .find(|hop| !hop.dead)
                    .or_else(|| carrierless(facts, route))
                {
                    return Some(Way::Out { route, hop });
                }
            }
            RouteKind::Blackhole | RouteKind::Unreachable | RouteKind::Prohibit => return Some(Way::Refused(route)),
            RouteKind::Throw => return None,
            _ => {}
        }
    }
    None
}

/// A next hop whose interface is set up and merely lost its carrier: the kernel goes on using it, unless
/// `ignore_routes_with_linkdown` says otherwise.
fn carrierless<'a>(facts: &NetnsFacts, route: &'a Route) -> Option<&'a NextHop> {
    let family = if route.dst.is_ipv4() { "ipv4" } else { "ipv6" };
    let ignored = |scope: &str| {
        let name = format!("net.{family}.conf.{scope}.ignore_routes_with_linkdown");
        let value = facts.sysctls.ok().and_then(|sysctls| sysctls.get(&name));
        value.is_some_and(|value| value.trim() == "1")
    };
    route.hops.iter().find(|hop| {
        let link = hop.oif.and_then(|oif| link(facts, oif));
        link.is_some_and(|link| link.up && !link.carrier && !ignored("all") && !ignored(&link.name))
    })
}

#[cfg(test)]
mod tests {
    use super::{Query, Way, lookup, within};
    use core::net::IpAddr;
    use model::facts::{Link, NetnsFacts, NextHop, Route, RouteKind, RoutingRule};
    use model::missing::Known;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    fn route(table: u32, dst: &str, kind: RouteKind, oif: u32, metric: u32) -> Route {
        let (dst, prefix) = dst.split_once('/').unwrap();
        Route {
            table,
            dst: ip(dst),
            prefix: prefix.parse().unwrap(),
            kind,
            hops: vec![NextHop {
                oif: Some(oif),
                ..NextHop::default()
            }],
            prefsrc: None,
            metric,
            mtu: None,
            protocol: "static".to_owned(),
        }
    }

    fn rule(priority: u32, table: u32) -> RoutingRule {
        crate::scenes::rule(4, priority, table)
    }

    fn facts(routes: Vec<Route>, rules: Vec<RoutingRule>) -> NetnsFacts {
        NetnsFacts {
            routes: Known::Known(routes),
            rules: Known::Known(rules),
            links: Known::Known(vec![Link {
                index: 2,
                name: "eth0".to_owned(),
                ..Link::default()
            }]),
            ..NetnsFacts::default()
        }
    }

    #[test]
    fn prefixes_hold_in_their_own_family_only() {
        for (address, prefix, length, expected) in [
            ("10.0.0.5", "10.0.0.0", 24, true),
            ("10.0.1.5", "10.0.0.0", 24, false),
            ("203.0.113.1", "0.0.0.0", 0, true),
            ("fd90:1::2", "fd90:1::", 64, true),
            ("fd90:1::2", "::", 0, true),
            ("fd90:2::2", "fd90:1::", 64, false),
            ("fd90:1::2", "0.0.0.0", 0, false),
        ] {
            assert_eq!(
                within(ip(address), ip(prefix), length),
                expected,
                "{address} in {prefix}/{length}"
            );
        }
    }

    #[test]
    fn the_longest_prefix_wins_then_the_smallest_metric() {
        let facts = facts(
            vec![
                route(254, "0.0.0.0/0", RouteKind::Unicast, 9, 0),
                route(254, "10.0.0.0/24", RouteKind::Unicast, 3, 100),
                route(254, "10.0.0.0/24", RouteKind::Unicast, 2, 10),
            ],
            vec![],
        );
        assert_eq!(lookup(&facts, &Query::to(ip("10.0.0.7"))).oif(), Some(2));
        assert_eq!(lookup(&facts, &Query::to(ip("8.8.8.8"))).oif(), Some(9));
        assert_eq!(lookup(&facts, &Query::to(ip("fd00::1"))), Way::None);
    }

    #[test]
    fn a_dead_next_hop_leaves_the_way_to_the_next_route() {
        let mut first = route(254, "10.0.0.0/24", RouteKind::Unicast, 3, 0);
        first.hops[0].dead = true;
        let facts = facts(vec![first, route(254, "0.0.0.0/0", RouteKind::Unicast, 2, 0)], vec![]);
        assert_eq!(lookup(&facts, &Query::to(ip("10.0.0.7"))).oif(), Some(2));
    }

    #[test]
    fn policy_rules_are_asked_in_order_of_priority() {
        let mut by_source = rule(100, 7);
        by_source.src = Some((ip("10.9.0.0"), 16));
        let mut refused = rule(50, 0);
        refused.dst = Some((ip("192.0.2.0"), 24));
        "prohibit".clone_into(&mut refused.action);
        let facts = facts(
            vec![
                route(254, "0.0.0.0/0", RouteKind::Unicast, 2, 0),
                route(7, "10.5.0.0/16", RouteKind::Blackhole, 0, 0),
                route(7, "10.6.0.0/16", RouteKind::Throw, 0, 0),
            ],
            vec![rule(32766, 254), by_source, refused],
        );
        let from = |src: &str, dst: &str| Query {
            src: Some(ip(src)),
            ..Query::to(ip(dst))
        };
        assert!(matches!(lookup(&facts, &from("10.9.0.1", "10.5.0.1")), Way::Refused(_)));
        assert_eq!(lookup(&facts, &from("10.8.0.1", "10.5.0.1")).oif(), Some(2));
        assert_eq!(
            lookup(&facts, &from("10.9.0.1", "10.6.0.1")).oif(),
            Some(2),
            "throw goes on with the next rule"
        );
        assert!(matches!(
            lookup(&facts, &Query::to(ip("192.0.2.1"))),
            Way::RuleRefuses(_)
        ));
    }

    #[test]
    fn rules_choose_by_protocol_ports_and_user() {
        let of = |edit: &dyn Fn(&mut RoutingRule)| {
            let mut refusing = rule(100, 0);
            "prohibit".clone_into(&mut refusing.action);
            edit(&mut refusing);
            facts(
                vec![route(254, "0.0.0.0/0", RouteKind::Unicast, 2, 0)],
                vec![refusing, rule(32766, 254)],
            )
        };
        let flow = crate::scenes::tcp("10.90.1.2:40000", "10.90.2.2:80");
        let to_web = of(&|rule| (rule.protocol, rule.dport) = (Some(6), Some((80, 81))));
        let from_web = of(&|rule| rule.sport = Some((80, 80)));
        let by_user = of(&|rule| rule.uids = Some((1000, 1999)));
        let refused = |facts: &NetnsFacts, query: &Query| match lookup(facts, query) {
            Way::RuleRefuses(_) => Some(true),
            Way::Unknown(_) => None,
            _ => Some(false),
        };
        for (facts, query, expected) in [
            (&to_web, Query::ours(flow), Some(true)),
            (&to_web, Query::of(flow.reversed(), Some(2)), Some(false)),
            (&to_web, Query::to(flow.dst()), None),
            (&from_web, Query::of(flow.reversed(), Some(2)), Some(true)),
            (&from_web, Query::ours(flow), Some(false)),
            (
                &from_web,
                Query::ours(crate::scenes::tcp("10.90.1.2:0", "10.90.2.2:80")),
                None,
            ),
            (&by_user, Query::ours(flow), Some(false)),
            (&by_user, Query::of(flow, Some(2)), Some(false)),
            (&by_user, Query::of(flow, None), None),
        ] {
            assert_eq!(refused(facts, &query), expected, "{query:?}");
        }
        let inverted = of(&|rule| (rule.dport, rule.invert) = (Some((443, 443)), true));
        assert_eq!(refused(&inverted, &Query::ours(flow)), Some(true));
    }

    #[test]
    fn a_rule_passes_over_prefixes_that_are_too_short() {
        let mut main = rule(100, 254);
        main.suppress_prefixlength = Some(0);
        let facts = facts(
            vec![
                route(254, "0.0.0.0/0", RouteKind::Unicast, 2, 0),
                route(254, "10.0.0.0/24", RouteKind::Unicast, 3, 0),
                route(77, "0.0.0.0/0", RouteKind::Unicast, 9, 0),
            ],
            vec![main, rule(200, 77)],
        );
        assert_eq!(lookup(&facts, &Query::to(ip("10.0.0.7"))).oif(), Some(3));
        assert_eq!(lookup(&facts, &Query::to(ip("8.8.8.8"))).oif(), Some(9));
    }

    #[test]
    fn what_cannot_be_evaluated_is_unknown_unless_it_would_lead_nowhere() {
        let mut opaque = rule(100, 7);
        opaque.opaque = true;
        let mut routes = vec![route(254, "0.0.0.0/0", RouteKind::Unicast, 2, 0)];
        let nowhere = facts(routes.clone(), vec![rule(32766, 254), opaque.clone()]);
        assert_eq!(lookup(&nowhere, &Query::to(ip("10.0.0.1"))).oif(), Some(2));
        routes.push(route(7, "0.0.0.0/0", RouteKind::Unicast, 3, 0));
        let somewhere = facts(routes, vec![rule(32766, 254), opaque]);
        assert!(matches!(
            lookup(&somewhere, &Query::to(ip("10.0.0.1"))),
            Way::Unknown(_)
        ));
        assert!(matches!(
            lookup(&NetnsFacts::default(), &Query::to(ip("10.0.0.1"))),
            Way::Unknown(_)
        ));
    }
}
