//! What a target's own traffic met: its conversations, which of them suffer, and each as a question that the rules can judge.
//!
//! A diagnosis of one end sends nothing. It folds events into conversations (`table`), asks the same rules about those that
//! suffer (`question`), and brings their answers together (`answer`). It may use every other room; none uses it.

mod answer;
mod connection;
mod connection_index;
mod conversation;
mod expectation;
mod innocence;
mod key;
mod lookup;
mod open_sockets;
mod outcomes;
mod question;
mod suffering;
mod table;
#[cfg(test)]
mod tests;
mod unread;
mod window_end;

pub use answer::{
    Looked, OneEndJudgement, Suffering, attempt_noun, cost_in, judge_conversations, proven_causes, traffic_words,
};
pub use connection::{ObservedConnection, Reset};
pub use conversation::Conversation;
pub use expectation::{Arrivals, arrivals, is_expected, is_selected, refused_unseen, routeless};
pub use key::{Cost, Key, TargetRole};
pub use lookup::ObservedLookup;
pub use open_sockets::{look_at_unread, open_connections};
pub use question::{Ends, PathOf, question};
pub use suffering::suffering;
pub use table::ConversationTable;
pub use window_end::window_end_ns;
