//! The scope of a capture of a cluster: which nodes, which pods on them, and the names of all objects that events may be about.

use super::cluster::ClusterApi;
use super::list::{ListRead, few_at_once};
use super::named_object::{BareName, NamedObject, has_network};
use super::refusal::Refusal;
use super::similar_names;
use crate::exit::{NotThere, WrongUsage};
use crate::inquiry::named_end::{Grammar, NamedPlace};
use crate::inquiry::object_name::ObjectKind;
use anyhow::Result;
use futures_util::future::join_all;
use model::inventory::{Inventory, Pod, Service};
use model::missing::Missing;
use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::net::IpAddr;
use std::ops::ControlFlow;

/// Nodes that are looked at, unless the user allows more.
pub const NODES_MAX: usize = 20;
/// Up to this many nodes, pods are asked for node by node.
const ASKED_ONE_BY_ONE: usize = 8;
/// Pods that can be asked for at once.
const PODS_MAX: usize = 50_000;
/// Pods that are asked for by their names, at most.
const PODS_NAMED: usize = 200;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct ScopeRequest {
    /// Pods, workloads, services, nodes, addresses.
    pub targets: Vec<String>,
    /// Pods with these labels.
    pub selector: Option<String>,
    /// Nodes by name.
    pub nodes: Vec<String>,
    /// All nodes.
    pub all_nodes: bool,
    /// The most nodes.
    pub max_nodes: usize,
}

/// What a request comes to: pods, nodes, addresses and ports.
#[derive(Debug, Default)]
pub struct CaptureScope {
    /// The pods that are asked for, by node. An empty list means all of the node.
    pub nodes: BTreeMap<String, Vec<Pod>>,
    /// Only packets with one of these addresses.
    pub addresses: Vec<IpAddr>,
    /// Only packets with one of these ports.
    pub ports: Vec<u16>,
    /// Names of what is on these nodes, and what could not be read.
    pub inventory: Inventory,
    /// What was decided for the asker.
    pub notes: Vec<String>,
}

impl ClusterApi {
    /// Finds what a capture is to look at.
    pub async fn scope(&self, request: &ScopeRequest) -> Result<CaptureScope> {
        let most = if request.all_nodes {
            usize::MAX
        } else {
            request.max_nodes
        };
        let mut scope = CaptureScope::default();
        let mut pods: Vec<Pod> = Vec::new();
        let mut whole: BTreeSet<String> = request.nodes.iter().cloned().collect();
        let targets = join_all(request.targets.iter().map(|text| self.target(text, most))).await;
        for target in targets {
            let target = target?;
            pods.extend(target.pods);
            whole.extend(target.node);
            scope.addresses.extend(target.address);
            scope.ports.extend(target.port);
        }
        for name in &request.nodes {
            // One that is not there ends the run, with the names of those that are.
            if let NamedPlace::Object(object) = Grammar::Cluster.destination(&format!("node/{name}"))?.place {
                self.find(&NamedPlace::Object(object), BareName::Node).await?;
            }
        }
        let by_pods = !pods.is_empty() || request.selector.is_some();
        let nothing_named = request.targets.is_empty() && request.nodes.is_empty() && !request.all_nodes;
        let mut met = PodsByNode::default();
        if request.all_nodes || (request.nodes.is_empty() && !by_pods && !scope.addresses.is_empty()) {
            whole.extend(self.all_nodes(&mut scope.inventory).await?);
        }
        if request.selector.is_some() || nothing_named {
            met = self
                .meet(request.selector.as_deref(), &whole, nothing_named, most)
                .await?;
        }
        for pod in pods {
            met.take(pod, &whole, false);
        }
        if by_pods || nothing_named {
            scope.take_pods(met)?;
        } else {
            scope.nodes.extend(whole.into_iter().map(|node| (node, Vec::new())));
        }
        if scope.nodes.len() > most {
            let count = scope.nodes.len();
            return Err(too_many(&format!("{count} nodes"), &count.to_string(), most));
        }
        self.names_on(&mut scope).await;
        Ok(scope)
    }

    /// The pods of the context's namespace that are asked for, on these nodes where any are named. On more nodes than are
    /// meant nothing is read to its end.
    async fn meet(
        &self,
        selector: Option<&str>,
        only_on: &BTreeSet<String>,
        unasked: bool,
        most: usize,
    ) -> Result<PodsByNode> {
        let take = |met: &mut PodsByNode, pod: Pod| {
            met.take(pod, only_on, unasked);
            met.go_on(most)
        };
        let nodes: Vec<Option<&str>> = if only_on.is_empty() || only_on.len() > ASKED_ONE_BY_ONE {
            vec![None]
        } else {
            only_on.iter().map(|node| Some(node.as_str())).collect()
        };
        let mut all = PodsByNode::default();
        for node in nodes {
            let read = self.live_pods(&self.namespace, selector, node, take).await;
            let read = read.map_err(|refused| refused.fatal(&format!("reading the pods of {}", self.namespace)))?;
            if read.kept.nodes.len() > most {
                return Err(more_nodes(&read, most));
            }
            all.add(read.kept);
            if all.count > PODS_MAX {
                return Err(too_many_pods());
            }
        }
        if !all.any {
            similar_names::namespace(self, &self.namespace).await?;
            let which = selector.map_or_else(String::new, |selector| format!(" with {selector}"));
            return Err(NotThere::error(format!(
                "no pod{which} runs in namespace {}; name another one with -n, pods, or nodes with --node NAME or --all-nodes",
                self.namespace
            )));
        }
        Ok(all)
    }

    async fn target(&self, text: &str, most: usize) -> Result<ScopeTarget> {
        let named = Grammar::Cluster.destination(text)?;
        let mut target = ScopeTarget {
            port: named.port,
            ..ScopeTarget::default()
        };
        if let (NamedPlace::Object(object), None) = (&named.place, &named.port_name)
            && let Some(kind) = object.kind
            && !matches!(kind, ObjectKind::Pod | ObjectKind::Service | ObjectKind::Node)
        {
            // All pods of a workload, not one of them.
            let namespace = object.namespace.as_deref().unwrap_or(&self.namespace);
            target.pods = self.pods_of(kind, namespace, &object.name).await?;
            return Ok(target);
        }
        match self.find(&named.place, BareName::PodElseService).await? {
            NamedObject::Pod { pod, .. } => {
                if !has_network(&pod) {
                    return Err(NotThere::error(format!(
                        "pod {} does not run (its phase is {}), so it has no packets; name one that runs",
                        pod.full_name(),
                        pod.phase
                    )));
                }
                target.pods.push(pod);
            }
            NamedObject::Service { service, slices } => {
                let slices = slices.map_err(|refused| refused.fatal(&format!("reading the endpoints of {text}")))?;
                let endpoints = slices.iter().flat_map(|slice| &slice.endpoints);
                let behind: BTreeSet<&str> = endpoints
                    .filter_map(|endpoint| endpoint.target.as_ref())
                    .filter(|object| object.kind == "Pod")
                    .map(|object| object.name.as_str())
                    .collect();
                target.pods = self.behind(&service, &behind, most).await?;
                if target.pods.is_empty() {
                    return Err(NotThere::error(format!(
                        "service {} has no pods behind it; ask `diagnose pod-to-service` why",
                        service.full_name()
                    )));
                }
                // Packets at the pods carry the pods' port.
                target.port = None;
            }
            NamedObject::Node(node) => target.node = Some(node.name),
            NamedObject::Address(address) => target.address = Some(address),
            NamedObject::NoService { object, .. } => {
                return Err(NotThere::error(format!(
                    "there is no service `{}` in namespace {}",
                    object.name, object.namespace
                )));
            }
            NamedObject::Name(name) => {
                return Err(WrongUsage::error(format!(
                    "`{name}` cannot be filtered for: packets carry addresses; name a pod, a workload or a node, or its address"
                )));
            }
        }
        Ok(target)
    }

    /// The pods of these names behind a service: by its selector, where it has one.
    async fn behind(&self, service: &Service, names: &BTreeSet<&str>, most: usize) -> Result<Vec<Pod>> {
        let refused = |refused: Refusal| refused.fatal(&format!("reading the pods behind {}", service.full_name()));
        if service.selector.is_empty() {
            let pods = names
                .iter()
                .take(PODS_NAMED)
                .map(|name| self.pod(&service.namespace, name));
            let pods = few_at_once(pods).await.into_iter().collect::<Result<Vec<_>, _>>();
            return Ok(pods.map_err(refused)?.into_iter().flatten().collect());
        }
        let labels = service.selector.iter().map(|(key, value)| format!("{key}={value}"));
        let labels = labels.collect::<Vec<_>>().join(",");
        let nowhere = BTreeSet::new();
        let take = |met: &mut PodsByNode, pod: Pod| {
            if names.contains(pod.name.as_str()) {
                met.take(pod, &nowhere, false);
            }
            met.go_on(most)
        };
        let read = self.live_pods(&service.namespace, Some(&labels), None, take).await;
        let read = read.map_err(refused)?;
        if read.kept.nodes.len() > most {
            return Err(more_nodes(&read, most));
        }
        if !read.whole {
            return Err(too_many_pods());
        }
        Ok(read.kept.nodes.into_values().flatten().collect())
    }

    async fn all_nodes(&self, inventory: &mut Inventory) -> Result<Vec<String>> {
        let nodes = self
            .every_node()
            .await
            .map_err(|refused| refused.fatal("reading the nodes"))?;
        let (fit, unfit): (Vec<_>, Vec<_>) = nodes.into_iter().partition(|node| node.ready && node.os != "windows");
        inventory.missing.extend(unfit.iter().map(|node| Missing {
            node: Some(node.name.clone()),
            ..Missing::new(
                format!("what happens on node {}", node.name),
                "it is not Ready, or no Linux",
            )
        }));
        let names = fit.iter().map(|node| node.name.clone()).collect();
        inventory.nodes.extend(fit);
        Ok(names)
    }

    /// The nodes themselves, and the names of the pods on them.
    async fn names_on(&self, scope: &mut CaptureScope) {
        let unknown: Vec<&String> = scope
            .nodes
            .keys()
            .filter(|name| scope.inventory.node(name).is_none())
            .collect();
        let (nodes, pods, services) = tokio::join!(
            few_at_once(unknown.iter().map(|node| self.node(node))),
            few_at_once(scope.nodes.keys().map(|node| self.pods_on(node))),
            self.services(&self.namespace, None),
        );
        scope.inventory.nodes.extend(nodes.into_iter().flatten().flatten());
        scope.inventory.services = services.unwrap_or_default();
        for (pods, node) in pods.into_iter().zip(scope.nodes.keys()) {
            match pods {
                Ok(pods) => scope.inventory.pods.extend(pods),
                Err(refused) => scope.inventory.missing.push(Missing {
                    node: Some(node.clone()),
                    ..refused.missing("names of the node's pods")
                }),
            }
        }
        let known: HashSet<String> = scope.inventory.pods.iter().map(|pod| pod.uid.clone()).collect();
        let pods = scope.nodes.values().flatten();
        let unread = pods.filter(|pod| !known.contains(&pod.uid)).cloned();
        scope.inventory.pods.extend(unread);
    }
}

#[derive(Debug, Default)]
struct ScopeTarget {
    pods: Vec<Pod>,
    node: Option<String>,
    address: Option<IpAddr>,
    port: Option<u16>,
}

/// Pods as they come, by the node they are on.
#[derive(Debug, Default)]
struct PodsByNode {
    nodes: BTreeMap<String, Vec<Pod>>,
    known: HashSet<String>,
    /// How many pods are in `nodes`.
    count: usize,
    /// How many were left out because they use their node's network.
    on_host: usize,
    /// Whether a running pod was among them.
    any: bool,
}

impl PodsByNode {
    fn take(&mut self, pod: Pod, only_on: &BTreeSet<String>, unasked: bool) {
        if !has_network(&pod) {
            return;
        }
        self.any = true;
        if !only_on.is_empty() && !only_on.contains(&pod.node) {
            return;
        }
        // Its namespace is the node's: all of the node would be shown with it.
        if pod.host_network && unasked {
            self.on_host += 1;
        } else if self.known.insert(pod.uid.clone()) {
            self.count += 1;
            self.nodes.entry(pod.node.clone()).or_default().push(pod);
        }
    }

    /// Goes on until there are more nodes or pods than are allowed.
    fn go_on(&self, most: usize) -> ControlFlow<()> {
        if self.nodes.len() > most || self.count > PODS_MAX {
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    }

    fn add(&mut self, more: Self) {
        self.on_host += more.on_host;
        self.count += more.count;
        self.any |= more.any;
        self.known.extend(more.known);
        for (node, pods) in more.nodes {
            self.nodes.entry(node).or_default().extend(pods);
        }
    }
}

fn more_nodes(read: &ListRead<PodsByNode>, most: usize) -> anyhow::Error {
    let (nodes, seen) = (read.kept.nodes.len(), read.seen);
    let more = match read.left {
        Some(0) => return too_many(&format!("{nodes} nodes"), &nodes.to_string(), most),
        Some(left) => format!(", and {left} more were not read"),
        None => String::new(),
    };
    let many = format!("more than {most} nodes ({nodes} by the first {seen} pods{more})");
    too_many(&many, "N", most)
}

fn too_many_pods() -> anyhow::Error {
    NotThere::error(format!(
        "that would look at more than {PODS_MAX} pods; name fewer of them, or whole nodes with --node NAME or --all-nodes"
    ))
}

fn too_many(many: &str, wanted: &str, most: usize) -> anyhow::Error {
    NotThere::error(format!(
        "that would look at {many}, and the limit is {most}; name fewer pods, or use --max-nodes {wanted} or --all-nodes"
    ))
}

impl CaptureScope {
    fn take_pods(&mut self, met: PodsByNode) -> Result<()> {
        self.nodes = met.nodes;
        if met.on_host > 0 {
            self.notes.push(format!(
                "left out: {} pods on their node's network; look at them with --node NAME",
                met.on_host
            ));
        }
        if self.nodes.is_empty() {
            return Err(NotThere::error(
                "none of these pods has a network of its own there; name nodes with --node NAME or --all-nodes",
            ));
        }
        Ok(())
    }
}
