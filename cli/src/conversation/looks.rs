//! Looks: the moments at which a question that is answered while events come in decides what to ask next. A recording keeps what had
//! come by each look, and its replay decides with the same lines again.

use super::state::ConversationState;
use crate::recording::{ClientLook, Note, Recorder};
use std::collections::VecDeque;
use std::time::Duration;

/// Where looks come from, and where they are kept.
#[derive(Debug)]
pub enum Looks {
    /// A run: looks happen now. They are kept where it is recorded.
    Now(Option<Recorder>),
    /// A replay: the looks of the recording that are still to come.
    Then(VecDeque<ClientLook>),
}

impl Looks {
    /// Looks, this long after the window was opened. Returns how long it was in the run itself.
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

    /// The next look of a recording; `None` in a run, or after the last one.
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

    /// Whether all that this node had said by the next look is taken in again: what it says later has to wait.
    pub fn holds_back(&self, state: &ConversationState, node: usize) -> bool {
        self.next().is_some_and(|look| waits(state, look, node))
    }

    /// Skips the next look: the replay asks otherwise than the run did.
    pub fn pass_by(&mut self) {
        if let Self::Then(looks) = self {
            looks.pop_front();
        }
    }
}

/// Whether all replies of a node that had been taken in at this look are taken in again. A node that came later had none.
fn waits(state: &ConversationState, look: &ClientLook, node: usize) -> bool {
    state.nodes[node].taken >= look.taken.get(node).copied().unwrap_or_default()
}
