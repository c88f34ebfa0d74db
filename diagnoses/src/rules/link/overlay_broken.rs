//! The tunnel between the nodes is not set up, or its two ends do not match.
//!
//! Why it happens: the CNI's agent is down or late on one node. Then the VXLAN device is missing there, or a forwarding entry
//! or a neighbour entry for the far node was not written. Or the network identifier or the UDP port differ.
//!
//! How it knows: the watched packet was freed at the tunnel device (no forwarding entry, unknown network identifier). Or nobody
//! answers for the address on the tunnel. Or the packet left towards the far node inside the tunnel, and that node has no
//! device with this network identifier and port.
//!
//! Remedy: restart the CNI's agent on the node that is named. The answer says what it should have written.
//!
//! Silent on: firewalls that drop the outer packets (`netfilter-drop`), links below the tunnel that are down
//! (`interface-down`), and tunnels that are not on the way.

use crate::case::Case;
use crate::case::observations;
use crate::kernel::drops::Class;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Claim, Finding, fatal};
use crate::verdict::remedy::Remedy;
use model::facts::{Link, Vxlan};
use model::report::Direction;
use std::net::IpAddr;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Probe("neigh"),
    Need::Fact("links"),
    Need::Fact("fdb"),
    Need::Fact("neighbours"),
    Need::Fact("addresses"),
];

pub fn check(case: &Case<'_>) -> Checked {
    if case.failed().is_empty() {
        return Ok(Vec::new());
    }
    let finding = freed(case).or_else(|| unresolved(case)).or_else(|| far_end(case));
    let attempt = case.failed()[0].attempt.id;
    Ok(finding
        .map(|finding| observations::last_seen(case, finding, attempt))
        .into_iter()
        .collect())
}

/// The tunnel device itself freed the packet.
fn freed(case: &Case<'_>) -> Option<Finding> {
    let drops = case.drops(Class::Overlay);
    let first = drops.first()?;
    let netns = first.event.netns;
    let interface = case.interface(first.event);
    let why = match first.reason() {
        "VXLAN_VNI_NOT_FOUND" => "it knows no such network identifier",
        "NO_TX_TARGET" => "it has no forwarding entry for the far node",
        "IP_OUTNOROUTES" => "it has no route to the far node",
        _ => "it cannot send it on",
    };
    let finding = claim(case, netns, &interface, why)
        .of(drops.iter().map(|drop| drop.attempt))
        .because(format!(
            "{} watched packets were freed at {interface} of {}: {}",
            drops.len(),
            case.name(netns),
            first.words()
        ));
    Some(finding.and_if(entries(case, netns, first.event.ifindex)))
}

/// Nobody answers for the address on the tunnel: its entry was not written.
fn unresolved(case: &Case<'_>) -> Option<Finding> {
    let silent = case
        .silent
        .iter()
        .find(|silent| tunnel(case, silent.netns, silent.ifindex).is_some())?;
    let link = case.link(silent.netns, silent.ifindex)?;
    let why = format!("it has no neighbour entry for {}", silent.address);
    let finding = claim(case, silent.netns, &link.name, &why)
        .of(case.failed_ids())
        .because(format!(
            "{} asked for {} on {} and nobody answered",
            case.name(silent.netns),
            silent.address,
            link.name
        ));
    Some(finding.and_if(entries(case, silent.netns, silent.ifindex)))
}

/// It left inside the tunnel, and the far node has no matching device.
fn far_end(case: &Case<'_>) -> Option<Finding> {
    for hop in case.way() {
        let Some((link, vxlan)) = hop.leaves.and_then(|oif| tunnel(case, hop.netns, oif)) else {
            continue;
        };
        for remote in remotes(case, hop.netns, link, vxlan) {
            let Some((far, _)) = case.owner(remote).filter(|(far, _)| *far != hop.netns) else {
                continue;
            };
            let Ok(links) = case.after(far, "interfaces", |facts| &facts.links) else {
                continue;
            };
            let devices: Vec<(&Link, &Vxlan)> = links
                .iter()
                .filter_map(|link| Some((link, link.vxlan.as_ref()?)))
                .collect();
            let fits =
                |(device, other): &&(&Link, &Vxlan)| other.vni == vxlan.vni && other.port == vxlan.port && device.up;
            if devices.iter().any(|device| fits(&device)) {
                continue;
            }
            let reached = failed_leg_reaches(case, hop.direction, far, link);
            if reached {
                continue;
            }
            let why = match devices.first() {
                None => "it has no VXLAN device at all".to_owned(),
                Some((device, other)) if other.vni != vxlan.vni => format!(
                    "its {} has network identifier {}, the other node's {} has {}",
                    device.name, other.vni, link.name, vxlan.vni
                ),
                Some((device, other)) if other.port != vxlan.port => format!(
                    "its {} uses UDP port {}, the other node's {} port {}",
                    device.name, other.port, link.name, vxlan.port
                ),
                Some((device, _)) => format!("its {} is down", device.name),
            };
            let finding = claim(case, far, devices.first().map_or("", |(device, _)| &device.name), &why)
                .of(case.failed_ids())
                .because(format!("{}: {why}", case.name(far)))
                .and(format!(
                    "{} sends through {} (VNI {}, UDP port {}) to {remote}, which is {}",
                    case.name(hop.netns),
                    link.name,
                    vxlan.vni,
                    vxlan.port,
                    case.name(far)
                ));
            return Some(finding);
        }
    }
    None
}

/// The inner packet came out at the far node.
fn failed_leg_reaches(case: &Case<'_>, direction: Direction, far: u32, tunnel: &Link) -> bool {
    case.failed().iter().any(|tried| {
        case.leg(tried.attempt.id, direction).is_some_and(|leg| {
            leg.stops.iter().any(|stop| {
                stop.netns == far
                    && case
                        .link(far, stop.ifindex)
                        .is_some_and(|link| link.vxlan.is_some() && tunnel.up)
            })
        })
    })
}

fn tunnel<'a>(case: &Case<'a>, netns: u32, ifindex: u32) -> Option<(&'a Link, &'a Vxlan)> {
    let link = case.link(netns, ifindex)?;
    Some((link, link.vxlan.as_ref()?))
}

/// Far ends this device sends to.
fn remotes(case: &Case<'_>, netns: u32, link: &Link, vxlan: &Vxlan) -> Vec<IpAddr> {
    let mut remotes: Vec<IpAddr> = vxlan.remote.into_iter().collect();
    if let Ok(fdb) = case.before(netns, "forwarding entries", |facts| &facts.fdb) {
        remotes.extend(
            fdb.iter()
                .filter(|entry| entry.ifindex == link.index)
                .filter_map(|entry| entry.dst),
        );
    }
    remotes.dedup();
    remotes
}

fn entries(case: &Case<'_>, netns: u32, ifindex: u32) -> Option<String> {
    let fdb = case.before(netns, "forwarding entries", |facts| &facts.fdb).ok()?;
    let link = case.link(netns, ifindex)?;
    let own: Vec<String> = fdb
        .iter()
        .filter(|entry| entry.ifindex == ifindex)
        .filter_map(|entry| Some(format!("{} -> {}", entry.mac, entry.dst?)))
        .collect();
    Some(match own.as_slice() {
        [] => format!("{} has no forwarding entry at all", link.name),
        own => format!("{} knows these far ends: {}", link.name, own.join(", ")),
    })
}

fn claim(case: &Case<'_>, netns: u32, interface: &str, why: &str) -> Claim {
    let name = case.name(netns);
    fatal(
        "overlay-broken",
        format!("the tunnel between the nodes is broken at {name}: {why}"),
    )
    .at(case.node(netns), &name)
    .interface(interface)
    .remedy(
        Remedy::from(format!("restart the CNI's agent on {name}, or write what is missing"))
            .run(": ", case.command(netns, "bridge fdb show", &[]))
            .run(", ", case.command(netns, "ip -d link", &[]))
            .run(", ", case.command(netns, "ip neigh", &[])),
    )
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};

    #[test]
    fn no_forwarding_entry_for_the_far_node() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "cbr0", "NO_TX_TARGET", "vxlan_xmit");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["overlay-broken"]);
        assert!(judgement.verdicts[0].says.contains("no forwarding entry"));
    }
}
