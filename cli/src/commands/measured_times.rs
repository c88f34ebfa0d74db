//! What probes that measure times came to in a window: a document of stages, and what is not in it.

use super::numbers_look::{missing, now};
use crate::conversation::numbers::Since;
use crate::conversation::state::ConversationState;
use crate::numbers::{NumbersPlace, PlaceNames, latency};
use model::missing::Missing;
use model::numbers;
use model::views::{API_VERSION, Latency};

/// Of all places, since the window opened.
pub fn measured_times(state: &ConversationState, names: &PlaceNames) -> Latency {
    let places = NumbersPlace::all(state, names, Since::Opening);
    let node_of = |place: &NumbersPlace| places.iter().find(|node| node.netns == 0 && node.node == place.node);
    let seconds = places.iter().map(|place| place.seconds).fold(0.0, f64::max);
    Latency {
        api_version: API_VERSION.to_owned(),
        kind: "Latency".to_owned(),
        at: now(),
        seconds,
        // The node as a whole stands with each of its places.
        places: places
            .iter()
            .filter(|place| place.netns != 0)
            .map(|place| latency::of(place, node_of(place)))
            .collect(),
        missing: missing(state).into_iter().chain(lost(state)).collect(),
    }
}

/// What was not measured of what happened.
fn lost(state: &ConversationState) -> Vec<Missing> {
    let mut all = Vec::new();
    for node in &state.evidence.nodes {
        for lost in node.lost.iter().filter(|lost| numbers::measures_times(&lost.probe)) {
            if lost.uncounted > 0 {
                let what = format!("up to {} times of {} on {}", lost.uncounted, lost.probe, node.name);
                let why = "more packets, sockets with unread data or requests to disks were waited for, or more namespaces had traffic, than there is room for; or the end of a request to a disk was not seen";
                all.push(Missing::new(what, why).remedy("name fewer targets"));
            }
            if lost.missed > 0 {
                let what = format!("up to {} times of {} on {}", lost.missed, lost.probe, node.name);
                let why = "an interrupt came while the kernel ran our programs, and it left them out then";
                all.push(Missing::new(what, why));
            }
        }
    }
    all
}
