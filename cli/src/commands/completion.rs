//! `completion`: shell completions, to be sourced or put where the shell looks for them.

use super::command_line::{TYPED, command};
use super::{CliCommand, CommandContext};
use crate::exit::Exit;
use crate::render;
use anyhow::Result;
use clap::{Args, Command};
use clap_complete::Shell;

/// The script by which kubectl completes `kubectl skoop` (it looks for `kubectl_complete-skoop` on PATH).
pub const KUBECTL: &str = "#!/bin/sh\nexec kubectl-skoop __complete \"$@\"\n";

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  source <(kubectl-skoop completion bash)
  kubectl-skoop completion zsh > \"${fpath[1]}/_kubectl-skoop\"
  kubectl-skoop completion fish > ~/.config/fish/completions/kubectl-skoop.fish
  # For `kubectl skoop`: put the script into a folder of PATH, under this name
  kubectl-skoop completion kubectl > kubectl_complete-skoop && chmod +x kubectl_complete-skoop")]
pub struct Completion {
    /// The shell. `kubectl` prints the script with which kubectl completes `kubectl skoop`
    #[arg(value_enum)]
    shell: ScriptShell,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum ScriptShell {
    Bash,
    Zsh,
    Fish,
    #[value(name = "powershell")]
    PowerShell,
    Kubectl,
}

impl CliCommand for Completion {
    const NAME: &'static str = "completion";

    fn run(self, _context: &CommandContext) -> Result<Exit> {
        let text = match self.shell {
            ScriptShell::Bash => script(Shell::Bash),
            ScriptShell::Zsh => script(Shell::Zsh),
            ScriptShell::Fish => script(Shell::Fish),
            ScriptShell::PowerShell => script(Shell::PowerShell),
            ScriptShell::Kubectl => KUBECTL.to_owned(),
        };
        render::script(&text)?;
        Ok(Exit::Fine)
    }
}

/// The script of a shell.
#[must_use]
pub fn script(shell: Shell) -> String {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut without_hidden(&command(TYPED)), TYPED, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}

/// The command line without hidden commands and options, of which `clap_complete` leaves out some for some shells.
fn without_hidden(whole: &Command) -> Command {
    let mut shown = Command::new(whole.get_name().to_owned())
        .subcommand_required(whole.is_subcommand_required_set())
        .disable_help_subcommand(whole.is_disable_help_subcommand_set())
        .disable_help_flag(whole.is_disable_help_flag_set())
        .disable_version_flag(whole.is_disable_version_flag_set())
        .args(whole.get_arguments().filter(|arg| !arg.is_hide_set()).cloned());
    if let Some(about) = whole.get_about() {
        shown = shown.about(about.clone());
    }
    if let Some(about) = whole.get_long_about() {
        shown = shown.long_about(about.clone());
    }
    if let Some(version) = whole.get_version() {
        shown = shown.version(version.to_owned());
    }
    let subcommands = whole.get_subcommands().filter(|sub| !sub.is_hide_set());
    shown.subcommands(subcommands.map(without_hidden))
}

#[cfg(test)]
mod tests {
    use super::{TYPED, command, script};
    use clap::Command;
    use clap_complete::Shell;
    use std::collections::BTreeSet;

    /// The names of all commands at any depth that fit.
    fn names(of: &Command, fits: &dyn Fn(&Command) -> bool) -> Vec<String> {
        let own = of
            .get_subcommands()
            .filter(|sub| fits(sub))
            .map(|sub| sub.get_name().to_owned());
        own.chain(of.get_subcommands().flat_map(|sub| names(sub, fits)))
            .collect()
    }

    fn hidden_options(of: &Command) -> Vec<String> {
        let own = of
            .get_arguments()
            .filter(|arg| arg.is_hide_set())
            .filter_map(|arg| arg.get_long());
        let own: Vec<String> = own.map(str::to_owned).collect();
        own.into_iter()
            .chain(of.get_subcommands().flat_map(hidden_options))
            .collect()
    }

    /// Options as the scripts write them, also fish's `-l NAME`.
    fn words_of(script: &str) -> BTreeSet<String> {
        let is_mark = |letter: char| !letter.is_alphanumeric() && !"-_".contains(letter);
        let words: Vec<&str> = script.split(is_mark).filter(|word| !word.is_empty()).collect();
        let pairs = words.windows(2).map(|pair| format!("{} {}", pair[0], pair[1]));
        words.iter().map(|word| (*word).to_owned()).chain(pairs).collect()
    }

    #[test]
    fn scripts_offer_each_command_but_those_that_nobody_types() {
        let all = command(TYPED);
        let hidden = names(&all, &Command::is_hide_set);
        assert!(hidden.len() >= 2 && !hidden_options(&all).is_empty(), "{hidden:?}");
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish, Shell::PowerShell] {
            let script = script(shell);
            let words: Vec<&str> = script
                .split(|letter: char| !letter.is_alphanumeric() && !"-_".contains(letter))
                .collect();
            for shown in names(&all, &|sub| !sub.is_hide_set()) {
                assert!(words.contains(&shown.as_str()), "{shell}: {shown}");
            }
            // As a word of a sentence one of them may well stand there.
            for name in &hidden {
                let offered = [
                    format!("diagnose,{name})"),
                    format!("skoop,{name})"),
                    format!("({name})"),
                    format!("-a \"{name}\""),
                    format!("'{name}', '{name}'"),
                ];
                assert!(!offered.iter().any(|form| script.contains(form)), "{shell}: {name}");
            }
            for option in hidden_options(&all) {
                let forms = [format!("--{option}"), format!("-l {option}")];
                assert!(
                    !forms.iter().any(|form| words_of(&script).contains(form)),
                    "{shell}: --{option}"
                );
            }
        }
    }
}
