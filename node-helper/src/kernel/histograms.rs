//! Histograms of times, as the kernel side counts them (see `node_helper_ebpf::histograms`).
#![expect(unsafe_code, reason = "plain records of the kernel side are declared as such")]

use super::load::Loaded;
use anyhow::Context as _;
use aya::Pod;
use aya::maps::{Map, MapData, MapError, PerCpuHashMap};
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

/// The times that a probe counts.
pub struct HistogramMap {
    probe: &'static str,
    map: PerCpuHashMap<MapData, MapKey, u64>,
}

impl std::fmt::Debug for HistogramMap {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("HistogramMap").field(&self.probe).finish()
    }
}

impl HistogramMap {
    /// That of a probe which measures times.
    pub fn of(probe: &'static str, loaded: &Loaded) -> anyhow::Result<Option<Self>> {
        let Some(fd) = loaded.maps.get("HISTOGRAMS") else {
            return Ok(None);
        };
        let fd = fd.try_clone().context("cannot copy a descriptor")?;
        let map = Map::from_map_data(MapData::from_fd(fd)?)?;
        let map = PerCpuHashMap::try_from(map).with_context(|| format!("cannot read the times of probe {probe}"))?;
        Ok(Some(Self { probe, map }))
    }

    /// The probe.
    pub const fn probe(&self) -> &'static str {
        self.probe
    }

    /// What was counted since it was attached, by namespace and measure.
    pub fn read(&self) -> anyhow::Result<BTreeMap<(u32, Measure), Buckets>> {
        let mut all: BTreeMap<(u32, Measure), Buckets> = BTreeMap::new();
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
                all.entry((key.netns, measure)).or_default().insert(key.bucket, count);
            }
        }
        Ok(all)
    }
}
