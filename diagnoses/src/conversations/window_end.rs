//! What a table of conversations learns when the windows of its targets are over.

use super::table::ConversationTable;
use model::endpoint::Endpoint;
use model::evidence::Evidence;
use model::protocol::Lost;

/// When the window closed, by the clock of the targets' nodes: that of another may be ahead.
#[must_use]
pub fn window_end_ns(targets: &[Endpoint], evidence: &Evidence) -> u64 {
    let nodes = targets.iter().filter_map(|target| evidence.node(&target.node));
    let ends = nodes.map(|node| node.window.end_ns).filter(|end_ns| *end_ns != 0);
    ends.min().unwrap_or(evidence.window.end_ns)
}

impl ConversationTable {
    /// The windows of all targets are over: what is still waited for has come to its end, and where changes of sockets were not told,
    /// it is doubted what they would have said. When that was.
    pub fn end(&mut self, targets: &[Endpoint], evidence: &Evidence) -> u64 {
        for (target, end) in targets.iter().enumerate() {
            let node = evidence.node(&end.node);
            if let Some(closed_ns) = node.map(|node| node.window.end_ns).filter(|end_ns| *end_ns != 0) {
                self.look_until(target, closed_ns);
            }
        }
        let end_ns = window_end_ns(targets, evidence);
        self.close(end_ns);
        let untold = |probe: &str| {
            let lost = evidence.nodes.iter().flat_map(|node| &node.lost);
            lost.filter(|lost| lost.probe == probe).map(Lost::untold).sum()
        };
        self.doubt(untold("tcpstate"));
        self.doubt_untold(untold("tcpretrans"));
        // A helper that was cut off did not tell what it lost.
        let is_cut = evidence.nodes.iter().any(|node| node.truncated.is_some());
        self.doubt_lookups(if is_cut { u64::MAX } else { untold("dns") });
        end_ns
    }
}
