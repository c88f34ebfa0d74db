//! Labs on the real kernel: they come up, steps see what they should, and nothing stays. Without root they cannot be
//! built, and these tests say so and pass.
use std::fs;
use std::io::Write as _;
use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tests::lab::{LABS, Lab};
use tests::topology;

const SOON: Duration = Duration::from_secs(10);

/// Labs sweep what dead ones left, so the tests take turns.
static TURN: Mutex<()> = Mutex::new(());

/// This test's turn, if labs can be built at all.
fn turn() -> Option<MutexGuard<'static, ()>> {
    if !nix::unistd::geteuid().is_root() {
        let _ = writeln!(std::io::stderr(), "skipped: building a lab needs root");
        return None;
    }
    Some(TURN.lock().unwrap_or_else(PoisonError::into_inner))
}

fn namespaces_of(lab: &str) -> usize {
    let entries = fs::read_dir("/run/netns").into_iter().flatten().flatten();
    entries
        .filter(|entry| entry.file_name().to_string_lossy().starts_with(lab))
        .count()
}

#[test]
fn every_topology_answers_and_leaves_nothing() {
    let Some(_turn) = turn() else { return };
    for name in topology::NAMES {
        let lab = Lab::build(&topology::named(name).unwrap()).unwrap();
        let (directory, a) = (lab.directory(), lab.netns("a").unwrap());
        lab.resolv("a", "nameserver 10.90.2.2").unwrap();
        let mut server = lab.start("a", "http 80", Path::new("/")).unwrap();
        server.ready(SOON).unwrap();
        drop(server);
        drop(lab);
        assert!(
            !directory.exists() && !Path::new("/etc/netns").join(&a).exists(),
            "{name}"
        );
        assert_eq!(namespaces_of(a.strip_suffix('a').unwrap()), 0, "{name}");
    }
}

#[test]
fn a_step_sees_its_namespace_and_the_others_by_their_short_names() {
    let Some(_turn) = turn() else { return };
    let lab = Lab::build(&topology::named("two-nodes").unwrap()).unwrap();
    lab.resolv("a", "nameserver 10.90.2.2\noptions ndots:5").unwrap();
    let run = |place: &str, command: &str| lab.run(place, command, SOON).unwrap();
    assert!(run("a", "cat /etc/resolv.conf").contains("ndots:5"));
    assert!(run("x", "ls /sys/class/net").contains("vetha"));
    assert!(run("y", "ip -n a -4 addr show dev eth0").contains("10.90.1.2"));
    run("a", "ip link add to-c type veth peer name to-a netns c");
    assert!(run("c", "ip link show").contains("to-a"));
    assert!(
        lab.run("a", "exit 3", SOON)
            .unwrap_err()
            .to_string()
            .contains("exit status: 3")
    );
    assert!(lab.netns("z").unwrap_err().to_string().contains("no namespace `z`"));
}

#[test]
fn a_lab_whose_owner_died_is_swept() {
    let Some(_turn) = turn() else { return };
    let dead = "lab-0-0";
    fs::create_dir_all(Path::new(LABS).join(dead)).unwrap();
    assert!(
        Command::new("ip")
            .args(["netns", "add", &format!("{dead}-a")])
            .status()
            .unwrap()
            .success()
    );
    drop(Lab::build(&topology::bare(&["p".to_owned()])).unwrap());
    assert_eq!(namespaces_of(dead), 0);
    assert!(!Path::new(LABS).join(dead).exists());
}

#[test]
fn the_runner_judges_counts_and_says_why() {
    let Some(_turn) = turn() else { return };
    let directory = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(directory.path().join(name), text).unwrap();
    let scenario =
        "topology: one-node\nrun: diagnose {a}\nexpect: {outcome: fault, cause: no-route, where: {netns: a}}\n";
    write("right.yaml", scenario);
    write("wrong.yaml", &scenario.replace("netns: a", "netns: b"));
    write("skipped.yaml", &format!("needs: [no-such-tool]\n{scenario}"));
    write(
        "cluster.yaml",
        &format!("{}site: kubernetes\n", scenario.replace("topology: one-node\n", "")),
    );
    write("broken.yaml", &format!("{scenario}break: [a: 'false']\n"));
    write("misspelt.yaml", &scenario.replace("expect:", "expects:"));
    let tool = directory.path().join("skoop");
    let report =
        r#"{"outcome":"fault","verdicts":[{"rule":"no-route","cause":true,"says":"none","where":{"netns":"'$2'"}}]}"#;
    fs::write(&tool, format!("#!/bin/sh\necho '{report}'\nexit 1\n")).unwrap();
    fs::set_permissions(&tool, fs::Permissions::from_mode(0o755)).unwrap();
    let json = directory.path().join("json");
    let output = Command::new(env!("CARGO_BIN_EXE_scenario"))
        .args([directory.path(), Path::new("--json"), &json])
        .env("SKOOP_BIN", &tool)
        .env("KUBECONFIG", directory.path().join("no-kubeconfig"))
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    let result: serde_json::Value = serde_json::from_str(&fs::read_to_string(&json).unwrap()).unwrap();
    let totals =
        ["total", "right", "wrong", "skipped", "broken", "false_accusations"].map(|key| result[key].as_u64().unwrap());
    assert_eq!(totals, [6, 1, 1, 2, 2, 0], "{text}");
    assert_eq!(output.status.code(), Some(1));
    for why in ["no-such-tool", "no cluster", "`false` failed", "expects", "where.netns"] {
        assert!(text.contains(why), "{why} is not in {text}");
    }
}
