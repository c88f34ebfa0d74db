//! `biolatency`: how long block devices take for what pods read and write.

use crate::kernel::load::ProgramHook;
use crate::kernel::probe::Probe;
use crate::kernel::programs;

const fn typed(at: &'static str) -> ProgramHook {
    ProgramHook::Typed { at, program: at }
}

/// See [`super::PROBES`].
pub const PROBE: Probe = Probe {
    name: "biolatency",
    about: "how long block devices take for reads, writes and flushes, in their queues and in the device, as histograms for each namespace and device; what no pod is charged for is the node's",
    cost: "about 0.5 us for each request to a block device; nothing else",
    elf: programs::BIOLATENCY,
    places: &[&[typed("block_getrq")], &[typed("block_rq_complete")]],
    details: &[],
    ring_bytes: 0,
};
