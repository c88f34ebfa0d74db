//! The named topologies, as data: which namespaces there are, and the `ip` and sysctl lines that shape each of them.
//!
//! All are dual stack. Node `x` has pods `a` and `b`, node `y` has pod `c`; an uplink `up0` joins the nodes.

/// A network to be built: namespaces in the order in which they are set up, each with its own commands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Topology {
    /// The name scenario files use.
    pub name: String,
    /// Namespaces, nodes before the pods that hang on them (a node creates the veth pairs of its pods).
    pub namespaces: Vec<LabNamespace>,
    /// Addresses that must answer, as (from namespace, address), before the lab counts as ready.
    pub answers: Vec<(&'static str, &'static str)>,
}

/// One namespace of a topology.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LabNamespace {
    /// Its name in scenario files (`a`, `x`); the kernel knows it with the lab's prefix.
    pub name: String,
    /// Whether it is a node, which forwards packets.
    pub node: bool,
    /// Lines for `ip -batch`; `netns NAME` is rewritten to the real name of a namespace of the lab.
    pub ip: Vec<String>,
    /// `path=value` below `/proc/sys/net`, written after the lines above.
    pub sysctl: Vec<String>,
    /// Shell commands, run last.
    pub shell: Vec<String>,
}

/// The names [`named`] knows.
pub const NAMES: &[&str] = &[
    "one-node",
    "two-nodes",
    "two-nodes-vxlan",
    "two-nodes-routed",
    "external",
];

/// The topology of that name.
pub fn named(name: &str) -> Option<Topology> {
    let (namespaces, answers) = match name {
        "one-node" => (
            vec![
                bridged_node(1, &["a", "b"], 1500),
                pod("a", 1, 2, 1500),
                pod("b", 1, 3, 1500),
            ],
            vec![("a", "10.90.1.3"), ("a", "fd90:1::3")],
        ),
        "two-nodes" => (two_nodes(), far_pod()),
        "two-nodes-vxlan" => (vxlan(), far_pod()),
        "two-nodes-routed" => (routed(), far_pod()),
        "external" => (
            external(),
            [
                far_pod(),
                vec![
                    ("a", "203.0.113.10"),
                    ("a", "fd90:113::10"),
                    ("c", "203.0.113.10"),
                    ("c", "fd90:113::10"),
                ],
            ]
            .concat(),
        ),
        _ => return None,
    };
    Some(Topology {
        name: name.to_owned(),
        namespaces,
        answers,
    })
}

/// A topology with bare namespaces, for scenarios that build their own.
pub fn bare(namespaces: &[String]) -> Topology {
    let namespaces = namespaces
        .iter()
        .map(|name| LabNamespace {
            name: name.clone(),
            ..LabNamespace::default()
        })
        .collect();
    Topology {
        name: "lab".to_owned(),
        namespaces,
        answers: Vec::new(),
    }
}

fn far_pod() -> Vec<(&'static str, &'static str)> {
    vec![
        ("a", "10.90.1.3"),
        ("a", "10.90.2.2"),
        ("a", "fd90:1::3"),
        ("a", "fd90:2::2"),
    ]
}

fn two_nodes() -> Vec<LabNamespace> {
    let mut namespaces = joined_nodes(1500);
    namespaces[0].ip.extend(lines(&[
        "route add 10.90.2.0/24 via 172.31.90.2",
        "route add fd90:2::/64 via fd90:31::2",
    ]));
    namespaces[1].ip.extend(lines(&[
        "route add 10.90.1.0/24 via 172.31.90.1",
        "route add fd90:1::/64 via fd90:31::1",
    ]));
    namespaces
}

fn vxlan() -> Vec<LabNamespace> {
    let mut namespaces = joined_nodes(1450);
    for (node, other) in [(1_u8, 2_u8), (2, 1)] {
        namespaces[usize::from(node) - 1].ip.extend([
            format!("link add vx0 address 02:90:00:00:00:0{node} type vxlan id 42 local 172.31.90.{node} dev up0 dstport 8472 nolearning"),
            format!("addr add 10.90.{node}.0/32 dev vx0"),
            format!("addr add fd90:{node}::/128 dev vx0 nodad"),
            "link set vx0 up".to_owned(),
            format!("neigh add 10.90.{other}.0 lladdr 02:90:00:00:00:0{other} dev vx0 nud permanent"),
            format!("neigh add fd90:{other}:: lladdr 02:90:00:00:00:0{other} dev vx0 nud permanent"),
            format!("route add 10.90.{other}.0/24 via 10.90.{other}.0 dev vx0 onlink"),
            format!("route add fd90:{other}::/64 via fd90:{other}:: dev vx0 onlink"),
        ]);
        namespaces[usize::from(node) - 1].shell.push(format!(
            "bridge fdb add 02:90:00:00:00:0{other} dev vx0 dst 172.31.90.{other}"
        ));
    }
    namespaces
}

fn external() -> Vec<LabNamespace> {
    let mut namespaces = two_nodes();
    namespaces[0].ip.extend(lines(&[
        "link add ext0 type veth peer name eth0 netns w",
        "link set ext0 up",
        "addr add 203.0.113.1/24 dev ext0",
        "addr add fd90:113::1/64 dev ext0 nodad",
    ]));
    for (tables, pods) in [("iptables-legacy", "10.90.0.0/16"), ("ip6tables-legacy", "fd90::/16")] {
        namespaces[0].shell.push(format!(
            "{tables} -w -t nat -A POSTROUTING -s {pods} -o ext0 -j MASQUERADE"
        ));
    }
    namespaces[1].ip.extend(lines(&[
        "route add 203.0.113.0/24 via 172.31.90.1",
        "route add fd90:113::/64 via fd90:31::1",
    ]));
    let w = LabNamespace {
        name: "w".to_owned(),
        ip: lines(&[
            "link set lo up",
            "link set eth0 up",
            "addr add 203.0.113.10/24 dev eth0",
            "addr add fd90:113::10/64 dev eth0 nodad",
        ]),
        ..LabNamespace::default()
    };
    namespaces.insert(2, w);
    namespaces
}

/// Nodes without bridges: each pod has a /32 and a gateway that the node's veth only pretends to have (proxy ARP); over
/// IPv6 the gateway is the veth's own link-local address.
fn routed() -> Vec<LabNamespace> {
    let mut x = LabNamespace {
        name: "x".to_owned(),
        node: true,
        ip: lines(&["link set lo up"]),
        ..LabNamespace::default()
    };
    let mut y = LabNamespace {
        name: "y".to_owned(),
        ..x.clone()
    };
    x.ip.extend(uplink("x"));
    y.ip.extend(uplink("y"));
    x.ip.extend(lines(&[
        "route add 10.90.2.0/24 via 172.31.90.2",
        "route add fd90:2::/64 via fd90:31::2",
    ]));
    y.ip.extend(lines(&[
        "route add 10.90.1.0/24 via 172.31.90.1",
        "route add fd90:1::/64 via fd90:31::1",
    ]));
    let mut pods = Vec::new();
    for (number, name, host) in [(1, "a", 2), (1, "b", 3), (2, "c", 2)] {
        let node = if number == 1 { &mut x } else { &mut y };
        node.ip.extend([
            format!("link add veth{name} address ee:ee:ee:ee:ee:ee type veth peer name eth0 netns {name}"),
            format!("link set veth{name} up"),
            format!("route add 10.90.{number}.{host}/32 dev veth{name} scope link"),
            format!("route add fd90:{number}::{host}/128 dev veth{name}"),
        ]);
        node.sysctl.extend([
            format!("ipv4/conf/veth{name}/proxy_arp=1"),
            format!("ipv4/neigh/veth{name}/proxy_delay=0"),
        ]);
        pods.push(LabNamespace {
            name: name.to_owned(),
            ip: vec![
                "link set lo up".to_owned(),
                "link set eth0 up".to_owned(),
                format!("addr add 10.90.{number}.{host}/32 dev eth0"),
                format!("addr add fd90:{number}::{host}/128 dev eth0 nodad"),
                "route add 169.254.1.1 dev eth0 scope link".to_owned(),
                "route add default via 169.254.1.1 dev eth0".to_owned(),
                "route add default via fe80::ecee:eeff:feee:eeee dev eth0".to_owned(),
            ],
            ..LabNamespace::default()
        });
    }
    // Proxy ARP answers only for what the node would send elsewhere.
    for node in [&mut x, &mut y] {
        node.ip.push("route add 169.254.1.1 dev up0 scope link".to_owned());
    }
    [vec![x, y], pods].concat()
}

/// Nodes `x` and `y` with their bridges, joined by `up0`, and pods `a`, `b`, `c`; no routes between the nodes yet.
fn joined_nodes(mtu: u16) -> Vec<LabNamespace> {
    let mut x = bridged_node(1, &["a", "b"], mtu);
    let mut y = bridged_node(2, &["c"], mtu);
    x.ip.extend(uplink("x"));
    y.ip.extend(uplink("y"));
    vec![x, y, pod("a", 1, 2, mtu), pod("b", 1, 3, mtu), pod("c", 2, 2, mtu)]
}

/// `up0` of a node; `x` creates the pair.
fn uplink(node: &str) -> Vec<String> {
    let number = if node == "x" { 1 } else { 2 };
    let mut lines = Vec::new();
    if node == "x" {
        lines.push("link add up0 type veth peer name up0 netns y".to_owned());
    }
    lines.extend([
        "link set up0 up".to_owned(),
        format!("addr add 172.31.90.{number}/24 dev up0"),
        format!("addr add fd90:31::{number}/64 dev up0 nodad"),
    ]);
    lines
}

fn bridged_node(number: u8, pods: &[&str], mtu: u16) -> LabNamespace {
    let mut ip = lines(&["link set lo up", "link add cbr0 type bridge"]);
    for pod in pods {
        ip.extend([
            format!("link add veth{pod} mtu {mtu} type veth peer name eth0 mtu {mtu} netns {pod}"),
            format!("link set veth{pod} master cbr0 up"),
        ]);
    }
    ip.extend([
        format!("link set cbr0 mtu {mtu} up"),
        format!("addr add 10.90.{number}.1/24 dev cbr0"),
        format!("addr add fd90:{number}::1/64 dev cbr0 nodad"),
    ]);
    LabNamespace {
        name: if number == 1 { "x" } else { "y" }.to_owned(),
        node: true,
        ip,
        ..LabNamespace::default()
    }
}

fn pod(name: &str, node: u8, host: u8, mtu: u16) -> LabNamespace {
    LabNamespace {
        name: name.to_owned(),
        ip: vec![
            "link set lo up".to_owned(),
            format!("link set eth0 mtu {mtu} up"),
            format!("addr add 10.90.{node}.{host}/24 dev eth0"),
            format!("addr add fd90:{node}::{host}/64 dev eth0 nodad"),
            format!("route add default via 10.90.{node}.1"),
            format!("route add default via fd90:{node}::1"),
        ],
        ..LabNamespace::default()
    }
}

fn lines(lines: &[&str]) -> Vec<String> {
    lines.iter().map(|line| (*line).to_owned()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_a_topology_whose_checks_start_in_one_of_its_namespaces() {
        for name in NAMES {
            let topology = named(name).unwrap();
            assert_eq!(topology.name, *name);
            for (from, _) in &topology.answers {
                assert!(
                    topology.namespaces.iter().any(|namespace| namespace.name == *from),
                    "{name}: {from}"
                );
            }
        }
        assert_eq!(named("ring"), None);
    }

    #[test]
    fn a_peer_is_created_before_its_own_namespace_is_set_up() {
        for name in NAMES {
            let topology = named(name).unwrap();
            for (at, namespace) in topology.namespaces.iter().enumerate() {
                for peer in namespace
                    .ip
                    .iter()
                    .filter_map(|line| line.split_once(" netns ").map(|(_, peer)| peer))
                {
                    assert!(
                        topology.namespaces[at + 1..].iter().any(|later| later.name == peer),
                        "{name}: {peer}"
                    );
                }
            }
        }
    }
}
