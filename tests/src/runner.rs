//! One scenario from its file to its result: lab, servers, break, run, judgement.
use std::collections::BTreeMap;
use std::path::Path;
use std::thread::sleep;
use std::time::Duration;

use anyhow::{Context as _, Result};

use crate::builtin;
use crate::judge::{Report, judge};
use crate::lab::Lab;
use crate::needs;
use crate::process::Process;
use crate::scenario::{Found, Outcome, Scenario, Steps};
use crate::skoop;

const SERVER_READY_WITHIN: Duration = Duration::from_secs(10);
const STEP_WITHIN: Duration = Duration::from_secs(30);
/// How long what a scenario does `during` the run goes before it.
const HEAD_START: Duration = Duration::from_millis(500);

/// How a scenario ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Class {
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
    pub class: Class,
    /// False accusations.
    pub false_accusations: usize,
    /// Why it is not right, and what the report said.
    pub why: Vec<String>,
}

impl Outturn {
    /// It ended without a report.
    fn end(&mut self, class: Class, word: &str, why: String) {
        self.class = class;
        self.outcome = word.into();
        self.got = word.into();
        self.why.push(why);
    }
}

/// Runs a scenario in a lab of its own; `keep` leaves that standing, and says so in `why`.
pub fn run(found: Found, keep: bool) -> Outturn {
    let mut outturn = Outturn {
        name: found.name,
        expected: String::new(),
        got: String::new(),
        outcome: String::new(),
        took: Duration::ZERO,
        class: Class::Broken,
        false_accusations: 0,
        why: Vec::new(),
    };
    let scenario = match found.scenario {
        Ok(scenario) => scenario,
        Err(error) => {
            outturn.end(Class::Broken, "broken", format!("{error:#}"));
            return outturn;
        }
    };
    outturn.expected = match scenario.expect.cause.as_slice() {
        [] => scenario.expect.outcome.to_string(),
        causes => causes.join(" | "),
    };
    let reason = match scenario.site.as_deref() {
        Some("kubernetes") => Some("needs a Kubernetes cluster (`site: kubernetes`)".to_owned()),
        _ => scenario.needs.iter().find_map(|need| needs::missing(need)),
    };
    if let Some(reason) = reason {
        outturn.end(Class::Skipped, "skipped", reason);
        return outturn;
    }
    let beside = found.path.parent().unwrap_or(Path::new("/"));
    if let Err(error) = in_lab(&scenario, beside, keep, &mut outturn) {
        outturn.end(Class::Broken, "broken", format!("{error:#}"));
    }
    outturn
}

fn in_lab(scenario: &Scenario, beside: &Path, keep: bool, outturn: &mut Outturn) -> Result<()> {
    let mut lab = Lab::build(&scenario.topology()?)?;
    let kept = keep.then(|| lab.keep()).transpose()?;
    let done = judged(scenario, &lab, beside, outturn);
    outturn.why.extend(kept);
    done
}

/// All between a lab that stands and a judgement.
fn judged(scenario: &Scenario, lab: &Lab, beside: &Path, outturn: &mut Outturn) -> Result<()> {
    let mut running = Vec::new();
    if let Some(own) = &scenario.lab {
        steps(lab, &own.steps, beside, &mut running).context("lab")?;
    }
    for (name, text) in &scenario.resolv {
        lab.resolv(name, text).context("resolv")?;
    }
    for step in &scenario.serve.0 {
        let mut server = lab.start(&step.place, &step.command, beside).context("serve")?;
        server.ready(SERVER_READY_WITHIN).context("serve")?;
        running.push(server);
    }
    steps(lab, &scenario.breaks, beside, &mut running).context("break")?;
    let mut during = Vec::new();
    for step in &scenario.during.0 {
        during.push(lab.start(&step.place, &step.command, beside).context("during")?);
    }
    if !during.is_empty() {
        sleep(HEAD_START);
    }
    let run = skoop::run(lab, &scenario.run, beside)?;
    drop(during);
    outturn.took = run.took;
    let report = match run.report {
        Ok(report) => report,
        Err(error) => {
            // It could not look at all: that is an answer where no more was expected.
            let could_not_look = run.exit_code == Some(Outcome::Inconclusive.exit_code());
            let class = match (could_not_look, scenario.expect.outcome) {
                (true, Outcome::Inconclusive) => Class::Right,
                (true, _) => Class::Inconclusive,
                (false, _) => Class::Wrong,
            };
            outturn.end(class, "error", format!("{error:#}"));
            let code = run
                .exit_code
                .map_or_else(|| "no exit code".to_owned(), |code| format!("exit code {code}"));
            outturn.got = format!("no report, {code}");
            return Ok(());
        }
    };
    let real: BTreeMap<_, _> = lab
        .names()
        .iter()
        .filter_map(|name| Some((name.clone(), lab.netns(name).ok()?)))
        .collect();
    let judgement = judge(scenario, &report, run.exit_code, &real);
    outturn.outcome = report.outcome.to_string();
    outturn.got = report
        .cause()
        .map_or_else(|| report.outcome.to_string(), |cause| cause.rule.clone());
    outturn.false_accusations = judgement.false_accusations;
    outturn.class = match judgement.wrong.is_empty() {
        true => Class::Right,
        false if report.outcome == Outcome::Inconclusive && scenario.expect.outcome != Outcome::Inconclusive => {
            Class::Inconclusive
        }
        false => Class::Wrong,
    };
    if outturn.class != Class::Right {
        outturn.why = judgement.wrong;
        outturn.why.extend(told(&report));
    }
    Ok(())
}

/// Runs steps in order, each to its end; a built-in server among them stays, once it is ready.
fn steps(lab: &Lab, steps: &Steps, beside: &Path, running: &mut Vec<Process>) -> Result<()> {
    for step in &steps.0 {
        let mut process = lab.start(&step.place, &step.command, beside)?;
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
fn told(report: &Report) -> Vec<String> {
    let mut lines = Vec::new();
    for verdict in &report.verdicts {
        let kind = if verdict.cause { "cause" } else { "beside" };
        lines.push(format!(
            "{kind} {} {}: {}",
            verdict.rule,
            serde_json::Value::Object(verdict.place.clone()),
            verdict.says
        ));
        lines.extend(verdict.because.iter().map(|line| format!("  because {line}")));
    }
    lines.extend(report.missing.iter().map(|missing| format!("missing {missing}")));
    lines
}
