//! The objects of a cluster that a question touches, as its API told them: which pod an end is, which service was asked for,
//! who stands behind it.

use crate::case::Case;
use crate::kubernetes::selector;
use model::endpoint::Endpoint;
use model::evidence::{Evidence, Intent, NodeEvidence};
use model::inventory::{EndpointSlice, Inventory, ObjectRef, Pod, Port, Service, ServicePort, SliceEndpoint};
use model::missing::Missing;
use std::net::IpAddr;

/// A service that was asked for.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// All that was read.
    pub inventory: &'a Inventory,
    /// The service.
    pub service: &'a Service,
    /// Its port of that number and protocol; `None` where it has none.
    pub port: Option<&'a ServicePort>,
    /// It was asked for by a node's address.
    pub by_node: bool,
}

/// An address that a service's slices list for one of its ports.
#[derive(Clone, Copy, Debug)]
pub struct Backend<'a> {
    /// The address.
    pub address: IpAddr,
    /// Its port.
    pub port: u16,
    /// The slice.
    pub slice: &'a EndpointSlice,
    /// What the slice says of it.
    pub endpoint: &'a SliceEndpoint,
    /// The pod behind it, where it was read.
    pub pod: Option<&'a Pod>,
}

/// What the API said; `None` where the site has no API.
pub fn inventory<'a>(case: &Case<'a>) -> Option<&'a Inventory> {
    case.evidence.inventory.ok()
}

/// The pod that an end is.
pub fn pod_of<'a>(evidence: &'a Evidence, end: &Endpoint) -> Option<&'a Pod> {
    let inventory = evidence.inventory.ok()?;
    let by_uid = match &end.owner {
        model::owner::Owner::Pod { uid, .. } => inventory.pod_of_uid(uid),
        _ => None,
    };
    let named = |kind: &&ObjectRef| kind.kind == "Pod";
    by_uid
        .or_else(|| {
            let object = end.object.as_ref().filter(named)?;
            inventory.pod(&object.namespace, &object.name)
        })
        .or_else(|| {
            let (namespace, name) = end.name.split_once('/')?;
            inventory.pod(namespace, name)
        })
        .or_else(|| {
            end.addresses
                .iter()
                .find_map(|address| inventory.pods_at(*address).next())
        })
}

/// The pod whose network namespace it is; `None` for those of nodes, and where nothing tells.
pub fn pod_in(evidence: &Evidence, netns: u32) -> Option<&Pod> {
    let inventory = evidence.inventory.ok()?;
    if node_of_host(evidence, netns).is_some() {
        return None;
    }
    for end in [&evidence.source, &evidence.destination] {
        if end.netns == Some(netns)
            && let Some(pod) = pod_of(evidence, end)
        {
            return Some(pod);
        }
    }
    let Some(of) = evidence.netns(netns) else {
        // Nobody looked into it; what happened there may tell whose it is.
        return evidence
            .events
            .iter()
            .filter(|event| event.netns == netns)
            .find_map(|event| match &event.owner {
                model::owner::Owner::Pod { uid, .. } => inventory.pod_of_uid(uid),
                _ => None,
            });
    };
    let told = |pod: &&Pod| {
        of.name == pod.full_name() || (!pod.uid.is_empty() && of.name.strip_prefix("pod/") == Some(pod.uid.as_str()))
    };
    let own = of.before.addresses.ok().into_iter().flatten();
    inventory
        .pods
        .iter()
        .find(told)
        .or_else(|| own.flat_map(|own| inventory.pods_at(own.address)).next())
}

/// The node whose own namespace it is.
fn node_of_host(evidence: &Evidence, netns: u32) -> Option<&str> {
    let of = evidence.netns(netns).map(|netns| netns.node.as_str());
    let is_host =
        |node: &&NodeEvidence| node.host_netns == netns && netns != 0 && of.is_none_or(|own| own == node.name);
    evidence.nodes.iter().find(is_host).map(|node| node.name.as_str())
}

/// The name of a namespace in the cluster's words: its pod, or its node.
pub fn name_of(evidence: &Evidence, netns: u32) -> Option<String> {
    evidence.inventory.ok()?;
    match node_of_host(evidence, netns) {
        Some(node) => Some(node.to_owned()),
        None => pod_in(evidence, netns).map(Pod::full_name),
    }
}

/// What of the inventory was not read: the first of these kinds that says so.
pub fn unread(inventory: &Inventory, kinds: &[&str]) -> Option<Missing> {
    let about = |lack: &&Missing| kinds.iter().any(|kind| lack.what.to_lowercase().contains(kind));
    inventory.missing.iter().find(about).cloned()
}

/// The services that the question is about: the one that was named, those whose addresses were asked, for a lookup those of
/// the name servers.
pub fn services<'a>(case: &Case<'a>) -> Vec<Asked<'a>> {
    let evidence = case.evidence;
    let Some(inventory) = inventory(case) else {
        return Vec::new();
    };
    let dns = evidence.intent == Intent::Dns;
    let mut addresses = case.targets();
    match evidence.source.resolv.ok().filter(|_| dns) {
        Some(resolv) => addresses.extend(resolv.nameservers.iter().take(3)),
        None => addresses.extend(&evidence.destination.addresses),
    }
    let by_node = inventory
        .nodes
        .iter()
        .any(|node| node.addresses.iter().any(|own| addresses.contains(own)));
    let named = evidence
        .destination
        .object
        .as_ref()
        .filter(|object| object.kind == "Service");
    let is_asked = |service: &&Service| match named {
        Some(object) if !dns => (&object.namespace, &object.name) == (&service.namespace, &service.name),
        _ => addresses.iter().any(|address| has_address(service, *address)),
    };
    let number = evidence.destination.port.or_else(|| dns.then_some(53));
    let protocol = match evidence.protocol.as_str() {
        "" if dns => "udp",
        "" => "tcp",
        _ if dns => "udp",
        named => named,
    };
    let is_port = |port: &&ServicePort| {
        let own = if by_node { port.node_port } else { Some(port.port) };
        number.is_some() && own == number && port.protocol.eq_ignore_ascii_case(protocol)
    };
    let found = inventory.services.iter().filter(is_asked);
    found
        .map(|service| Asked {
            inventory,
            service,
            port: service.ports.iter().find(is_port),
            by_node,
        })
        .collect()
}

/// It is one of the service's addresses.
fn has_address(service: &Service, address: IpAddr) -> bool {
    service.cluster_ips.contains(&address)
        || service.external_ips.contains(&address)
        || service.load_balancer_ips.contains(&address)
}

impl<'a> Asked<'a> {
    /// Every address that the slices list for the port.
    pub fn backends(&self) -> Vec<Backend<'a>> {
        let Some(wanted) = self.port else {
            return Vec::new();
        };
        let mut backends = Vec::new();
        for slice in self.inventory.slices_of(self.service) {
            let of_port = |own: &&model::inventory::ContainerPort| {
                own.name == wanted.name && own.protocol.eq_ignore_ascii_case(&wanted.protocol)
            };
            let Some(port) = slice.ports.iter().find(of_port) else {
                continue;
            };
            for endpoint in &slice.endpoints {
                let pod = self.pod_behind(slice, endpoint);
                backends.extend(endpoint.addresses.iter().map(|address| Backend {
                    address: *address,
                    port: port.port,
                    slice,
                    endpoint,
                    pod,
                }));
            }
        }
        backends
    }

    fn pod_behind(&self, slice: &EndpointSlice, endpoint: &SliceEndpoint) -> Option<&'a Pod> {
        let named = endpoint.target.as_ref().filter(|target| target.kind == "Pod");
        match named {
            Some(target) => {
                let namespace = if target.namespace.is_empty() {
                    &slice.namespace
                } else {
                    &target.namespace
                };
                self.inventory.pod(namespace, &target.name)
            }
            None => endpoint
                .addresses
                .iter()
                .find_map(|address| self.inventory.pods_at(*address).next()),
        }
    }

    /// Those that get connections: the ready ones, and where there is none, those that still serve while they end.
    pub fn usable(&self) -> Vec<Backend<'a>> {
        let all = self.backends();
        let ready = |backend: &&Backend<'_>| backend.endpoint.ready || self.service.publish_not_ready;
        let usable: Vec<Backend<'a>> = all.iter().filter(ready).copied().collect();
        if !usable.is_empty() {
            return usable;
        }
        let ending = |backend: &Backend<'_>| backend.endpoint.serving && backend.endpoint.terminating;
        all.into_iter().filter(ending).collect()
    }

    /// The pods that its selector selects; none where it has no selector.
    pub fn selected(&self) -> Vec<&'a Pod> {
        let selector = &self.service.selector;
        let of_it = |pod: &&Pod| {
            !selector.is_empty() && pod.namespace == self.service.namespace && selector::has_all(selector, &pod.labels)
        };
        self.inventory.pods.iter().filter(of_it).collect()
    }

    /// `service shop/web`, with its port where that is asked for.
    pub fn words(&self) -> String {
        format!("service {}", self.service.full_name())
    }
}

/// The numbers that a target port has in a pod.
pub fn target_numbers(pod: &Pod, port: &ServicePort) -> Vec<u16> {
    match &port.target {
        Port::Number(number) => vec![*number],
        Port::Name(name) => pod
            .containers
            .iter()
            .flat_map(|container| &container.ports)
            .filter(|own| own.name == *name && own.protocol.eq_ignore_ascii_case(&port.protocol))
            .map(|own| own.port)
            .collect(),
    }
}

/// The attempts that failed and came, as far as was seen, to this address; those whose address was never translated came to none.
pub fn failed_at(case: &Case<'_>, address: IpAddr) -> Vec<u32> {
    let came_there = |id: &u32| case.trail.forms(*id).last().is_some_and(|form| form.dst() == address);
    let mut ids: Vec<u32> = case.failed_ids().into_iter().filter(came_there).collect();
    ids.dedup();
    ids
}

/// Why a pod is not ready or not there, in a few words: what its containers wait for, else its conditions.
pub fn not_ready(inventory: &Inventory, pod: &Pod) -> Option<String> {
    let node = inventory.node(&pod.node).filter(|node| !node.ready);
    if let Some(node) = node {
        return Some(format!("its node {} is not ready", node.name));
    }
    if pod.terminating {
        return Some("it is being deleted".to_owned());
    }
    let stuck = pod
        .containers
        .iter()
        .find_map(|container| match container.state.as_str() {
            "waiting" if !container.reason.is_empty() => {
                Some(format!("container {} waits: {}", container.name, container.reason))
            }
            "terminated" if !container.init => {
                let code = container
                    .exit_code
                    .map_or(String::new(), |code| format!(", exit code {code}"));
                Some(format!(
                    "container {} has ended: {}{code}",
                    container.name, container.reason
                ))
            }
            _ => None,
        });
    if stuck.is_some() {
        return stuck;
    }
    if !matches!(pod.phase.as_str(), "Running" | "") {
        let reason = if pod.reason.is_empty() {
            String::new()
        } else {
            format!(" ({})", pod.reason)
        };
        return Some(format!("its phase is {}{reason}", pod.phase));
    }
    if pod.ready {
        return None;
    }
    let unready: Vec<&str> = pod
        .containers
        .iter()
        .filter(|container| !container.ready && !container.init)
        .map(|container| container.name.as_str())
        .collect();
    Some(match unready.as_slice() {
        [] if pod.reason.is_empty() => "its condition Ready is false".to_owned(),
        [] => format!("its condition Ready is false: {}", pod.reason),
        names => format!(
            "container {} runs and is not ready (its readiness probe fails)",
            names.join(", ")
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::name_of;
    use crate::judge;
    use crate::scenes;
    use crate::scenes::cluster::Cluster;

    #[test]
    fn namespaces_are_called_by_their_pods_and_nodes() {
        let mut cluster = Cluster::pods();
        for netns in &mut cluster.scene.evidence.netns {
            netns.name = format!("netns {}", netns.id);
        }
        let names = [scenes::A, scenes::X, scenes::Y, scenes::C].map(|id| name_of(cluster.evidence(), id).unwrap());
        assert_eq!(names, ["shop/a", "x", "y", "shop/web-1"]);
        // A pod that is no end is known by its address.
        cluster.scene.evidence.destination = model::endpoint::Endpoint::default();
        assert_eq!(name_of(cluster.evidence(), scenes::C).as_deref(), Some("shop/web-1"));
    }

    #[test]
    fn verdicts_speak_of_pods_and_say_on_which_node_to_act() {
        let mut cluster = Cluster::pods();
        cluster.scene.evidence.destination.pid = Some(4711);
        cluster
            .scene
            .dropped(3, scenes::C, "eth0", "NETFILTER_DROP", "nf_hook_slow");
        let drops = &judge(cluster.evidence()).verdicts[0];
        assert_eq!(drops.place.pod.as_deref(), Some("shop/web-1"));
        let mut cluster = Cluster::pods();
        let rule = model::facts::NetfilterRule {
            action: model::facts::Action::Drop,
            ..model::facts::NetfilterRule::default()
        };
        let rules = scenes::one_rule("filter", "FORWARD", rule);
        cluster.scene.facts(scenes::Y, |facts| {
            facts.netfilter = model::missing::Known::Known(rules.clone());
        });
        cluster
            .scene
            .dropped(3, scenes::Y, "up0", "NETFILTER_DROP", "nf_hook_slow");
        let judgement = judge(cluster.evidence());
        let verdict = &judgement.verdicts[0];
        assert_eq!(
            (verdict.place.node.as_deref(), verdict.place.pod.as_deref()),
            (Some("y"), None)
        );
        assert!(
            verdict
                .remedy
                .starts_with("on node y: delete the rule: `iptables-legacy -t filter"),
            "{}",
            verdict.remedy
        );
        assert!(
            judgement
                .headline
                .starts_with("shop/a cannot reach shop/web-1:80/tcp: "),
            "{}",
            judgement.headline
        );
    }
}
