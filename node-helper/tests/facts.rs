//! Facts read from namespaces made for the purpose. Needs root.

use model::facts::{NetnsFacts, Phase};
use model::protocol::{Ask, Reply};
use node_helper::namespaces::Namespaces;
use node_helper::{facts, netns};
use std::net::{IpAddr, TcpListener};
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
    facts::read(ask, &mut |reply| replies.push(reply));
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
    let listener = netns::within(near, || TcpListener::bind("10.77.0.1:7"))
        .unwrap()
        .unwrap();
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
