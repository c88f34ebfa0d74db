//! Which conversations suffer, and how much.

use super::innocence::is_innocent;
use super::key::{Cost, Key};
use super::table::ConversationTable;

/// Conversations that suffer until now, the most expensive first. Above `slow_ns` a connection is slow.
#[must_use]
pub fn suffering(table: &ConversationTable, now_ns: u64, slow_ns: u64) -> Vec<(Key, Cost)> {
    let mut all: Vec<(Key, Cost)> = table
        .conversations
        .iter()
        .filter(|(key, conversation)| {
            let now_ns = table.until_ns(key.target, now_ns);
            let suffers = conversation.suffers(now_ns, slow_ns);
            suffers && !table.is_twin(key) && !is_innocent(table, key, conversation, now_ns)
        })
        .map(|(key, conversation)| (*key, conversation.cost(table.until_ns(key.target, now_ns), slow_ns)))
        .collect();
    for (key, waited_ns) in table.waiting(now_ns) {
        if !all.iter().any(|(known, _)| *known == key) {
            let cost = Cost {
                waited_ns,
                ..Cost::default()
            };
            all.push((key, cost));
        }
    }
    all.sort_by_key(|(key, cost)| (core::cmp::Reverse(*cost), *key));
    all
}
