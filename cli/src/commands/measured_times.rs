//! What probes that measure times came to in a window: a document of stages, which of them takes the time, and what is not in it.

use super::numbers_look::{missing, now};
use crate::conversation::numbers::Since;
use crate::conversation::state::ConversationState;
use crate::numbers::latency::MeasuredStage;
use crate::numbers::{NumbersPlace, PlaceNames, latency, slowest_stage};
use model::missing::Missing;
use model::numbers;
use model::views::{API_VERSION, Latency, LatencyPlace};

/// The times of all places, since the window opened.
pub fn measured_times(state: &ConversationState, names: &PlaceNames) -> Latency {
    let places = NumbersPlace::all(state, names, Since::Opening);
    let node_of = |place: &NumbersPlace| places.iter().find(|node| node.netns == 0 && node.node == place.node);
    // The node as a whole stands with each of its places.
    let own = places.iter().filter(|place| place.netns != 0);
    let measured = own.map(|place| latency::of(place, node_of(place)));
    document(state, &places, measured.collect())
}

/// One of two ends: what it is called, and the namespaces where it is.
#[derive(Debug)]
pub struct MeasuredEnd {
    /// Its name, with the port where one was named.
    pub name: String,
    /// Its namespaces, by inode; none where nobody can look.
    pub netns: Vec<u32>,
}

/// The times of what went on between two ends, since the window opened.
pub fn measured_between(state: &ConversationState, names: &PlaceNames, ends: [&MeasuredEnd; 2]) -> Latency {
    let places = NumbersPlace::all(state, names, Since::Opening);
    let [one, other] = ends;
    let at = |end: &MeasuredEnd| -> Vec<&NumbersPlace> {
        places.iter().filter(|place| end.netns.contains(&place.netns)).collect()
    };
    let (ours, mut theirs) = (at(one), at(other));
    // A place that speaks with itself is shown once.
    theirs.retain(|place| !one.netns.contains(&place.netns));
    let (shown, stages) = latency::between((&one.name, &ours), (&other.name, &theirs));
    let is_silent = |end: &MeasuredEnd| {
        let here = at(end);
        let is_here = |measured: &MeasuredStage| here.iter().any(|place| place.full_name() == measured.of);
        !stages.is_empty() && !stages.iter().any(is_here)
    };
    let unseen: Vec<Missing> = ends.into_iter().filter_map(|end| unseen(end, is_silent(end))).collect();
    let mut document = document(state, &places, vec![(shown, stages)]);
    document.missing.extend(unseen);
    document
}

/// That nothing was measured at an end, and why: nobody can look there, or nothing of it came there under these addresses.
fn unseen(end: &MeasuredEnd, is_silent: bool) -> Option<Missing> {
    let why = match (end.netns.is_empty(), is_silent) {
        (true, _) => "it is on no node that can be looked at",
        (false, true) => {
            "nothing between the two was seen there, unlike at the other end: it went to somebody else, or addresses are translated on the way"
        }
        (false, false) => return None,
    };
    Some(Missing::new(format!("the times at {}", end.name), why))
}

fn document(
    state: &ConversationState,
    places: &[NumbersPlace],
    measured: Vec<(LatencyPlace, Vec<MeasuredStage>)>,
) -> Latency {
    let (shown, stages): (Vec<LatencyPlace>, Vec<Vec<MeasuredStage>>) = measured.into_iter().unzip();
    Latency {
        api_version: API_VERSION.to_owned(),
        kind: "Latency".to_owned(),
        at: now(),
        seconds: places.iter().map(|place| place.seconds).fold(0.0, f64::max),
        worst: slowest_stage::sentence(&stages.concat()),
        sent: None,
        places: shown,
        bpf: state.evidence.nodes.iter().map(|node| node.bpf).sum(),
        missing: missing(state, Since::Opening).into_iter().chain(lost(state)).collect(),
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
