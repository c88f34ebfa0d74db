//! What a capture says at its end of real traffic: the causes that its events prove, and nothing where all is well. Without root no
//! lab can be built, and these tests say so and pass.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
use std::path::Path;
use std::process::Command;
use std::time::Duration;

use serde_json::{Value, json};
use tests::lab::Lab;
use tests::lab::ground::lab_with;
use tests::process::LabProcess;

const SOON: Duration = Duration::from_secs(20);

/// A lab in which c listens on port 80; `None` without root.
fn lab() -> Option<(Lab, LabProcess)> {
    lab_with("two-nodes", "c", "http 80").unwrap()
}

/// What is printed, line by line, while this goes on in a.
fn captured(lab: &Lab, arguments: &str, meanwhile: &str) -> Vec<String> {
    let traffic = lab.start("a", meanwhile, Path::new("/")).unwrap();
    let line = lab.diagnosis(&format!("capture {arguments}"), "").unwrap();
    let output = Command::new("/bin/sh").args(["-c", &line]).output().unwrap();
    drop(traffic);
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8(output.stdout).unwrap();
    text.lines().map(str::to_owned).collect()
}

/// The last line of a capture that prints JSON.
fn causes(lines: &[String]) -> Value {
    let last: Value = serde_json::from_str(lines.last().unwrap()).unwrap();
    assert_eq!(
        (&last["apiVersion"], &last["kind"]),
        (&json!("skoop/v1"), &json!("Causes"))
    );
    last
}

#[test]
fn at_its_end_a_capture_names_the_rule_that_dropped_what_it_showed() {
    let Some((lab, _server)) = lab() else { return };
    let rule = "iptables-legacy -A FORWARD -p tcp --dport 80 -d 10.90.2.2 -j DROP";
    lab.run("x", rule, SOON).unwrap();
    let lines = captured(&lab, "{a} {x} --for 4s -o json", "traffic 10.90.2.2:80 every=300");
    let said = causes(&lines);
    let cause = &said["verdicts"][0];
    assert_eq!(cause["rule"], "netfilter-drop", "{said:#}");
    assert_eq!(
        cause["where"]["netns"],
        format!("netns/{}", lab.netns("x").unwrap()),
        "{said:#}"
    );
    assert_eq!(said["verdicts"].as_array().unwrap().len(), 1, "{said:#}");
    assert!(cause["conversations"][0]["failed"].as_u64().unwrap() >= 2, "{said:#}");
    let lines = captured(&lab, "{a} {x} --for 4s", "traffic 10.90.2.2:80 every=300").join("\n");
    let (causes, totals) = (lines.find("1 cause was proven"), lines.find("Totals by cause"));
    assert!(causes.is_some() && causes < totals, "{lines}");
}

#[test]
fn of_what_goes_well_it_says_nothing() {
    let Some((lab, _server)) = lab() else { return };
    let lines = captured(&lab, "{a} {x} --for 2s -o json", "traffic 10.90.2.2:80");
    let said = causes(&lines);
    assert_eq!(
        (&said["verdicts"], &said["unexplained"]),
        (&json!([]), &json!([])),
        "{said:#}"
    );
    let text = captured(&lab, "{a} {x} --for 1s", "traffic 10.90.2.2:80").join("\n");
    assert!(!text.contains("proven"), "{text}");
}

#[test]
fn where_it_does_not_look_it_accuses_nobody() {
    let Some((lab, _server)) = lab() else { return };
    lab.run("x", "iptables-legacy -A FORWARD -p tcp --dport 80 -j DROP", SOON)
        .unwrap();
    // In a nothing is dropped; what x does was not asked for.
    for probes in ["", "--probe drop", "--probe tcpretrans"] {
        let asked = format!("{{a}} --for 4s {probes} -o json");
        let said = causes(&captured(&lab, &asked, "traffic 10.90.2.2:80 every=300"));
        assert_eq!(said["verdicts"], json!([]), "{said:#}");
    }
}
