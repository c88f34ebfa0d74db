//! Attempts whose answer came late, or never, although the connection was made at once: the program that answers took the time.

use super::{Case, Failure, Tried};

/// They had something to be answered.
pub fn late_answers<'b, 'a>(case: &'b Case<'a>) -> Vec<&'b Tried<'a>> {
    let limit_ns = case.evidence.limits.slow_ms * 1_000_000;
    let is_late = |tried: &&Tried<'a>| {
        let attempt = tried.attempt;
        let Some(connected) = attempt.connected_ns.filter(|ns| *ns < limit_ns) else {
            return false;
        };
        let silent = matches!(tried.failure(), Some(Failure::Silent("read"))) && attempt.sent_bytes > 0;
        let exchanged = attempt.sent_bytes > 0 && attempt.received_bytes > 0;
        let slow = exchanged && attempt.took_ns.saturating_sub(connected) > limit_ns;
        let first = attempt.first_answer_ns;
        silent || slow || first.is_some_and(|first| first.saturating_sub(connected) > limit_ns)
    };
    case.asked().filter(is_late).collect()
}
