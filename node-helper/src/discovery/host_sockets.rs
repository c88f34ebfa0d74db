//! Sockets of pods and containers that live in the node's own network namespace (`hostNetwork`): a packet there tells whose it is
//! by the socket at either end.

use super::owner_memory::LOOK_AGAIN;
use crate::facts::addresses;
use crate::facts::sockets::{brief, held};
use crate::identity::namespaces::Namespaces;
use crate::identity::owner::{is_contained, of_pid};
use crate::servants::usher::{self, SocketKind};
use crate::system::netlink::Netlink;
use model::facts::Socket;
use model::flow::{Flow, TCP, UDP};
use model::owner::Owner;
use std::collections::{BTreeSet, HashMap};
use std::net::{IpAddr, SocketAddr};
use std::time::Instant;

/// The sockets, looked at when an event asks, and then at most so often.
#[derive(Default)]
pub struct HostSockets {
    table: Table,
    looked: Option<Instant>,
}

impl HostSockets {
    /// Whose socket is at one end of this flow; `None` for the node's own, or one that is passing through.
    pub fn of(&mut self, netns: u32, flow: &Flow) -> Option<Owner> {
        if self.looked.is_none_or(|looked| looked.elapsed() >= LOOK_AGAIN) {
            self.looked = Some(Instant::now());
            // What cannot be read leaves the event to the node.
            self.table = read(netns).unwrap_or_default();
        }
        self.table.of(flow).cloned()
    }
}

fn read(netns: u32) -> Option<Table> {
    let namespaces = Namespaces::scan();
    let namespace = namespaces.by_inode(netns)?;
    let mut owners: HashMap<u64, Owner> = HashMap::new();
    for pid in &namespace.pids {
        let owner = of_pid(*pid);
        if is_contained(&owner) {
            owners.extend(held(*pid).into_iter().map(|inode| (inode, owner.clone())));
        }
    }
    if owners.is_empty() {
        return None;
    }
    let of = |kind| usher::socket(namespace, kind).and_then(Netlink::over).ok();
    let (mut diag, mut route) = (of(SocketKind::SockDiag)?, of(SocketKind::Route)?);
    let sockets = [TCP, UDP]
        .into_iter()
        .filter_map(|protocol| brief(&mut diag, protocol).ok())
        .flatten()
        .filter_map(|socket| Some((owners.get(&socket.inode)?.clone(), socket)))
        .collect();
    let own = addresses(&mut route).ok()?;
    Some(Table::new(sockets, own.into_iter().map(|own| own.address).collect()))
}

/// The sockets by protocol and port.
#[derive(Default)]
struct Table {
    sockets: HashMap<(u8, u16), Vec<(Owner, Socket)>>,
    /// Addresses of the node.
    own: BTreeSet<IpAddr>,
}

impl Table {
    fn new(sockets: Vec<(Owner, Socket)>, own: BTreeSet<IpAddr>) -> Self {
        let mut table = Self { own, ..Self::default() };
        for (owner, socket) in sockets {
            let key = (socket.flow.protocol, socket.flow.sport);
            table.sockets.entry(key).or_default().push((owner, socket));
        }
        table
    }

    /// The connection's own socket before one that waits for whoever comes; the receiver's before the sender's.
    fn of(&self, flow: &Flow) -> Option<&Owner> {
        let (src, dst) = (
            SocketAddr::new(flow.src(), flow.sport),
            SocketAddr::new(flow.dst(), flow.dport),
        );
        let ends = [(dst, src), (src, dst)];
        let at = |end: SocketAddr| {
            let sockets = self.sockets.get(&(flow.protocol, end.port()));
            sockets.into_iter().flatten().filter(move |(_, socket)| {
                let bound = socket.flow.src();
                bound == end.ip() || (bound.is_unspecified() && self.own.contains(&end.ip()))
            })
        };
        let connected = ends.iter().find_map(|(local, remote)| {
            at(*local).find(|(_, socket)| (socket.flow.dst(), socket.flow.dport) == (remote.ip(), remote.port()))
        });
        let waiting = || {
            ends.iter()
                .find_map(|(local, _)| at(*local).find(|(_, socket)| socket.flow.dport == 0))
        };
        connected.or_else(waiting).map(|(owner, _)| owner)
    }
}

#[cfg(test)]
mod tests {
    use super::Table;
    use model::facts::Socket;
    use model::flow::{Flow, TCP};
    use model::owner::Owner;

    fn flow(src: &str, dst: &str) -> Flow {
        Flow::new(TCP, src.parse().unwrap(), dst.parse().unwrap())
    }

    fn pod(uid: &str) -> Owner {
        Owner::Pod {
            uid: uid.into(),
            container: None,
        }
    }

    fn table() -> Table {
        let socket = |uid, local, remote| {
            let socket = Socket {
                flow: flow(local, remote),
                ..Socket::default()
            };
            (pod(uid), socket)
        };
        let sockets = vec![
            socket("proxy", "0.0.0.0:10256", "0.0.0.0:0"),
            socket("api", "10.0.0.1:6443", "0.0.0.0:0"),
            socket("agent", "10.0.0.1:40000", "10.0.0.9:443"),
            socket("v6", "[::]:9100", "[::]:0"),
        ];
        Table::new(
            sockets,
            ["10.0.0.1", "127.0.0.1", "fd00::1"]
                .map(|address| address.parse().unwrap())
                .into(),
        )
    }

    #[test]
    fn a_packet_to_the_nodes_address_is_the_listening_pods() {
        let table = table();
        let of = |src, dst| table.of(&flow(src, dst)).cloned();
        assert_eq!(of("10.0.0.7:5000", "10.0.0.1:10256"), Some(pod("proxy")));
        assert_eq!(of("10.0.0.7:5000", "10.0.0.1:6443"), Some(pod("api")));
        assert_eq!(of("10.0.0.1:6443", "10.0.0.7:5000"), Some(pod("api")), "and its answer");
        assert_eq!(of("[fd00::7]:5000", "[fd00::1]:9100"), Some(pod("v6")));
        assert_eq!(of("127.0.0.1:5000", "127.0.0.1:6443"), None, "bound elsewhere");
        assert_eq!(of("10.0.0.7:5000", "10.0.0.1:22"), None, "the node's own");
    }

    #[test]
    fn a_connections_own_socket_counts_before_a_listener() {
        let table = table();
        assert_eq!(table.of(&flow("10.0.0.1:40000", "10.0.0.9:443")), Some(&pod("agent")));
        assert_eq!(table.of(&flow("10.0.0.9:443", "10.0.0.1:40000")), Some(&pod("agent")));
        assert_eq!(
            table.of(&flow("10.0.0.8:443", "10.0.0.1:40000")),
            None,
            "another connection from that port"
        );
    }

    #[test]
    fn what_only_passes_the_node_is_nobodys_here() {
        assert_eq!(table().of(&flow("10.244.0.5:5000", "10.244.1.7:10256")), None);
    }
}
