//! Endpoints as a session resolves them, with a namespace, an address and processes of the test's own.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod talk;

use model::endpoint::{Endpoint, EndpointKind};
use model::missing::{Known, Missing};
use model::owner::Owner;
use model::protocol::{Reply, Request};
use std::net::IpAddr;
use talk::{OwnNetns, RunningHelper};

fn resolve(endpoint: &str) -> Result<Endpoint, Missing> {
    resolve_from(None, endpoint)
}

fn resolve_from(from: Option<&str>, endpoint: &str) -> Result<Endpoint, Missing> {
    let mut helper = RunningHelper::greeted();
    helper.say(Request::Resolve {
        endpoint: endpoint.into(),
        from: from.map(str::to_owned),
    });
    match helper.hear() {
        Reply::Resolved(Known::Known(endpoint)) => Ok(endpoint),
        Reply::Resolved(Known::Missing(missing)) => Err(missing),
        other => panic!("{other:?} resolves nothing"),
    }
}

#[test]
fn a_namespace_is_found_by_name_path_process_and_address() {
    let namespace = OwnNetns::new("resolve");
    let (last, name) = (std::process::id() % 250, namespace.name.clone());
    let address: IpAddr = format!("198.18.7.{last}").parse().unwrap();
    let address6: IpAddr = format!("fd98:18::{last}").parse().unwrap();
    namespace.run(&format!(
        "ip link add inner type veth peer name outer && ip link set outer up && ip link set inner up \
         && ip addr add {address}/24 dev inner && ip addr add {address6}/64 dev inner nodad"
    ));
    let process = namespace.spawn("echo ready; exec sleep 60");

    let named = resolve(&format!("netns/{name}")).unwrap();
    assert_eq!(
        (named.kind, named.netns),
        (EndpointKind::Netns, Some(namespace.inode()))
    );
    assert_eq!(
        (named.name, named.owner),
        (format!("netns/{name}"), Owner::Netns { name: name.clone() })
    );
    assert_eq!(
        named.addresses,
        [address, address6],
        "loopback and link-local addresses are nobody else's business"
    );
    assert!(named.resolv.ok().is_some());

    let by_path = resolve(&format!("netns//run/netns/{name}")).unwrap();
    assert_eq!(by_path.netns, Some(namespace.inode()));

    let of_process = resolve(&format!("pid/{}", process.0.id())).unwrap();
    assert_eq!(
        (of_process.kind, of_process.netns),
        (EndpointKind::Pid, Some(namespace.inode()))
    );
    assert_eq!(
        (of_process.pid, of_process.addresses),
        (Some(process.0.id()), vec![address, address6])
    );

    let by_address = resolve(&address6.to_string()).unwrap();
    assert_eq!(
        (by_address.kind, by_address.netns),
        (EndpointKind::Address, Some(namespace.inode()))
    );
    assert!(by_address.name.contains(&name), "{}", by_address.name);

    let near = resolve(&format!("netns/{}", name.replace("resolve", "resollve"))).unwrap_err();
    assert!(near.why.contains(&format!("did you mean \"{name}\"?")), "{}", near.why);
}

#[test]
fn the_host_is_itself() {
    let host = resolve("host").unwrap();
    assert_eq!((host.kind, host.owner), (EndpointKind::Host, Owner::Host));
    assert!(host.netns.is_some() && !host.node.is_empty());
}

#[test]
fn of_networks_that_never_meet_the_source_s_own_is_meant() {
    let [client, server, stranger] = ["from", "near", "apart"].map(OwnNetns::new);
    let address = format!("198.18.8.{}", std::process::id() % 250);
    client.run(&format!(
        "ip link add out type veth peer name in netns {} && ip link set out up",
        server.name
    ));
    stranger.run(&format!(
        "ip link add out type veth peer name in && ip addr add {address}/24 dev out"
    ));
    let from = format!("netns/{}", client.name);
    assert_eq!(resolve(&address).unwrap().netns, Some(stranger.inode()));
    assert_eq!(
        resolve_from(Some(&from), &address).unwrap().netns,
        None,
        "no interface leads there"
    );

    server.run(&format!("ip addr add {address}/24 dev in"));
    assert_eq!(resolve(&address).unwrap().netns, None, "either may be meant");
    assert_eq!(resolve_from(Some(&from), &address).unwrap().netns, Some(server.inode()));
}
