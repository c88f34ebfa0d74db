//! What tests in a lab stand on: a lab, and in it a server that is ready.
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;

use anyhow::{Context as _, Result};

use super::Lab;
use crate::process::LabProcess;
use crate::topology;

const READY_WITHIN: Duration = Duration::from_secs(20);

/// A lab of this topology. Without root it is said that the test is skipped, and there is none.
pub fn lab(named: &str) -> Result<Option<Lab>> {
    if !nix::unistd::geteuid().is_root() {
        let _ = writeln!(std::io::stderr(), "skipped: building a lab needs root");
        return Ok(None);
    }
    let topology = topology::named(named).with_context(|| format!("there is no topology {named}"))?;
    Lab::build(&topology).map(Some)
}

/// The same, in which a server listens at this place. It ends when it is dropped.
pub fn lab_with(named: &str, place: &str, server: &str) -> Result<Option<(Lab, LabProcess)>> {
    let Some(lab) = lab(named)? else { return Ok(None) };
    let mut server = lab.start(place, server, Path::new("/"))?;
    server.ready(READY_WITHIN)?;
    Ok(Some((lab, server)))
}
