//! When the echoes of a train were sent, and which of them may have waited together until a program had decided about the first.

use super::Case;
use model::attempt::{Attempt, Sending};

/// Echoes of a train that were sent before the first answer of it came, by their numbers from 0 on. None where it is not known how
/// fast they were sent.
pub fn before_first_answer(case: &Case<'_>, attempt: &Attempt) -> impl Fn(u16) -> bool {
    let interval_ns = case.evidence.specs.iter().find_map(|spec| match spec.send {
        Sending::Echo { interval_ms, .. } if spec.id == attempt.id => Some(interval_ms * 1_000_000),
        _ => None,
    });
    let train = attempt.echo.as_ref();
    let first = train.and_then(|train| train.order.first()).copied().unwrap_or_default();
    let rtt_ns = train.and_then(|train| train.rtt_ns.get(usize::from(first)).copied().flatten());
    let sent_ns = move |number: u16| u64::from(number) * interval_ns.unwrap_or(0);
    let answered_ns = interval_ns.map_or(0, |_| sent_ns(first) + rtt_ns.unwrap_or(0));
    move |number| sent_ns(number) < answered_ns
}
