//! `probes`: what each probe sees, what it costs, and whether this kernel can run it.

use super::site_options::{SiteOptions, block_on};
use super::{CliCommand, CommandContext};
use crate::exit::Exit;
use crate::render::{self, ListFormat};
use anyhow::{Context as _, Result};
use clap::Args;
use model::protocol::Hello;
use std::time::Duration;

/// List the probes, what they cost, and whether this kernel can run them
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl-skoop probes
  kubectl-skoop probes -o json")]
pub struct Probes {
    /// How to print the list
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: ListFormat,
    #[command(flatten)]
    place: SiteOptions,
}

/// A helper has answered within this.
const WITHIN: Duration = Duration::from_secs(30);

impl CliCommand for Probes {
    const NAME: &'static str = "probes";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        let hello = block_on(ask(self.place, context))?;
        render::probes(&hello, self.output, context.colour)?;
        Ok(Exit::Fine)
    }
}

/// The greeting of this machine's helper, which describes its probes.
pub async fn ask(place: SiteOptions, context: &CommandContext) -> Result<Hello> {
    let place = place.this_machine();
    let site = place.site(context).await?;
    let (mut session, _keeping) = place.begin(context, &site, &site.nodes(), WITHIN)?;
    session.hello().await?;
    session.dismiss().await;
    let hello = session.state.nodes.iter_mut().find_map(|node| node.hello.take());
    hello.context("the helper said nothing of its probes; run it again with -v")
}
