//! Events of a window, folded as they come: conversations, and what of each was sent again, dropped and exchanged.

use diagnoses::conversations::{ConversationTable, Key, TargetRole};
use diagnoses::kernel::drops::{class_of, meaning};
use model::endpoint::Endpoint;
use model::event::{Event, Seen, TcpState};
use std::collections::BTreeMap;

/// Where packets were dropped, and why.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DropPlace {
    /// The node; empty where there is only one.
    pub node: String,
    /// Inode of the network namespace; 0 where the packet was in none.
    pub netns: u32,
    /// Why, in words, with the kernel's word.
    pub why: String,
}

/// What events told of a conversation, beside what its connections came to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EdgeEvents {
    /// Segments sent again.
    pub retransmits: u64,
    /// Packets dropped.
    pub drops: BTreeMap<DropPlace, u64>,
    /// Bytes from client to server on connections that were closed.
    pub sent_bytes: u64,
    /// Bytes back.
    pub received_bytes: u64,
}

/// All that events told.
#[derive(Debug)]
pub struct TrafficFold {
    /// The conversations.
    pub table: ConversationTable,
    /// The namespaces of the watched places, in their order.
    netns: Vec<Option<u32>>,
    events: BTreeMap<Key, EdgeEvents>,
}

impl TrafficFold {
    /// Folds the conversations of these places.
    pub fn of(table: ConversationTable, targets: &[Endpoint]) -> Self {
        Self {
            table,
            netns: targets.iter().map(|target| target.netns).collect(),
            events: BTreeMap::new(),
        }
    }

    /// Takes in an event; those of a node in time order.
    pub fn take(&mut self, event: &Event) {
        self.table.take(event);
        let Some((key, id, _)) = self.table.whose(event) else {
            return;
        };
        match &event.seen {
            Seen::Retransmit { .. } | Seen::RetransmitSynAck => self.events.entry(key).or_default().retransmits += 1,
            Seen::StateChange {
                old: TcpState::Established,
                ..
            } => {
                // The other end's socket tells the same once more.
                let is_own = self
                    .netns
                    .get(key.target)
                    .is_some_and(|netns| *netns == Some(event.netns));
                if let Some(exchanged) = event.exchanged.filter(|_| is_own) {
                    let (own, other) = (u64::from(exchanged.sent_bytes), u64::from(exchanged.received_bytes));
                    let known = self.events.entry(key).or_default();
                    let (sent, received) = match key.role {
                        TargetRole::Client => (own, other),
                        TargetRole::Server => (other, own),
                    };
                    known.sent_bytes = known.sent_bytes.saturating_add(sent);
                    known.received_bytes = known.received_bytes.saturating_add(received);
                }
            }
            Seen::Drop { reason, .. } => {
                // What the table has not counted was innocent, or told twice.
                let connection = self
                    .table
                    .conversations
                    .get(&key)
                    .and_then(|own| own.connections.get(&id));
                let counted = connection.is_some_and(|own| own.last_dropped == (event.skb, event.at_ns));
                if let Some(class) = class_of(event).filter(|_| counted) {
                    let place = DropPlace {
                        node: event.node.clone(),
                        netns: event.netns,
                        why: format!("{} ({reason})", meaning(class)),
                    };
                    *self.events.entry(key).or_default().drops.entry(place).or_default() += 1;
                }
            }
            _ => {}
        }
    }

    /// What events told of a conversation.
    pub fn events(&self, key: &Key) -> Option<&EdgeEvents> {
        self.events.get(key)
    }
}
