//! What a cluster's API said of the objects that a question touches: plain structs, nothing judged.
//!
//! Names, labels and fields keep the meaning that the Kubernetes API gives them (v1.28 and later); what the API leaves
//! out is `None` or empty, never a default of ours.

use crate::missing::{Known, Missing};
use crate::object_ref::ObjectRef;
use crate::policy_objects::PolicyObjects;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::net::IpAddr;

/// All that was read. Objects that nobody asked about are not here; what could not be read says why.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Inventory {
    /// The context of the kubeconfig, or `in-cluster`.
    pub context: String,
    /// Version of the API server (`v1.36.3`); empty when it was not told.
    pub version: String,
    /// When it was read, by the API server's clock, in seconds since 1970; `None` when that was not told.
    pub read_at_s: Option<i64>,
    /// Pods: those named, those behind the services named, and those of watched nodes.
    pub pods: Vec<Pod>,
    /// Services: those named, and the cluster's DNS.
    pub services: Vec<Service>,
    /// `EndpointSlices` of these services.
    pub slices: Vec<EndpointSlice>,
    /// Nodes of either end and of the endpoints.
    pub nodes: Vec<Node>,
    /// `NetworkPolicies` of the namespaces of either end.
    pub policies: Known<Vec<NetworkPolicy>>,
    /// Namespaces with their labels: those of either end, which policies' selectors are held against.
    pub namespaces: Known<Vec<Namespace>>,
    /// Policies of other kinds that bear on either end (`CiliumNetworkPolicy`, Calico's, `AdminNetworkPolicy`).
    pub policy_objects: PolicyObjects,
    /// Policies of kinds, or of versions of kinds, that exist and are not evaluated (Antrea's).
    pub other_policies: Vec<ObjectRef>,
    /// What could not be read, and why.
    pub missing: Vec<Missing>,
}

/// A pod.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Pod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// UID, which its cgroups carry.
    pub uid: String,
    /// Labels.
    pub labels: BTreeMap<String, String>,
    /// What keeps it: the controller of its `ownerReferences`; of a Deployment's `ReplicaSet` the Deployment.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub workload: Option<ObjectRef>,
    /// Node it is bound to; empty when it is not scheduled.
    pub node: String,
    /// `status.podIPs`.
    pub addresses: Vec<IpAddr>,
    /// It lives in its node's network namespace.
    pub host_network: bool,
    /// `status.phase`: `Pending`, `Running`, `Succeeded`, `Failed`, `Unknown`.
    pub phase: String,
    /// The condition `Ready` is true.
    pub ready: bool,
    /// `status.reason` (`Evicted`), or that of the condition that keeps it from being ready or scheduled.
    pub reason: String,
    /// The message beside it.
    pub message: String,
    /// When its node took it on (`status.startTime`, else `metadata.creationTimestamp`), in seconds since 1970.
    pub started_at_s: Option<i64>,
    /// It is being deleted (`metadata.deletionTimestamp`).
    pub terminating: bool,
    /// `spec.serviceAccountName`; empty where it was not told.
    pub service_account: String,
    /// `spec.dnsPolicy`.
    pub dns_policy: String,
    /// `spec.dnsConfig.nameservers`.
    pub dns_nameservers: Vec<String>,
    /// Its containers, init containers (with `init` set) first.
    pub containers: Vec<Container>,
    /// What events of type `Warning` say about it, the newest first; read only of a pod that is not ready.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<PodWarning>,
}

/// An event of type `Warning` about a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PodWarning {
    /// Who says it: `kubelet`, `default-scheduler`.
    pub component: String,
    /// In one word: `FailedMount`, `FailedCreatePodSandBox`, `FailedScheduling`.
    pub reason: String,
    /// In its own words.
    pub message: String,
}

/// A container of a pod.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Container {
    /// Name.
    pub name: String,
    /// Its id at the runtime, without the scheme; empty before it was made.
    pub id: String,
    /// It runs before the others (an init container; `restartPolicy: Always` makes it a sidecar).
    pub init: bool,
    /// Declared ports.
    pub ports: Vec<ContainerPort>,
    /// It passes its readiness probe.
    pub ready: bool,
    /// How often it was restarted.
    pub restarts: u32,
    /// `running`, `waiting`, `terminated`; empty when the kubelet has not told.
    pub state: String,
    /// Why it waits or ended (`ImagePullBackOff`, `CrashLoopBackOff`, `OOMKilled`).
    pub reason: String,
    /// The message beside it.
    pub message: String,
    /// Exit code of its last end.
    pub exit_code: Option<i32>,
}

/// A declared port.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ContainerPort {
    /// Name; empty where it has none.
    pub name: String,
    /// Number.
    pub port: u16,
    /// `TCP`, `UDP`, `SCTP`.
    pub protocol: String,
}

/// A port by number or by name (`IntOrString`).
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Port {
    /// A number.
    Number(u16),
    /// A name, which each pod's containers resolve for themselves.
    Name(String),
}

/// A service.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Service {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `ClusterIP`, `NodePort`, `LoadBalancer`, `ExternalName`.
    pub kind: String,
    /// `spec.clusterIPs`; empty for a headless service.
    pub cluster_ips: Vec<IpAddr>,
    /// `clusterIP: None`.
    pub headless: bool,
    /// `spec.externalIPs`.
    pub external_ips: Vec<IpAddr>,
    /// Addresses of `status.loadBalancer.ingress`.
    pub load_balancer_ips: Vec<IpAddr>,
    /// `spec.externalName`.
    pub external_name: Option<String>,
    /// `spec.selector`; empty when endpoints are made by somebody else.
    pub selector: BTreeMap<String, String>,
    /// Ports.
    pub ports: Vec<ServicePort>,
    /// `Cluster` or `Local`; `Cluster` where the API says nothing.
    pub internal_traffic_policy: String,
    /// `Cluster` or `Local`; `Cluster` where the API says nothing.
    pub external_traffic_policy: String,
    /// `spec.publishNotReadyAddresses`.
    pub publish_not_ready: bool,
}

/// A port of a service.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct ServicePort {
    /// Name; empty where it has none.
    #[serde(default)]
    pub name: String,
    /// `TCP`, `UDP`, `SCTP`.
    pub protocol: String,
    /// The service's port.
    pub port: u16,
    /// The pods' port.
    pub target: Port,
    /// The nodes' port.
    #[serde(default)]
    pub node_port: Option<u16>,
}

/// An `EndpointSlice` (`discovery.k8s.io/v1`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct EndpointSlice {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The service it belongs to (`kubernetes.io/service-name`).
    pub service: String,
    /// Who keeps it (`endpointslice.kubernetes.io/managed-by`); empty for one made by hand.
    pub managed_by: String,
    /// Ports: name, number, protocol.
    pub ports: Vec<ContainerPort>,
    /// Endpoints.
    pub endpoints: Vec<SliceEndpoint>,
}

/// An endpoint of a slice.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct SliceEndpoint {
    /// Addresses.
    pub addresses: Vec<IpAddr>,
    /// Condition `ready`; true where the API says nothing.
    pub ready: bool,
    /// Condition `serving`; that of `ready` where the API says nothing.
    pub serving: bool,
    /// Condition `terminating`.
    pub terminating: bool,
    /// Node it is on; empty when not told.
    pub node: String,
    /// The object behind it.
    pub target: Option<ObjectRef>,
}

/// A node.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Node {
    /// Name.
    pub name: String,
    /// `InternalIP` and `ExternalIP` addresses, internal ones first.
    pub addresses: Vec<IpAddr>,
    /// The condition `Ready` is true.
    pub ready: bool,
    /// Reason of that condition (`KubeletReady`, `NodeStatusUnknown`).
    pub reason: String,
    /// The message beside it.
    pub message: String,
    /// Reason of the condition `NetworkUnavailable`, which some network plug-ins set (`FlannelIsUp`); empty where there is none.
    pub network_reason: String,
    /// Age of the node's Lease, in seconds by the API server's clock; `None` when it could not be read.
    pub lease_age_s: Option<u64>,
    /// `amd64`, `arm64`.
    pub arch: String,
    /// `linux`, `windows`.
    pub os: String,
    /// Kernel release.
    pub kernel: String,
    /// `status.nodeInfo.bootID`.
    pub boot_id: String,
    /// `spec.podCIDRs`.
    pub pod_cidrs: Vec<String>,
    /// `status.daemonEndpoints.kubeletEndpoint.Port`.
    pub kubelet_port: Option<u16>,
}

/// A namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Namespace {
    /// Name.
    pub name: String,
    /// Labels; the API server adds `kubernetes.io/metadata.name`.
    pub labels: BTreeMap<String, String>,
}

/// A `NetworkPolicy` (`networking.k8s.io/v1`).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct NetworkPolicy {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// The pods it selects; an empty one selects all of its namespace.
    pub pod_selector: LabelSelector,
    /// `Ingress`, `Egress`; empty where the API was given none.
    pub policy_types: Vec<String>,
    /// What may come in.
    pub ingress: Vec<PolicyRule>,
    /// What may go out.
    pub egress: Vec<PolicyRule>,
}

/// One rule of a policy: any of these peers, on any of these ports. An empty list means all.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PolicyRule {
    /// `from` or `to`.
    pub peers: Vec<PolicyPeer>,
    /// Ports.
    pub ports: Vec<PolicyPort>,
}

/// A peer: pods, or addresses.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PolicyPeer {
    /// Pods by label, of the policy's own namespace where no namespaces are selected.
    pub pod_selector: Option<LabelSelector>,
    /// Namespaces by label.
    pub namespace_selector: Option<LabelSelector>,
    /// Addresses.
    pub ip_block: Option<IpBlock>,
}

/// Addresses by prefix.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct IpBlock {
    /// A prefix, e.g. `10.0.0.0/8`.
    pub cidr: String,
    /// Prefixes inside it that are left out.
    pub except: Vec<String>,
}

/// A port of a policy.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PolicyPort {
    /// `TCP` (the default), `UDP`, `SCTP`.
    pub protocol: String,
    /// A number or a name; all ports where there is none.
    pub port: Option<Port>,
    /// The end of a range that begins at `port`, inclusive.
    pub end_port: Option<u16>,
}

/// A label selector; an empty one selects everything.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LabelSelector {
    /// Labels that must be exactly so.
    pub match_labels: BTreeMap<String, String>,
    /// Expressions that must hold.
    pub match_expressions: Vec<LabelExpression>,
}

/// An expression over one label.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct LabelExpression {
    /// The label.
    pub key: String,
    /// `In`, `NotIn`, `Exists`, `DoesNotExist`.
    pub operator: String,
    /// Values, for the first two.
    pub values: Vec<String>,
}

impl Inventory {
    /// What lives at which address: services, pods that run and have networks of their own, nodes.
    #[must_use]
    pub fn address_names(&self) -> BTreeMap<IpAddr, String> {
        let services = self.services.iter().flat_map(|service| {
            let named = |ip: &IpAddr| (*ip, service.full_name());
            service.cluster_ips.iter().map(named)
        });
        let own_network = |pod: &&Pod| !pod.host_network && pod.phase == "Running";
        let pods = self.pods.iter().filter(own_network).flat_map(|pod| {
            let named = |ip: &IpAddr| (*ip, pod.full_name());
            pod.addresses.iter().map(named)
        });
        let nodes = self.nodes.iter().flat_map(|node| {
            let named = |ip: &IpAddr| (*ip, node.name.clone());
            node.addresses.iter().map(named)
        });
        services.chain(pods).chain(nodes).collect()
    }

    /// What of it was not read: the first of these kinds that says so.
    #[must_use]
    pub fn unread(&self, kinds: &[&str]) -> Option<Missing> {
        let about = |lack: &&Missing| kinds.iter().any(|kind| lack.what.to_lowercase().contains(kind));
        self.missing.iter().find(about).cloned()
    }

    /// A pod by namespace and name.
    #[must_use]
    pub fn pod(&self, namespace: &str, name: &str) -> Option<&Pod> {
        self.pods
            .iter()
            .find(|pod| pod.namespace == namespace && pod.name == name)
    }

    /// How old a pod was when all was read, in seconds.
    #[must_use]
    pub fn age_s(&self, pod: &Pod) -> Option<u64> {
        // Its node's clock may be ahead, and it may have come while all was read.
        let age_s = self.read_at_s?.saturating_sub(pod.started_at_s?);
        Some(age_s.max(0).unsigned_abs())
    }

    /// A pod by its UID.
    #[must_use]
    pub fn pod_of_uid(&self, uid: &str) -> Option<&Pod> {
        self.pods.iter().find(|pod| pod.uid == uid)
    }

    /// The pods that have an address of their own which is this one.
    pub fn pods_at(&self, address: IpAddr) -> impl Iterator<Item = &Pod> {
        self.pods
            .iter()
            .filter(move |pod| !pod.host_network && pod.addresses.contains(&address))
    }

    /// A service by namespace and name.
    #[must_use]
    pub fn service(&self, namespace: &str, name: &str) -> Option<&Service> {
        self.services
            .iter()
            .find(|service| service.namespace == namespace && service.name == name)
    }

    /// The slices of a service.
    pub fn slices_of<'a>(&'a self, service: &'a Service) -> impl Iterator<Item = &'a EndpointSlice> {
        self.slices
            .iter()
            .filter(|slice| slice.namespace == service.namespace && slice.service == service.name)
    }

    /// A node by name.
    #[must_use]
    pub fn node(&self, name: &str) -> Option<&Node> {
        self.nodes.iter().find(|node| node.name == name)
    }
}

impl Pod {
    /// `namespace/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The object.
    #[must_use]
    pub fn object(&self) -> ObjectRef {
        ObjectRef {
            kind: "Pod".into(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }
}

impl Service {
    /// `namespace/name`.
    #[must_use]
    pub fn full_name(&self) -> String {
        format!("{}/{}", self.namespace, self.name)
    }

    /// The object.
    #[must_use]
    pub fn object(&self) -> ObjectRef {
        ObjectRef {
            kind: "Service".into(),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
        }
    }
}
