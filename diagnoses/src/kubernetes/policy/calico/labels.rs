//! Whom Calico's selectors mean: pods, and sets of addresses, by their own labels and those of their namespace.

use super::GROUPS;
use super::expression::{Expression, Words};
use crate::kubernetes::policy::Party;
use crate::kubernetes::policy::fits::{self, PolicyFit};
use crate::kubernetes::policy::objects::read;
use crate::kubernetes::selector::Labels;
use ipnet::IpNet;
use model::inventory::{Inventory, Pod};
use serde::Deserialize;
use std::net::IpAddr;

const NAMESPACE: &str = "projectcalico.org/namespace";
const SERVICE_ACCOUNT: &str = "projectcalico.org/serviceaccount";
const ORCHESTRATOR: &str = "projectcalico.org/orchestrator";

/// Somebody with labels.
#[derive(Clone, Debug)]
pub struct Labelled {
    labels: Labels,
    /// Empty for what belongs to no namespace.
    namespace: String,
    /// Whether its service account is known.
    whole: bool,
}

/// Who has an address.
#[derive(Clone, Debug, Default)]
pub struct Holders {
    /// All that have it.
    pub known: Vec<Labelled>,
    /// Why there may be more.
    pub doubt: Option<String>,
}

#[derive(Deserialize)]
struct Nets {
    #[serde(default)]
    nets: Option<Vec<String>>,
}

impl Labelled {
    /// A pod.
    pub fn pod(pod: &Pod) -> Self {
        let mut labels = pod.labels.clone();
        labels.insert(NAMESPACE.to_owned(), pod.namespace.clone());
        labels.insert(ORCHESTRATOR.to_owned(), "k8s".to_owned());
        if !pod.service_account.is_empty() {
            labels.insert(SERVICE_ACCOUNT.to_owned(), pod.service_account.clone());
        }
        Self {
            labels,
            namespace: pod.namespace.clone(),
            whole: !pod.service_account.is_empty(),
        }
    }

    /// The selector selects it.
    pub fn fits(&self, selector: &str) -> Result<PolicyFit, String> {
        let words = Words {
            all: true,
            global: self.namespace.is_empty(),
        };
        let label = |key: &str| match self.labels.get(key) {
            None if key == SERVICE_ACCOUNT && !self.whole => Err(format!("label {key} was not read")),
            found => Ok(found.cloned()),
        };
        Ok(Expression::parse(selector)?.holds(words, &label))
    }

    /// It is of a namespace that the selector selects; of those that are of none, `global()` speaks.
    pub fn in_namespaces(&self, inventory: &Inventory, selector: &str) -> Result<PolicyFit, String> {
        let global = self.namespace.is_empty();
        let words = Words { all: !global, global };
        let namespaces = inventory.namespaces.get();
        let label = |key: &str| {
            if global {
                return Ok(None);
            }
            if ["projectcalico.org/name", "kubernetes.io/metadata.name"].contains(&key) {
                return Ok(Some(self.namespace.clone()));
            }
            let unread = |why: &str| format!("labels of namespace {}: {why}", self.namespace);
            let all = namespaces.map_err(|lack| unread(&lack.why))?;
            let found = all.iter().find(|one| one.name == self.namespace);
            let found = found.ok_or_else(|| unread("they were not read"))?;
            Ok(found.labels.get(key).cloned())
        };
        Ok(Expression::parse(selector)?.holds(words, &label))
    }

    /// It is of this namespace.
    pub fn is_of(&self, namespace: &str) -> bool {
        self.namespace == namespace
    }

    /// Its service account is one of these.
    pub fn has_account(&self, names: &[String]) -> PolicyFit {
        match self.labels.get(SERVICE_ACCOUNT) {
            Some(own) => PolicyFit::when(names.contains(own), ""),
            None if !self.whole => PolicyFit::Maybe("the pod's service account was not read".to_owned()),
            None => PolicyFit::No(String::new()),
        }
    }
}

/// A selector of service accounts by their labels, which nobody read.
pub fn service_account_selector(text: &str) -> PolicyFit {
    match text {
        "" => PolicyFit::Yes,
        _ => PolicyFit::Maybe("labels of service accounts were not read".to_owned()),
    }
}

/// Who has the address of this end.
pub fn holders(inventory: &Inventory, party: Party<'_>) -> Result<Holders, String> {
    let mut holders = Holders::default();
    match party.pod.filter(|pod| !pod.host_network) {
        Some(pod) => holders.known.push(Labelled::pod(pod)),
        None if !party.node.is_empty() => {
            let objects = &inventory.policy_objects;
            if GROUPS
                .into_iter()
                .any(|group| objects.of(group, "HostEndpoint").next().is_some())
            {
                holders.doubt = Some(format!(
                    "labels of host endpoints of node {} are not evaluated",
                    party.node
                ));
            }
        }
        None => holders.doubt = fits::unnamed(inventory, party),
    }
    for kind in ["NetworkSet", "GlobalNetworkSet"] {
        for object in GROUPS
            .into_iter()
            .flat_map(|group| inventory.policy_objects.of(group, kind))
        {
            let nets: Nets = read(&object.object, &object.spec)?;
            if nets.nets.iter().flatten().any(|net| within(net, party.address)) {
                let mut labels = object.labels.clone();
                let namespace = object.object.namespace.clone();
                if !namespace.is_empty() {
                    labels.insert(NAMESPACE.to_owned(), namespace.clone());
                }
                holders.known.push(Labelled {
                    labels,
                    namespace,
                    whole: true,
                });
            }
        }
    }
    Ok(holders)
}

/// An address is in a prefix, or it is the address that stands for one.
pub fn within(net: &str, address: IpAddr) -> bool {
    match net.parse::<IpNet>() {
        Ok(net) => net.contains(&address),
        Err(_) => net.parse() == Ok(address),
    }
}
