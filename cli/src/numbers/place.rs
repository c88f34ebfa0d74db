//! One place with its numbers of a window: what lives there, what counters grew by, what levels are.

use crate::conversation::numbers::{BucketGrowth, Movement, Since};
use crate::conversation::state::ConversationState;
use diagnoses::kernel::drops::{self, Class};
use model::event::TcpState;
use model::inventory::{Inventory, Pod};
use model::numbers;
use model::owner::Owner;
use model::protocol::Total;
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

    /// Namespace and name of a pod, by its uid.
    pub fn pod(&self, uid: &str) -> Option<(&str, &str)> {
        let (namespace, name, _) = self.pods.get(uid)?;
        Some((namespace, name))
    }

    /// Pods that have come since.
    pub fn meet(&mut self, pods: &[Pod]) {
        for pod in pods {
            let names = (pod.namespace.clone(), pod.name.clone(), pod.node.clone());
            self.pods.insert(pod.uid.clone(), names);
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
            let dropped = |total: &&Total| total.netns == netns && total.probe == "drop";
            for total in brought.totals.iter().filter(dropped) {
                if let Some(why) = lost_because(&total.what) {
                    *drops.entry(why).or_default() += total.count;
                }
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
        self.of(name).fold(0, |sum, moved| sum.saturating_add(moved.growth))
    }

    /// What they are now, together.
    pub fn now(&self, name: &str) -> u64 {
        self.of(name).fold(0, |sum, moved| sum.saturating_add(moved.now))
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

/// Why packets of a total were lost; nothing for those that were of no further use, that nobody waited for, or of which nobody can
/// say that they were needed. A total is called `drop REASON LOCATION`.
fn lost_because(what: &str) -> Option<String> {
    let mut words = what.split_whitespace().skip(1);
    let reason = words.next()?;
    let class = drops::class(reason, words.next(), TcpState::Unknown);
    let is_loss = !matches!(
        class,
        Class::Benign | Class::Other | Class::NoSocket | Class::UnknownConnection | Class::OtherHost
    );
    is_loss.then(|| format!("{} ({reason})", drops::meaning(class)))
}

/// What has no pod's name: a container by its short id beside the process, a namespace by its own name.
pub fn outside_name(name: &str, owner: &Owner) -> String {
    match owner {
        Owner::Container { id } => format!("container/{}", id.get(..12).unwrap_or(id)),
        Owner::Pod { uid, .. } => format!("pod/{uid}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::lost_because;

    #[test]
    fn packets_of_no_further_use_are_no_loss() {
        assert_eq!(
            lost_because("drop NETFILTER_DROP nft_do_chain").as_deref(),
            Some("netfilter said so (NETFILTER_DROP)")
        );
        for innocent in [
            "drop QUEUE_PURGE sk_stream_kill_queues",
            "drop NOT_SPECIFIED ip6_mc_input",
            "drop NO_SOCKET tcp_v4_rcv",
            "drop SOMETHING_NEW some_function",
            "reset-sent",
        ] {
            assert_eq!(lost_because(innocent), None, "{innocent}");
        }
    }
}
