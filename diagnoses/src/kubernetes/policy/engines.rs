//! How the kinds of policies are joined: as Cilium does, as Calico does, or by the API's own order (admins, `NetworkPolicies`,
//! baseline).
//!
//! Which network plug-in there is, the API groups tell that the cluster serves. Where both are served, one of them may be left over
//! from earlier: only what both say is said. Where it is asked what one agent makes of them, the kinds that it knows count alone.

use super::admin::{self, AdminTier};
use super::calico::{self, Others};
use super::cilium;
use super::isolation::Isolation;
use super::outcome::PolicyOutcome;
use super::{Asked, Connection, Party, PolicyReader, Side, network_policies};
use model::inventory::{Inventory, NetworkPolicy, Pod};

/// Why policies that nobody evaluates, or that were not read, may say something else.
pub fn unevaluated(inventory: &Inventory) -> Option<String> {
    if let Some(policy) = inventory.other_policies.first() {
        let name = super::objects::name(policy);
        return Some(format!("{name} exists, and policies of this kind are not evaluated"));
    }
    let unread = inventory.policy_objects.unread.first()?;
    Some(format!("{}: {}", unread.what, unread.why))
}

/// What comes of a connection at one end.
pub fn outcome(
    reader: PolicyReader,
    inventory: &Inventory,
    asked: Asked,
    side: Side,
    (pod, other): (&Pod, Party<'_>),
    connection: &Connection<'_>,
) -> PolicyOutcome {
    let ends = (pod, other);
    let of_admins = |tier| match asked {
        Asked::All => admin::outcome(inventory, tier, side, ends, connection),
        Asked::WithoutAdmins => PolicyOutcome::next(),
    };
    let plain = |policies: &[NetworkPolicy]| network_policies(inventory, policies, side, ends, connection);
    let policies = inventory.policies.ok().map_or(&[][..], Vec::as_slice);
    let as_cilium = || {
        of_admins(AdminTier::Admin)
            .then(|| cilium::outcome(inventory, side, ends, connection, in_cilium(policies, other, &plain)))
            .then(|| of_admins(AdminTier::Baseline))
    };
    let as_calico = || {
        let others = Others {
            admin: of_admins(AdminTier::Admin),
            network_policies: plain(policies),
            baseline: of_admins(AdminTier::Baseline),
        };
        calico::outcome(inventory, side, ends, connection, others)
    };
    match (
        reader.heeds(inventory, cilium::GROUP),
        calico::GROUPS.iter().any(|group| reader.heeds(inventory, group)),
    ) {
        (true, true) => agreed(as_cilium(), as_calico()),
        (true, false) => as_cilium(),
        (false, true) => as_calico(),
        (false, false) => of_admins(AdminTier::Admin)
            .then(|| plain(policies).alone())
            .then(|| of_admins(AdminTier::Baseline)),
    }
}

/// To Cilium addresses in a `NetworkPolicy` mean no pods; whether they mean nodes is a setting.
fn in_cilium(policies: &[NetworkPolicy], other: Party<'_>, plain: &dyn Fn(&[NetworkPolicy]) -> Isolation) -> Isolation {
    let within = plain(policies);
    let is_pod = other.pod.is_some_and(|pod| !pod.host_network);
    if !is_pod && other.node.is_empty() {
        return within;
    }
    let without = plain(&policies.iter().map(without_addresses).collect::<Vec<_>>());
    if is_pod || within.lets == without.lets {
        return without;
    }
    let setting = format!(
        "whether addresses mean nodes such as {} is set where Cilium is installed",
        other.node
    );
    Isolation {
        lets: PolicyOutcome::unknown(setting),
        closed: None,
    }
}

fn without_addresses(policy: &NetworkPolicy) -> NetworkPolicy {
    let mut policy = policy.clone();
    // Types that the policy leaves open follow from its rules.
    if policy.policy_types.is_empty() {
        policy.policy_types.push(Side::Ingress.name().to_owned());
        if !policy.egress.is_empty() {
            policy.policy_types.push(Side::Egress.name().to_owned());
        }
    }
    for rules in [&mut policy.ingress, &mut policy.egress] {
        rules.retain_mut(|rule| {
            let all = rule.peers.is_empty();
            rule.peers.retain(|peer| peer.ip_block.is_none());
            all || !rule.peers.is_empty()
        });
    }
    policy
}

/// What both say.
fn agreed(one: PolicyOutcome, another: PolicyOutcome) -> PolicyOutcome {
    let alike = (one.surely_allowed() && another.surely_allowed()) || (one.surely_denied() && another.surely_denied());
    if alike {
        return one.or(another);
    }
    PolicyOutcome::unknown(
        "the kinds of both Cilium and Calico are served, they disagree, and which of them is at work is not known",
    )
}
