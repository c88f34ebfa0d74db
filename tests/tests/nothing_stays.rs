//! Nothing of a run stays on a cluster, however it ends: every layer by itself, on the project's own cluster. Where that
//! is not up (`make cluster`), these tests say so and pass.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
use std::io::Write as _;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread::sleep;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use tests::kubernetes::cluster::{CALL_WITHIN, TestCluster};
use tests::kubernetes::ground::{own_cluster, stage, two_pods};
use tests::kubernetes::stage::Stage;
use tests::kubernetes::traces::{self, Objects, gone};
use tests::kubernetes::well::Baseline;
use tests::skoop;

/// A run that goes on until somebody ends it.
const LONG: &str = "diagnose pod-to-pod a web:8080 --for 2m";
/// A run that ends by itself.
const SHORT: &str = "diagnose pod-to-pod a web:8080";

/// An orderly end is over when the program is, or soon after.
const ORDERLY: Duration = Duration::from_secs(5);
/// Without the client: its helper and what it loaded, its objects, and those of one that was not attached yet.
const UNATTENDED_HELPER: Duration = Duration::from_secs(2);
const UNATTENDED_OBJECTS: Duration = Duration::from_secs(8);
const UNATTENDED_EARLY: Duration = Duration::from_secs(30);
/// Until a run that was just started is armed on both nodes.
const ARMED_WITHIN: Duration = Duration::from_secs(20);

/// These tests break the one cluster there is, so they take turns.
static TURN: Mutex<()> = Mutex::new(());

/// This test's turn, and the cluster, if it is the project's own and up.
fn turn() -> Option<(MutexGuard<'static, ()>, TestCluster)> {
    let turn = TURN.lock().unwrap_or_else(PoisonError::into_inner);
    Some((turn, own_cluster()?))
}

fn ground(cluster: &TestCluster) -> Stage<'_> {
    stage(cluster, &two_pods("").unwrap()).unwrap()
}

/// A run, killed with the test when that fails.
struct Client(Child);

impl Drop for Client {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Client {
    fn start(stage: &Stage, arguments: &str) -> Self {
        // Whoever starts the tests in the background has SIGINT ignored.
        let line = format!(
            "exec env --default-signal=INT {} {arguments}",
            skoop::binary().unwrap().display()
        );
        let child = stage
            .shell(&line)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .process_group(0)
            .spawn()
            .unwrap();
        Self(child)
    }

    fn signal(&self, signal: Signal) {
        kill(Pid::from_raw(self.0.id().cast_signed()), signal).unwrap();
    }

    fn wait(&mut self, within: Duration) -> Option<ExitStatus> {
        let started = Instant::now();
        while started.elapsed() < within {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            sleep(Duration::from_millis(20));
        }
        None
    }
}

/// What a run has while it is watched.
struct Armed {
    objects: Objects,
    helpers: Vec<Pid>,
    programs: Vec<u32>,
}

/// Waits until a run's helpers on `nodes` nodes have all loaded programs.
fn armed(stage: &Stage, nodes: usize) -> Armed {
    let started = Instant::now();
    loop {
        let objects = traces::objects(stage).unwrap();
        let helpers = traces::helpers(&objects.uids);
        let all = helpers.len() == nodes && helpers.iter().all(|pid| !traces::programs(&[*pid]).is_empty());
        if all {
            let programs = traces::programs(&helpers);
            return Armed {
                objects,
                helpers,
                programs,
            };
        }
        assert!(
            started.elapsed() < ARMED_WITHIN,
            "not armed on {nodes} nodes: {objects:?} {helpers:?}"
        );
        sleep(Duration::from_millis(50));
    }
}

/// No helper process and no eBPF program of it, and then no object of any run.
fn nothing_stays(stage: &Stage, was: &Armed, helper: Duration, objects: Duration) {
    let helpers = gone(helper, || Ok(traces::helpers(&was.objects.uids))).unwrap();
    let programs = gone(helper.saturating_sub(helpers), || traces::loaded(&was.programs)).unwrap();
    let objects = gone(objects, || Ok(traces::objects(stage)?.names)).unwrap();
    let _ = writeln!(
        std::io::stderr(),
        "gone: {} helpers after {helpers:.1?}, {} programs after {:.1?}, objects after {objects:.1?} more",
        was.helpers.len(),
        was.programs.len(),
        helpers + programs
    );
}

#[test]
fn a_run_that_ends_by_itself_has_left_nothing() {
    let Some((_turn, cluster)) = turn() else { return };
    let stage = ground(&cluster);
    for (arguments, code) in [
        (SHORT, 0),
        ("diagnose pod-to-pod a web:8081", 1),
        ("diagnose pod-to-pod a no-such-pod:1", 2),
    ] {
        let status = Client::start(&stage, arguments).wait(Duration::from_mins(1)).unwrap();
        assert_eq!(status.code(), Some(code), "{arguments}");
        gone(ORDERLY, || Ok(traces::objects(&stage)?.names)).unwrap();
    }
}

#[test]
fn a_signal_ends_a_run_in_order() {
    let Some((_turn, cluster)) = turn() else { return };
    let stage = ground(&cluster);
    for signal in [Signal::SIGINT, Signal::SIGTERM, Signal::SIGHUP] {
        let mut client = Client::start(&stage, LONG);
        let was = armed(&stage, 2);
        let told = Instant::now();
        client.signal(signal);
        assert!(client.wait(ORDERLY).is_some(), "{signal} does not end it");
        nothing_stays(
            &stage,
            &was,
            ORDERLY.saturating_sub(told.elapsed()),
            ORDERLY.saturating_sub(told.elapsed()),
        );
    }
}

#[test]
fn a_signal_before_anything_is_armed_leaves_nothing_either() {
    let Some((_turn, cluster)) = turn() else { return };
    let stage = ground(&cluster);
    for after in [50, 200, 400, 700] {
        let mut client = Client::start(&stage, LONG);
        sleep(Duration::from_millis(after));
        client.signal(Signal::SIGINT);
        assert!(
            client.wait(ORDERLY).is_some(),
            "SIGINT after {after} ms does not end it"
        );
        gone(ORDERLY, || Ok(traces::objects(&stage)?.names)).unwrap();
    }
}

#[test]
fn a_client_that_is_killed_twenty_times_leaves_nothing() {
    let Some((_turn, cluster)) = turn() else { return };
    let stage = ground(&cluster);
    // Moments between the first call of the API and a watch that has been going on, in an order without a pattern.
    for step in 0..20_u64 {
        let mut client = Client::start(&stage, LONG);
        let after = Duration::from_millis(100 + step * 7919 % 20 * 150);
        sleep(after);
        let objects = traces::objects(&stage).unwrap();
        let helpers = traces::helpers(&objects.uids);
        let programs = traces::programs(&helpers);
        client.signal(Signal::SIGKILL);
        client.wait(ORDERLY);
        let attached = !programs.is_empty() && helpers.len() == 2;
        let was = Armed {
            objects,
            helpers,
            programs,
        };
        let _ = write!(std::io::stderr(), "killed after {after:?} (attached: {attached}): ");
        if attached {
            nothing_stays(&stage, &was, UNATTENDED_HELPER, UNATTENDED_OBJECTS);
        } else {
            nothing_stays(&stage, &was, UNATTENDED_EARLY, UNATTENDED_EARLY);
        }
    }
}

#[test]
fn a_client_that_is_stopped_loses_its_helpers() {
    let Some((_turn, cluster)) = turn() else { return };
    let stage = ground(&cluster);
    let mut client = Client::start(&stage, LONG);
    let was = armed(&stage, 2);
    client.signal(Signal::SIGSTOP);
    // Fifteen seconds without a line from the client.
    nothing_stays(&stage, &was, Duration::from_secs(20), UNATTENDED_OBJECTS);
    client.signal(Signal::SIGCONT);
    let status = client.wait(Duration::from_secs(30)).unwrap();
    assert_eq!(status.code(), Some(3), "a run that lost its helpers could not look");
}

#[test]
fn a_helper_that_is_killed_ends_the_run_without_a_verdict() {
    let Some((_turn, cluster)) = turn() else { return };
    let stage = ground(&cluster);
    let mut client = Client::start(&stage, "diagnose pod-to-pod a web:8080 --for 10s");
    let was = armed(&stage, 2);
    kill(was.helpers[0], Signal::SIGKILL).unwrap();
    let status = client.wait(Duration::from_secs(30)).unwrap();
    assert_eq!(status.code(), Some(3), "half a look is no verdict");
    nothing_stays(&stage, &was, UNATTENDED_HELPER, ORDERLY);
}

#[test]
fn an_api_server_that_goes_in_mid_run_and_comes_back_finds_nothing() {
    let Some((_turn, cluster)) = turn() else { return };
    let baseline = Baseline::take(&cluster).unwrap();
    let stage = ground(&cluster);
    let mut client = Client::start(&stage, LONG);
    let was = armed(&stage, 2);
    cluster
        .program(&["stop", "control-plane", "kube-apiserver"], CALL_WITHIN)
        .unwrap();
    let helpers = gone(Duration::from_secs(20), || Ok(traces::helpers(&was.objects.uids)));
    cluster
        .program(&["start", "control-plane", "kube-apiserver"], CALL_WITHIN)
        .unwrap();
    helpers.unwrap();
    let back = Instant::now();
    while cluster.ask(&["get", "--raw", "/readyz"]).is_err() {
        assert!(
            back.elapsed() < Duration::from_mins(1),
            "the API server does not come back"
        );
    }
    assert_eq!(client.wait(Duration::from_mins(1)).unwrap().code(), Some(3));
    nothing_stays(&stage, &was, UNATTENDED_HELPER, UNATTENDED_EARLY);
    baseline.restore(&cluster).unwrap();
}

#[test]
fn a_kubelet_that_restarts_in_mid_run_leaves_nothing() {
    let Some((_turn, cluster)) = turn() else { return };
    let baseline = Baseline::take(&cluster).unwrap();
    let stage = ground(&cluster);
    let mut client = Client::start(&stage, "diagnose pod-to-pod a web:8080 --for 20s");
    let was = armed(&stage, 2);
    cluster.program(&["restart", "n2", "kubelet"], CALL_WITHIN).unwrap();
    assert!(client.wait(Duration::from_mins(1)).is_some(), "the run does not end");
    nothing_stays(&stage, &was, UNATTENDED_HELPER, UNATTENDED_EARLY);
    baseline.restore(&cluster).unwrap();
}

#[test]
fn the_deadline_of_the_job_ends_a_helper_that_nothing_else_can_end() {
    let Some((_turn, cluster)) = turn() else { return };
    let stage = ground(&cluster);
    let mut client = Client::start(&stage, "diagnose pod-to-pod a web:8080 --for 3s");
    let was = armed(&stage, 2);
    let jobs = stage.json(&["get", "jobs"]).unwrap();
    let deadline = jobs["items"][0]["spec"]["activeDeadlineSeconds"].as_u64().unwrap();
    // Neither end can act any more.
    for pid in &was.helpers {
        kill(*pid, Signal::SIGSTOP).unwrap();
    }
    client.signal(Signal::SIGKILL);
    client.wait(ORDERLY);
    let noticed = Duration::from_secs(deadline) + UNATTENDED_EARLY;
    nothing_stays(&stage, &was, noticed, UNATTENDED_EARLY);
}

#[test]
fn two_users_at_once_do_not_disturb_each_other() {
    let Some((_turn, cluster)) = turn() else { return };
    let stage = ground(&cluster);
    let mut long = Client::start(&stage, "diagnose pod-to-pod a web:8080 --for 8s");
    let was = armed(&stage, 2);
    let mut short = Client::start(&stage, SHORT);
    assert_eq!(
        short.wait(Duration::from_secs(30)).unwrap().code(),
        Some(0),
        "the second run"
    );
    assert_eq!(
        traces::helpers(&was.objects.uids).len(),
        2,
        "the first run lost a helper to the second"
    );
    assert_eq!(
        long.wait(Duration::from_secs(30)).unwrap().code(),
        Some(0),
        "the first run"
    );
    gone(ORDERLY, || Ok(traces::objects(&stage)?.names)).unwrap();
}

#[test]
fn leftovers_are_swept_and_a_live_run_is_not_touched() {
    let Some((_turn, cluster)) = turn() else { return };
    let stage = ground(&cluster);
    let mut live = Client::start(&stage, "diagnose pod-to-pod a web:8080 --for 15s");
    let was = armed(&stage, 2);
    // A Job of the same kind whose pod has ended and which nothing removes: its TTL is gone.
    let jobs = stage.json(&["get", "jobs"]).unwrap();
    let of_live = &jobs["items"][0];
    let left = serde_json::json!({
        "apiVersion": "batch/v1",
        "kind": "Job",
        "metadata": {"name": "left-over", "labels": of_live["metadata"]["labels"], "annotations": of_live["metadata"]["annotations"]},
        "spec": {"backoffLimit": 0, "template": {"spec": {
            "restartPolicy": "Never",
            "containers": [{"name": "c", "image": "lab:1", "command": ["false"]}],
        }}},
    });
    let namespace = stage.namespace();
    let applied = cluster
        .call(&["-n", namespace, "apply", "-f", "-"], &left.to_string(), CALL_WITHIN)
        .unwrap();
    applied.good("kubectl apply").unwrap();
    cluster
        .ask(&[
            "-n",
            namespace,
            "wait",
            "--for=condition=Failed",
            "job/left-over",
            "--timeout=25s",
        ])
        .unwrap();
    let status = Client::start(&stage, SHORT).wait(Duration::from_secs(30)).unwrap();
    assert_eq!(status.code(), Some(0));
    gone(ORDERLY, || {
        let names = traces::objects(&stage)?.names;
        Ok(names.into_iter().filter(|name| name.contains("left-over")).collect())
    })
    .unwrap();
    assert_eq!(
        traces::helpers(&was.objects.uids).len(),
        2,
        "the sweep touched a live run"
    );
    assert_eq!(live.wait(Duration::from_secs(30)).unwrap().code(), Some(0));
    gone(ORDERLY, || Ok(traces::objects(&stage)?.names)).unwrap();
}
