//! The program: arguments become a command, what the command comes to becomes an exit code.

use crate::commands::{COMMANDS, CliCommand, CommandContext, Diagnose, GlobalOptions, TYPED, command, with_kind};
use crate::exit::{self, Exit};
use crate::render;
use crate::site::cluster::NAME_IT;
use anyhow::Context as _;
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{ArgMatches, FromArgMatches as _};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

/// The name by which kubectl knows it.
const AS_PLUGIN: &str = "kubectl skoop";

fn context(program: &'static str, matches: &ArgMatches, arguments: &[OsString]) -> clap::error::Result<CommandContext> {
    let global = GlobalOptions::from_arg_matches(matches)?;
    Ok(CommandContext {
        program,
        colour: global.color,
        access: global.access,
        arguments: arguments
            .iter()
            .skip(1)
            .map(|argument| argument.to_string_lossy().into_owned())
            .collect(),
    })
}

/// The report of a recorded run of `diagnose`, instead of its print: `arguments` as they were, and `--replay FILE`.
pub fn replay(arguments: &[&str]) -> anyhow::Result<model::report::Report> {
    let arguments: Vec<OsString> = core::iter::once(TYPED)
        .chain(arguments.iter().copied())
        .map(OsString::from)
        .collect();
    let matches = command(TYPED).try_get_matches_from(&arguments)?;
    let context = context(TYPED, &matches, &arguments)?;
    let diagnose = matches.subcommand_matches(<Diagnose as CliCommand>::NAME);
    let diagnose = diagnose.context("only a run of `diagnose` has a report")?;
    let report = Diagnose::from_arg_matches(diagnose)?.reported(&context)?;
    report.context("nothing was looked at")
}

/// Runs the program.
#[must_use]
pub fn main(arguments: &[OsString]) -> ExitCode {
    let program = called_as(arguments.first());
    let parse = |arguments: &[OsString]| command(program).try_get_matches_from(arguments);
    let matches = parse(arguments).or_else(|error| match with_kind(arguments, &error) {
        Some([between, alone]) => parse(&between).or_else(|error| match error.kind() {
            ErrorKind::MissingRequiredArgument => parse(&alone),
            _ => Err(error),
        }),
        None => Err(error),
    });
    let matches = match matches {
        Ok(matches) => matches,
        Err(error) => return usage(error),
    };
    let context = match context(program, &matches, arguments) {
        Ok(context) => context,
        Err(error) => return usage(error),
    };
    match run(&matches, &context) {
        Ok(exit) => exit.into(),
        Err(error) => {
            let exit = exit::of(&error);
            if render::is_broken_pipe(&error) {
                return Exit::Fine.into();
            }
            render::error(program, context.colour, &error);
            exit.into()
        }
    }
}

fn run(matches: &ArgMatches, context: &CommandContext) -> anyhow::Result<Exit> {
    let (name, matches) = matches
        .subcommand()
        .ok_or_else(|| exit::WrongUsage::error("no command was given"))?;
    let entry = COMMANDS
        .iter()
        .find(|entry| entry.name == name)
        .ok_or_else(|| exit::WrongUsage::error(format!("`{name}` is no command")))?;
    (entry.run)(matches, context)
}

/// clap's own messages: help and version are data, all else is a wrong use.
fn usage(mut error: clap::Error) -> ExitCode {
    let wrong = error.use_stderr();
    if names_no_image(&error) {
        let tip = ContextValue::StyledStrs(vec![NAME_IT.into()]);
        error.insert(ContextKind::Suggested, tip);
    }
    // Written to a closed pipe there is nobody to tell.
    let _ = error.print();
    if wrong { Exit::Usage.into() } else { Exit::Fine.into() }
}

/// It is about `--inject` without its image.
fn names_no_image(error: &clap::Error) -> bool {
    let Some(ContextValue::String(argument)) = error.get(ContextKind::InvalidArg) else {
        return false;
    };
    argument.starts_with("--inject")
        && matches!(
            error.kind(),
            ErrorKind::NoEquals | ErrorKind::InvalidValue | ErrorKind::ValueValidation
        )
}

/// kubectl looks a plugin up on PATH and starts it by the full path it found; a person types its name or the way to it.
fn called_as(own: Option<&OsString>) -> &'static str {
    let Some(own) = own.map(Path::new) else { return TYPED };
    let plugin = own
        .file_name()
        .and_then(|name| name.to_str())
        .is_some_and(|name| name.starts_with("kubectl-"));
    let on_path = own.is_absolute()
        && std::env::var_os("PATH")
            .is_some_and(|path| std::env::split_paths(&path).any(|folder| own.parent() == Some(&folder)));
    if plugin && on_path { AS_PLUGIN } else { TYPED }
}
