//! Runs on a real cluster, stage by stage: how long a verdict takes across nodes, what it asks of the API server, and how
//! much memory the client has.

use crate::figure::{Figure, quantile};
use crate::peak_kb;
use anyhow::{Context as _, Result, ensure};
use serde_json::Value;
use std::fs;
use std::path::Path;
use std::process::Stdio;
use std::thread::sleep;
use std::time::{Duration, Instant};
use tests::kubernetes::audit::{self, ApiCall, Audit, between};
use tests::kubernetes::cluster::{CALL_WITHIN, TestCluster};
use tests::kubernetes::ground;
use tests::kubernetes::stage::Stage;
use tests::kubernetes::traces;
use tests::{signals, skoop};

/// Runs of each kind that answers, and of the kind that does not.
const RUNS: usize = 30;
/// Other pods of the namespace, for the runs that must not notice them.
const CROWD: usize = 300;
const WITHIN: Duration = Duration::from_mins(1);
/// Until nothing of a run is there any more.
const GONE_WITHIN: Duration = Duration::from_secs(30);
/// Whom the audit log knows these runs by.
const USER: &str = "kubectl-skoop-bench";

/// Beside a client and a server that answers: one that resets, a port that is dropped, and the user of the runs.
const MORE: &str = "  ---
  apiVersion: v1
  kind: Pod
  metadata: {name: resets}
  spec: {nodeName: n2, containers: [{name: c, image: 'lab:1', command: [lab, tcp-abort, '8080', at-once]}]}
break:
  - node/n2: nft 'table inet bench-drop { chain forward { type filter hook forward priority 10; ip daddr 10.244.2.0/24 tcp dport 9999 drop; }; }'
  - kubectl: create clusterrolebinding kubectl-skoop-bench --clusterrole=cluster-admin --user=kubectl-skoop-bench
undo:
  - node/n2: nft delete table inet bench-drop
  - kubectl: delete clusterrolebinding kubectl-skoop-bench
";

/// What is asked, and the exit code that is right.
struct Kind {
    name: &'static str,
    destination: &'static str,
    code: i32,
}

const HEALTHY: Kind = Kind {
    name: "healthy",
    destination: "web:8080",
    code: 0,
};
const REFUSED: Kind = Kind {
    name: "refused",
    destination: "web:8081",
    code: 1,
};
const RESET: Kind = Kind {
    name: "reset",
    destination: "resets:8080",
    code: 1,
};
const DROPPED: Kind = Kind {
    name: "dropped",
    destination: "web:9999",
    code: 1,
};

/// One run in seconds, each stage from where the one before ended.
#[derive(Debug, Default)]
struct Run {
    resolve: f64,
    create: f64,
    running: f64,
    hello: f64,
    armed: f64,
    window: f64,
    verdict: f64,
    gone: f64,
    /// From the client's start to its report.
    answer: f64,
    calls: f64,
    memory_mb: f64,
}

/// A stage's name, and its time in a run.
type StageOf = (&'static str, fn(&Run) -> f64);

const STAGES: [StageOf; 8] = [
    ("resolve", |run| run.resolve),
    ("create", |run| run.create),
    ("running", |run| run.running),
    ("hello", |run| run.hello),
    ("armed", |run| run.armed),
    ("window", |run| run.window),
    ("verdict", |run| run.verdict),
    ("gone", |run| run.gone),
];

/// All figures of a cluster.
pub fn take() -> Result<Vec<Figure>> {
    let cluster = TestCluster::connect()?;
    ensure!(
        cluster.own().is_some(),
        "the figures are taken on the project's own cluster"
    );
    signals::take_down_labs()?;
    let scenario = ground::two_pods(MORE)?;
    let stage = ground::stage(&cluster, &scenario)?;
    for step in &scenario.breaks.0 {
        stage.start(step, Path::new("/"))?.finish(WITHIN)?;
    }
    let taken = figures(&cluster, &stage);
    stage.take_down()?;
    taken
}

fn figures(cluster: &TestCluster, stage: &Stage) -> Result<Vec<Figure>> {
    runs(stage, &HEALTHY, 2)?;
    let mut answering = Vec::new();
    for kind in [&HEALTHY, &REFUSED, &RESET] {
        answering.extend(runs(stage, kind, RUNS)?);
    }
    let dropped = runs(stage, &DROPPED, RUNS)?;
    let all = |of: fn(&Run) -> f64| -> Vec<f64> { answering.iter().map(of).collect() };
    let slow: Vec<f64> = dropped.iter().map(|run| run.answer).collect();
    let own = all(|run| run.resolve + run.create + run.hello + run.armed + run.verdict);
    let mut figures = vec![
        Figure::new(
            format!(
                "to the verdict across nodes: healthy, refused, reset, {} runs, p50",
                answering.len()
            ),
            quantile(&all(|run| run.answer), 0.5),
            "s",
        )
        .at_most(2.0),
        Figure::new("the same, p95", quantile(&all(|run| run.answer), 0.95), "s").at_most(3.0),
        Figure::new(
            format!(
                "to the verdict across nodes: silently dropped, {} runs, p50",
                slow.len()
            ),
            quantile(&slow, 0.5),
            "s",
        )
        .at_most(3.0),
        Figure::new("the same, p95", quantile(&slow, 0.95), "s").at_most(4.5),
        Figure::new(
            "of it neither starting pods nor the window, p50",
            quantile(&own, 0.5),
            "s",
        )
        .at_most(0.4),
    ];
    for (name, of) in STAGES {
        let times = all(of);
        figures.push(Figure::new(format!("stage {name}, p50"), quantile(&times, 0.5), "s"));
        figures.push(Figure::new(format!("stage {name}, p95"), quantile(&times, 0.95), "s"));
    }
    let calls = |runs: &[Run]| runs.iter().map(|run| run.calls).fold(0.0, f64::max);
    // Twelve, and four for each of two nodes.
    figures.push(
        Figure::new(
            "calls of the API in a run on two nodes, at most",
            calls(&answering),
            "calls",
        )
        .at_most(20.0),
    );
    crowd(cluster, stage)?;
    let crowded = runs(stage, &HEALTHY, 5)?;
    figures.push(
        Figure::new(
            format!("the same with {CROWD} more pods in the namespace"),
            calls(&crowded),
            "calls",
        )
        .beside("without them", Some(calls(&answering)))
        .at_most_of_peer(1.0),
    );
    let memory = all(|run| run.memory_mb).into_iter().fold(0.0, f64::max);
    figures.push(Figure::new("memory of the client, peak", memory, "MB").at_most(60.0));
    Ok(figures)
}

/// Pods that no node takes: they are there for whoever lists them.
fn crowd(cluster: &TestCluster, stage: &Stage) -> Result<()> {
    let pod = |number: usize| {
        serde_json::json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": format!("crowd-{number}")},
            "spec": {"nodeSelector": {"no-such": "node"}, "containers": [{"name": "c", "image": "lab:1"}]},
        })
    };
    let items: Vec<Value> = (0..CROWD).map(pod).collect();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": items}).to_string();
    let arguments = ["-n", stage.namespace(), "create", "-f", "-"];
    cluster
        .call(&arguments, &list, 4 * CALL_WITHIN)?
        .good("kubectl create")?;
    Ok(())
}

fn runs(stage: &Stage, kind: &Kind, count: usize) -> Result<Vec<Run>> {
    let all = (0..count)
        .map(|number| run(stage, kind).with_context(|| format!("run {number} of {}, {}", kind.name, kind.destination)));
    all.collect()
}

fn run(stage: &Stage, kind: &Kind) -> Result<Run> {
    let report = tempfile::NamedTempFile::new().context("making a file for the report")?;
    let mut audit = Audit::from_now()?;
    let line = format!(
        "exec {} diagnose pod-to-pod a {} --as {USER} -o json >{}",
        skoop::binary()?.display(),
        kind.destination,
        report.path().display()
    );
    let there = traces::objects(stage)?.names;
    let left = || -> Result<Vec<String>> {
        let mut names = traces::objects(stage)?.names;
        names.retain(|name| !there.contains(name));
        Ok(names)
    };
    let (began, started) = (audit::now(), Instant::now());
    let mut client = stage.shell(&line).stdin(Stdio::null()).stderr(Stdio::null()).spawn()?;
    let (mut memory_kb, mut answer) = (0_u64, None);
    let status = loop {
        memory_kb = memory_kb.max(peak_kb(client.id()));
        if answer.is_none() && report.as_file().metadata()?.len() > 0 {
            answer = Some(started.elapsed());
        }
        if let Some(status) = client.try_wait()? {
            break status;
        }
        ensure!(started.elapsed() < WITHIN, "it does not end");
        sleep(Duration::from_millis(2));
    };
    let answer = answer.unwrap_or_else(|| started.elapsed()).as_secs_f64();
    ensure!(
        status.code() == Some(kind.code),
        "it ended with {status}, and {} is right",
        kind.code
    );
    traces::gone(GONE_WITHIN, left)?;
    let timing: Value = serde_json::from_slice(&fs::read(report.path())?).context("understanding the report")?;
    // The log is written a moment after an answer is sent.
    sleep(Duration::from_millis(100));
    let calls = audit.more()?;
    Ok(stages(
        &calls,
        stage.namespace(),
        began,
        answer,
        &timing["timing"],
        memory_kb,
    ))
}

/// A run's stages: those up to the attached pods as the API server saw them, those after as the report says.
fn stages(calls: &[ApiCall], namespace: &str, began: f64, answer: f64, timing: &Value, memory_kb: u64) -> Run {
    let own: Vec<&ApiCall> = calls.iter().filter(|call| call.user == USER).collect();
    let first = |verb: &str, resource: &str| {
        let all = own
            .iter()
            .filter(move |call| (verb.is_empty() || call.verb == verb) && call.resource == resource);
        all.map(|call| between(began, call.received_s)).reduce(f64::min)
    };
    let last = |resource: &str, at: fn(&ApiCall) -> f64| {
        let all = own
            .iter()
            .filter(move |call| call.verb != "delete" && call.resource == resource);
        all.map(|call| between(began, at(call))).reduce(f64::max)
    };
    let ms = |key: &str| timing[key].as_f64().unwrap_or_default() / 1000.0;
    let created_first = first("create", "batch/jobs").unwrap_or_default();
    let created = own
        .iter()
        .filter(|call| call.verb == "create" && call.resource == "batch/jobs")
        .map(|call| between(began, call.answered_s))
        .fold(created_first, f64::max);
    let attached = last("pods/attach", |call| call.received_s).unwrap_or(created);
    let hello = ms("helloMs");
    // A pod is gone when its node's kubelet has said so.
    let pods = calls
        .iter()
        .filter(|call| call.verb == "delete" && call.namespace == namespace && call.resource == "pods");
    let last_pod = pods.map(|call| between(began, call.answered_s)).fold(answer, f64::max);
    Run {
        resolve: created_first,
        create: created - created_first,
        running: attached - created,
        hello: (hello - attached).max(0.0),
        armed: ms("factsMs") + ms("armedMs"),
        window: ms("windowMs"),
        verdict: ms("verdictMs"),
        gone: last_pod - answer,
        answer,
        calls: own.len() as f64,
        memory_mb: memory_kb as f64 / 1024.0,
    }
}
