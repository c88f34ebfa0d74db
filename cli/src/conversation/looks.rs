//! When it is looked at what has come: a question that is answered while events come in decides by it what to ask next. A recording
//! keeps each look, and its replay looks at the same lines again.

use super::state::ConversationState;
use crate::recording::{ClientLook, Note, Recorder};
use std::collections::VecDeque;
use std::time::Duration;

/// Where looks are kept, or come from.
#[derive(Debug)]
pub enum Looks {
    /// It is looked now, and kept where the run is recorded.
    Now(Option<Recorder>),
    /// It was looked then.
    Then(VecDeque<ClientLook>),
}

impl Looks {
    /// It is looked, so long after the window was opened: how long that was when it was looked first.
    pub fn look(&mut self, state: &ConversationState, elapsed: Duration) -> Duration {
        match self {
            Self::Now(None) => elapsed,
            Self::Now(Some(recorder)) => {
                let look = ClientLook {
                    elapsed_ns: elapsed.as_nanos() as u64,
                    taken: state.nodes.iter().map(|node| node.taken).collect(),
                };
                recorder.note(Note::Looks, &look);
                elapsed
            }
            Self::Then(looks) => looks
                .pop_front()
                .map_or(elapsed, |look| Duration::from_nanos(look.elapsed_ns)),
        }
    }

    /// The next look of a recording; `None` where it is looked now, or was looked no more.
    pub fn next(&self) -> Option<&ClientLook> {
        match self {
            Self::Now(_) => None,
            Self::Then(looks) => looks.front(),
        }
    }

    /// Whether all that had been taken at the next look is taken again.
    pub fn is_reached(&self, state: &ConversationState) -> bool {
        let is_taken =
            |look: &ClientLook| (0..state.nodes.len()).all(|node| state.nodes[node].over() || waits(state, look, node));
        self.next().is_some_and(is_taken)
    }

    /// All that this node had said at the next look is taken again.
    pub fn holds_back(&self, state: &ConversationState, node: usize) -> bool {
        self.next().is_some_and(|look| waits(state, look, node))
    }

    /// Nobody looks where it was looked next: the replay asks otherwise than the run did.
    pub fn pass_by(&mut self) {
        if let Self::Then(looks) = self {
            looks.pop_front();
        }
    }
}

/// So much of a node was taken at this look. One that came later had said nothing.
fn waits(state: &ConversationState, look: &ClientLook, node: usize) -> bool {
    state.nodes[node].taken >= look.taken.get(node).copied().unwrap_or_default()
}
