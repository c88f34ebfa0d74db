//! The peers of a rule of Cilium: endpoints, addresses, entities.

use super::labels::{CiliumSelector, Scope};
use crate::kubernetes::policy::fits::{self, PolicyFit};
use crate::kubernetes::policy::objects::{Rest, left_over};
use crate::kubernetes::policy::{Connection, Party};
use crate::kubernetes::selector;
use model::inventory::{Inventory, IpBlock, Pod};
use serde::Deserialize;
use serde_json::Value;
use std::net::IpAddr;

/// `from` and `to`: one of these, or none.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Peers {
    #[serde(alias = "fromEndpoints", alias = "toEndpoints")]
    endpoints: Option<Vec<CiliumSelector>>,
    #[serde(alias = "fromCIDR", alias = "toCIDR")]
    cidrs: Option<Vec<String>>,
    #[serde(alias = "fromCIDRSet", alias = "toCIDRSet")]
    cidr_sets: Option<Vec<CidrSet>>,
    #[serde(alias = "fromEntities", alias = "toEntities")]
    entities: Option<Vec<String>>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct CidrSet {
    cidr: String,
    except: Option<Vec<String>>,
    #[serde(flatten)]
    rest: Rest,
}

/// Who somebody is to Cilium.
enum Who<'a> {
    Pod(&'a Pod),
    Node { own: bool },
    World,
    Unknown(String),
}

impl Peers {
    /// The other end is one of them; `None` where there are none.
    pub fn fit(
        &self,
        inventory: &Inventory,
        scope: Scope<'_>,
        subject: &Pod,
        other: Party<'_>,
        connection: &Connection<'_>,
    ) -> Option<PolicyFit> {
        let who = Who::of(inventory, subject, other);
        let mut groups: Vec<PolicyFit> = Vec::new();
        let none = || self.only(other);
        if let Some(wanted) = &self.endpoints {
            let each = wanted.iter().map(|one| endpoint(inventory, scope, one, &who, other));
            groups.push(PolicyFit::any(each, none));
        }
        if let Some(wanted) = &self.cidrs {
            let blocks = wanted.iter().map(|cidr| block(cidr, None));
            groups.push(PolicyFit::any(
                blocks.map(|one| addresses(&one, &who, other, connection)),
                none,
            ));
        }
        if let Some(wanted) = &self.cidr_sets {
            let each = wanted.iter().map(|set| {
                let within = addresses(&block(&set.cidr, set.except.as_deref()), &who, other, connection);
                match left_over(&set.rest) {
                    Some(why) if !matches!(who, Who::Pod(_)) => PolicyFit::Maybe(why),
                    Some(_) => PolicyFit::No(String::new()),
                    None => within,
                }
            });
            groups.push(PolicyFit::any(each, none));
        }
        if let Some(wanted) = &self.entities {
            let each = wanted.iter().map(|one| entity(one, &who, other));
            groups.push(PolicyFit::any(each, none));
        }
        if let Some(why) = left_over(&self.rest) {
            groups.push(self.unread(&who, why));
        }
        if groups.len() > 1 {
            let why = "peers of several forms in one rule, which Cilium may refuse".to_owned();
            return Some(PolicyFit::any(groups, none).only_if(Some(why)));
        }
        groups.pop()
    }

    /// Names and groups of an outer world are no pods.
    fn unread(&self, who: &Who<'_>, why: String) -> PolicyFit {
        let outer = ["toFQDNs", "toGroups", "fromGroups"];
        let all_outer = self.rest.keys().all(|key| outer.contains(&key.as_str()));
        if all_outer && matches!(who, Who::Pod(_)) {
            return PolicyFit::No(format!("only by {}", self.names().join(", ")));
        }
        PolicyFit::Maybe(why)
    }

    fn names(&self) -> Vec<&str> {
        let says = |value: &&Value| !value.is_null();
        let named = self.rest.iter().filter(|(_, value)| says(value));
        named.map(|(key, _)| key.as_str()).collect()
    }

    /// What they are, and what the other end is instead.
    fn only(&self, other: Party<'_>) -> String {
        let mut words: Vec<String> = Vec::new();
        words.extend(self.endpoints.iter().flatten().map(CiliumSelector::words));
        words.extend(self.cidrs.iter().flatten().cloned());
        words.extend(self.cidr_sets.iter().flatten().map(|set| set.cidr.clone()));
        words.extend(self.entities.iter().flatten().map(|one| format!("entity {one}")));
        let own = match other.pod {
            Some(pod) if pod.labels.is_empty() => format!("{} has no labels", pod.full_name()),
            Some(pod) => format!("{} has {}", pod.full_name(), selector::label_words(&pod.labels)),
            None if !other.node.is_empty() => format!("{} is node {}", other.address, other.node),
            None => format!("{} is no pod", other.address),
        };
        if words.is_empty() {
            return "nothing".to_owned();
        }
        format!("only {}; {own}", words.join(" or "))
    }
}

impl<'a> Who<'a> {
    fn of(inventory: &Inventory, subject: &Pod, other: Party<'a>) -> Self {
        match other.pod.filter(|pod| !pod.host_network) {
            Some(pod) => Self::Pod(pod),
            None if !other.node.is_empty() => Self::Node {
                own: other.node == subject.node,
            },
            None => fits::unnamed(inventory, other).map_or(Self::World, Self::Unknown),
        }
    }
}

fn no() -> PolicyFit {
    PolicyFit::No(String::new())
}

fn endpoint(
    inventory: &Inventory,
    scope: Scope<'_>,
    wanted: &CiliumSelector,
    who: &Who<'_>,
    other: Party<'_>,
) -> PolicyFit {
    match (wanted.entity(), who) {
        (Some(name), _) => entity(name, who, other),
        (None, Who::Pod(pod)) => wanted.pod(inventory, scope, pod),
        (None, Who::Unknown(why)) => PolicyFit::Maybe(why.clone()),
        (None, Who::Node { .. } | Who::World) => no(),
    }
}

fn block(cidr: &str, except: Option<&[String]>) -> IpBlock {
    let whole = |text: &str| match text.parse::<IpAddr>() {
        Ok(IpAddr::V4(address)) => format!("{address}/32"),
        Ok(IpAddr::V6(address)) => format!("{address}/128"),
        Err(_) => text.to_owned(),
    };
    IpBlock {
        cidr: whole(cidr),
        except: except.unwrap_or_default().iter().map(|one| whole(one)).collect(),
    }
}

/// Addresses mean what is outside of the cluster alone.
fn addresses(wanted: &IpBlock, who: &Who<'_>, other: Party<'_>, connection: &Connection<'_>) -> PolicyFit {
    match who {
        Who::Pod(_) => no(),
        Who::World => fits::addresses(wanted, other, connection),
        Who::Unknown(why) => PolicyFit::Maybe(why.clone()),
        Who::Node { .. } => match fits::addresses(wanted, other, connection) {
            PolicyFit::Yes => PolicyFit::Maybe(format!(
                "whether addresses mean nodes such as {} is set where Cilium is installed",
                other.node
            )),
            fit => fit,
        },
    }
}

fn entity(name: &str, who: &Who<'_>, other: Party<'_>) -> PolicyFit {
    if let Who::Unknown(why) = who {
        return if name == "all" {
            PolicyFit::Yes
        } else {
            PolicyFit::Maybe(why.clone())
        };
    }
    let fits = match (name, who) {
        ("all", _) => true,
        ("world", who) => matches!(who, Who::World),
        ("world-ipv4", who) => matches!(who, Who::World) && other.address.is_ipv4(),
        ("world-ipv6", who) => matches!(who, Who::World) && other.address.is_ipv6(),
        ("cluster" | "cluster-mesh", who) => matches!(who, Who::Pod(_) | Who::Node { .. }),
        ("host", who) => matches!(who, Who::Node { own: true }),
        ("remote-node", who) => matches!(who, Who::Node { own: false }),
        ("none", _) | ("kube-apiserver" | "ingress" | "health" | "init", Who::Pod(_)) => false,
        _ => return PolicyFit::Maybe(format!("whether {} is entity {name} is not known", other.name())),
    };
    PolicyFit::when(fits, "")
}
