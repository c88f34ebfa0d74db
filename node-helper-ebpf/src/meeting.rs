//! Meets a packet at a hook: whether it is of a watched flow, under which tuple, and where; and tells it.
//!
//! Every packet of the machine passes here, so the first question (may this be one?) is answered without a lookup and,
//! where the verifier allows it, without a call: a byte per port, a byte per hash of the skb's address.

use crate::budget::losses;
use crate::direct_access::{byte, low_address, network_header, port, ports};
use crate::draft::{Draft, current_pid, draft};
use crate::fields::{field, forget, pointer, sk_buff__len, sk_buff__sk};
use crate::netns::{self, NetnsInterface};
use crate::packet::{self, IPV4, IPV6};
use crate::send::{EVENTS, Tail};
use crate::trail;
use crate::watched_flows::{self, FIRST, KNOWN, MARK_FLOW, MARK_TUNNEL, Watch};
use model::flow::{FIN, ICMP, ICMPV6, RST, SYN, TCP};
use model::word::{Hook, What};

/// From here on the ring is called full of work: a quarter of what the helper gives it.
const MANY_BYTES: u64 = 256 * 1024;

/// Whether a packet may be of a watched flow: its address was met, or a port of it is marked. It errs on the side of
/// looking closer.
#[inline(always)]
pub fn may_concern(skb: *const u8, at_data: bool) -> bool {
    let Some(marks) = watched_flows::marks() else {
        return false;
    };
    let Some(seen) = trail::seen() else { return false };
    if seen[trail::slot(low_address(skb))] != 0 {
        return true;
    }
    let header = network_header(skb, at_data);
    // As `ip_header` does it. By that function the programs that meet every packet become longer.
    let first = byte(header, 0);
    let (protocol, length) = match first >> 4 {
        4 => (byte(header, 9), usize::from(first & 0xf) * 4),
        6 => (byte(header, 6), 40),
        _ => return false,
    };
    match protocol {
        6 | 17 | 132 => {
            let (sport, dport) = ports(header, length);
            (marks[sport] | marks[dport]) & (MARK_FLOW | MARK_TUNNEL) != 0
        }
        ICMP => match byte(header, length) {
            0 | 8 => marks[port(header, length + 4)] & MARK_FLOW != 0,
            kind => matches!(kind, 3 | 11 | 12),
        },
        ICMPV6 => match byte(header, length) {
            128 | 129 => marks[port(header, length + 4)] & MARK_FLOW != 0,
            kind => matches!(kind, 1..=4),
        },
        // Another IP header, or headers before that of the protocol.
        4 | 41 | 0 | 43 | 44 | 60 => true,
        _ => false,
    }
}

/// Whether this packet is left out because the helper cannot follow: while much is waiting, one of sixteen packets is told, the
/// same ones at every hook, and all that begin or end a connection. Those left out are counted.
#[inline(always)]
fn is_left_out(draft: &Draft) -> bool {
    const SYN_FIN_RST: u8 = SYN | FIN | RST;
    /// What `bpf_ringbuf_query` is asked: the bytes that wait.
    const WAITING: u64 = 0;
    let flow = &draft.record.flow;
    if flow.protocol == TCP && draft.tail.tcp_flags & SYN_FIN_RST != 0 || EVENTS.query(WAITING) < MANY_BYTES {
        return false;
    }
    let identity = draft.tail.seq ^ draft.tail.ack ^ u32::from(draft.tail.ip_id);
    let left_out = u64::from(identity).wrapping_mul(0x9e37_79b9_7f4a_7c15) >> 60 != 0;
    if left_out && let Some(losses) = losses(draft.slot) {
        losses.over_budget += 1;
    }
    left_out
}

/// Looks closer, and tells where a watched packet was met.
#[inline(always)]
pub fn met(skb: u64, hook: Hook, slot: u32) -> Option<()> {
    let protocol = packet::ethernet_protocol(skb);
    if protocol != IPV4 && protocol != IPV6 {
        return None;
    }
    let marks = watched_flows::marks()?;
    let draft = draft(slot)?;
    draft.begin(skb, 0);
    let mut found = packet::headers(draft, packet::network_header(skb, matches!(hook, Hook::Receive)))?;
    if draft.tail.len == 0 {
        // A segment too large for the header's field.
        draft.tail.len = field(skb, &sk_buff__len).unwrap_or(0);
    }
    let place = if matches!(hook, Hook::Delivered) {
        draft.record.pid = current_pid();
        // TCP notes the socket; the reader of a datagram is where its socket is, but for those that were handed over.
        pointer(skb, &sk_buff__sk)
            .and_then(netns::of_socket)
            .or_else(netns::of_task)
            .unwrap_or(NetnsInterface { netns: 0, ifindex: 0 })
    } else {
        netns::of_packet(skb, 0)
    };
    draft.at(place);

    let mut learned = false;
    let mut whose = Watch::NOBODY;
    let marked = watched_flows::is_marked(marks, &draft.record.flow);
    if marked {
        whose = watched_flows::exact(draft.record.netns, &draft.record.flow).forgotten(&mut draft.memo);
    }
    let mut first = whose.0 & FIRST != 0;
    // The address comes before the start: a packet that was met under its own tuple is translated here.
    if !whose.is_somebody() {
        whose = trail::recognise(draft, skb, found).forgotten(&mut draft.memo);
        learned = whose.is_somebody();
    }
    if !whose.is_somebody() && marked {
        whose = watched_flows::start(draft.record.netns, &draft.record.flow);
        learned = whose.0 & KNOWN != 0;
        if !whose.is_somebody() {
            whose = watched_flows::end(draft.record.netns, &draft.record.flow);
        }
        first = whose.is_somebody();
    }
    if first {
        let Draft { record, answer, .. } = &mut *draft;
        watched_flows::learn(&record.flow, answer, whose, marks);
    }
    whose = whose.forgotten(&mut draft.memo);
    learned = forget(&mut draft.memo, u64::from(learned)) != 0;
    let quoted = forget(&mut draft.memo, packet::quoted_at(found, draft.tail.tcp_flags));
    found = found.forgotten(&mut draft.memo);
    let mut quotes = false;
    if !whose.is_somebody() && quoted != 0 && packet::quoted(draft, quoted).is_some() {
        whose = watched_flows::exact(draft.record.netns, &draft.quoted);
        quotes = true;
    }
    whose = whose.forgotten(&mut draft.memo);
    quotes = forget(&mut draft.memo, u64::from(quotes)) != 0;
    let inner = forget(&mut draft.memo, packet::inner_at(found, draft.record.flow.dport));
    found = found.forgotten(&mut draft.memo);
    if !whose.is_somebody() && inner != 0 {
        found = packet::headers(draft, inner)?;
        whose = watched_flows::exact(draft.record.netns, &draft.record.flow);
        draft.tail.inner = 1;
    }
    whose = whose.forgotten(&mut draft.memo);
    let tail = if quotes { Tail::Quoting } else { Tail::Packet };
    if !whose.is_somebody() {
        return None;
    }
    if !matches!(hook, Hook::Delivered) && draft.tail.inner == 0 && tail == Tail::Packet {
        trail::remember(draft, skb, found, whose);
    }
    if tail == Tail::Packet && !learned && is_left_out(draft) {
        return None;
    }
    draft.say(What::Hop {
        hook: hook as u8,
        learned,
    });
    draft.send(tail, whose);
    Some(())
}
