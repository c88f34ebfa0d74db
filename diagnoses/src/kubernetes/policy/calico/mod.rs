//! What Calico makes of policies: its own `NetworkPolicy` and `GlobalNetworkPolicy` (`projectcalico.org/v3`, or as they are stored,
//! `crd.projectcalico.org/v1`) together with `NetworkPolicies` and the policies of admins.
//!
//! Tiers are walked in their order, and in a tier its policies in theirs; the first rule that fits decides: `Allow`, `Deny`, or
//! `Pass` to the next tier. `Log` decides nothing. Where policies of a tier select a pod and no rule of theirs fits, the tier's
//! default action counts: it denies, unless the tier says `Pass`. `NetworkPolicies` have order 1000 in tier `default`. Policies of
//! admins have tiers of their own, with order 1,000 and 10,000,000. Behind all tiers everything is allowed.
//!
//! Not evaluated, so that the answer is unknown where it depends on them: policies for host endpoints (`applyOnForward`, `preDNAT`,
//! `doNotTrack`), HTTP rules, services as peers, service accounts by their labels, and policies of one order that disagree.
//! Staged policies decide nothing, and are not read.

mod expression;
mod labels;
mod rule;

use super::fits::PolicyFit;
use super::isolation::Isolation;
use super::objects::{Rest, left_over, name, read};
use super::outcome::{Ground, PolicyOutcome};
use super::{Connection, DenialForm, Party, Side};
use labels::Labelled;
use model::inventory::{Inventory, Pod};
use model::object_ref::ObjectRef;
use model::policy_objects::PolicyObjects;
use rule::CalicoRule;
use serde::Deserialize;

/// Its API groups: what has one of them in its kinds runs Calico. The first shows the objects of the second.
pub const GROUPS: [&str; 2] = ["projectcalico.org", "crd.projectcalico.org"];

const DEFAULT_TIER: &str = "default";
/// The order of tier `default`, whatever its object says.
const DEFAULT_ORDER: f64 = 1_000_000.0;
const ADMIN_ORDER: f64 = 1_000.0;
const BASELINE_ORDER: f64 = 10_000_000.0;
/// The order of `NetworkPolicies` in tier `default`.
const NETWORK_POLICY_ORDER: f64 = 1_000.0;

/// What the other kinds say, which have their places among the tiers.
pub struct Others {
    /// Policies of admins that come first.
    pub admin: PolicyOutcome,
    /// `NetworkPolicies`.
    pub network_policies: Isolation,
    /// Policies of admins that come last.
    pub baseline: PolicyOutcome,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    tier: Option<String>,
    order: Option<f64>,
    selector: Option<String>,
    namespace_selector: Option<String>,
    service_account_selector: Option<String>,
    types: Option<Vec<String>>,
    ingress: Option<Vec<CalicoRule>>,
    egress: Option<Vec<CalicoRule>>,
    do_not_track: bool,
    #[serde(rename = "preDNAT")]
    pre_dnat: bool,
    apply_on_forward: bool,
    #[serde(rename = "performanceHints")]
    _performance_hints: Option<Vec<String>>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct TierSpec {
    order: Option<f64>,
    default_action: Option<String>,
}

/// A policy that may be about the pod at this end.
struct CalicoPolicy {
    object: ObjectRef,
    spec: Spec,
    /// Whether it is, in the direction that is asked about.
    selects: PolicyFit,
}

/// A place in the order of tiers.
struct Tier {
    name: String,
    order: f64,
    passes: bool,
}

/// Calico's word on a connection at one end.
pub fn outcome(
    inventory: &Inventory,
    side: Side,
    (pod, other): (&Pod, Party<'_>),
    connection: &Connection<'_>,
    others: Others,
) -> PolicyOutcome {
    if side == Side::Ingress && !other.node.is_empty() && other.node == pod.node {
        // A node reaches its own pods.
        return PolicyOutcome::allow();
    }
    let found = policies(inventory, side, pod).and_then(|found| Ok((found, tiers(&inventory.policy_objects)?)));
    let (policies, tiers) = match found {
        Ok(found) => found,
        Err(why) => return PolicyOutcome::unknown(why),
    };
    let strange = policies
        .iter()
        .find(|policy| !tiers.iter().any(|tier| tier.name == policy.tier()));
    if let Some(policy) = strange {
        let why = format!("{}: tier {} was not read", name(&policy.object), policy.tier());
        return PolicyOutcome::unknown(why);
    }
    let ends = match side {
        Side::Ingress => (other, connection.to),
        Side::Egress => (connection.from, other),
    };
    let mut stages: Vec<(f64, String, PolicyOutcome)> = vec![
        (ADMIN_ORDER, "admin".to_owned(), others.admin),
        (BASELINE_ORDER, "baseline".to_owned(), others.baseline),
    ];
    for tier in tiers {
        let none = Isolation::open();
        let network_policies = if tier.name == DEFAULT_TIER {
            &others.network_policies
        } else {
            &none
        };
        let of_tier: Vec<&CalicoPolicy> = policies.iter().filter(|policy| policy.tier() == tier.name).collect();
        let outcome = in_tier(inventory, (side, ends), &tier, of_tier, connection, network_policies);
        stages.push((tier.order, tier.name, outcome));
    }
    stages.sort_by(|one, another| one.0.total_cmp(&another.0).then_with(|| one.1.cmp(&another.1)));
    let walked = stages
        .into_iter()
        .fold(PolicyOutcome::next(), |outcome, (_, _, stage)| outcome.then(|| stage));
    match on_host_endpoints(&inventory.policy_objects) {
        Some(why) if !walked.surely_denied() => walked.or(PolicyOutcome::unknown(why)),
        _ => walked,
    }
}

/// What the policies of a tier say, in a direction and between these ends.
fn in_tier(
    inventory: &Inventory,
    (side, ends): (Side, (Party<'_>, Party<'_>)),
    tier: &Tier,
    mut policies: Vec<&CalicoPolicy>,
    connection: &Connection<'_>,
    network_policies: &Isolation,
) -> PolicyOutcome {
    policies.sort_by(|one, another| one.order().total_cmp(&another.order()));
    let mut orders: Vec<f64> = policies.iter().map(|policy| policy.order()).collect();
    orders.push(NETWORK_POLICY_ORDER);
    orders.sort_by(f64::total_cmp);
    orders.dedup();
    let mut outcome = PolicyOutcome::next();
    for order in orders {
        outcome = outcome.then(|| {
            let same = policies
                .iter()
                .filter(|policy| policy.order().total_cmp(&order).is_eq());
            let mut each: Vec<PolicyOutcome> = same
                .map(|policy| policy.outcome(inventory, (side, ends), tier, connection))
                .collect();
            if order.total_cmp(&NETWORK_POLICY_ORDER).is_eq() {
                each.push(network_policies.lets.clone());
            }
            PolicyOutcome::unordered(each, || {
                format!("policies of tier {} with one order decide differently", tier.name)
            })
        });
    }
    let mut end = network_policies
        .closed
        .clone()
        .map_or_else(PolicyOutcome::next, PolicyOutcome::deny);
    for policy in policies {
        let nothing = format!(
            "{}: no rule of {} fits, and tier {} denies what none of its rules decides",
            name(&policy.object),
            side.name(),
            tier.name
        );
        let ground = Ground::of(&policy.object, DenialForm::NothingAllows, nothing);
        end = match &policy.selects {
            PolicyFit::Yes if end.surely_denied() => end.or(PolicyOutcome::deny(ground)),
            fit => end.then(|| PolicyOutcome::deny(ground).when(fit.clone())),
        };
    }
    let end = if tier.passes { PolicyOutcome::next() } else { end };
    outcome.then(|| end).leave_tier()
}

/// Those that may be about the pod in this direction.
fn policies(inventory: &Inventory, side: Side, pod: &Pod) -> Result<Vec<CalicoPolicy>, String> {
    let objects = &inventory.policy_objects;
    let mut all = Vec::new();
    for object in GROUPS.into_iter().flat_map(|group| {
        let own = objects.of(group, "NetworkPolicy");
        own.chain(objects.of(group, "GlobalNetworkPolicy"))
    }) {
        let namespace = object.object.namespace.as_str();
        if !namespace.is_empty() && namespace != pod.namespace {
            continue;
        }
        let spec: Spec = read(&object.object, &object.spec)?;
        // These are about host endpoints alone.
        if spec.do_not_track || spec.pre_dnat {
            continue;
        }
        let selects = PolicyFit::all([spec.governs(side), spec.selects(inventory, pod)?]);
        if !matches!(selects, PolicyFit::No(_)) {
            all.push(CalicoPolicy {
                object: object.object.clone(),
                spec,
                selects,
            });
        }
    }
    Ok(all)
}

fn tiers(objects: &PolicyObjects) -> Result<Vec<Tier>, String> {
    let mut tiers = vec![Tier {
        name: DEFAULT_TIER.to_owned(),
        order: DEFAULT_ORDER,
        passes: false,
    }];
    for object in GROUPS.into_iter().flat_map(|group| objects.of(group, "Tier")) {
        let spec: TierSpec = read(&object.object, &object.spec)?;
        let passes = spec.default_action.as_deref() == Some("Pass");
        if object.object.name == DEFAULT_TIER {
            tiers[0].passes = passes;
            continue;
        }
        tiers.push(Tier {
            name: object.object.name.clone(),
            order: spec.order.unwrap_or(f64::INFINITY),
            passes,
        });
    }
    Ok(tiers)
}

/// Why a policy may act on host endpoints, which packets to and from pods meet on their way.
fn on_host_endpoints(objects: &PolicyObjects) -> Option<String> {
    let endpoints = GROUPS
        .into_iter()
        .any(|group| objects.of(group, "HostEndpoint").next().is_some());
    let mut policies = GROUPS
        .into_iter()
        .flat_map(|group| objects.of(group, "GlobalNetworkPolicy"));
    let is = |spec: &Spec| spec.do_not_track || spec.pre_dnat || spec.apply_on_forward;
    let policy = policies.find(|object| read(&object.object, &object.spec).is_ok_and(|spec| is(&spec)))?;
    endpoints.then(|| {
        format!(
            "{} acts on host endpoints, which is not evaluated",
            name(&policy.object)
        )
    })
}

impl CalicoPolicy {
    fn tier(&self) -> &str {
        let tier = self.spec.tier.as_deref().unwrap_or_default();
        if tier.is_empty() { DEFAULT_TIER } else { tier }
    }

    fn order(&self) -> f64 {
        self.spec.order.unwrap_or(f64::INFINITY)
    }

    /// What its rules decide.
    fn outcome(
        &self,
        inventory: &Inventory,
        (side, ends): (Side, (Party<'_>, Party<'_>)),
        tier: &Tier,
        connection: &Connection<'_>,
    ) -> PolicyOutcome {
        let rules = match side {
            Side::Ingress => &self.spec.ingress,
            Side::Egress => &self.spec.egress,
        };
        let mut outcome = PolicyOutcome::next();
        for (rule, number) in rules.iter().flatten().zip(1..) {
            outcome = outcome.then(|| {
                let decision = match rule.action.as_str() {
                    "Allow" => PolicyOutcome::allow(),
                    "Pass" => PolicyOutcome::pass(),
                    "Log" => return PolicyOutcome::next(),
                    "Deny" => PolicyOutcome::deny(Ground::of(
                        &self.object,
                        DenialForm::Rule { first: true },
                        format!(
                            "{}{}: rule {number} of {} denies it",
                            name(&self.object),
                            self.place(tier),
                            side.name()
                        ),
                    )),
                    action => PolicyOutcome::unknown(format!("{}: action {action} is not known", name(&self.object))),
                };
                match rule.fit(inventory, &self.object.namespace, ends, connection) {
                    Ok(fit) => decision.when(fit),
                    Err(why) => {
                        PolicyOutcome::next().or(PolicyOutcome::unknown(format!("{}: {why}", name(&self.object))))
                    }
                }
            });
        }
        if let Some(why) = left_over(&self.spec.rest) {
            outcome = outcome.or(PolicyOutcome::unknown(format!("{}: {why}", name(&self.object))));
        }
        outcome.when(self.selects.clone())
    }

    /// `, tier security, order 10`.
    fn place(&self, tier: &Tier) -> String {
        let order = self
            .spec
            .order
            .map_or_else(|| "last".to_owned(), |order| format!("order {order}"));
        format!(", tier {}, {order}", tier.name)
    }
}

impl Spec {
    /// It is about this direction. Where it names no types, the API adds them by the rules that are there; what is stored without
    /// them counts for both.
    fn governs(&self, side: Side) -> PolicyFit {
        match self.types.as_deref() {
            None | Some([]) => {
                let (ingress, egress) = (
                    self.ingress.iter().flatten().count(),
                    self.egress.iter().flatten().count(),
                );
                let by_rules = match side {
                    Side::Ingress => ingress > 0 || egress == 0,
                    Side::Egress => egress > 0,
                };
                if by_rules {
                    PolicyFit::Yes
                } else {
                    PolicyFit::Maybe(format!("a policy without types may be about {} too", side.name()))
                }
            }
            Some(types) => PolicyFit::when(types.iter().any(|one| one.eq_ignore_ascii_case(side.name())), ""),
        }
    }

    fn selects(&self, inventory: &Inventory, pod: &Pod) -> Result<PolicyFit, String> {
        let pod = Labelled::pod(pod);
        let given = |text: &Option<String>| text.as_deref().unwrap_or_default().trim().to_owned();
        let mut parts = vec![pod.fits(&given(&self.selector))?];
        let namespaces = given(&self.namespace_selector);
        if !namespaces.is_empty() {
            parts.push(pod.in_namespaces(inventory, &namespaces)?);
        }
        parts.push(labels::service_account_selector(&given(&self.service_account_selector)));
        Ok(PolicyFit::all(parts))
    }
}
