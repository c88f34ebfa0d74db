//! A run that is kept on file: whose the file is, what of secrets is in it, and what becomes of one that is not what it was.
#![cfg(unix)]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod skoop;

use skoop::{A, ARMED, DONE, DROP, Fake, GOING, HELLO, Run, STOPPED, run};
use std::fs;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Command;

/// One connection that was made.
const CONNECTED: &str = r#"{"attempt":{"id":1,"kind":"tcp","outcome":"ok","connected_ns":90000,"took_ns":90000,
    "flow":{"src":"10.0.0.1","sport":40000,"dst":"10.0.0.2","dport":80,"protocol":"tcp"}}}"#;

/// One that was refused: a fault.
const REFUSED: &str = r#"{"attempt":{"id":1,"kind":"tcp","took_ns":90000,
    "outcome":{"error":{"during":"connect","errno":{"number":111,"name":"ECONNREFUSED"}}},
    "flow":{"src":"10.0.0.1","sport":40000,"dst":"10.0.0.2","dport":80,"protocol":"tcp"}}}"#;

const ASK: &str = "diagnose pod-to-pod netns/a 10.0.0.2:80 --attempts 1 -o json";

/// A helper whose one attempt meets this.
fn meeting(attempt: &str) -> Fake {
    Fake::new(&[
        ("hello", &[HELLO]),
        ("resolve", &[A]),
        ("read", &[r#"{"read":{"id":$id}}"#]),
        ("plan", &[r#"{"planned":{"id":$id,"flows":[],"missing":[]}}"#]),
        ("arm", &[ARMED]),
        ("go", &[GOING, attempt]),
        ("stop", &[STOPPED]),
        ("bye", &[DONE, "!exit 0"]),
    ])
}

fn record(fake: &Fake, more: &str, file: &Path) -> Run {
    fake.run(&format!("{more} --record {}", file.display()))
}

fn replay(more: &str, file: &Path) -> Run {
    run(&format!("{more} --replay {}", file.display()))
}

fn outcome(run: &Run) -> (Option<i32>, String) {
    let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    (run.code, report["outcome"].as_str().unwrap().to_owned())
}

#[test]
fn a_recording_is_its_owners_alone_and_says_what_it_may_hold() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run");
    fs::write(&file, "an older one").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o666)).unwrap();
    let run = record(&Fake::capturing(), "capture netns/a --max-events 1", &file);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert_eq!(fs::metadata(&file).unwrap().permissions().mode() & 0o777, 0o600);
    let head = fs::read_to_string(&file).unwrap();
    assert!(head.lines().next().unwrap().contains("may hold secrets"), "{head}");
}

#[test]
fn a_link_in_the_place_of_the_file_is_not_followed() {
    let folder = tempfile::tempdir().unwrap();
    let (link, victim) = (folder.path().join("run"), folder.path().join("victim"));
    fs::write(&victim, "mine").unwrap();
    symlink(&victim, &link).unwrap();
    record(&Fake::capturing(), "capture netns/a --max-events 1", &link).refused(3, "it is a link");
    assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
}

#[test]
fn a_text_to_send_is_in_the_recording_only_where_that_is_asked_for() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run");
    let ask = format!("{ASK} --send hunter2");
    for (more, kept) in [("", false), (" --record-payloads", true)] {
        let recorded = record(&meeting(CONNECTED), &format!("{ask}{more}"), &file);
        let text = fs::read_to_string(&file).unwrap();
        assert_eq!(text.contains("hunter2"), kept, "{more}: {text}");
        let replayed = replay(&ask, &file);
        assert_eq!(outcome(&replayed), outcome(&recorded), "{replayed:?}");
        replay(&format!("{ASK} --send other"), &file).refused(2, "give the same arguments");
    }
    let head: serde_json::Value =
        serde_json::from_str(fs::read_to_string(&file).unwrap().lines().next().unwrap()).unwrap();
    assert_eq!(head["arguments"][7], "hunter2", "{head}");
}

#[test]
fn a_recording_that_is_whole_says_again_what_the_run_said() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run");
    for (attempt, code) in [(CONNECTED, None), (REFUSED, Some(1))] {
        let recorded = record(&meeting(attempt), ASK, &file);
        assert!(code.is_none() || recorded.code == code, "{recorded:?}");
        assert_eq!(outcome(&replay(ASK, &file)), outcome(&recorded));
        let text = fs::read_to_string(&file).unwrap();
        let last = text.lines().last().unwrap();
        assert!(last.starts_with(r#"{"digest":"sha256:"#), "{last}");
    }
}

#[test]
fn a_recording_that_was_changed_proves_nothing_not_even_a_fault() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run");
    record(&meeting(REFUSED), ASK, &file);
    let whole = fs::read_to_string(&file).unwrap();
    assert_eq!(replay(ASK, &file).code, Some(1));
    for changed in [
        whole.replace("\"number\":111", "\"number\":113"),
        whole.replacen("10.0.0.2", "10.0.0.3", 1),
        whole.clone() + "{}\n",
    ] {
        assert_ne!(changed, whole);
        fs::write(&file, changed).unwrap();
        let replayed = replay(ASK, &file);
        // Where the question itself was changed, it is another one.
        if replayed.code != Some(2) {
            assert_eq!(outcome(&replayed), (Some(3), "inconclusive".to_owned()), "{replayed:?}");
            assert!(
                replayed.out.contains("was changed after it was made"),
                "{}",
                replayed.out
            );
        }
    }
}

#[test]
fn a_recording_that_was_cut_is_never_the_whole_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run");
    let ask = "capture netns/a --max-events 1";
    record(&Fake::capturing(), ask, &file);
    assert_eq!(replay(ask, &file).code, Some(0));
    let whole = fs::read_to_string(&file).unwrap();
    let lines: Vec<&str> = whole.lines().collect();
    // All that the helper said is there; that this is so is not.
    fs::write(&file, lines[..lines.len() - 1].join("\n") + "\n").unwrap();
    replay(ask, &file).refused_after_data(3, "without its digest");
    record(&meeting(REFUSED), ASK, &file);
    let whole = fs::read_to_string(&file).unwrap();
    let without = whole.rsplit_once("{\"digest\"").unwrap().0;
    fs::write(&file, without).unwrap();
    let replayed = replay(ASK, &file);
    assert_eq!(
        outcome(&replayed),
        (Some(1), "fault".to_owned()),
        "what was proven before the cut stays proven"
    );
    assert!(replayed.out.contains("without its digest"), "{}", replayed.out);
}

/// A file may grow to 8 blocks of 512 bytes and no further, as on a full disk.
#[test]
fn a_full_disk_is_told_once_and_the_run_is_not_called_fine() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run");
    let many: Vec<String> = (0..300).map(|_| DROP.to_owned()).collect();
    let mut go: Vec<&str> = vec![GOING];
    go.extend(many.iter().map(String::as_str));
    let fake = Fake::new(&[
        ("hello", &[HELLO]),
        ("resolve", &[A]),
        ("arm", &[ARMED]),
        ("go", &go),
        ("stop", &[STOPPED]),
        ("bye", &[DONE, "!exit 0"]),
    ]);
    let inner = fake.skoop(&format!("capture netns/a --max-events 300 --record {}", file.display()));
    let mut command = Command::new("sh");
    command
        .args(["-c", "trap '' XFSZ; ulimit -f 8; exec \"$0\" \"$@\""])
        .arg(inner.get_program())
        .args(inner.get_args())
        .env("NO_COLOR", "1");
    let ended = Run::of(command.output().unwrap());
    assert_eq!(ended.code, Some(3), "{}", ended.err);
    assert_eq!(ended.err.matches("writing the recording").count(), 1, "{}", ended.err);
    assert!(ended.err.contains("is not kept"), "{}", ended.err);
}
