//! A capture from two nodes at once: what reaches the client of many events a second, and what that costs on the wire and in memory.

use crate::figure::Figure;
use crate::peak_kb;
use anyhow::{Context as _, Result, ensure};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fs;
use std::process::{Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};
use tests::kubernetes::cluster::TestCluster;
use tests::kubernetes::ground;
use tests::kubernetes::stage::Stage;
use tests::scenario::Scenario;
use tests::{signals, skoop};

const LENGTH_S: u64 = 10;
const WITHIN: Duration = Duration::from_mins(1);
/// Between two looks at the client's sockets.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A pod of each node sends datagrams to a port of its own where nobody listens: each of them is a drop and an ICMP error.
const GROUND: &str = "\
site: kubernetes
apply: |
  apiVersion: v1
  kind: Pod
  metadata: {name: noise-1}
  spec: {nodeName: n1, containers: [{name: c, image: 'lab:1', command: [lab, udp-send, '127.0.0.1:9', count=0, every=1, burst=BURST]}]}
  ---
  apiVersion: v1
  kind: Pod
  metadata: {name: noise-2}
  spec: {nodeName: n2, containers: [{name: c, image: 'lab:1', command: [lab, udp-send, '127.0.0.1:9', count=0, every=1, burst=BURST]}]}
run: capture
expect: {outcome: healthy}
";

/// Datagrams a millisecond: somewhat more than ten thousand events a second, and more than a capture is made for.
const USUAL: u32 = 8;
const TOO_MANY: u32 = 40;

/// What one capture brought.
struct Taken {
    /// Events printed, by node.
    events: BTreeMap<String, u64>,
    /// Events lost on the way, and those that were only counted.
    lost: u64,
    wire_bytes: u64,
    memory_mb: f64,
}

/// All figures of captures.
pub fn take() -> Result<Vec<Figure>> {
    signals::take_down_labs()?;
    let cluster = TestCluster::connect()?;
    ensure!(
        cluster.own().is_some(),
        "the figures are taken on the project's own cluster"
    );
    let usual = capture(&cluster, USUAL)?;
    let flood = capture(&cluster, TOO_MANY)?;
    let events: u64 = usual.events.values().sum();
    let slowest = usual.events.values().min().copied().unwrap_or_default();
    ensure!(
        flood.lost > 0,
        "a flood beyond what a capture shows lost nothing: there is no flood"
    );
    Ok(vec![
        Figure::new(
            "capture from two nodes: events a second of the quieter one",
            slowest as f64 / LENGTH_S as f64,
            "events",
        )
        .at_least(10_000.0),
        Figure::new("of them lost or only counted", usual.lost as f64, "events").at_most(0.0),
        Figure::new(
            "bytes of an event on the wire, with all else that the client reads",
            usual.wire_bytes as f64 / events as f64,
            "bytes",
        )
        .at_most(200.0),
        Figure::new("memory of the client, peak", usual.memory_mb, "MB").at_most(100.0),
        Figure::new("the same where more comes than is shown", flood.memory_mb, "MB").at_most(100.0),
    ])
}

fn capture(cluster: &TestCluster, burst: u32) -> Result<Taken> {
    let scenario = Scenario::parse(&GROUND.replace("BURST", &burst.to_string()))?;
    let stage = ground::stage(cluster, &scenario)?;
    let taken = watch(&stage);
    stage.take_down()?;
    taken
}

fn watch(stage: &Stage) -> Result<Taken> {
    let (printed, said) = (tempfile::NamedTempFile::new()?, tempfile::NamedTempFile::new()?);
    let line = format!(
        "exec {} capture --for {LENGTH_S}s -o json >{} 2>{}",
        skoop::binary()?.display(),
        printed.path().display(),
        said.path().display()
    );
    let mut client = stage.shell(&line).stdin(Stdio::null()).spawn()?;
    let (mut wire, mut memory_kb, started) = (BTreeMap::new(), 0, Instant::now());
    let status = loop {
        memory_kb = memory_kb.max(peak_kb(client.id()));
        for (socket, bytes) in received(client.id())? {
            wire.insert(socket, bytes);
        }
        if let Some(status) = client.try_wait()? {
            break status;
        }
        ensure!(started.elapsed() < WITHIN, "it does not end");
        sleep(LOOK_EVERY);
    };
    let said = fs::read_to_string(said.path())?;
    ensure!(status.success(), "the capture ended with {status}: {said}");
    let mut events = BTreeMap::new();
    for line in fs::read_to_string(printed.path())?.lines() {
        let event: Printed = serde_json::from_str(line).with_context(|| format!("understanding {line}"))?;
        *events.entry(event.node).or_default() += 1;
    }
    ensure!(events.len() == 2, "events came from {:?}: {said}", events.keys());
    Ok(Taken {
        events,
        lost: lost(&said).with_context(|| format!("no count of losses in: {said}"))?,
        wire_bytes: wire.values().sum(),
        memory_mb: memory_kb as f64 / 1024.0,
    })
}

#[derive(Deserialize)]
struct Printed {
    node: String,
}

/// What was lost or not shown, by a summary's last line: `1900 events shown, 3 drops of no consequence left out (--all-drops), 2 lost,
/// 40 only counted · 10.0 s`.
fn lost(said: &str) -> Option<u64> {
    let line = said.lines().rfind(|line| line.contains(" shown, "))?;
    let parts = line.split(" · ").next()?.split(", ");
    let counts = parts.filter(|part| part.ends_with(" lost") || part.ends_with(" only counted"));
    counts.map(|part| part.split(' ').next()?.parse::<u64>().ok()).sum()
}

/// Bytes that a process's TCP sockets have received, by local address, as the kernel counts them.
fn received(pid: u32) -> Result<BTreeMap<String, u64>> {
    let listed = Command::new("ss").args(["-tnpiOH"]).output().context("running ss")?;
    let text = String::from_utf8_lossy(&listed.stdout);
    let own = format!("pid={pid},");
    let sockets = text.lines().filter(|line| line.contains(&own)).filter_map(|line| {
        let address = line.split_whitespace().nth(3)?.to_owned();
        let bytes = line
            .split_whitespace()
            .find_map(|word| word.strip_prefix("bytes_received:"))?;
        Some((address, bytes.parse().ok()?))
    });
    Ok(sockets.collect())
}
