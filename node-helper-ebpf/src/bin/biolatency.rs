//! `biolatency`: how long block devices take, from a request being made of what is to be read or written to its end: the wait in the
//! device's queue and the device's own time.
//!
//! A request is noted when it is made, by the first part of it (a bio), in the context of whoever sends it. If that is a program,
//! the request is its own, and so its network namespace's. What a thread of the kernel sends (writeback, a loop device's work, a
//! journal) is of the cgroup that the kernel charges for it, where that is a pod's or a container's ([`OWNERS`]), else nobody's.
//! Where it ends, nobody can tell whose it is: that is an interrupt.
//!
//! What waits before a request is made of it (a limit of a cgroup, no free request) is not seen here.
#![no_std]
#![no_main]

use aya_ebpf::helpers::bpf_ktime_get_ns;
use aya_ebpf::helpers::generated::bpf_get_current_task_btf;
use aya_ebpf::macros::{btf_tracepoint, map};
use aya_ebpf::maps::HashMap;
use aya_ebpf::programs::BtfTracePointContext;
use model::flow::Flow;
use model::histogram::Measure;
use model::word::What;
use node_helper_ebpf::budget::losses;
use node_helper_ebpf::direct_access::{address, load, load_at};
use node_helper_ebpf::draft::current_pid;
use node_helper_ebpf::fields::*;
use node_helper_ebpf::histograms::count_of;
use node_helper_ebpf::netns::NetnsInterface;
use node_helper_ebpf::slow::{self, Waiter};
use node_helper_ebpf::{filter, netns};

node_helper_ebpf::license!();

/// What is to be done, of the flags of a bio and of a request.
const OPERATION: u32 = 0xff;
const READ: u32 = 0;
const WRITE: u32 = 1;
const ZONE_APPEND: u32 = 7;
/// `BPF_NOEXIST`: only where there is none.
const NEW: u64 = 1;
/// A flag of a task: a thread of the kernel.
const PF_KTHREAD: u32 = 0x0020_0000;
/// How many cgroups stand one in the other, from the one that is charged to a pod's, at most.
const DEPTH: usize = 8;

/// A request under way.
#[repr(C)]
#[derive(Clone, Copy)]
struct Sent {
    at_ns: u64,
    /// Whose it is; 0 for nobody's.
    netns: u32,
    pid: u32,
}

/// Requests under way, by their first bio.
#[map]
static SENT: HashMap<u64, Sent> = HashMap::with_max_entries(2048, 0);

/// The network namespaces of pods and containers, by the ids of their cgroups. The helper fills it.
#[map]
static OWNERS: HashMap<u64, u32> = HashMap::with_max_entries(1024, 0);

#[btf_tracepoint(function = "block_getrq")]
fn block_getrq(context: BtfTracePointContext) -> i32 {
    let bio: *const u8 = context.arg(0);
    if begins(bio).is_none() {
        // One that lay in its place in memory, the end of which was not seen.
        let _ = SENT.remove(&address(bio));
    }
    0
}

/// A request is made of this bio. `None` of one that is not measured.
#[inline(always)]
fn begins(bio: *const u8) -> Option<()> {
    let operation = load::<u32>(bio, &bio__bi_opf) & OPERATION;
    if operation != READ && operation != WRITE && operation != ZONE_APPEND {
        return None;
    }
    let (netns, pid) = sender(bio)?;
    // SAFETY: no arguments.
    let at_ns = unsafe { bpf_ktime_get_ns() };
    let sent = Sent { at_ns, netns, pid };
    let place = address(bio);
    if SENT.insert(&place, &sent, NEW).is_err() {
        // Either there is no room, or the end of the one that lay here before was not seen: one is lost in any case.
        if let Some(losses) = losses(0) {
            losses.uncounted += 1;
        }
        if let Some(known) = SENT.get_ptr_mut(&place) {
            // SAFETY: a value of the map; a request that is made has not ended yet.
            unsafe { *known = sent };
        }
    }
    Some(())
}

/// Whose it is, and the process that sends it; `None` for what was not asked for.
#[inline(always)]
fn sender(bio: *const u8) -> Option<(u32, u32)> {
    // SAFETY: no arguments; the verifier knows the task.
    let task: *const u8 = unsafe { bpf_get_current_task_btf() }.cast();
    let flags: u32 = load(task, &task_struct__flags);
    let pid = current_pid();
    let netns = if flags & PF_KTHREAD == 0 {
        netns::of_known_task(task)
    } else {
        owner(bio)
    };
    // What is nobody's may be waited for by everybody.
    let is_asked_for = if netns == 0 {
        given(&set__pids) == 0
    } else {
        filter::holds_namespace(netns) && filter::holds_process(pid)
    };
    is_asked_for.then_some((netns, pid))
}

/// The namespace of the pod or container that is charged for it; 0 where nobody is.
#[inline(always)]
fn owner(bio: *const u8) -> u32 {
    let group: *const u8 = load(bio, &bio__bi_blkg);
    if group.is_null() {
        return 0;
    }
    let group: *const u8 = load(group, &blkcg_gq__blkcg);
    if group.is_null() {
        return 0;
    }
    let state = given(&blkcg__css);
    let mut cgroup: *const u8 = load_at(group, state + given(&cgroup_subsys_state__cgroup));
    let mut above: *const u8 = load_at(group, state + given(&cgroup_subsys_state__parent));
    for _ in 0..DEPTH {
        if cgroup.is_null() {
            return 0;
        }
        let node: *const u8 = load(cgroup, &cgroup__kn);
        if node.is_null() {
            return 0;
        }
        let id: u64 = load(node, &kernfs_node__id);
        if let Some(netns) = OWNERS.get_ptr(&id) {
            // SAFETY: a value of the map.
            return unsafe { *netns };
        }
        if above.is_null() {
            return 0;
        }
        cgroup = load(above, &cgroup_subsys_state__cgroup);
        above = load(above, &cgroup_subsys_state__parent);
    }
    0
}

#[btf_tracepoint(function = "block_rq_complete")]
fn block_rq_complete(context: BtfTracePointContext) -> i32 {
    ends(context.arg(0), context.arg(2));
    0
}

/// A request has ended, or the first part of it.
#[inline(always)]
fn ends(request: *const u8, bytes: u32) -> Option<()> {
    let first: *const u8 = load(request, &request__bio);
    if first.is_null() {
        return None;
    }
    let mut place = address(first);
    // What was put before the first bio, later, is not the one it was noted by.
    if SENT.get_ptr(&place).is_none() {
        let last: *const u8 = load(request, &request__biotail);
        if last.is_null() {
            return None;
        }
        place = address(last);
    }
    // SAFETY: a value of the map, copied.
    let sent = unsafe { *SENT.get_ptr(&place)? };
    if SENT.remove(&place).is_err() {
        return None;
    }
    // SAFETY: no arguments.
    let took_ns = unsafe { bpf_ktime_get_ns() }.wrapping_sub(sent.at_ns);
    let operation = load::<u32>(request, &request__cmd_flags) & OPERATION;
    let measure = match (operation, bytes) {
        (READ, _) => Measure::DiskRead,
        // Nothing is written: what was is brought to where it stays.
        (_, 0) => Measure::DiskFlush,
        _ => Measure::DiskWrite,
    };
    let device = device(request);
    count_of(sent.netns, measure, device, took_ns, 1);
    if slow::is_slow(took_ns) {
        let what = What::slow_alone(measure, took_ns);
        // A device takes the place of an interface.
        let place = NetnsInterface {
            netns: sent.netns,
            ifindex: device,
        };
        let waiter = Waiter {
            place,
            skb: 0,
            sk: 0,
            pid: sent.pid,
        };
        slow::tell(1, &what, &waiter, &Flow::default());
    }
    Some(())
}

/// The number of the device; 0 where it is not told.
#[inline(always)]
fn device(request: *const u8) -> u32 {
    let queue: *const u8 = load(request, &request__q);
    if queue.is_null() {
        return 0;
    }
    let disk: *const u8 = load(queue, &request_queue__disk);
    if disk.is_null() {
        return 0;
    }
    let major: u32 = load(disk, &gendisk__major);
    let minor: u32 = load(disk, &gendisk__first_minor);
    major << 20 | minor
}
