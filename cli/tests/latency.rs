//! `latency` and `capture --slow` as their user meets them: a row for each stage, a document as the schema says, each slow wait as a line,
//! and an honest end without traffic.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod skoop;

use model::histogram::bucket;
use serde_json::Value;
use skoop::{A, DONE, Fake, HELLO, Run};

const ARMED: &str = r#"{"armed":{"id":$id,"probes":[{"name":"socketlatency","hooks":["tp_btf:sk_data_ready"]}]}}"#;
const GOING: &str = r#"{"going":{"id":$id,"at_ns":1000000000}}"#;
const DESCRIBED: &str = r#"{"describe":{"window":$id,"id":1,"probe":"socketlatency","name":"socketlatency.read",
    "kind":"histogram","unit":"nanoseconds","labels":{"protocol":"tcp"}}}"#;
const BPF: &str = r#"{"runs":9,"ns":1400000}"#;
const LOST: &str = r#"[{"probe":"socketlatency","ring_full":0,"over_budget":0,"uncounted":3}]"#;

/// A reading of namespace 7, with these buckets.
fn read(number: u32, buckets: &str) -> [String; 2] {
    let at_ns = u64::from(number) * 2_000_000_000;
    [
        format!(
            r#"{{"series":{{"window":$id,"netns":7,"at_ns":{at_ns},"whose":{{"name":"netns/a","owner":"host"}},"buckets":{buckets}}}}}"#
        ),
        format!(r#"{{"round":{{"window":$id,"number":{number},"at_ns":{at_ns}}}}}"#),
    ]
}

/// A packet waited in two stages, and a program let data wait.
const SLOW: [&str; 2] = [
    r#"{"event":{"at_ns":1500000000,"probe":"kernellatency","netns":7,"ifindex":2,"interface":"eth0",
    "flow":{"src":"10.0.0.1","sport":41234,"dst":"10.0.0.2","dport":80,"protocol":"tcp"},"seen":{"what":"slow","took_ns":61000000,
    "stages":[{"stage":"kernellatency.send","took_ns":20000000},{"stage":"kernellatency.queue","took_ns":41000000}]}}}"#,
    r#"{"event":{"at_ns":1600000000,"probe":"socketlatency","netns":7,"pid":77,"process":"web",
    "flow":{"src":"10.0.0.1","sport":80,"dst":"10.0.0.2","dport":41234,"protocol":"tcp"},
    "seen":{"what":"slow","took_ns":200000000,"stages":[{"stage":"socketlatency.read","took_ns":200000000}]}}}"#,
];

/// Runs it with a helper that reads these buckets first and last, and lost that.
fn run(first: &str, last: &str, losses: &str, arguments: &str) -> Run {
    command(
        first,
        last,
        losses,
        &[],
        &format!("latency netns/a --for 1s {arguments}"),
    )
}

/// Runs a command with such a helper, which says these events, too.
fn command(first: &str, last: &str, losses: &str, events: &[&str], arguments: &str) -> Run {
    let hello = HELLO.replace(
        r#"{"name":"tcpreset""#,
        r#"{"name":"socketlatency","about":"waits","cost":"0.4 us a read"},{"name":"kernellatency","about":"waits",
        "cost":"0.3 us a packet"},{"name":"biolatency","about":"disks","cost":"little"},{"name":"tcpreset""#,
    );
    let [first, round] = read(1, first);
    let [last, end] = read(2, last);
    let going: Vec<&str> = [GOING, DESCRIBED, &first, &round]
        .into_iter()
        .chain(events.iter().copied())
        .collect();
    let stopped = format!(
        r#"{{"stopped":{{"id":$id,"at_ns":4000000000,"events":$events,"lost":{losses},"totals":[],"bpf":{BPF}}}}}"#
    );
    Fake::new(&[
        ("hello", &[&hello]),
        ("resolve", &[A]),
        ("arm", &[ARMED]),
        ("go", &going),
        ("stop", &[&last, &end, &stopped]),
        ("bye", &[DONE, "!exit 0"]),
    ])
    .run(arguments)
}

/// Four values of 40 us from before, of which the window knows nothing; 98 more in it, and two of 200 ms.
fn buckets() -> [String; 2] {
    let (fast, slow) = (bucket(40_000), bucket(200_000_000));
    [
        format!("[[1,[[{fast},4]]]]"),
        format!("[[1,[[{fast},102],[{slow},2]]]]"),
    ]
}

fn traffic(arguments: &str, losses: &str) -> Run {
    let [first, last] = buckets();
    run(&first, &last, losses, arguments)
}

fn capture(arguments: &str, losses: &str, events: &[&str]) -> Run {
    let [first, last] = buckets();
    let arguments = format!("capture netns/a --for 1s {arguments}");
    command(&first, &last, losses, events, &arguments)
}

#[test]
fn a_stage_is_a_row_with_what_grew_in_the_window() {
    let run = traffic("", "[]");
    assert_eq!(run.code, Some(0), "{run:?}");
    let row = run.out.lines().find(|line| line.starts_with("read by")).unwrap();
    let words: Vec<&str> = row.split_whitespace().collect();
    assert_eq!(words[..6], ["read", "by", "application,", "tcp", "socket", "100"]);
    assert_eq!(words[6..12], ["40", "us", "201", "ms", "201", "ms"]);
    assert_eq!(words[12..], ["█", "▁"]);
}

#[test]
fn the_document_is_as_the_schema_says() {
    let run = traffic("-o json", LOST);
    let document: Value = serde_json::from_str(&run.out).unwrap();
    let schema = serde_json::from_str(&cli::report_schema()).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&document));
    assert_eq!(
        (&document["kind"], &document["seconds"]),
        (&"Latency".into(), &2.0.into())
    );
    let place = &document["places"][0];
    assert_eq!((&place["name"], &place["netns"]), (&"netns/a".into(), &7.into()));
    let stage = &place["stages"][0];
    assert_eq!(
        (&stage["stage"], &stage["where"], &stage["count"]),
        (&"read by application, tcp".into(), &"socket".into(), &100.into())
    );
    let buckets = stage["buckets"].as_array().unwrap();
    assert_eq!((&buckets[0][2], &buckets[1][2]), (&98.into(), &2.into()));
    assert_eq!(document["bpf"]["ns"], 1_400_000);
    // What was lost is told.
    assert_eq!(document["missing"][0]["what"], "up to 3 times of socketlatency on n1");
}

#[test]
fn without_traffic_there_is_nothing_to_measure_and_that_is_no_answer() {
    let before = format!("[[1,[[{},4]]]]", bucket(40_000));
    let run = run(&before, "[]", "[]", "");
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.out.contains("nothing to measure"), "{}", run.out);
}

#[test]
fn what_it_costs_is_said_beside_the_data_before_anything_is_measured() {
    for run in [traffic("-o json", "[]"), capture("--slow 50ms -o json", "[]", &[])] {
        assert!(run.err.contains("probe socketlatency costs 0.4 us a read"), "{run:?}");
        assert!(run.err.contains("probe kernellatency costs 0.3 us a packet"), "{run:?}");
    }
}

#[test]
fn each_slow_wait_is_a_line_with_its_stages_and_its_process_and_the_distributions_come_at_the_end() {
    let run = capture("--slow 50ms", LOST, &SLOW);
    assert_eq!(run.code, Some(0), "{run:?}");
    for line in [
        "61 ms: socket to queue 20 ms, queue to device 41 ms",
        "200 ms: read by application web (77)",
    ] {
        assert!(run.out.contains(line), "{}", run.out);
    }
    let at = |text: &str| run.out.find(text).unwrap_or_else(|| panic!("no {text} in {}", run.out));
    assert!(
        at("200 ms: read") < at("read by application, tcp  socket    100"),
        "{}",
        run.out
    );
    assert!(
        at("up to 3 times of socketlatency") < at("2 events shown, 0 lost"),
        "{}",
        run.out
    );
    assert_eq!(run.out.matches("our eBPF used 1.4 ms").count(), 1, "{}", run.out);
    // What was lost of times is no lost event, and that there are no totals by cause is as it should be.
    assert!(
        !run.out.contains("Totals") && !run.out.contains("Nothing was seen"),
        "{}",
        run.out
    );
}

#[test]
fn as_json_the_distributions_are_the_last_line() {
    let run = capture("--slow 50ms -o json", "[]", &SLOW);
    let lines: Vec<Value> = run
        .out
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines.len(), 3, "{}", run.out);
    assert_eq!(
        lines[0]["seen"]["stages"][1],
        serde_json::json!({"stage": "kernellatency.queue", "took_ns": 41_000_000})
    );
    assert_eq!(lines[1]["process"], "web");
    let schema = serde_json::from_str(&cli::report_schema()).unwrap();
    assert!(jsonschema::validator_for(&schema).unwrap().is_valid(&lines[2]));
    assert_eq!(lines[2]["kind"], "Latency");
}

#[test]
fn a_capture_of_a_probe_that_measures_shows_what_it_measured() {
    let run = capture("--probe socketlatency", "[]", &[]);
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(
        run.out.contains("read by application, tcp  socket    100"),
        "{}",
        run.out
    );
    // Without a probe that measures there are no times to be slow.
    capture("--probe tcpreset --slow 50ms", "[]", &[]).refused(2, "socketlatency, kernellatency");
    capture("--slow 2h", "[]", &[]).refused(2, "1us to 1h");
}

#[test]
fn it_measures_nobody_who_is_not_named() {
    skoop::run("latency --local").refused(2, "nothing is named to measure");
}

#[test]
fn ends_and_what_is_sent_to_them_that_cannot_be_meant_are_refused() {
    for (arguments, says) in [
        ("netns/a netns/b:80 netns/c", "one or two ends can be measured"),
        ("netns/a --send hello", "write latency A B:PORT"),
        ("netns/a api.example.com:80", "write its address"),
        ("netns/a netns/b:80 --peer netns/b", "leave one of them out"),
        ("netns/a --peer netns/b:80", "--peer is about all ports"),
        ("netns/a --peer netns/b --http /", "--peer names none"),
        ("netns/a netns/b --http /", "tcp needs a port"),
        ("netns/a netns/b:80 --protocol icmp", "--protocol is icmp"),
        ("netns/a netns/b:80 --node n1", "--node names more"),
    ] {
        skoop::run(&format!("latency {arguments} --local")).refused(2, says);
    }
}

#[test]
fn the_first_line_says_which_stage_takes_the_time() {
    let run = traffic("", "[]");
    let first = run.out.lines().next().unwrap();
    assert!(
        first.starts_with("nearly all of the measured time is read by application, tcp (netns/a socket): 100 times"),
        "{first}"
    );
}

/// Resolves `netns/b` to a namespace of its own, and all else to `netns/a`.
const BOTH: &str = r#"!case $line in *netns/b*) say '{"resolved":{"known":{"asked":"netns/b","kind":"netns","node":"n1","netns":8,
    "name":"netns/b","addresses":["10.0.0.2"]}}}' ;; *) say '{"resolved":{"known":{"asked":"netns/a","kind":"netns","node":"n1",
    "netns":7,"name":"netns/a","addresses":["10.0.0.1"]}}}' ;; esac"#;

#[test]
fn between_two_ends_a_row_says_of_which_it_is_and_an_end_that_saw_nothing_is_told() {
    let [first, last] = buckets();
    let ([first, round], [last, end]) = (read(1, &first), read(2, &last));
    let folder = tempfile::TempDir::new().unwrap();
    let asked = folder.path().join("asked");
    let note = format!("!printf '%s\\n' \"$line\" >> {}", asked.display());
    let stopped = r#"{"stopped":{"id":$id,"at_ns":4000000000,"events":0,"lost":[],"totals":[]}}"#;
    let both = BOTH.replace('\n', " ");
    let run = Fake::new(&[
        ("hello", &[HELLO]),
        ("resolve", &[&both]),
        ("arm", &[&note, ARMED]),
        ("go", &[GOING, DESCRIBED, &first, &round]),
        ("stop", &[&last, &end, stopped]),
        ("bye", &[DONE, "!exit 0"]),
    ])
    .run("latency netns/a netns/b:80 --for 1s");
    assert_eq!(run.code, Some(0), "{run:?}");
    for line in [
        "netns/a and netns/b:80 · in 2.0 s",
        "read by application, tcp  netns/a socket    100",
        "the times at netns/b:80: ",
    ] {
        assert!(run.out.contains(line), "{line}: {}", run.out);
    }
    // The kernel is asked for nothing else.
    let armed: Value = serde_json::from_str(std::fs::read_to_string(asked).unwrap().trim()).unwrap();
    let filter = &armed["say"]["arm"]["filter"];
    let expected = serde_json::json!([[7, 8], ["10.0.0.1"], ["10.0.0.2"], [80]]);
    let sent = ["netns", "addresses", "peers", "ports"].map(|list| filter[list].clone());
    assert_eq!(Value::from(sent.to_vec()), expected);
}
