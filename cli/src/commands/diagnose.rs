//! `diagnose`: what is wrong between two ends, and how that is known.

use super::one_end_options::{NamespaceOptions, OneEndAsked, OneEndOptions};
use super::reach_options::{DiagnosisOptions, ReachOptions, lookup};
use super::site_options::block_on;
use super::surroundings::SiteSurroundings;
use super::{CliCommand, CommandContext};
use crate::evidence::gathering::gather;
use crate::exit::Exit;
use crate::inquiry::question::{Inquiry, Via};
use crate::recording::OpenRecording;
use crate::site::Site;
use crate::{one_end, private_file, render, report};
use anyhow::{Context as _, Result};
use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{Args, Subcommand};
use model::evidence::Intent;
use model::missing::Missing;
use model::report::{Conclusion, OneEndReport, Report, Timing};
use std::ffi::OsString;
use std::io::Write as _;
use std::path::Path;
use std::time::Duration;
use tokio::time::Instant;

/// Find out what is wrong with a pod, or between two ends, and prove it
///
/// With one end, its own traffic is watched and nothing is sent. With two ends, a few real packets are sent from one to the other.
/// You may leave out the kind of question, such as pod, pod-to-pod or dns. What the ends are then decides it.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # What is wrong with pod web-1? Watch its own traffic for ten seconds
  kubectl skoop diagnose web-1
  # Can pod web-1 reach port 5432 of pod or service db, and if not, why?
  kubectl skoop diagnose web-1 db:5432
  # Does a name resolve for a pod of deployment web?
  kubectl skoop diagnose dns deploy/web api.default.svc.cluster.local
  # On the node itself, without a cluster: can netns a reach port 80 of netns c?
  sudo kubectl-skoop diagnose pod-to-pod netns/a netns/c:80 --local")]
pub struct Diagnose {
    #[command(subcommand)]
    what: QuestionKind,
}

#[derive(Debug, Subcommand)]
enum QuestionKind {
    /// What is wrong with this pod, whoever it talks to?
    ///
    /// Sends nothing. Watches the pod's own traffic for a while, finds the conversations that suffer, and names the cause of each.
    #[command(after_help = "Examples:
  kubectl skoop diagnose pod web-7c9
  # All pods of a deployment, on all their nodes, for half a minute
  kubectl skoop diagnose pod deploy/web --for 30s
  sudo kubectl-skoop diagnose pod netns/a --local --for 10s")]
    Pod(OneEndOptions),
    /// What is wrong with the pods of this node?
    #[command(after_help = "Examples:
  kubectl skoop diagnose node n1
  sudo kubectl-skoop diagnose node host --local")]
    Node(OneEndOptions),
    /// What is wrong with the pods behind this service?
    #[command(after_help = "Examples:
  kubectl skoop diagnose service db --for 30s")]
    Service(OneEndOptions),
    /// What is wrong with the pods of this namespace?
    #[command(after_help = "Examples:
  kubectl skoop diagnose namespace shop --for 30s
  # The namespace of the context
  kubectl skoop diagnose namespace")]
    Namespace(NamespaceOptions),
    /// Can one end reach the other?
    ///
    /// Sends a few real packets from inside the source. Follows them hop by hop through the kernel, and names the cause.
    #[command(after_help = "Examples:
  kubectl skoop diagnose pod-to-pod web-1 shop/db-0:5432
  kubectl skoop diagnose pod-to-pod deploy/web sts/db:pg --http /healthz
  # Start nothing in the cluster, answer only from what the API says
  kubectl skoop diagnose pod-to-pod web-1 db-0 --no-helper
  sudo kubectl-skoop diagnose pod-to-pod pid/4711 10.90.2.2:53 --protocol udp --local -o json
  # Wait for a fault that comes and goes
  sudo kubectl-skoop diagnose pod-to-pod netns/a netns/c:80 --for 10m --until-fault --local")]
    PodToPod(ReachOptions),
    /// Can a pod reach a service?
    ///
    /// Looks at the service, its endpoints, the source node's rules for the service's address, and the pods behind it.
    #[command(after_help = "Examples:
  kubectl skoop diagnose pod-to-service web-1 db:5432
  kubectl skoop diagnose pod-to-service web-1 shop/db:pg --via nodeport")]
    PodToService(PodToServiceOptions),
    /// Can a pod reach a node?
    #[command(after_help = "Examples:
  kubectl skoop diagnose pod-to-node web-1 n2
  kubectl skoop diagnose pod-to-node web-1 n2 --protocol icmp")]
    PodToNode(ReachOptions),
    /// Can a pod reach something outside the cluster?
    #[command(after_help = "Examples:
  kubectl skoop diagnose pod-to-external web-1 api.example.com:443
  kubectl skoop diagnose pod-to-external web-1 203.0.113.10:80 --http /")]
    PodToExternal(ReachOptions),
    /// Does a name resolve?
    ///
    /// Looks the name up like the source's own programs: with the source's resolv.conf, search list and ndots.
    #[command(after_help = "Examples:
  kubectl skoop diagnose dns web-1 api.example.com
  # DNS fails now and then: wait for it
  kubectl skoop diagnose dns web-1 api.example.com --for 10m --until-fault
  sudo kubectl-skoop diagnose dns netns/a api.default.svc.cluster.local --local
  sudo kubectl-skoop diagnose dns pid/4711 example.com -4 --local")]
    Dns(LookupOptions),
    /// Can a node reach a pod?
    #[command(after_help = "Examples:
  kubectl skoop diagnose node-to-pod n1 shop/db-0:5432")]
    NodeToPod(ReachOptions),
    /// A question without its kind: what the two ends are decides it.
    #[command(name = BETWEEN, hide = true, override_usage = "kubectl-skoop diagnose [OPTIONS] <SOURCE> <DESTINATION>")]
    Between(ReachOptions),
    /// The same of one end.
    #[command(name = ALONE, hide = true, override_usage = "kubectl-skoop diagnose [OPTIONS] <TARGET>")]
    Alone(OneEndOptions),
}

/// What nobody types: the questions about two ends and about one whose kind was left out.
pub const BETWEEN: &str = "between";
/// The same of one end.
pub const ALONE: &str = "alone";

/// The arguments of a question whose kind was left out, with the words for it: where none is known by the word that was
/// taken for one.
#[must_use]
pub fn with_kind(arguments: &[OsString], error: &clap::Error) -> Option<[Vec<OsString>; 2]> {
    let may_be = matches!(
        error.kind(),
        ErrorKind::InvalidSubcommand | ErrorKind::UnknownArgument | ErrorKind::MissingSubcommand
    );
    let place = arguments.iter().position(|word| word == Diagnose::NAME)? + 1;
    let typed = arguments.get(place)?.to_string_lossy();
    let slip = error
        .get(ContextKind::SuggestedSubcommand)
        .is_some_and(|like| match like {
            ContextValue::Strings(words) => words.iter().any(|word| is_slip(&typed, word)),
            ContextValue::String(word) => is_slip(&typed, word),
            _ => false,
        });
    if !may_be || slip || place >= arguments.len() {
        return None;
    }
    Some([BETWEEN, ALONE].map(|kind| {
        let mut with = arguments.to_vec();
        with.insert(place, kind.into());
        with
    }))
}

/// A kind of question was meant and misspelt, not a pod of a like name.
fn is_slip(typed: &str, kind: &str) -> bool {
    let hidden = [BETWEEN, ALONE].contains(&kind);
    !hidden && strsim::jaro_winkler(typed, kind) > 0.85
}

#[derive(Debug, Args)]
struct PodToServiceOptions {
    /// Which address of the service to use
    #[arg(long, value_enum, default_value_t, value_name = "ADDRESS")]
    via: Via,
    #[command(flatten)]
    reach: ReachOptions,
}

#[derive(Debug, Args)]
struct LookupOptions {
    /// The end that asks.
    #[arg(help = "The end that asks: [KIND/][NAMESPACE/]NAME. With --local: netns/NAME, pid/N, container/ID or host")]
    source: String,
    /// The name to look up
    name: String,
    #[command(flatten)]
    how: DiagnosisOptions,
}

impl CliCommand for Diagnose {
    const NAME: &'static str = "diagnose";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        let (inquiry, how) = match self.asked()? {
            Asked::Path(inquiry, how) => (*inquiry, *how),
            Asked::OneEnd(asked) => return one_end(&asked, context),
        };
        let Some((report, recording)) = block_on(answer(inquiry, &how, context))? else {
            return Ok(Exit::Fine);
        };
        render::report(&report, how.output, context.colour)?;
        Ok(recording.end(exit(report.outcome)))
    }
}

const fn exit(outcome: Conclusion) -> Exit {
    match outcome {
        Conclusion::Healthy => Exit::Fine,
        Conclusion::Fault => Exit::Fault,
        Conclusion::Inconclusive => Exit::Inconclusive,
    }
}

/// What is to be found out, and how.
enum Asked {
    /// Between two ends.
    Path(Box<Inquiry>, Box<DiagnosisOptions>),
    /// About one.
    OneEnd(Box<OneEndAsked>),
}

impl Diagnose {
    /// The report alone.
    pub fn reported(self, context: &CommandContext) -> Result<Option<Report>> {
        let Asked::Path(inquiry, how) = self.asked()? else {
            return Ok(None);
        };
        let (inquiry, how) = (*inquiry, *how);
        let answer = block_on(answer(inquiry, &how, context))?;
        Ok(answer.map(|(report, _)| report))
    }

    /// What is to be found out, and how.
    fn asked(self) -> Result<Asked> {
        let path = |inquiry, how| Ok(Asked::Path(Box::new(inquiry), Box::new(how)));
        let one_end = |asked: OneEndOptions, intent| Ok(Asked::OneEnd(Box::new(asked.asked(intent)?)));
        let (intent, asked) = match self.what {
            QuestionKind::Pod(asked) => return one_end(asked, Some(Intent::Pod)),
            QuestionKind::Node(asked) => return one_end(asked, Some(Intent::Node)),
            QuestionKind::Service(asked) => return one_end(asked, Some(Intent::Service)),
            QuestionKind::Namespace(asked) => return Ok(Asked::OneEnd(Box::new(asked.asked()?))),
            QuestionKind::Alone(asked) => return one_end(asked, None),
            QuestionKind::Dns(asked) => return path(lookup(&asked.source, &asked.name, &asked.how)?, asked.how),
            QuestionKind::PodToService(PodToServiceOptions { via, reach }) => {
                let mut inquiry = reach.inquiry(Some(Intent::PodToService))?;
                inquiry.via = via;
                return path(inquiry, reach.how);
            }
            QuestionKind::PodToPod(asked) => (Some(Intent::PodToPod), asked),
            QuestionKind::PodToNode(asked) => (Some(Intent::PodToNode), asked),
            QuestionKind::PodToExternal(asked) => (Some(Intent::PodToExternal), asked),
            QuestionKind::NodeToPod(asked) => (Some(Intent::NodeToPod), asked),
            QuestionKind::Between(asked) => (None, asked),
        };
        path(asked.inquiry(intent)?, asked.how)
    }
}

/// Watches one end, judges what suffers, and prints the answer.
fn one_end(asked: &OneEndAsked, context: &CommandContext) -> Result<Exit> {
    let Some((report, recording)) = block_on(look(asked, context))? else {
        return Ok(Exit::Fine);
    };
    render::one_end(&report, asked.output, asked.all, context.colour)?;
    Ok(recording.end(exit(report.outcome)))
}

async fn look(asked: &OneEndAsked, context: &CommandContext) -> Result<Option<(OneEndReport, OpenRecording)>> {
    let started = Instant::now();
    let site = asked.place.site(context).await?;
    let (question, ends) = asked.ends(&site).await?;
    let longest = question.length + MARGIN;
    if let Some(jobs) = asked.place.dry_run(&site, &ends, longest)? {
        render::manifests(&jobs)?;
        return Ok(None);
    }
    let (mut session, recording) = asked.place.begin(context, &site, &ends, longest)?;
    let timing = Timing {
        total_ms: started.elapsed().as_millis() as u64,
        ..Timing::default()
    };
    if let Some(report) = one_end::by_api(&question, &ends, timing) {
        session.progress.clear();
        return Ok(Some((believed(report, &site), recording)));
    }
    session.hello().await?;
    super::site_options::check(context, &site, &session)?;
    let hello_ms = started.elapsed().as_millis() as u64;
    let target = ends.source.clone();
    let around = SiteSurroundings::of(&site, session.interrupt(), recording.recorder())?;
    let triage = Box::pin(one_end::watch(&mut session, &question, ends, &around)).await?;
    let judging = Instant::now();
    session.dismiss().await;
    let target = if target.netns.is_none() && triage.targets.len() == 1 {
        triage.targets[0].clone()
    } else {
        target
    };
    let [facts, armed, window, after] = triage.stages.map(|stage| stage.as_millis() as u64);
    let timing = Timing {
        hello_ms,
        facts_ms: facts,
        armed_ms: armed,
        window_ms: window,
        ..Timing::default()
    };
    let seen = std::mem::take(&mut session.state.evidence);
    let suffering = one_end::questions(&triage, &seen);
    if let Some(file) = &asked.evidence {
        let given: Vec<_> = suffering.iter().map(|one| &one.evidence).collect();
        keep(file, &given)?;
    }
    let mut report = one_end::answer(&question, target, &triage, &suffering, seen, timing);
    report.timing.verdict_ms = after + judging.elapsed().as_millis() as u64;
    report.timing.total_ms = started.elapsed().as_millis() as u64;
    session.progress.clear();
    Ok(Some((believed(report, &site), recording)))
}

/// The report, as far as its recording can be believed.
fn believed(mut report: OneEndReport, site: &Site) -> OneEndReport {
    if let Some(headline) = changed(site) {
        (report.outcome, report.headline) = (Conclusion::Inconclusive, headline);
    }
    report
}

/// A recording that is not as it was written tells nothing; then what is said instead.
fn changed(site: &Site) -> Option<String> {
    let doubt = site.doubt().filter(|doubt| doubt.changed)?;
    Some(format!("cannot tell: {}", doubt.missing.why))
}

/// For all that is read around the window of one end.
const MARGIN: Duration = Duration::from_secs(30);

/// Writes what the rules were given into a file.
fn keep(file: &Path, evidence: &impl serde::Serialize) -> Result<()> {
    let write = || anyhow::Ok(private_file::create(file)?.write_all(&serde_json::to_vec(evidence)?)?);
    write().with_context(|| format!("writing the evidence to {}", file.display()))
}

/// Asks, looks and judges; nothing where only the manifests of what would be started are wanted.
async fn answer(
    mut inquiry: Inquiry,
    how: &DiagnosisOptions,
    context: &CommandContext,
) -> Result<Option<(Report, OpenRecording)>> {
    let started = Instant::now();
    let site = how.place.site(context).await?;
    let ends = site.ends(&mut inquiry).await?;
    let window = inquiry.question.longest();
    if let Some(jobs) = how.place.dry_run(&site, &ends, window)? {
        render::manifests(&jobs)?;
        return Ok(None);
    }
    let (mut session, recording) = how.place.begin(context, &site, &ends, window)?;
    let known_anyway = ends.inventory.ok().is_some();
    if !ends.nodes.is_empty() {
        match session.hello().await {
            Ok(()) => super::site_options::check(context, &site, &session)?,
            // What the API says may be an answer by itself.
            Err(error) if known_anyway => {
                let missing = Missing::new("what happens on the nodes", format!("{error:#}"));
                session.state.evidence.missing.push(missing);
            }
            Err(error) => return Err(error),
        }
    }
    let (evidence, timing) = gather(&mut session, &inquiry.question, ends, started).await?;
    if let Some(file) = &how.evidence {
        keep(file, &evidence)?;
    }
    let judging = Instant::now();
    let mut report = report::of(evidence, timing);
    report.timing.verdict_ms += judging.elapsed().as_millis() as u64;
    report.timing.total_ms = started.elapsed().as_millis() as u64;
    if let Some(headline) = changed(&site) {
        (report.outcome, report.headline) = (Conclusion::Inconclusive, headline);
    }
    session.progress.clear();
    Ok(Some((report, recording)))
}
