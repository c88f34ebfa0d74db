//! A part of the helper that stands still: what was asked of it is missing, with the reason and in time, and the session ends
//! as it was asked to. Needs root.

#![allow(clippy::disallowed_methods, reason = "this is not the helper")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod talk;

use model::attempt::Exchange;
use model::missing::Known;
use model::protocol::{Ask, Filter, Reply, Request, VERSION};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use node_helper::processes::privileges::{ARMER, ProcessRole, USHER};
use std::fs;
use std::time::{Duration, Instant};
use talk::{OwnNetns, RunningHelper, own_netns, spec, tcp};

/// Longer than any of the waits, on a busy machine too, and shorter than a client waits.
const IN_TIME: Duration = Duration::from_secs(9);

/// A process that stands still, and is ended by the test.
struct Hung(Pid);

impl Hung {
    /// That part of the helper, as soon as it bears its name.
    fn part(helper: &RunningHelper, role: &ProcessRole) -> Self {
        let end = Instant::now() + IN_TIME;
        let pid = loop {
            if let Some(pid) = child_named(helper.pid(), role.name) {
                break pid;
            }
            assert!(Instant::now() < end, "no part of the helper is called {}", role.name);
            std::thread::yield_now();
        };
        kill(pid, Signal::SIGSTOP).unwrap();
        Self(pid)
    }
}

fn child_named(parent: u32, name: &str) -> Option<Pid> {
    let threads = fs::read_dir(format!("/proc/{parent}/task")).unwrap();
    let children: String = threads
        .map(|thread| fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default())
        .collect();
    let is = |pid: &&str| fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|comm| comm.trim() == name);
    let pid = children.split_whitespace().find(is)?;
    Some(Pid::from_raw(pid.parse().unwrap()))
}

impl Drop for Hung {
    fn drop(&mut self) {
        let _ = kill(self.0, Signal::SIGKILL);
    }
}

fn arm(id: u32) -> Request {
    Request::Arm {
        id,
        probes: vec!["drop".into()],
        filter: Filter {
            netns: vec![1],
            ..Filter::default()
        },
    }
}

/// The reason for which the probe of an arming cannot run.
fn why_not(reply: Reply) -> String {
    match reply {
        Reply::Armed { probes, .. } => probes[0]
            .unsupported
            .as_ref()
            .map(|missing| missing.why.clone())
            .unwrap(),
        other => panic!("{other:?} is not armed"),
    }
}

#[track_caller]
fn assert_says(text: &str, part: &str) {
    assert!(text.contains(part), "{part:?} is not in {text:?}");
}

/// It goes when it is told to, and says so.
#[track_caller]
fn ends(mut helper: RunningHelper) {
    helper.say(Request::Bye);
    let last = helper.hear();
    assert!(matches!(last, Reply::Done { exit: 0, why: None, .. }), "{last:?}");
    assert_eq!(helper.end().code(), Some(0));
}

#[test]
fn probes_that_an_armer_does_not_arm_are_off_for_that_reason() {
    let mut helper = RunningHelper::greeted();
    let _hung = Hung::part(&helper, &ARMER);
    let began = Instant::now();
    helper.say(arm(1));
    assert_says(
        &why_not(helper.hear()),
        "the helper's process `armer` did not make maps within",
    );
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    // It is not waited for a second time.
    let again = Instant::now();
    helper.say(arm(2));
    assert_says(&why_not(helper.hear()), "did not make maps");
    assert!(again.elapsed() < Duration::from_secs(2), "{:?}", again.elapsed());
    ends(helper);
}

#[test]
fn a_greeting_does_not_wait_for_an_armer() {
    let mut helper = RunningHelper::start();
    // It is forked before the first line is read.
    let end = Instant::now() + talk::PATIENCE;
    while fs::read_to_string(format!("/proc/{0}/task/{0}/children", helper.pid()))
        .unwrap()
        .split_whitespace()
        .filter(|pid| {
            let name = fs::read_to_string(format!("/proc/{pid}/comm")).unwrap_or_default();
            [ARMER.name, USHER.name].contains(&name.trim())
        })
        .count()
        < 2
    {
        assert!(Instant::now() < end, "no armer comes");
    }
    let _hung = Hung::part(&helper, &ARMER);
    let began = Instant::now();
    helper.say(Request::Hello { version: VERSION });
    let Reply::Hello(hello) = helper.hear() else {
        panic!("no hello")
    };
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    let why = |probe: &model::protocol::ProbeStatus| probe.unsupported.clone().unwrap().why;
    // What is read needs no armer.
    for probe in hello.probes.iter().filter(|probe| !probe.reads) {
        assert_says(&why(probe), "did not tell whether the kernel lets it make maps within");
    }
    ends(helper);
}

#[test]
fn a_window_closes_with_its_totals_although_the_armer_does_not_detach() {
    let mut helper = RunningHelper::greeted();
    helper.say(arm(1));
    let armed = helper.hear();
    assert!(
        matches!(&armed, Reply::Armed { probes, .. } if probes[0].unsupported.is_none()),
        "{armed:?}"
    );
    helper.say(Request::Go { id: 1 });
    assert!(matches!(helper.hear(), Reply::Going { .. }));
    let _hung = Hung::part(&helper, &ARMER);
    let began = Instant::now();
    helper.say(Request::Stop { id: 1 });
    while !matches!(helper.hear(), Reply::Stopped { id: 1, .. }) {}
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    let Reply::Failed { request, missing } = helper.hear() else {
        panic!("that it is not detached was not told")
    };
    assert_eq!(request, "detach");
    assert_says(&missing.what, "whether the probes of window 1");
    assert_says(
        &missing.why,
        "the helper's process `armer` did not detach probes within",
    );
    ends(helper);
}

#[test]
fn an_armer_that_was_killed_meanwhile_is_told_when_the_window_closes() {
    let mut helper = RunningHelper::greeted();
    helper.say(arm(1));
    assert!(matches!(helper.hear(), Reply::Armed { .. }));
    helper.say(Request::Go { id: 1 });
    assert!(matches!(helper.hear(), Reply::Going { .. }));
    drop(Hung::part(&helper, &ARMER));
    helper.say(Request::Stop { id: 1 });
    while !matches!(helper.hear(), Reply::Stopped { id: 1, .. }) {}
    let Reply::Failed { request, missing } = helper.hear() else {
        panic!("that nobody held the probes was not told")
    };
    assert_eq!(request, "detach");
    assert_says(&missing.why, "the helper's process `armer` has ended");
    ends(helper);
}

#[test]
fn what_an_usher_does_not_open_or_start_is_missing_for_that_reason() {
    let namespace = OwnNetns::new("hung");
    let mut helper = RunningHelper::greeted();
    let _hung = Hung::part(&helper, &USHER);
    let began = Instant::now();
    helper.say(Request::Read(Ask {
        id: 3,
        netns: vec![namespace.inode(), own_netns()],
        facts: vec!["netfilter".into()],
        ..Ask::default()
    }));
    let mut told = 0;
    loop {
        match helper.hear() {
            Reply::Facts { facts, .. } => {
                let Known::Missing(missing) = facts.netfilter else {
                    panic!("{:?} were read by nobody", facts.netfilter)
                };
                assert_says(
                    &missing.why,
                    "the helper's process `usher` did not start a process within",
                );
                told += 1;
            }
            Reply::Read { id: 3 } => break,
            other => panic!("{other:?} is no fact"),
        }
    }
    assert_eq!(told, 2);
    assert!(began.elapsed() < IN_TIME, "{:?}", began.elapsed());
    let nobody_there = "127.0.0.1".parse().unwrap();
    helper.say(Request::Plan {
        id: 4,
        attempts: vec![spec(1, own_netns(), 1_000, tcp(nobody_there, 9, Exchange::default()))],
    });
    let Reply::Planned { missing, .. } = helper.hear() else {
        panic!("no plan")
    };
    assert_says(&missing[0].why, "`usher` did not start a process within");
    ends(helper);
}
