//! Facts read from namespaces made for the purpose. Needs root.

mod inside;

use inside::within;
use model::facts::{Chain, LookupAnswer, NetnsFacts, Phase};
use model::flow::{Flow, TCP};
use model::protocol::{Ask, Reply};
use node_helper::discovery::survey;
use node_helper::identity::namespaces::Namespaces;
use std::net::{IpAddr, TcpListener, TcpStream};
use std::process::Command;

/// Two namespaces joined by a veth pair; they go away with it, however a test ends.
struct Pair {
    near: String,
    far: String,
}

impl Pair {
    fn new(test: &str) -> Self {
        let name = |side: &str| format!("facts-{test}-{}-{side}", std::process::id());
        let pair = Self {
            near: name("near"),
            far: name("far"),
        };
        let Self { near, far } = &pair;
        for side in [near, far] {
            sh(&format!("ip netns add {side} && ip -n {side} link set lo up"));
            sh(&format!(
                "ip netns exec {side} sysctl -qw net.ipv6.conf.default.accept_dad=0"
            ));
        }
        sh(&format!(
            "ip -n {near} link add eth0 type veth peer name eth0 netns {far}"
        ));
        for (side, last) in [(near, 1), (far, 2)] {
            sh(&format!("ip -n {side} addr add 10.77.0.{last}/24 dev eth0"));
            sh(&format!("ip -n {side} link set eth0 up"));
        }
        pair
    }
}

impl Drop for Pair {
    fn drop(&mut self) {
        for side in [&self.near, &self.far] {
            let _ = Command::new("ip").args(["netns", "del", side]).status();
        }
    }
}

fn sh(command: &str) {
    let status = Command::new("sh").args(["-ec", command]).status();
    assert!(status.is_ok_and(|status| status.success()), "{command}");
}

fn read(ask: &Ask) -> Vec<Reply> {
    let mut replies = Vec::new();
    survey::read(ask, &mut |reply| replies.push(reply));
    replies
}

fn facts_of(replies: &[Reply], netns: u32) -> &NetnsFacts {
    replies
        .iter()
        .find_map(|reply| match reply {
            Reply::Facts { facts, .. } if facts.netns == netns => Some(facts),
            _ => None,
        })
        .expect("every namespace asked for is answered")
}

#[test]
fn both_ends_of_a_veth_pair_name_each_other() {
    let pair = Pair::new("veth");
    let namespaces = Namespaces::scan();
    let near = namespaces.by_name(&pair.near).unwrap();
    let far = namespaces.by_name(&format!("netns/{}", pair.far)).unwrap();
    let replies = read(&Ask {
        netns: vec![near.inode, far.inode],
        phase: Some(Phase::Before),
        ..Ask::default()
    });
    for (here, there) in [(near, far), (far, near)] {
        let facts = facts_of(&replies, here.inode);
        let links = facts.links.get().unwrap();
        let eth0 = links.iter().find(|link| link.name == "eth0").unwrap();
        assert!(eth0.up && eth0.carrier && eth0.kind == "veth", "{eth0:?}");
        assert_eq!(eth0.peer.as_ref().unwrap().netns, Some(there.inode));
        let addresses = facts.addresses.get().unwrap();
        assert!(
            addresses
                .iter()
                .any(|address| address.address.to_string().starts_with("10.77.0."))
        );
        let routes = facts.routes.get().unwrap();
        let net: IpAddr = "10.77.0.0".parse().unwrap();
        assert!(
            routes
                .iter()
                .any(|route| route.dst == net && route.prefix == 24 && route.table == 254)
        );
    }
}

#[test]
fn a_listener_is_found_with_the_process_that_holds_it() {
    let pair = Pair::new("listen");
    let namespaces = Namespaces::scan();
    let near = namespaces.by_name(&pair.near).unwrap();
    let listener = within(near, || TcpListener::bind("10.77.0.1:7")).unwrap();
    let replies = read(&Ask {
        netns: vec![near.inode],
        ports: vec![7],
        ..Ask::default()
    });
    let sockets = facts_of(&replies, near.inode).sockets.get().unwrap();
    let socket = sockets.iter().find(|socket| socket.flow.sport == 7).unwrap();
    assert_eq!(socket.state, "LISTEN");
    assert_eq!(socket.flow.src().to_string(), "10.77.0.1");
    assert_eq!(socket.pids, [std::process::id()]);
    drop(listener);
}

#[test]
fn rules_of_every_backend_are_read_once_each() {
    let pair = Pair::new("rules");
    let near = &pair.near;
    for rule in [
        "iptables-legacy -A FORWARD -p tcp --dport 81 -j DROP",
        "ip6tables-legacy -P INPUT DROP",
        "iptables-nft -A OUTPUT -p udp -m multiport --dports 82,83 -j REJECT",
        "nft add table inet own",
        "nft 'add chain inet own in { type filter hook input priority 0; }'",
        "nft add rule inet own in tcp dport 84 counter drop",
    ] {
        sh(&format!("ip netns exec {near} sh -ec \"{rule}\""));
    }
    let inode = Namespaces::scan().by_name(near).unwrap().inode;
    let replies = read(&Ask {
        netns: vec![inode],
        facts: vec!["netfilter".to_owned()],
        ..Ask::default()
    });
    let netfilter = facts_of(&replies, inode).netfilter.get().unwrap();
    assert!(netfilter.unread.is_empty(), "{:?}", netfilter.unread);
    let mut rules: Vec<(&str, &str)> = netfilter
        .chains
        .iter()
        .flat_map(|chain| chain.rules.iter().map(|rule| (&*chain.backend, &*rule.text)))
        .collect();
    rules.sort_unstable();
    assert_eq!(
        rules,
        [
            ("iptables-legacy", "-A FORWARD -p tcp -m tcp --dport 81 -j DROP"),
            (
                "iptables-nft",
                "-A OUTPUT -p udp -m multiport --dports 82,83 -j REJECT --reject-with icmp-port-unreachable"
            ),
            ("nftables", "tcp dport 84 counter drop"),
        ]
    );
    let input = |chain: &&Chain| chain.family == "ip6" && chain.name == "INPUT";
    let input = netfilter.chains.iter().find(input).unwrap();
    assert_eq!(input.policy.as_deref(), Some("DROP"));
}

#[test]
fn a_tracked_connection_is_found_by_its_tuple() {
    let pair = Pair::new("track");
    let namespaces = Namespaces::scan();
    let near = namespaces.by_name(&pair.near).unwrap();
    let far = namespaces.by_name(&pair.far).unwrap();
    sh(&format!(
        "ip netns exec {} iptables-legacy -A INPUT -m conntrack --ctstate INVALID -j DROP",
        pair.near
    ));
    let listener = within(far, || TcpListener::bind("10.77.0.2:80")).unwrap();
    let stream = within(near, || TcpStream::connect("10.77.0.2:80")).unwrap();
    let flow = Flow::new(TCP, stream.local_addr().unwrap(), stream.peer_addr().unwrap());
    let replies = read(&Ask {
        netns: vec![near.inode, far.inode],
        flows: vec![flow],
        ..Ask::default()
    });
    let facts = facts_of(&replies, near.inode);
    let conntrack = facts.conntrack.get().unwrap();
    assert_eq!(conntrack.entries.len(), 1);
    let entry = &conntrack.entries[0];
    assert_eq!((entry.original, entry.reply), (flow, flow.reversed()));
    assert!(entry.seen_reply && entry.state == "ESTABLISHED");
    let socket = |netns: u32, flow: Flow| {
        let sockets = facts_of(&replies, netns).sockets.get().unwrap();
        sockets.iter().find(|socket| socket.flow == flow).cloned()
    };
    let client = socket(near.inode, flow).unwrap();
    assert_eq!(client.state, "ESTABLISHED");
    assert!(client.tcp.unwrap().rtt_us > 0);
    assert!(
        socket(far.inode, flow.reversed()).is_some(),
        "the server's end, not accepted yet"
    );
    let waiting = facts_of(&replies, far.inode).sockets.get().unwrap();
    let waiting = waiting.iter().find(|socket| socket.state == "LISTEN").unwrap();
    assert_eq!(waiting.rx_queue, 1);
    drop((listener, stream));
}

#[test]
fn a_lookup_answers_as_the_kernel_would_route() {
    let pair = Pair::new("lookup");
    sh(&format!("ip -n {} route add blackhole 198.51.100.0/24", pair.near));
    let inode = Namespaces::scan().by_name(&pair.near).unwrap().inode;
    let lookups = ["10.77.0.2", "192.0.2.1", "198.51.100.1"].map(|dst| (dst.parse().unwrap(), None));
    let replies = read(&Ask {
        netns: vec![inode],
        lookups: lookups.to_vec(),
        ..Ask::default()
    });
    let answers: Vec<String> = facts_of(&replies, inode)
        .lookups
        .get()
        .unwrap()
        .iter()
        .map(|lookup| match &lookup.answer {
            LookupAnswer::Route(route) => format!("{:?}", route.kind),
            LookupAnswer::Error(errno) => errno.name.clone(),
        })
        .collect();
    assert_eq!(answers, ["Unicast", "ENETUNREACH", "EINVAL"]);
}

#[test]
fn a_namespace_that_is_gone_has_no_facts_and_says_so() {
    let replies = read(&Ask {
        netns: vec![1],
        ..Ask::default()
    });
    let missing = facts_of(&replies, 1).links.get().unwrap_err();
    assert!(missing.why.contains("gone"), "{missing:?}");
}
