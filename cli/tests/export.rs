//! Numbers given out while a window is open, with the real helper and real traffic.
//!
//! Needs root and a client that finds its helper: `SKOOP_BIN`, or a `node-helper` beside the one under test.
#![allow(clippy::unwrap_used, clippy::print_stdout, reason = "these are a test's")]
#![cfg(target_os = "linux")]

#[path = "skoop/exporting.rs"]
mod exporting;
#[path = "skoop/receiver.rs"]
mod receiver;
mod skoop;

use exporting::{FRAME, READING, Swallowing, reading, value};
use receiver::{Receiver, Reply};
use serde_json::Value;
use skoop::{A, ARMED, DONE, DROP, Fake, GOING, HELLO, STOPPED, asked, begun, ended, run, soon, with_helper};
use std::io::{BufRead as _, BufReader};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::time::Duration;

/// What most of these read.
const PROBES: &str = "udp,tcpreset";

/// A first and a last reading of nothing.
const ROUND: &str = r#"{"round":{"window":$id,"number":1,"at_ns":1100000000}}"#;
const LAST_ROUND: &str = r#"{"round":{"window":$id,"number":2,"at_ns":1900000000}}"#;

/// The counters of one namespace: datagrams, frames, bytes.
fn counters(text: &str, netns: &Swallowing) -> [Option<u64>; 3] {
    let place = netns.place();
    let on = [place.as_str(), "interface=\"swallow\""];
    [
        value(text, "skoop_udp_OutDatagrams_total", &on[..1]),
        value(text, "skoop_netdev_tx_packets_total", &on),
        value(text, "skoop_netdev_tx_bytes_total", &on),
    ]
}

fn all_of(datagrams: u64) -> [Option<u64>; 3] {
    [Some(datagrams), Some(datagrams), Some(datagrams * FRAME)]
}

#[test]
fn a_file_has_each_reading_whole_and_counters_as_the_kernel_has_them() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("skoop.prom");
    let netns = Swallowing::new("file");
    netns.send(37);
    let ask = format!(
        "export netns/{} --local --probe udp,netdev --for 4s --interval 500ms --to openmetrics={}",
        netns.0.name,
        file.display()
    );
    let Some(command) = with_helper(&ask) else { return };
    let child = begun(command);
    let read = |path: &Path| std::fs::read_to_string(path).ok();
    let first = soon("the first reading", || read(&file));
    assert_eq!(counters(&first, &netns), all_of(37), "{first}");
    netns.send(20);
    soon("a later reading", || {
        read(&file).filter(|text| counters(text, &netns) == all_of(57))
    });
    ended(child);
    let last = read(&file).unwrap();
    assert_eq!(counters(&last, &netns), all_of(57), "{last}");
    assert!(last.ends_with("# EOF\n"));
    let left: Vec<_> = std::fs::read_dir(folder.path()).unwrap().collect();
    assert_eq!(left.len(), 1, "{left:?}");
}

#[test]
fn a_server_has_the_last_reading_by_both_families_until_the_window_ends() {
    let netns = Swallowing::new("served");
    netns.send(11);
    let ask = format!(
        "export netns/{} --local --probe udp,netdev --for 1m --interval 500ms --to prometheus=0",
        netns.0.name
    );
    let Some(command) = with_helper(&ask) else { return };
    let mut child = begun(command);
    let mut err = BufReader::new(child.stderr.take().unwrap());
    let mut line = String::new();
    err.read_line(&mut line).unwrap();
    let served: Vec<&str> = line
        .split_whitespace()
        .filter_map(|word| word.strip_prefix("http://")?.strip_suffix("/metrics"))
        .collect();
    assert_eq!(served.len(), 2, "{line}");
    assert!(
        served[0].starts_with("127.0.0.1:") && served[1].starts_with("[::1]:"),
        "{line}"
    );
    for address in &served {
        let answer = soon("a reading", || {
            let answer = asked(address, "GET /metrics", "");
            answer.starts_with("HTTP/1.0 200").then_some(answer)
        });
        assert!(
            answer.contains("content-type: application/openmetrics-text; version=1.0.0; charset=utf-8"),
            "{answer}"
        );
        assert_eq!(counters(&answer, &netns), all_of(11), "{answer}");
        assert!(answer.ends_with("# EOF\n"), "{answer}");
    }
    netns.send(31);
    soon("a later reading", || {
        (counters(&asked(served[0], "GET /metrics", ""), &netns) == all_of(42)).then_some(())
    });
    let classic = asked(served[0], "GET /metrics", "accept: text/plain\r\n");
    assert!(classic.contains("content-type: text/plain; version=0.0.4"), "{classic}");
    assert!(
        classic.contains("# TYPE skoop_udp_OutDatagrams_total counter"),
        "{classic}"
    );
    for (request, status) in [("GET /", "404"), ("POST /metrics", "405")] {
        let answer = asked(served[0], request, "");
        assert!(answer.starts_with(&format!("HTTP/1.0 {status}")), "{answer}");
    }
    // Who connects and says nothing hinders nobody.
    let _silent: Vec<TcpStream> = (0..4).map(|_| TcpStream::connect(served[0]).unwrap()).collect();
    assert!(asked(served[0], "GET /metrics", "").starts_with("HTTP/1.0 200"));
    skoop::signal(&child, "INT");
    assert!(child.wait().unwrap().success());
    assert!(TcpStream::connect(served[0]).is_err(), "it is served after the end");
}

fn lines(text: &str) -> Vec<Value> {
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// Resets sent, and datagrams sent as the last reading has them.
fn of_lines(lines: &[Value], netns: &Swallowing) -> (usize, Option<u64>) {
    let resets = lines.iter().filter(|line| line["seen"]["what"] == "reset-sent");
    let place = format!("netns/{}", netns.0.name);
    let readings = lines
        .iter()
        .filter(|line| line["kind"] == "Numbers" && line["place"] == place.as_str());
    let mut datagrams = readings.filter_map(|line| {
        let numbers = line["numbers"].as_array()?;
        let sent = numbers
            .iter()
            .find(|number| number["name"] == "skoop_udp_OutDatagrams_total")?;
        sent["value"].as_u64()
    });
    (resets.count(), datagrams.next_back())
}

#[test]
fn events_and_numbers_are_json_lines_in_files_and_on_stdout() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("events.jsonl");
    let netns = Swallowing::new("lines");
    let more = format!("--to stdout --to file={} --max-size 2k --keep 50", file.display());
    let Some(child) = reading(&netns, PROBES, &more, folder.path()) else {
        return;
    };
    netns.be_refused(9);
    netns.send(13);
    soon("the last reading", || {
        let text = std::fs::read_to_string(folder.path().join(READING)).ok()?;
        let resets = value(
            &text,
            "skoop_tcpreset_events_total",
            &[&netns.place(), "what=\"reset-sent\""],
        );
        (value(&text, "skoop_udp_OutDatagrams_total", &[&netns.place()]) == Some(13) && resets == Some(9)).then_some(())
    });
    skoop::signal(&child, "INT");
    let run = ended(child);
    let told = lines(&run.out);
    assert_eq!(of_lines(&told, &netns), (9, Some(13)), "{}", run.out);
    assert!(
        told.iter()
            .filter(|line| line["seen"].is_object())
            .all(|line| line["flow"]["dport"].is_number()),
        "{}",
        run.out
    );
    let mut kept = String::new();
    for number in (0..50).rev() {
        let name = match number {
            0 => file.clone(),
            _ => folder.path().join(format!("events.jsonl.{number}")),
        };
        let text = std::fs::read_to_string(&name).unwrap_or_default();
        assert!(text.len() <= 2_000, "{} is larger", name.display());
        kept.push_str(&text);
    }
    assert_eq!(kept, run.out, "both have the same lines");
}

#[test]
fn a_reader_of_stdout_that_goes_ends_the_export_only_where_nobody_else_takes_anything() {
    let folder = tempfile::tempdir().unwrap();
    let netns = Swallowing::new("pipe");
    netns.send(2);
    let ask = format!(
        "export netns/{} --local --probe udp --for 1m --interval 500ms --to stdout",
        netns.0.name
    );
    let Some(command) = with_helper(&ask) else { return };
    let mut child = begun(command);
    let mut out = BufReader::new(child.stdout.take().unwrap());
    out.read_line(&mut String::new()).unwrap();
    drop(out);
    assert_eq!(ended(child).err, "");
    let Some(mut child) = reading(&netns, PROBES, "--to stdout", folder.path()) else {
        return;
    };
    drop(child.stdout.take());
    netns.send(3);
    soon("a later reading", || {
        let text = std::fs::read_to_string(folder.path().join(READING)).ok()?;
        (value(&text, "skoop_udp_OutDatagrams_total", &[&netns.place()]) == Some(5)).then_some(())
    });
    skoop::signal(&child, "INT");
    ended(child);
}

/// Every entry of all pushes: its labels, its line, its metadata.
fn of_loki(receiver: &Receiver) -> Vec<(Value, Value, Value)> {
    let mut entries = Vec::new();
    for request in receiver.taken() {
        let push: Value = serde_json::from_slice(&request.body).unwrap();
        for stream in push["streams"].as_array().unwrap() {
            for entry in stream["values"].as_array().unwrap() {
                let line = serde_json::from_str(entry[1].as_str().unwrap()).unwrap();
                entries.push((stream["stream"].clone(), line, entry[2].clone()));
            }
        }
    }
    entries
}

#[test]
fn a_server_that_puts_off_gets_every_event_once_and_no_secret_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let netns = Swallowing::new("loki");
    // It is slow, is overloaded, breaks off, and then is well.
    let loki = Receiver::new(|number| match number {
        0 => Reply::status(503, "s3cret-token is what you said"),
        1 => Reply::Close,
        2 => Reply::Late(Duration::from_secs(1), 204),
        _ => Reply::status(204, ""),
    });
    let elastic = Receiver::new(|number| match number {
        0 => Reply::status(429, ""),
        _ => Reply::status(200, r#"{"errors":false,"items":[{"create":{"status":201}}]}"#),
    });
    let token = folder.path().join("token");
    std::fs::write(&token, "s3cret-token\n").unwrap();
    let login = folder.path().join("login");
    std::fs::write(&login, "me:s3cret-word").unwrap();
    let more = format!(
        "--to loki={}/base --bearer-from loki={} --tenant loki=shop --to elasticsearch={} --basic-from elasticsearch={} --index my-events",
        loki.address(),
        token.display(),
        elastic.address(),
        login.display()
    );
    let Some(child) = reading(&netns, PROBES, &more, folder.path()) else {
        return;
    };
    netns.be_refused(7);
    soon("all events at Loki", || (of_loki(&loki).len() == 14).then_some(()));
    soon("all events at Elasticsearch", || {
        let bulks = elastic.taken();
        let lines: usize = bulks.iter().map(|bulk| bulk.text().lines().count()).sum();
        (lines == 28).then_some(())
    });
    skoop::signal(&child, "INT");
    let run = ended(child);
    assert!(!run.err.contains("s3cret") && !run.out.contains("s3cret"), "{run:?}");
    assert!(
        run.err.contains("503 Service Unavailable: *** is what you said"),
        "{run:?}"
    );
    assert!(!run.err.contains("did not go out"), "{run:?}");
    let entries = of_loki(&loki);
    let sent = entries
        .iter()
        .filter(|(_, line, _)| line["seen"]["what"] == "reset-sent");
    assert_eq!((entries.len(), sent.count()), (14, 7));
    for (labels, line, metadata) in entries {
        assert!(
            labels["node"].is_string() && labels.as_object().unwrap().len() == 1,
            "{labels}"
        );
        assert_eq!(line["seen"]["what"], metadata["what"]);
        assert_eq!(metadata["place"], format!("netns/{}", netns.0.name));
    }
    for request in loki.all() {
        assert_eq!(request.path, "/base/loki/api/v1/push");
        assert_eq!(request.header("authorization"), Some("Bearer s3cret-token"));
        assert_eq!(request.header("x-scope-orgid"), Some("shop"));
    }
    for request in elastic.all() {
        assert_eq!(
            (request.path.as_str(), request.header("content-type")),
            ("/_bulk", Some("application/x-ndjson"))
        );
        assert_eq!(request.header("authorization"), Some("Basic bWU6czNjcmV0LXdvcmQ="));
        assert!(
            request.text().starts_with(r#"{"create":{"_id":""#),
            "{}",
            request.text()
        );
        assert!(request.text().contains(r#""_index":"my-events""#), "{}", request.text());
    }
}

/// Values of a series in all remote writes, by its name and one label: bits, in milliseconds order.
fn of_remote_write(receiver: &Receiver, name: &str, label: &str) -> Vec<(i64, f64)> {
    let mut values = Vec::new();
    for request in receiver.taken() {
        let body = snap::raw::Decoder::new().decompress_vec(&request.body).unwrap();
        for series in fields(&body, 1) {
            let labels: Vec<String> = fields(&series, 1)
                .iter()
                .map(|label| {
                    let text = |field| String::from_utf8(fields(label, field).remove(0)).unwrap();
                    format!("{}={}", text(1), text(2))
                })
                .collect();
            assert!(labels.is_sorted(), "{labels:?}");
            if labels.contains(&format!("__name__={name}")) && labels.iter().any(|other| other == label) {
                let sample = fields(&series, 2).remove(0);
                let value = f64::from_le_bytes(sample[1..9].try_into().unwrap());
                let at = sample[10..]
                    .iter()
                    .rev()
                    .fold(0_i64, |at, byte| (at << 7) | i64::from(byte & 0x7f));
                values.push((at, value));
            }
        }
    }
    values
}

/// The fields of bytes with that number of a message in Protocol Buffers, as far as these tests need it.
fn fields(message: &[u8], number: u8) -> Vec<Vec<u8>> {
    let (mut found, mut rest) = (Vec::new(), message);
    while let Some((tag, after)) = rest.split_first() {
        assert_eq!(tag & 7, 2, "no field of bytes");
        let end = after.iter().position(|byte| *byte < 0x80).unwrap();
        let length = after[..=end]
            .iter()
            .rev()
            .fold(0, |length, byte| (length << 7) | usize::from(byte & 0x7f));
        let (field, after) = after[end + 1..].split_at(length);
        if tag >> 3 == number {
            found.push(field.to_vec());
        }
        rest = after;
    }
    found
}

#[test]
fn a_store_that_was_away_gets_every_reading_once_and_a_collector_both() {
    let folder = tempfile::tempdir().unwrap();
    let netns = Swallowing::new("store");
    netns.send(21);
    let store = Receiver::new(|number| match number {
        1..4 => Reply::status(503, ""),
        _ => Reply::status(204, ""),
    });
    let collector = Receiver::new(|_| Reply::status(200, "{}"));
    let more = format!(
        "--to remote-write={} --to otlp={}",
        store.address(),
        collector.address()
    );
    let Some(child) = reading(&netns, PROBES, &more, folder.path()) else {
        return;
    };
    netns.send(8);
    netns.be_refused(3);
    let place = format!("place=netns/{}", netns.0.name);
    let sent = || of_remote_write(&store, "skoop_udp_OutDatagrams_total", &place);
    soon("the last value in the store", || {
        sent()
            .last()
            .is_some_and(|(_, value)| (*value - 29.0).abs() < f64::EPSILON)
            .then_some(())
    });
    let all_logs = || -> Vec<Value> {
        let taken = collector
            .taken()
            .into_iter()
            .filter(|request| request.path == "/v1/logs");
        let bodies = taken.map(|request| serde_json::from_slice::<Value>(&request.body).unwrap());
        bodies
            .flat_map(|body| {
                let records = body["resourceLogs"][0]["scopeLogs"][0]["logRecords"].as_array();
                records.unwrap().clone()
            })
            .collect()
    };
    soon("all events at the collector", || (all_logs().len() == 6).then_some(()));
    skoop::signal(&child, "INT");
    let run = ended(child);
    assert!(!run.err.contains("did not go out"), "{run:?}");
    let mut values = sent();
    let (_, last) = values.pop().unwrap();
    assert_eq!(last.to_bits(), 0x7ff0_0000_0000_0002, "the series has not ended");
    assert!(
        values.is_sorted_by(|one, next| one.0 < next.0 && one.1 <= next.1),
        "{values:?}"
    );
    assert!((values[0].1 - 21.0).abs() < f64::EPSILON, "{values:?}");
    // It was away for at least half a second, and no reading of that time is missing.
    let gaps = values.windows(2).map(|pair| pair[1].0 - pair[0].0);
    assert!(gaps.clone().all(|gap| gap < 950), "{:?}", gaps.collect::<Vec<_>>());
    for request in store.all() {
        assert_eq!(request.path, "/api/v1/write");
        assert_eq!(request.header("content-encoding"), Some("snappy"));
        assert_eq!(request.header("content-type"), Some("application/x-protobuf"));
    }
    let last = collector
        .taken()
        .into_iter()
        .rfind(|request| request.path == "/v1/metrics")
        .unwrap();
    let text = last.text();
    assert!(text.contains(r#""asInt":"29""#), "{text}");
}

#[test]
fn by_the_predecessors_names_the_numbers_are_the_same() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("skoop.prom");
    let netns = Swallowing::new("names");
    netns.send(17);
    let ask = format!(
        "export netns/{} --local --names kubeskoop --probe udp,netdev --for 1s --to openmetrics={}",
        netns.0.name,
        file.display()
    );
    let Some(command) = with_helper(&ask) else { return };
    ended(begun(command));
    let text = std::fs::read_to_string(file).unwrap();
    let place = netns.place();
    assert_eq!(
        value(&text, "kubeskoop_udp_outdatagrams", &[&place]),
        Some(17),
        "{text}"
    );
    // Both ends of the pair are there.
    assert_eq!(
        value(&text, "kubeskoop_netdev_txbytes", &[&place]),
        Some(17 * FRAME),
        "{text}"
    );
    assert_eq!(
        value(&text, "kubeskoop_netdev_rxpackets", &[&place]),
        Some(17),
        "{text}"
    );
    assert!(!text.contains("skoop_udp_OutDatagrams"), "{text}");
}

#[test]
fn a_server_is_trusted_by_its_own_authority_and_nobody_else() {
    let folder = tempfile::tempdir().unwrap();
    let netns = Swallowing::new("tls");
    let (trusted, certificate) = Receiver::secure();
    let (stranger, _) = Receiver::secure();
    let authority = folder.path().join("ca.pem");
    std::fs::write(&authority, certificate).unwrap();
    let more = format!(
        "--to loki=https://localhost:{} --to otlp=https://localhost:{} --ca loki={} --ca otlp={}",
        trusted.port(),
        stranger.port(),
        authority.display(),
        authority.display()
    );
    let Some(child) = reading(&netns, PROBES, &more, folder.path()) else {
        return;
    };
    netns.be_refused(2);
    soon("all events by TLS", || (of_loki(&trusted).len() == 4).then_some(()));
    skoop::signal(&child, "INT");
    let run = ended(child);
    assert!(stranger.all().is_empty());
    assert!(
        run.err.contains("otlp: https://localhost") && run.err.contains("certificate"),
        "{run:?}"
    );
}

#[test]
fn one_bad_sink_stops_no_other_and_what_it_did_not_take_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let netns = Swallowing::new("bad");
    let nobody = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let stern = Receiver::new(|_| Reply::status(400, "no such thing"));
    let lines = folder.path().join("lines");
    let more = format!(
        "--to loki=http://{nobody} --to loki={} --to file={}",
        stern.address(),
        lines.display()
    );
    let Some(child) = reading(&netns, PROBES, &more, folder.path()) else {
        return;
    };
    netns.be_refused(5);
    netns.send(6);
    let text = soon("the failures in the numbers themselves", || {
        let text = std::fs::read_to_string(folder.path().join(READING)).ok()?;
        let failed = value(&text, "skoop_export_failures_total", &["sink=\"loki\""])?;
        let dropped = value(&text, "skoop_export_dropped_total", &["sink=\"loki-2\""])?;
        (failed > 0 && dropped == 10).then_some(text)
    });
    assert_eq!(value(&text, "skoop_export_dropped_total", &["sink=\"file\""]), Some(0));
    skoop::signal(&child, "INT");
    let run = ended(child);
    for says in [
        "loki: 10 readings or events did not go out: it was refused, too late, or the sink was away",
        "loki-2: 10 readings or events did not go out",
        "Connection refused",
        "400 Bad Request: no such thing",
    ] {
        assert!(run.err.contains(says), "{says:?} is not in {}", run.err);
    }
    let kept: Vec<Value> = std::fs::read_to_string(lines)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(of_lines(&kept, &netns), (5, Some(6)));
}

#[test]
fn events_that_a_node_did_not_tell_are_counted() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("skoop.prom");
    let going = &[GOING, DROP, ROUND];
    let stopped = STOPPED
        .replace(
            r#""lost":[]"#,
            r#""lost":[{"probe":"drop","ring_full":5,"over_budget":7}]"#,
        )
        .replace("41", "13");
    let fake = Fake::new(&[
        ("hello", &[HELLO]),
        ("resolve", &[A]),
        ("arm", &[ARMED]),
        ("go", going),
        ("stop", &[LAST_ROUND, &stopped]),
        ("bye", &[DONE, "!exit 0"]),
    ]);
    let told = fake.run(&format!(
        "export netns/a --for 300ms --probe drop --to stdout --to openmetrics={}",
        file.display()
    ));
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(
        told.err
            .contains("12 events of probe drop on n1 were not told one by one"),
        "{told:?}"
    );
    let text = std::fs::read_to_string(file).unwrap();
    let untold = value(
        &text,
        "skoop_export_untold_events_total",
        &["node=\"n1\"", "probe=\"drop\""],
    );
    assert_eq!(untold, Some(12), "{text}");
    let events = value(
        &text,
        "skoop_drop_events_total",
        &["reason=\"NETFILTER_DROP\"", "what=\"drop\""],
    );
    assert_eq!(events, Some(1), "{text}");
}

/// What is read of each namespace.
const DATAGRAMS: &str = r#"{"describe":{"window":$id,"id":1,"probe":"udp","name":"Udp.InDatagrams","kind":"counter"}}"#;

/// Five datagrams came into a namespace, as it is read at this time.
fn datagrams(netns: u32, name: &str, at_ns: u64) -> String {
    let whose = format!(r#"{{"name":"netns/{name}","owner":{{"netns":{{"name":"{name}"}}}}}}"#);
    format!(r#"{{"series":{{"window":$id,"netns":{netns},"at_ns":{at_ns},"whose":{whose},"values":[[1,5]]}}}}"#)
}

#[test]
fn what_is_gone_is_in_no_later_reading_and_what_a_reading_has_no_room_for_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("skoop.prom");
    let (a, b) = (datagrams(7, "a", 1_000_000_000), datagrams(8, "b", 1_000_000_000));
    let later = datagrams(7, "a", 1_500_000_000);
    let fake = Fake::new(&[
        ("hello", &[HELLO]),
        ("resolve", &[A]),
        ("arm", &[ARMED]),
        ("go", &[GOING, DATAGRAMS, &a, &b, ROUND]),
        ("stop", &[&later, LAST_ROUND, STOPPED]),
        ("bye", &[DONE, "!exit 0"]),
    ]);
    let ask = format!(
        "export netns/a --for 300ms --probe drop --to openmetrics={}",
        file.display()
    );
    let told = fake.run(&ask);
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(!told.err.contains("left out"), "{told:?}");
    let text = std::fs::read_to_string(&file).unwrap();
    let of = |place: &str| value(&text, "skoop_udp_InDatagrams_total", &[&format!("place=\"{place}\"")]);
    assert_eq!((of("netns/a"), of("netns/b")), (Some(5), None), "{text}");
    let told = fake.run(&format!("{ask} --max-series 1"));
    assert_eq!(told.code, Some(0), "{told:?}");
    assert!(
        told.err
            .contains("left out of a reading: up to 1 sample; there were more than --max-series 1"),
        "{told:?}"
    );
}

#[test]
fn a_port_that_is_taken_is_told_before_anything_is_looked_at() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let told = run(&format!(
        "export --local --helper /bin/false --to prometheus={}",
        address.port()
    ));
    told.refused(3, &format!("listening at {address} for Prometheus failed"));
}

#[test]
fn what_cannot_be_meant_is_refused_before_anything_starts() {
    for (ask, says) in [
        ("--to prometeus=9464", "there is no sink `prometeus`"),
        ("--to openmetrics=/dev/null", "it is a link or no regular file"),
        ("--to openmetrics=/no/such/folder/file", "its folder is not there"),
        (
            "--to openmetrics=x --interval 100ms",
            "--interval is shorter than 500ms",
        ),
        ("", "--to"),
    ] {
        let told = run(&format!("export --local --helper /bin/false {ask}"));
        told.refused(2, says);
        assert!(!told.err.contains("s3cret"), "{told:?}");
    }
}
