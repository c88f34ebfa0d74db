//! The host takes the source address for one of its own, and throws the packet away as impossible.
//!
//! Why it happens: the kernel looks up the source of each arriving packet in its routes. If the result is "local", the packet
//! claims to come from this host itself. This happens if the host has the address. It also happens if `src_valid_mark` lets the
//! lookup follow the packet's mark into a table in which everything is local, as transparent proxies use it.
//!
//! How it knows: the watched packet was freed with `IP_LOCAL_SOURCE` (since 6.14). The rule then repeats the lookup with the
//! namespace's policy rules, routes, rules that set marks, and sysctls.
//!
//! Remedy: set `src_valid_mark` to 0. Or let the policy rule for the mark also match the interface or the destination. Or
//! remove the address from the host.
//!
//! Silent on: pods that reach themselves through a service (`hairpin-broken`), strict reverse path filters
//! (`reverse-path-filtered`), and packets of other flows.

use crate::case::Case;
use crate::case::observations::freed;
use crate::case::trail::Dropped;
use crate::kernel::drops::Class;
use crate::kernel::firewall::proxy;
use crate::kernel::interfaces;
use crate::kernel::route::{self, Query, Way};
use crate::kernel::translate;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::verdict::remedy::Remedy;
use model::facts::RoutingRule;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("routes"),
    Need::Fact("rules"),
    Need::Fact("netfilter"),
    Need::Fact("sysctls"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let mut drops = case.drops(Class::OwnSource);
    // What comes back to its own sender is another story.
    drops.retain(|drop| {
        Some(drop.event.netns) != case.evidence.source.netns && drop.event.flow.src() != drop.event.flow.dst()
    });
    let Some(first) = drops.first().copied() else {
        return Ok(Vec::new());
    };
    let event = first.event;
    let (netns, source) = (event.netns, event.flow.src());
    drops.retain(|drop| drop.event.netns == netns);
    let (name, interface) = (case.name(netns), case.interface(event));
    let by_mark = by_mark(case, &first);
    let bears = case
        .evidence
        .netns(netns)
        .is_some_and(|netns| interfaces::owns(&netns.before, source));
    let (why, remedy) = match &by_mark {
        Some((mark, rule)) => (
            Some(format!(
                "src_valid_mark is on, so the check of the source follows the mark {mark:#x} by policy rule {} to table {}, where the source is local",
                rule.priority,
                rule.table.unwrap_or_default()
            )),
            Remedy::from("let the check ignore the mark")
                .run(
                    ": ",
                    case.command(netns, "sysctl -w net.ipv4.conf.all.src_valid_mark=0", &[]),
                )
                .say(format!(
                    " (and that of {interface}), or let policy rule {} match only packets for the proxy",
                    rule.priority
                )),
        ),
        None if bears => (
            Some(format!("{name} has the address {source} itself")),
            Remedy::from(format!(
                "remove {source} from {name}, or give the sender another address"
            )),
        ),
        None => (
            None,
            Remedy::from(format!("see why {name} takes {source} for its own"))
                .run(": ", case.command(netns, "ip route get {}", &[&source])),
        ),
    };
    Ok(vec![
        fatal(
            "martian-source",
            format!("{name} takes the source {source} for one of its own and throws its packets away"),
        )
        .at(case.node(netns), &name)
        .interface(interface.clone())
        .of(drops.iter().map(|drop| drop.attempt))
        .remedy(remedy)
        .because(freed(case, &drops))
        .and_if(why),
    ])
}

/// The mark that the packet bears here, and the policy rule by which it makes the source local.
fn by_mark<'a>(case: &Case<'a>, drop: &Dropped<'a>) -> Option<(u32, &'a RoutingRule)> {
    let (netns, event) = (drop.event.netns, drop.event);
    let on = |scope: &str| {
        let value = case
            .sysctl(netns, &format!("net.ipv4.conf.{scope}.src_valid_mark"))
            .ok()
            .flatten();
        value.is_some_and(|value| value.trim() == "1")
    };
    if !on("all") && !on(&case.interface(event)) {
        return None;
    }
    let facts = &case.evidence.netns(netns)?.before;
    let iif = (event.ifindex != 0).then_some(event.ifindex);
    let forms = case.trail.forms(drop.attempt).into_iter().chain([event.flow]);
    let mark = forms
        .map(|flow| {
            let (_, packet) = translate::arriving(facts, iif, flow);
            let by_proxy = proxy::proxies(facts, &packet).into_iter().find_map(|proxy| proxy.mark);
            by_proxy.map_or_else(|| translate::mark(facts, iif, flow), |mark| mark.on(0))
        })
        .find(|mark| *mark != 0)?;
    let check = |mark| {
        let query = Query {
            src: Some(event.flow.dst()),
            iif,
            mark,
            ..Query::to(event.flow.src())
        };
        matches!(route::lookup(facts, &query), Way::Local(_))
    };
    if !check(mark) || check(0) {
        return None;
    }
    let rules = facts.rules.ok()?.iter();
    let rule = rules
        .filter(|rule| rule.fits_mark(mark) == Some(true))
        .min_by_key(|rule| rule.priority)?;
    Some((mark, rule))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::facts::{NetfilterRule, SetMark};
    use model::missing::Known;

    fn freed() -> Scene {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::Y, "up0", "IP_LOCAL_SOURCE", "ip_rcv_finish_core");
        scene
    }

    #[test]
    fn a_mark_that_makes_all_local_is_told_with_its_rule_and_table() {
        let mut scene = freed();
        scene.facts(scenes::Y, |facts| {
            let rule = NetfilterRule {
                mark: Some(SetMark {
                    value: 0x200,
                    mask: u32::MAX,
                }),
                ..NetfilterRule::default()
            };
            facts.netfilter = Known::Known(scenes::one_rule("mangle", "PREROUTING", rule));
            if let (Known::Known(rules), Known::Known(routes)) = (&mut facts.rules, &mut facts.routes) {
                let mut marked = scenes::rule(4, 9, 2004);
                marked.fwmark = Some((0x200, u32::MAX));
                rules.push(marked);
                routes.push(scenes::all_local(2004));
            }
        });
        scene.sysctl(scenes::Y, "net.ipv4.conf.all.src_valid_mark", "1");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["martian-source"]);
        let because = judgement.verdicts[0].because.join("\n");
        assert!(because.contains("policy rule 9 to table 2004"), "{because}");
        assert!(judgement.verdicts[0].remedy.contains("src_valid_mark=0"));
    }

    #[test]
    fn without_a_known_reason_it_is_named_all_the_same() {
        let judgement = judge(&freed().evidence);
        assert_eq!(scenes::causes(&judgement), ["martian-source"]);
        assert_eq!(judgement.verdicts[0].because.len(), 1);
    }

    #[test]
    fn packets_of_others_accuse_nobody() {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        let foreign = scenes::tcp("10.90.1.9:1000", "10.90.2.2:80");
        scene.drop(scenes::Y, "up0", foreign, "IP_LOCAL_SOURCE", "ip_rcv_finish_core");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }
}
