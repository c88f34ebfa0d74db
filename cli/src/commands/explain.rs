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
use model::predecessor::{self, PREDECESSOR_PROBES};

/// Explain a rule, a probe or a number: what it means, how it knows, what to do
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl-skoop explain netfilter-drop
  kubectl-skoop explain tcpreset
  # By the name that KubeSkoop, the predecessor, had for it
  kubectl-skoop explain packetloss
  kubectl-skoop explain TcpExt.ListenOverflows")]
pub struct Explain {
    /// A rule (`rules` lists them), a probe (`probes` lists them; the predecessor's names do, too), or a number as `inspect` shows it
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
        let theirs = predecessor::find(&self.name).filter(|theirs| !theirs.has_same_name());
        if let Some(theirs) = theirs {
            render::explain_predecessor(theirs, context.colour)?;
            if theirs.ours.is_empty() {
                return Ok(Exit::Fine);
            }
        }
        // Probes are the helper's to explain; where none can be started, rules are all there is.
        let asked = block_on(probes::ask(self.place, context));
        let known = asked.as_ref().map(|hello| hello.probes.as_slice()).unwrap_or_default();
        let meant = theirs.map_or_else(|| vec![self.name.as_str()], |theirs| theirs.ours.to_vec());
        let mut explained = false;
        for probe in known.iter().filter(|probe| meant.contains(&probe.name.as_str())) {
            render::explain_probe(probe, context.colour)?;
            explained = true;
        }
        if explained || theirs.is_some() {
            return Ok(Exit::Fine);
        }
        if let Some(name) = by_last_word(&self.name) {
            render::explain_number(name, context.colour)?;
            return Ok(Exit::Fine);
        }
        let ours = RULES.iter().map(|rule| rule.id).chain(numbers_by_name());
        let all = ours.chain(PREDECESSOR_PROBES.iter().flat_map(|probe| probe.names).copied());
        let mut all: Vec<String> = all.map(str::to_owned).collect();
        all.extend(known.iter().map(|probe| probe.name.clone()));
        let hint = names::hint(&self.name, all.iter().map(String::as_str));
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

/// Names of numbers.
fn numbers_by_name() -> impl Iterator<Item = &'static str> {
    let counters = COUNTERS.iter().map(|counter| counter.name);
    counters.chain(NUMBERS.iter().map(|number| number.name))
}

/// The number of that name, or one that only a newer kernel has.
fn number(text: &str) -> Option<String> {
    let known = numbers_by_name().find(|name| name.eq_ignore_ascii_case(text));
    known.map(str::to_owned).or_else(|| {
        let is_a_tables = text.contains('.') && !numbers::probe_of(text).is_empty();
        is_a_tables.then(|| text.to_owned())
    })
}

/// The number that is meant by the name of the kernel's counter alone. A probe may be called so, too: it goes before.
fn by_last_word(text: &str) -> Option<&'static str> {
    numbers_by_name().find(|name| {
        name.split_once('.')
            .is_some_and(|(_, last)| last.eq_ignore_ascii_case(text))
    })
}
