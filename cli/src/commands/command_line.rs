//! The whole command line: the options that every command shares, and the commands of the registry.

use super::COMMANDS;
use crate::kubernetes::cluster::Access;
use crate::render::Colour;
use clap::Command;

/// The name a person types.
pub const TYPED: &str = "kubectl-skoop";

/// Options of every command.
#[derive(Clone, Debug, clap::Args)]
pub struct GlobalOptions {
    #[arg(
        long,
        value_enum,
        default_value_t,
        global = true,
        value_name = "WHEN",
        display_order = 900
    )]
    pub color: Colour,
    #[command(flatten)]
    pub access: Access,
}

/// The whole command line, named as the user calls it.
#[must_use]
pub fn command(program: &'static str) -> Command {
    let root = <GlobalOptions as clap::Args>::augment_args(Command::new("kubectl-skoop"))
        .display_name("kubectl-skoop")
        .bin_name(program)
        .version(env!("CARGO_PKG_VERSION"))
        .about("Finds network faults in Kubernetes and Linux, proves them, and shows where packets and time are lost")
        .after_help(
            "Exit codes: 0 healthy or done, 1 a fault was found, 2 wrong usage, or what was named is not there, \
             3 could not look or not enough was seen.",
        )
        .subcommand_required(true)
        .arg_required_else_help(true)
        .disable_help_subcommand(true)
        .infer_long_args(false)
        .max_term_width(120);
    COMMANDS
        .iter()
        .fold(root, |root, entry| root.subcommand((entry.command)()))
}
