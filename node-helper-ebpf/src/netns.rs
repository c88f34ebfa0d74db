//! Where a packet or socket is: the inode of its network namespace and the index of its interface.

use crate::direct_access::{load, load_at};
use crate::fields::*;
use aya_ebpf::helpers::bpf_get_current_task;

/// Inodes of namespaces start here (`PROC_NET_INIT_INO` of 6.18; older ones higher). Anything below was no namespace.
const FIRST_INODE: u32 = 0xeff0_0000;

/// A place.
#[derive(Clone, Copy)]
pub struct NetnsInterface {
    /// Inode of the namespace; 0 when unknown.
    pub netns: u32,
    /// Interface in it; 0 when there is none.
    pub ifindex: u32,
}

/// The namespace a `struct net` is.
#[inline(always)]
fn inode(net: u64) -> Option<u32> {
    read::<u32>(net + u64::from(given(&net__ns)) + u64::from(given(&ns_common__inum)))
        .filter(|inode| *inode >= FIRST_INODE)
}

/// That of a device. `skb->dev` shares its place with other things, so what is read there is checked.
#[inline(always)]
pub fn of_device(device: u64) -> Option<NetnsInterface> {
    let netns = inode(pointer(device, &net_device__nd_net)?)?;
    Some(NetnsInterface {
        netns,
        ifindex: field(device, &net_device__ifindex).unwrap_or(0),
    })
}

/// That of a device the verifier knows, without a call; all zeroes where it is not told so easily.
#[inline(always)]
pub fn of_known_device(device: *const u8) -> NetnsInterface {
    let nowhere = NetnsInterface { netns: 0, ifindex: 0 };
    if device.is_null() {
        return nowhere;
    }
    let net: *const u8 = load(device, &net_device__nd_net);
    if net.is_null() {
        return nowhere;
    }
    let netns: u32 = load_at(net, given(&net__ns) + given(&ns_common__inum));
    if netns < FIRST_INODE {
        return nowhere;
    }
    let ifindex = load(device, &net_device__ifindex);
    NetnsInterface { netns, ifindex }
}

/// That of a socket the verifier knows, without a call; 0 where it is not told so easily.
#[inline(always)]
pub fn of_known_socket(sk: *const u8) -> u32 {
    let net: *const u8 = load(sk, &sock_common__skc_net);
    if net.is_null() {
        return 0;
    }
    let netns: u32 = load_at(net, given(&net__ns) + given(&ns_common__inum));
    if netns < FIRST_INODE { 0 } else { netns }
}

/// That of a task the verifier knows, without a call; 0 of one that is ending.
#[inline(always)]
pub fn of_known_task(task: *const u8) -> u32 {
    let namespaces: *const u8 = load(task, &task_struct__nsproxy);
    if namespaces.is_null() {
        return 0;
    }
    let net: *const u8 = load(namespaces, &nsproxy__net_ns);
    if net.is_null() {
        return 0;
    }
    let netns: u32 = load_at(net, given(&net__ns) + given(&ns_common__inum));
    if netns < FIRST_INODE { 0 } else { netns }
}

/// That of a socket.
#[inline(always)]
pub fn of_socket(sk: u64) -> Option<NetnsInterface> {
    let netns = inode(pointer(sk, &sock_common__skc_net)?)?;
    Some(NetnsInterface { netns, ifindex: 0 })
}

/// That of a packet: its device, else its socket, else the socket it was meant for, else the device of its route.
#[inline(always)]
pub fn of_packet(skb: u64, receiver: u64) -> NetnsInterface {
    if let Some(device) = pointer(skb, &sk_buff__dev)
        && let Some(place) = of_device(device)
    {
        return place;
    }
    if let Some(sk) = pointer(skb, &sk_buff__sk)
        && let Some(place) = of_socket(sk)
    {
        return place;
    }
    if receiver != 0
        && let Some(place) = of_socket(receiver)
    {
        return place;
    }
    if let Some(route) = field::<u64>(skb, &sk_buff___skb_refdst)
        && route & !1 != 0
        && let Some(device) = pointer(route & !1, &dst_entry__dev)
        && let Some(place) = of_device(device)
    {
        return NetnsInterface { ifindex: 0, ..place };
    }
    NetnsInterface { netns: 0, ifindex: 0 }
}

/// That of the running task; only for hooks that run in its context.
#[inline(always)]
pub fn of_task() -> Option<NetnsInterface> {
    // SAFETY: no arguments, always valid in tracing programs.
    let task = unsafe { bpf_get_current_task() };
    let netns = inode(pointer(pointer(task, &task_struct__nsproxy)?, &nsproxy__net_ns)?)?;
    Some(NetnsInterface { netns, ifindex: 0 })
}
