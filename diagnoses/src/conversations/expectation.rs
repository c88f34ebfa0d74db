//! Whether traffic of a target is to be expected, or may not have been seen: then silence is no proof that all is well.

use crate::kubernetes::selector;
use model::endpoint::Endpoint;
use model::evidence::Evidence;
use model::facts::BpfAttachment;
use model::inventory::{Inventory, Pod};
use model::missing::Missing;

/// Somebody expects something of one of these targets: a service selects it, or it had peers before the window.
#[must_use]
pub fn is_expected(evidence: &Evidence, targets: &[Endpoint]) -> bool {
    targets.iter().any(|target| {
        let selected = evidence
            .inventory
            .ok()
            .is_some_and(|inventory| is_selected(inventory, target));
        selected || had_peers(evidence, target)
    })
}

/// What silence leaves open: of a connection that an eBPF program refuses in `connect()` (of a service without endpoints, say), no
/// packet leaves.
#[must_use]
pub fn refused_unseen(evidence: &Evidence, targets: &[Endpoint]) -> Option<Missing> {
    let (target, program) = targets
        .iter()
        .find_map(|target| Some((target, asked_in_connect(evidence, target)?)))?;
    let why = format!(
        "eBPF program {} ({}, id {}) is asked in connect(); of what it refuses no packet leaves, and none was seen",
        program.name, program.kind, program.id
    );
    let lack = Missing::new(format!("connections of {} that fail at once", target.name), why);
    Some(lack.remedy("ask about what it connects to: kubectl skoop diagnose POD SERVICE:PORT"))
}

fn asked_in_connect<'a>(evidence: &'a Evidence, target: &Endpoint) -> Option<&'a BpfAttachment> {
    let mut attached = evidence.netns(target.netns?)?.before.bpf.ok()?.iter();
    attached.find(|program| program.kind.starts_with("cgroup-connect"))
}

fn is_selected(inventory: &Inventory, target: &Endpoint) -> bool {
    let is_it = |pod: &&Pod| target.object.as_ref() == Some(&pod.object());
    let Some(pod) = inventory.pods.iter().find(is_it) else {
        return false;
    };
    let mut services = inventory.services.iter();
    services.any(|service| {
        service.namespace == pod.namespace
            && !service.selector.is_empty()
            && selector::has_all(&service.selector, &pod.labels)
    })
}

fn had_peers(evidence: &Evidence, target: &Endpoint) -> bool {
    let netns = target.netns.and_then(|netns| evidence.netns(netns));
    let counts = netns.and_then(|netns| netns.before.socket_counts.ok());
    counts.is_some_and(|counts| counts.get("tcp ESTABLISHED").is_some_and(|count| *count > 0))
}

#[cfg(test)]
mod tests {
    use super::refused_unseen;
    use crate::scenes::{A, Scene};
    use model::endpoint::Endpoint;
    use model::facts::BpfAttachment;
    use model::missing::Known;

    #[test]
    fn what_a_program_refuses_in_connect_is_seen_by_nobody() {
        let asked = |kind: &str| {
            let mut scene = Scene::two_nodes();
            scene.facts(A, |facts| {
                facts.bpf = Known::Known(vec![BpfAttachment {
                    kind: kind.to_owned(),
                    on: "/".to_owned(),
                    ifindex: 0,
                    id: 7,
                    name: "cil_sock4_conne".to_owned(),
                }]);
            });
            let target = Endpoint {
                name: "shop/a".to_owned(),
                netns: Some(A),
                ..Endpoint::default()
            };
            refused_unseen(&scene.evidence, &[target])
        };
        let lack = asked("cgroup-connect4").unwrap();
        assert!(lack.why.contains("cil_sock4_conne"), "{lack:?}");
        assert_eq!(asked("cgroup-skb-egress"), None);
    }
}
