//! The tunnel between the nodes is not set up, or its two ends do not match, or the network between the nodes loses its packets.
//!
//! Why it happens: the CNI's agent is down or late on one node. Then the tunnel's device is missing there, or a forwarding entry
//! or a neighbour entry for the far node was not written, or leads to a node that is gone. Or the network identifier or the UDP
//! port differ. Or a security group or a firewall between the nodes does not let the tunnel's UDP port pass.
//!
//! How it knows: the watched packet was freed at the tunnel device (no forwarding entry, unknown network identifier), or inside
//! the tunnel's packet at a node where no device takes it. Or nobody answers for the address on the tunnel. Or the forwarding
//! entry for the far node leads to an address that this node does not have. Or the packet left towards the far node inside the
//! tunnel, and that node has no device with this network identifier and port, or the tunnel's packet never came in there.
//!
//! Remedy: restart the CNI's agent on the node that is named. The answer says what it should have written. Or let the tunnel's
//! port pass between the nodes.
//!
//! Silent on: firewalls that drop the outer packets (`netfilter-drop`), links below the tunnel that are down
//! (`interface-down`), and tunnels that are not on the way.

use crate::case::Case;
use crate::case::observations;
use crate::case::trail::Dropped;
use crate::case::tunnel_faults;
use crate::case::tunnel_way;
use crate::case::tunnels::{self, crossings};
use crate::kernel::drops::Class;
use crate::kernel::tunnel;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Claim, Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::{at, count};
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
    Need::Fact("routes"),
];

pub fn check(case: &Case<'_>) -> Checked {
    if case.failed().is_empty() {
        return Ok(Vec::new());
    }
    let finding = freed(case)
        .or_else(|| unresolved(case))
        .or_else(|| misled(case))
        .or_else(|| gone(case))
        .or_else(|| far_end(case))
        .or_else(|| vanished(case));
    let attempt = case.failed()[0].attempt.id;
    Ok(finding
        .map(|finding| observations::last_seen(case, finding, attempt))
        .into_iter()
        .collect())
}

/// The tunnel device itself freed the packet, or no device took the tunnel's packet.
fn freed(case: &Case<'_>) -> Option<Finding> {
    let drops = case.drops(Class::Overlay);
    let first = drops.first()?;
    let netns = first.event.netns;
    let interface = case.interface(first.event);
    let device = case
        .link(netns, first.event.ifindex)
        .filter(|link| tunnel::is_tunnel(link));
    let why = match first.reason() {
        "VXLAN_VNI_NOT_FOUND" => {
            other_network(case, first).unwrap_or_else(|| "it knows no such network identifier".to_owned())
        }
        "NO_TX_TARGET" => "it has no forwarding entry for the far node".to_owned(),
        "IP_OUTNOROUTES" => "it has no route to the far node".to_owned(),
        _ if first.in_tunnel() => format!(
            "it has no device that takes the tunnel's packets (UDP port {}){}",
            first.event.flow.dport,
            other_port(case, netns, first.event.flow.dport).unwrap_or_default()
        ),
        _ => "it cannot send it on".to_owned(),
    };
    let of_device = if first.in_tunnel() || first.reason() == "VXLAN_VNI_NOT_FOUND" {
        tunnels::devices(case, netns).next()
    } else {
        device
    };
    let named = of_device.map_or(&interface, |link| &link.name);
    let finding = claim(case, netns, named, &why)
        .of(drops.iter().map(|drop| drop.attempt))
        .because(format!(
            "{} freed at {interface} of {}: {}",
            count(drops.len(), "watched packet"),
            case.name(netns),
            first.words()
        ));
    Some(finding.and_if(device.and_then(|_| entries(case, netns, first.event.ifindex))))
}

/// `; its flannel.1 takes UDP port 4789`: a tunnel of the node that was set to another port.
fn other_port(case: &Case<'_>, netns: u32, sent_to: u16) -> Option<String> {
    let mut devices = tunnels::devices(case, netns);
    let (device, port) =
        devices.find_map(|link| Some((link, tunnel::udp_port(link).filter(|port| *port != sent_to)?)))?;
    Some(format!("; its {} takes UDP port {port}", device.name))
}

/// `its flannel.1 has network identifier 2, and flannel.1 of n1 sends 1`.
fn other_network(case: &Case<'_>, drop: &Dropped<'_>) -> Option<String> {
    let here = drop.event.netns;
    let sent = sender(case, drop).filter(|(netns, _)| *netns != here)?;
    let sent_network = tunnel::network(sent.1)?;
    let others: Vec<(&Link, u32)> = tunnels::devices(case, here)
        .filter(|link| link.kind == sent.1.kind)
        .filter_map(|link| Some((link, tunnel::network(link)?)))
        .collect();
    let (device, own) = *others.first()?;
    let differ = others.iter().all(|(_, network)| *network != sent_network);
    differ.then(|| {
        format!(
            "its {} has network identifier {own}, and {} of {} sends {sent_network}",
            device.name,
            sent.1.name,
            case.name(sent.0)
        )
    })
}

/// The device that made the tunnel's packet of a loss: by its addresses, else by the expected way.
fn sender<'a>(case: &Case<'a>, drop: &Dropped<'_>) -> Option<(u32, &'a Link)> {
    let by_addresses = tunnels::sender(case, drop.event.flow).filter(|_| drop.in_tunnel());
    by_addresses.or_else(|| {
        let mut all = crossings(case).into_iter();
        let crossing = all.find(|crossing| crossing.direction == drop.direction)?;
        Some((crossing.netns, crossing.link))
    })
}

/// Nobody answers for the address on the tunnel: its entry was not written.
fn unresolved(case: &Case<'_>) -> Option<Finding> {
    let silent = case
        .silent
        .iter()
        .find(|silent| vxlan(case, silent.netns, silent.ifindex).is_some())?;
    let (link, settings) = vxlan(case, silent.netns, silent.ifindex)?;
    let why = format!("it has no neighbour entry for {}", silent.address);
    let mut claim = claim(case, silent.netns, &link.name, &why);
    let owned = case.owner(silent.address);
    if let Some((_, far)) = owned.filter(|(_, far)| far.vxlan.as_ref().is_some_and(|far| far.vni == settings.vni)) {
        claim = claim.remedy(
            Remedy::from(format!(
                "restart the CNI's agent on {}, which writes it",
                case.name(silent.netns)
            ))
            .run(
                "; by hand: ",
                case.command(
                    silent.netns,
                    "ip neigh replace {} lladdr {} dev {} nud permanent",
                    &[&silent.address, &far.mac, &link.name],
                ),
            ),
        );
    }
    let finding = claim.of(case.failed_ids()).because(format!(
        "{} asked for {} on {} and nobody answered",
        case.name(silent.netns),
        silent.address,
        link.name
    ));
    Some(finding.and_if(entries(case, silent.netns, silent.ifindex)))
}

/// The forwarding entry for a device of the far node leads to an address that this node does not have.
fn misled(case: &Case<'_>) -> Option<Finding> {
    let astray = tunnel_faults::astray(case)?;
    let (netns, to) = (astray.netns, astray.to);
    let (name, far, interface) = (case.name(netns), case.name(astray.far), &astray.link.name);
    let why =
        format!("the forwarding entry of {interface} for {far} leads to {to}, which is none of the addresses of {far}");
    let right = astray.device.vxlan.as_ref().and_then(|vxlan| vxlan.local);
    let replace = right.and_then(|right| {
        let names: [&dyn core::fmt::Display; 3] = [&astray.mac, interface, &right];
        case.command(netns, "bridge fdb replace {} dev {} dst {} self permanent", &names)
    });
    let remedy = Remedy::from(format!("restart the CNI's agent on {name}, which writes the entry"));
    let device = &astray.device.name;
    let finding = claim(case, netns, interface, &why)
        .remedy(remedy.run("; by hand: ", replace))
        .of(case.failed_ids())
        .because(format!(
            "forwarding entry of {interface} in {name}: {} -> {to}; that is the hardware address of {device} in {far}",
            astray.mac
        ))
        .and_if(right.map(|right| format!("{device} of {far} sends from {right}")));
    let asked = case.silent.iter().find(|silent| silent.address == to);
    let unanswered = asked.map(|silent| format!("{} asked for {to} and nobody answered", case.name(silent.netns)));
    Some(finding.and_if(unanswered))
}

/// It left inside the tunnel, and the far node has no matching device.
fn far_end(case: &Case<'_>) -> Option<Finding> {
    for hop in case.way() {
        let Some((link, vxlan)) = hop.leaves.and_then(|oif| vxlan(case, hop.netns, oif)) else {
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
            let fits = |(device, other): &&(&Link, &Vxlan)| {
                tunnel::understand(link, device) && other.port == vxlan.port && device.up
            };
            if devices.iter().any(|device| fits(&device)) {
                continue;
            }
            let reached = failed_leg_reaches(case, hop.direction, far, link);
            if reached {
                continue;
            }
            let why = match devices.first() {
                None => "it has no VXLAN device at all".to_owned(),
                Some((device, other)) if !tunnel::understand(link, device) => format!(
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

/// The tunnel's device is gone on a node, and the packets stay there or go to a gateway: the other node sends by a device of this
/// kind.
fn gone(case: &Case<'_>) -> Option<Finding> {
    let ways = [Direction::Request, Direction::Answer];
    let failed = case.failed();
    let mut tries = ways
        .into_iter()
        .flat_map(|way| failed.iter().map(move |tried| (tried, way)));
    tries.find_map(|(tried, direction)| {
        let (netns, other, far) = tunnel_faults::without_device(case, tried.attempt.id, direction)?;
        let name = case.name(netns);
        let network = tunnel::network(other).map_or(String::new(), |network| format!(", network identifier {network}"));
        let why = format!(
            "it has no {} device{network}, which {} sends by",
            other.kind,
            case.name(far)
        );
        let finding = claim(case, netns, "", &why)
            .remedy(format!(
                "restart the CNI's agent on {name}: it makes the device, its entries and its routes"
            ))
            .of(case.failed_ids())
            .because(format!(
                "{name} has no {} device that matches {}",
                other.kind, other.name
            ))
            .and(format!(
                "{} of {} sends to the pods of {name}",
                other.name,
                case.name(far)
            ));
        Some(finding)
    })
}

/// The tunnel's packets left one node and never came in at the other.
fn vanished(case: &Case<'_>) -> Option<Finding> {
    let (crossing, words) = tunnel_way::lost_between(case)?;
    let (netns, link) = (crossing.netns, crossing.link);
    let name = case.name(netns);
    let outer = crossing.outer_words()?;
    let why = format!(
        "the packets of {} ({outer}) leave it and are lost between the nodes",
        link.name
    );
    let tried = tunnel_way::tried(case, &crossing);
    let finding = claim(case, netns, &link.name, &why)
        .remedy(tunnel_way::remedy(case, &crossing, tried)?)
        .of(case.failed_ids())
        .because(words)
        .and(format!(
            "{} sends them by {}",
            link.name,
            at(&name, crossing.under.map(|under| under.name.as_str()))
        ));
    Some(finding.and_if(tried.map(|tried| tunnel_way::met(case, &crossing, tried))))
}

fn vxlan<'a>(case: &Case<'a>, netns: u32, ifindex: u32) -> Option<(&'a Link, &'a Vxlan)> {
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
    use crate::scenes::cluster::Cluster;
    use crate::scenes::{self, Scene, TUNNEL};
    use crate::tunnel_way_to_try;
    use model::evidence::TunnelWayTry;
    use model::facts::{Link, Tunnel, Vxlan};
    use model::missing::Known;
    use model::report::Verdict;

    /// The one cause, which is this rule's.
    fn broken(scene: &Scene) -> Verdict {
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["overlay-broken"], "{judgement:?}");
        judgement.verdicts[0].clone()
    }

    #[test]
    fn no_forwarding_entry_for_the_far_node() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "cbr0", "NO_TX_TARGET", "vxlan_xmit");
        assert!(broken(&scene).says.contains("no forwarding entry"));
    }

    #[test]
    fn a_tunnel_that_works_accuses_nobody() {
        let mut scene = Scene::over_vxlan();
        scene.connects(3);
        assert!(scenes::causes(&judge(&scene.evidence)).is_empty());
    }

    #[test]
    fn of_networks_that_differ_both_numbers_are_said_and_no_table_of_the_uplink() {
        let mut scene = Scene::over_vxlan();
        scene.link(scenes::Y, "flannel.1", |link| {
            link.vxlan.as_mut().unwrap().vni = 2;
        });
        scene.dropped_in_tunnel(3, (scenes::Y, "up0"), "up0", "VXLAN_VNI_NOT_FOUND", "vxlan_rcv");
        let verdict = broken(&scene);
        let says = &verdict.says;
        assert!(says.contains("its flannel.1 has network identifier 2"), "{says}");
        assert!(says.contains("flannel.1 of netns/x sends 1"), "{says}");
        assert!(
            !verdict.because.iter().any(|fact| fact.contains("forwarding entry")),
            "{verdict:?}"
        );
    }

    #[test]
    fn an_entry_that_leads_to_a_node_that_is_none_is_named_with_the_one_that_is() {
        let mut scene = Scene::over_vxlan();
        scene.facts(scenes::X, |facts| {
            if let Known::Known(fdb) = &mut facts.fdb {
                fdb[0].dst = Some(scenes::ip("172.31.90.99"));
            }
        });
        let astray = scenes::udp("172.31.90.1:50000", "172.31.90.99:8472");
        scene.dropped_in_tunnel(3, (scenes::X, "flannel.1"), "up0", "NEIGH_FAILED", "neigh_invalidate");
        for event in &mut scene.evidence.events {
            if event.quoted.is_some() {
                event.flow = astray;
            }
        }
        let verdict = broken(&scene);
        assert_eq!(verdict.place.netns.as_deref(), Some("netns/x"));
        assert!(
            verdict.says.contains("for netns/y leads to 172.31.90.99"),
            "{}",
            verdict.says
        );
        assert!(
            verdict
                .remedy
                .contains("bridge fdb replace 02:00:00:00:14:02 dev flannel.1 dst 172.31.90.2"),
            "{}",
            verdict.remedy
        );
    }

    #[test]
    fn an_address_of_the_node_that_is_translated_on_the_way_is_no_wrong_one() {
        let mut scene = Scene::over_vxlan();
        scene.facts(scenes::X, |facts| {
            if let Known::Known(fdb) = &mut facts.fdb {
                fdb[0].dst = Some(scenes::ip("203.0.113.2"));
            }
        });
        scene.vanishes(3, scenes::X, "up0");
        let says = broken(&scene).says;
        assert!(
            says.contains("lost between the nodes") && !says.contains("leads to"),
            "{says}"
        );
    }

    #[test]
    fn a_neighbour_that_nobody_learns_is_written_and_not_deleted() {
        let mut scene = Scene::over_vxlan();
        scene.facts(scenes::X, |facts| facts.neighbours = Known::Known(Vec::new()));
        for id in 0..3 {
            let flow = scene.flow(id);
            scene.walk_to(id, flow, scenes::X, "cbr0");
            scene.drop(scenes::X, "flannel.1", flow, "NEIGH_FAILED", "neigh_invalidate");
            let during = "connect".to_owned();
            scene.attempt(id, flow, model::attempt::Outcome::TimedOut { during });
        }
        let remedy = broken(&scene).remedy;
        assert!(remedy.contains("agent"), "{remedy}");
        let command = "ip neigh replace 10.90.2.0 lladdr 02:00:00:00:14:02 dev flannel.1 nud permanent";
        assert!(remedy.contains(command) && !remedy.contains("neigh del"), "{remedy}");
    }

    #[test]
    fn packets_of_the_tunnel_that_are_lost_between_the_nodes_are_named_by_their_port() {
        let mut scene = Scene::over_vxlan();
        scene.vanishes(3, scenes::X, "up0");
        let verdict = broken(&scene);
        let says = &verdict.says;
        assert!(
            says.contains("flannel.1 (172.31.90.1 -> 172.31.90.2, UDP port 8472)"),
            "{says}"
        );
        assert!(verdict.remedy.contains("security group"), "{}", verdict.remedy);
        assert!(
            verdict
                .because
                .iter()
                .any(|fact| fact.contains("lost between n1 and n2"))
        );
        let mut scene = Scene::over_vxlan();
        scene.answers_vanish(3);
        assert!(
            broken(&scene)
                .says
                .contains("172.31.90.2 -> 172.31.90.1, UDP port 8472")
        );
        // What did not leave the node was not lost between them, and without a tunnel there is none to blame.
        let mut scene = Scene::over_vxlan();
        scene.vanishes(3, scenes::X, "flannel.1");
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"overlay-broken".to_owned()));
    }

    #[test]
    fn what_was_tried_outside_the_tunnel_tells_a_port_that_is_shut_from_a_way_that_is() {
        let tried = |echoes_answered, datagrams_arrived| {
            let mut scene = Scene::over_vxlan();
            scene.vanishes(3, scenes::X, "up0");
            scene.evidence.tunnel_way = Some(TunnelWayTry {
                from: scenes::ip("172.31.90.1"),
                to: scenes::ip("172.31.90.2"),
                port: 8472,
                echoes_sent: 3,
                echoes_answered,
                datagrams_sent: 3,
                datagrams_arrived,
            });
            let verdict = broken(&scene);
            (verdict.because.join("; "), verdict.remedy)
        };
        let (because, remedy) = tried(3, 0);
        assert!(
            because.contains(
                "an echo from netns/x to 172.31.90.2 is answered, but none of 3 datagrams to its UDP port 8472"
            ),
            "{because}"
        );
        assert!(
            remedy.contains("security group") && !remedy.contains("ping"),
            "{remedy}"
        );
        let (because, remedy) = tried(0, 0);
        assert!(
            because.contains("is not answered, and none of 3 datagrams"),
            "{because}"
        );
        assert!(
            remedy.contains("security group") && remedy.contains("echoes do not pass either"),
            "{remedy}"
        );
        let (because, remedy) = tried(2, 3);
        assert!(because.contains("is answered, and 3 of 3 datagrams"), "{because}");
        assert!(remedy.contains("small datagrams to UDP port 8472 pass"), "{remedy}");
    }

    #[test]
    fn the_way_outside_the_tunnel_is_tried_from_the_node_that_the_packets_left() {
        let mut scene = Scene::over_vxlan();
        scene.vanishes(3, scenes::X, "up0");
        let way = tunnel_way_to_try(&scene.evidence).unwrap();
        assert_eq!(
            (way.netns, way.to, way.port),
            (scenes::X, scenes::ip("172.31.90.2"), 8472)
        );
        let mut scene = Scene::over_vxlan();
        scene.answers_vanish(3);
        let way = tunnel_way_to_try(&scene.evidence).unwrap();
        assert_eq!((way.netns, way.to), (scenes::Y, scenes::ip("172.31.90.1")));
        let mut scene = Scene::over_vxlan();
        scene.connects(3);
        assert_eq!(tunnel_way_to_try(&scene.evidence), None);
        let mut scene = Scene::two_machines();
        scene.vanishes(3, scenes::X, "up0");
        assert_eq!(tunnel_way_to_try(&scene.evidence), None, "there is no tunnel");
    }

    #[test]
    fn where_no_device_takes_the_tunnels_packets_the_targets_port_is_not_shut() {
        let mut scene = Scene::over_vxlan();
        scene.without_tunnel(scenes::Y);
        scene.dropped_in_tunnel(3, (scenes::Y, "up0"), "up0", "NO_SOCKET", "__udp4_lib_rcv");
        let verdict = broken(&scene);
        assert_eq!(verdict.place.netns.as_deref(), Some("netns/y"));
        assert!(verdict.says.contains("UDP port 8472"), "{}", verdict.says);
    }

    #[test]
    fn a_tunnel_that_was_set_to_another_port_is_named_with_both() {
        let mut scene = Scene::over_vxlan();
        scene.link(scenes::Y, "flannel.1", |link| {
            link.vxlan.as_mut().unwrap().port = 4789;
        });
        scene.dropped_in_tunnel(3, (scenes::Y, "up0"), "up0", "NO_SOCKET", "__udp4_lib_rcv");
        let says = broken(&scene).says;
        let both = "(UDP port 8472); its flannel.1 takes UDP port 4789";
        assert!(says.contains(both), "{says}");
    }

    /// The nodes' tunnel is that of a program, as Cilium's: no route leads into it.
    fn of_a_program(kind: &str) -> Cluster {
        let mut cluster = Cluster::over_vxlan();
        for node in [scenes::X, scenes::Y] {
            let external = Link {
                kind: kind.to_owned(),
                vxlan: (kind == "vxlan").then(|| Vxlan {
                    port: 8472,
                    external: true,
                    ..Vxlan::default()
                }),
                tunnel: (kind != "vxlan").then(|| Tunnel {
                    port: Some(6081),
                    external: true,
                    ..Tunnel::default()
                }),
                ..scenes::link(TUNNEL, "cilium_vxlan", kind)
            };
            cluster.scene.without_tunnel(node).facts(node, |facts| {
                if let Known::Known(links) = &mut facts.links {
                    links.push(external.clone());
                }
            });
        }
        cluster.scene.tunnel = false;
        cluster
    }

    #[test]
    fn a_device_of_a_program_that_is_gone_is_a_broken_tunnel() {
        for kind in ["vxlan", "geneve"] {
            let mut cluster = of_a_program(kind);
            cluster.scene.without_tunnel(scenes::X).vanishes(3, scenes::X, "vetha");
            let verdict = broken(&cluster.scene);
            assert_eq!(verdict.place.node.as_deref(), Some("x"));
            assert!(verdict.says.contains(&format!("no {kind} device")), "{}", verdict.says);
            let mut cluster = of_a_program(kind);
            cluster.scene.vanishes(3, scenes::X, "vetha");
            assert!(!scenes::causes(&judge(cluster.evidence())).contains(&"overlay-broken".to_owned()));
        }
    }

    #[test]
    fn the_device_that_routes_led_into_is_gone() {
        let mut cluster = Cluster::over_vxlan();
        cluster.scene.without_tunnel(scenes::X);
        cluster.scene.tunnel = false;
        cluster.scene.vanishes(3, scenes::X, "up0");
        let verdict = broken(&cluster.scene);
        assert_eq!(verdict.place.node.as_deref(), Some("x"));
        assert!(
            verdict.says.contains("no vxlan device, network identifier 1"),
            "{}",
            verdict.says
        );
    }
}
