//! Histograms of times, as the kernel side counts them (see `node_helper_ebpf::histograms`).
#![expect(unsafe_code, reason = "plain records of the kernel side are declared as such")]

use super::load::Loaded;
use anyhow::Context as _;
use aya::Pod;
use aya::maps::{HashMap, Map, MapData, MapError, PerCpuHashMap};
use model::histogram::{BucketKey, Measure};
use std::collections::BTreeMap;

/// A [`BucketKey`] in a map.
#[repr(transparent)]
#[derive(Clone, Copy, Debug)]
struct MapKey(BucketKey);

// SAFETY: numbers without padding, any bytes are valid.
unsafe impl Pod for MapKey {}

/// How many values fell into each bucket.
pub type Buckets = BTreeMap<u16, u64>;

/// Which times: whose they are, what was measured, and which of several it is of ([`BucketKey::of`]).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct TimesKey {
    /// Namespace by inode; 0 for what is nobody's.
    pub netns: u32,
    /// What was measured.
    pub measure: Measure,
    /// Which of several.
    pub of: u32,
}

/// The times that a probe counts.
pub struct HistogramMap {
    probe: &'static str,
    map: PerCpuHashMap<MapData, MapKey, u64>,
    /// In a probe that learns by cgroups whose something is: the namespaces of pods by the ids of their cgroups.
    owners: Option<HashMap<MapData, u64, u32>>,
}

impl std::fmt::Debug for HistogramMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HistogramMap").field(&self.probe).finish()
    }
}

impl HistogramMap {
    /// That of a probe which measures times.
    pub fn of(probe: &'static str, loaded: &Loaded) -> anyhow::Result<Option<Self>> {
        let map = |name: &str| -> anyhow::Result<Option<Map>> {
            let Some(fd) = loaded.maps.get(name) else {
                return Ok(None);
            };
            let fd = fd.try_clone().context("cannot copy a descriptor")?;
            Ok(Some(Map::from_map_data(MapData::from_fd(fd)?)?))
        };
        let Some(times) = map("HISTOGRAMS")? else {
            return Ok(None);
        };
        let cannot = || format!("cannot read the times of probe {probe}");
        Ok(Some(Self {
            probe,
            map: PerCpuHashMap::try_from(times).with_context(cannot)?,
            owners: map("OWNERS")?.map(HashMap::try_from).transpose().with_context(cannot)?,
        }))
    }

    /// Whether it wants to know whose cgroups are.
    pub const fn wants_owners(&self) -> bool {
        self.owners.is_some()
    }

    /// From now on what these cgroups are charged for is of these namespaces, and of no others.
    pub fn set_owners(&mut self, owners: &BTreeMap<u64, u32>) -> anyhow::Result<()> {
        let Some(map) = &mut self.owners else { return Ok(()) };
        let cannot = || format!("cannot tell probe {} whose cgroups are", self.probe);
        let known: BTreeMap<u64, u32> = map.iter().collect::<Result<_, _>>().with_context(cannot)?;
        for gone in known.keys().filter(|id| !owners.contains_key(id)) {
            map.remove(gone).with_context(cannot)?;
        }
        for (id, netns) in owners.iter().filter(|(id, netns)| known.get(id) != Some(netns)) {
            map.insert(id, netns, 0).with_context(cannot)?;
        }
        Ok(())
    }

    /// The probe.
    pub const fn probe(&self) -> &'static str {
        self.probe
    }

    /// What was counted since it was attached.
    pub fn read(&self) -> anyhow::Result<BTreeMap<TimesKey, Buckets>> {
        let mut all: BTreeMap<TimesKey, Buckets> = BTreeMap::new();
        for counted in &self.map {
            let (MapKey(key), counts) = match counted {
                Ok(counted) => counted,
                // Nothing is ever taken out of it.
                Err(MapError::KeyNotFound) => continue,
                Err(error) => {
                    return Err(error).with_context(|| format!("cannot read the times of probe {}", self.probe));
                }
            };
            if let Some(measure) = Measure::decode(key.measure) {
                let count: u64 = counts.iter().sum();
                let times = TimesKey {
                    netns: key.netns,
                    measure,
                    of: key.of,
                };
                all.entry(times).or_default().insert(key.bucket, count);
            }
        }
        Ok(all)
    }
}
