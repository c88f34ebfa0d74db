//! Facts: state at a moment, read from the kernel, never judged.
//!
//! A fact of a namespace is one file that reads one field of [`NetnsFacts`], and one line in [`FACTS`]. It is read inside the
//! namespace, by a process that has no other business (`reader`), with `system` and `identity` alone. Who starts that process,
//! and for which facts, stands in `discovery::survey`.

pub(crate) mod addresses;
pub(crate) mod block_io;
mod bpf;
pub(crate) mod cilium_metrics;
pub(crate) mod conntrack;
pub(crate) mod counters;
mod fdb;
pub(crate) mod links;
mod lookups;
mod neighbours;
pub(crate) mod netfilter;
pub(crate) mod node;
pub(crate) mod peers;
pub(crate) mod process;
pub(crate) mod qdiscs;
mod queues;
mod routes;
mod rules;
pub(crate) mod socket_counts;
pub(crate) mod sockets;
mod sysctls;
mod tunnels;
mod xfrm;

/// The hosts file, and whether it is asked before DNS.
pub mod hosts;
/// The process inside a namespace.
pub(crate) mod reader;
/// resolv.conf, as glibc reads it.
pub mod resolv;

use crate::identity::namespaces::{Namespaces, NetworkNamespace};
use crate::system::door;
use crate::system::netlink::Netlink;
use anyhow::Context as _;
use model::facts::{Address, NetnsFacts};
use model::missing::{Known, Missing};
use model::protocol::Ask;
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::net::IpAddr;

/// One fact of a namespace.
pub(crate) struct Fact {
    /// Name of the field of [`NetnsFacts`] it fills.
    pub(crate) name: &'static str,
    /// Traffic changes it, so it is read again after the window.
    pub(crate) moves: bool,
    /// Reads it, on a thread inside the namespace.
    read: fn(&Look, &mut NetnsFacts),
}

/// Every fact of a namespace. What is read last was changed least by our own reading.
pub(crate) const FACTS: &[Fact] = &[
    counters::FACT,
    links::FACT,
    addresses::FACT,
    routes::FACT,
    rules::FACT,
    lookups::FACT,
    neighbours::FACT,
    fdb::FACT,
    sysctls::FACT,
    sockets::FACT,
    peers::FACT,
    socket_counts::FACT,
    conntrack::FACT,
    xfrm::FACT,
    bpf::FACT,
    cilium_metrics::FACT,
    queues::FACT,
    netfilter::FACT,
];

/// What a fact is read for and with.
pub(crate) struct Look<'a> {
    ask: &'a Ask,
    namespace: &'a NetworkNamespace,
    namespaces: &'a Namespaces,
    route: RefCell<Option<Netlink>>,
    links: OnceCell<Vec<Vec<u8>>>,
}

impl<'a> Look<'a> {
    pub(crate) fn new(ask: &'a Ask, namespace: &'a NetworkNamespace, namespaces: &'a Namespaces) -> Self {
        Self {
            ask,
            namespace,
            namespaces,
            route: RefCell::new(None),
            links: OnceCell::new(),
        }
    }

    /// A look that uses this routing netlink socket, which was opened in the namespace.
    pub(crate) fn over(self, route: Netlink) -> Self {
        *self.route.borrow_mut() = Some(route);
        self
    }

    /// Reads what is wanted, besides what is known so far.
    pub(crate) fn read(&self, mut facts: NetnsFacts, wanted: &dyn Fn(&Fact) -> bool) -> NetnsFacts {
        for fact in FACTS.iter().filter(|fact| wanted(fact)) {
            (fact.read)(self, &mut facts);
        }
        facts
    }

    /// Uses this namespace's routing netlink, which is opened once for all facts.
    fn route<T>(&self, f: impl FnOnce(&mut Netlink) -> anyhow::Result<T>) -> anyhow::Result<T> {
        let mut slot = self.route.borrow_mut();
        let route = match slot.as_mut() {
            Some(route) => route,
            None => slot.insert(Netlink::open(libc::NETLINK_ROUTE)?),
        };
        f(route)
    }

    /// Uses the messages of this namespace's interfaces, which are read once for all facts.
    fn links<T>(&self, f: impl FnOnce(&[Vec<u8>]) -> T) -> anyhow::Result<T> {
        if let Some(messages) = self.links.get() {
            return Ok(f(messages));
        }
        let messages = self.route(links::messages)?;
        Ok(f(self.links.get_or_init(|| messages)))
    }

    /// A file of this namespace's `/proc/net`.
    fn proc_net(&self, file: &str) -> anyhow::Result<String> {
        let path = format!("/proc/thread-self/net/{file}");
        door::text(&path, door::TABLE).with_context(|| format!("cannot read {path} in {}", self.namespace.name))
    }

    /// The addresses in question.
    fn addresses(&self) -> BTreeSet<IpAddr> {
        let flows = self.ask.flows.iter().flat_map(|flow| [flow.src(), flow.dst()]);
        let lookups = self.ask.lookups.iter().flat_map(|(dst, src)| [Some(*dst), *src]);
        flows.chain(lookups.flatten()).collect()
    }

    /// The outcome of a reading, with its reason where it failed.
    fn known<T>(&self, what: &str, outcome: anyhow::Result<T>) -> Known<T> {
        match outcome {
            Ok(value) => Known::Known(value),
            Err(error) => Known::Missing(
                Missing::new(format!("{what} of {}", self.namespace.name), format!("{error:#}")).remedy(
                    "run the helper as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN in the initial user namespace",
                ),
            ),
        }
    }
}

/// A namespace's interfaces, by its routing netlink: index and name.
pub(crate) fn interfaces(route: &mut Netlink) -> anyhow::Result<Vec<(u32, String)>> {
    let messages = links::messages(route)?;
    let named = messages.iter().map(|body| links::brief(body));
    named
        .map(|interface| interface.map(|interface| (interface.index, interface.name)))
        .collect()
}

/// A namespace's addresses, by its routing netlink.
pub(crate) fn addresses(route: &mut Netlink) -> anyhow::Result<Vec<Address>> {
    addresses::all(route)
}

/// Every fact is missing for one and the same reason.
pub(crate) fn fill(facts: &mut NetnsFacts, missing: &Missing) {
    let NetnsFacts {
        netns: _,
        at_ns: _,
        links,
        addresses,
        routes,
        rules,
        neighbours,
        fdb,
        sysctls,
        sockets,
        peers,
        socket_counts,
        counters,
        conntrack,
        netfilter,
        queues,
        bpf,
        cilium_metrics,
        xfrm,
        lookups,
    } = facts;
    *links = Known::Missing(missing.clone());
    *addresses = Known::Missing(missing.clone());
    *routes = Known::Missing(missing.clone());
    *rules = Known::Missing(missing.clone());
    *neighbours = Known::Missing(missing.clone());
    *fdb = Known::Missing(missing.clone());
    *sysctls = Known::Missing(missing.clone());
    *sockets = Known::Missing(missing.clone());
    *peers = Known::Missing(missing.clone());
    *socket_counts = Known::Missing(missing.clone());
    *counters = Known::Missing(missing.clone());
    *conntrack = Known::Missing(missing.clone());
    *netfilter = Known::Missing(missing.clone());
    *queues = Known::Missing(missing.clone());
    *bpf = Known::Missing(missing.clone());
    *cilium_metrics = Known::Missing(missing.clone());
    *xfrm = Known::Missing(missing.clone());
    *lookups = Known::Missing(missing.clone());
}
