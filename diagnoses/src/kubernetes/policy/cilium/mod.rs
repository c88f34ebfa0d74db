//! What Cilium makes of policies: `CiliumNetworkPolicy` and `CiliumClusterwideNetworkPolicy` (`cilium.io/v2`) together with
//! `NetworkPolicies`.
//!
//! A rule that denies comes before all that allow. Else any rule of any policy of any of these kinds may allow. A pod that one of
//! them selects for a direction is closed in it, unless the policy says otherwise (`enableDefaultDeny`). This is Cilium's
//! enforcement mode `default`; the other modes (`always`, `never`) are not looked for.
//!
//! Not evaluated, so that the answer is unknown where it depends on them: rules for HTTP, DNS and other protocols of layer 7,
//! `toFQDNs`, `toServices`, groups, nodes by label, groups of addresses, and required authentication.

mod labels;
mod peers;
mod ports;

use super::fits::PolicyFit;
use super::isolation::Isolation;
use super::objects::{Rest, left_over, name, read};
use super::outcome::{Ground, PolicyOutcome};
use super::{Connection, DenialForm, Party, Side};
use labels::{CiliumSelector, Scope};
use model::inventory::{Inventory, Pod};
use model::object_ref::ObjectRef;
use model::policy_objects::{PolicyObject, PolicyObjects};
use peers::Peers;
use ports::{IcmpRule, PortRule};
use serde::Deserialize;
use serde_json::Value;

/// Its API group: what has it in its kinds runs Cilium.
pub const GROUP: &str = "cilium.io";

/// One rule of a policy, as its API calls a selector with all that holds for it.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct CiliumRule {
    endpoint_selector: Option<CiliumSelector>,
    /// It is about nodes, then.
    node_selector: Option<Value>,
    ingress: Option<Vec<Entry>>,
    ingress_deny: Option<Vec<Entry>>,
    egress: Option<Vec<Entry>>,
    egress_deny: Option<Vec<Entry>>,
    enable_default_deny: DefaultDeny,
    // These say nothing of connections.
    #[serde(rename = "labels")]
    _labels: Value,
    #[serde(rename = "description")]
    _description: Value,
    #[serde(rename = "log")]
    _log: Value,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct DefaultDeny {
    ingress: Option<bool>,
    egress: Option<bool>,
}

/// What it allows or denies: peers, on ports.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Entry {
    to_ports: Option<Vec<PortRule>>,
    icmps: Option<Vec<IcmpRule>>,
    authentication: Option<Authentication>,
    #[serde(flatten)]
    peers: Peers,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Authentication {
    mode: String,
}

/// A rule of a policy that may be about the pod at this end.
struct About {
    object: ObjectRef,
    rule: CiliumRule,
    /// Whether it is.
    selects: PolicyFit,
}

/// Cilium's word on a connection at one end. `network_policies` is what those say.
pub fn outcome(
    inventory: &Inventory,
    side: Side,
    (pod, other): (&Pod, Party<'_>),
    connection: &Connection<'_>,
    network_policies: Isolation,
) -> PolicyOutcome {
    let rules = match rules(inventory, pod) {
        Ok(rules) => rules,
        Err(why) => return PolicyOutcome::unknown(why),
    };
    let each = |of: fn(&CiliumRule, Side) -> &[Entry], decides: &dyn Fn(&About, usize) -> PolicyOutcome| {
        let mut outcome = PolicyOutcome::next();
        for about in &rules {
            let scope = Scope::of(&about.object);
            for (entry, number) in of(&about.rule, side).iter().zip(1..) {
                let fit = entry.fit(inventory, scope, pod, other, connection);
                let fit = PolicyFit::all([about.selects.clone(), fit]).only_if(left_over(&about.rule.rest));
                outcome = outcome.then(|| decides(about, number).when(fit));
            }
        }
        outcome
    };
    let denied = each(CiliumRule::denies, &|about, number| {
        let which = format!(
            "{}: rule {number} of {} denies it",
            name(&about.object),
            CiliumRule::deny_field(side)
        );
        PolicyOutcome::deny(Ground::of(&about.object, DenialForm::Rule { first: false }, which))
    });
    let own_node = side == Side::Ingress && !other.node.is_empty() && other.node == pod.node;
    if own_node {
        // A node reaches its own pods, whatever allows it or not.
        let open = || format!("whether a node can be kept from its own pods ({})", pod.full_name());
        return if denied == PolicyOutcome::next() {
            PolicyOutcome::allow()
        } else {
            PolicyOutcome::unknown(open())
        };
    }
    let allowed = each(CiliumRule::allows, &|_, _| PolicyOutcome::allow());
    let mut closed = network_policies
        .closed
        .map_or_else(PolicyOutcome::next, PolicyOutcome::deny);
    for about in rules.iter().filter(|about| about.rule.closes(side)) {
        let why = about.why(inventory, side, pod, other, connection);
        let ground = Ground::of(&about.object, DenialForm::NothingAllows, why);
        closed = match &about.selects {
            PolicyFit::Yes if closed.surely_denied() => closed.or(PolicyOutcome::deny(ground)),
            fit => closed.then(|| PolicyOutcome::deny(ground).when(fit.clone())),
        };
    }
    denied.then(|| allowed).then(|| network_policies.lets).then(|| closed)
}

/// Those of policies that may select the pod.
fn rules(inventory: &Inventory, pod: &Pod) -> Result<Vec<About>, String> {
    let mut all = Vec::new();
    for object in policies(&inventory.policy_objects) {
        let namespace = object.object.namespace.as_str();
        if !namespace.is_empty() && namespace != pod.namespace {
            continue;
        }
        let specs = object.specs.iter().chain([&object.spec]).filter(|spec| !spec.is_null());
        for spec in specs {
            let rule: CiliumRule = read(&object.object, spec)?;
            let selects = match (&rule.endpoint_selector, &rule.node_selector) {
                (Some(wanted), None) => wanted.pod(inventory, Scope::Subject, pod),
                (None, Some(_)) => continue,
                _ => PolicyFit::Maybe(format!("whom {} is about is not known", name(&object.object))),
            };
            if !matches!(selects, PolicyFit::No(_)) {
                all.push(About {
                    object: object.object.clone(),
                    rule,
                    selects,
                });
            }
        }
    }
    Ok(all)
}

fn policies(objects: &PolicyObjects) -> impl Iterator<Item = &PolicyObject> {
    let kinds = ["CiliumNetworkPolicy", "CiliumClusterwideNetworkPolicy"];
    kinds.into_iter().flat_map(|kind| objects.of(GROUP, kind))
}

impl CiliumRule {
    fn allows(&self, side: Side) -> &[Entry] {
        match side {
            Side::Ingress => self.ingress.as_deref(),
            Side::Egress => self.egress.as_deref(),
        }
        .unwrap_or_default()
    }

    fn denies(&self, side: Side) -> &[Entry] {
        match side {
            Side::Ingress => self.ingress_deny.as_deref(),
            Side::Egress => self.egress_deny.as_deref(),
        }
        .unwrap_or_default()
    }

    const fn deny_field(side: Side) -> &'static str {
        match side {
            Side::Ingress => "ingressDeny",
            Side::Egress => "egressDeny",
        }
    }

    /// What it selects is closed in this direction.
    fn closes(&self, side: Side) -> bool {
        let said = match side {
            Side::Ingress => self.enable_default_deny.ingress,
            Side::Egress => self.enable_default_deny.egress,
        };
        said.unwrap_or(!self.allows(side).is_empty() || !self.denies(side).is_empty())
    }
}

impl About {
    /// Why nothing in it allows the connection.
    fn why(
        &self,
        inventory: &Inventory,
        side: Side,
        pod: &Pod,
        other: Party<'_>,
        connection: &Connection<'_>,
    ) -> String {
        let scope = Scope::of(&self.object);
        let mut misses: Vec<String> = Vec::new();
        for entry in self.rule.allows(side) {
            if let PolicyFit::No(miss) = entry.fit(inventory, scope, pod, other, connection) {
                misses.push(miss);
            }
        }
        misses.dedup();
        let verb = match side {
            Side::Ingress => "lets in",
            Side::Egress => "lets out",
        };
        let what = if misses.is_empty() {
            "nothing".to_owned()
        } else {
            misses.join("; and ")
        };
        format!("{} {verb} {what}", name(&self.object))
    }
}

impl Entry {
    fn fit(
        &self,
        inventory: &Inventory,
        scope: Scope<'_>,
        pod: &Pod,
        other: Party<'_>,
        connection: &Connection<'_>,
    ) -> PolicyFit {
        let ports = self.to_ports.as_deref().filter(|ports| !ports.is_empty());
        let icmps = self.icmps.as_deref().filter(|icmps| !icmps.is_empty());
        let peers = match self.peers.fit(inventory, scope, pod, other, connection) {
            Some(fit) => fit,
            None if ports.is_none() && icmps.is_none() => return PolicyFit::No("nothing".to_owned()),
            None => PolicyFit::Yes,
        };
        let ports = match (ports, icmps) {
            (None, None) => PolicyFit::Yes,
            (Some(ports), None) => ports::any(ports, connection),
            (None, Some(icmps)) => ports::any_icmp(icmps, connection),
            (Some(_), Some(_)) => PolicyFit::Maybe("toPorts together with icmps is refused by Cilium".to_owned()),
        };
        let authentication = self.authentication.as_ref();
        let required = authentication.filter(|wanted| !matches!(wanted.mode.as_str(), "" | "disabled"));
        PolicyFit::all([peers, ports]).only_if(required.map(|_| "authentication is not evaluated".to_owned()))
    }
}
