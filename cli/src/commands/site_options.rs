//! The options that say where to look, shared by all commands that need a site.

use super::CommandContext;
use super::command_line::{TYPED, command};
use super::sink_options;
use crate::conversation::looks::Looks;
use crate::conversation::session::Session;
use crate::exit::WrongUsage;
use crate::inquiry::known_ends::KnownEnds;
use crate::inquiry::named_end::Grammar;
use crate::interrupt::Interrupt;
use crate::kubernetes::cluster;
use crate::recording::{Note, OpenRecording, Recorder};
use crate::render::progress::ProgressLine;
use crate::site::cluster::HelperOptions;
use crate::site::{self, Beginning, Site};
use anyhow::{Result, anyhow};
use clap::{Arg, Command};
use k8s_openapi::api::batch::v1::Job;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

/// The options that say where to look stand under this in the help.
const HEADING: &str = "Where to look";
/// All options under these headings say where to look, or where to what was seen is given ...
const WHERE_HEADINGS: [&str; 4] = [HEADING, cluster::HEADING, site::cluster::HEADING, sink_options::HEADING];
/// ... and, by their ids, a few that also change what is found out: they are part of the question.
const OF_THE_QUESTION: [&str; 3] = ["namespace", "no_helper", "dry_run"];
/// The ids of options that only say how the answer is printed or kept.
const OF_THE_PRINT: [&str; 3] = ["color", "output", "evidence"];
/// Without one of these nothing can be attached or entered (capabilities(7)).
const NEEDED: [&str; 2] = ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"];

/// Where to look.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = HEADING)]
pub struct SiteOptions {
    /// Look at this machine as one node, without a cluster
    #[arg(long)]
    local: bool,
    /// On this machine: use this helper program instead of the built-in one
    #[arg(long, value_name = "PATH")]
    helper: Option<PathBuf>,
    /// Write all that the helpers say into this file. Only its owner can read it; it may hold secrets
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Record the text to send too, not only its length and hash
    #[arg(long, requires = "record")]
    record_payloads: bool,
    /// Answer from this recording instead of looking. The question must be the same
    #[arg(long, value_name = "FILE")]
    replay: Option<PathBuf>,
    /// Show the helper's own messages on stderr
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    helpers: HelperOptions,
}

impl SiteOptions {
    /// This machine, whatever was asked: for questions about its kernel alone.
    pub fn this_machine(mut self) -> Self {
        self.local = true;
        self
    }

    /// Begins a conversation with the helpers of the nodes that matter, which may take so long.
    pub fn begin(
        &self,
        context: &CommandContext,
        site: &Site,
        ends: &KnownEnds,
        window: Duration,
    ) -> Result<(Session, OpenRecording)> {
        let recorder = self
            .record
            .as_ref()
            .map(|file| Recorder::create(file, &question(&context.arguments), ends, self.record_payloads))
            .transpose()?;
        let recording = OpenRecording::by(recorder.clone());
        // A replay is over so soon that nobody needs to interrupt it.
        let interrupt = if self.replay.is_some() {
            Interrupt::never()
        } else {
            Interrupt::listen()
        };
        let mut session = session_with(
            site,
            &Beginning {
                ends,
                window,
                recorder: recorder.as_ref(),
                interrupt: &interrupt,
            },
        )?;
        session.looks = match site.notes(Note::Looks)? {
            Some(looks) => Looks::Then(looks),
            None => Looks::Now(recorder),
        };
        Ok((session, recording))
    }

    /// What would be started, where that is all that is wanted.
    pub fn dry_run(&self, site: &Site, ends: &KnownEnds, window: Duration) -> Result<Option<Vec<Job>>> {
        let jobs = self.helpers.dry_run.then(|| {
            site.manifests(&Beginning {
                ends,
                window,
                recorder: None,
                interrupt: &Interrupt::listen(),
            })
        });
        jobs.transpose()
    }

    /// It says where to look, or where to keep what is seen.
    pub fn given(&self) -> bool {
        self.local || self.record.is_some() || self.replay.is_some()
    }

    /// What helpers say is kept in a file.
    pub const fn records(&self) -> bool {
        self.record.is_some()
    }

    /// What names mean here.
    pub fn grammar(&self) -> Grammar {
        match &self.replay {
            Some(_) => Grammar::Recorded,
            None if self.local => Grammar::Machine,
            None => Grammar::Cluster,
        }
    }

    /// Where to look.
    pub async fn site(&self, context: &CommandContext) -> Result<Site> {
        let asked = question(&context.arguments);
        if let Some(file) = &self.replay {
            return Site::recording(file.clone(), &asked);
        }
        if !self.local {
            let cluster = context.access.connect().await?;
            return Ok(Site::cluster(cluster, self.helpers.clone(), self.verbose));
        }
        match context.access.given() {
            Some(option) => Err(WrongUsage::error(format!(
                "--local looks at this machine, and {option} is about a cluster; leave one of them out"
            ))),
            None => Ok(Site::local(self.helper.clone(), self.verbose)),
        }
    }
}

/// A conversation with the helpers of a site, which has greeted nobody yet.
pub fn session_with(site: &Site, beginning: &Beginning<'_>) -> Result<Session> {
    let links = site.helpers(beginning)?;
    let mut session = Session::begin(links, beginning.interrupt.clone(), ProgressLine::new());
    if let Ok(inventory) = beginning.ends.inventory.get() {
        let nodes = inventory.nodes.iter();
        session.state.kernels.beside(nodes.map(|node| node.boot_id.clone()));
    }
    let doubt = site.doubt().map(|doubt| doubt.missing.clone());
    session.state.evidence.missing.extend(doubt);
    Ok(session)
}

/// An error, with the way out, where a helper lacks a capability.
pub fn check(context: &CommandContext, site: &Site, session: &Session) -> Result<()> {
    for hello in session.state.nodes.iter().filter_map(|node| node.hello.as_ref()) {
        let lacking: Vec<&str> = NEEDED
            .into_iter()
            .filter(|needed| !hello.capabilities.iter().any(|has| has == needed))
            .collect();
        if !lacking.is_empty() {
            return Err(anyhow!(
                "looking into the kernel of {} needs {}; {}",
                hello.node,
                lacking.join(" and "),
                site.privileges_hint(context.program)
            ));
        }
    }
    Ok(())
}

/// The arguments that make the question, without those that say where to look and how to print.
fn question(arguments: &[String]) -> Vec<String> {
    let command = command(TYPED);
    let left_out = options_beside_the_question(&command);
    let mut kept = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        match left_out.iter().find_map(|option| value_behind(option, argument)) {
            Some(true) => drop(arguments.next()),
            Some(false) => {}
            None => kept.push(argument.clone()),
        }
    }
    kept
}

/// The options of a command line that say where to look or how to print, of all its subcommands.
fn options_beside_the_question(command: &Command) -> Vec<&Arg> {
    let where_or_how = |option: &&Arg| {
        let id = option.get_id().as_str();
        let says_where = option
            .get_help_heading()
            .is_some_and(|heading| WHERE_HEADINGS.contains(&heading));
        (says_where && !OF_THE_QUESTION.contains(&id)) || OF_THE_PRINT.contains(&id)
    };
    let own = command.get_arguments().filter(where_or_how);
    own.chain(command.get_subcommands().flat_map(options_beside_the_question))
        .collect()
}

/// Whether the next argument is the value of this option; nothing where the argument is not this option.
fn value_behind(option: &Arg, argument: &str) -> Option<bool> {
    let takes_value = option.get_action().takes_values();
    let name = argument.split_once('=').map_or(argument, |(name, _)| name);
    let long = option
        .get_long()
        .is_some_and(|long| name.strip_prefix("--") == Some(long));
    let short = option.get_short().map(|letter| format!("-{letter}"));
    // The value of a short option may stand right behind its letter.
    let short = short.is_some_and(|short| name == short || (takes_value && argument.starts_with(&short)));
    let has_its_value = name.len() < argument.len() || (short && argument.len() > 2) || option.is_require_equals_set();
    (long || short).then_some(takes_value && !has_its_value)
}

/// Runs what waits for helpers. The work stays on this thread; the tasks that exchange with helpers and the cluster have one of
/// their own, so that a terminal that takes no output blocks none of them, and a work that failed is still cleaned up after.
pub fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(work)
}

#[cfg(test)]
mod tests {
    use super::question;

    fn words(text: &str) -> Vec<String> {
        text.split(' ').map(str::to_owned).collect()
    }

    #[test]
    fn the_question_is_the_same_wherever_it_is_asked_and_however_it_is_printed() {
        let asked = "diagnose pod-to-pod netns/a netns/c:80 --attempts 6";
        for with in [
            "--local -o json --record x",
            "--replay=x -ojson",
            "--helper h --color never -v",
            "--image i --image-pull-policy Never --image-pull-secret s --helper-namespace n --privileged --inject=i",
            "--kubeconfig k --context c --cluster c --user u --as a --as-group g --request-timeout 5s",
            "--to loki=https://host --bearer-from loki=token --to=stdout",
            "--evidence e --record=x --record-payloads --verbose --output yaml",
        ] {
            assert_eq!(question(&words(&format!("{asked} {with}"))), words(asked));
        }
    }

    #[test]
    fn what_changes_the_answer_is_part_of_the_question() {
        for asked in [
            "diagnose pod-to-service web db -n shop --via nodeport --no-helper",
            "capture --netns a --node n1 --namespace shop --dry-run",
        ] {
            assert_eq!(question(&words(asked)), words(asked));
        }
    }
}
