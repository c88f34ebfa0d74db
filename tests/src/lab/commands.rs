//! Commands in a lab: any inside one of its namespaces, and the program under test beside them.
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use anyhow::Result;

use super::{Lab, inside};
use crate::process::{LabProcess, Listeners, listening};
use crate::skoop::{self, SkoopRun};

impl Lab {
    /// Starts a shell command in a namespace, with `beside` as its working directory.
    pub fn start(&self, name: &str, command: &str, beside: &Path) -> Result<LabProcess> {
        self.start_in(Some(self.netns(name)?), command, beside)
    }

    /// Runs a shell command in a namespace to its end, which must be a good one.
    pub fn run(&self, name: &str, command: &str, within: Duration) -> Result<String> {
        self.start(name, command, Path::new("/"))?.finish(within)
    }

    /// Runs `kubectl-skoop ARGUMENTS --local -o json`, with the names of the lab's namespaces in braces filled in.
    pub fn diagnose(&self, arguments: &str, beside: &Path) -> Result<SkoopRun> {
        let directory = self.directory();
        let recording = directory.join("recording");
        // Keeping all that helpers say costs time, which a busy machine may not have.
        let record = match std::env::var_os("SKOOP_REPLAY") {
            Some(_) => format!(" --record {}", recording.display()),
            None => String::new(),
        };
        let command = self.diagnosis(arguments, &format!(" -o json{record}"))?;
        let run = skoop::watched(&command, &directory, |line| self.start_in(None, line, beside))?;
        Ok(SkoopRun {
            recording: recording.is_file().then_some(recording),
            ..run
        })
    }

    /// The shell command of a run of `kubectl-skoop`, as a person would type it.
    pub fn diagnosis(&self, arguments: &str, more: &str) -> Result<String> {
        let asked = self.asked(arguments)?;
        Ok(format!("{} {asked} --local{more}", skoop::binary()?.display()))
    }

    /// Arguments with the real names of namespaces.
    pub fn asked(&self, arguments: &str) -> Result<String> {
        let mut text = arguments.trim().to_owned();
        for name in self.names() {
            text = text.replace(&format!("{{{name}}}"), &format!("netns/{}", self.netns(name)?));
        }
        Ok(text)
    }

    /// Starts `/bin/sh -c command` in a namespace by its real name (none: this one) with the built-in servers on PATH.
    fn start_in(&self, netns: Option<String>, command: &str, beside: &Path) -> Result<LabProcess> {
        let bin = self.directory().join("bin");
        let own = std::env::var("PATH").unwrap_or_default();
        let helper = skoop::helper_directory()
            .map(|directory| directory.display().to_string())
            .unwrap_or_default();
        let system = "/usr/local/sbin:/usr/sbin:/sbin";
        let path = format!("{}:{own}:{system}:{helper}:{}", bin.display(), beside.display());
        let mut program = Command::new(bin.join("lab"));
        program
            .args([
                Path::new("in"),
                &self.directory(),
                Path::new(netns.as_deref().unwrap_or("-")),
                Path::new(if self.kept() { "stays" } else { "dies" }),
                Path::new(command),
            ])
            .env("PATH", path)
            .env("LAB", self.directory())
            .current_dir(beside);
        let listeners = netns.map(|netns| -> Listeners { Box::new(move || inside(&netns, listening)) });
        let process = LabProcess::spawn(program, command, &self.directory().join("log"), listeners)?;
        Ok(process.left(self.kept()))
    }
}
