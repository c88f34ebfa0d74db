//! The process that reads the facts of one namespace from within: it takes an order on stdin and says the facts on stdout.

use super::{Fact, Look};
use crate::identity::namespaces::Namespaces;
use model::facts::NetnsFacts;
use model::protocol::Ask;
use serde::{Deserialize, Serialize};
use std::io::{Read as _, Write as _};

/// The longest order.
const ORDER_MAX_BYTES: u64 = 16 << 20;

/// What to read.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct ReaderOrder {
    /// What was asked for.
    pub(crate) ask: Ask,
    /// The facts of it, by name.
    pub(crate) wanted: Vec<String>,
    /// All namespaces there are.
    pub(crate) namespaces: Namespaces,
    /// What is known so far; which one it is.
    pub(crate) facts: NetnsFacts,
}

/// Carries out the order on stdin.
pub fn serve() {
    let mut bytes = Vec::new();
    let order = std::io::stdin().lock().take(ORDER_MAX_BYTES).read_to_end(&mut bytes);
    let Ok(order) = order
        .map_err(serde_json::Error::io)
        .and_then(|_| serde_json::from_slice::<ReaderOrder>(&bytes))
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
