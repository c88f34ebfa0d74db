//! Exact totals and losses, as the kernel side counted them (see `node_helper_ebpf::totals` and `node_helper_ebpf::budget`).
#![expect(unsafe_code, reason = "plain records of the kernel side are declared as such")]

use super::decode::{KernelNames, particulars};
use crate::kernel::load::Loaded;
use crate::system::bpf;
use aya::Pod;
use aya::maps::{Map, MapData, PerCpuArray, PerCpuHashMap};
use model::flow::protocol_name;
use model::protocol::{Lost, Total};
use model::word::What;
use std::collections::BTreeMap;
use std::os::fd::{AsFd as _, OwnedFd};

/// What still waits on a CPU (see `node_helper_ebpf::totals::LastTotal`).
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Waiting {
    key: Key,
    count: u64,
    thinned: u64,
}

/// The key of a total.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Key {
    a: u64,
    b: u64,
    netns: u32,
    tag: u16,
    dport: u16,
    protocol: u32,
    slot: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Losses {
    ring_full: u64,
    over_budget: u64,
    of_watched: u64,
    uncounted: u64,
}

/// See `node_helper_ebpf::stand_in::Turn`.
#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Turn {
    noted: [u64; 2],
    stood_in: u64,
    memos: [u64; 2],
}

// SAFETY: as below.
unsafe impl Pod for Turn {}
// SAFETY: numbers without padding, any bytes are valid.
unsafe impl Pod for Key {}
// SAFETY: as above.
unsafe impl Pod for Losses {}
// SAFETY: as above.
unsafe impl Pod for Waiting {}

fn map(loaded: &Loaded, name: &str) -> Option<Map> {
    let fd = loaded.maps.get(name)?.try_clone().ok()?;
    Map::from_map_data(MapData::from_fd(fd).ok()?).ok()
}

/// A probe's totals, in no order.
pub fn read(probe: &str, loaded: &Loaded, names: &mut KernelNames) -> Vec<Total> {
    let Some(Ok(totals)) = map(loaded, "TOTALS").map(PerCpuHashMap::<_, Key, u64>::try_from) else {
        return Vec::new();
    };
    let mut sums: BTreeMap<(u32, String, u32, u16), u64> = BTreeMap::new();
    let counted = totals
        .iter()
        .filter_map(Result::ok)
        .map(|(key, counts)| (key, counts.iter().sum::<u64>()));
    for (key, count) in counted.chain(
        by_program::<Waiting>(loaded, "LAST")
            .into_iter()
            .map(|one| (one.key, one.count))
            .filter(|(_, count)| *count != 0),
    ) {
        let what = match What::decode(key.tag, key.a, key.b) {
            Some(What::DnsQuery) => "dns-query".to_owned(),
            Some(What::DnsAnswer { .. }) => "dns-answer".to_owned(),
            Some(what) => match names.seen(what) {
                Some(seen) => particulars(&seen),
                None => continue,
            },
            None => continue,
        };
        *sums.entry((key.netns, what, key.protocol, key.dport)).or_default() += count;
    }
    sums.into_iter()
        .map(|((netns, what, protocol, dport), count)| {
            let mut labels = BTreeMap::new();
            if protocol != 0 {
                labels.insert("protocol".to_owned(), protocol_name(protocol as u8).into_owned());
            }
            if dport != 0 {
                labels.insert("dport".to_owned(), dport.to_string());
            }
            Total {
                probe: probe.to_owned(),
                netns,
                what,
                labels,
                count,
            }
        })
        .collect()
}

/// The values of a map that has one for each program and CPU.
fn by_program<T: Pod>(loaded: &Loaded, name: &str) -> Vec<T> {
    let Some(Ok(values)) = map(loaded, name).map(PerCpuArray::<_, T>::try_from) else {
        return Vec::new();
    };
    let slots = (0..values.len()).filter_map(|slot| values.get(&slot, 0).ok());
    slots.flat_map(|all| all.iter().copied().collect::<Vec<_>>()).collect()
}

/// What a probe could not send, and how often it was left out of.
pub fn lost(probe: &str, loaded: &Loaded, left_out: LeftOut) -> Lost {
    let mut lost = Lost {
        probe: probe.to_owned(),
        ..Lost::default()
    };
    for value in by_program::<Losses>(loaded, "LOSSES") {
        lost.ring_full += value.ring_full;
        lost.over_budget += value.over_budget;
        lost.of_watched += value.of_watched;
        lost.uncounted += value.uncounted;
    }
    let waiting = by_program::<Waiting>(loaded, "LAST");
    lost.over_budget += waiting.iter().map(|one| one.thinned).sum::<u64>();
    // More would be as wrong as less.
    lost.missed = left_out.times.abs_diff(left_out.stood_in);
    lost.nested = left_out.stood_in + left_out.of_stand_ins;
    lost
}

/// How often programs were left out because they were running already, and how often others stood in for them, since they were
/// loaded.
#[derive(Clone, Copy, Debug, Default)]
pub struct LeftOut {
    times: u64,
    stood_in: u64,
    /// How often those that stand in were left out themselves, where the first were not.
    of_stand_ins: u64,
}

impl LeftOut {
    /// So far. One attaches a moment before the other and goes a moment before it, so only what lies between two readings while
    /// both are there can be compared.
    pub fn so_far(loaded: &Loaded) -> Self {
        let times = |programs: &[OwnedFd]| -> u64 {
            let costs = programs.iter().filter_map(|one| bpf::program_cost(one.as_fd()).ok());
            costs.map(|(_, _, left_out)| left_out).sum()
        };
        let turns = by_program::<Turn>(loaded, "TURNS");
        Self {
            times: times(&loaded.programs),
            stood_in: turns.iter().map(|turn| turn.stood_in).sum(),
            of_stand_ins: times(&loaded.stand_ins),
        }
    }

    /// Since that reading.
    #[must_use]
    pub fn since(self, earlier: Self) -> Self {
        Self {
            times: self.times.saturating_sub(earlier.times),
            stood_in: self.stood_in.saturating_sub(earlier.stood_in),
            of_stand_ins: self.of_stand_ins.saturating_sub(earlier.of_stand_ins),
        }
    }
}
