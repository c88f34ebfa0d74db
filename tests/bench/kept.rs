//! What is kept of some traffic while probes are armed: pairs of rounds with and without, one after the other.

use crate::figure::median;
use crate::helper::Helper;
use anyhow::Result;
use model::protocol::Filter;

const ROUNDS: usize = 24;

/// In percent, as the medians of pairs.
#[derive(Clone, Copy, Debug)]
pub struct Kept {
    /// While the probes are armed.
    pub armed: f64,
    /// While they are not, in both of a pair.
    pub control: f64,
}

/// Attaches and detaches in one process, in an irregular order; `taken` runs the traffic once and tells how much there was of it.
pub fn kept(probes: &[&str], filter: &Filter, taken: impl Fn() -> Result<f64>) -> Result<Kept> {
    let mut helper = Helper::start()?;
    pairs(&taken, || {
        helper.arm(probes, filter.clone())?;
        helper.go()?;
        let value = taken()?;
        helper.stop()?;
        Ok(value)
    })
}

/// The same for any other way of being watched.
pub fn pairs(unwatched: impl Fn() -> Result<f64>, mut watched: impl FnMut() -> Result<f64>) -> Result<Kept> {
    let (mut armed, mut control) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        // 0b1011_0010 and its rest: neither order comes first more often.
        let (on, off) = if 0b1011_0010_u32.rotate_left(round as u32) & 1 == 0 {
            let on = watched()?;
            (on, unwatched()?)
        } else {
            let off = unwatched()?;
            (watched()?, off)
        };
        armed.push(on / off * 100.0);
        control.push(unwatched()? / unwatched()? * 100.0);
    }
    Ok(Kept {
        armed: median(&armed),
        control: median(&control),
    })
}
