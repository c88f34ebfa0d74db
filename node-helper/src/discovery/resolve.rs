//! What an endpoint is that somebody named: `netns/NAME`, `pid/N`, `container/ID`, `pod/UID`, `host`, an address.

use super::{islands, survey};
use crate::attempts::source_by;
use crate::facts;
use crate::identity::namespaces::{Namespaces, NetworkNamespace, processes};
use crate::identity::owner;
use crate::servants::usher::{self, SocketKind};
use crate::system::door;
use model::endpoint::{Endpoint, EndpointKind};
use model::facts::{Address, ResolvConf};
use model::missing::{Known, Missing};
use model::owner::Owner;
use model::protocol::{Ask, Reply};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::path::Path;

/// The forms that exist, for those who wrote another.
const FORMS: &str = "name it as netns/NAME, pid/N, container/ID, host, or an IP address";

/// How many candidates are listed where a name is ambiguous.
const CANDIDATES_MAX: usize = 5;

/// Somewhere out there in each family (RFC 5737, RFC 3849): its route shows which of our addresses is used.
const FAR: [IpAddr; 2] = [
    IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)),
    IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1)),
];

/// Finds it on this machine, or says why it is not here. `from` is the endpoint that wants to reach it.
pub fn resolve(asked: &str, from: Option<&str>) -> Known<Endpoint> {
    let namespaces = Namespaces::scan();
    if let Some(address) = address_of(asked) {
        let from = from.filter(|from| address_of(from).is_none());
        let from = from.and_then(|from| place(from, &namespaces).ok()?.netns);
        return Known::Known(at_address(asked, address, from, &namespaces));
    }
    place(asked, &namespaces).into()
}

fn address_of(asked: &str) -> Option<IpAddr> {
    asked.trim_start_matches('[').trim_end_matches(']').parse().ok()
}

/// What is no address.
fn place(asked: &str, namespaces: &Namespaces) -> Result<Endpoint, Missing> {
    match asked.split_once('/') {
        Some(("netns", name)) => named(asked, name, namespaces),
        Some(("pid", pid)) => process(asked, pid, namespaces),
        Some(("container", id)) => container(asked, id, namespaces),
        Some(("pod", uid)) => pod(asked, uid, namespaces),
        None if asked == "host" => host(asked, namespaces),
        _ => Err(Missing::new(format!("endpoint `{asked}`"), "this is no form of a name").remedy(FORMS)),
    }
}

fn named(asked: &str, name: &str, namespaces: &Namespaces) -> Result<Endpoint, Missing> {
    let namespace = if name.contains('/') {
        by_path(name, namespaces)
    } else {
        namespaces.by_name(name)
    };
    let Some(namespace) = namespace else {
        let mut missing = Missing::new(
            format!("endpoint `{asked}`"),
            format!("no network namespace \"{name}\""),
        );
        if name.contains('/') {
            missing = missing.remedy(
                "the path must be that of a network namespace in /run/netns, or of one that a process lives in (pid/N)",
            );
        } else if let Some(near) = nearest(name, namespaces.names()) {
            missing.why = format!("{}; did you mean \"{near}\"?", missing.why);
        } else {
            missing = missing.remedy("`ip netns` lists those that have a name");
        }
        return Err(missing);
    };
    let resolv = facts::resolv::of_named(name.rsplit('/').next().unwrap_or(name));
    let mut endpoint = within(asked, EndpointKind::Netns, namespace, resolv);
    endpoint.pid = namespace.pids.first().copied();
    Ok(endpoint)
}

fn by_path<'a>(path: &str, namespaces: &'a Namespaces) -> Option<&'a NetworkNamespace> {
    use std::os::unix::fs::MetadataExt as _;
    let inode = door::metadata(path).ok()?.ino();
    namespaces.by_inode(u32::try_from(inode).ok()?)
}

fn process(asked: &str, pid: &str, namespaces: &Namespaces) -> Result<Endpoint, Missing> {
    let what = || format!("endpoint `{asked}`");
    let number: u32 =
        pid.parse().ok().filter(|pid| *pid > 0).ok_or_else(|| {
            Missing::new(what(), format!("`{pid}` is no process id")).remedy("a process id is a number")
        })?;
    if door::metadata(format!("/proc/{number}")).is_err() {
        return Err(
            Missing::new(what(), format!("no process has the id {number}; it may have ended"))
                .remedy("`ps -e` lists those that run"),
        );
    }
    let namespace = namespaces.of_pid(number).ok_or_else(|| {
        Missing::new(
            what(),
            format!("the network namespace of process {number} cannot be read, or it is just ending"),
        )
        .remedy("run the helper as root, or with CAP_SYS_PTRACE")
    })?;
    Ok(of_process(asked, EndpointKind::Pid, number, namespace))
}

fn of_process(asked: &str, kind: EndpointKind, pid: u32, namespace: &NetworkNamespace) -> Endpoint {
    let mut endpoint = within(asked, kind, namespace, facts::resolv::of_process(pid));
    endpoint.pid = Some(pid);
    endpoint.owner = owner::of_pid(pid);
    endpoint.name = crate::identity::namespaces::of_process(Path::new("/proc"), pid);
    endpoint
}

fn container(asked: &str, id: &str, namespaces: &Namespaces) -> Result<Endpoint, Missing> {
    let what = || format!("endpoint `{asked}`");
    // As runtimes print them: `containerd://ID`.
    let id = id.rsplit('/').next().unwrap_or(id).to_ascii_lowercase();
    if id.is_empty() || id.len() > 64 || !id.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(
            Missing::new(what(), format!("`{id}` is not (the start of) a container id"))
                .remedy("a container id has up to 64 hexadecimal digits, as the runtime prints it"),
        );
    }
    let containers = containers();
    let mut matching = containers.iter().filter(|(known, _)| known.starts_with(&id));
    let (Some((_, pids)), more) = (matching.next(), matching.next()) else {
        let mut missing = Missing::new(what(), format!("no process runs in a container with the id {id}"))
            .remedy("the runtime's own list (`crictl ps`, `docker ps`) shows those that run on this machine");
        if let Some(near) = nearest(&id, containers.keys().map(|known| &known[..id.len().min(known.len())])) {
            missing.why = format!("{}; did you mean {near}?", missing.why);
        }
        return Err(missing);
    };
    if more.is_some() {
        let candidates: Vec<&str> = containers
            .keys()
            .filter(|known| known.starts_with(&id))
            .map(|known| &known[..known.len().min(id.len() + 8)])
            .take(CANDIDATES_MAX)
            .collect();
        return Err(Missing::new(
            what(),
            format!("more than one container begins with {id}: {}", candidates.join(", ")),
        )
        .remedy("write more of its id"));
    }
    pids.iter()
        .find_map(|pid| Some((*pid, namespaces.of_pid(*pid)?)))
        .map(|(pid, namespace)| of_process(asked, EndpointKind::Container, pid, namespace))
        .ok_or_else(|| {
            Missing::new(what(), "the network namespace of its processes cannot be read")
                .remedy("run the helper as root, or with CAP_SYS_PTRACE")
        })
}

/// A pod by the UID in its cgroups: what lives in its containers, or in its sandbox where no container runs.
fn pod(asked: &str, uid: &str, namespaces: &Namespaces) -> Result<Endpoint, Missing> {
    let mut containers: Vec<(Option<String>, u32)> = Vec::new();
    for pid in processes(Path::new("/proc")) {
        if let Owner::Pod { uid: of, container } = owner::of_pid(pid)
            && of == uid
            && !containers.iter().any(|(known, _)| *known == container)
        {
            containers.push((container, pid));
        }
    }
    // The sandbox is made before the containers, and holds the namespace for them.
    containers
        .get(1)
        .or(containers.first())
        .and_then(|(_, pid)| Some((*pid, namespaces.of_pid(*pid)?)))
        .map(|(pid, namespace)| of_process(asked, EndpointKind::Pod, pid, namespace))
        .ok_or_else(|| {
            Missing::new(
                format!("endpoint `{asked}`"),
                "no process on this node runs in a cgroup of that pod",
            )
            .remedy("see whether the pod still runs: kubectl get pod -o wide")
        })
}

/// Containers by id, with their processes, oldest first.
fn containers() -> BTreeMap<String, Vec<u32>> {
    let mut containers: BTreeMap<String, Vec<u32>> = BTreeMap::new();
    for pid in processes(Path::new("/proc")) {
        if let Owner::Container { id }
        | Owner::Pod {
            container: Some(id), ..
        } = owner::of_pid(pid)
        {
            containers.entry(id).or_default().push(pid);
        }
    }
    containers
}

fn host(asked: &str, namespaces: &Namespaces) -> Result<Endpoint, Missing> {
    let namespace = namespaces.by_name("host").ok_or_else(|| {
        Missing::new("endpoint `host`", "the network namespace of process 1 cannot be read")
            .remedy("run the helper as root, or with CAP_SYS_PTRACE")
    })?;
    let resolv = facts::resolv::of_machine();
    let mut endpoint = within(asked, EndpointKind::Host, namespace, resolv);
    endpoint.owner = Owner::Host;
    "host".clone_into(&mut endpoint.name);
    Ok(endpoint)
}

/// An address: the namespace that has it and can be reached from `from` at all, or none of ours.
fn at_address(asked: &str, address: IpAddr, from: Option<u32>, namespaces: &Namespaces) -> Endpoint {
    let owners: Vec<(&NetworkNamespace, Vec<Address>)> = addresses(namespaces.all().map(|ns| ns.inode).collect())
        .into_iter()
        .filter(|(_, addresses)| !address.is_loopback() && addresses.iter().any(|known| known.address == address))
        .filter(|(inode, _)| !from.is_some_and(|from| islands::apart(from, *inode)))
        .filter_map(|(inode, addresses)| Some((namespaces.by_inode(inode)?, addresses)))
        .collect();
    let mut endpoint = Endpoint {
        asked: asked.into(),
        kind: EndpointKind::Address,
        name: address.to_string(),
        addresses: vec![address],
        ..Endpoint::default()
    };
    // Of several owners (an anycast address, a service address on every node) none is the one.
    if let [(namespace, _)] = owners.as_slice() {
        endpoint.netns = Some(namespace.inode);
        endpoint.node = node();
        endpoint.pid = namespace.pids.first().copied();
        endpoint.owner = owner::of_namespace(namespace, owner::of_pid);
        endpoint.name = format!("{address} ({})", namespace.name);
        endpoint.resolv = facts::resolv::of_file("/etc/resolv.conf");
    }
    endpoint
}

fn within(asked: &str, kind: EndpointKind, namespace: &NetworkNamespace, resolv: Known<ResolvConf>) -> Endpoint {
    let own = addresses(vec![namespace.inode])
        .remove(&namespace.inode)
        .unwrap_or_default();
    let used: Vec<IpAddr> = FAR
        .iter()
        .filter_map(|far| {
            let kind = if far.is_ipv4() {
                SocketKind::Udp4
            } else {
                SocketKind::Udp6
            };
            let socket = usher::socket(namespace, kind).ok()?;
            source_by(&socket.into(), SocketAddr::new(*far, 0))
        })
        .collect();
    Endpoint {
        asked: asked.into(),
        kind,
        node: node(),
        netns: Some(namespace.inode),
        name: namespace.name.clone(),
        addresses: ranked(&own, &used),
        owner: owner::of_namespace(namespace, owner::of_pid),
        resolv,
        ..Endpoint::default()
    }
}

fn node() -> String {
    nix::sys::utsname::uname()
        .map(|uname| uname.nodename().to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// All addresses of these namespaces.
fn addresses(netns: Vec<u32>) -> BTreeMap<u32, Vec<Address>> {
    let ask = Ask {
        netns,
        facts: vec!["addresses".into()],
        ..Ask::default()
    };
    let mut found = BTreeMap::new();
    survey::read(&ask, &mut |reply| {
        if let Reply::Facts { facts, .. } = reply
            && let Known::Known(addresses) = facts.addresses
        {
            found.insert(facts.netns, addresses);
        }
    });
    found
}

/// Those that others can reach, the ones in use first, IPv4 before IPv6, else in the order of interfaces.
fn ranked(own: &[Address], used: &[IpAddr]) -> Vec<IpAddr> {
    let mut reachable: Vec<&Address> = own
        .iter()
        .filter(|own| !own.link_scope && !own.dad_failed && !own.address.is_loopback())
        .collect();
    reachable.sort_by_key(|own| {
        (
            !used.contains(&own.address),
            own.address.is_ipv6(),
            own.tentative,
            own.ifindex,
        )
    });
    let mut seen = BTreeSet::new();
    reachable
        .iter()
        .map(|own| own.address)
        .filter(|address| seen.insert(*address))
        .collect()
}

/// The name most like this one, if any is at all.
fn nearest<'a>(name: &str, known: impl Iterator<Item = &'a str>) -> Option<String> {
    known
        .map(|known| (strsim::jaro_winkler(name, known), known))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, known)| known.to_owned())
}

#[cfg(test)]
mod tests {
    use super::{nearest, ranked, resolve};
    use model::endpoint::EndpointKind;
    use model::facts::Address;
    use std::net::IpAddr;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn the_near_name_is_offered_and_a_far_one_is_not() {
        let known = || ["web", "db", "cache"].into_iter();
        assert_eq!(nearest("weeb", known()).as_deref(), Some("web"));
        assert_eq!(nearest("xyz", known()), None);
    }

    #[test]
    fn addresses_in_use_come_first_and_local_ones_not_at_all() {
        let own = |ifindex, address, link_scope| Address {
            ifindex,
            address: ip(address),
            prefix: 24,
            tentative: false,
            dad_failed: false,
            link_scope,
        };
        let all = [
            own(1, "127.0.0.1", false),
            own(1, "::1", false),
            own(2, "172.17.0.1", false),
            own(3, "fd90:1::2", false),
            own(3, "fe80::2", true),
            own(3, "10.0.0.2", false),
        ];
        assert_eq!(
            ranked(&all, &[ip("10.0.0.2"), ip("fd90:1::2")]),
            [ip("10.0.0.2"), ip("fd90:1::2"), ip("172.17.0.1")]
        );
    }

    #[test]
    fn what_is_not_here_is_missing_with_what_to_do() {
        for (asked, says) in [
            ("pid/abc", "`abc` is no process id"),
            ("pid/0", "`0` is no process id"),
            ("pid/4194305", "no process has the id 4194305"),
            ("container/xyz", "is not (the start of) a container id"),
            ("netns/", "no network namespace"),
            ("netns/no-such-name-here", "no network namespace \"no-such-name-here\""),
            ("netns//run/netns/no-such", "no network namespace"),
            ("pod/x", "no process on this node runs in a cgroup of that pod"),
            ("", "no form of a name"),
        ] {
            let missing = resolve(asked, None).get().unwrap_err().clone();
            assert!(missing.why.contains(says), "{asked}: {missing:?}");
        }
    }

    #[test]
    fn our_own_process_is_found() {
        let found = resolve(&format!("pid/{}", std::process::id()), None);
        let endpoint = found.get().unwrap();
        assert_eq!(endpoint.kind, EndpointKind::Pid);
        assert_eq!(endpoint.pid, Some(std::process::id()));
        assert!(endpoint.netns.is_some());
    }

    #[test]
    fn an_address_of_nobody_here_stays_an_address() {
        let found = resolve("192.0.2.77", None);
        let endpoint = found.get().unwrap();
        assert_eq!(
            (endpoint.netns, endpoint.addresses.as_slice()),
            (None, [ip("192.0.2.77")].as_slice())
        );
    }
}
