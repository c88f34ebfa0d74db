//! One place with its numbers of a window: what lives there, what counters grew by, what levels are.

use crate::conversation::numbers::{BucketGrowth, Movement, Since};
use crate::conversation::state::ConversationState;
use model::inventory::Inventory;
use model::numbers;
use model::owner::Owner;
use std::collections::BTreeMap;

/// What places are called.
#[derive(Debug, Default)]
pub struct PlaceNames {
    /// Pods by their uid: namespace, name, and the node they run on.
    pods: BTreeMap<String, (String, String, String)>,
    /// Without a cluster there are no pods but those whose containers run here.
    of_cluster: bool,
}

/// A place.
#[derive(Debug)]
pub struct NumbersPlace<'a> {
    /// Its namespace of Kubernetes; empty outside of it.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The node it is on.
    pub node: String,
    /// Its network namespace; 0 for the node as a whole.
    pub netns: u32,
    /// It is the node, or its own namespace.
    pub is_node: bool,
    /// The window in which its counters grew, as it was measured.
    pub seconds: f64,
    /// The probes that were read.
    pub probes: Vec<&'a str>,
    /// Its numbers.
    pub movements: Vec<Movement<'a>>,
    /// Its histograms.
    pub histograms: Vec<BucketGrowth<'a>>,
    /// Packets that the kernel dropped there as a loss, by why; none where that was not looked at.
    pub drops: BTreeMap<String, u64>,
}

impl PlaceNames {
    /// As the cluster's API has them.
    pub fn of(inventory: Option<&Inventory>) -> Self {
        let pods = inventory.into_iter().flat_map(|inventory| &inventory.pods);
        Self {
            pods: pods
                .map(|pod| {
                    let names = (pod.namespace.clone(), pod.name.clone(), pod.node.clone());
                    (pod.uid.clone(), names)
                })
                .collect(),
            of_cluster: inventory.is_some(),
        }
    }
}

impl<'a> NumbersPlace<'a> {
    /// All places that were read and are the node's own, in no order.
    pub fn all(state: &'a ConversationState, names: &PlaceNames, since: Since) -> Vec<Self> {
        let place = |(node, netns, numbers): (usize, u32, &'a crate::conversation::numbers::PlaceNumbers)| {
            let brought = state.evidence.nodes.get(node)?;
            let known = match &numbers.whose.owner {
                Owner::Pod { uid, .. } => names.pods.get(uid),
                _ => None,
            };
            let is_node = netns == 0 || netns == brought.host_netns;
            // Nodes that share a kernel see each other's namespaces.
            let is_foreign = match known {
                Some((_, _, on)) => !on.is_empty() && *on != brought.name,
                None => names.of_cluster && !is_node && state.kernels.shared(node),
            };
            if is_foreign {
                return None;
            }
            let (namespace, name) = match known {
                Some((namespace, name, _)) => (namespace.clone(), name.clone()),
                None if is_node => (String::new(), brought.name.clone()),
                None => (String::new(), outside_name(&numbers.whose.name, &numbers.whose.owner)),
            };
            let mut drops = BTreeMap::new();
            for total in brought
                .totals
                .iter()
                .filter(|total| total.netns == netns && total.probe == "drop")
            {
                *drops.entry(total.what.clone()).or_default() += total.count;
            }
            Some(Self {
                namespace,
                name,
                node: brought.name.clone(),
                netns,
                is_node,
                seconds: numbers.seconds(since),
                probes: brought
                    .probes
                    .iter()
                    .filter(|status| status.unsupported.is_none())
                    .map(|status| status.name.as_str())
                    .collect(),
                movements: state.numbers.movements(node, netns, since).collect(),
                histograms: state.numbers.histograms(node, netns, since).collect(),
                drops,
            })
        };
        state.numbers.places().filter_map(place).collect()
    }

    /// Namespace and name, as one.
    pub fn full_name(&self) -> String {
        if self.namespace.is_empty() {
            self.name.clone()
        } else {
            format!("{}/{}", self.namespace, self.name)
        }
    }

    /// The probe that reads this number was read.
    pub fn reads(&self, name: &str) -> bool {
        self.probes.contains(&numbers::probe_of(name))
    }

    /// All numbers of that name.
    pub fn of<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b Movement<'a>> {
        self.movements.iter().filter(move |moved| moved.series.name == name)
    }

    /// What they grew by, together.
    pub fn growth(&self, name: &str) -> u64 {
        self.of(name).map(|moved| moved.growth).sum()
    }

    /// What they are now, together.
    pub fn now(&self, name: &str) -> u64 {
        self.of(name).map(|moved| moved.now).sum()
    }

    /// A second's part of what they grew by.
    pub fn per_second(&self, name: &str) -> f64 {
        if self.seconds > 0.0 {
            self.growth(name) as f64 / self.seconds
        } else {
            0.0
        }
    }

    /// Numbers of this name, each with the value of that label.
    pub fn by<'b>(&'b self, name: &'b str, label: &'b str) -> impl Iterator<Item = (&'b str, &'b Movement<'a>)> {
        self.of(name)
            .map(move |moved| (moved.series.labels.get(label).map_or("", String::as_str), moved))
    }
}

/// What has no pod's name: a container by its short id beside the process, a namespace by its own name.
fn outside_name(name: &str, owner: &Owner) -> String {
    match owner {
        Owner::Container { id } => format!("container/{}", id.get(..12).unwrap_or(id)),
        Owner::Pod { uid, .. } => format!("pod/{uid}"),
        _ => name.to_owned(),
    }
}
