//! `explain`: what a rule or probe means, how it knows, and what to do.

use super::site_options::{SiteOptions, block_on};
use super::{CliCommand, CommandContext, probes};
use crate::exit::{Exit, NotThere};
use crate::{names, render};
use anyhow::Result;
use clap::Args;
use diagnoses::rules::RULES;

/// Explain a rule or a probe: what it means, how it knows, what to do
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl-skoop explain netfilter-drop
  kubectl-skoop explain tcpreset")]
pub struct Explain {
    /// A rule (`rules` lists them) or a probe (`probes` lists them)
    #[arg(value_name = "RULE|PROBE")]
    name: String,
    #[command(flatten)]
    place: SiteOptions,
}

impl CliCommand for Explain {
    const NAME: &'static str = "explain";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        if let Some(rule) = RULES.iter().find(|rule| rule.id == self.name) {
            render::explain_rule(rule.id, &rule.head(), context.colour)?;
            return Ok(Exit::Fine);
        }
        // Probes are the helper's to explain; where none can be started, rules are all there is.
        let asked = block_on(probes::ask(self.place, context));
        let known = asked.as_ref().map(|hello| hello.probes.as_slice()).unwrap_or_default();
        if let Some(probe) = known.iter().find(|probe| probe.name == self.name) {
            render::explain_probe(probe, context.colour)?;
            return Ok(Exit::Fine);
        }
        let ids = RULES.iter().map(|rule| rule.id);
        let hint = names::hint(&self.name, ids.chain(known.iter().map(|probe| probe.name.as_str())));
        let besides = match asked {
            Ok(_) => String::new(),
            Err(error) => format!("; probes could not be asked for: {error:#}"),
        };
        Err(NotThere::error(format!(
            "there is no rule or probe `{}`{hint} (lists: `{program} rules`, `{program} probes`){besides}",
            self.name,
            program = context.program
        )))
    }
}
