//! How far the conversation with one helper is: what it has answered, and whether more will come. Pure.

use model::endpoint::Endpoint;
use model::missing::Known;
use model::protocol::{BpfCost, Hello};
use std::collections::{BTreeMap, BTreeSet, VecDeque};

/// How far the conversation with one helper is.
#[derive(Debug, Default)]
pub struct HelperConversation {
    /// How many of its replies were taken in.
    pub taken: u64,
    /// Who the helper is.
    pub hello: Option<Hello>,
    /// Endpoints, in the order in which they were asked for.
    pub resolved: VecDeque<Known<Endpoint>>,
    /// Reads that are complete, by number.
    pub read: BTreeSet<u32>,
    /// Plans that were answered, by number.
    pub planned: BTreeSet<u32>,
    /// The window that was armed last.
    pub armed: Option<u32>,
    /// The window that was opened last.
    pub going: Option<u32>,
    /// Windows that are open.
    pub open: BTreeSet<u32>,
    /// The window that was closed last.
    pub stopped: Option<u32>,
    /// Requests that could not be carried out, by name.
    pub failed: Vec<String>,
    /// Whether the site has names for this node and for what lives there.
    pub named: bool,
    /// Whether the helper was started after the others, which do not wait for it.
    pub joined: bool,
    /// Events that it says it told, by window.
    pub told_events: BTreeMap<u32, u64>,
    /// What its programs cost, by window.
    pub costs: BTreeMap<u32, BpfCost>,
    /// Events it reported that are another node's.
    pub foreign_events: u64,
    /// It was asked to end, or is a recording, whose replies were all given before.
    pub dismissed: bool,
    /// The last line came.
    pub done: bool,
    /// The stream was cut.
    pub cut: bool,
}

impl HelperConversation {
    /// No further reply will come from it.
    pub fn over(&self) -> bool {
        self.cut || self.done
    }

    /// A request of this name could not be carried out.
    pub fn has_failed(&self, request: &str) -> bool {
        self.failed.iter().any(|failed| failed == request)
    }
}
