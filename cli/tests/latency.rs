//! `latency` as its user meets it: a row for each stage, a document as the schema says, and an honest end without traffic.
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

mod skoop;

use model::histogram::bucket;
use serde_json::Value;
use skoop::{A, DONE, Fake, HELLO, Run};

const ARMED: &str = r#"{"armed":{"id":$id,"probes":[{"name":"socketlatency","hooks":["tp_btf:sk_data_ready"]}]}}"#;
const GOING: &str = r#"{"going":{"id":$id,"at_ns":1000000000}}"#;
const DESCRIBED: &str = r#"{"describe":{"window":$id,"id":1,"probe":"socketlatency","name":"socketlatency.read",
    "kind":"histogram","unit":"nanoseconds","labels":{"protocol":"tcp"}}}"#;
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

/// Runs it with a helper that reads these buckets first and last, and lost that.
fn run(first: &str, last: &str, losses: &str, arguments: &str) -> Run {
    let hello = HELLO.replace(
        r#"{"name":"tcpreset""#,
        r#"{"name":"socketlatency","about":"waits","cost":"little"},{"name":"tcpreset""#,
    );
    let [first, round] = read(1, first);
    let [last, end] = read(2, last);
    let stopped = format!(r#"{{"stopped":{{"id":$id,"at_ns":4000000000,"events":0,"lost":{losses},"totals":[]}}}}"#);
    Fake::new(&[
        ("hello", &[&hello]),
        ("resolve", &[A]),
        ("arm", &[ARMED]),
        ("go", &[GOING, DESCRIBED, &first, &round]),
        ("stop", &[&last, &end, &stopped]),
        ("bye", &[DONE, "!exit 0"]),
    ])
    .run(&format!("latency netns/a --for 1s {arguments}"))
}

/// Four values of 40 us from before, of which the window knows nothing; 98 more in it, and two of 200 ms.
fn traffic(arguments: &str, losses: &str) -> Run {
    let (fast, slow) = (bucket(40_000), bucket(200_000_000));
    run(
        &format!("[[1,[[{fast},4]]]]"),
        &format!("[[1,[[{fast},102],[{slow},2]]]]"),
        losses,
        arguments,
    )
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
    // What was lost is told.
    assert_eq!(document["missing"][0]["what"], "3 times on n1");
}

#[test]
fn without_traffic_there_is_nothing_to_measure_and_that_is_no_answer() {
    let before = format!("[[1,[[{},4]]]]", bucket(40_000));
    let run = run(&before, "[]", "[]", "");
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(run.out.contains("nothing to measure"), "{}", run.out);
}

#[test]
fn it_measures_nobody_who_is_not_named() {
    skoop::run("latency --local").refused(2, "nothing is named to measure");
}
