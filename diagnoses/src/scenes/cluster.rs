//! Hand-made clusters for the tests of rules: the two nodes of a scene with what the API says of them.
//!
//! Node x (172.31.90.1) runs pod shop/a (the scene's a, app=client), node y (172.31.90.2) pod shop/web-1 (the scene's c,
//! 10.90.2.2, app=web, container main with port http 80). Service shop/web (10.96.0.20, port http 80 to 80) selects app=web and lists it.

use crate::scenes::dns::LookupScene;
use crate::scenes::{self, Scene};
use model::attempt::Outcome;
use model::endpoint::EndpointKind;
use model::evidence::{Evidence, Intent, NodeEvidence};
use model::facts::{Action, Match, Netfilter, NetfilterRule};
use model::inventory::{
    Container, ContainerPort, EndpointSlice, Inventory, Namespace, Node, Pod, Port, Service, ServicePort, SliceEndpoint,
};
use model::missing::{Known, Missing};
use model::object_ref::ObjectRef;
use model::policy_objects::{PolicyObject, PolicyObjects};
use std::collections::BTreeMap;

/// The address of service shop/web.
pub const WEB_IP: &str = "10.96.0.20";

/// A cluster in the making.
#[derive(Clone, Debug)]
pub struct Cluster {
    pub scene: Scene,
}

/// `app=web,tier=front`.
pub fn labels(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

impl Cluster {
    /// All well; shop/a asks for service shop/web at port 80.
    pub fn web() -> Self {
        let mut cluster = Self::pods();
        let destination = &mut cluster.scene.evidence.destination;
        *destination = model::endpoint::Endpoint {
            asked: "web".to_owned(),
            kind: EndpointKind::Service,
            name: "shop/web".to_owned(),
            addresses: vec![scenes::ip(WEB_IP)],
            port: Some(80),
            object: Some(object("Service", "shop", "web")),
            ..model::endpoint::Endpoint::default()
        };
        cluster.scene.evidence.intent = Intent::PodToService;
        cluster
            .scene
            .facts(scenes::X, |facts| facts.netfilter = Known::Known(programmed()));
        cluster
    }

    /// The same, and the cluster has this policy of a kind of its own.
    pub fn with_policy(mut self, api_version: &str, object: ObjectRef, spec: &str) -> Self {
        let (group, _) = api_version.split_once('/').unwrap();
        self.inventory().policy_objects = PolicyObjects {
            groups: vec![group.to_owned()],
            objects: vec![PolicyObject {
                api_version: api_version.to_owned(),
                object,
                spec: serde_yaml::from_str(spec).unwrap(),
                ..PolicyObject::default()
            }],
            unread: vec![],
        };
        self
    }

    /// All well; shop/a asks for pod shop/web-1 at port 80.
    pub fn pods() -> Self {
        Self::over(Scene::two_nodes())
    }

    /// All well; shop/a asks for pod shop/web-1 at port 80, on the other end of a tunnel between the nodes.
    pub fn over_vxlan() -> Self {
        Self::over(Scene::over_vxlan())
    }

    /// The cluster's DNS is scaled to zero; shop/a looks a name up.
    pub fn dns_scaled_to_zero() -> Self {
        let scene = LookupScene::of("web").silence("web").silence("web").scene();
        let mut cluster = Self::over(scene);
        cluster.scene.evidence.destination.object = None;
        let mut dns = service("kube-system", "kube-dns", "10.90.2.2", "k8s-app=kube-dns");
        dns.ports = vec![dns_port()];
        let inventory = cluster.inventory();
        inventory.services.push(dns);
        inventory.pods.retain(|pod| pod.name == "a");
        cluster
    }

    /// shop/a has dnsPolicy Default and looks a name up at its node's name server, not the cluster's.
    pub fn asks_its_node(lookup: LookupScene) -> Self {
        let mut cluster = Self::over(lookup.scene());
        cluster.scene.evidence.destination.object = None;
        let mut dns = service("kube-system", "kube-dns", "10.96.0.10", "k8s-app=kube-dns");
        dns.ports = vec![dns_port()];
        cluster.inventory().services.push(dns);
        "Default".clone_into(&mut cluster.pod("shop/a").dns_policy);
        cluster
    }

    fn over(mut scene: Scene) -> Self {
        let evidence = &mut scene.evidence;
        for (id, name, node) in [
            (scenes::A, "shop/a", "x"),
            (scenes::X, "x", "x"),
            (scenes::Y, "y", "y"),
            (scenes::C, "shop/web-1", "y"),
        ] {
            let netns = evidence.netns.iter_mut().find(|netns| netns.id == id).unwrap();
            name.clone_into(&mut netns.name);
            node.clone_into(&mut netns.node);
        }
        for (end, name, node) in [
            (&mut evidence.source, "a", "x"),
            (&mut evidence.destination, "web-1", "y"),
        ] {
            end.name = format!("shop/{name}");
            name.clone_into(&mut end.asked);
            end.kind = EndpointKind::Pod;
            node.clone_into(&mut end.node);
            end.object = Some(object("Pod", "shop", name));
        }
        let probes = evidence.nodes[0].probes.clone();
        evidence.nodes = [("x", scenes::X), ("y", scenes::Y)]
            .map(|(name, host_netns)| NodeEvidence {
                name: name.to_owned(),
                host_netns,
                probes: probes.clone(),
                ..NodeEvidence::default()
            })
            .to_vec();
        let mut web = pod("shop/web-1", "app=web", "y", &["10.90.2.2", "fd90:2::2"]);
        web.containers[0].ports = vec![ContainerPort {
            name: "http".to_owned(),
            port: 80,
            protocol: "TCP".to_owned(),
        }];
        evidence.inventory = Known::Known(Inventory {
            pods: vec![pod("shop/a", "app=client", "x", &["10.90.1.2", "fd90:1::2"]), web],
            services: vec![service("shop", "web", WEB_IP, "app=web")],
            slices: vec![EndpointSlice {
                namespace: "shop".to_owned(),
                name: "web-abcde".to_owned(),
                service: "web".to_owned(),
                managed_by: "endpointslice-controller.k8s.io".to_owned(),
                ports: vec![ContainerPort {
                    name: "http".to_owned(),
                    port: 80,
                    protocol: "TCP".to_owned(),
                }],
                endpoints: vec![SliceEndpoint {
                    addresses: vec![scenes::ip("10.90.2.2")],
                    ready: true,
                    serving: true,
                    terminating: false,
                    node: "y".to_owned(),
                    target: Some(object("Pod", "shop", "web-1")),
                }],
            }],
            nodes: vec![node("x", "172.31.90.1"), node("y", "172.31.90.2")],
            policies: Known::Known(vec![]),
            namespaces: Known::Known(vec![Namespace {
                name: "shop".to_owned(),
                labels: labels("team=a"),
            }]),
            ..Inventory::default()
        });
        Self { scene }
    }

    /// What was seen.
    pub fn evidence(&mut self) -> &Evidence {
        &self.scene.evidence
    }

    /// A SYN to service shop/web is translated to this address and never seen again.
    pub fn sent_on(&mut self, address: &str) {
        let asked = scenes::tcp("10.90.1.2:40000", &format!("{WEB_IP}:80"));
        let real = scenes::tcp("10.90.1.2:40000", &format!("{address}:80"));
        self.scene
            .watch(0, asked)
            .hop(scenes::A, "eth0", asked, 7)
            .hop_learned(scenes::X, "up0", real, 7);
        let during = "connect".to_owned();
        self.scene.attempt(0, asked, Outcome::TimedOut { during });
    }

    /// What the API said.
    pub fn inventory(&mut self) -> &mut Inventory {
        match &mut self.scene.evidence.inventory {
            Known::Known(inventory) => inventory,
            Known::Missing(lack) => panic!("{lack:?}"),
        }
    }

    /// A service by name.
    pub fn service(&mut self, name: &str) -> &mut Service {
        let mut services = self.inventory().services.iter_mut();
        services.find(|service| service.name == name).unwrap()
    }

    /// The slice of a service.
    pub fn slice(&mut self, service: &str) -> &mut EndpointSlice {
        let mut slices = self.inventory().slices.iter_mut();
        slices.find(|slice| slice.service == service).unwrap()
    }

    /// A pod by full name.
    pub fn pod(&mut self, full_name: &str) -> &mut Pod {
        let mut pods = self.inventory().pods.iter_mut();
        pods.find(|pod| pod.full_name() == full_name).unwrap()
    }

    /// A node by name.
    pub fn node(&mut self, name: &str) -> &mut Node {
        self.inventory()
            .nodes
            .iter_mut()
            .find(|node| node.name == name)
            .unwrap()
    }

    /// Nobody is listed for a service.
    pub fn no_endpoints(&mut self, service: &str) -> &mut Self {
        self.slice(service).endpoints.clear();
        self
    }

    /// A pod's container is in this state, and the pod not ready; slices say so.
    pub fn unready(&mut self, full_name: &str, state: &str, reason: &str) -> &mut Self {
        let pod = self.pod(full_name);
        pod.ready = false;
        let (name, container) = (pod.name.clone(), &mut pod.containers[0]);
        container.ready = false;
        state.clone_into(&mut container.state);
        reason.clone_into(&mut container.reason);
        for slice in &mut self.inventory().slices {
            for endpoint in &mut slice.endpoints {
                if endpoint.target.as_ref().is_some_and(|target| target.name == name) {
                    (endpoint.ready, endpoint.serving) = (false, false);
                }
            }
        }
        self
    }

    /// No helper was started: nothing was sent, nothing was seen.
    pub fn without_helpers(&mut self) -> &mut Self {
        let evidence = &mut self.scene.evidence;
        evidence.nodes.clear();
        evidence.netns.clear();
        evidence.attempts.clear();
        evidence.watched.clear();
        evidence.events.clear();
        evidence.source.netns = None;
        evidence.destination.netns = None;
        evidence.missing.push(Missing::new(
            "the nodes' kernels",
            "no helper was started (--no-helper)",
        ));
        self
    }
}

/// The node translates shop/web to its pod.
fn programmed() -> Netfilter {
    let rule = NetfilterRule {
        matches: vec![Match::Destination {
            any: vec![WEB_IP.to_owned()],
            not: false,
        }],
        action: Action::Nat {
            kind: "DNAT".to_owned(),
            to: "10.90.2.2:80".to_owned(),
        },
        ..NetfilterRule::default()
    };
    scenes::one_rule("nat", "PREROUTING", rule)
}

/// A pod that runs and is ready.
pub fn pod(full_name: &str, own: &str, node: &str, addresses: &[&str]) -> Pod {
    let (namespace, name) = full_name.split_once('/').unwrap();
    Pod {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        uid: format!("uid-of-{name}"),
        labels: labels(own),
        node: node.to_owned(),
        addresses: addresses.iter().map(|address| scenes::ip(address)).collect(),
        phase: "Running".to_owned(),
        ready: true,
        containers: vec![Container {
            name: "main".to_owned(),
            ready: true,
            state: "running".to_owned(),
            ..Container::default()
        }],
        ..Pod::default()
    }
}

fn node(name: &str, address: &str) -> Node {
    Node {
        name: name.to_owned(),
        addresses: vec![scenes::ip(address)],
        ready: true,
        reason: "KubeletReady".to_owned(),
        lease_age_s: Some(4),
        ..Node::default()
    }
}

fn service(namespace: &str, name: &str, address: &str, selector: &str) -> Service {
    Service {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        kind: "ClusterIP".to_owned(),
        cluster_ips: vec![scenes::ip(address)],
        selector: labels(selector),
        ports: vec![ServicePort {
            name: "http".to_owned(),
            protocol: "TCP".to_owned(),
            port: 80,
            target: Port::Number(80),
            node_port: None,
        }],
        internal_traffic_policy: "Cluster".to_owned(),
        external_traffic_policy: "Cluster".to_owned(),
        ..Service::default()
    }
}

fn dns_port() -> ServicePort {
    ServicePort {
        name: "dns".to_owned(),
        protocol: "UDP".to_owned(),
        port: 53,
        target: Port::Number(53),
        node_port: None,
    }
}

/// An object by its names.
pub fn object(kind: &str, namespace: &str, name: &str) -> ObjectRef {
    ObjectRef {
        kind: kind.to_owned(),
        namespace: namespace.to_owned(),
        name: name.to_owned(),
    }
}
