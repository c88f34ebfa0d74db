//! The connection was reset or refused, and nothing that was seen says by whom.
//!
//! Why it happens: the reset was made where nobody looked, or the events that would show it were lost.
//!
//! How it knows: the sender's socket got ECONNREFUSED or ECONNRESET. No reset of a watched kernel, no missing listener and no
//! rule explains it.
//!
//! Remedy: run again with both ends on nodes that can be watched, or capture at the target.
//!
//! Silent on: resets that another rule explains.

use crate::case::observations;
use crate::case::{Case, Failure};
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::verdict::remedy::Remedy;
use crate::words::shell::command;
use model::event::Seen;

pub const NEEDS: &[Need] = &[Need::Probe("tcpreset"), Need::Probe("path")];

pub fn check(case: &Case<'_>) -> Checked {
    let reset: Vec<_> = case
        .failed()
        .into_iter()
        .filter(|tried| matches!(tried.failure(), Some(Failure::Refused | Failure::Reset)))
        .collect();
    let Some(first) = reset.first() else {
        return Ok(Vec::new());
    };
    let says = match first.failure() {
        Some(Failure::Refused) => "the connection is refused, and nothing seen says by whom",
        _ => "the connection is reset, and nothing seen says by whom",
    };
    let mut finding = fatal("unexplained-reset", says)
        .of(reset.iter().map(|tried| tried.attempt.id))
        .remedy(
            Remedy::from("run again where both ends can be watched, or capture resets at the target")
                .run(": ", command("kubectl skoop capture --probe tcpreset", &[])),
        )
        .because(observations::met(first));
    for event in reset.iter().flat_map(|tried| case.about(tried.attempt.id)) {
        if let Seen::ResetReceived { state } = &event.seen {
            finding = finding.and(format!("a reset arrived in {} ({state:?})", case.name(event.netns)));
        }
    }
    Ok(vec![observations::last_seen(case, finding, first.attempt.id)])
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};

    #[test]
    fn a_refusal_from_nowhere_is_unexplained() {
        let mut scene = Scene::two_nodes();
        scene.refused(1);
        scene.evidence.netns.clear();
        scene.evidence.destination.netns = None;
        assert_eq!(scenes::cause(&judge(&scene.evidence)), "unexplained-reset");
    }
}
