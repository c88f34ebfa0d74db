//! A session over pipes, with the built helper: how it begins, what it skips, and every way in which it ends.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod talk;

use flate2::read::ZlibDecoder;
use model::missing::Known;
use model::protocol::{Filter, Line, Reply, Request, VERSION};
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::io::{BufRead as _, BufReader, Write as _};
use std::process::{Command, Stdio};
use std::time::Duration;
use talk::RunningHelper;

fn done(reply: &Reply) -> (u8, u64) {
    match reply {
        Reply::Done { exit, skipped, .. } => (*exit, *skipped),
        other => panic!("{other:?} is not the end"),
    }
}

/// Why it ended although nobody had asked it to.
fn why(reply: &Reply) -> &str {
    match reply {
        Reply::Done { why, .. } => why.as_ref().map_or("", |missing| &missing.why),
        other => panic!("{other:?} is not the end"),
    }
}

#[test]
fn it_says_its_version() {
    let output = Command::new(env!("CARGO_BIN_EXE_node-helper"))
        .arg("--version")
        .output()
        .unwrap();
    assert_eq!(
        String::from_utf8(output.stdout).unwrap(),
        format!("node-helper {} (protocol {VERSION})\n", env!("CARGO_PKG_VERSION"))
    );
}

#[test]
fn wrong_arguments_are_usage_errors() {
    for arguments in [
        vec!["--verison"],
        vec!["--deadline"],
        vec!["--deadline", "soon"],
        vec!["--deadline", "0"],
        vec!["--deflate", "--deadline"],
    ] {
        let output = Command::new(env!("CARGO_BIN_EXE_node-helper"))
            .args(&arguments)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert!(output.stdout.is_empty() && !output.stderr.is_empty());
    }
}

#[test]
fn what_it_says_can_be_had_compressed_and_leaves_at_once() {
    let mut helper = Command::new(env!("CARGO_BIN_EXE_node-helper"))
        .args(["--deflate", "--deadline", "60"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut input = helper.stdin.take().unwrap();
    let mut lines = BufReader::new(ZlibDecoder::new(helper.stdout.take().unwrap())).lines();
    for (seq, say) in [(1, Request::Hello { version: VERSION }), (2, Request::Bye)] {
        let line = serde_json::to_string(&Line { seq, say, said: None }).unwrap();
        input.write_all(format!("{line}\n").as_bytes()).unwrap();
        // The answer comes before the next request is made.
        let reply: Line<Reply> = serde_json::from_str(&lines.next().unwrap().unwrap()).unwrap();
        assert_eq!(reply.seq, seq);
    }
    assert_eq!(helper.wait().unwrap().code(), Some(0));
}

#[test]
fn it_is_silent_until_it_is_spoken_to() {
    let mut helper = RunningHelper::start();
    assert_eq!(helper.hear_within(Duration::from_millis(300)), None);
    helper.hang_up();
    assert_eq!(helper.end().code(), Some(0));
    assert_eq!(helper.hear_within(Duration::ZERO), None);
}

#[test]
fn it_says_who_it_is_and_ends_when_told() {
    let mut helper = RunningHelper::start();
    helper.say(Request::Hello { version: VERSION });
    let Reply::Hello(hello) = helper.hear() else {
        panic!("no hello")
    };
    assert_eq!(hello.version, VERSION);
    assert!(!hello.kernel.is_empty() && !hello.boot_id.is_empty() && hello.monotonic_ns > 0);
    helper.say(Request::Bye);
    assert_eq!(done(&helper.hear()), (0, 0));
    assert_eq!(helper.end().code(), Some(0));
}

#[test]
fn another_version_is_refused() {
    let mut helper = RunningHelper::start();
    helper.say(Request::Hello { version: VERSION + 1 });
    let last = helper.hear();
    assert!(why(&last).contains(&format!("version {}", VERSION + 1)), "{last:?}");
    assert_eq!(done(&last), (3, 0));
    assert_eq!(helper.end().code(), Some(3));
}

#[test]
fn a_request_before_the_greeting_is_refused() {
    let mut helper = RunningHelper::start();
    helper.say(Request::Go { id: 1 });
    assert!(why(&helper.hear()).contains("first line"));
    assert_eq!(helper.end().code(), Some(3));
}

#[test]
fn what_it_does_not_understand_is_counted_and_skipped() {
    let mut helper = RunningHelper::greeted();
    helper.say_raw("this is no JSON");
    helper.say_raw(r#"{"seq":3,"say":{"dance":{"id":1}}}"#);
    helper.say_raw(r#"{"seq":4,"say":{"go":{"id":"one"}}}"#);
    let Reply::Failed { request, .. } = helper.hear() else {
        panic!("a wrong content is a failed request")
    };
    assert_eq!(request, "go");
    helper.say(Request::Bye);
    assert_eq!(done(&helper.hear()), (0, 2));
}

#[test]
fn a_gap_in_the_numbers_ends_it() {
    let mut helper = RunningHelper::greeted();
    helper.say_raw(r#"{"seq":9,"say":"alive"}"#);
    assert!(why(&helper.hear()).contains("number 9"));
    assert_eq!(helper.end().code(), Some(3));
}

#[test]
fn what_was_never_planned_cannot_go() {
    let mut helper = RunningHelper::greeted();
    for request in [Request::Go { id: 5 }, Request::Stop { id: 5 }] {
        helper.say(request);
        assert!(matches!(helper.hear(), Reply::Failed { .. }));
    }
}

#[test]
fn an_unknown_probe_is_an_answer_not_an_end() {
    let mut helper = RunningHelper::greeted();
    helper.say(Request::Arm {
        id: 1,
        probes: vec!["no-such-probe".into()],
        filter: Filter::default(),
    });
    let says = format!("{:?}", helper.hear());
    assert!(says.contains("no-such-probe"), "{says}");
    helper.say(Request::Bye);
    assert_eq!(done(&helper.hear()).0, 0);
}

#[test]
fn an_endpoint_that_is_not_there_is_missing() {
    let mut helper = RunningHelper::greeted();
    helper.say(Request::Resolve {
        endpoint: "pid/4194305".into(),
        from: None,
    });
    assert!(matches!(helper.hear(), Reply::Resolved(Known::Missing(_))));
}

#[test]
fn the_end_of_its_input_is_its_end() {
    let mut helper = RunningHelper::greeted();
    helper.say(Request::Arm {
        id: 1,
        probes: Vec::new(),
        filter: Filter::default(),
    });
    assert!(matches!(helper.hear(), Reply::Armed { .. }));
    helper.hang_up();
    assert_eq!(
        helper
            .end_within(Duration::from_secs(5))
            .and_then(|status| status.code()),
        Some(0)
    );
}

#[test]
fn signals_end_it_in_order_and_it_says_which() {
    for signal in [Signal::SIGTERM, Signal::SIGINT] {
        let mut helper = RunningHelper::greeted();
        helper.say(Request::Arm {
            id: 1,
            probes: Vec::new(),
            filter: Filter::default(),
        });
        helper.hear();
        helper.say(Request::Go { id: 1 });
        helper.hear();
        kill(Pid::from_raw(helper.pid() as i32), signal).unwrap();
        assert!(matches!(helper.hear(), Reply::Stopped { id: 1, .. }));
        let last = helper.hear();
        assert!(why(&last).contains(signal.as_str()), "{last:?}");
        assert_eq!(done(&last).0, 3);
        assert_eq!(helper.end().code(), Some(3));
    }
}

#[test]
fn its_own_deadline_ends_it() {
    let mut command = Command::new(env!("CARGO_BIN_EXE_node-helper"));
    let mut helper = RunningHelper::start_with(command.args(["--deadline", "1"]));
    helper.say(Request::Hello { version: VERSION });
    helper.hear();
    assert!(why(&helper.hear()).contains("time is over"));
    assert_eq!(helper.end().code(), Some(3));
}

#[test]
fn it_shows_that_it_lives_and_ends_when_the_client_does_not() {
    let mut helper = RunningHelper::greeted();
    assert!(helper.is_heard_alive_within(Duration::from_secs(5)));
    let last = helper.hear_within(Duration::from_secs(20));
    assert!(
        last.as_ref().is_some_and(|last| why(last).contains("silent")),
        "{last:?}"
    );
    assert_eq!(helper.end().code(), Some(3));
}

#[test]
fn a_client_that_does_not_listen_is_left() {
    let output = Command::new("/bin/sh")
        .args([
            "-c",
            r#"(echo '{"seq":1,"say":{"hello":{"version":1}}}'; exec sleep 1) | "$0" | true"#,
        ])
        .arg(env!("CARGO_BIN_EXE_node-helper"))
        .output()
        .unwrap();
    assert!(output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}
