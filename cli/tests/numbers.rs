//! Numbers as their user meets them: `top` and `inspect`, what they say of a helper's readings, and how they end.

#![allow(clippy::unwrap_used, reason = "this is a test's")]

mod skoop;

use serde_json::Value;
use skoop::{A, DONE, Fake, HELLO};
use std::path::Path;
use tempfile::TempDir;

/// A helper that has the probes these commands ask for.
fn hello() -> String {
    let names = [
        "drop",
        "dns",
        "tcp",
        "udp",
        "tcpext",
        "ip",
        "sock",
        "sockmem",
        "tcpsummary",
        "netdev",
        "qdisc",
        "softnet",
        "conntrack",
        "fd",
        "io",
        "cpu",
    ];
    let probes: Vec<String> = names
        .iter()
        .map(|name| {
            format!(
                r#"{{"name":"{name}","about":"x","cost":"x","reads":{}}}"#,
                !matches!(*name, "drop" | "dns")
            )
        })
        .collect();
    let at = HELLO.find(r#""probes":"#).unwrap();
    format!(r#"{}"probes":[{}]}}}}"#, &HELLO[..at], probes.join(","))
}

const GOING: &str = r#"{"going":{"id":$id,"at_ns":1000000000}}"#;
const STOPPED: &str = r#"{"stopped":{"id":$id,"at_ns":5000000000,"events":0,"lost":[],
    "totals":[{"probe":"drop","netns":7,"what":"drop NETFILTER_DROP nft_do_chain","count":9}],"bpf":null}}"#;

fn described(id: u32, name: &str, kind: &str, labels: &str) -> String {
    let probe = match name.split_once('.').unwrap().0 {
        "Tcp" => "tcp",
        "TcpExt" => "tcpext",
        probe => probe,
    };
    format!(
        r#"{{"describe":{{"window":2,"id":{id},"probe":"{probe}","name":"{name}","kind":"{kind}","unit":"count","labels":{{{labels}}}}}}}"#
    )
}

/// A pod's namespace in which twelve connects fail, a queue overflows and nine packets are dropped in four seconds.
fn suffering() -> Fake {
    meeting(
        "[1,112],[2,1038],[3,4],[4,6],[7,2],[8,5]",
        r#"{"facts":{"id":$id,"name":"netns/a","phase":"before","facts":{"netns":7,"at_ns":1,"links":{"known":[{"index":2,"name":"eth0","mtu":1400,"up":true,"carrier":true}]}}}}"#,
    )
}

/// The same at another time: nothing fails.
fn well() -> Fake {
    meeting(
        "[1,100],[2,1038],[3,0],[4,6],[7,0],[8,0]",
        r#"{"facts":{"id":$id,"name":"netns/a","phase":"before","facts":{"netns":7,"at_ns":1,"links":{"known":[{"index":2,"name":"eth0","mtu":1500,"up":true,"carrier":true}]}}}}"#,
    )
}

/// A namespace whose numbers come to these, with these settings.
fn meeting(values: &str, facts: &str) -> Fake {
    meeting_until(values, facts, &[])
}

/// The same, where a helper says these, too, as its window closes.
fn meeting_until(values: &str, facts: &str, last: &[&str]) -> Fake {
    let hello = hello();
    let armed: Vec<String> = ["drop", "tcp", "tcpext", "tcpsummary", "netdev"]
        .iter()
        .map(|name| format!(r#"{{"name":"{name}"}}"#))
        .collect();
    let armed = format!(
        r#"{{"armed":{{"id":$id,"probes":[{},{{"name":"conntrack","unsupported":{{"what":"probe conntrack","why":"it is not loaded"}}}}]}}}}"#,
        armed.join(",")
    );
    let describe = [
        described(1, "Tcp.AttemptFails", "counter", ""),
        described(2, "Tcp.ActiveOpens", "counter", ""),
        described(3, "TcpExt.ListenOverflows", "counter", ""),
        described(4, "tcpsummary.sockets", "gauge", r#""state":"ESTABLISHED""#),
        described(5, "tcpsummary.waiting", "gauge", r#""listener":"0.0.0.0:80""#),
        described(6, "tcpsummary.backlog", "gauge", r#""listener":"0.0.0.0:80""#),
        described(7, "netdev.rx_dropped", "counter", r#""interface":"eth0""#),
        described(8, "TcpExt.FromTheFuture", "counter", ""),
    ];
    let sample = |at_ns: u64, whose: &str, values: &str| {
        format!(r#"{{"series":{{"window":2,"netns":7,"at_ns":{at_ns}{whose},"values":[{values}]}}}}"#)
    };
    let first = sample(
        1_000_000_000,
        r#","whose":{"name":"netns/a","owner":{"netns":{"name":"a"}},"processes":1}"#,
        "[1,100],[2,1000],[4,3],[5,129],[6,128]",
    );
    let second = sample(5_000_000_000, "", values);
    let round = |number: u32| {
        format!(r#"{{"round":{{"window":2,"number":{number},"at_ns":1,"took_us":100,"cpu_us":90,"late_us":0}}}}"#)
    };
    let (round_1, round_2) = (round(1), round(2));
    let mut on_go: Vec<&str> = vec![GOING];
    on_go.extend(describe.iter().map(String::as_str));
    on_go.extend([first.as_str(), round_1.as_str()]);
    Fake::new(&[
        ("hello", &[hello.as_str()]),
        ("resolve", &[A]),
        ("arm", &[armed.as_str()]),
        ("go", &on_go),
        ("read", &[facts, r#"{"read":{"id":$id}}"#]),
        ("stop", &[&[second.as_str(), round_2.as_str(), STOPPED], last].concat()),
        ("bye", &[DONE, "!exit 0"]),
    ])
}

#[test]
fn a_helper_that_somebody_ended_read_less_than_was_asked_for() {
    const ENDED: &str = r#"{"done":{"events":$events,"lost":0,"exit":3,"skipped":0,
        "why":{"what":"the rest of this session","why":"SIGTERM ended the helper"}}}"#;
    const FACTS: &str = r#"{"facts":{"id":$id,"name":"netns/a","phase":"before","facts":{"netns":7,"at_ns":1}}}"#;
    for command in ["top netns/a --for 100ms", "inspect netns/a --for 100ms"] {
        let ended = meeting_until("[1,100],[2,1000]", FACTS, &[ENDED, "!exit 3"]);
        let run = ended.run(command);
        run.refused_after_data(3, "what was read is not whole");
        assert!(run.err.contains("SIGTERM ended the helper"), "{run:?}");
    }
}

#[test]
fn who_suffers_stands_first_with_what_hurts_most() {
    let run = suffering().run("top netns/a --for 100ms");
    assert_eq!(run.code, Some(0), "{run:?}");
    let row = run.out.lines().find(|line| line.starts_with("netns/a")).unwrap();
    let heading = run.out.lines().find(|line| line.starts_with("PLACE")).unwrap();
    for column in ["CONNS", "FAILED", "DROPS", "WORST"] {
        assert!(heading.contains(column), "{}", run.out);
    }
    assert!(
        !heading.contains("THROTTLED"),
        "a column without anything is left out: {heading}"
    );
    assert!(row.contains("12 of 38 connections failed to be made"), "{row}");
    assert!(
        run.out.contains("4.0 s on n1"),
        "the time that was measured: {}",
        run.out
    );
    assert!(
        run.err.contains("probe conntrack is off: it is not loaded"),
        "{}",
        run.err
    );
}

#[test]
fn a_place_that_went_has_no_row_any_more_and_a_reading_that_began_late_is_told() {
    let armed = r#"{"armed":{"id":$id,"probes":[{"name":"tcp"}]}}"#;
    let sample = |netns: u32, name: &str, at_ns: u64| {
        let whose = format!(r#"{{"name":"netns/{name}","owner":{{"netns":{{"name":"{name}"}}}}}}"#);
        format!(
            r#"{{"series":{{"window":$id,"netns":{netns},"at_ns":{at_ns},"whose":{whose},"values":[[1,{at_ns}]]}}}}"#
        )
    };
    let round = |number: u32, late_us: u64| {
        format!(r#"{{"round":{{"window":$id,"number":{number},"at_ns":1,"late_us":{late_us}}}}}"#)
    };
    let series = r#"{"describe":{"window":$id,"id":1,"probe":"tcp","name":"Tcp.AttemptFails","kind":"counter"}}"#;
    let first = [
        sample(7, "a", 1_000_000_000),
        sample(8, "b", 1_000_000_000),
        round(1, 0),
    ];
    let second = [sample(7, "a", 3_900_000_000), round(2, 900_000)];
    let said = first.iter().chain(&second).map(String::as_str);
    let on_go: Vec<&str> = [GOING, series].into_iter().chain(said).collect();
    let hello = hello();
    let run = Fake::new(&[
        ("hello", &[hello.as_str()]),
        ("resolve", &[A]),
        ("arm", &[armed]),
        ("go", &on_go),
        ("stop", &[STOPPED]),
        ("bye", &[DONE, "!exit 0"]),
    ])
    .run("top netns/a -w --interval 2s --for 1s -o json");
    assert_eq!(run.code, Some(0), "{run:?}");
    let top: Value = serde_json::from_str(&run.out).unwrap_or_else(|_| panic!("{run:?}"));
    let names: Vec<&Value> = top["pods"].as_array().unwrap().iter().map(|row| &row["name"]).collect();
    assert_eq!(names, ["netns/a"]);
    assert_eq!(
        top["missing"][0]["what"],
        "numbers of n1 at the interval that was asked for"
    );
    let why = top["missing"][0]["why"].as_str().unwrap();
    assert!(why.starts_with("a reading began 900 ms late"), "{why}");
    fits_schema(&top);
}

#[test]
fn as_json_all_that_hurts_is_told_in_the_schemas_words() {
    let run = suffering().run("top netns/a --for 100ms -o json");
    let [line] = run.out.lines().collect::<Vec<_>>()[..] else {
        panic!("{run:?}")
    };
    let top: Value = serde_json::from_str(line).unwrap();
    fits_schema(&top);
    assert_eq!((&top["kind"], &top["seconds"]), (&"Top".into(), &4.0.into()));
    let pod = &top["pods"][0];
    assert_eq!(pod["values"]["failed"], 12.0);
    assert_eq!(
        (&pod["values"]["conns"], &pod["values"]["drops"]),
        (&6.0.into(), &9.0.into())
    );
    assert!(pod["values"].get("unread_bytes").is_some(), "{pod}");
    assert!(
        pod["values"].get("throttled_ratio").is_none(),
        "what was not read is absent: {pod}"
    );
    let hurts: Vec<&str> = pod["hurts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|says| says.as_str().unwrap())
        .collect();
    assert_eq!(
        hurts,
        [
            "12 of 38 connections failed to be made",
            "the accept queue of 0.0.0.0:80 was full 4 times",
            "9 packets dropped: netfilter said so (NETFILTER_DROP)",
            "eth0: 2 packets received and dropped by driver or stack",
        ]
    );
}

#[test]
fn all_numbers_of_a_place_stand_in_groups_and_those_that_hurt_come_first() {
    let run = suffering().run("inspect netns/a --for 100ms");
    assert_eq!(run.code, Some(0), "{run:?}");
    let at = |text: &str| run.out.find(text).unwrap_or_else(|| panic!("{text}: {}", run.out));
    assert!(at("✗ 12 of 38 connections") < at("failed and reset"));
    assert!(at("+12  Tcp.AttemptFails  connections that were never made") < at("queues and buffers"));
    at("+4  TcpExt.ListenOverflows");
    at("129 of 128  tcpsummary.waiting (0.0.0.0:80)");
    at("+5  TcpExt.FromTheFuture");
    assert!(
        !run.out.contains("tcpsummary.backlog"),
        "a limit stands beside what it limits: {}",
        run.out
    );
    let run = suffering().run("inspect netns/a --for 100ms -o json");
    let inspect: Value = serde_json::from_str(&run.out).unwrap();
    fits_schema(&inspect);
    assert_eq!(inspect["places"][0]["groups"][0]["shown_by"], "nstat -asz");
}

/// Records what this helper says, as a file of that name.
fn record(fake: &Fake, folder: &Path, command: &str, name: &str) -> String {
    let file = folder.join(name).display().to_string();
    let run = fake.run(&format!("{command} netns/a --for 100ms --record {file}"));
    assert_eq!(run.code, Some(0), "{run:?}");
    file
}

#[test]
fn two_recordings_of_a_place_are_compared_by_settings_and_growth_before_and_after() {
    let folder = TempDir::new().unwrap();
    let before = record(&well(), folder.path(), "inspect", "before");
    let after = record(&suffering(), folder.path(), "inspect", "after");
    let run = skoop::run(&format!("compare {before} {after}"));
    assert_eq!(run.code, Some(1), "{run:?}");
    for says in [
        "MTU of eth0",
        "1400",
        "1500",
        "Tcp.AttemptFails",
        "3.0/s",
        "TcpExt.ListenOverflows",
    ] {
        assert!(run.out.contains(says), "{says}: {}", run.out);
    }
    assert!(
        run.out.contains("read of neither, not compared: sysctls, "),
        "{}",
        run.out
    );
    let run = skoop::run(&format!("compare {before} {after} -o json"));
    let compare: Value = serde_json::from_str(&run.out).unwrap();
    fits_schema(&compare);
    assert_eq!(compare["one"]["recording"], before.as_str());
    assert_eq!(compare["differences"][0]["what"], "MTU of eth0");
    assert_eq!(compare["other"]["hurts"][0], "12 of 38 connections failed to be made");
    let same = skoop::run(&format!("compare {before} {before}"));
    assert_eq!(same.code, Some(0), "{same:?}");
    assert!(same.out.contains("nothing is different"), "{}", same.out);
}

#[test]
fn what_only_one_recording_tells_is_said_and_is_no_difference() {
    let folder = TempDir::new().unwrap();
    let with_settings = record(&well(), folder.path(), "inspect", "with");
    let without = record(&well(), folder.path(), "top", "without");
    let run = skoop::run(&format!("compare {with_settings} {without}"));
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.out.contains("nothing is different"), "{}", run.out);
    assert!(
        run.out.contains(&format!(
            "interfaces of netns/a in {without}: read only of netns/a in {with_settings}"
        )),
        "{}",
        run.out
    );
}

#[test]
fn a_file_that_is_no_recording_or_was_changed_is_compared_with_nothing() {
    let folder = TempDir::new().unwrap();
    let whole = record(&well(), folder.path(), "inspect", "whole");
    let (other, changed) = (folder.path().join("other"), folder.path().join("changed"));
    std::fs::write(&other, "no recording at all").unwrap();
    skoop::run(&format!("compare {whole} {}", other.display())).refused(2, "other is no recording");
    skoop::run(&format!("compare {whole} netns/a --local")).refused(2, "is a file and netns/a is none");
    skoop::run(&format!("compare {whole} {whole} --local")).refused(2, "nothing is looked at");
    let text = std::fs::read_to_string(&whole).unwrap();
    std::fs::write(&changed, text.replace("\"mtu\":1500", "\"mtu\":1400")).unwrap();
    let run = skoop::run(&format!("compare {whole} {}", changed.display()));
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.out.contains("was changed after it was made"), "{}", run.out);
    let cut = text
        .lines()
        .take(text.lines().count() - 2)
        .collect::<Vec<_>>()
        .join("\n");
    std::fs::write(&changed, cut + "\n").unwrap();
    assert_eq!(
        skoop::run(&format!("compare {whole} {}", changed.display())).code,
        Some(3)
    );
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_is_started() {
    skoop::run("inspect --local").refused(2, "nothing is named to inspect");
    skoop::run("top --local -w --interval 200ms").refused(2, "--interval is shorter than 500ms");
    skoop::run("top --local --view weather").refused(2, "invalid value 'weather' for '--view <VIEW>'");
    skoop::run("top netns/a --local --node n1").refused(2, "--node is about a cluster");
    suffering()
        .run("inspect netns/a --probe tpc")
        .refused(2, "there is no probe `tpc`");
}

#[test]
fn the_predecessors_names_of_probes_lead_to_ours_or_say_why_there_is_none() {
    let fake = Fake::new(&[("hello", &[hello().as_str()]), ("bye", &[DONE, "!exit 0"])]);
    let run = fake.run("explain packetloss");
    assert_eq!(run.code, Some(0), "{run:?}");
    for says in [
        "a probe of KubeSkoop",
        "here      drop: every drop with its reason",
        "sees",
    ] {
        assert!(run.out.contains(says), "{says}: {}", run.out);
    }
    let run = skoop::run("explain rdma --helper /nonexistent");
    assert!(
        run.code == Some(0) && run.out.contains("not built: it reads counters of RDMA devices"),
        "{run:?}"
    );
    let listed = fake.run("probes").out;
    for says in ["packetloss      drop: ", "virtcmdlatency  not built: "] {
        assert!(listed.contains(says), "{says}: {listed}");
    }
    suffering()
        .run("inspect netns/a --probe packetloss")
        .refused(2, "there is no probe `packetloss`: here it is `drop`");
}

#[track_caller]
fn fits_schema(document: &Value) {
    let schema: Value = serde_json::from_str(&skoop::run("schema").out).unwrap();
    let validator = jsonschema::validator_for(&schema).unwrap();
    let errors: Vec<String> = validator.iter_errors(document).map(|error| error.to_string()).collect();
    assert!(errors.is_empty(), "{errors:?}");
    // One shape among several hides which: it has to be the one that is meant.
    assert!(document["apiVersion"] == "skoop/v1");
}
