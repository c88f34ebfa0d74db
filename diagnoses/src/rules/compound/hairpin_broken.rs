//! A pod cannot reach itself through its service.
//!
//! Why it happens: the service's rules translate the address to the same pod that asks. The packet must then leave the bridge
//! by the port it came in by (hairpin mode). And its source must be masqueraded, or else the pod gets a packet from its own
//! address.
//!
//! How it knows: the watched request was translated (seen in the packet, or by the rules) to an address of its own source. Then
//! the bridge dropped it, or the source itself did, as a packet from its own address.
//!
//! Remedy: switch hairpin mode on for the pod's port (`bridge link set dev PORT hairpin on`), or let the network plug-in do it
//! (`hairpinMode`). Masquerade packets that return to their sender.
//!
//! Silent on: requests that are translated to any other pod, and bridges that block a port for other reasons
//! (`bridge-blocked`).

use crate::case::Case;
use crate::kernel::drops::Class;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::verdict::remedy::Remedy;
use crate::words::{at, count};
use model::report::Direction;

pub const NEEDS: &[Need] = &[Need::Probe("drop"), Need::Probe("path"), Need::Fact("links")];

pub fn check(case: &Case<'_>) -> Checked {
    let own = &case.evidence.source.addresses;
    let drops: Vec<_> = case
        .accusing()
        .filter(|drop| {
            matches!(
                drop.class,
                Class::BridgeRefuses | Class::OwnSource | Class::BridgeNoPort
            )
        })
        .filter(|drop| drop.direction == Direction::Request && own.contains(&drop.event.flow.dst()))
        .filter(|drop| {
            case.attempt(drop.attempt)
                .is_some_and(|tried| !own.contains(&tried.attempt.flow.dst()))
        })
        .collect();
    let Some(first) = drops.first() else {
        return Ok(Vec::new());
    };
    let event = first.event;
    let (netns, interface) = (case.name(event.netns), case.interface(event));
    let asked = case
        .attempt(first.attempt)
        .map_or_else(String::new, |tried| tried.attempt.flow.to_string());
    let hairpin = case
        .link(event.netns, event.ifindex)
        .and_then(|link| link.bridge_port.as_ref())
        .map(|port| port.hairpin);
    let source = case.source();
    Ok(vec![
        fatal(
            "hairpin-broken",
            format!("{source} cannot reach itself through the service address: {netns} does not send it back"),
        )
        .at(case.node(event.netns), &netns)
        .interface(interface.clone())
        .of(drops.iter().map(|drop| drop.attempt))
        .remedy(if first.class == Class::OwnSource {
            format!("masquerade in {netns} what is translated back to its own sender").into()
        } else {
            Remedy::from(format!("switch hairpin mode on in {netns}")).run(
                ": ",
                case.command(event.netns, "bridge link set dev {} hairpin on", &[&interface]),
            )
        })
        .because(format!("{asked} was translated to {}, the source itself", event.flow))
        .and(format!(
            "{} dropped at {} ({})",
            count(drops.len(), "packet"),
            at(&netns, Some(&interface)),
            first.words()
        ))
        .and_if((hairpin == Some(false)).then(|| format!("hairpin mode of {interface} is off"))),
    ])
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::attempt::Outcome;

    #[test]
    fn a_request_translated_back_to_its_source_and_dropped_by_the_bridge_is_it() {
        let mut scene = Scene::two_nodes();
        let asked = scenes::tcp("10.90.1.2:40000", "10.96.0.10:80");
        let back = scenes::tcp("10.90.1.2:40000", "10.90.1.2:80");
        scene.watch(0, asked).hop(scenes::A, "eth0", asked, 7);
        scene.hop_learned(scenes::X, "vetha", back, 7);
        scene.drop(scenes::X, "vetha", back, "NOT_SPECIFIED", "br_handle_frame_finish");
        let during = "connect".to_owned();
        scene.attempt(0, asked, Outcome::TimedOut { during });
        assert_eq!(scenes::cause(&judge(&scene.evidence)), "hairpin-broken");
    }

    #[test]
    fn a_bridge_that_blocks_the_way_to_another_pod_is_not_it() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "vetha", "NOT_SPECIFIED", "br_handle_frame_finish");
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"hairpin-broken".to_owned()));
    }
}
