//! `completion`: shell completions, to be sourced or put where the shell looks for them.

use super::Run;
use crate::completion;
use crate::exit::Exit;
use crate::program::Context;
use crate::render;
use anyhow::Result;
use clap::Args;
use clap_complete::Shell;

/// Print completions for a shell
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  source <(kubectl-skoop completion bash)
  kubectl-skoop completion zsh > \"${fpath[1]}/_kubectl-skoop\"
  kubectl-skoop completion fish > ~/.config/fish/completions/kubectl-skoop.fish
  # For `kubectl skoop`, put this on PATH as kubectl_complete-skoop:
  kubectl-skoop completion kubectl")]
pub struct Completion {
    /// The shell; `kubectl` is the script by which kubectl completes `kubectl skoop`
    #[arg(value_enum)]
    shell: Kind,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Kind {
    Bash,
    Zsh,
    Fish,
    #[value(name = "powershell")]
    PowerShell,
    Kubectl,
}

impl Run for Completion {
    const NAME: &'static str = "completion";

    fn run(self, _context: &Context) -> Result<Exit> {
        let text = match self.shell {
            Kind::Bash => completion::script(Shell::Bash),
            Kind::Zsh => completion::script(Shell::Zsh),
            Kind::Fish => completion::script(Shell::Fish),
            Kind::PowerShell => completion::script(Shell::PowerShell),
            Kind::Kubectl => completion::KUBECTL.to_owned(),
        };
        render::script(&text)?;
        Ok(Exit::Fine)
    }
}
