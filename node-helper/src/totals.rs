//! Exact totals and losses, as the kernel side counted them (see `node_helper_ebpf::draft`).
#![expect(unsafe_code, reason = "plain records of the kernel side are declared as such")]

use crate::load::Loaded;
use crate::words::{Words, particulars};
use aya::Pod;
use aya::maps::{Map, MapData, PerCpuArray, PerCpuHashMap};
use model::flow::protocol_name;
use model::protocol::{Lost, Total};
use model::word::What;
use std::collections::BTreeMap;

/// What still waits on a CPU (see `node_helper_ebpf::draft::Last`).
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
    zero: u32,
}

#[repr(C)]
#[derive(Clone, Copy, Debug)]
struct Losses {
    ring_full: u64,
    over_budget: u64,
    of_watched: u64,
    uncounted: u64,
}

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
pub fn read(probe: &str, loaded: &Loaded, words: &mut Words) -> Vec<Total> {
    let Some(Ok(totals)) = map(loaded, "TOTALS").map(PerCpuHashMap::<_, Key, u64>::try_from) else {
        return Vec::new();
    };
    let mut sums: BTreeMap<(u32, String, u32, u16), u64> = BTreeMap::new();
    let counted = totals
        .iter()
        .filter_map(Result::ok)
        .map(|(key, counts)| (key, counts.iter().sum::<u64>()));
    for (key, count) in counted.chain(
        waiting(loaded)
            .map(|one| (one.key, one.count))
            .filter(|(_, count)| *count != 0),
    ) {
        let what = match What::decode(key.tag, key.a, key.b) {
            Some(What::DnsQuery) => "dns-query".to_owned(),
            Some(What::DnsAnswer { .. }) => "dns-answer".to_owned(),
            Some(what) => match words.seen(what) {
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

/// What still waits on each CPU for each program.
fn waiting(loaded: &Loaded) -> impl Iterator<Item = Waiting> {
    let waiting = map(loaded, "LAST").and_then(|map| PerCpuArray::<_, Waiting>::try_from(map).ok());
    let slots = waiting.as_ref().map_or(0, PerCpuArray::len);
    let all: Vec<Waiting> = (0..slots)
        .filter_map(|slot| waiting.as_ref()?.get(&slot, 0).ok())
        .flat_map(|values| values.iter().copied().collect::<Vec<_>>())
        .collect();
    all.into_iter()
}

/// What a probe could not send.
pub fn lost(probe: &str, loaded: &Loaded) -> Lost {
    let mut lost = Lost {
        probe: probe.to_owned(),
        ..Lost::default()
    };
    if let Some(Ok(losses)) = map(loaded, "LOSSES").map(PerCpuArray::<_, Losses>::try_from)
        && let Ok(values) = losses.get(&0, 0)
    {
        for value in values.iter() {
            lost.ring_full += value.ring_full;
            lost.over_budget += value.over_budget;
            lost.of_watched += value.of_watched;
            lost.uncounted += value.uncounted;
        }
    }
    lost.over_budget += waiting(loaded).map(|one| one.thinned).sum::<u64>();
    lost
}
