//! Evidence thinned on purpose: what could not be seen makes a working path `inconclusive` with the reason, never
//! `healthy`. Without root no lab can be built, and these tests say so and pass.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
use std::fs;
use std::io::Read as _;
use std::os::unix::fs::PermissionsExt as _;
use std::process::{Command, Output, Stdio};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tests::lab::Lab;
use tests::lab::ground::lab_with;
use tests::process::LabProcess;
use tests::skoop;

const SOON: Duration = Duration::from_secs(10);
const BTF: &str = "/sys/kernel/btf/vmlinux";

/// A working path from a to b, and a server on b; `None` without root.
fn working_path(server: &str) -> Option<(Lab, LabProcess)> {
    lab_with("one-node", "b", server).unwrap()
}

fn question(lab: &Lab) -> Vec<String> {
    let (a, b) = (lab.netns("a").unwrap(), lab.netns("b").unwrap());
    let words = [
        "diagnose",
        "pod-to-pod",
        &format!("netns/{a}"),
        &format!("netns/{b}:80"),
        "--local",
        "-o",
        "json",
    ];
    words.iter().map(ToString::to_string).collect()
}

/// Asks with `first` done in mount and process namespaces of the run's own.
fn ask_after(lab: &Lab, first: &str) -> Output {
    let mut command = Command::new("unshare");
    command.args([
        "--mount",
        "--pid",
        "--fork",
        "--mount-proc",
        "/bin/sh",
        "-c",
        &format!("{first} && exec \"$@\""),
        "sh",
    ]);
    command
        .arg(skoop::binary().unwrap())
        .args(question(lab))
        .output()
        .unwrap()
}

/// The report is `inconclusive`, so is the exit code, nobody is accused, and `words` are among what is missing.
fn assert_inconclusive(output: &Output, words: &[&str]) {
    let told = String::from_utf8_lossy(&output.stderr);
    let report: Value =
        serde_json::from_slice(&output.stdout).unwrap_or_else(|error| panic!("no report: {error}; {told}"));
    assert_eq!(report["outcome"], "inconclusive", "{report:#}");
    assert_eq!(output.status.code(), Some(3), "{told}");
    let causes = report["verdicts"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|verdict| verdict["cause"] == true);
    assert_eq!(causes.count(), 0, "{report:#}");
    let missing = report["missing"].to_string();
    for word in words {
        assert!(
            missing.contains(word),
            "`{word}` is not among what is missing: {missing}"
        );
    }
}

#[test]
fn nothing_is_thinned_and_the_path_is_healthy() {
    let Some((lab, _server)) = working_path("http 80") else {
        return;
    };
    let output = ask_after(&lab, "true");
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(
        report["outcome"], "healthy",
        "the other tests prove nothing unless this holds: {report:#}"
    );
}

#[test]
fn a_probe_that_cannot_attach() {
    let Some((lab, _server)) = working_path("http 80") else {
        return;
    };
    let mut btf = fs::read(BTF).unwrap();
    let name = b"\0btf_trace_kfree_skb\0";
    let at = btf.windows(name.len()).position(|window| window == name).unwrap();
    btf[at + name.len() - 2] = b'x';
    let doctored = lab.directory().join("btf");
    fs::write(&doctored, btf).unwrap();
    let output = ask_after(&lab, &format!("mount --bind {} {BTF}", doctored.display()));
    assert_inconclusive(&output, &["drop", "kfree_skb"]);
}

#[test]
fn a_kernel_without_btf() {
    let Some((lab, _server)) = working_path("http 80") else {
        return;
    };
    let output = ask_after(&lab, &format!("mount --bind /dev/null {BTF}"));
    assert_inconclusive(&output, &["path", "drop", "BTF"]);
}

#[test]
fn rules_that_cannot_be_read() {
    let Some((lab, _server)) = working_path("http 80") else {
        return;
    };
    lab.run("b", "iptables-nft -A INPUT -p tcp --dport 80 -j ACCEPT", SOON)
        .unwrap();
    // A name that is no text could be taken for another.
    lab.run("b", "iptables-nft -N \"$(printf '\\377')\"", SOON).unwrap();
    assert_inconclusive(&ask_after(&lab, "true"), &["table ip filter", "UTF-8"]);
}

/// A pod brings a file that is called as a tool is, to a node that has no such tool.
#[test]
fn a_file_of_a_workload_is_never_run() {
    let Some((lab, _server)) = working_path("http 80") else {
        return;
    };
    for rule in [
        "iptables-nft -A INPUT -p tcp --dport 80 -j ACCEPT",
        "iptables-legacy -A INPUT -p tcp --dport 80 -j ACCEPT",
        "nft add table inet own",
    ] {
        lab.run("b", rule, SOON).unwrap();
    }
    let (root, marker) = (lab.directory().join("root"), lab.directory().join("was-run"));
    let planted = lab.directory().join("planted");
    fs::write(&planted, format!("#!/bin/sh\necho \"$0\" >> {}\n", marker.display())).unwrap();
    fs::set_permissions(&planted, fs::Permissions::from_mode(0o755)).unwrap();
    fs::create_dir(&root).unwrap();
    let plant = format!(
        "mount --rbind / {root} && for tool in nft xtables-nft-multi xtables-legacy-multi; do \
         mount --bind {planted} {root}/usr/sbin/$tool; done && (chroot {root} sleep 60 &) && \
         mount -t tmpfs none /usr/sbin",
        root = root.display(),
        planted = planted.display()
    );
    let output = ask_after(&lab, &plant);
    let report: Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(report["outcome"], "healthy", "{report:#}");
    assert!(!marker.exists(), "run: {}", fs::read_to_string(&marker).unwrap());
}

#[test]
fn a_helper_that_is_killed() {
    let Some((lab, _server)) = working_path("tcp-silent 80") else {
        return;
    };
    let mut client = Command::new(skoop::binary().unwrap())
        .args(question(&lab))
        .args(["--send", "hello", "--timeout", "8s"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // Its window is open as soon as the server has a connection.
    let end = Instant::now() + SOON;
    while !lab
        .run("b", "ss -Htn state established sport = :80", SOON)
        .unwrap()
        .contains(":80")
    {
        assert!(Instant::now() < end, "the run sent nothing");
    }
    let children = format!("/proc/{0}/task/{0}/children", client.id());
    let helper: i32 = fs::read_to_string(children).unwrap().trim().parse().unwrap();
    kill(Pid::from_raw(helper), Signal::SIGKILL).unwrap();
    let (mut stdout, mut stderr) = (Vec::new(), Vec::new());
    client.stdout.take().unwrap().read_to_end(&mut stdout).unwrap();
    client.stderr.take().unwrap().read_to_end(&mut stderr).unwrap();
    let output = Output {
        status: client.wait().unwrap(),
        stdout,
        stderr,
    };
    assert_inconclusive(&output, &["helper"]);
}
