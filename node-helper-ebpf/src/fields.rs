//! Offsets of this kernel's structures. The loader finds each by its name (`sk_buff__dev` is `sk_buff.dev`) in the
//! kernel's BTF and freezes it, so that the verifier sees a constant and drops the branches that cannot be taken.
#![allow(non_upper_case_globals, reason = "named after the kernel's own fields")]

use aya_ebpf::helpers::bpf_probe_read_kernel;

/// What an offset holds where this kernel has no such field.
pub const ABSENT: u32 = u32::MAX;

macro_rules! globals {
    ($($name:ident = $value:expr;)*) => {$(
        pub static $name: u32 = $value;
    )*};
}

// Fields: `struct__field`.
globals! {
    sk_buff__dev = ABSENT;
    sk_buff__sk = ABSENT;
    sk_buff__head = ABSENT;
    sk_buff__data = ABSENT;
    sk_buff__len = ABSENT;
    sk_buff__tstamp = ABSENT;
    sk_buff__prev = ABSENT;
    sk_buff__protocol = ABSENT;
    sk_buff__network_header = ABSENT;
    sk_buff___skb_refdst = ABSENT;
    sk_buff__cb = ABSENT;
    net_device__nd_net = ABSENT;
    net_device__ifindex = ABSENT;
    net__ns = ABSENT;
    ns_common__inum = ABSENT;
    dst_entry__dev = ABSENT;
    sock_common__skc_net = ABSENT;
    sock_common__skc_family = ABSENT;
    sock_common__skc_state = ABSENT;
    sock_common__skc_flags = ABSENT;
    sock_common__skc_num = ABSENT;
    sock_common__skc_dport = ABSENT;
    sock_common__skc_daddr = ABSENT;
    sock_common__skc_rcv_saddr = ABSENT;
    sock_common__skc_v6_daddr = ABSENT;
    sock_common__skc_v6_rcv_saddr = ABSENT;
    sock__sk_protocol = ABSENT;
    sock__sk_type = ABSENT;
    sock__sk_receive_queue = ABSENT;
    sk_buff_head__qlen = ABSENT;
    sk_buff_head__prev = ABSENT;
    udp_sock__reader_queue = ABSENT;
    sock__sk_err = ABSENT;
    sock__sk_err_soft = ABSENT;
    sock__sk_cgrp_data = ABSENT;
    inet_sock__inet_sport = ABSENT;
    tcp_sock__bytes_sent = ABSENT;
    tcp_sock__bytes_received = ABSENT;
    tcp_sock__rcv_nxt = ABSENT;
    tcp_sock__copied_seq = ABSENT;
    tcp_sock__snd_una = ABSENT;
    tcp_sock__rack = ABSENT;
    tcp_rack__rtt_us = ABSENT;
    sock_cgroup_data__cgroup = ABSENT;
    cgroup__kn = ABSENT;
    kernfs_node__id = ABSENT;
    neighbour__tbl = ABSENT;
    neighbour__parms = ABSENT;
    neigh_parms__data = ABSENT;
    neighbour__dev = ABSENT;
    neighbour__nud_state = ABSENT;
    neighbour__probes = ABSENT;
    neighbour__primary_key = ABSENT;
    neigh_table__family = ABSENT;
    bio__bi_opf = ABSENT;
    bio__bi_blkg = ABSENT;
    blkcg_gq__blkcg = ABSENT;
    blkcg__css = ABSENT;
    cgroup_subsys_state__cgroup = ABSENT;
    cgroup_subsys_state__parent = ABSENT;
    request__q = ABSENT;
    request__bio = ABSENT;
    request__biotail = ABSENT;
    request__cmd_flags = ABSENT;
    request_queue__disk = ABSENT;
    gendisk__major = ABSENT;
    gendisk__first_minor = ABSENT;
    task_struct__flags = ABSENT;
    task_struct__nsproxy = ABSENT;
    task_struct__stack = ABSENT;
    nsproxy__net_ns = ABSENT;
}

// How many arguments a tracepoint has here: `args__tracepoint`. Later kernels append.
globals! {
    args__kfree_skb = 0;
    args__tcp_send_reset = 0;
    args__tcp_retransmit_skb = 0;
    args__udp_fail_queue_rcv_skb = 0;
    args__sk_data_ready = 0;
}

// What the helper asks for: `set__name`.
globals! {
    // How many entries each list of the filter has; an empty list lets everything through.
    set__netns = 0;
    set__residents = 0;
    set__addresses = 0;
    set__peers = 0;
    set__ports = 0;
    set__pids = 0;
    // From so many microseconds on a wait is told by itself; 0 for none.
    set__slow_us = 0;
    // The verifier lets byte pointers be followed with plain loads (6.17 and later).
    set__direct = 0;
    // Bytes of a task's stack.
    set__stack = 0;
}

/// The value the loader gave.
#[inline(always)]
pub fn given(global: &'static u32) -> u32 {
    // SAFETY: a valid reference; volatile, because the loader changes it after compilation.
    unsafe { core::ptr::read_volatile(global) }
}

/// The same value, of which the verifier knows nothing any more: what it knows of two ways to here is all that keeps it from
/// following them as one. `memo` is a value of a map.
#[inline(always)]
pub fn forget(memo: &mut u64, value: u64) -> u64 {
    // SAFETY: a valid reference.
    unsafe {
        core::ptr::write_volatile(memo, value);
        core::ptr::read_volatile(memo)
    }
}

/// Whether this kernel has the field.
#[inline(always)]
pub fn has(field: &'static u32) -> bool {
    given(field) != ABSENT
}

/// Reads a value at a kernel address; `None` when the address is not mapped.
#[inline(always)]
pub fn read<T>(address: u64) -> Option<T> {
    // SAFETY: the helper checks the address.
    unsafe { bpf_probe_read_kernel(address as *const T) }.ok()
}

/// Reads a field of a kernel object.
#[inline(always)]
pub fn field<T>(object: u64, field: &'static u32) -> Option<T> {
    read(object + u64::from(given(field)))
}

/// Reads a pointer; `None` when it is null or cannot be read.
#[inline(always)]
pub fn pointer(object: u64, offset: &'static u32) -> Option<u64> {
    field::<u64>(object, offset).filter(|address| *address != 0)
}
