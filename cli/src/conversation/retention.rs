//! How much of the helpers' replies is kept: for each kind a bound over all helpers of a run, so that the client stays small
//! whatever they send. Pure.

use model::protocol::Reply;

const MIB: usize = 1024 * 1024;

/// Of events of one window.
pub const EVENTS_MAX_BYTES: usize = 64 * MIB;

/// What is kept of each kind, in bytes of memory as [`crate::conversation::line_weight::weight`] has it.
#[derive(Debug, Default)]
pub struct RetainedBytes {
    facts: usize,
    attempts: usize,
    flows: usize,
    numbers: usize,
    others: usize,
}

impl RetainedBytes {
    /// Makes room for a reply of so many bytes, or says why there is none. Events and samples are bounded where they are kept; what takes
    /// the place of its forerunner is bounded by its line.
    pub fn make_room(&mut self, reply: &Reply, bytes: usize) -> Result<(), String> {
        let (kept, most, of) = match reply {
            Reply::Facts { .. } | Reply::Process { .. } | Reply::Node { .. } => (&mut self.facts, 88 * MIB, "facts"),
            Reply::Attempt(_) => (&mut self.attempts, 8 * MIB, "attempts"),
            Reply::Planned { .. } => (&mut self.flows, 8 * MIB, "flows"),
            Reply::Resolved(_) | Reply::Failed { .. } => (&mut self.others, 8 * MIB, "endpoints and failures"),
            Reply::Describe(_) => (&mut self.numbers, 32 * MIB, "different numbers"),
            Reply::Hello(_)
            | Reply::Read { .. }
            | Reply::Armed { .. }
            | Reply::Going { .. }
            | Reply::Event(_)
            | Reply::Series(_)
            | Reply::Round(_)
            | Reply::Stopped { .. }
            | Reply::Alive
            | Reply::Done { .. } => return Ok(()),
        };
        *kept = kept.saturating_add(bytes);
        if *kept > most {
            return Err(format!(
                "helpers told more {of} than the {} MiB that one run keeps",
                most / MIB
            ));
        }
        Ok(())
    }

    /// A round was forgotten, and with it its attempts and flows.
    pub fn forget_round(&mut self) {
        (self.attempts, self.flows) = (0, 0);
    }
}
