//! `explain`: what a rule, a probe or a number means, how it knows, and what to do.

use super::site_options::{SiteOptions, block_on};
use super::{CliCommand, CommandContext, probes};
use crate::exit::{Exit, NotThere};
use crate::{names, render};
use anyhow::Result;
use clap::Args;
use diagnoses::rules::RULES;
use model::kernel_counters::COUNTERS;
use model::numbers::{self, NUMBERS};

/// Explain a rule, a probe or a number: what it means, how it knows, what to do
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl-skoop explain netfilter-drop
  kubectl-skoop explain tcpreset
  kubectl-skoop explain TcpExt.ListenOverflows")]
pub struct Explain {
    /// A rule (`rules` lists them), a probe (`probes` lists them), or a number as `inspect` shows it
    #[arg(value_name = "RULE|PROBE|NUMBER")]
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
        if let Some(name) = number(&self.name) {
            render::explain_number(&name, context.colour)?;
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
        let numbers = COUNTERS
            .iter()
            .map(|counter| counter.name)
            .chain(NUMBERS.iter().map(|number| number.name));
        let others = known.iter().map(|probe| probe.name.as_str()).chain(numbers);
        let hint = names::hint(&self.name, ids.chain(others));
        let besides = match asked {
            Ok(_) => String::new(),
            Err(error) => format!("; probes could not be asked for: {error:#}"),
        };
        Err(NotThere::error(format!(
            "there is no rule, probe or number `{}`{hint} (lists: `{program} rules`, `{program} probes`){besides}",
            self.name,
            program = context.program
        )))
    }
}

/// The number that is meant: by its name, by that of the kernel's counter alone, or one that only a newer kernel has.
fn number(text: &str) -> Option<String> {
    let names = COUNTERS
        .iter()
        .map(|counter| counter.name)
        .chain(NUMBERS.iter().map(|number| number.name));
    let is_it = |name: &&str| name.eq_ignore_ascii_case(text);
    let by_last = |name: &&str| {
        name.split_once('.')
            .is_some_and(|(_, last)| last.eq_ignore_ascii_case(text))
    };
    let known = names.clone().find(is_it).or_else(|| names.clone().find(by_last));
    known.map(str::to_owned).or_else(|| {
        let is_a_tables = text.contains('.') && !numbers::probe_of(text).is_empty();
        is_a_tables.then(|| text.to_owned())
    })
}
