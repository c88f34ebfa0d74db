//! What the user asked to see: lists of namespaces, addresses, ports and processes. Lists that are empty cost nothing.

use crate::fields::*;
use aya_ebpf::macros::map;
use aya_ebpf::maps::HashMap;
use model::flow::Flow;

/// Namespaces by inode.
#[map]
pub static NETNS: HashMap<u32, u8> = HashMap::with_max_entries(1024, 1);
/// Addresses of what lives in those namespaces, either end: let through in every namespace.
#[map]
pub static RESIDENTS: HashMap<[u8; 16], u8> = HashMap::with_max_entries(1024, 1);
/// Addresses, each with the ends that it may be: [`ONE_END`], [`OTHER_END`] where it is a peer's.
#[map]
pub static ADDRESSES: HashMap<[u8; 16], u8> = HashMap::with_max_entries(1024, 1);
/// Ports, either end.
#[map]
pub static PORTS: HashMap<u16, u8> = HashMap::with_max_entries(1024, 1);
/// Processes.
#[map]
pub static PIDS: HashMap<u32, u8> = HashMap::with_max_entries(1024, 1);

/// It may be either end, or, where there are peers, the end that is none of them.
const ONE_END: u8 = 1;
/// It may be the end of a peer.
const OTHER_END: u8 = 2;

#[inline(always)]
fn holds<K>(list: &HashMap<K, u8>, entry: &K) -> bool {
    list.get_ptr(entry).is_some()
}

#[inline(always)]
fn touches(addresses: &HashMap<[u8; 16], u8>, flow: &Flow) -> bool {
    holds(addresses, &flow.saddr) || holds(addresses, &flow.daddr)
}

/// The ends that an address may be.
#[inline(always)]
fn ends(address: &[u8; 16]) -> u8 {
    // SAFETY: a value of the map, which never changes.
    ADDRESSES.get_ptr(address).map_or(0, |ends| unsafe { *ends })
}

/// Whether a flow has an address that is asked for; where peers are, whether it is between one of the addresses and one of them.
#[inline(always)]
fn is_of_addresses(flow: &Flow) -> bool {
    if given(&set__peers) == 0 {
        return touches(&ADDRESSES, flow);
    }
    let (source, destination) = (ends(&flow.saddr), ends(&flow.daddr));
    let is_between = |one: u8, other: u8| one & ONE_END != 0 && other & OTHER_END != 0;
    is_between(source, destination) || is_between(destination, source)
}

/// Whether this namespace is asked for itself; its residents' packets elsewhere are not its own.
#[inline(always)]
pub fn holds_namespace(netns: u32) -> bool {
    given(&set__netns) == 0 || holds(&NETNS, &netns)
}

/// Whether this process is asked for.
#[inline(always)]
pub fn holds_process(pid: u32) -> bool {
    given(&set__pids) == 0 || holds(&PIDS, &pid)
}

/// Whether nothing but namespaces is asked for.
#[inline(always)]
pub fn is_of_namespaces_only() -> bool {
    given(&set__residents) == 0 && given(&set__addresses) == 0 && given(&set__ports) == 0 && given(&set__pids) == 0
}

/// Whether every list that is not empty holds this. Something that happens in no process's context (`pid` 0) is not
/// judged by the list of processes.
#[inline(always)]
pub fn lets_through(netns: u32, flow: &Flow, pid: u32) -> bool {
    let is_of_resident = || given(&set__residents) != 0 && touches(&RESIDENTS, flow);
    if given(&set__netns) != 0 && !holds(&NETNS, &netns) && !is_of_resident() {
        return false;
    }
    if given(&set__addresses) != 0 && !is_of_addresses(flow) {
        return false;
    }
    if given(&set__ports) != 0 && !holds(&PORTS, &flow.sport) && !holds(&PORTS, &flow.dport) {
        return false;
    }
    pid == 0 || holds_process(pid)
}
