//! The maps that all programs of one arming share: the user's filter and the watched flows.

use super::load::{self, SharedMaps};
use crate::system::bpf::{self, MapShape};
use crate::system::mapped::Mapped;
use anyhow::Context;
use model::attempt::WatchedFlow;
use model::flow::{Flow, bytes};
use model::protocol::Filter;
use std::net::IpAddr;
use std::os::fd::AsFd;
use std::sync::Arc;

const HASH: u32 = 1;
const ARRAY: u32 = 2;
const LRU_HASH: u32 = 9;
const NO_PREALLOC: u32 = 1;
const MMAPABLE: u32 = 1 << 10;
const PORTS: usize = 65536;
/// As in `node_helper_ebpf::trail`.
const SLOTS: u32 = 16384;

/// Bits of an owner, as in `node_helper_ebpf::watched_flows`: there is one; the answer's direction; a start whose whole tuple is known.
const VALID: u32 = 1;
const REVERSE: u32 = 2;
const KNOWN: u32 = 4;

/// Bits of a port's mark, as in `node_helper_ebpf::watched_flows`.
const MARK_FLOW: u8 = 1;
const MARK_TUNNEL: u8 = 2;
/// UDP ports of VXLAN (IANA's and Linux's) and Geneve.
const TUNNELS: [usize; 3] = [4789, 8472, 6081];

/// Bits of an address, as in `node_helper_ebpf::filter`.
const ONE_END: u8 = 1;
const OTHER_END: u8 = 2;

/// Lists of a filter that programs are told of.
pub const LISTS: usize = 6;

/// The shared maps, and how to add to them while programs run.
#[derive(Debug)]
pub struct FilterMaps {
    shared: SharedMaps,
    marks: Mapped,
    trailed: bool,
}

const fn hash(key: u32, value: u32, entries: u32) -> MapShape {
    MapShape {
        kind: HASH,
        key,
        value,
        entries,
        flags: NO_PREALLOC,
    }
}

/// How many entries each list has: namespaces, residents, addresses, ports, processes, peers.
pub fn entries(filter: &Filter) -> [u32; LISTS] {
    [
        filter.netns.len() as u32,
        filter.residents.len() as u32,
        filter.addresses.len() as u32,
        filter.ports.len() as u32,
        filter.pids.len() as u32,
        filter.peers.len() as u32,
    ]
}

/// The settings that tell programs which lists are in use.
pub fn settings(entries: [u32; LISTS]) -> [(&'static str, u32); LISTS] {
    let [netns, residents, addresses, ports, pids, peers] = entries;
    [
        ("netns", netns),
        ("residents", residents),
        ("addresses", addresses),
        ("ports", ports),
        ("pids", pids),
        ("peers", peers),
    ]
}

/// The maps by name, for lists of so many entries.
pub fn shapes(entries: [u32; LISTS]) -> [(&'static str, MapShape); 11] {
    let [netns, residents, addresses, ports, pids, peers] = entries;
    let list = |key, entries: u32| hash(key, 1, entries.max(1));
    [
        ("NETNS", list(4, netns)),
        ("RESIDENTS", list(16, residents)),
        ("ADDRESSES", list(16, addresses.saturating_add(peers))),
        ("PORTS", list(2, ports)),
        ("PIDS", list(4, pids)),
        ("WATCHED", hash(40, 8, 4096)),
        ("STARTS", hash(8, 4, 1024)),
        ("ENDS", hash(20, 24, 256)),
        (
            "SIGHTS",
            MapShape {
                kind: LRU_HASH,
                key: 8,
                value: 24,
                entries: 4096,
                flags: 0,
            },
        ),
        (
            "SEEN",
            MapShape {
                kind: ARRAY,
                key: 4,
                value: SLOTS,
                entries: 1,
                flags: 0,
            },
        ),
        (
            "MARKS",
            MapShape {
                kind: ARRAY,
                key: 4,
                value: PORTS as u32,
                entries: 1,
                flags: MMAPABLE,
            },
        ),
    ]
}

/// Creates them.
pub fn create(entries: [u32; LISTS]) -> anyhow::Result<SharedMaps> {
    let mut shared = SharedMaps::new();
    for (name, shape) in shapes(entries) {
        shared.insert(name.to_owned(), Arc::new(load::create(name, shape)?));
    }
    Ok(shared)
}

impl FilterMaps {
    /// Fills them. `trailed`: the hop trail is armed, too, so that every flow is met in its own namespace first.
    pub fn new(shared: &SharedMaps, filter: &Filter, trailed: bool) -> anyhow::Result<Self> {
        let shared = shared.clone();
        let marks = shared.get("MARKS").context("there is no map MARKS")?;
        let marks = Mapped::shared(marks.as_fd(), PORTS).context("cannot map the marks of watched ports")?;
        let maps = Self { shared, marks, trailed };
        for netns in &filter.netns {
            maps.put("NETNS", &netns.to_ne_bytes(), &[1])?;
        }
        for resident in &filter.residents {
            maps.put("RESIDENTS", &bytes(*resident), &[1])?;
        }
        for address in filter.addresses.iter().chain(&filter.peers) {
            let is_in = |list: &[IpAddr], bit| if list.contains(address) { bit } else { 0 };
            let ends = is_in(&filter.addresses, ONE_END) | is_in(&filter.peers, OTHER_END);
            maps.put("ADDRESSES", &bytes(*address), &[ends])?;
        }
        for port in &filter.ports {
            maps.put("PORTS", &port.to_ne_bytes(), &[1])?;
        }
        for pid in &filter.pids {
            maps.put("PIDS", &pid.to_ne_bytes(), &[1])?;
        }
        for flow in &filter.flows {
            maps.watch(flow)?;
        }
        Ok(maps)
    }

    fn put(&self, map: &str, key: &[u8], value: &[u8]) -> anyhow::Result<()> {
        let fd = self.shared.get(map).with_context(|| format!("there is no map {map}"))?;
        bpf::update_map(fd.as_fd(), key, value).with_context(|| format!("cannot add to map {map}"))
    }

    /// Follows one more flow, from now on.
    pub fn watch(&self, watched: &WatchedFlow) -> anyhow::Result<()> {
        let flow = &watched.flow;
        let met_first_in = if self.trailed { watched.netns } else { 0 };
        let known = |address: &[u8; 16]| *address != [0; 16] && *address != model::flow::mapped([0; 4]);
        if flow.sport != 0 {
            let whole = known(&flow.saddr) && known(&flow.daddr);
            if whole {
                for (flow, bits) in [(*flow, 0), (flow.reversed(), REVERSE)] {
                    let mut value = [0; 8];
                    value[..4].copy_from_slice(&owned_by(watched, bits));
                    value[4..].copy_from_slice(&met_first_in.to_ne_bytes());
                    self.put("WATCHED", &tuple(&flow), &value)?;
                }
            }
            let mut key = [0; 8];
            key[..4].copy_from_slice(&watched.netns.to_ne_bytes());
            key[4..6].copy_from_slice(&flow.sport.to_ne_bytes());
            key[6] = flow.protocol;
            self.put("STARTS", &key, &owned_by(watched, if whole { KNOWN } else { 0 }))?;
            self.marks.set_bits(usize::from(flow.sport), MARK_FLOW);
        } else {
            anyhow::ensure!(
                known(&flow.daddr) && flow.dport != 0,
                "cannot watch {flow}: of a flow without a source port, the destination's address and port must be known"
            );
            let mut key = [0; 20];
            key[..16].copy_from_slice(&flow.daddr);
            key[16..18].copy_from_slice(&flow.dport.to_ne_bytes());
            key[18] = flow.protocol;
            let mut value = [0; 24];
            value[..4].copy_from_slice(&owned_by(watched, 0));
            value[4..8].copy_from_slice(&met_first_in.to_ne_bytes());
            if known(&flow.saddr) {
                value[8..].copy_from_slice(&flow.saddr);
            }
            self.put("ENDS", &key, &value)?;
            self.marks.set_bits(usize::from(flow.dport), MARK_FLOW);
        }
        for port in TUNNELS {
            self.marks.set_bits(port, MARK_TUNNEL);
        }
        // Last: nothing is looked at before.
        self.marks.set_bits(0, MARK_FLOW);
        Ok(())
    }
}

/// A tuple as it lies in memory.
fn tuple(flow: &Flow) -> [u8; 40] {
    let mut key = [0; 40];
    key[..16].copy_from_slice(&flow.saddr);
    key[16..32].copy_from_slice(&flow.daddr);
    key[32..34].copy_from_slice(&flow.sport.to_ne_bytes());
    key[34..36].copy_from_slice(&flow.dport.to_ne_bytes());
    key[36] = flow.protocol;
    key
}

fn owned_by(watched: &WatchedFlow, bits: u32) -> [u8; 4] {
    (VALID | bits | (watched.attempt & 0xffff) << 8).to_ne_bytes()
}
