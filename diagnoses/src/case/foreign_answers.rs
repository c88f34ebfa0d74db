//! Answers that come back to the sender from an address it never asked, where no socket knows them.

use model::event::{Event, Seen};
use model::evidence::Evidence;
use model::flow::Flow;

/// Those to a request with this tuple. Its source port was the sender's alone, so that nothing else can be meant.
pub fn answers(evidence: &Evidence, asked: Flow) -> impl Iterator<Item = &Event> {
    evidence.events.iter().filter(move |event| {
        let came = event.flow;
        let unknown = matches!(&event.seen, Seen::Drop { reason, .. } if reason == "NO_SOCKET");
        let to_sender = came.dst() == asked.src() || asked.src().is_unspecified();
        unknown
            && Some(event.netns) == evidence.source.netns
            && (came.protocol, came.sport, came.dport) == (asked.protocol, asked.dport, asked.sport)
            && asked.sport != 0
            && to_sender
            && came.src() != asked.dst()
    })
}
