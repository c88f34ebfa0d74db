//! The bridge refuses to forward between these two ports.
//!
//! Why it happens: both ports are isolated. Or the spanning tree state of a port is not forwarding. Or the frame would have to
//! leave through the port it came in by, and hairpin mode is off. Or a port does not flood, and its address was not learned.
//!
//! How it knows: the watched packet was freed inside the bridge at its incoming port, or its ARP got no answer, and the
//! settings of the incoming and the outgoing port forbid this pair.
//!
//! Remedy: change the setting that is named.
//!
//! Silent on: ports that are down (`interface-down`) or in no bridge (`interface-detached`), and a pod that calls itself
//! through a service (`hairpin-broken`).

use crate::case::Case;
use crate::case::observations;
use crate::case::trail::Dropped;
use crate::kernel::drops::Class;
use crate::kernel::walk::HopKind;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::{count, the};
use model::facts::Link;

pub const NEEDS: &[Need] = &[
    Need::Fact("links"),
    Need::Fact("fdb"),
    Need::Probe("drop"),
    Need::Probe("path"),
];

pub fn check(case: &Case<'_>) -> Checked {
    if case.failed().is_empty() {
        return Ok(Vec::new());
    }
    let drops = case.drops(Class::BridgeRefuses);
    for hop in case.way().iter().filter(|hop| hop.kind == HopKind::Bridge) {
        let (Some(from), Some(to)) = (hop.arrives, hop.leaves) else {
            continue;
        };
        let (Some(from), Some(to)) = (case.link(hop.netns, from), case.link(hop.netns, to)) else {
            continue;
        };
        let Some((at, why, (change, of))) = refusal(from, to) else {
            continue;
        };
        let name = case.name(hop.netns);
        let direction = the(hop.direction);
        let seen = drops.iter().filter(|drop| drop.event.netns == hop.netns).count();
        let mut finding = fatal(
            "bridge-blocked",
            format!(
                "the bridge in {name} does not forward from {} to {}: {why}",
                from.name, to.name
            ),
        )
        .at(case.node(hop.netns), &name)
        .interface(&at.name)
        .of(case.failed_ids())
        .remedy(
            Remedy::from(format!("change that of {} in {name}", at.name))
                .run(": ", case.command(hop.netns, change, &[&of.name])),
        )
        .because(format!(
            "{direction} has to pass from {} to {}: {why}",
            from.name, to.name
        ));
        if let Some(drop) = drops.iter().find(|drop| drop.event.netns == hop.netns) {
            finding = finding.and(format!(
                "{} freed there: {}",
                count(seen, "watched packet"),
                drop.words()
            ));
        }
        if let Some(tried) = case.failed().first() {
            finding = observations::last_seen(case, finding, tried.attempt.id);
        }
        return Ok(vec![finding]);
    }
    Ok(unnamed(case, &drops).or_else(|| unknown(case)).into_iter().collect())
}

/// The target is behind a port of this bridge, which has not learned that, and floods to that port nothing it does not know.
fn unknown(case: &Case<'_>) -> Option<Finding> {
    let drops = case.drops(Class::BridgeNoPort);
    let first = drops.first()?;
    let netns = first.event.netns;
    let target = first.event.flow.dst();
    let (pod, own) = case.owner(target)?;
    let (_, port) = case.peer(pod, own).filter(|(host, _)| *host == netns)?;
    let bridge = port.master.and_then(|master| case.link(netns, master))?;
    if port.bridge_port.as_ref()?.flood || !port.up {
        return None;
    }
    let name = case.name(netns);
    let finding = fatal(
        "bridge-blocked",
        format!(
            "bridge {} in {name} does not know that {} is behind {}, and floods nothing there",
            bridge.name, own.mac, port.name
        ),
    )
    .at(case.node(netns), &name)
    .interface(&port.name)
    .of(drops.iter().map(|drop| drop.attempt))
    .remedy(
        Remedy::from(format!("let {} flood", port.name))
            .run(
                ": ",
                case.command(netns, "bridge link set dev {} flood on", &[&port.name]),
            )
            .say(", or give the bridge the entry")
            .run(
                ": ",
                case.command(netns, "bridge fdb add {} dev {} master static", &[&own.mac, &port.name]),
            ),
    )
    .because(format!(
        "{} freed there: {}",
        count(drops.len(), "watched packet"),
        first.words()
    ))
    .and(format!(
        "{} leads to {target}, and its flooding of unknown addresses is off",
        port.name
    ));
    Some(observations::last_seen(case, finding, first.attempt))
}

/// The bridge freed it at an incoming port, and the settings that are read do not say why: a VLAN filter, for example.
fn unnamed(case: &Case<'_>, drops: &[Dropped<'_>]) -> Option<Finding> {
    let first = drops.first()?;
    let netns = first.event.netns;
    let port = case
        .link(netns, first.event.ifindex)
        .filter(|link| link.master.is_some())?;
    let bridge = port.master.and_then(|master| case.link(netns, master))?;
    let name = case.name(netns);
    let finding = fatal(
        "bridge-blocked",
        format!(
            "bridge {} in {name} refuses to forward what comes in at {}",
            bridge.name, port.name
        ),
    )
    .at(case.node(netns), &name)
    .interface(&port.name)
    .of(drops.iter().map(|drop| drop.attempt))
    .remedy(
        Remedy::from("look at the bridge's VLAN filter and port settings")
            .run(": ", case.command(netns, "bridge vlan show", &[]))
            .run(", ", case.command(netns, "bridge -d link show", &[])),
    )
    .because(format!(
        "{} freed there: {}",
        count(drops.len(), "watched packet"),
        first.words()
    ))
    .and("neither isolation, port state nor hairpin mode of its ports explains it");
    Some(observations::last_seen(case, finding, first.attempt))
}

/// Why the bridge forwards nothing from one port to another: the port with the setting, the reason, the command that changes
/// it, and the port that the command names.
fn refusal<'a>(from: &'a Link, to: &'a Link) -> Option<(&'a Link, String, (&'static str, &'a Link))> {
    const FORWARDING: u8 = 3;
    let (one, other) = (from.bridge_port.as_ref()?, to.bridge_port.as_ref()?);
    if !from.up || !to.up || !from.carrier || !to.carrier {
        return None;
    }
    for (link, port) in [(from, one), (to, other)] {
        if port.state != FORWARDING {
            let state = match port.state {
                0 => "disabled",
                1 => "listening",
                2 => "learning",
                _ => "blocking",
            };
            return Some((
                link,
                format!("port {} is {state}", link.name),
                ("bridge link set dev {} state forwarding", link),
            ));
        }
    }
    if from.index == to.index {
        return (!one.hairpin).then(|| {
            (
                from,
                "it is the same port, and hairpin mode is off".to_owned(),
                ("bridge link set dev {} hairpin on", from),
            )
        });
    }
    (one.isolated && other.isolated).then(|| {
        (
            from,
            "both ports are isolated".to_owned(),
            ("bridge link set dev {} isolated off", to),
        )
    })
}

#[cfg(test)]
mod tests {
    use super::refusal;
    use crate::judge;
    use crate::scenes;
    use model::facts::BridgePort;

    fn port(index: u32, change: impl Fn(&mut BridgePort)) -> model::facts::Link {
        let mut link = scenes::link(index, &format!("veth{index}"), "veth");
        let mut port = BridgePort {
            state: 3,
            ..BridgePort::default()
        };
        change(&mut port);
        link.bridge_port = Some(port);
        link
    }

    #[test]
    fn two_isolated_ports_do_not_meet_and_one_alone_does() {
        let (one, other) = (
            port(1, |port| port.isolated = true),
            port(2, |port| port.isolated = true),
        );
        assert!(refusal(&one, &other).unwrap().1.contains("isolated"));
        assert_eq!(refusal(&one, &port(3, |_| ())), None);
    }

    #[test]
    fn a_blocked_port_is_named() {
        let (_, why, _) = refusal(&port(1, |_| ()), &port(2, |port| port.state = 4)).unwrap();
        assert_eq!(why, "port veth2 is blocking");
    }

    #[test]
    fn a_port_that_floods_nothing_and_was_not_learned() {
        let mut scene = scenes::Scene::two_nodes();
        scene.link(scenes::Y, "vethc", |link| {
            link.bridge_port = Some(BridgePort {
                state: 3,
                ..BridgePort::default()
            });
        });
        scene.dropped(3, scenes::Y, "cbr0", "NO_TX_TARGET", "br_flood");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["bridge-blocked"]);
        assert_eq!(judgement.verdicts[0].place.interface.as_deref(), Some("vethc"));
    }
}
