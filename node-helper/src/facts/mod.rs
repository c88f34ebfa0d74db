//! Facts: state at a moment, read from the kernel, never judged.
//!
//! A fact of a namespace is one file that reads one field of [`NetnsFacts`], and one line in [`FACTS`].

mod addresses;
mod bpf;
mod conntrack;
mod counters;
mod fdb;
mod links;
mod lookups;
mod neighbours;
pub(crate) mod netfilter;
mod node;
mod process;
mod qdiscs;
mod routes;
mod rules;
mod socket_counts;
pub(crate) mod sockets;
mod sysctls;
mod xfrm;

/// The process inside a namespace.
pub(crate) mod reader;
/// resolv.conf, as glibc reads it.
pub mod resolv;

use crate::identity::namespaces::{Namespace, Namespaces};
use crate::servants::usher::{self, Kind};
use crate::system::clock;
use crate::system::door;
use crate::system::netlink::Netlink;
use anyhow::Context as _;
use model::facts::{Address, NetnsFacts, Phase};
use model::missing::{Known, Missing};
use model::protocol::{Ask, Reply};
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::path::Path;
use std::sync::mpsc;
use std::thread;

/// One fact of a namespace.
struct Fact {
    /// Name of the field of [`NetnsFacts`] it fills.
    name: &'static str,
    /// Traffic changes it, so it is read again after the window.
    moves: bool,
    /// Reads it, on a thread inside the namespace.
    read: fn(&Look, &mut NetnsFacts),
}

/// Every fact of a namespace. What is read last was changed least by our own reading.
const FACTS: &[Fact] = &[
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
    socket_counts::FACT,
    conntrack::FACT,
    xfrm::FACT,
    bpf::FACT,
    netfilter::FACT,
];

/// What a fact is read for and with.
struct Look<'a> {
    ask: &'a Ask,
    namespace: &'a Namespace,
    namespaces: &'a Namespaces,
    route: RefCell<Option<Netlink>>,
    links: OnceCell<Vec<Vec<u8>>>,
}

/// Facts for which nothing but routing netlink is asked: whoever has such a socket of the namespace need not be there.
const OF_ROUTE: [&str; 2] = ["links", "addresses"];

impl<'a> Look<'a> {
    fn new(ask: &'a Ask, namespace: &'a Namespace, namespaces: &'a Namespaces) -> Self {
        Self {
            ask,
            namespace,
            namespaces,
            route: RefCell::new(None),
            links: OnceCell::new(),
        }
    }

    /// Reads what is wanted, besides what is known so far.
    fn read(&self, mut facts: NetnsFacts, wanted: &dyn Fn(&Fact) -> bool) -> NetnsFacts {
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

/// Reads what is asked for and says it: one [`Reply::Facts`] a namespace, [`Reply::Process`] a process, and [`Reply::Node`].
/// Namespaces are read at the same time.
pub fn read(ask: &Ask, say: &mut dyn FnMut(Reply)) {
    let phase = ask.phase.unwrap_or(Phase::Before);
    for name in &ask.facts {
        if !FACTS.iter().any(|fact| fact.name == name) {
            say(Reply::Failed {
                request: "read".to_owned(),
                missing: Missing::new(format!("fact `{name}`"), "this helper knows no such fact"),
            });
        }
    }
    let namespaces = &Namespaces::scan();
    let mut processes: BTreeSet<u32> = ask.pids.iter().copied().collect();
    let (tell, told) = mpsc::channel();
    thread::scope(|scope| {
        for inode in &ask.netns {
            let tell = tell.clone();
            scope.spawn(move || {
                let _ = tell.send(namespace_facts(ask, phase, namespaces, *inode));
            });
        }
        drop(tell);
        for (name, facts) in told {
            processes.extend(holders(ask, &facts));
            say(Reply::Facts {
                id: ask.id,
                name,
                phase,
                facts,
            });
        }
    });
    for pid in processes {
        let netns = namespaces.of_pid(pid).map_or(0, |namespace| namespace.inode);
        if let Some(facts) = process::read(pid, netns) {
            say(Reply::Process {
                id: ask.id,
                phase,
                facts,
            });
        }
    }
    if ask.node {
        say(Reply::Node {
            id: ask.id,
            phase,
            facts: node::read(Path::new("/")),
        });
    }
}

/// Processes that listen on the ports asked for.
fn holders(ask: &Ask, facts: &NetnsFacts) -> BTreeSet<u32> {
    let sockets = facts.sockets.ok().into_iter().flatten();
    sockets
        .filter(|socket| sockets::listens(socket) && ask.ports.contains(&socket.flow.sport))
        .flat_map(|socket| socket.pids.iter().copied())
        .collect()
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

fn namespace_facts(ask: &Ask, phase: Phase, namespaces: &Namespaces, inode: u32) -> (String, NetnsFacts) {
    let wanted = |fact: &Fact| {
        if ask.facts.is_empty() {
            phase == Phase::Before || fact.moves
        } else {
            ask.facts.iter().any(|name| name == fact.name)
        }
    };
    let mut facts = NetnsFacts {
        netns: inode,
        at_ns: clock::monotonic_ns(),
        ..NetnsFacts::default()
    };
    let Some(namespace) = namespaces.by_inode(inode) else {
        let missing = Missing::new(
            format!("facts of network namespace {inode}"),
            "nothing names it and no process lives in it; it may be gone",
        );
        fill(&mut facts, &missing);
        return (inode.to_string(), facts);
    };
    let names: Vec<String> = FACTS
        .iter()
        .filter(|fact| wanted(fact))
        .map(|fact| fact.name.to_owned())
        .collect();
    let read = if names.iter().all(|name| OF_ROUTE.contains(&name.as_str())) {
        usher::socket(namespace, Kind::Route)
            .and_then(Netlink::over)
            .map(|route| {
                let look = Look::new(ask, namespace, namespaces);
                *look.route.borrow_mut() = Some(route);
                look.read(facts.clone(), &wanted)
            })
    } else {
        let order = reader::Order {
            ask: ask.clone(),
            wanted: names,
            namespaces: namespaces.clone(),
            facts: facts.clone(),
        };
        reader::read(namespace, &order)
    };
    let read = read.map(|mut facts| {
        if let Known::Known(found) = &mut facts.bpf {
            bpf::name(found);
        }
        facts
    });
    let facts = read.unwrap_or_else(|error| {
        let missing = Missing::new(format!("facts of {}", namespace.name), format!("{error:#}"));
        fill(&mut facts, &missing);
        facts
    });
    (namespace.name.clone(), facts)
}

/// Every fact is missing for one and the same reason.
fn fill(facts: &mut NetnsFacts, missing: &Missing) {
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
        socket_counts,
        counters,
        conntrack,
        netfilter,
        bpf,
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
    *socket_counts = Known::Missing(missing.clone());
    *counters = Known::Missing(missing.clone());
    *conntrack = Known::Missing(missing.clone());
    *netfilter = Known::Missing(missing.clone());
    *bpf = Known::Missing(missing.clone());
    *xfrm = Known::Missing(missing.clone());
    *lookups = Known::Missing(missing.clone());
}
