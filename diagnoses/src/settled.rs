//! When no further packet can change the answer, so that the window may end early.

use crate::case::{Case, Failure, Fate};
use crate::drops::Class;
use model::attempt::{AttemptSpec, Sending};
use model::event::Seen;
use model::evidence::{Evidence, Intent};

/// The window may end: every attempt has ended, or what was seen decides those that have not.
#[must_use]
pub fn settled(evidence: &Evidence) -> bool {
    if evidence.passive || evidence.specs.is_empty() {
        return false;
    }
    let ended = |spec: &AttemptSpec| evidence.attempts.iter().any(|attempt| attempt.id == spec.id);
    if evidence.specs.iter().all(ended) {
        return true;
    }
    let case = Case::new(evidence);
    let asked: Vec<&AttemptSpec> = evidence.specs.iter().filter(|spec| is_asked(evidence, spec)).collect();
    // Something works: wait for all of them, and for the echoes that tell how well.
    if case.asked().any(|tried| tried.fate == Fate::Worked) || asked.is_empty() {
        return false;
    }
    !case.silent.is_empty() || asked.iter().all(|spec| decided(&case, spec))
}

/// This attempt has ended for good, or its packets were lost in a way that repeats.
fn decided(case: &Case<'_>, spec: &AttemptSpec) -> bool {
    if let Some(tried) = case.attempt(spec.id) {
        let for_good = tried.failure().is_some_and(|failure| failure != Failure::TooBig);
        return tried.fate == Fate::Failed && for_good;
    }
    let drops: Vec<_> = case.trail.drops().filter(|drop| drop.attempt == spec.id).collect();
    let for_good = |class: Class| {
        !matches!(
            class,
            Class::ReceiveBuffer
                | Class::Qdisc
                | Class::Backlog
                | Class::NeighbourQueue
                | Class::PathMtu
                | Class::ListenOverflow
        )
    };
    let connected = case.about(spec.id).any(|event| {
        matches!(
            event.seen,
            Seen::StateChange {
                new: model::event::TcpState::Established,
                ..
            }
        )
    });
    !connected && drops.iter().any(|drop| for_good(drop.class))
}

fn is_asked(evidence: &Evidence, spec: &AttemptSpec) -> bool {
    match (&spec.send, evidence.intent) {
        (Sending::Dns { .. } | Sending::DnsQuery { .. }, _) => true,
        (_, Intent::Dns) => false,
        (Sending::Tcp { .. }, Intent::PodToPod) => evidence.protocol == "tcp" || evidence.protocol.is_empty(),
        (Sending::Udp { .. }, Intent::PodToPod) => evidence.protocol == "udp",
        (Sending::Echo { dont_fragment, .. }, Intent::PodToPod) => {
            evidence.protocol.starts_with("icmp") && !dont_fragment
        }
    }
}
