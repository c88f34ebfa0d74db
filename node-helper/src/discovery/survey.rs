//! The facts that were asked for: which process reads them (one inside each namespace, or we ourselves where a socket of that
//! namespace is enough), and what is said of them.

use crate::facts::cilium_metrics::{self, ENTRIES_MAX, MetricsKey, MetricsValue};
use crate::facts::reader::ReaderOrder;
use crate::facts::{FACTS, Fact, Look, fill, node, process, sockets};
use crate::identity::namespaces::{Namespaces, NetworkNamespace};
use crate::servants::usher::{self, ChildTask, SocketKind};
use crate::system::netlink::Netlink;
use crate::system::{bpf, clock};
use anyhow::{Context as _, bail};
use aya::maps::{Map, MapData, PerCpuHashMap};
use model::facts::{BpfAttachment, CiliumMetrics, NetnsFacts, Phase};
use model::missing::{Known, Missing};
use model::protocol::{Ask, Reply};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::path::Path;
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

/// The slowest part of it gives up after a few seconds by itself.
const PATIENCE: Duration = Duration::from_secs(20);
/// Facts are bounded one by one, and together far below this.
const FACTS_MAX_BYTES: usize = 64 << 20;
/// Facts for which nothing but routing netlink is asked: whoever has such a socket of the namespace need not be there.
const OF_ROUTE: [&str; 2] = ["links", "addresses"];

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
        usher::socket(namespace, SocketKind::Route)
            .and_then(Netlink::over)
            .map(|route| {
                let look = Look::new(ask, namespace, namespaces).over(route);
                look.read(facts.clone(), &wanted)
            })
    } else {
        let order = ReaderOrder {
            ask: ask.clone(),
            wanted: names,
            namespaces: namespaces.clone(),
            facts: facts.clone(),
        };
        read_within(namespace, &order)
    };
    let read = read.map(|mut facts| {
        if let Known::Known(found) = &mut facts.bpf {
            name_programs(found);
        }
        if let Known::Known(metrics) = &mut facts.cilium_metrics
            && let Err(error) = count(metrics)
        {
            let what = format!("what Cilium's programs count of {}", namespace.name);
            facts.cilium_metrics = Known::Missing(Missing::new(what, format!("{error:#}")));
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

/// Has an order carried out inside this namespace.
fn read_within(namespace: &NetworkNamespace, order: &ReaderOrder) -> anyhow::Result<NetnsFacts> {
    let pipe = || pipe2(OFlag::O_CLOEXEC).context("cannot make a pipe");
    let ((stdin, to), (from, stdout)) = (pipe()?, pipe()?);
    let process = usher::start(namespace, ChildTask::Read, &stdin, &stdout)?;
    drop((stdin, stdout));
    let order = serde_json::to_vec(order).context("cannot write an order as JSON")?;
    let gone = "the process that reads them ended early";
    File::from(to).write_all(&order).context(gone)?;
    let mut said = Vec::new();
    let mut from = File::from(from);
    let until = Instant::now() + PATIENCE;
    let mut piece = vec![0; 64 * 1024];
    loop {
        let left = until.saturating_duration_since(Instant::now());
        let timeout = PollTimeout::try_from(left).unwrap_or(PollTimeout::ZERO);
        let ready = poll(&mut [PollFd::new(from.as_fd(), PollFlags::POLLIN)], timeout).context("cannot wait")?;
        if ready == 0 {
            bail!("they were not read within {} s; look again", PATIENCE.as_secs());
        }
        match from.read(&mut piece).context(gone)? {
            0 => break,
            count => said.extend_from_slice(&piece[..count]),
        }
        if said.len() > FACTS_MAX_BYTES {
            bail!("they are longer than {} MiB", FACTS_MAX_BYTES >> 20);
        }
    }
    drop(process);
    serde_json::from_slice(&said).context(gone)
}

/// Reads the map in which Cilium counts, where one of these programs uses it.
fn count(metrics: &mut CiliumMetrics) -> anyhow::Result<()> {
    for program in &metrics.programs {
        let Some(map) = usher::cilium_metrics(*program)? else {
            continue;
        };
        let info = bpf::map_info(map.as_fd()).context("cannot look at the map cilium_metrics")?;
        let map = MapData::from_fd(map).context("cannot read the map cilium_metrics")?;
        let map: PerCpuHashMap<_, MetricsKey, MetricsValue> = Map::from_map_data(map)
            .and_then(TryFrom::try_from)
            .context("cannot read the map cilium_metrics")?;
        // An entry that goes while it is read counts for nothing.
        let entries = map.iter().take(ENTRIES_MAX).filter_map(Result::ok);
        metrics.counts = cilium_metrics::counts(entries.map(|(key, cpus)| (key, cpus.to_vec())));
        metrics.map = Some(info.id);
        return Ok(());
    }
    Ok(())
}

/// Gives programs their names, which takes more than to see where they hang. A program may hang in many places; it is asked for
/// its name once.
fn name_programs(found: &mut [BpfAttachment]) {
    let mut names: BTreeMap<u32, String> = BTreeMap::new();
    for attachment in found.iter_mut().filter(|attachment| attachment.id != 0) {
        let name = names
            .entry(attachment.id)
            .or_insert_with(|| usher::program_name(attachment.id).unwrap_or_default());
        attachment.name.clone_from(name);
    }
}
