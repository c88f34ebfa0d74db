//! No source port is left for translation: the host that masquerades drops new connections to this target.
//!
//! Why it happens: very many connections go from behind one address to one target, or the `--to-ports` range is small. Each
//! connection needs its own port.
//!
//! How it knows: netfilter dropped the watched packets in a namespace that translates their source. No rule there drops them,
//! the tracking table has room, and the statistics `insert_failed` or `drop` grew in the window.
//!
//! Remedy: widen the port range, add source addresses, or reuse connections.
//!
//! Silent on: full tables (`conntrack-full`), rules that drop (`netfilter-drop`), and namespaces that do not translate the
//! source.

use crate::case::Case;
use crate::kernel::drops::Class;
use crate::kernel::firewall::culprit::of_drop;
use crate::kernel::route::{self, Query};
use crate::kernel::translate;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::words::{at, count};

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("conntrack"),
    Need::Fact("netfilter"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let drops = case.drops(Class::Netfilter);
    let Some(first) = drops.first() else {
        return Ok(Vec::new());
    };
    let event = first.event;
    let Some(of) = case.evidence.netns(event.netns) else {
        return Ok(Vec::new());
    };
    if !of_drop(of, event, first.direction, drops.len() as u64)
        .suspects()
        .is_empty()
    {
        return Ok(Vec::new());
    }
    let grew = |stat: &str| case.conntrack_growth(event.netns, stat).unwrap_or(0);
    let (failed, dropped) = (grew("insert_failed"), grew("drop"));
    let full = case
        .after(event.netns, "connection tracking", |facts| &facts.conntrack)
        .is_ok_and(|table| table.max > 0 && table.count * 100 >= table.max * 98);
    if failed + dropped == 0 || full {
        return Ok(Vec::new());
    }
    let asked = case
        .attempt(first.attempt)
        .map_or(event.flow, |tried| tried.attempt.flow);
    let oif = route::lookup(&of.before, &Query::to(event.flow.dst())).oif();
    let translates = event.flow.src() != asked.src()
        || oif.is_some_and(|oif| {
            let through = (event.ifindex != 0 && event.ifindex != oif).then_some(event.ifindex);
            translate::sources(case.evidence, of.id, &of.before, through, oif, event.flow).len() > 1
                || translate::sources(case.evidence, of.id, &of.before, through, oif, event.flow) != [event.flow]
        });
    if !translates {
        return Ok(Vec::new());
    }
    let (netns, interface) = (case.name(event.netns), case.interface(event));
    Ok(vec![
        fatal(
            "nat-ports-exhausted",
            format!(
                "{netns} has no source port left to translate connections to {}",
                event.flow.dst()
            ),
        )
        .at(case.node(event.netns), &netns)
        .interface(interface.clone())
        .of(drops.iter().map(|drop| drop.attempt))
        .remedy("widen the port range of the SNAT rule, add source addresses, or reuse connections")
        .because(format!(
            "{} of {} dropped at {} ({}), and no rule there drops it",
            count(drops.len(), "packet"),
            event.flow,
            at(&netns, Some(&interface)),
            first.words()
        ))
        .and(format!(
            "in the window insert_failed grew by {failed}, drop by {dropped}"
        ))
        .and(format!("{netns} translates the source of these packets")),
    ])
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::facts::{Action, Chain, NetfilterRule};
    use model::missing::Known;

    fn masquerading(scene: &mut Scene) {
        scene.facts(scenes::X, |facts| {
            if let Known::Known(netfilter) = &mut facts.netfilter {
                netfilter.chains.push(Chain {
                    backend: "iptables-legacy".to_owned(),
                    family: "ip".to_owned(),
                    table: "nat".to_owned(),
                    name: "POSTROUTING".to_owned(),
                    hook: Some("postrouting".to_owned()),
                    policy: Some("ACCEPT".to_owned()),
                    rules: vec![NetfilterRule {
                        action: Action::Nat {
                            kind: "MASQUERADE".to_owned(),
                            to: "--to-ports 5000-5003".to_owned(),
                        },
                        ..NetfilterRule::default()
                    }],
                    ..Chain::default()
                });
            }
        });
    }

    fn insert_failed(scene: &mut Scene, by: u64) {
        scene.after(scenes::X, |facts| {
            if let Known::Known(table) = &mut facts.conntrack {
                table.stats.insert("insert_failed".to_owned(), by);
            }
        });
    }

    #[test]
    fn a_translation_that_finds_no_port_is_the_cause() {
        let mut scene = Scene::two_nodes();
        masquerading(&mut scene);
        insert_failed(&mut scene, 3);
        scene.dropped(3, scenes::X, "up0", "NETFILTER_DROP", "nf_hook_slow");
        assert_eq!(scenes::cause(&judge(&scene.evidence)), "nat-ports-exhausted");
    }

    #[test]
    fn without_translation_or_without_failures_it_is_not() {
        let mut plain = Scene::two_nodes();
        insert_failed(&mut plain, 3);
        plain.dropped(3, scenes::X, "up0", "NETFILTER_DROP", "nf_hook_slow");
        assert_ne!(scenes::cause(&judge(&plain.evidence)), "nat-ports-exhausted");
        let mut quiet = Scene::two_nodes();
        masquerading(&mut quiet);
        quiet.dropped(3, scenes::X, "up0", "NETFILTER_DROP", "nf_hook_slow");
        assert_ne!(scenes::cause(&judge(&quiet.evidence)), "nat-ports-exhausted");
    }
}
