//! Two ends of one link disagree on the largest packet, so large frames vanish without a message.
//!
//! Why it happens: the MTU of one end of a veth pair, or of one port of a bridge, was changed, and the other was not. Inside
//! one link, nobody sends an ICMP error for this.
//!
//! How it knows: a watched packet was freed when a bridge or a veth passed it on (`br_dev_queue_push_xmit`,
//! `__dev_forward_skb2`), and it is larger than the MTU of the next device. The MTUs of both ends are shown.
//!
//! Remedy: give both ends the same MTU.
//!
//! Silent on: routers that send "too big" and the packets of tunnels (`path-mtu-blackhole`, or normal path MTU discovery), and
//! links whose MTUs differ while nothing of that size is lost.

use crate::case::Case;
use crate::case::trail::Dropped;
use crate::kernel::drops::Class;
use crate::kernel::walk::HopKind;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{fatal, warning};
use crate::verdict::remedy::Remedy;
use crate::words::{at, count};
use model::facts::Link;

pub const NEEDS: &[Need] = &[Need::Probe("drop"), Need::Probe("path"), Need::Fact("links")];

pub fn check(case: &Case<'_>) -> Checked {
    let mut drops = case.all_drops(Class::LinkMtu);
    drops.retain(|drop| !drop.in_tunnel());
    let Some((first, (netns, small, large))) = drops.iter().find_map(|drop| Some((drop, ends(case, drop)?))) else {
        return Ok(Vec::new());
    };
    let bytes = drops
        .iter()
        .filter_map(|drop| drop.event.packet)
        .map(|packet| packet.len)
        .max()
        .unwrap_or(0);
    let name = case.name(netns);
    let says = format!(
        "{} in {name} takes {} bytes, and {} sends it up to {}: large packets vanish without a message",
        small.name, small.mtu, large.1, large.0
    );
    let failed = case.failed_ids();
    let hit = drops.iter().any(|drop| failed.contains(&drop.attempt));
    let claim = if hit {
        fatal("mtu-mismatch", says)
    } else {
        warning("mtu-mismatch", says)
    };
    let finding = claim
        .at(case.node(netns), &name)
        .interface(&small.name)
        .of(drops.iter().map(|drop| drop.attempt))
        .remedy(
            Remedy::from("give both the same MTU")
                .run(
                    ": ",
                    case.command(netns, "ip link set {} mtu {}", &[&small.name, &large.0]),
                )
                .say(format!(", or lower {}", large.1)),
        )
        .because(format!(
            "{} (up to {bytes} bytes) freed in {}: {}",
            count(drops.len(), "watched packet"),
            at(&case.name(first.event.netns), Some(&case.interface(first.event))),
            first.words()
        ))
        .and(format!("MTU of {} in {name} is {}", small.name, small.mtu))
        .and(format!("MTU of {} is {}", large.1, large.0));
    Ok(vec![finding])
}

/// The device that takes less, and the MTU and name of what sends to it.
fn ends<'a>(case: &Case<'a>, drop: &Dropped<'_>) -> Option<(u32, &'a Link, (u32, String))> {
    let netns = drop.event.netns;
    let bytes = drop.event.packet.map_or(u32::MAX, |packet| packet.len);
    // The device of the event is the one that was to take it, or the one it came from; on a bridge the outgoing port is on the way.
    let mut near: Vec<(u32, &'a Link)> = Vec::new();
    let here = case.link(netns, drop.event.ifindex);
    near.extend(here.map(|link| (netns, link)));
    near.extend(here.and_then(|link| case.peer(netns, link)));
    // Only a bridge that the packet was in: it came from one of its ports, or was on its way to one.
    let index = drop.event.ifindex;
    let bridge = here.map(|link| link.master.unwrap_or(link.index));
    let of_it = |port: Option<u32>| {
        let same = |port: u32| case.link(netns, port).is_some_and(|link| link.master == bridge);
        port.is_some_and(|port| port == index || (bridge.is_some() && same(port)))
    };
    for hop in case
        .way()
        .iter()
        .filter(|hop| hop.kind == HopKind::Bridge && hop.netns == netns)
        .filter(|hop| of_it(hop.arrives) || of_it(hop.leaves))
    {
        for index in [hop.arrives, hop.leaves].into_iter().flatten() {
            if let Some(link) = case.link(netns, index) {
                near.push((netns, link));
                near.extend(case.peer(netns, link));
            }
        }
    }
    let (at, small) = near
        .iter()
        .filter(|(_, link)| link.mtu < bytes)
        .min_by_key(|(_, link)| link.mtu)?;
    let large = near
        .iter()
        .filter(|(_, link)| link.mtu > small.mtu)
        .max_by_key(|(_, link)| link.mtu)?;
    let name = format!("{} in {}", large.1.name, case.name(large.0));
    Some((*at, small, (large.1.mtu, name)))
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};

    #[test]
    fn a_bridge_port_that_takes_less() {
        let mut scene = Scene::two_nodes();
        scene.link(scenes::Y, "vethc", |link| link.mtu = 1400);
        scene.dropped(1, scenes::Y, "vethc", "NOT_SPECIFIED", "br_dev_queue_push_xmit");
        for event in &mut scene.evidence.events {
            event.packet.as_mut().unwrap().len = 1500;
        }
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["mtu-mismatch"]);
        assert_eq!(judgement.verdicts[0].place.interface.as_deref(), Some("vethc"));
    }

    #[test]
    fn different_mtus_while_nothing_is_lost_accuse_nobody() {
        let mut scene = Scene::two_nodes();
        scene.link(scenes::Y, "vethc", |link| link.mtu = 1400).connects(3);
        assert!(scenes::causes(&judge(&scene.evidence)).is_empty());
    }
}
