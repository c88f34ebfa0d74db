//! `schema`: the shape of the report.

use super::{CliCommand, CommandContext};
use crate::exit::Exit;
use crate::render;
use anyhow::Result;
use clap::Args;

/// Print the JSON Schema of the report that `-o json` and `-o yaml` give
#[derive(Debug, Args)]
pub struct Schema {}

impl CliCommand for Schema {
    const NAME: &'static str = "schema";

    fn run(self, _context: &CommandContext) -> Result<Exit> {
        render::script(&render::schema::report_schema())?;
        Ok(Exit::Fine)
    }
}
