//! One scenario from its file to its result: ground, servers, break, run, judgement.
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::builtin;
use crate::clocks;
use crate::judge::{PrintedReport, judge};
use crate::kubernetes::cleared;
use crate::kubernetes::cluster::TestCluster;
use crate::kubernetes::stage::Stage;
use crate::kubernetes::well::Baseline;
use crate::lab::Lab;
use crate::needs;
use crate::process::LabProcess;
use crate::scenario::network::unfit;
use crate::scenario::{ExpectedOutcome, Scenario, ScenarioFile, Step, Steps};
use crate::skoop::SkoopRun;

const SERVER_READY_WITHIN: Duration = Duration::from_secs(10);
/// A node takes most of a minute to be called not ready, and a scenario may wait for that.
const STEP_WITHIN: Duration = Duration::from_mins(2);
/// How long what a scenario does `during` the run goes before it.
const HEAD_START: Duration = Duration::from_millis(500);

/// How a scenario ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OutturnClass {
    /// As expected.
    Right,
    /// Not as expected.
    Wrong,
    /// It was to be judged, and the tool did not say.
    Inconclusive,
    /// The machine lacks what it needs.
    Skipped,
    /// The scenario itself could not be made.
    Broken,
}

/// Lines of a verdict's proof that are told where it is wrong.
const PROOF_TOLD: usize = 8;

/// What came of a scenario.
#[derive(Debug)]
pub struct Outturn {
    /// The scenario's name.
    pub name: String,
    /// What it expects: a rule, or an outcome.
    pub expected: String,
    /// What it got: the first cause, an outcome, or why there is neither.
    pub got: String,
    /// The report's outcome, or `error`, `skipped`, `broken`.
    pub outcome: String,
    /// Wall time of the run.
    pub took: Duration,
    /// Where it is counted.
    pub class: OutturnClass,
    /// False accusations.
    pub false_accusations: usize,
    /// Why it is not right, and what the report said.
    pub why: Vec<String>,
}

impl Outturn {
    /// It ended without a report.
    fn end(&mut self, class: OutturnClass, word: &str, why: String) {
        self.class = class;
        self.outcome = word.into();
        self.got = word.into();
        self.why.push(why);
    }
}

/// Where steps are run, and the command is: a lab of namespaces, or a namespace of a cluster.
trait Ground {
    fn start(&self, step: &Step, beside: &Path) -> Result<LabProcess>;
    fn diagnose(&self, arguments: &str, beside: &Path) -> Result<SkoopRun>;
    /// The arguments as the command gets them.
    fn asked(&self, arguments: &str) -> Result<String>;
    /// What the scenario's names are called in reports.
    fn names(&self) -> BTreeMap<String, String>;
}

impl Ground for Lab {
    fn start(&self, step: &Step, beside: &Path) -> Result<LabProcess> {
        Self::start(self, &step.place, &step.command, beside)
    }

    fn diagnose(&self, arguments: &str, beside: &Path) -> Result<SkoopRun> {
        self.diagnose(arguments, beside)
    }

    fn asked(&self, arguments: &str) -> Result<String> {
        self.asked(arguments)
    }

    fn names(&self) -> BTreeMap<String, String> {
        let names = Self::names(self).iter();
        names
            .filter_map(|name| Some((name.clone(), self.netns(name).ok()?)))
            .collect()
    }
}

impl Ground for Stage<'_> {
    fn start(&self, step: &Step, beside: &Path) -> Result<LabProcess> {
        Self::start(self, step, beside)
    }

    fn diagnose(&self, arguments: &str, beside: &Path) -> Result<SkoopRun> {
        Self::diagnose(self, arguments, beside)
    }

    fn asked(&self, arguments: &str) -> Result<String> {
        Ok(arguments.to_owned())
    }

    fn names(&self) -> BTreeMap<String, String> {
        Self::names(self)
    }
}

/// Runs scenarios one after another.
#[derive(Debug, Default)]
pub struct Runner {
    keep: bool,
    /// The cluster and how it was found, or why there is none; looked for when the first scenario needs it.
    cluster: OnceCell<Result<(TestCluster, Baseline), String>>,
    /// The namespace of the last scenario, which has to be gone before the next one is judged.
    leaving: RefCell<Option<String>>,
}

impl Runner {
    /// One that may leave standing what each scenario stood on.
    pub fn new(keep: bool) -> Self {
        Self {
            keep,
            ..Self::default()
        }
    }

    /// Runs a scenario on ground of its own.
    pub fn run(&self, found: ScenarioFile) -> Outturn {
        let mut outturn = Outturn {
            name: found.name,
            expected: String::new(),
            got: String::new(),
            outcome: String::new(),
            took: Duration::ZERO,
            class: OutturnClass::Broken,
            false_accusations: 0,
            why: Vec::new(),
        };
        let scenario = match found.scenario {
            Ok(scenario) => scenario,
            Err(error) => {
                outturn.end(OutturnClass::Broken, "broken", format!("{error:#}"));
                return outturn;
            }
        };
        outturn.expected = scenario.expect.to_string();
        let kubernetes = scenario.site.as_deref() == Some("kubernetes");
        let lacking = scenario.needs.iter().find_map(|need| needs::missing(need));
        if let Some(reason) = lacking.or_else(|| self.lacks(&scenario).filter(|_| kubernetes)) {
            outturn.end(OutturnClass::Skipped, "skipped", reason);
            return outturn;
        }
        let beside = found.path.parent().unwrap_or(Path::new("/"));
        let done = if kubernetes {
            self.on_cluster(&scenario, beside, &mut outturn)
        } else {
            self.in_lab(&scenario, beside, &mut outturn)
        };
        if let Err(error) = done {
            outturn.end(OutturnClass::Broken, "broken", format!("{error:#}"));
        }
        outturn
    }

    fn cluster(&self) -> Result<&(TestCluster, Baseline), String> {
        let found = self.cluster.get_or_init(|| {
            let cluster = TestCluster::connect().map_err(|error| format!("{error:#}"))?;
            let baseline = Baseline::take(&cluster).map_err(|error| format!("{error:#}"))?;
            Ok((cluster, baseline))
        });
        found.as_ref().map_err(Clone::clone)
    }

    /// Why a scenario for Kubernetes cannot be run.
    fn lacks(&self, scenario: &Scenario) -> Option<String> {
        match self.cluster() {
            Err(error) => Some(error),
            Ok((cluster, _)) if cluster.own().is_none() && scenario.needs_nodes() => {
                Some("needs access to nodes, which only the cluster of `make cluster` gives".to_owned())
            }
            Ok((cluster, _)) => unfit(scenario, cluster.network()),
        }
    }

    fn in_lab(&self, scenario: &Scenario, beside: &Path, outturn: &mut Outturn) -> Result<()> {
        let mut lab = Lab::build(&scenario.topology()?)?;
        let kept = self.keep.then(|| lab.keep()).transpose()?;
        let mut running = Vec::new();
        let own = scenario.lab.as_ref().map(|own| &own.steps);
        let done = own
            .map_or(Ok(()), |own| steps(&lab, own, beside, &mut running).context("lab"))
            .and_then(|()| {
                for (name, text) in &scenario.resolv {
                    lab.resolv(name, text).context("resolv")?;
                }
                judged(scenario, &lab, beside, &mut running, outturn)
            });
        outturn.why.extend(kept);
        done
    }

    fn on_cluster(&self, scenario: &Scenario, beside: &Path, outturn: &mut Outturn) -> Result<()> {
        let (cluster, baseline) = self.cluster().map_err(anyhow::Error::msg)?;
        baseline.restore(cluster).context("before it")?;
        let mut stage = Stage::build(cluster, scenario, beside)?;
        let before = self.leaving.replace((!self.keep).then(|| stage.namespace().to_owned()));
        let kept = self.keep.then(|| stage.keep()).transpose()?;
        let mut running = Vec::new();
        let done = stage
            .set(scenario, beside)
            .and_then(|()| match &before {
                Some(namespace) => cleared::wait(cluster, namespace).context("before it"),
                None => Ok(()),
            })
            .and_then(|()| judged(scenario, &stage, beside, &mut running, outturn));
        drop(running);
        outturn.why.extend(kept);
        done.and(stage.take_down())
    }
}

/// All between a ground that stands and a judgement.
fn judged(
    scenario: &Scenario,
    ground: &impl Ground,
    beside: &Path,
    running: &mut Vec<LabProcess>,
    outturn: &mut Outturn,
) -> Result<()> {
    for step in &scenario.serve.0 {
        let mut server = ground.start(step, beside).context("serve")?;
        server.ready(SERVER_READY_WITHIN).context("serve")?;
        running.push(server);
    }
    steps(ground, &scenario.breaks, beside, running).context("break")?;
    let mut during = Vec::new();
    for step in &scenario.during.0 {
        during.push(ground.start(step, beside).context("during")?);
    }
    if !during.is_empty() {
        sleep(HEAD_START);
    }
    let run = ground.diagnose(&scenario.run, beside)?;
    let said: Vec<_> = during.iter().filter_map(LabProcess::last_said).collect();
    drop(during);
    outturn.took = run.took;
    let is_about_one_end = !run.document["seen"].is_null();
    let report = match run.report {
        Ok(report) => report,
        Err(error) => {
            // It could not look at all: that is an answer where no more was expected.
            let could_not_look = run.exit_code == Some(ExpectedOutcome::Inconclusive.exit_code());
            let class = match (could_not_look, scenario.expect.outcome) {
                (true, ExpectedOutcome::Inconclusive) => OutturnClass::Right,
                (true, _) => OutturnClass::Inconclusive,
                (false, _) => OutturnClass::Wrong,
            };
            outturn.end(class, "error", format!("{error:#}"));
            let code = run
                .exit_code
                .map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
            outturn.got = format!("no report, {code}");
            return Ok(());
        }
    };
    let judgement = judge(scenario, &report, run.exit_code, &ground.names());
    outturn.outcome = report.outcome.to_string();
    outturn.got = got(scenario, &report);
    outturn.false_accusations = judgement.false_accusations;
    outturn.class = match judgement.wrong.is_empty() {
        true => OutturnClass::Right,
        false
            if report.outcome == ExpectedOutcome::Inconclusive
                && scenario.expect.outcome != ExpectedOutcome::Inconclusive =>
        {
            OutturnClass::Inconclusive
        }
        false => OutturnClass::Wrong,
    };
    if outturn.class != OutturnClass::Right {
        outturn.why = judgement.wrong;
        outturn.why.extend(told(&report));
        outturn.why.extend(said);
    } else if let Some(recording) = run.recording {
        // What several nodes saw means the same whatever their clocks say.
        let mut otherwise = clocks::told_otherwise(&recording, &scenario.run).context("with other clocks")?;
        if is_about_one_end {
            let asked = ground.asked(&scenario.run)?;
            otherwise.extend(clocks::told_otherwise_again(&recording, &asked, &run.document)?);
        }
        if !otherwise.is_empty() {
            outturn.class = OutturnClass::Wrong;
            outturn.why = otherwise;
        }
    }
    Ok(())
}

/// What a report named: its first cause, all of them where several are expected, or how it ended.
fn got(scenario: &Scenario, report: &PrintedReport) -> String {
    let named = if scenario.expect.causes.is_empty() {
        1
    } else {
        usize::MAX
    };
    let causes: Vec<_> = report.causes().take(named).map(|cause| cause.rule.as_str()).collect();
    match causes.as_slice() {
        [] => report.outcome.to_string(),
        causes => causes.join(" + "),
    }
}

/// Runs steps in order, each to its end; a built-in server among them stays, once it is ready.
fn steps(ground: &impl Ground, steps: &Steps, beside: &Path, running: &mut Vec<LabProcess>) -> Result<()> {
    for step in &steps.0 {
        let mut process = ground.start(step, beside)?;
        if builtin::called_by(&step.command).is_some_and(|builtin| builtin.stays) {
            process.ready(SERVER_READY_WITHIN)?;
            running.push(process);
        } else {
            process
                .finish(STEP_WITHIN)
                .with_context(|| format!("in {}", step.place))?;
            running.push(process);
        }
    }
    Ok(())
}

/// What the report said, for a person who wonders why it is wrong.
fn told(report: &PrintedReport) -> Vec<String> {
    let mut lines = Vec::new();
    for verdict in &report.verdicts {
        let kind = if verdict.cause { "cause" } else { "beside" };
        lines.push(format!(
            "{kind} {} {}: {}",
            verdict.rule,
            serde_json::Value::Object(verdict.place.clone()),
            verdict.says
        ));
        let proof = verdict.because.iter().take(PROOF_TOLD);
        lines.extend(proof.map(|line| format!("  because {line}")));
        lines.extend(
            verdict
                .conversations
                .iter()
                .map(|conversation| format!("  explains {conversation}")),
        );
    }
    if !report.seen.is_empty() {
        lines.push(format!("seen {}", serde_json::Value::Object(report.seen.clone())));
    }
    lines.extend(report.missing.iter().map(|missing| format!("missing {missing}")));
    lines
}
