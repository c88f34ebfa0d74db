//! `rules`: every cause this program can name.

use super::{CliCommand, CommandContext};
use crate::exit::Exit;
use crate::render::{self, ListFormat};
use anyhow::Result;
use clap::Args;

/// List the rules: every cause that this program can name
#[derive(Debug, Args)]
pub struct Rules {
    /// How to print the list
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: ListFormat,
}

impl CliCommand for Rules {
    const NAME: &'static str = "rules";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        let rules: Vec<(&str, String)> = diagnoses::rules::RULES
            .iter()
            .map(|rule| (rule.id, rule.summary()))
            .collect();
        render::rules(&rules, self.output, context.colour)?;
        Ok(Exit::Fine)
    }
}
