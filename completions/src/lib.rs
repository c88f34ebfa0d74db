//! Shell completions, generated from the command line and checked in beside this crate, so that packages need not run anything.
//!
//! `UPDATE=1 cargo test -p completions` writes them anew.

use clap_complete::Shell;

/// A checked-in file: its name, and how its text is made.
pub type File = (&'static str, fn() -> String);

/// Every checked-in file.
pub const FILES: [File; 5] = [
    ("kubectl-skoop.bash", || cli::completion_script(Shell::Bash)),
    ("_kubectl-skoop", || cli::completion_script(Shell::Zsh)),
    ("kubectl-skoop.fish", || cli::completion_script(Shell::Fish)),
    ("kubectl-skoop.ps1", || cli::completion_script(Shell::PowerShell)),
    ("kubectl_complete-skoop", || cli::KUBECTL_COMPLETION.to_owned()),
];

#[cfg(test)]
mod tests {
    use super::FILES;
    use std::path::Path;

    #[test]
    fn checked_in_files_are_those_of_the_command_line() {
        for (name, make) in FILES {
            let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(name);
            let wanted = make();
            if std::env::var_os("UPDATE").is_some() {
                std::fs::write(&path, &wanted).unwrap();
            }
            let there = std::fs::read_to_string(&path).unwrap_or_default();
            assert!(
                there == wanted,
                "{name} is outdated: run `UPDATE=1 cargo test -p completions`"
            );
        }
    }
}
