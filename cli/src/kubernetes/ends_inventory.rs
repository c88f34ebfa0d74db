//! The inventory of a diagnosis: all objects that bear on both ends, read at once; what cannot be read is missing, with the
//! reason.

use super::calls::ApiGroups;
use super::cluster::ClusterApi;
use super::named_object::NamedObject;
use super::other_policies;
use super::refusal::{Refusal, RefusalKind};
use diagnoses::kubernetes::selector::service_selects;
use diagnoses::words::shell;
use futures_util::future::join_all;
use k8s_openapi::jiff::Timestamp;
use model::inventory::{Inventory, Node, Pod};
use model::missing::{Known, Missing};
use std::collections::{BTreeSet, HashSet};

/// A kubelet that has not renewed its Lease for this long starts nothing: it renews every 10 s.
const LEASE_STALE_S: u64 = 15;
/// Nodes of pods that are not ready are read, this many at most.
const OTHER_NODES: usize = 4;
/// Pods that are not ready and of which events are read, at most.
const PODS_EXPLAINED: usize = 4;
/// Addresses of endpoints without a known owner that are asked for, at most.
const OWNERS_ASKED: usize = 4;

/// What was read.
#[derive(Debug, Default)]
pub struct EndsInventory {
    /// The evidence.
    pub inventory: Inventory,
}

impl EndsInventory {
    /// Reads it: a few calls for both ends, and three for each node.
    pub async fn read(
        cluster: &ClusterApi,
        api_only: bool,
        source: &NamedObject,
        destination: &NamedObject,
        nodes: &[String],
        groups: Result<ApiGroups, Refusal>,
    ) -> Self {
        let mut inventory = Inventory {
            context: cluster.context.clone(),
            ..Inventory::default()
        };
        let groups = groups.unwrap_or_else(|refused| {
            inventory.policy_objects.unread.push(other_policies::unread(&refused));
            ApiGroups::default()
        });
        inventory.read_at_s = groups.now.map(Timestamp::as_second);
        let namespaces: BTreeSet<String> = [source, destination].into_iter().filter_map(namespace_of).collect();
        for thing in [source, destination] {
            inventory.take(thing);
        }
        // Pods are listed of these nodes.
        let listed = if api_only { &[][..] } else { nodes };
        let behind = pods_behind(cluster, listed, destination);
        let on_nodes = async {
            if api_only {
                Vec::new()
            } else {
                join_all(nodes.iter().map(|node| cluster.pods_on(node))).await
            }
        };
        let (behind, on_nodes, read, policies, foreign) = tokio::join!(
            behind,
            on_nodes,
            join_all(nodes.iter().map(|node| read_node(cluster, node, groups.now))),
            join_all(namespaces.iter().map(|namespace| cluster.policies(namespace))),
            other_policies::policies(cluster, &groups, &namespaces),
        );
        inventory.add_nodes(read);
        for (pods, node) in on_nodes.into_iter().zip(nodes) {
            match pods {
                Ok(pods) => inventory.add_pods(pods),
                Err(refused) => inventory.missing.push(Missing {
                    node: Some(node.clone()),
                    ..refused.missing("names of the node's other pods")
                }),
            }
        }
        if let Some(behind) = behind {
            match behind {
                Ok(pods) => inventory.add_pods(pods),
                Err(refused) => inventory.missing.push(refused.missing("pods behind the service")),
            }
        }
        foreign.keep(policies, &mut inventory);
        let mut gathered = Self { inventory };
        let ends = [source, destination];
        gathered.read_rest(cluster, ends, &namespaces, groups.now).await;
        gathered
    }

    /// What depends on what was read: labels of namespaces, owners of endpoints, nodes of pods that are not ready and events about
    /// them.
    async fn read_rest(
        &mut self,
        cluster: &ClusterApi,
        ends: [&NamedObject; 2],
        namespaces: &BTreeSet<String>,
        now: Option<Timestamp>,
    ) {
        let inventory = &mut self.inventory;
        let [_, destination] = ends;
        // Each of the other kinds has its own way to select by them.
        let of_other_kinds = !inventory.policy_objects.objects.is_empty();
        let by_namespace = of_other_kinds
            || inventory.policies.ok().is_some_and(|policies| {
                let mut rules = policies
                    .iter()
                    .flat_map(|policy| policy.ingress.iter().chain(&policy.egress));
                rules.any(|rule| rule.peers.iter().any(|peer| peer.namespace_selector.is_some()))
            });
        let labels = async {
            if !by_namespace {
                return Err(Missing::not_asked(
                    "labels of the namespaces: no policy selects by them",
                ));
            }
            join_all(namespaces.iter().map(|namespace| cluster.namespace(namespace)))
                .await
                .into_iter()
                .collect::<Result<Vec<_>, Refusal>>()
                .map(|found| found.into_iter().flatten().collect())
                .map_err(|refused| refused.missing("labels of the namespaces"))
        };
        let known = |node: &str| inventory.nodes.iter().any(|known| known.name == node);
        let mut other: Vec<String> = Vec::new();
        if let NamedObject::Service {
            service,
            slices: Ok(slices),
        } = destination
            && !slices
                .iter()
                .flat_map(|slice| &slice.endpoints)
                .any(|endpoint| endpoint.ready)
        {
            for pod in inventory.pods.iter().filter(|pod| service_selects(service, pod)) {
                if !pod.node.is_empty() && !known(&pod.node) && !other.contains(&pod.node) && other.len() < OTHER_NODES
                {
                    other.push(pod.node.clone());
                }
            }
        }
        // An endpoint that names no pod: whose address is it?
        let mut orphans = Vec::new();
        if let NamedObject::Service { slices: Ok(slices), .. } = destination {
            for endpoint in slices.iter().flat_map(|slice| &slice.endpoints) {
                let named = endpoint
                    .target
                    .as_ref()
                    .is_some_and(|target| inventory.pod(&target.namespace, &target.name).is_some());
                for address in &endpoint.addresses {
                    if !named && inventory.pods_at(*address).next().is_none() {
                        orphans.push(*address);
                    }
                }
            }
        }
        for address in orphans.split_off(orphans.len().min(OWNERS_ASKED)) {
            let lack = Missing::not_asked(format!("the pod that has {address}"));
            inventory.missing.push(lack);
        }
        let unready = unready(inventory, ends);
        let (labels, nodes, owners, warnings) = tokio::join!(
            labels,
            join_all(other.iter().map(|node| read_node(cluster, node, now))),
            join_all(orphans.iter().map(|address| cluster.pods_at(*address))),
            join_all(unready.iter().map(|pod| cluster.warnings(pod))),
        );
        inventory.namespaces = Known::from(labels);
        inventory.add_nodes(nodes);
        for (owners, address) in owners.into_iter().zip(orphans) {
            match owners {
                Ok(pods) => inventory.add_pods(pods),
                Err(refused) => inventory
                    .missing
                    .push(refused.missing(format!("the pod that has {address}"))),
            }
        }
        for (warnings, about) in warnings.into_iter().zip(unready) {
            match warnings {
                Ok(warnings) => {
                    let mut pods = inventory.pods.iter_mut();
                    if let Some(pod) = pods.find(|pod| pod.uid == about.uid) {
                        pod.warnings = warnings;
                    }
                }
                Err(refused) => inventory
                    .missing
                    .push(refused.missing(format!("events about pod {}", about.full_name()))),
            }
        }
    }

    /// Those of these nodes on which something can be started; of the others it is said why not.
    pub fn watchable(&mut self, nodes: Vec<String>) -> Vec<String> {
        let mut watched = Vec::new();
        for (index, name) in nodes.into_iter().enumerate() {
            match self.inventory.node(&name).and_then(unfit) {
                None => watched.push(name),
                Some((why, remedy)) => {
                    self.inventory.missing.push(Missing {
                        node: Some(name.clone()),
                        ..Missing::new(format!("what happens on node {name}"), why).remedy(remedy)
                    });
                    // Without the source's node nothing can be sent.
                    if index == 0 {
                        return Vec::new();
                    }
                }
            }
        }
        watched
    }
}

/// The pods among the ends, or behind them, that are not ready and have not ended for good.
fn unready(inventory: &Inventory, ends: [&NamedObject; 2]) -> Vec<Pod> {
    let is_meant = |pod: &&Pod| {
        ends.iter().any(|end| match end {
            NamedObject::Pod { pod: end, .. } => end.uid == pod.uid,
            NamedObject::Service { service, .. } => service_selects(service, pod),
            _ => false,
        })
    };
    let pods = inventory.pods.iter().filter(is_meant);
    let unready = pods.filter(|pod| !pod.ready && matches!(pod.phase.as_str(), "Pending" | "Running"));
    unready.take(PODS_EXPLAINED).cloned().collect()
}

/// Why nothing is started on a node.
fn unfit(node: &Node) -> Option<(String, String)> {
    let describe = format!(
        "see {}, and whether its kubelet runs",
        shell::said("kubectl describe node {}", &[&node.name])
    );
    if !node.os.is_empty() && node.os != "linux" {
        return Some((
            format!("it runs {}, and only Linux can be looked into", node.os),
            String::new(),
        ));
    }
    if !node.ready {
        let reason = if node.reason.is_empty() {
            String::new()
        } else {
            format!(" ({})", node.reason)
        };
        return Some((
            format!("the node is not Ready{reason}, so nothing can be started there"),
            describe,
        ));
    }
    let age = node.lease_age_s.filter(|age| *age > LEASE_STALE_S)?;
    Some((
        format!("its kubelet was last heard of {age} s ago, so nothing can be started there"),
        describe,
    ))
}

/// A node with the age of its Lease.
async fn read_node(
    cluster: &ClusterApi,
    name: &str,
    now: Option<Timestamp>,
) -> (String, Result<Option<Node>, Refusal>) {
    let (node, renewed) = tokio::join!(cluster.node(name), cluster.renewed(name));
    let age = renewed
        .ok()
        .flatten()
        .zip(now)
        .map(|(renewed, now)| now.duration_since(renewed).as_secs().max(0) as u64);
    let node = node.map(|node| {
        node.map(|node| Node {
            lease_age_s: age,
            ..node
        })
    });
    (name.to_owned(), node)
}

/// The pods a service is about: those it selects where no node's list has them, all of its namespace where it has no endpoint.
async fn pods_behind(
    cluster: &ClusterApi,
    listed: &[String],
    destination: &NamedObject,
) -> Option<Result<Vec<Pod>, Refusal>> {
    let NamedObject::Service { service, slices } = destination else {
        return None;
    };
    let ready = slices
        .as_deref()
        .unwrap_or_default()
        .iter()
        .flat_map(|slice| &slice.endpoints)
        .any(|endpoint| endpoint.ready);
    let labels: Vec<String> = service
        .selector
        .iter()
        .map(|(key, value)| format!("{key}={value}"))
        .collect();
    let labels = labels.join(",");
    if !ready {
        let all = cluster.pods(&service.namespace, None).await;
        // Of a namespace that is too large for that, those it selects must do.
        return Some(match all {
            Err(refused) if refused.kind == RefusalKind::TooMany && !labels.is_empty() => {
                cluster.pods(&service.namespace, Some(&labels)).await
            }
            all => all,
        });
    }
    let mut endpoints = slices
        .as_deref()
        .unwrap_or_default()
        .iter()
        .flat_map(|slice| &slice.endpoints);
    if endpoints.all(|endpoint| listed.contains(&endpoint.node)) || service.selector.is_empty() {
        return None;
    }
    Some(cluster.pods(&service.namespace, Some(&labels)).await)
}

fn namespace_of(thing: &NamedObject) -> Option<String> {
    match thing {
        NamedObject::Pod { pod, .. } => Some(pod.namespace.clone()),
        NamedObject::Service { service, .. } => Some(service.namespace.clone()),
        NamedObject::NoService { object, .. } => Some(object.namespace.clone()),
        NamedObject::Node(_) | NamedObject::Address(_) | NamedObject::Name(_) => None,
    }
}

/// Filling an inventory, each object once.
trait Fill {
    fn take(&mut self, thing: &NamedObject);
    fn add_pods(&mut self, pods: Vec<Pod>);
    fn add_nodes(&mut self, nodes: Vec<(String, Result<Option<Node>, Refusal>)>);
}

impl Fill for Inventory {
    fn take(&mut self, thing: &NamedObject) {
        match thing {
            NamedObject::Pod { pod, .. } => self.add_pods(vec![pod.clone()]),
            NamedObject::Service { service, slices } => {
                self.services.push(service.clone());
                match slices {
                    Ok(slices) => self.slices.extend(slices.iter().cloned()),
                    Err(refused) => self
                        .missing
                        .push(refused.missing(format!("endpoints of service {}", service.full_name()))),
                }
            }
            NamedObject::NoService { others, .. } => self.services.extend(others.iter().cloned()),
            NamedObject::Node(_) | NamedObject::Address(_) | NamedObject::Name(_) => {}
        }
    }

    fn add_pods(&mut self, pods: Vec<Pod>) {
        let mut known: HashSet<String> = self.pods.iter().map(|pod| pod.uid.clone()).collect();
        let unknown = pods.into_iter().filter(|pod| known.insert(pod.uid.clone()));
        self.pods.extend(unknown);
    }

    fn add_nodes(&mut self, nodes: Vec<(String, Result<Option<Node>, Refusal>)>) {
        for (name, node) in nodes {
            match node {
                Ok(Some(node)) => self.nodes.push(node),
                Ok(None) => self.missing.push(Missing {
                    node: Some(name),
                    ..Missing::new("the state of the node", "there is no such node any more")
                }),
                Err(refused) => self.missing.push(Missing {
                    node: Some(name),
                    ..refused.missing("the state of the node")
                }),
            }
        }
    }
}
