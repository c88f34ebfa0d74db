//! What policies mean, case by case, each kind alone and together with others: from the documentation of each kind, those that are
//! easily got wrong, and those where the only honest answer is that it cannot be told.
#![expect(clippy::unwrap_used, reason = "a case that is no case fails the test")]

/// `AdminNetworkPolicy`, `BaselineAdminNetworkPolicy`, `ClusterNetworkPolicy`.
mod admins;
/// Calico's `NetworkPolicy` and `GlobalNetworkPolicy`.
mod calico;
/// `CiliumNetworkPolicy` and `CiliumClusterwideNetworkPolicy`.
mod cilium;
/// `NetworkPolicies`.
mod network_policies;

use diagnoses::kubernetes::policy::{Connection, DenialForm, Party, Ruling, ruling};
use model::inventory::{
    Container, ContainerPort, Inventory, LabelSelector, Namespace, NetworkPolicy, Node, Pod, PolicyPeer, PolicyPort,
    PolicyRule, Port,
};
use model::missing::{Known, Missing};
use model::object_ref::ObjectRef;
use model::policy_objects::PolicyObject;
use serde_json::Value;
use std::collections::BTreeMap;

/// Two nodes, three namespaces, and somebody outside.
///
/// Nodes n1 (172.31.0.1) and n2 (172.31.0.2). Pods shop/web (app=web, service account web),
/// ops/mon (app=mon) and dev/web (app=web) on n1; shop/db (app=db), which
/// names its ports pg 5432/TCP and stat 8125/UDP, and shop/agent (app=agent, on its node's network) on n2. Namespaces shop
/// (team=a), ops (team=b), dev (no labels of its own).
fn world() -> Inventory {
    let mut db = pod("shop/db", "app=db,tier=data", "n2", &["10.244.2.7", "fd00:2::7"]);
    db.containers = vec![Container {
        ports: vec![port("pg", 5432, "TCP"), port("stat", 8125, "UDP")],
        ..Container::default()
    }];
    let mut web = pod("shop/web", "app=web", "n1", &["10.244.1.5", "fd00:1::5"]);
    "web".clone_into(&mut web.service_account);
    let mut agent = pod("shop/agent", "app=agent", "n2", &["172.31.0.2"]);
    agent.host_network = true;
    Inventory {
        pods: vec![
            web,
            db,
            agent,
            pod("ops/mon", "app=mon,tier=ops", "n1", &["10.244.1.9"]),
            pod("dev/web", "app=web", "n1", &["10.244.1.20"]),
        ],
        nodes: vec![
            node("n1", "172.31.0.1", "10.244.1.0/24"),
            node("n2", "172.31.0.2", "10.244.2.0/24"),
        ],
        namespaces: Known::Known(vec![
            namespace("shop", "team=a"),
            namespace("ops", "team=b"),
            namespace("dev", ""),
        ]),
        policies: Known::Known(vec![]),
        ..Inventory::default()
    }
}

fn labels(text: &str) -> BTreeMap<String, String> {
    let pairs = text.split(',').filter_map(|pair| pair.split_once('='));
    pairs.map(|(key, value)| (key.to_owned(), value.to_owned())).collect()
}

fn pod(full_name: &str, own: &str, node: &str, addresses: &[&str]) -> Pod {
    let (namespace, name) = full_name.split_once('/').unwrap();
    Pod {
        namespace: namespace.to_owned(),
        name: name.to_owned(),
        labels: labels(own),
        node: node.to_owned(),
        addresses: addresses.iter().map(|address| address.parse().unwrap()).collect(),
        phase: "Running".to_owned(),
        ..Pod::default()
    }
}

fn port(name: &str, port: u16, protocol: &str) -> ContainerPort {
    ContainerPort {
        name: name.to_owned(),
        port,
        protocol: protocol.to_owned(),
    }
}

fn node(name: &str, address: &str, pods: &str) -> Node {
    Node {
        name: name.to_owned(),
        addresses: vec![address.parse().unwrap()],
        pod_cidrs: vec![pods.to_owned()],
        ..Node::default()
    }
}

fn namespace(name: &str, own: &str) -> Namespace {
    Namespace {
        name: name.to_owned(),
        labels: labels(own),
    }
}

/// An object `KIND [NAMESPACE/]NAME SPEC`, its spec in YAML's flow style. The n-th of a case is called so where it has no name.
fn object(api_version: &str, text: &str) -> PolicyObject {
    let (kind, rest) = text.trim().split_once(' ').unwrap();
    let (name, spec) = rest.trim().split_once(' ').unwrap();
    let (namespace, name) = name.split_once('/').unwrap_or(("", name));
    let spec: Value = serde_yaml::from_str(spec).unwrap();
    let own = spec
        .get("labels_of_the_object")
        .and_then(Value::as_str)
        .unwrap_or_default();
    let mut of_spec = spec.clone();
    if let Some(fields) = of_spec.as_object_mut() {
        fields.remove("labels_of_the_object");
    }
    PolicyObject {
        api_version: api_version.to_owned(),
        object: ObjectRef {
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        },
        labels: labels(own),
        spec: of_spec,
        specs: vec![],
    }
}

/// A world with these objects of a group, one on a line.
fn with(api_version: &str, objects: &str) -> Inventory {
    let mut inventory = world();
    let group = api_version.split_once('/').unwrap().0;
    inventory.policy_objects.groups.push(group.to_owned());
    let lines = objects.lines().filter(|line| !line.trim().is_empty());
    inventory.policy_objects.objects = lines.map(|line| object(api_version, line)).collect();
    inventory
}

/// `NetworkPolicy` shop/NAME, which lets in to app=db what has these labels, on these ports: all where there are none.
fn lets_in(name: &str, from: Option<&str>, port: Option<u16>) -> NetworkPolicy {
    let by_label = |text: &str| LabelSelector {
        match_labels: labels(text),
        ..LabelSelector::default()
    };
    let peers = from.map(|from| PolicyPeer {
        pod_selector: Some(by_label(from)),
        ..PolicyPeer::default()
    });
    let ports = port.map(|port| PolicyPort {
        port: Some(Port::Number(port)),
        ..PolicyPort::default()
    });
    NetworkPolicy {
        namespace: "shop".to_owned(),
        name: name.to_owned(),
        pod_selector: by_label("app=db"),
        policy_types: vec!["Ingress".to_owned()],
        ingress: vec![PolicyRule {
            peers: peers.into_iter().collect(),
            ports: ports.into_iter().collect(),
        }],
        egress: vec![],
    }
}

/// `NetworkPolicy` shop/NAME, which lets nothing in to app=db.
fn lets_nothing_in(name: &str) -> NetworkPolicy {
    NetworkPolicy {
        ingress: vec![],
        ..lets_in(name, None, None)
    }
}

/// What is expected of a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Is {
    Allowed,
    Denied,
    Unknown,
}
use Is::{Allowed, Denied, Unknown};

fn party<'a>(inventory: &'a Inventory, end: &str) -> Party<'a> {
    let named = end
        .split_once('/')
        .and_then(|(namespace, name)| inventory.pod(namespace, name));
    match named {
        Some(pod) => Party::pod(pod, pod.addresses[0]),
        None => Party::at(inventory, end.parse().unwrap()),
    }
}

/// A connection `FROM TO PORT PROTOCOL`.
fn ask<'a>(inventory: &'a Inventory, connection: &'a str) -> Ruling<'a> {
    let words: Vec<&str> = connection.split_whitespace().collect();
    let [from, to, port, protocol] = words[..] else {
        panic!("{connection}: FROM TO PORT PROTOCOL");
    };
    let connection = Connection {
        from: party(inventory, from),
        seen_as: None,
        to: party(inventory, to),
        protocol,
        port: port.parse().unwrap(),
        service: None,
    };
    ruling(inventory, &connection)
}

fn expect(inventory: &Inventory, what: &str, cases: &[(&str, Is)]) {
    for (connection, expected) in cases {
        let answer = ask(inventory, connection);
        let is = match answer {
            Ruling::Allowed { .. } => Allowed,
            Ruling::Denied(_) => Denied,
            Ruling::Unknown(_) => Unknown,
        };
        assert_eq!(is, *expected, "{what}: {connection}: {answer:?}");
    }
}

/// Who denies a connection, in which way, and why.
fn denial(inventory: &Inventory, connection: &str) -> (Vec<String>, DenialForm, Vec<String>) {
    let Ruling::Denied(denials) = ask(inventory, connection) else {
        panic!("{connection}: {:?}", ask(inventory, connection));
    };
    let policies = denials[0].policies.iter();
    let names = policies.map(|policy| format!("{} {}/{}", policy.kind, policy.namespace, policy.name));
    (names.collect(), denials[0].form, denials[0].why.clone())
}

#[test]
fn what_was_not_read_or_is_of_an_unknown_kind_is_neither_denial_nor_innocence() {
    let mut inventory = world();
    inventory.policies = Known::Known(vec![lets_nothing_in("closed")]);
    expect(&inventory, "without", &[("shop/web shop/db 80 tcp", Denied)]);
    let lack = Missing::new("CiliumNetworkPolicy objects of namespace shop", "forbidden");
    inventory.policy_objects.unread.push(lack);
    assert_eq!(
        ask(&inventory, "shop/web shop/db 80 tcp"),
        Ruling::Unknown("CiliumNetworkPolicy objects of namespace shop: forbidden".to_owned())
    );
    inventory.policy_objects.unread.clear();
    inventory.other_policies.push(ObjectRef {
        kind: "ClusterNetworkPolicy.crd.antrea.io".to_owned(),
        namespace: String::new(),
        name: "strict".to_owned(),
    });
    expect(&inventory, "Antrea's", &[("shop/web shop/db 80 tcp", Unknown)]);
}

#[test]
fn where_two_plug_ins_kinds_are_served_only_what_both_say_counts() {
    let mut inventory = with(
        "cilium.io/v2",
        "CiliumNetworkPolicy shop/let {endpointSelector: {}, ingress: [{fromEntities: [all]}]}",
    );
    inventory.policy_objects.groups.push("crd.projectcalico.org".to_owned());
    expect(&inventory, "both allow", &[("shop/web shop/db 80 tcp", Allowed)]);
    inventory.policies = Known::Known(vec![lets_nothing_in("closed")]);
    // Cilium would add up what both kinds allow, Calico does not know the first.
    expect(&inventory, "they differ", &[("shop/web shop/db 80 tcp", Unknown)]);
    inventory.policy_objects.objects.clear();
    expect(&inventory, "both deny", &[("shop/web shop/db 80 tcp", Denied)]);
}
