//! A recording taken in whole: what its helpers said, and the places that it tells of.

use super::numbers_look::missing;
use super::site_options::session_with;
use crate::conversation::numbers::Since;
use crate::conversation::state::ConversationState;
use crate::exit::NotThere;
use crate::interrupt::Interrupt;
use crate::numbers::{NumbersPlace, PlaceNames};
use crate::site::{Beginning, Site};
use anyhow::Result;
use model::missing::{Known, Missing};
use model::owner::Owner;
use std::path::PathBuf;
use std::time::Duration;

/// A recording.
#[derive(Debug)]
pub struct RecordedLook {
    /// Its file, as it was named.
    pub file: String,
    /// What was asked when it was made.
    pub asked: String,
    /// The state after all that the helpers said.
    pub state: ConversationState,
    /// The file was changed after it was recorded.
    pub is_changed: bool,
    /// The file was neither changed nor cut, and the run came to its own end.
    pub is_whole: bool,
    names: PlaceNames,
}

impl RecordedLook {
    /// Reads a recording. A file that is none is an error.
    pub async fn open(file: &str) -> Result<Self> {
        let site = Site::any_recording(PathBuf::from(file)).map_err(|error| NotThere::error(format!("{error:#}")))?;
        let ends = site.nodes();
        let beginning = Beginning {
            ends: &ends,
            window: Duration::ZERO,
            recorder: None,
            interrupt: &Interrupt::never(),
        };
        let mut session = session_with(&site, &beginning)?;
        // Until all lines are read.
        session.until(None, |_| false).await;
        let state = session.state;
        Ok(Self {
            file: file.to_owned(),
            asked: site.asked().unwrap_or_default(),
            is_changed: site.doubt().is_some_and(|doubt| doubt.changed),
            is_whole: site.doubt().is_none() && state.why_cut().is_none(),
            names: PlaceNames::of(ends.inventory.ok()),
            state,
        })
    }

    /// The places whose numbers or settings were read. A node as a whole is there where its own namespace is.
    pub fn places(&self) -> Vec<NumbersPlace<'_>> {
        let evidence = &self.state.evidence;
        let mut places = NumbersPlace::all(&self.state, &self.names, Since::Opening);
        for netns in &evidence.netns {
            if places.iter().any(|place| place.netns == netns.id) {
                continue;
            }
            let is_node = evidence
                .node(&netns.node)
                .is_some_and(|node| node.host_netns == netns.id);
            let owner = self.owner(netns.id);
            places.push(NumbersPlace::without_numbers(netns, owner, &self.names, is_node));
        }
        let host_is_there = places.iter().any(|place| place.is_node && place.netns != 0);
        places.retain(|place| place.netns != 0 || host_is_there);
        places
    }

    /// What could not be read when it was made, or cannot be believed.
    pub fn missing(&self) -> Vec<Missing> {
        let in_file = |missing: Missing| Missing {
            what: format!("{} in {}", missing.what, self.file),
            ..missing
        };
        missing(&self.state, Since::Opening).into_iter().map(in_file).collect()
    }

    /// Whose a namespace is, as it was found when it was asked for.
    fn owner(&self, netns: u32) -> &Owner {
        let resolved = self.state.nodes.iter().flat_map(|node| &node.resolved);
        let mut ends = resolved.filter_map(Known::ok);
        ends.find(|end| end.netns == Some(netns))
            .map_or(&Owner::Unknown, |end| &end.owner)
    }
}
