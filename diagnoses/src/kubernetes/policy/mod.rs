//! What the policies of a cluster say of one connection: allowed, denied by these, or not to be told.
//!
//! `NetworkPolicies` (`networking.k8s.io/v1`) are here. A pod that none of them selects for a direction may do anything in it. Once
//! one does, a connection needs a rule of any policy that selects the pod, and it needs that at both of its ends. They never deny;
//! that nothing allows is the denial. Every other kind is in its own file, and `engines` joins them as the network plug-in does.
//!
//! Only what the kinds define belongs here; where implementations differ, and where anything is not understood or was not read, the
//! answer is that it cannot be told. Which connection is asked about is `case/policy_rulings`.

mod admin;
mod calico;
mod cilium;
mod combined;
mod engines;
mod fits;
mod isolation;
mod objects;
mod outcome;
mod ports;
mod words;

use crate::kubernetes::agents::{ADMIN_POLICIES, Agent, NETWORK_POLICIES, PolicyKnowledge};
use fits::{PolicyFit, rule};
use isolation::Isolation;
use model::inventory::{Inventory, NetworkPolicy, Pod, PolicyRule};
use model::object_ref::ObjectRef;
use model::policy_objects::PolicyObject;
use outcome::{Ground, PolicyOutcome};
use std::net::IpAddr;

/// One end of a connection, as policies see it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Party<'a> {
    /// The pod it is.
    pub pod: Option<&'a Pod>,
    /// The node whose own address it has: of a node, or of a pod on its network. Empty for all others.
    pub node: &'a str,
    /// Its address in packets.
    pub address: IpAddr,
}

/// A connection.
#[derive(Clone, Copy, Debug)]
pub struct Connection<'a> {
    /// Who opens it.
    pub from: Party<'a>,
    /// As whom it comes to the one who answers, where its source was translated on the way.
    pub seen_as: Option<Party<'a>>,
    /// Who answers: behind a service, the pod that was chosen.
    pub to: Party<'a>,
    /// `tcp`, `udp`, `sctp`; anything else is beyond what a policy defines.
    pub protocol: &'a str,
    /// The port that it has at the pod which answers.
    pub port: u16,
    /// The address it was sent to, where a service stands between.
    pub service: Option<IpAddr>,
}

/// Which way, seen from the pod that a policy selects.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// What comes in.
    Ingress,
    /// What goes out.
    Egress,
}

/// The answer.
#[derive(Clone, Debug, PartialEq)]
pub enum Ruling<'a> {
    /// Nothing selects the ends, or a rule allows it.
    Allowed {
        /// Ends that nothing selects, where it matters what the network plug-in does then: Cilium's enforcement mode `always`, which
        /// no object of the API tells, denies it all.
        open: Vec<Side>,
    },
    /// At one end or both nothing allows it.
    Denied(Vec<Denial<'a>>),
    /// It depends on something that is not known, or that implementations do differently.
    Unknown(String),
}

/// One end at which a connection is denied.
#[derive(Clone, Debug, PartialEq)]
pub struct Denial<'a> {
    /// Which way.
    pub side: Side,
    /// The pod that is selected.
    pub pod: &'a Pod,
    /// The other end, as what judges the connection here sees it.
    pub other: Party<'a>,
    /// In which way.
    pub form: DenialForm,
    /// The policies that deny: that with the rule, or all that select the pod, none of which allows the connection.
    pub policies: Vec<ObjectRef>,
    /// For each of them, why.
    pub why: Vec<String>,
}

/// Who makes something of the policies.
#[derive(Clone, Copy, Debug)]
pub enum PolicyReader {
    /// The network plug-ins that the API groups of the cluster tell of, whichever of them is at work.
    Served,
    /// This agent, by the kinds that it knows.
    Agent(&'static Agent),
}

/// How a connection is denied.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DenialForm {
    /// Policies select the pod, and no rule of theirs allows it.
    #[default]
    NothingAllows,
    /// A rule denies it.
    Rule {
        /// A rule that stands before it may allow it; else none can.
        first: bool,
    },
}

/// Which policies are asked, of all that there are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Asked {
    /// All.
    All,
    /// Those of admins are left out, for a network plug-in that does not know them.
    WithoutAdmins,
}

impl PolicyReader {
    /// It makes something of the kinds of this group, and the cluster has them.
    fn heeds(self, inventory: &Inventory, group: &str) -> bool {
        let knows = match self {
            Self::Served => true,
            Self::Agent(agent) => agent.knows(group) != PolicyKnowledge::No,
        };
        knows && inventory.policy_objects.serves(group)
    }

    /// What counts, of an outcome by all policies and one by all but those of admins; `None` where it depends on something that is
    /// not known.
    fn with_admins(self, inventory: &Inventory, all: PolicyOutcome, without: PolicyOutcome) -> Option<PolicyOutcome> {
        let alike = all.surely_allowed() == without.surely_allowed() && all.surely_denied() == without.surely_denied();
        let knowledge = match self {
            Self::Agent(agent) => agent.knows(ADMIN_POLICIES),
            // Not every network plug-in heeds the policies of admins, and the API does not tell which does. A denial of theirs stands
            // like that of any policy, to be proven by a drop; Cilium is known to heed them only where it is told to.
            Self::Served if alike || (all.surely_denied() && !inventory.policy_objects.serves(cilium::GROUP)) => {
                PolicyKnowledge::Yes
            }
            Self::Served => PolicyKnowledge::Maybe,
        };
        match knowledge {
            PolicyKnowledge::Yes => Some(all),
            PolicyKnowledge::Maybe => alike.then_some(without),
            PolicyKnowledge::No => Some(without),
        }
    }
}

impl<'a> Party<'a> {
    /// A pod, by one of its addresses.
    #[must_use]
    pub fn pod(pod: &'a Pod, address: IpAddr) -> Self {
        let node = if pod.host_network { pod.node.as_str() } else { "" };
        Self {
            pod: Some(pod),
            node,
            address,
        }
    }

    /// Whoever has this address: a pod, a node, or somebody outside.
    #[must_use]
    pub fn at(inventory: &'a Inventory, address: IpAddr) -> Self {
        if let Some(pod) = inventory.pods_at(address).next() {
            return Self::pod(pod, address);
        }
        let node = inventory.nodes.iter().find(|node| node.addresses.contains(&address));
        Self {
            pod: None,
            node: node.map_or("", |node| node.name.as_str()),
            address,
        }
    }

    /// The pod that policies can select here: those on their node's network are not subject to them.
    fn subject(&self) -> Option<&'a Pod> {
        self.pod.filter(|pod| !pod.host_network)
    }

    /// `shop/web-1`, else its address.
    #[must_use]
    pub fn name(&self) -> String {
        self.pod.map_or_else(|| self.address.to_string(), Pod::full_name)
    }
}

impl Side {
    /// As policies name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ingress => "Ingress",
            Self::Egress => "Egress",
        }
    }

    fn rules(self, policy: &NetworkPolicy) -> &[PolicyRule] {
        match self {
            Self::Ingress => &policy.ingress,
            Self::Egress => &policy.egress,
        }
    }

    /// The policy isolates what it selects in this direction. Where it names no types, it does so for ingress, and for egress
    /// when it has egress rules.
    fn of(self, policy: &NetworkPolicy) -> bool {
        if policy.policy_types.is_empty() {
            return self == Self::Ingress || !policy.egress.is_empty();
        }
        policy.policy_types.iter().any(|name| name == self.name())
    }
}

/// What the policies say.
#[must_use]
pub fn ruling<'a>(inventory: &'a Inventory, connection: &Connection<'a>) -> Ruling<'a> {
    ruling_by(PolicyReader::Served, inventory, connection)
}

/// What they say to one who may know some kinds alone.
#[must_use]
pub fn ruling_by<'a>(reader: PolicyReader, inventory: &'a Inventory, connection: &Connection<'a>) -> Ruling<'a> {
    if let Some(lack) = inventory.policies.get().err() {
        return Ruling::Unknown(format!("network policies: {}", lack.why));
    }
    if let Some(why) = engines::unevaluated(inventory) {
        return Ruling::Unknown(why);
    }
    let mut denials = Vec::new();
    let mut doubt = None;
    let mut open = Vec::new();
    for side in [Side::Egress, Side::Ingress] {
        match one_side(reader, inventory, side, connection) {
            Ok(SideRuling::Allowed { by_rule }) => {
                if !by_rule && reader.heeds(inventory, cilium::GROUP) {
                    open.push(side);
                }
            }
            Ok(SideRuling::Denied(denial)) => denials.push(denial),
            Err(why) => doubt = doubt.or(Some(why)),
        }
    }
    match (denials.is_empty(), doubt) {
        (false, _) => Ruling::Denied(denials),
        (true, Some(why)) => Ruling::Unknown(why),
        (true, None) => Ruling::Allowed { open },
    }
}

/// Who makes something of the policies knows a source by an identity that goes with the packet, whatever becomes of its address.
#[must_use]
pub fn judges_by_identity(reader: PolicyReader, inventory: &Inventory) -> bool {
    reader.heeds(inventory, cilium::GROUP)
}

/// The API group of a policy that denies.
#[must_use]
pub fn group<'a>(inventory: &'a Inventory, policy: &ObjectRef) -> &'a str {
    let mut others = inventory.policy_objects.objects.iter();
    let other = others.find(|other| other.object == *policy);
    other.map_or(NETWORK_POLICIES, PolicyObject::group)
}

/// What comes of a connection at one end.
enum SideRuling<'a> {
    Allowed {
        /// A rule allows it, or policies cannot be about this end; else none selects it.
        by_rule: bool,
    },
    Denied(Denial<'a>),
}

/// The policies that isolate a pod in a direction.
#[must_use]
pub fn selecting<'a>(policies: &'a [NetworkPolicy], side: Side, pod: &Pod) -> Vec<&'a NetworkPolicy> {
    policies
        .iter()
        .filter(|policy| policy.namespace == pod.namespace && side.of(policy))
        .filter(|policy| crate::kubernetes::selector::selects(&policy.pod_selector, &pod.labels))
        .collect()
}

/// What comes of it at one end, or why it cannot be told.
fn one_side<'a>(
    reader: PolicyReader,
    inventory: &Inventory,
    side: Side,
    connection: &Connection<'a>,
) -> Result<SideRuling<'a>, String> {
    let (own, other) = match side {
        Side::Ingress => (connection.to, connection.seen_as.unwrap_or(connection.from)),
        Side::Egress => (connection.from, connection.to),
    };
    let Some(pod) = own.subject() else {
        return Ok(SideRuling::Allowed { by_rule: true });
    };
    // A pod cannot be kept from itself.
    if other
        .pod
        .is_some_and(|other| (&other.namespace, &other.name) == (&pod.namespace, &pod.name))
    {
        return Ok(SideRuling::Allowed { by_rule: true });
    }
    let ends = (pod, other);
    let of = |asked| engines::outcome(reader, inventory, asked, side, ends, connection);
    let outcome = if admin::any(inventory) {
        let outcome = reader.with_admins(inventory, of(Asked::All), of(Asked::WithoutAdmins));
        outcome.ok_or_else(|| {
            format!(
                "it depends on whether the network plug-in heeds policies of the cluster's admins (for {})",
                pod.full_name()
            )
        })?
    } else {
        of(Asked::All)
    };
    let by_rule = outcome.surely_allowed_by_a_rule();
    let denial = outcome.denial(side, ends)?;
    Ok(denial.map_or(SideRuling::Allowed { by_rule }, SideRuling::Denied))
}

/// What `NetworkPolicies` say at one end.
fn network_policies(
    inventory: &Inventory,
    policies: &[NetworkPolicy],
    side: Side,
    (pod, other): (&Pod, Party<'_>),
    connection: &Connection<'_>,
) -> Isolation {
    let selecting = selecting(policies, side, pod);
    if selecting.is_empty() {
        return Isolation::open();
    }
    let own_node = !other.node.is_empty() && other.node == pod.node;
    let lets = |lets: PolicyOutcome| Isolation { lets, closed: None };
    if own_node && side == Side::Ingress {
        // The kubelet must reach the pods of its node.
        return lets(PolicyOutcome::allow());
    }
    let mut closed = Ground::default();
    let mut doubt = None;
    for policy in &selecting {
        let mut misses = Vec::new();
        for allowed in side.rules(policy) {
            match rule(inventory, policy, allowed, other, connection) {
                PolicyFit::Yes if ports::defined(connection.protocol) => return lets(PolicyOutcome::allow()),
                PolicyFit::Yes => {}
                PolicyFit::Maybe(reason) => doubt = doubt.or(Some(reason)),
                PolicyFit::No(miss) => misses.push(miss),
            }
        }
        closed.policies.push(object(policy));
        closed.why.push(words::denial(policy, side, &misses));
    }
    if !ports::defined(connection.protocol) {
        return lets(PolicyOutcome::unknown(format!(
            "network policies select {}, and what they mean for {} is left to each implementation",
            pod.full_name(),
            connection.protocol
        )));
    }
    if own_node {
        return lets(PolicyOutcome::unknown(format!(
            "no policy lets {} reach its own node, which some implementations allow in any case",
            pod.full_name()
        )));
    }
    Isolation {
        lets: doubt.map_or_else(PolicyOutcome::next, |reason| {
            PolicyOutcome::allow().when(PolicyFit::Maybe(reason))
        }),
        closed: Some(closed),
    }
}

/// As the API names it.
fn object(policy: &NetworkPolicy) -> ObjectRef {
    ObjectRef {
        kind: "NetworkPolicy".to_owned(),
        namespace: policy.namespace.clone(),
        name: policy.name.clone(),
    }
}
