//! Requests that may have come to their target unseen: an eBPF program can hand a packet to a pod around the hook at the pod's
//! interface (`bpf_redirect_peer`). There, that nobody saw it proves nothing; the target's own counters may.

use crate::case::far_end::{FarEnd, far_end};
use crate::case::trail::Stop;
use crate::case::{Case, Failure};
use crate::words::at;
use model::facts::BpfAttachment;
use model::flow::TCP;
use model::report::{Direction, Happened};

/// Connects that got no answer, and were last met where a program takes packets on to their target.
#[derive(Clone, Debug)]
pub struct Unseen {
    /// The attempts.
    pub attempts: Vec<u32>,
    /// Where they should have come to.
    pub end: FarEnd,
    /// Packets of theirs that were met there.
    pub packets: u64,
    /// Where that is, and which program is there, in words.
    pub place: String,
}

/// All such connects that have the same end.
pub fn unseen(case: &Case<'_>) -> Option<Unseen> {
    let mut found: Option<Unseen> = None;
    for tried in case.failed() {
        let id = tried.attempt.id;
        let silent = matches!(tried.failure(), Some(Failure::Silent(_)) | None);
        let answered = case.leg(id, Direction::Answer).is_some_and(|leg| !leg.stops.is_empty());
        if tried.attempt.flow.protocol != TCP || tried.connected() || !silent || answered {
            continue;
        }
        let Some(end) = far_end(case, id) else { continue };
        let Some((stop, place)) = before(case, id, end.netns) else {
            continue;
        };
        let all = found.get_or_insert_with(|| Unseen {
            attempts: Vec::new(),
            end,
            packets: 0,
            place,
        });
        if (all.end.netns, all.end.flow.dport) == (end.netns, end.flow.dport) {
            all.attempts.push(id);
            all.packets += u64::from(stop.packets);
        }
    }
    found
}

/// The place from which a program may have handed the request to its target, in words; `None` where the request was seen in the
/// target, was dropped, or is not known to have met such a program.
pub fn before<'c>(case: &'c Case<'_>, attempt: u32, target: u32) -> Option<(&'c Stop, String)> {
    let request = case.leg(attempt, Direction::Request)?;
    let stop = request.farthest()?;
    let (here, there) = (case.node(stop.netns), case.node(target));
    let came_in = stop.happened == Happened::Arrived && stop.netns != target && here == there;
    if !came_in || request.reached(target) || !request.drops.is_empty() {
        return None;
    }
    let attached = case
        .after(stop.netns, "attached eBPF programs", |facts| &facts.bpf)
        .ok()?;
    let takes = |program: &&BpfAttachment| {
        program.id != 0 && program.ifindex == stop.ifindex && matches!(&*program.kind, "tc-ingress" | "tcx-ingress")
    };
    let program = attached.iter().find(takes)?;
    let place = at(&case.name(stop.netns), stop.interface.as_deref());
    Some((
        stop,
        format!(
            "{place}, where eBPF program {} ({}, id {}) can hand packets to a pod around the hook of its interface",
            program.name, program.kind, program.id
        ),
    ))
}
