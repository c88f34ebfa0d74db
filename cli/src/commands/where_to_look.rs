//! Where to look: the options that all commands share which need a site.

use super::CommandContext;
use crate::conversation::session::Session;
use crate::exit::Usage;
use crate::inquiry::known_ends::KnownEnds;
use crate::inquiry::named_end::Grammar;
use crate::interrupt::Interrupt;
use crate::recording::{OpenRecording, Recorder};
use crate::render::progress::ProgressLine;
use crate::site::cluster::HelperOptions;
use crate::site::{Beginning, Site};
use anyhow::{Result, anyhow};
use k8s_openapi::api::batch::v1::Job;
use std::future::Future;
use std::path::PathBuf;
use std::time::Duration;

/// Without one of these nothing can be attached or entered (capabilities(7)).
const NEEDED: [&str; 2] = ["CAP_SYS_ADMIN", "CAP_NET_ADMIN"];

/// Where to look.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = "Where to look")]
pub struct SiteOptions {
    /// Look at this machine, as one node
    #[arg(long)]
    local: bool,
    /// Use this helper instead of the one built in
    #[arg(long, value_name = "PATH")]
    helper: Option<PathBuf>,
    /// Keep all that the helper says in a file of its owner's alone: it may hold secrets
    #[arg(long, value_name = "FILE", conflicts_with = "replay")]
    record: Option<PathBuf>,
    /// Keep the text to send in it, too, and not only its length and hash
    #[arg(long, requires = "record")]
    record_payloads: bool,
    /// Take what was kept in a file, instead of looking
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
            .map(|file| Recorder::create(file, &asked(&context.arguments), ends, self.record_payloads))
            .transpose()?;
        let recording = OpenRecording::by(recorder.clone());
        // What was said before is soon said again.
        let interrupt = if self.replay.is_some() {
            Interrupt::never()
        } else {
            Interrupt::listen()
        };
        let links = site.helpers(&Beginning {
            ends,
            window,
            recorder: recorder.as_ref(),
            interrupt: &interrupt,
        })?;
        let mut session = Session::begin(links, interrupt, ProgressLine::new());
        if let Ok(inventory) = ends.inventory.get() {
            let nodes = inventory.nodes.iter();
            session.state.kernels.beside(nodes.map(|node| node.boot_id.clone()));
        }
        let doubt = site.doubt().map(|doubt| doubt.missing.clone());
        session.state.evidence.missing.extend(doubt);
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
        let asked = asked(&context.arguments);
        if let Some(file) = &self.replay {
            return Site::recording(file.clone(), &asked);
        }
        if !self.local {
            let cluster = context.access.connect().await?;
            return Ok(Site::cluster(cluster, self.helpers.clone(), self.verbose));
        }
        match context.access.given() {
            Some(option) => Err(Usage::error(format!(
                "--local looks at this machine, and {option} is about a cluster; leave one of them out"
            ))),
            None => Ok(Site::local(self.helper.clone(), self.verbose)),
        }
    }
}

/// The helpers may look, or a message that says how to let them.
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
fn asked(arguments: &[String]) -> Vec<String> {
    const WITH_VALUE: [&str; 18] = [
        "--image",
        "--image-pull-policy",
        "--image-pull-secret",
        "--helper-namespace",
        "--kubeconfig",
        "--context",
        "--cluster",
        "--user",
        "--as",
        "--as-group",
        "--request-timeout",
        "--evidence",
        "--helper",
        "--record",
        "--replay",
        "--color",
        "-o",
        "--output",
    ];
    const ALONE: [&str; 6] = [
        "--local",
        "-v",
        "--verbose",
        "--privileged",
        "--inject",
        "--record-payloads",
    ];
    let mut kept = Vec::new();
    let mut arguments = arguments.iter();
    while let Some(argument) = arguments.next() {
        let name = argument.split_once('=').map_or(argument.as_str(), |(name, _)| name);
        if WITH_VALUE.contains(&name) {
            if name == argument {
                arguments.next();
            }
        } else if !ALONE.contains(&name) && !name.starts_with("-o") {
            kept.push(argument.clone());
        }
    }
    kept
}

/// Runs what waits for helpers. The work stays on this thread; what talks with helpers and with the cluster has one of
/// its own, so that a terminal that takes no output silences nobody, and a work that failed is still cleaned up after.
pub fn block_on<T>(work: impl Future<Output = Result<T>>) -> Result<T> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()?
        .block_on(work)
}

#[cfg(test)]
mod tests {
    use super::asked;

    #[test]
    fn the_question_is_the_same_wherever_it_is_asked_and_however_it_is_printed() {
        let words = |text: &str| text.split(' ').map(str::to_owned).collect::<Vec<_>>();
        let question = "diagnose pod-to-pod netns/a netns/c:80 --attempts 6";
        for with in [
            "--local -o json --record x",
            "--replay=x -ojson",
            "--helper h --color never -v",
        ] {
            assert_eq!(asked(&words(&format!("{question} {with}"))), words(question));
        }
    }
}
