//! A place whose numbers are read again and again: a network namespace with what was opened in it once, and who lives there.

use crate::facts::socket_counts::parse_sockstat;
use crate::facts::{addresses, counters, links, sockets};
use crate::identity::namespaces::NetworkNamespace;
use crate::identity::owner::of_pid;
use crate::servants::usher::{self, KernelFile, SocketKind};
use crate::system::door;
use crate::system::netlink::{Budget, Netlink};
use anyhow::{Context as _, anyhow};
use model::facts::{Address, Link, Socket};
use model::owner::Owner;
use std::collections::{BTreeMap, HashMap};
use std::fs::File;
use std::net::IpAddr;
use std::os::unix::fs::FileExt as _;
use std::sync::Arc;

/// Addresses of a place that are told.
const ADDRESSES_MAX: usize = 64;

/// One namespace, or the node itself.
pub struct ReadPlace {
    namespace: NetworkNamespace,
    files: HashMap<KernelFile, Result<Option<File>, String>>,
    route: Option<Netlink>,
    diag: Option<Netlink>,
    round: ReadThisRound,
}

/// Which pod of the node's own namespace numbers are of; nothing where a place is nobody else's.
#[derive(Clone, Debug)]
pub struct PodLabel(Option<String>);

impl PodLabel {
    /// These labels, with the pod's added.
    pub fn with<'a>(&'a self, labels: &[(&'a str, &'a str)]) -> Vec<(&'a str, &'a str)> {
        let pod = self.0.iter().map(|uid| ("pod", uid.as_str()));
        labels.iter().copied().chain(pod).collect()
    }
}

/// What was read in this round already: several probes look at the same.
#[derive(Default)]
struct ReadThisRound {
    counters: HashMap<KernelFile, Arc<BTreeMap<String, u64>>>,
    links: Option<Arc<Vec<Link>>>,
    counts: Option<Arc<BTreeMap<String, u64>>>,
    tcp: Option<Arc<Vec<Socket>>>,
    pods: Option<Arc<BTreeMap<String, Vec<u32>>>>,
}

impl ReadPlace {
    /// One of which nothing is open yet.
    pub fn new(namespace: NetworkNamespace) -> Self {
        Self {
            namespace,
            files: HashMap::new(),
            route: None,
            diag: None,
            round: ReadThisRound::default(),
        }
    }

    /// What is read from now on is read anew.
    pub fn begin_round(&mut self) {
        self.round = ReadThisRound::default();
    }

    /// Which namespace it is.
    pub fn namespace(&self) -> &NetworkNamespace {
        &self.namespace
    }

    /// Processes that live there, oldest first.
    pub fn pids(&self) -> &[u32] {
        &self.namespace.pids
    }

    /// It is the node's own namespace, in which more lives than one pod.
    pub fn is_host(&self) -> bool {
        self.namespace.name == "host"
    }

    /// Groups of processes that have a cgroup of their own, each with the labels of its numbers: of the node's own namespace the pods
    /// that share it, of another one all that live there.
    pub fn groups(&mut self) -> Vec<(PodLabel, Vec<u32>)> {
        if !self.is_host() {
            return vec![(PodLabel(None), self.namespace.pids.clone())];
        }
        let pods = self.round.pods.get_or_insert_with(|| {
            let mut pods: BTreeMap<String, Vec<u32>> = BTreeMap::new();
            for pid in &self.namespace.pids {
                if let Owner::Pod { uid, .. } = of_pid(*pid) {
                    pods.entry(uid).or_default().push(*pid);
                }
            }
            Arc::new(pods)
        });
        let group = |(uid, pids): (&String, &Vec<u32>)| (PodLabel(Some(uid.clone())), pids.clone());
        pods.iter().map(group).collect()
    }

    /// Who lives there now.
    pub fn meet(&mut self, pids: &[u32]) {
        self.namespace.pids.clear();
        self.namespace.pids.extend_from_slice(pids);
    }

    /// The text of a file of the kernel's; `None` where this kernel has none. It is opened once: what an open file of the
    /// kernel's tables tells is told anew each time it is read from its beginning.
    pub fn text(&mut self, file: KernelFile) -> anyhow::Result<Option<String>> {
        let namespace = &self.namespace;
        let opened = self
            .files
            .entry(file)
            .or_insert_with(|| usher::file(namespace, file).map_err(|error| format!("{error:#}")));
        match opened {
            Ok(Some(opened)) => read_again(opened)
                .map(Some)
                .with_context(|| format!("cannot read {} of {}", file.path(), namespace.name)),
            Ok(None) => Ok(None),
            Err(why) => Err(anyhow!("{why}")),
        }
    }

    /// The text of a file that every kernel of interest has.
    pub fn need(&mut self, file: KernelFile) -> anyhow::Result<String> {
        self.text(file)?
            .with_context(|| format!("this kernel has no {}", file.path()))
    }

    /// The counters of a table of the kernel's, by name; none where this kernel has no such table.
    pub fn counters(&mut self, file: KernelFile) -> anyhow::Result<Arc<BTreeMap<String, u64>>> {
        if let Some(counters) = self.round.counters.get(&file) {
            return Ok(Arc::clone(counters));
        }
        let text = self.text(file)?.unwrap_or_default();
        let parsed = match file {
            KernelFile::Snmp6 => counters::parse_list(&text),
            _ => counters::parse_pairs(&text),
        };
        let parsed = Arc::new(parsed);
        self.round.counters.insert(file, Arc::clone(&parsed));
        Ok(parsed)
    }

    /// How many sockets it has, by protocol and word as the kernel counts them: `tcp inuse`, `udp6 inuse`, `tcp TIME_WAIT`.
    pub fn socket_counts(&mut self) -> anyhow::Result<Arc<BTreeMap<String, u64>>> {
        if let Some(counts) = &self.round.counts {
            return Ok(Arc::clone(counts));
        }
        let mut counts = parse_sockstat(&self.need(KernelFile::Sockstat)?);
        // Absent where IPv6 is.
        let six = self.text(KernelFile::Sockstat6)?.unwrap_or_default();
        counts.extend(parse_sockstat(&six));
        let counts = Arc::new(counts);
        self.round.counts = Some(Arc::clone(&counts));
        Ok(counts)
    }

    /// Its TCP sockets. The kernel looks through all connections of the node to list those of one namespace, however few: it is
    /// not asked where there is none by its own count. (That of `TIME_WAIT` is the whole node's before Linux 6.1.)
    pub fn tcp_sockets(&mut self) -> anyhow::Result<Arc<Vec<Socket>>> {
        if let Some(tcp) = &self.round.tcp {
            return Ok(Arc::clone(tcp));
        }
        let counts = self.socket_counts()?;
        let of = |name: &str| counts.get(name).copied().unwrap_or_default();
        let tcp = Arc::new(match of("tcp inuse") + of("tcp6 inuse") + of("tcp TIME_WAIT") {
            0 => Vec::new(),
            _ => sockets::tcp(self.diag()?)?,
        });
        self.round.tcp = Some(Arc::clone(&tcp));
        Ok(tcp)
    }

    /// Its interfaces with what they count.
    pub fn links(&mut self) -> anyhow::Result<Arc<Vec<Link>>> {
        if let Some(links) = &self.round.links {
            return Ok(Arc::clone(links));
        }
        let links = Arc::new(links::counted(self.route()?)?);
        self.round.links = Some(Arc::clone(&links));
        Ok(links)
    }

    /// Its addresses that others can reach, as far as they can be read.
    pub fn addresses(&mut self) -> Vec<IpAddr> {
        let all = self.route().and_then(addresses::all).unwrap_or_default();
        let others_reach = |own: &Address| !own.address.is_loopback() && !own.link_scope;
        let reached = all.iter().filter(|own| others_reach(own));
        reached.map(|own| own.address).take(ADDRESSES_MAX).collect()
    }

    /// Its routing netlink.
    pub fn route(&mut self) -> anyhow::Result<&mut Netlink> {
        open(&mut self.route, &self.namespace, SocketKind::Route)
    }

    /// Its tracked connections, asked for just now and to be heard within this.
    pub fn tracked(&self, budget: Budget) -> anyhow::Result<Netlink> {
        Ok(Netlink::asked_over(usher::tracked(&self.namespace)?)?.within(budget))
    }

    /// Its netlink about sockets.
    pub fn diag(&mut self) -> anyhow::Result<&mut Netlink> {
        open(&mut self.diag, &self.namespace, SocketKind::SockDiag)
    }
}

fn open<'a>(
    slot: &'a mut Option<Netlink>,
    namespace: &NetworkNamespace,
    kind: SocketKind,
) -> anyhow::Result<&'a mut Netlink> {
    if slot.is_none() {
        *slot = Some(Netlink::over(usher::socket(namespace, kind)?)?);
    }
    slot.as_mut().context("a socket is gone")
}

/// All of it, from its beginning.
fn read_again(file: &File) -> std::io::Result<String> {
    const PIECE: usize = 16 * 1024;
    let mut bytes = Vec::new();
    loop {
        let at = bytes.len();
        if at as u64 >= door::TABLE {
            return Err(std::io::Error::other("it is longer than any such table should be"));
        }
        bytes.resize(at + PIECE, 0);
        let read = file.read_at(&mut bytes[at..], at as u64)?;
        bytes.truncate(at + read);
        if read == 0 {
            return Ok(String::from_utf8_lossy(&bytes).into_owned());
        }
    }
}
