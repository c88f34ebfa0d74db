//! What policies say that only ever allow: what they let through, and whether the pod is closed to the rest.

use super::outcome::{Ground, PolicyOutcome};

/// What they say.
#[derive(Clone, Debug, Default)]
pub struct Isolation {
    /// What they let through; nothing is decided where no rule fits.
    pub lets: PolicyOutcome,
    /// By whom the pod is closed to all else.
    pub closed: Option<Ground>,
}

impl Isolation {
    /// None of them selects the pod.
    pub fn open() -> Self {
        Self {
            lets: PolicyOutcome::next(),
            closed: None,
        }
    }

    /// Where nothing else has a word.
    pub fn alone(self) -> PolicyOutcome {
        let Self { lets, closed } = self;
        lets.then(|| closed.map_or_else(PolicyOutcome::next, PolicyOutcome::deny))
    }
}
