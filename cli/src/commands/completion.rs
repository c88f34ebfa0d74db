//! `completion`: shell completions, to be sourced or put where the shell looks for them.

use super::command_line::{TYPED, command};
use super::{CliCommand, CommandContext};
use crate::exit::Exit;
use crate::render;
use anyhow::Result;
use clap::Args;
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
    clap_complete::generate(shell, &mut command(TYPED), TYPED, &mut text);
    String::from_utf8_lossy(&text).into_owned()
}
