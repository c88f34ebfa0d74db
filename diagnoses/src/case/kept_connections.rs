//! Connections that are kept for the next request, and closed at the far end meanwhile: the request meets a closed end. Seen in
//! the user's own traffic; our attempts wait for nothing between two requests.

use crate::case::Case;
use crate::case::far_end::resets_sent;
use model::event::{Event, Seen, TcpState};
use model::flow::{FIN, RST, SYN, TCP};
use model::report::Direction;
use model::word::Hook;

/// No request is shorter, however terse (`GET / HTTP/1.0` and an empty line); what ends a protocol is (`QUIT`, GOAWAY).
const REQUEST_MIN_BYTES: u32 = 18;
/// What ends a protocol (TLS' `close_notify`) is shorter, in whatever it is wrapped.
const FAREWELL_MAX_BYTES: u32 = 128;

/// A request that met a closed end.
#[derive(Clone, Copy, Debug)]
pub struct LostRequest<'a> {
    /// The connection.
    pub attempt: u32,
    /// The reset that was its answer.
    pub reset: &'a Event,
    /// Its payload.
    pub bytes: u32,
    /// How long the connection had been idle, where anything was seen before.
    pub idle_ns: Option<u64>,
    /// How long before the request the far end's FIN had arrived; `None` where it had not.
    pub closed_ns: Option<u64>,
}

/// Requests of the user's own connections that the far end's kernel answered with a reset, since its program had closed them.
pub fn lost_requests<'a>(case: &Case<'a>) -> Vec<LostRequest<'a>> {
    if !case.evidence.passive {
        return Vec::new();
    }
    let watched = case
        .evidence
        .watched
        .iter()
        .filter(|watched| watched.flow.protocol == TCP);
    watched.filter_map(|watched| of_one(case, watched.attempt)).collect()
}

fn of_one<'a>(case: &Case<'a>, attempt: u32) -> Option<LostRequest<'a>> {
    let source = case.evidence.source.netns?;
    let reset = resets_sent(case, attempt).into_iter().find(|event| {
        let provoked =
            matches!(&event.seen, Seen::ResetSent { state, active: false, .. } if *state != TcpState::Listen);
        provoked && event.netns != source
    })?;
    let sent = segments(case, attempt, Direction::Request, source);
    let heard = segments(case, attempt, Direction::Answer, source);
    let before = |segment: &&Segment| segment.at_ns < reset.at_ns;
    let request = sent
        .iter()
        .rfind(|segment| segment.at_ns < reset.at_ns && segment.bytes > 0)?;
    let ended = sent.iter().filter(before).any(|segment| segment.flags & FIN != 0);
    // The far end had answered on this connection: it was made, and of use.
    let answers = |since_ns: u64, until_ns: u64| {
        heard
            .iter()
            .any(|segment| segment.bytes > 0 && (since_ns..until_ns).contains(&segment.at_ns))
    };
    if ended || !answers(0, request.at_ns) || answers(request.at_ns, u64::MAX) {
        return None;
    }
    // One that was answered looked like this: no farewell.
    let mut answered = sent.iter().enumerate().filter(|(at, segment)| {
        let until_ns = sent[at + 1..]
            .iter()
            .find(|next| next.bytes > 0)
            .map_or(u64::MAX, |next| next.at_ns);
        segment.bytes >= REQUEST_MIN_BYTES && answers(segment.at_ns, until_ns)
    });
    let alike = answered.any(|(_, segment)| segment.bytes <= request.bytes);
    let is_request = request.bytes > FAREWELL_MAX_BYTES || (request.bytes >= REQUEST_MIN_BYTES && alike);
    let last_ns = sent
        .iter()
        .chain(&heard)
        .filter(|segment| segment.bytes > 0 && segment.at_ns < request.at_ns);
    let fin = heard
        .iter()
        .find(|segment| segment.flags & FIN != 0 && segment.at_ns < request.at_ns);
    is_request.then_some(LostRequest {
        attempt,
        reset,
        bytes: request.bytes,
        idle_ns: last_ns.map(|segment| request.at_ns - segment.at_ns).min(),
        closed_ns: fin.map(|fin| request.at_ns - fin.at_ns),
    })
}

/// A segment as the source's namespace saw it.
#[derive(Clone, Copy, Debug)]
struct Segment {
    at_ns: u64,
    flags: u8,
    bytes: u32,
}

/// Segments of one direction in time order, without those of no payload's concern. The payload is what is longer than the
/// headers of the shortest.
fn segments(case: &Case<'_>, attempt: u32, direction: Direction, netns: u32) -> Vec<Segment> {
    let hook = match direction {
        Direction::Request => Hook::Queue,
        Direction::Answer => Hook::Receive,
    };
    let forms: Vec<_> = case
        .leg(attempt, direction)
        .into_iter()
        .flat_map(|leg| leg.stops.iter())
        .filter(|stop| stop.netns == netns)
        .map(|stop| stop.flow)
        .collect();
    let mut found: Vec<Segment> = Vec::new();
    for event in &case.evidence.events {
        let Some(packet) = event.packet.filter(|packet| packet.tcp_flags & (SYN | RST) == 0) else {
            continue;
        };
        let met = matches!(event.seen, Seen::Hop { hook: own, .. } if own == hook);
        if met && event.netns == netns && forms.contains(&event.flow) {
            found.push(Segment {
                at_ns: event.at_ns,
                flags: packet.tcp_flags,
                bytes: packet.len,
            });
        }
    }
    let headers = found.iter().map(|segment| segment.bytes).min().unwrap_or(0);
    for segment in &mut found {
        segment.bytes -= headers;
    }
    found.sort_by_key(|segment| segment.at_ns);
    found
}
