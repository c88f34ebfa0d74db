//! `map` on real traffic: who talked to whom, how often, what failed of it and where, in every form it is drawn in. Without root no
//! lab can be built, and these tests say so and pass.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use serde_json::Value;
use tests::lab::Lab;
use tests::lab::ground::lab_with;

const SOON: Duration = Duration::from_secs(20);

/// A lab in which c listens on port 80, and its node drops what goes to port 81; `None` without root.
fn lab() -> Option<(Lab, tests::process::LabProcess)> {
    let (lab, server) = lab_with("two-nodes", "c", "http 80").unwrap()?;
    lab.run(
        "y",
        "nft add table ip lab; nft 'add chain ip lab f { type filter hook forward priority 0; }'; nft add rule ip lab f tcp dport 81 drop",
        SOON,
    )
    .unwrap();
    Some((lab, server))
}

/// What `map` prints of a window in which `inside` is done.
fn mapped(lab: &Lab, arguments: &str, inside: impl FnOnce()) -> String {
    let recording = lab.directory().join("map.skoop");
    let _ = fs::remove_file(&recording);
    let line = lab
        .diagnosis(
            &format!("map {arguments} --for 7s --record {}", recording.display()),
            "",
        )
        .unwrap();
    let child = Command::new("/bin/sh")
        .args(["-c", &line])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let opened = Instant::now();
    let is_open = || fs::read_to_string(&recording).is_ok_and(|lines| lines.contains("\"going\""));
    while !is_open() {
        assert!(opened.elapsed() < SOON, "no window was opened: {line}");
        std::thread::yield_now();
    }
    inside();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8(output.stdout).unwrap()
}

fn edge(map: &Value, source: &str, destination: &str, port: u16) -> Value {
    let edges = map["edges"].as_array().unwrap();
    let fits = |edge: &&Value| edge["source"] == source && edge["destination"] == destination && edge["port"] == port;
    edges
        .iter()
        .find(fits)
        .unwrap_or_else(|| panic!("{source} {destination} {port}: {map:#}"))
        .clone()
}

#[test]
fn connections_are_counted_once_and_what_is_lost_says_where() {
    let Some((lab, _server)) = lab() else { return };
    let name = |short: &str| format!("netns/{}", lab.netns(short).unwrap());
    let text = mapped(&lab, "{a} {c} {y} -o json", || {
        lab.run("a", "traffic 10.90.2.2:80 every=20 count=12", SOON).unwrap();
        let _ = lab.run("a", "traffic 10.90.2.2:81 every=20 limit=1200 count=2", SOON);
        let _ = lab.run("a", "traffic 10.90.2.2:82 every=20 count=4", SOON);
    });
    let map: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(map["missing"], Value::Null, "{map:#}");
    let good = edge(&map, &name("a"), &name("c"), 80);
    assert_eq!(
        (&good["connections"], &good["failed"]),
        (&12.into(), &0.into()),
        "{good:#}"
    );
    let (sent, received) = (
        good["sent_bytes"].as_u64().unwrap(),
        good["received_bytes"].as_u64().unwrap(),
    );
    assert!(sent > 12 * 10 && received > 12 * 10 && sent != received, "{good:#}");
    let dropped = edge(&map, &name("a"), &name("c"), 81);
    assert_eq!(
        (&dropped["connections"], &dropped["failed"]),
        (&2.into(), &2.into()),
        "{dropped:#}"
    );
    assert_eq!(dropped["drops"][0]["place"], name("y"), "{dropped:#}");
    // Each SYN is sent again after a second.
    let sent = 2 + dropped["retransmits"].as_u64().unwrap();
    assert_eq!(dropped["drops"][0]["packets"], sent, "{dropped:#}");
    let refused = edge(&map, &name("a"), &name("c"), 82);
    assert_eq!(
        (&refused["failed"], &refused["resets"]),
        (&4.into(), &0.into()),
        "{refused:#}"
    );
    assert_eq!(map["edges"].as_array().unwrap().len(), 3, "each once: {map:#}");
}

#[test]
fn an_open_connection_is_seen_though_it_began_before_the_window() {
    let Some((lab, _server)) = lab() else { return };
    let mut holds = lab
        .start("a", "tcp-connect 10.90.2.2:80 hold=60000", Path::new("/"))
        .unwrap();
    let connected = Instant::now();
    while !lab
        .run("c", "ss -Htn state established sport = :80", SOON)
        .unwrap()
        .contains("10.90")
    {
        assert!(connected.elapsed() < SOON);
    }
    let text = mapped(&lab, "{a} -o mermaid", || ());
    let drawn: Vec<&str> = text.lines().collect();
    assert_eq!(drawn[0], "flowchart LR", "{text}");
    assert!(text.contains("\"10.90.2.2\"") && text.contains("80, 1 open"), "{text}");
    assert!(holds.wait(Duration::ZERO).unwrap().is_none(), "it is still there");
}

#[test]
fn without_traffic_nothing_is_drawn_and_it_says_so() {
    let Some((lab, _server)) = lab() else { return };
    let line = lab.diagnosis("map {a} --for 1s", "").unwrap();
    let output = Command::new("/bin/sh").args(["-c", &line]).output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(text.contains("nobody was seen to talk to anybody"), "{text}");
}
