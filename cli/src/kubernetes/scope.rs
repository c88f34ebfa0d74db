//! What a capture of a cluster looks at: which nodes, which pods on them, and the names of all that will be met there.

use super::connect::Cluster;
use super::find::{Bare, Thing, has_network};
use super::name::Kind;
use super::near;
use crate::exit::Usage;
use crate::target::{Grammar, Place};
use anyhow::Result;
use futures_util::future::join_all;
use model::inventory::{Inventory, Pod};
use model::missing::Missing;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

/// Nodes that are looked at without being asked whether so many are meant.
pub const NODES_MAX: usize = 20;

/// What is asked for.
#[derive(Clone, Debug, Default)]
pub struct Wish {
    /// Pods, workloads, services, nodes, addresses.
    pub targets: Vec<String>,
    /// Pods with these labels.
    pub selector: Option<String>,
    /// These nodes.
    pub nodes: Vec<String>,
    /// All nodes.
    pub all_nodes: bool,
    /// The most nodes.
    pub max_nodes: usize,
}

/// What that is.
#[derive(Debug, Default)]
pub struct Scope {
    /// Of each node: the pods that are asked for. None means all of the node.
    pub nodes: BTreeMap<String, Vec<Pod>>,
    /// Only with these addresses.
    pub addresses: Vec<IpAddr>,
    /// Only with these ports.
    pub ports: Vec<u16>,
    /// Names of what is on these nodes, and what could not be read.
    pub inventory: Inventory,
    /// What was decided for the asker.
    pub notes: Vec<String>,
}

impl Cluster {
    /// Finds what a capture is to look at.
    pub async fn scope(&self, wish: &Wish) -> Result<Scope> {
        let mut scope = Scope::default();
        let mut pods: Vec<Pod> = Vec::new();
        let mut whole: BTreeSet<String> = wish.nodes.iter().cloned().collect();
        let targets = join_all(wish.targets.iter().map(|text| self.target(text))).await;
        for target in targets {
            let target = target?;
            pods.extend(target.pods);
            whole.extend(target.node);
            scope.addresses.extend(target.address);
            scope.ports.extend(target.port);
        }
        let by_pods = !pods.is_empty() || wish.selector.is_some();
        let nothing_named = wish.targets.is_empty() && wish.nodes.is_empty() && !wish.all_nodes;
        if wish.selector.is_some() || nothing_named {
            let all = self.pods(&self.namespace, wish.selector.as_deref()).await;
            pods.extend(all.map_err(|refused| refused.fatal(&format!("reading the pods of {}", self.namespace)))?);
            if pods.is_empty() {
                near::namespace(self, &self.namespace).await?;
            }
            if pods.iter().all(|pod| !has_network(pod)) {
                let which = wish
                    .selector
                    .as_ref()
                    .map_or_else(String::new, |selector| format!(" with {selector}"));
                return Err(Usage::error(format!(
                    "no pod{which} runs in namespace {}; name another one with -n, pods, or nodes with --node NAME or --all-nodes",
                    self.namespace
                )));
            }
        }
        for name in &wish.nodes {
            // One that is not there is told with those that are.
            if let Place::Object(object) = Grammar::Cluster.destination(&format!("node/{name}"))?.place {
                self.find(&Place::Object(object), Bare::Node).await?;
            }
        }
        if wish.all_nodes || (wish.nodes.is_empty() && pods.is_empty() && !scope.addresses.is_empty()) {
            whole.extend(self.all_nodes(&mut scope.inventory).await?);
        }
        if by_pods || nothing_named {
            scope.take_pods(pods, &whole, nothing_named)?;
        } else {
            scope.nodes.extend(whole.into_iter().map(|node| (node, Vec::new())));
        }
        let most = if wish.all_nodes { usize::MAX } else { wish.max_nodes };
        if scope.nodes.len() > most {
            return Err(Usage::error(format!(
                "that would look at {} nodes, and more than {most} are not looked at unasked; name fewer pods, or use --max-nodes {} or --all-nodes",
                scope.nodes.len(),
                scope.nodes.len()
            )));
        }
        self.names_on(&mut scope).await;
        Ok(scope)
    }

    async fn target(&self, text: &str) -> Result<Target> {
        let named = Grammar::Cluster.destination(text)?;
        let mut target = Target {
            port: named.port,
            ..Target::default()
        };
        if let (Place::Object(object), None) = (&named.place, &named.port_name)
            && let Some(kind) = object.kind
            && !matches!(kind, Kind::Pod | Kind::Service | Kind::Node)
        {
            // All pods of a workload, not one of them.
            let namespace = object.namespace.as_deref().unwrap_or(&self.namespace);
            target.pods = self.pods_of(kind, namespace, &object.name).await?;
            return Ok(target);
        }
        match self.find(&named.place, Bare::PodElseService).await? {
            Thing::Pod { pod, .. } => {
                if !has_network(&pod) {
                    return Err(Usage::error(format!(
                        "pod {} does not run (its phase is {}), so it has no packets; name one that runs",
                        pod.full_name(),
                        pod.phase
                    )));
                }
                target.pods.push(pod);
            }
            Thing::Service { service, slices } => {
                let slices = slices.map_err(|refused| refused.fatal(&format!("reading the endpoints of {text}")))?;
                let named: Vec<_> = slices
                    .iter()
                    .flat_map(|slice| &slice.endpoints)
                    .filter_map(|endpoint| endpoint.target.as_ref())
                    .filter(|object| object.kind == "Pod")
                    .collect();
                let pods = self.pods(&service.namespace, None).await.unwrap_or_default();
                let behind = |pod: &Pod| named.iter().any(|object| object.name == pod.name);
                target.pods = pods.into_iter().filter(behind).collect();
                if target.pods.is_empty() {
                    return Err(Usage::error(format!(
                        "service {} has no pods behind it; ask `diagnose pod-to-service` why",
                        service.full_name()
                    )));
                }
                // Packets at the pods carry the pods' port.
                target.port = None;
            }
            Thing::Node(node) => target.node = Some(node.name),
            Thing::Address(address) => target.address = Some(address),
            Thing::NoService { object, .. } => {
                return Err(Usage::error(format!(
                    "there is no service `{}` in namespace {}",
                    object.name, object.namespace
                )));
            }
            Thing::Name(name) => {
                return Err(Usage::error(format!(
                    "`{name}` cannot be filtered for: packets carry addresses; name a pod, a workload or a node, or its address"
                )));
            }
        }
        Ok(target)
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
    async fn names_on(&self, scope: &mut Scope) {
        let unknown: Vec<&String> = scope
            .nodes
            .keys()
            .filter(|name| scope.inventory.node(name).is_none())
            .collect();
        let (nodes, pods, services) = tokio::join!(
            join_all(unknown.iter().map(|node| self.node(node))),
            join_all(scope.nodes.keys().map(|node| self.pods_on(node))),
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
        for pod in scope.nodes.values().flatten() {
            if !scope.inventory.pods.iter().any(|known| known.uid == pod.uid) {
                scope.inventory.pods.push(pod.clone());
            }
        }
    }
}

#[derive(Debug, Default)]
struct Target {
    pods: Vec<Pod>,
    node: Option<String>,
    address: Option<IpAddr>,
    port: Option<u16>,
}

impl Scope {
    fn take_pods(&mut self, pods: Vec<Pod>, only_on: &BTreeSet<String>, unasked: bool) -> Result<()> {
        let mut on_host = 0;
        for pod in pods.into_iter().filter(has_network) {
            if !only_on.is_empty() && !only_on.contains(&pod.node) {
                continue;
            }
            // Its namespace is the node's: all of the node would be shown with it.
            if pod.host_network && unasked {
                on_host += 1;
                continue;
            }
            let known = self.nodes.entry(pod.node.clone()).or_default();
            if !known.iter().any(|other| other.uid == pod.uid) {
                known.push(pod);
            }
        }
        if on_host > 0 {
            self.notes.push(format!(
                "left out: {on_host} pods on their node's network; look at them with --node NAME"
            ));
        }
        if self.nodes.is_empty() {
            return Err(Usage::error(
                "none of these pods has a network of its own there; name nodes with --node NAME or --all-nodes",
            ));
        }
        Ok(())
    }
}
