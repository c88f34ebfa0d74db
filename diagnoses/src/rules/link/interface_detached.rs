//! A pod's veth is not in its bridge.
//!
//! Why it happens: the CNI plugin failed halfway or was restarted, somebody took the port out of the bridge, or it was put into
//! another bridge.
//!
//! How it knows: the host's end of the pod's veth is in no bridge, or in another one. But the node's own route for the pod's
//! address, or the address of the pod's gateway, is on a bridge. This bridge then has no port for the target (`NO_TX_TARGET`),
//! or nobody answers ARP.
//!
//! Remedy: put the veth into the bridge again, or let the CNI plugin set the pod up again.
//!
//! Silent on: routed networks, where pods have no bridge at all, and ports whose interface is down (`interface-down`).

use crate::case::Case;
use crate::case::observations;
use crate::kernel::route::{self, Query, Way};
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::verdict::remedy::Remedy;
use model::facts::Link;
use std::net::IpAddr;

pub const NEEDS: &[Need] = &[
    Need::Fact("links"),
    Need::Fact("addresses"),
    Need::Fact("routes"),
    Need::Fact("neighbours"),
    Need::Probe("path"),
    Need::Probe("drop"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let Some(first) = case.failed().first().copied().copied() else {
        return Ok(Vec::new());
    };
    let flow = first.attempt.flow;
    let mut ends = vec![(case.evidence.source.netns, flow.src())];
    for form in case.trail.forms(first.attempt.id).iter().chain([&flow]) {
        ends.push((case.owner(form.dst()).map(|(netns, _)| netns), form.dst()));
    }
    for (pod, address) in ends {
        let Some((host, port, bridge)) = pod.and_then(|pod| detached(case, pod, address)) else {
            continue;
        };
        let name = case.name(host);
        let owner = pod.map_or_else(String::new, |pod| case.name(pod));
        let now = match port.master.and_then(|master| case.link(host, master)) {
            Some(other) => format!("it is plugged into {} instead", other.name),
            None => "it is plugged into no bridge".to_owned(),
        };
        let finding = fatal(
            "interface-detached",
            format!(
                "{} of {name}, the host's end of {owner}, is not plugged into bridge {}",
                port.name, bridge.name
            ),
        )
        .at(case.node(host), &name)
        .interface(&port.name)
        .of(case.failed_ids())
        .remedy(Remedy::from("plug it in").run(
            ": ",
            case.command(host, "ip link set {} master {}", &[&port.name, &bridge.name]),
        ))
        .because(format!("{} in {name}: {now}", port.name))
        .and(format!("{name} expects {address} behind bridge {}", bridge.name));
        return Ok(vec![observations::last_seen(case, finding, first.attempt.id)]);
    }
    Ok(Vec::new())
}

/// The host's end of a pod's veth, and the bridge it is missing from.
fn detached<'a>(case: &Case<'a>, pod: u32, address: IpAddr) -> Option<(u32, &'a Link, &'a Link)> {
    let owned = case.owners(address).into_iter().find(|(netns, _)| *netns == pod)?.1;
    let (host, port) = case.peer(pod, owned).filter(|(host, _)| *host != pod)?;
    if owned.kind != "veth" {
        return None;
    }
    let facts = &case.evidence.netns(host)?.before;
    let by_route = match route::lookup(facts, &Query::to(address)) {
        Way::Out { hop, .. } => hop.oif.and_then(|oif| case.link(host, oif)),
        // A bridge without a single port has no carrier, and its routes are dead.
        Way::Refused(route) => route.hops.first().and_then(|hop| case.link(host, hop.oif?)),
        _ => None,
    };
    let bridge = by_route.filter(|link| link.kind == "bridge")?;
    (port.master != Some(bridge.index)).then_some((host, port, bridge))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};

    #[test]
    fn the_targets_port_left_its_bridge() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::Y, "up0", "NO_TX_TARGET", "br_dev_xmit");
        scene.link(scenes::Y, "vethc", |link| {
            (link.master, link.bridge_port) = (None, None);
        });
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["interface-detached"]);
        assert!(judgement.verdicts[0].remedy.contains("master cbr0"));
    }

    #[test]
    fn a_routed_network_needs_no_bridge() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(3, scenes::Y, "vethc");
        scene.link(scenes::Y, "vethc", |link| {
            (link.master, link.bridge_port) = (None, None);
        });
        scene.reroute(scenes::Y, &scenes::route("10.90.2.2", 32, None, 3));
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"interface-detached".to_owned()));
    }
}
