//! `version`: of this program and of what it speaks.

use super::{CliCommand, CommandContext};
use crate::exit::Exit;
use crate::render;
use anyhow::Result;

/// Print the version of this program
#[derive(Debug, clap::Args)]
pub struct Version {}

impl CliCommand for Version {
    const NAME: &'static str = "version";

    fn run(self, _context: &CommandContext) -> Result<Exit> {
        render::lines(&[format!(
            "kubectl-skoop {} (protocol {}, report {})",
            env!("CARGO_PKG_VERSION"),
            model::protocol::VERSION,
            model::report::API_VERSION
        )])?;
        Ok(Exit::Fine)
    }
}
