//! The process that reads the facts of one namespace from within: it takes an order on stdin and says the facts on stdout.

use super::{Fact, Look};
use crate::identity::namespaces::{Namespace, Namespaces};
use crate::servants::usher::{self, Task};
use anyhow::{Context as _, bail};
use model::facts::NetnsFacts;
use model::protocol::Ask;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::pipe2;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{Read as _, Write as _};
use std::os::fd::AsFd as _;
use std::time::{Duration, Instant};

/// The slowest part of it gives up after a few seconds by itself.
const PATIENCE: Duration = Duration::from_secs(20);
/// Facts are bounded one by one, and together far below this.
const FACTS_MAX_BYTES: usize = 64 << 20;
/// The longest order.
const ORDER_MAX_BYTES: u64 = 16 << 20;

/// What to read.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Order {
    /// What was asked for.
    pub(super) ask: Ask,
    /// The facts of it, by name.
    pub(super) wanted: Vec<String>,
    /// All namespaces there are.
    pub(super) namespaces: Namespaces,
    /// What is known so far; which one it is.
    pub(super) facts: NetnsFacts,
}

/// Has an order carried out inside this namespace.
pub(super) fn read(namespace: &Namespace, order: &Order) -> anyhow::Result<NetnsFacts> {
    let pipe = || pipe2(OFlag::O_CLOEXEC).context("cannot make a pipe");
    let ((stdin, to), (from, stdout)) = (pipe()?, pipe()?);
    let process = usher::start(namespace, Task::Read, &stdin, &stdout)?;
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

/// Carries out the order on stdin.
pub fn serve() {
    let mut bytes = Vec::new();
    let order = std::io::stdin().lock().take(ORDER_MAX_BYTES).read_to_end(&mut bytes);
    let Ok(order) = order
        .map_err(serde_json::Error::io)
        .and_then(|_| serde_json::from_slice::<Order>(&bytes))
    else {
        return;
    };
    let Some(namespace) = order.namespaces.by_inode(order.facts.netns) else {
        return;
    };
    let look = Look::new(&order.ask, namespace, &order.namespaces);
    let facts = look.read(order.facts.clone(), &|fact: &Fact| {
        order.wanted.iter().any(|name| name == fact.name)
    });
    let mut out = std::io::stdout();
    // A session that does not listen any more needs no facts.
    let _ = serde_json::to_vec(&facts).map(|said| out.write_all(&said).and_then(|()| out.flush()));
}
