//! Policies of the cluster's admins (`policy.networking.k8s.io`): a tier before all `NetworkPolicies`, and one behind them.
//!
//! In a tier the policy with the lowest priority comes first, and in a policy the first rule that fits decides: it allows, it
//! denies, or it passes to what stands behind the tier. Policies of one priority have no order. What the kinds have in common
//! belongs here; how each is written is in its own file.

mod admin_network_policy;
mod cluster_network_policy;

use super::fits::{self, PolicyFit};
use super::objects::{ApiSelector, Rest, left_over, name};
use super::outcome::{Ground, PolicyOutcome};
use super::ports::{defined, named};
use super::{Connection, DenialForm, Party, Side};
use crate::kubernetes::selector;
use model::inventory::{Inventory, IpBlock, LabelSelector, Pod};
use model::object_ref::ObjectRef;
use serde::Deserialize;

/// Where a policy stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AdminTier {
    /// Before `NetworkPolicies`.
    Admin,
    /// Behind them.
    Baseline,
}

/// A policy.
#[derive(Clone, Debug)]
struct AdminPolicy {
    object: ObjectRef,
    tier: AdminTier,
    /// The lowest comes first.
    priority: i64,
    subject: Subject,
    ingress: Vec<AdminRule>,
    egress: Vec<AdminRule>,
    /// Why not all of it is known.
    doubt: Option<String>,
}

/// Whom a policy is about.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct Subject {
    namespaces: Option<ApiSelector>,
    pods: Option<NamespacedPods>,
}

/// Pods by their labels and those of their namespace.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct NamespacedPods {
    namespace_selector: ApiSelector,
    pod_selector: ApiSelector,
}

/// A rule.
#[derive(Clone, Debug)]
struct AdminRule {
    name: String,
    /// `Allow`, `Accept`, `Deny`, `Pass`.
    action: String,
    peers: Vec<AdminPeer>,
    /// Any of them; all where there are none.
    ports: Vec<AdminPort>,
    /// Why not all of it is known.
    doubt: Option<String>,
}

/// A rule as it is written. Each API version says in its own way (`P`) which ports it is about.
#[derive(Deserialize)]
#[serde(bound(deserialize = "P: Deserialize<'de>"))]
struct WrittenRule<P> {
    #[serde(default)]
    name: String,
    action: String,
    #[serde(alias = "from", alias = "to")]
    peers: Vec<AdminPeer>,
    #[serde(default, alias = "protocols")]
    ports: Option<Vec<P>>,
    #[serde(flatten)]
    rest: Rest,
}

/// What rules say, whose ports are read like this.
fn read_rules<P>(rules: Option<Vec<WrittenRule<P>>>, port: fn(P) -> AdminPort) -> Vec<AdminRule> {
    let rule = |rule: WrittenRule<P>| AdminRule {
        name: rule.name,
        action: rule.action,
        peers: rule.peers,
        ports: rule.ports.unwrap_or_default().into_iter().map(port).collect(),
        doubt: left_over(&rule.rest),
    };
    rules.unwrap_or_default().into_iter().map(rule).collect()
}

/// A peer: one of these.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct AdminPeer {
    namespaces: Option<ApiSelector>,
    pods: Option<NamespacedPods>,
    nodes: Option<ApiSelector>,
    networks: Option<Vec<String>>,
    domain_names: Option<Vec<String>>,
}

/// A port, or a range of ports.
#[derive(Clone, Debug)]
enum AdminPort {
    /// All of a protocol.
    Protocol(String),
    /// From one to another, inclusive.
    Range(String, u16, u16),
    /// By the name that a container gives it.
    Name(String),
}

/// A tier's word on a connection.
pub fn outcome(
    inventory: &Inventory,
    tier: AdminTier,
    side: Side,
    (pod, other): (&Pod, Party<'_>),
    connection: &Connection<'_>,
) -> PolicyOutcome {
    let read = policies(inventory);
    let unread = read.iter().find_map(|one| one.as_ref().err()).cloned();
    let mut policies: Vec<AdminPolicy> = read.into_iter().filter_map(Result::ok).collect();
    policies.retain(|policy| policy.tier == tier);
    policies.sort_by_key(|policy| policy.priority);
    let mut outcome = unread.map_or_else(PolicyOutcome::next, |why| {
        PolicyOutcome::next().or(PolicyOutcome::unknown(why))
    });
    for equal in policies.chunk_by(|one, another| one.priority == another.priority) {
        outcome = outcome.then(|| {
            let each = equal
                .iter()
                .map(|policy| policy.outcome(inventory, side, pod, other, connection));
            PolicyOutcome::unordered(each.collect(), || {
                format!(
                    "{} policies of one tier have priority {}",
                    equal.len(),
                    equal[0].priority
                )
            })
        });
    }
    outcome.leave_tier()
}

/// There are such policies.
pub fn any(inventory: &Inventory) -> bool {
    !policies(inventory).is_empty()
}

fn policies(inventory: &Inventory) -> Vec<Result<AdminPolicy, String>> {
    let mut all = admin_network_policy::policies(&inventory.policy_objects);
    all.extend(cluster_network_policy::policies(&inventory.policy_objects));
    all
}

impl AdminPolicy {
    fn outcome(
        &self,
        inventory: &Inventory,
        side: Side,
        pod: &Pod,
        other: Party<'_>,
        connection: &Connection<'_>,
    ) -> PolicyOutcome {
        let rules = match side {
            Side::Ingress => &self.ingress,
            Side::Egress => &self.egress,
        };
        let mut outcome = PolicyOutcome::next();
        for (rule, number) in rules.iter().zip(1..) {
            outcome = outcome.then(|| {
                let fit = rule.fit(inventory, other, connection);
                self.decision(side, rule, number).when(fit)
            });
        }
        let subject = self.subject.fit(inventory, pod);
        let doubt = self.doubt.as_ref().map(|why| format!("{}: {why}", name(&self.object)));
        let outcome = doubt.map_or(outcome.clone(), |why| outcome.or(PolicyOutcome::unknown(why)));
        outcome.when(subject)
    }

    fn decision(&self, side: Side, rule: &AdminRule, number: usize) -> PolicyOutcome {
        let called = if rule.name.is_empty() {
            String::new()
        } else {
            format!(" ({})", rule.name)
        };
        match rule.action.as_str() {
            "Allow" | "Accept" => PolicyOutcome::allow(),
            "Pass" => PolicyOutcome::pass(),
            "Deny" => PolicyOutcome::deny(Ground::of(
                &self.object,
                DenialForm::Rule { first: true },
                format!(
                    "{}, priority {}: rule {number}{called} of {} denies it",
                    name(&self.object),
                    self.priority,
                    side.name()
                ),
            )),
            action => PolicyOutcome::unknown(format!("{}: action {action} is not known", name(&self.object))),
        }
    }
}

impl Subject {
    fn fit(&self, inventory: &Inventory, pod: &Pod) -> PolicyFit {
        match (&self.namespaces, &self.pods) {
            (Some(wanted), None) => fits::namespace(inventory, &wanted.0, &pod.namespace),
            (None, Some(pods)) => pods.fit(inventory, pod),
            _ => PolicyFit::Maybe("whom it is about is written in a way that is not known".to_owned()),
        }
    }
}

impl NamespacedPods {
    fn fit(&self, inventory: &Inventory, pod: &Pod) -> PolicyFit {
        PolicyFit::all([
            PolicyFit::when(selector::selects(&self.pod_selector.0, &pod.labels), ""),
            fits::namespace(inventory, &self.namespace_selector.0, &pod.namespace),
        ])
    }
}

impl AdminRule {
    fn fit(&self, inventory: &Inventory, other: Party<'_>, connection: &Connection<'_>) -> PolicyFit {
        let none = || String::new();
        let peers = PolicyFit::any(
            self.peers.iter().map(|peer| peer.fit(inventory, other, connection)),
            none,
        );
        let ports = if self.ports.is_empty() {
            // What a rule without ports means for other protocols, the API does not say.
            let open = || {
                format!(
                    "what it means for {} is left to each implementation",
                    connection.protocol
                )
            };
            PolicyFit::Yes.only_if((!defined(connection.protocol)).then(open))
        } else {
            PolicyFit::any(self.ports.iter().map(|port| port.fit(connection)), none)
        };
        PolicyFit::all([peers, ports]).only_if(self.doubt.clone())
    }
}

impl AdminPeer {
    fn fit(&self, inventory: &Inventory, other: Party<'_>, connection: &Connection<'_>) -> PolicyFit {
        let no = || PolicyFit::No(String::new());
        // Pods on their node's network are no peers of these.
        let of_pods = |fit: &dyn Fn(&Pod) -> PolicyFit| match other.pod {
            Some(pod) if pod.host_network => no(),
            Some(pod) => fit(pod),
            None => fits::unnamed(inventory, other).map_or_else(no, PolicyFit::Maybe),
        };
        match self {
            Self {
                namespaces: Some(wanted),
                pods: None,
                nodes: None,
                networks: None,
                domain_names: None,
            } => of_pods(&|pod| fits::namespace(inventory, &wanted.0, &pod.namespace)),
            Self {
                namespaces: None,
                pods: Some(pods),
                nodes: None,
                networks: None,
                domain_names: None,
            } => of_pods(&|pod| pods.fit(inventory, pod)),
            Self {
                namespaces: None,
                pods: None,
                nodes: Some(wanted),
                networks: None,
                domain_names: None,
            } => node(&wanted.0, other),
            Self {
                namespaces: None,
                pods: None,
                nodes: None,
                networks: Some(cidrs),
                domain_names: None,
            } => {
                let block = |cidr: &String| IpBlock {
                    cidr: cidr.clone(),
                    except: vec![],
                };
                let each = cidrs
                    .iter()
                    .map(|cidr| fits::addresses(&block(cidr), other, connection));
                PolicyFit::any(each, String::new)
            }
            Self {
                namespaces: None,
                pods: None,
                nodes: None,
                networks: None,
                domain_names: Some(_),
            } => PolicyFit::Maybe("domainNames is not evaluated".to_owned()),
            _ => PolicyFit::Maybe("a peer is written in a way that is not known".to_owned()),
        }
    }
}

/// The other end is one of these nodes, by their labels.
fn node(wanted: &LabelSelector, other: Party<'_>) -> PolicyFit {
    if other.node.is_empty() {
        return PolicyFit::No(String::new());
    }
    if selector::is_empty(wanted) {
        return PolicyFit::Yes;
    }
    PolicyFit::Maybe(format!("labels of node {} were not read", other.node))
}

impl AdminPort {
    fn fit(&self, connection: &Connection<'_>) -> PolicyFit {
        let of = |protocol: &String| protocol.eq_ignore_ascii_case(connection.protocol);
        let fits = match self {
            Self::Protocol(protocol) => of(protocol),
            Self::Range(protocol, first, last) => of(protocol) && (*first..=*last).contains(&connection.port),
            Self::Name(name) => match connection.to.pod {
                Some(pod) if pod.host_network => {
                    return PolicyFit::Maybe(format!("port {name} is one of a pod on its node's network"));
                }
                Some(pod) => named(pod, name, connection.protocol).any(|port| port == connection.port),
                None => false,
            },
        };
        PolicyFit::when(fits, "")
    }
}
