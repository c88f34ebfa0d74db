//! What a lab showed on one kernel, told as by two machines whose clocks differ: the verdict and the path are the same. Without
//! root no lab can be built, and these tests say so and pass.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
use std::fs;
use std::process::Command;
use std::time::Duration;

use model::event::Seen;
use model::evidence::{Clock, Evidence, Window};
use model::facts::NetnsFacts;
use model::missing::Known;
use tests::clocks::{SKEWS, told};
use tests::lab::Lab;
use tests::lab::ground::lab_with;
use tests::skoop;

const SOON: Duration = Duration::from_secs(10);

/// What was seen of a request from `a` to `c:80` over two nodes, once these commands have been run; `None` without root.
fn seen(breaks: &[(&str, &str)]) -> Option<Evidence> {
    let (lab, _server) = lab_with("two-nodes", "c", "http 80").unwrap()?;
    for (place, command) in breaks {
        lab.run(place, command, SOON).unwrap();
    }
    let file = lab.directory().join("evidence");
    let netns = |name| format!("netns/{}", lab.netns(name).unwrap());
    let told = Command::new(skoop::binary().unwrap())
        .args(["diagnose", "pod-to-pod", &netns("a"), &format!("{}:80", netns("c"))])
        // To the end, whatever is proven before.
        .args(["--for", "3s", "--timeout", "1s", "--local", "--evidence"])
        .arg(&file)
        .output()
        .unwrap();
    let said = fs::read(&file).unwrap_or_else(|error| panic!("{error}: {}", String::from_utf8_lossy(&told.stderr)));
    let evidence: Evidence = serde_json::from_slice(&said).unwrap();
    Some(split(evidence, &lab))
}

/// The same as two machines would have told it: `a` and `x` on one, `y` and `c` on the other.
fn split(mut evidence: Evidence, lab: &Lab) -> Evidence {
    let far = ["y", "c"].map(|name| format!("netns/{}", lab.netns(name).unwrap()));
    let mut other = evidence.nodes[0].clone();
    for (node, name) in [(&mut evidence.nodes[0], "n1"), (&mut other, "n2")] {
        name.clone_into(&mut node.name);
        name.clone_into(&mut node.boot_id);
    }
    evidence.nodes.push(other);
    for netns in &mut evidence.netns {
        let node = if far.contains(&netns.name) { "n2" } else { "n1" };
        node.clone_into(&mut netns.node);
    }
    let home = |evidence: &Evidence, netns: u32| {
        evidence
            .netns(netns)
            .map_or_else(String::new, |netns| netns.node.clone())
    };
    for at in 0..evidence.events.len() {
        let node = home(&evidence, evidence.events[at].netns);
        let event = &mut evidence.events[at];
        // The kernels of two machines know nothing of each other's packets.
        let other_kernel = event.skb != 0 && node == "n2";
        event.skb ^= u64::from(other_kernel) << 48;
        event.node = node;
    }
    "n1".clone_into(&mut evidence.source.node);
    "n2".clone_into(&mut evidence.destination.node);
    evidence
}

/// The same with the second machine's clock so far ahead, and so much faster.
fn shifted(evidence: &Evidence, ahead_ms: i64, faster_ppm: i64) -> Evidence {
    let mut evidence = evidence.clone();
    let began = evidence.window.start_ns as i64;
    let shift = |at_ns: u64| {
        let since = at_ns as i64 - began;
        at_ns.saturating_add_signed(ahead_ms * 1_000_000 + since * faster_ppm / 1_000_000)
    };
    for event in evidence.events.iter_mut().filter(|event| event.node == "n2") {
        event.at_ns = shift(event.at_ns);
    }
    let window = evidence.nodes[1].window;
    evidence.nodes[1].window = Window {
        start_ns: shift(window.start_ns),
        end_ns: shift(window.end_ns),
    };
    evidence.events.sort_by_key(|event| event.at_ns);
    evidence
}

fn report(evidence: &Evidence) -> serde_json::Value {
    let judged = diagnoses::judge(evidence);
    told(&serde_json::json!({"outcome": judged.outcome, "verdicts": judged.verdicts, "path": judged.path}))
}

#[track_caller]
fn assert_same_with_every_clock(evidence: &Evidence) {
    let right = report(evidence);
    for (ms, ppm) in SKEWS {
        assert_eq!(
            report(&shifted(evidence, ms, ppm)),
            right,
            "{ms} ms ahead, {ppm} ppm faster"
        );
    }
}

#[test]
fn a_healthy_path_over_two_machines() {
    let Some(evidence) = seen(&[]) else { return };
    assert_eq!(report(&evidence)["outcome"], "healthy");
    assert_same_with_every_clock(&evidence);
    let aligned = diagnoses::case::clocks::aligned(&shifted(&evidence, 2_000, 100)).into_owned();
    assert!(
        matches!(aligned.nodes[1].clock, Clock::Within { ns } if ns < 1_000_000),
        "{:?}",
        aligned.nodes[1].clock
    );
}

#[test]
fn a_drop_on_the_far_machine() {
    let Some(evidence) = seen(&[("y", "iptables-legacy -A FORWARD -p tcp --dport 80 -j DROP")]) else {
        return;
    };
    assert_eq!(report(&evidence)["outcome"], "fault");
    assert_same_with_every_clock(&evidence);
}

#[test]
fn a_loss_that_nothing_tells_of_stays_where_it_is() {
    let Some(mut evidence) = seen(&[("y", "iptables-legacy -A FORWARD -p tcp --dport 80 -j DROP")]) else {
        return;
    };
    evidence.events.retain(|event| !matches!(event.seen, Seen::Drop { .. }));
    let forget = |facts: &mut NetnsFacts| facts.netfilter = Known::Known(model::facts::Netfilter::default());
    for netns in &mut evidence.netns {
        forget(&mut netns.before);
        forget(&mut netns.after);
    }
    assert_eq!(report(&evidence)["outcome"], "fault");
    assert_same_with_every_clock(&evidence);
}
