//! On this machine, with the real helper: what a user meets at the edges, and that nothing stays behind.
//!
//! Needs root and a client that finds its helper: `SKOOP_BIN`, or a `node-helper` beside the one under test.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "these are a test's")]

mod skoop;

use skoop::{Run, signal, with_helper as skoop};
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// The helpers of a client: its children.
fn helpers(client: &Child) -> Vec<u32> {
    let children = format!("/proc/{0}/task/{0}/children", client.id());
    let text = std::fs::read_to_string(children).unwrap_or_default();
    text.split_whitespace().filter_map(|pid| pid.parse().ok()).collect()
}

fn lives(pid: u32) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

/// Waits for something that must come true soon.
#[track_caller]
fn soon(what: &str, holds: impl Fn() -> bool) {
    let since = Instant::now();
    while !holds() {
        assert!(since.elapsed() < Duration::from_secs(10), "{what}");
        std::thread::yield_now();
    }
}

/// A capture that has printed its first line, so that its probes are attached.
fn capturing() -> Option<Child> {
    let mut child = skoop("capture --local --probe drop")?
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.as_mut().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(first.starts_with("TIME"), "{first}");
    Some(child)
}

#[test]
fn a_client_that_is_killed_leaves_no_helper() {
    let Some(mut client) = capturing() else { return };
    let helpers = helpers(&client);
    assert!(!helpers.is_empty());
    signal(&client, "KILL");
    client.wait().unwrap();
    soon("the helper outlived its client", || {
        !helpers.iter().any(|pid| lives(*pid))
    });
}

#[test]
fn ctrl_c_leaves_no_helper_and_exit_code_0() {
    let Some(mut client) = capturing() else { return };
    let helpers = helpers(&client);
    signal(&client, "INT");
    assert_eq!(client.wait().unwrap().code(), Some(0));
    assert!(
        !helpers.iter().any(|pid| lives(*pid)),
        "the helper was still there when the client had ended"
    );
}

#[test]
fn names_that_are_not_there_are_told() {
    for ends in [
        "netns/no-such-name 10.0.0.1:80",
        "pid/4194999 10.0.0.1:80",
        "container/00ff00ff 10.0.0.1:80",
    ] {
        let Some(mut command) = skoop(&format!("diagnose pod-to-pod {ends} --local")) else {
            return;
        };
        Run::of(command.output().unwrap()).refused(2, "was not found");
    }
}

#[test]
fn a_helper_without_privileges_says_how_to_get_them() {
    let Some(command) = skoop("capture --local") else {
        return;
    };
    let nobody = Command::new("setpriv")
        .args(["--reuid=65534", "--regid=65534", "--clear-groups", "--inh-caps=-all"])
        .arg(command.get_program())
        .args(command.get_args())
        .output();
    let Ok(nobody) = nobody else {
        return println!("skipped: setpriv is not installed");
    };
    let run = Run::of(nobody);
    if run.err.contains("Permission denied") {
        return println!("skipped: nobody but root may read this build");
    }
    run.refused(3, "run it as root");
}

#[test]
fn the_probes_of_this_kernel_are_listed_with_what_they_cost() {
    let Some(mut command) = skoop("probes -o json") else {
        return;
    };
    let run = Run::of(command.output().unwrap());
    assert_eq!(run.code, Some(0), "{run:?}");
    let probes: Vec<serde_json::Value> = serde_json::from_str(&run.out).unwrap();
    assert!(probes.iter().any(|probe| probe["name"] == "drop"), "{probes:?}");
    assert!(
        probes
            .iter()
            .all(|probe| probe["cost"].as_str().is_some_and(|cost| !cost.is_empty())),
        "{probes:?}"
    );
}
