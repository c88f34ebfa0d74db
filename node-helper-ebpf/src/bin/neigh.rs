//! `neigh`: neighbours (ARP, ND) that do not answer.
#![no_std]
#![no_main]

use aya_ebpf::{macros::raw_tracepoint, programs::RawTracePointContext};
use model::word::What;
use node_helper_ebpf::draft::draft;
use node_helper_ebpf::fields::*;
use node_helper_ebpf::send::Tail;
use node_helper_ebpf::{netns, packet};

node_helper_ebpf::license!();

const INCOMPLETE: u8 = 0x01;
const PROBE: u8 = 0x10;
const FAILED: u8 = 0x20;
/// NetnsInterface in `neigh_parms.data` (`NEIGH_VAR_UCAST_PROBES`).
const UCAST_PROBES: u64 = 1;
const AF_INET6: u32 = 10;

#[raw_tracepoint(tracepoint = "neigh_timer_handler")]
fn neigh_timer_handler(context: RawTracePointContext) -> i32 {
    waited(context.arg(0));
    0
}

#[inline(always)]
fn waited(neighbour: u64) -> Option<()> {
    let state: u8 = field(neighbour, &neighbour__nud_state)?;
    let asked: u32 = field(neighbour, &neighbour__probes)?;
    // Solicitations by broadcast are counted from the number of those by unicast on.
    let unicast = pointer(neighbour, &neighbour__parms)
        .and_then(|parms| read::<u32>(parms + u64::from(given(&neigh_parms__data)) + UCAST_PROBES * 4))
        .unwrap_or(0);
    let sent = if state != PROBE && asked > unicast {
        asked - unicast
    } else {
        asked
    };
    // The timer has just sent one more; those before it went unanswered.
    let unanswered = match state {
        FAILED => sent,
        INCOMPLETE | PROBE => sent.saturating_sub(1),
        _ => return None,
    };
    if state != FAILED && unanswered == 0 {
        return None;
    }
    let draft = draft(0)?;
    draft.begin(0, 0);
    let device = pointer(neighbour, &neighbour__dev)?;
    draft.at(netns::of_device(device)?);
    let flow = &mut draft.record.flow;
    flow.saddr = [0; 16];
    flow.sport = 0;
    flow.dport = 0;
    flow.protocol = 0;
    flow.zero = [0; 3];
    let key = neighbour + u64::from(given(&neighbour__primary_key));
    let family: u32 = field(pointer(neighbour, &neighbour__tbl)?, &neigh_table__family)?;
    if family == AF_INET6 {
        if !packet::read_into(&mut flow.daddr, key) {
            return None;
        }
    } else {
        packet::map_v4(&mut flow.daddr, read::<u32>(key)?.to_ne_bytes());
    }
    draft.say(What::NeighbourFailed {
        state: u16::from(state),
        probes: unanswered as u16,
    });
    draft.finish(Tail::None, 0, None);
    Some(())
}
