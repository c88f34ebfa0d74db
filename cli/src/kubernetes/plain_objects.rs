//! The plain structs of the evidence, made of objects as the API gives them. Pure; nothing is judged.

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1 as discovery;
use k8s_openapi::api::networking::v1 as networking;
use k8s_openapi::apimachinery::pkg::apis::meta::v1 as meta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use model::inventory::{
    Container, ContainerPort, EndpointSlice, IpBlock, LabelExpression, LabelSelector, NetworkPolicy, Node, Pod,
    PodWarning, PolicyPeer, PolicyPort, PolicyRule, Port, Service, ServicePort, SliceEndpoint,
};
use model::object_ref::ObjectRef;
use std::net::IpAddr;

/// The label by which a slice names its service.
pub const SERVICE_NAME: &str = "kubernetes.io/service-name";
/// The label by which a slice names who keeps it.
const MANAGED_BY: &str = "endpointslice.kubernetes.io/managed-by";

/// A pod.
#[must_use]
pub fn pod(pod: core::Pod) -> Pod {
    let (meta, spec, status) = (
        pod.metadata,
        pod.spec.unwrap_or_default(),
        pod.status.unwrap_or_default(),
    );
    let conditions = status.conditions.unwrap_or_default();
    let ready = conditions
        .iter()
        .any(|condition| condition.type_ == "Ready" && condition.status == "True");
    // What keeps it from being scheduled comes before what keeps it from being ready.
    let hindrance = ["PodScheduled", "Initialized", "ContainersReady", "Ready"]
        .iter()
        .find_map(|wanted| {
            conditions
                .iter()
                .find(|condition| condition.type_ == *wanted && condition.status != "True")
        });
    let hindrance = hindrance.filter(|_| status.reason.is_none());
    let mut addresses = parsed(status.pod_ips.unwrap_or_default().into_iter().map(|one| one.ip));
    if addresses.is_empty() {
        addresses = parsed(status.pod_ip);
    }
    let (init_statuses, statuses) = (
        status.init_container_statuses.unwrap_or_default(),
        status.container_statuses.unwrap_or_default(),
    );
    let init = spec.init_containers.unwrap_or_default().into_iter();
    let containers = init
        .map(|one| container(one, true, &init_statuses))
        .chain(spec.containers.into_iter().map(|one| container(one, false, &statuses)))
        .collect();
    Pod {
        workload: workload(&meta),
        namespace: meta.namespace.unwrap_or_default(),
        name: meta.name.unwrap_or_default(),
        uid: meta.uid.unwrap_or_default(),
        labels: meta.labels.unwrap_or_default(),
        node: spec.node_name.unwrap_or_default(),
        service_account: spec.service_account_name.unwrap_or_default(),
        addresses,
        host_network: spec.host_network.unwrap_or_default(),
        phase: status.phase.unwrap_or_default(),
        ready,
        reason: status
            .reason
            .or_else(|| hindrance.and_then(|condition| condition.reason.clone()))
            .unwrap_or_default(),
        message: status
            .message
            .or_else(|| hindrance.and_then(|condition| condition.message.clone()))
            .unwrap_or_default(),
        started_at_s: status
            .start_time
            .or(meta.creation_timestamp)
            .map(|moment| moment.0.as_second()),
        terminating: meta.deletion_timestamp.is_some(),
        dns_policy: spec.dns_policy.unwrap_or_default(),
        dns_nameservers: spec
            .dns_config
            .and_then(|config| config.nameservers)
            .unwrap_or_default(),
        containers,
        warnings: Vec::new(),
    }
}

/// Puts events in order, those that happened last first.
pub fn newest_first(events: &mut [core::Event]) {
    let seconds = |event: &core::Event| {
        let last = event.last_timestamp.as_ref().map(|moment| moment.0.as_second());
        let series = event
            .series
            .as_ref()
            .and_then(|series| series.last_observed_time.as_ref());
        let series = series.map(|moment| moment.0.as_second());
        last.max(series)
            .max(event.event_time.as_ref().map(|moment| moment.0.as_second()))
    };
    events.sort_by_key(|event| std::cmp::Reverse(seconds(event)));
}

/// What events say, the newest first, each reason once.
pub fn warnings(mut events: Vec<core::Event>) -> Vec<PodWarning> {
    newest_first(&mut events);
    let mut warnings: Vec<PodWarning> = Vec::new();
    for event in events {
        let component = event.source.and_then(|source| source.component);
        let warning = PodWarning {
            component: component.or(event.reporting_component).unwrap_or_default(),
            reason: event.reason.unwrap_or_default(),
            message: event.message.unwrap_or_default(),
        };
        if !warnings.iter().any(|known| known.reason == warning.reason) {
            warnings.push(warning);
        }
    }
    warnings
}

/// The label by which a Deployment tells its `ReplicaSets` apart; their names end with its value.
const TEMPLATE_HASH: &str = "pod-template-hash";

/// What keeps a pod.
fn workload(pod: &meta::ObjectMeta) -> Option<ObjectRef> {
    let mut owners = pod.owner_references.iter().flatten();
    let controller = owners.find(|owner| owner.controller == Some(true))?;
    let hash = pod.labels.iter().flatten().find(|(label, _)| *label == TEMPLATE_HASH);
    let of_deployment = hash.filter(|_| controller.kind == "ReplicaSet").and_then(|(_, hash)| {
        let name = controller.name.strip_suffix(hash.as_str())?;
        name.strip_suffix('-')
    });
    let (kind, name) = match of_deployment {
        Some(deployment) => ("Deployment", deployment),
        None => (controller.kind.as_str(), controller.name.as_str()),
    };
    Some(ObjectRef {
        kind: kind.to_owned(),
        namespace: pod.namespace.clone().unwrap_or_default(),
        name: name.to_owned(),
    })
}

fn container(container: core::Container, init: bool, statuses: &[core::ContainerStatus]) -> Container {
    let ports = container
        .ports
        .unwrap_or_default()
        .into_iter()
        .map(|port| ContainerPort {
            name: port.name.unwrap_or_default(),
            port: port_number(port.container_port),
            protocol: protocol(port.protocol),
        });
    let mut known = Container {
        ports: ports.collect(),
        name: container.name,
        init,
        ..Container::default()
    };
    let Some(status) = statuses.iter().find(|status| status.name == known.name) else {
        return known;
    };
    known.id = status
        .container_id
        .as_deref()
        .map(|id| id.rsplit("//").next().unwrap_or_default().to_owned())
        .unwrap_or_default();
    known.ready = status.ready;
    known.restarts = status.restart_count.try_into().unwrap_or_default();
    let state = status.state.clone().unwrap_or_default();
    let ended = |state: Option<&core::ContainerState>| {
        state
            .and_then(|state| state.terminated.as_ref())
            .map(|end| end.exit_code)
    };
    known.exit_code = ended(status.state.as_ref()).or_else(|| ended(status.last_state.as_ref()));
    let (word, reason, message) = match (state.running, state.waiting, state.terminated) {
        (Some(_), ..) => ("running", None, None),
        (_, Some(waiting), _) => ("waiting", waiting.reason, waiting.message),
        (.., Some(end)) => ("terminated", end.reason, end.message),
        _ => ("", None, None),
    };
    word.clone_into(&mut known.state);
    known.reason = reason.unwrap_or_default();
    known.message = message.unwrap_or_default();
    known
}

/// A service.
#[must_use]
pub fn service(service: core::Service) -> Service {
    let (meta, spec) = (service.metadata, service.spec.unwrap_or_default());
    let ingress = service
        .status
        .and_then(|status| status.load_balancer)
        .and_then(|balancer| balancer.ingress)
        .unwrap_or_default();
    let first = spec.cluster_ip.unwrap_or_default();
    let mut cluster_ips = parsed(spec.cluster_ips.unwrap_or_default());
    if cluster_ips.is_empty() {
        cluster_ips = parsed(Some(first.clone()));
    }
    let policy = |policy: Option<String>| {
        policy
            .filter(|policy| !policy.is_empty())
            .unwrap_or_else(|| "Cluster".into())
    };
    Service {
        namespace: meta.namespace.unwrap_or_default(),
        name: meta.name.unwrap_or_default(),
        kind: spec.type_.unwrap_or_else(|| "ClusterIP".into()),
        cluster_ips,
        headless: first == "None",
        external_ips: parsed(spec.external_ips.unwrap_or_default()),
        load_balancer_ips: parsed(ingress.into_iter().filter_map(|ingress| ingress.ip)),
        external_name: spec.external_name.filter(|name| !name.is_empty()),
        selector: spec.selector.unwrap_or_default(),
        ports: spec
            .ports
            .unwrap_or_default()
            .into_iter()
            .map(|port| ServicePort {
                name: port.name.unwrap_or_default(),
                protocol: protocol(port.protocol),
                port: port_number(port.port),
                target: port
                    .target_port
                    .map_or_else(|| Port::Number(port_number(port.port)), any_port),
                node_port: port.node_port.map(port_number).filter(|port| *port > 0),
            })
            .collect(),
        internal_traffic_policy: policy(spec.internal_traffic_policy),
        external_traffic_policy: policy(spec.external_traffic_policy),
        publish_not_ready: spec.publish_not_ready_addresses.unwrap_or_default(),
    }
}

/// A slice.
#[must_use]
pub fn slice(slice: discovery::EndpointSlice) -> EndpointSlice {
    let meta = slice.metadata;
    let mut labels = meta.labels.unwrap_or_default();
    EndpointSlice {
        namespace: meta.namespace.unwrap_or_default(),
        name: meta.name.unwrap_or_default(),
        service: labels.remove(SERVICE_NAME).unwrap_or_default(),
        managed_by: labels.remove(MANAGED_BY).unwrap_or_default(),
        ports: slice
            .ports
            .unwrap_or_default()
            .into_iter()
            .map(|port| ContainerPort {
                name: port.name.unwrap_or_default(),
                port: port.port.map(port_number).unwrap_or_default(),
                protocol: protocol(port.protocol),
            })
            .collect(),
        endpoints: slice.endpoints.into_iter().map(slice_endpoint).collect(),
    }
}

fn slice_endpoint(endpoint: discovery::Endpoint) -> SliceEndpoint {
    let conditions = endpoint.conditions.unwrap_or_default();
    // discovery.k8s.io/v1: unknown is to be taken as true, and for `serving` as what `ready` says.
    let ready = conditions.ready.unwrap_or(true);
    SliceEndpoint {
        addresses: parsed(endpoint.addresses),
        ready,
        serving: conditions.serving.unwrap_or(ready),
        terminating: conditions.terminating.unwrap_or_default(),
        node: endpoint.node_name.unwrap_or_default(),
        target: endpoint.target_ref.map(|target| ObjectRef {
            kind: target.kind.unwrap_or_default(),
            namespace: target.namespace.unwrap_or_default(),
            name: target.name.unwrap_or_default(),
        }),
    }
}

/// A node. The age of its Lease is read by another call.
#[must_use]
pub fn node(node: core::Node) -> Node {
    let (meta, status) = (node.metadata, node.status.unwrap_or_default());
    let info = status.node_info.unwrap_or_default();
    let addresses = status.addresses.unwrap_or_default();
    let of = |kind: &'static str| {
        parsed(
            addresses
                .iter()
                .filter(move |address| address.type_ == kind)
                .map(|one| one.address.clone()),
        )
    };
    let mut known = of("InternalIP");
    known.extend(of("ExternalIP"));
    let conditions = status.conditions.unwrap_or_default();
    let condition = |kind: &str| conditions.iter().find(|condition| condition.type_ == kind);
    let reason_of = |condition: Option<&core::NodeCondition>| condition.and_then(|one| one.reason.clone());
    let ready = condition("Ready");
    Node {
        name: meta.name.unwrap_or_default(),
        addresses: known,
        ready: ready.is_some_and(|ready| ready.status == "True"),
        reason: reason_of(ready).unwrap_or_default(),
        message: ready.and_then(|ready| ready.message.clone()).unwrap_or_default(),
        network_reason: reason_of(condition("NetworkUnavailable")).unwrap_or_default(),
        lease_age_s: None,
        arch: info.architecture,
        os: info.operating_system,
        kernel: info.kernel_version,
        boot_id: info.boot_id,
        kubelet_port: status
            .daemon_endpoints
            .and_then(|daemons| daemons.kubelet_endpoint)
            .map(|kubelet| port_number(kubelet.port))
            .filter(|port| *port > 0),
        pod_cidrs: node.spec.and_then(|spec| spec.pod_cidrs).unwrap_or_default(),
    }
}

/// A policy.
#[must_use]
pub fn policy(policy: networking::NetworkPolicy) -> NetworkPolicy {
    let (meta, spec) = (policy.metadata, policy.spec.unwrap_or_default());
    let ingress = spec.ingress.unwrap_or_default().into_iter();
    let egress = spec.egress.unwrap_or_default().into_iter();
    NetworkPolicy {
        namespace: meta.namespace.unwrap_or_default(),
        name: meta.name.unwrap_or_default(),
        pod_selector: spec.pod_selector.map(selector).unwrap_or_default(),
        policy_types: spec.policy_types.unwrap_or_default(),
        ingress: ingress.map(|one| rule(one.from, one.ports)).collect(),
        egress: egress.map(|one| rule(one.to, one.ports)).collect(),
    }
}

fn rule(
    peers: Option<Vec<networking::NetworkPolicyPeer>>,
    ports: Option<Vec<networking::NetworkPolicyPort>>,
) -> PolicyRule {
    let peer = |peer: networking::NetworkPolicyPeer| PolicyPeer {
        pod_selector: peer.pod_selector.map(selector),
        namespace_selector: peer.namespace_selector.map(selector),
        ip_block: peer.ip_block.map(|block| IpBlock {
            cidr: block.cidr,
            except: block.except.unwrap_or_default(),
        }),
    };
    let port = |port: networking::NetworkPolicyPort| PolicyPort {
        protocol: protocol(port.protocol),
        port: port.port.map(any_port),
        end_port: port.end_port.map(port_number),
    };
    PolicyRule {
        peers: peers.unwrap_or_default().into_iter().map(peer).collect(),
        ports: ports.unwrap_or_default().into_iter().map(port).collect(),
    }
}

fn selector(selector: meta::LabelSelector) -> LabelSelector {
    LabelSelector {
        match_labels: selector.match_labels.unwrap_or_default(),
        match_expressions: selector
            .match_expressions
            .unwrap_or_default()
            .into_iter()
            .map(|one| LabelExpression {
                key: one.key,
                operator: one.operator,
                values: one.values.unwrap_or_default(),
            })
            .collect(),
    }
}

/// Addresses, without what is none (`None` of a headless service).
fn parsed(texts: impl IntoIterator<Item = String>) -> Vec<IpAddr> {
    texts.into_iter().filter_map(|text| text.parse().ok()).collect()
}

/// The API server refuses what is no port; 0 stands for what should not be there.
fn port_number(port: i32) -> u16 {
    port.try_into().unwrap_or_default()
}

fn any_port(port: IntOrString) -> Port {
    match port {
        IntOrString::Int(number) => Port::Number(port_number(number)),
        IntOrString::String(name) => Port::Name(name),
    }
}

/// TCP where the API says nothing.
fn protocol(protocol: Option<String>) -> String {
    protocol.unwrap_or_else(|| "TCP".into())
}

#[cfg(test)]
mod tests {
    use super::{node, pod, policy, service, slice};
    use model::inventory::Port;
    use serde_json::json;

    #[test]
    fn a_running_pod_keeps_its_addresses_ports_and_containers() {
        let pod = pod(serde_json::from_value(json!({
            "metadata": {"name": "web-1", "namespace": "shop", "uid": "ce7a", "labels": {"app": "web"},
                         "creationTimestamp": "2026-01-01T00:00:00Z"},
            "spec": {
                "nodeName": "n1", "dnsPolicy": "ClusterFirst",
                "initContainers": [{"name": "setup"}],
                "containers": [{"name": "c", "ports": [{"name": "http", "containerPort": 8080}]}],
            },
            "status": {
                "phase": "Running", "podIP": "10.244.1.3", "podIPs": [{"ip": "10.244.1.3"}, {"ip": "fd00::3"}],
                "conditions": [{"type": "PodScheduled", "status": "True"}, {"type": "Ready", "status": "True"}],
                "containerStatuses": [{
                    "name": "c", "ready": true, "restartCount": 2, "image": "", "imageID": "",
                    "containerID": "containerd://abc", "state": {"running": {}},
                    "lastState": {"terminated": {"exitCode": 137, "reason": "OOMKilled"}},
                }],
            },
        }))
        .unwrap());
        assert_eq!(
            pod.addresses,
            [
                "10.244.1.3".parse::<std::net::IpAddr>().unwrap(),
                "fd00::3".parse().unwrap()
            ]
        );
        assert!(pod.ready && !pod.terminating && pod.reason.is_empty());
        assert_eq!(pod.started_at_s, Some(1_767_225_600));
        let [setup, container] = &pod.containers[..] else {
            panic!("{:?}", pod.containers)
        };
        assert!(setup.init && setup.state.is_empty());
        assert_eq!(
            (container.id.as_str(), container.restarts, container.exit_code),
            ("abc", 2, Some(137))
        );
        assert_eq!(
            (container.ports[0].port, container.ports[0].protocol.as_str()),
            (8080, "TCP")
        );
    }

    #[test]
    fn what_keeps_a_pod_from_running_is_told_by_its_first_unmet_condition() {
        let pod = |status: serde_json::Value| {
            pod(serde_json::from_value(
                json!({"metadata": {}, "spec": {"containers": [{"name": "c"}]}, "status": status}),
            )
            .unwrap())
        };
        let unscheduled = pod(json!({"phase": "Pending", "conditions": [
            {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/2 nodes are available"}]}));
        assert_eq!(unscheduled.reason, "Unschedulable");
        let pulling = pod(json!({"phase": "Pending", "conditions": [
            {"type": "Ready", "status": "False", "reason": "ContainersNotReady"}],
            "containerStatuses": [{"name": "c", "ready": false, "restartCount": 0, "image": "", "imageID": "",
                "state": {"waiting": {"reason": "ImagePullBackOff", "message": "Back-off"}}}]}));
        assert_eq!(
            (pulling.reason.as_str(), pulling.containers[0].reason.as_str()),
            ("ContainersNotReady", "ImagePullBackOff")
        );
        let evicted = pod(json!({"phase": "Failed", "reason": "Evicted", "message": "low on memory"}));
        assert_eq!(
            (evicted.reason.as_str(), evicted.message.as_str()),
            ("Evicted", "low on memory")
        );
    }

    #[test]
    fn a_service_has_its_addresses_and_ports_and_a_headless_one_has_none() {
        let made =
            |spec: serde_json::Value| service(serde_json::from_value(json!({"metadata": {}, "spec": spec})).unwrap());
        let web = made(
            json!({"type": "NodePort", "clusterIP": "10.96.0.7", "clusterIPs": ["10.96.0.7"],
            "ports": [{"name": "http", "port": 80, "targetPort": "http", "nodePort": 30080}, {"port": 53, "protocol": "UDP"}]}),
        );
        assert_eq!(web.ports[0].target, Port::Name("http".into()));
        assert_eq!(
            (web.ports[0].node_port, &web.ports[1].target),
            (Some(30080), &Port::Number(53))
        );
        assert_eq!((web.headless, web.internal_traffic_policy.as_str()), (false, "Cluster"));
        let headless = made(json!({"clusterIP": "None", "clusterIPs": ["None"]}));
        assert!(headless.headless && headless.cluster_ips.is_empty());
    }

    #[test]
    fn conditions_a_slice_does_not_tell_are_what_the_api_says_they_mean() {
        let slice = slice(
            serde_json::from_value(json!({
                "metadata": {"name": "web-x", "labels": {"kubernetes.io/service-name": "web"}}, "addressType": "IPv4",
                "ports": [{"name": "", "port": 8080, "protocol": "TCP"}],
                "endpoints": [
                    {"addresses": ["10.244.2.3"]},
                    {"addresses": ["10.244.2.4"], "conditions": {"ready": false, "terminating": true},
                     "targetRef": {"kind": "Pod", "namespace": "t", "name": "b"}},
                ],
            }))
            .unwrap(),
        );
        assert_eq!((slice.service.as_str(), slice.managed_by.as_str()), ("web", ""));
        let [unknown, leaving] = &slice.endpoints[..] else {
            panic!("{slice:?}")
        };
        assert!(unknown.ready && unknown.serving && !unknown.terminating);
        assert!(!leaving.ready && !leaving.serving && leaving.terminating);
    }

    #[test]
    fn a_policy_keeps_the_difference_between_no_peers_and_a_peer_that_selects_all() {
        let policy = policy(serde_json::from_value(json!({
            "metadata": {"name": "p"},
            "spec": {"podSelector": {}, "ingress": [
                {"ports": [{"port": "http"}, {"port": 8000, "endPort": 8010, "protocol": "UDP"}]},
                {"from": [{"namespaceSelector": {}}, {"ipBlock": {"cidr": "10.0.0.0/8", "except": ["10.1.0.0/16"]}}]},
            ]},
        })).unwrap());
        assert!(policy.policy_types.is_empty() && policy.egress.is_empty());
        let [ports, peers] = &policy.ingress[..] else {
            panic!("{policy:?}")
        };
        assert!(ports.peers.is_empty());
        assert_eq!(
            (ports.ports[1].port.clone(), ports.ports[1].end_port),
            (Some(Port::Number(8000)), Some(8010))
        );
        assert!(peers.peers[0].namespace_selector.is_some() && peers.peers[0].pod_selector.is_none());
        assert_eq!(peers.peers[1].ip_block.as_ref().unwrap().except, ["10.1.0.0/16"]);
    }

    #[test]
    fn a_nodes_internal_address_comes_first() {
        let node = node(serde_json::from_value(json!({
            "metadata": {"name": "n1"}, "spec": {"podCIDRs": ["10.244.1.0/24"]},
            "status": {
                "addresses": [{"type": "ExternalIP", "address": "198.51.100.1"}, {"type": "Hostname", "address": "n1"},
                    {"type": "InternalIP", "address": "10.200.0.11"}],
                "conditions": [{"type": "Ready", "status": "Unknown", "reason": "NodeStatusUnknown"}],
                "daemonEndpoints": {"kubeletEndpoint": {"Port": 10250}},
            },
        })).unwrap());
        assert_eq!(node.addresses[0].to_string(), "10.200.0.11");
        assert_eq!(
            (node.ready, node.reason.as_str(), node.kubelet_port),
            (false, "NodeStatusUnknown", Some(10250))
        );
    }
}
