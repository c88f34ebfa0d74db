//! `latency` between two ends, on real traffic: which end takes the time, and what else goes on at both that is nobody's business here.
//! Without root no lab can be built, and these tests say so and pass.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
use std::io::{Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Output};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use serde_json::Value;
use tests::lab::{Lab, ground};

const SOON: Duration = Duration::from_secs(20);
const LATE: Duration = Duration::from_millis(200);
/// Attempts of a round, over both families.
const ATTEMPTS: u64 = 6;

/// Two pods on two nodes; `None` without root.
fn lab() -> Option<Lab> {
    ground::lab("two-nodes").unwrap()
}

fn run(lab: &Lab, arguments: &str) -> Output {
    let line = lab.diagnosis(arguments, "").unwrap();
    Command::new("/bin/sh").args(["-c", &line]).output().unwrap()
}

/// The document of a look that had something to measure.
fn measured(lab: &Lab, arguments: &str) -> Value {
    let output = run(lab, &format!("{arguments} -o json"));
    let (out, err) = (
        String::from_utf8_lossy(&output.stdout),
        String::from_utf8_lossy(&output.stderr),
    );
    assert_eq!(output.status.code(), Some(0), "{out} {err}");
    serde_json::from_str(&out).unwrap_or_else(|error| panic!("{error}: {out} {err}"))
}

/// The row of a stage at a place.
fn row<'a>(document: &'a Value, stage: &str, place: &str) -> Option<&'a Value> {
    let [place_of_both] = &document["places"].as_array().unwrap()[..] else {
        panic!("{document:#}")
    };
    let rows = place_of_both["stages"].as_array().unwrap().iter();
    let fits = |row: &&Value| row["stage"] == stage && row["where"].as_str().unwrap().starts_with(place);
    rows.clone().find(fits)
}

/// A server in `c` on this port that begins to read late, and answers what it has read.
fn reads_late(lab: &Lab, port: u16) {
    let listener = lab.inside("c", || TcpListener::bind(("::", port))).unwrap().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = stream.unwrap();
            thread::spawn(move || {
                let mut buffer = [0; 64];
                thread::sleep(LATE);
                if let Ok(length @ 1..) = stream.read(&mut buffer) {
                    let _ = stream.write_all(&buffer[..length]);
                }
            });
        }
    });
}

/// Asks these servers, each from that namespace, as long as it is looked.
fn while_asked<T>(lab: &Lab, asked: &[(&str, &str)], look: impl FnOnce() -> T) -> T {
    /// Ends it, however the look ends.
    struct IsOver<'a>(&'a AtomicBool);
    impl Drop for IsOver<'_> {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let is_over = &AtomicBool::new(false);
    thread::scope(|scope| {
        for (from, server) in asked {
            scope.spawn(move || lab.inside(from, || ask(server, is_over)).unwrap());
        }
        let _ends = IsOver(is_over);
        look()
    })
}

fn ask(server: &str, is_over: &AtomicBool) {
    while !is_over.load(Ordering::Relaxed) {
        let mut stream = TcpStream::connect(server).unwrap();
        stream.write_all(b"ask").unwrap();
        stream.read_exact(&mut [0; 3]).unwrap();
    }
}

#[test]
fn the_end_that_reads_late_is_named_and_what_others_do_there_is_not_counted() {
    let Some(lab) = lab() else { return };
    reads_late(&lab, 80);
    reads_late(&lab, 81);
    // The same server for somebody else, and the same two pods on another port.
    let others = [("b", "10.90.2.2:80"), ("a", "10.90.2.2:81")];
    let document = while_asked(&lab, &others, || {
        measured(&lab, "latency {a} {c}:80 --send hello --for 1s")
    });
    let [a, c] = ["a", "c"].map(|name| format!("netns/{}", lab.netns(name).unwrap()));
    let read = row(&document, "read by application, tcp", &c).unwrap_or_else(|| panic!("{document:#}"));
    assert_eq!(read["count"], ATTEMPTS, "{document:#}");
    let p50_us = read["p50_us"].as_f64().unwrap();
    assert!((200_000.0..400_000.0).contains(&p50_us), "{document:#}");
    let connect = row(&document, "connect", &a).unwrap();
    assert_eq!(
        (&connect["count"], &connect["where"]),
        (&ATTEMPTS.into(), &format!("{a} -> {c}:80").into())
    );
    assert_eq!(
        document["sent"],
        serde_json::json!({"made": ATTEMPTS, "failed": 0}),
        "{document:#}"
    );
    let worst = document["worst"].as_str().unwrap();
    assert!(
        worst.starts_with(&format!(
            "nearly all of the measured time is read by application, tcp ({c} socket): 6 times"
        )),
        "{worst}"
    );
    // With all ports that of the other port is between the two, too, and somebody else's still is not.
    let document = while_asked(&lab, &others, || measured(&lab, "latency {a} --peer {c} --for 1s"));
    let read = row(&document, "read by application, tcp", &c).unwrap();
    // Each takes as long as it is read late.
    let most = document["seconds"].as_f64().unwrap() / LATE.as_secs_f64() + 1.0;
    assert!((1.0..=most).contains(&read["count"].as_f64().unwrap()), "{document:#}");
}

#[test]
fn what_holds_the_answer_to_a_syn_makes_connects_long_and_they_are_named() {
    const HELD_MS: u64 = 150;
    let Some(lab) = lab() else { return };
    let mut server = lab.start("c", "http 80", Path::new("/")).unwrap();
    server.ready(SOON).unwrap();
    let hold = format!("delay {HELD_MS} INPUT -p tcp --tcp-flags SYN,ACK SYN,ACK");
    let mut holder = lab.start("a", &hold, Path::new("/")).unwrap();
    holder.ready(SOON).unwrap();
    let document = measured(&lab, "latency {a} {c}:80 --http / --for 1s");
    let a = format!("netns/{}", lab.netns("a").unwrap());
    let connect = row(&document, "connect", &a).unwrap_or_else(|| panic!("{document:#}"));
    assert_eq!(connect["count"], ATTEMPTS, "{document:#}");
    let first = connect["buckets"][0][1].as_f64().unwrap();
    assert!(first > HELD_MS as f64 * 1e3, "{document:#}");
    let worst = document["worst"].as_str().unwrap();
    assert!(worst.contains("of the measured time is connect ("), "{worst}");
}

#[test]
fn where_nothing_goes_on_between_the_two_it_says_so_and_how_to_make_something() {
    let Some(lab) = lab() else { return };
    reads_late(&lab, 80);
    let others = [("b", "10.90.2.2:80")];
    let output = while_asked(&lab, &others, || run(&lab, "latency {a} {c}:80 --for 1s"));
    let text = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(3), "{text}");
    assert!(
        text.contains("nothing to measure") && text.contains("--http PATH"),
        "{text}"
    );
}
