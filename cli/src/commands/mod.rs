//! The commands, one file each, with the options that several of them share. What is not in the list of commands does not
//! exist: help and completions are derived from it.
//!
//! A command may use every other room, and says in which order they are used. What it prints goes through `render`; no command
//! knows the program that runs it.

mod candidates;
mod capture;
mod capture_causes;
mod cleanup;
mod command_line;
mod compare;
mod complete;
mod completion;
mod context;
mod diagnose;
mod doctor;
mod explain;
mod export;
mod inspect;
mod latency;
mod latency_between;
mod map;
mod measured_times;
mod node_findings;
mod numbers_look;
mod one_end_options;
mod plugin_findings;
mod probe_costs;
mod probes;
mod reach_options;
mod recorded_look;
mod rules;
mod schema;
mod scope_options;
mod scoped_look;
mod sending_options;
mod sink_options;
mod site_options;
mod surroundings;
mod top;
mod version;
mod watch_orders;

pub use command_line::{GlobalOptions, TYPED, command};
pub use completion::{KUBECTL as KUBECTL_COMPLETION, script as completion_script};
pub use context::CommandContext;
pub use diagnose::{Diagnose, with_kind};

use crate::exit::Exit;
use anyhow::Result;
use clap::ArgMatches;

/// A command: its options are its fields, its help their comments.
pub trait CliCommand: clap::Args {
    /// As it is typed.
    const NAME: &'static str;
    /// Does it.
    fn run(self, context: &CommandContext) -> Result<Exit>;
}

/// One line of the registry.
#[derive(Debug)]
pub struct CommandEntry {
    /// As it is typed.
    pub name: &'static str,
    /// Its command line.
    pub command: fn() -> clap::Command,
    /// Does it.
    pub run: fn(&ArgMatches, &CommandContext) -> Result<Exit>,
}

impl CommandEntry {
    const fn of<C: CliCommand>() -> Self {
        Self {
            name: C::NAME,
            command: || C::augment_args(clap::Command::new(C::NAME)),
            run: |matches, context| match C::from_arg_matches(matches) {
                Ok(command) => command.run(context),
                Err(error) => Err(crate::exit::WrongUsage::error(error.to_string())),
            },
        }
    }
}

/// Every command.
pub const COMMANDS: &[CommandEntry] = &[
    CommandEntry::of::<Diagnose>(),
    CommandEntry::of::<capture::Capture>(),
    CommandEntry::of::<top::TopCommand>(),
    CommandEntry::of::<inspect::InspectCommand>(),
    CommandEntry::of::<compare::CompareCommand>(),
    CommandEntry::of::<export::ExportCommand>(),
    CommandEntry::of::<latency::LatencyCommand>(),
    CommandEntry::of::<map::MapCommand>(),
    CommandEntry::of::<doctor::Doctor>(),
    CommandEntry::of::<cleanup::Cleanup>(),
    CommandEntry::of::<probes::Probes>(),
    CommandEntry::of::<rules::Rules>(),
    CommandEntry::of::<explain::Explain>(),
    CommandEntry::of::<schema::Schema>(),
    CommandEntry::of::<completion::Completion>(),
    CommandEntry::of::<complete::Complete>(),
    CommandEntry::of::<version::Version>(),
];
