//! A capture as its user meets it: lines, a summary, and the ways it ends.

mod skoop;

use skoop::{A, ARMED, DONE, DROP, Fake, GOING, HELLO, PURGED, STOPPED, signal};
use std::fs;
use std::io::{BufRead as _, BufReader, Read as _};
use std::process::Stdio;

#[test]
fn events_are_lines_and_the_summary_has_exact_totals() {
    let run = Fake::capturing().run("capture netns/a --max-events 1");
    assert_eq!(run.code, Some(0), "{run:?}");
    let line = run.out.lines().find(|line| line.contains("drop")).unwrap();
    for part in [
        "netns/a eth0",
        "netns/a:41234 -> 10.0.0.2:80 tcp",
        "NETFILTER_DROP nft_do_chain",
    ] {
        assert!(line.contains(part), "{part} is not in {line}");
    }
    assert!(
        run.out.contains("41  drop NETFILTER_DROP nft_do_chain  in netns/a"),
        "{}",
        run.out
    );
    assert!(run.out.contains("Totals by cause, exact:"), "{}", run.out);
    assert!(run.out.contains("1 event shown, 0 lost"), "{}", run.out);
}

#[test]
fn totals_are_not_called_exact_where_the_kernel_left_or_may_have_left_a_program_out() {
    for (lost, why) in [
        (
            r#""missed":12"#,
            "the kernel left out 12 runs of drop, which was running already",
        ),
        (
            r#""nested":7"#,
            "7 events came in interrupts while others were counted, where the kernel may leave out more",
        ),
    ] {
        let stopped = STOPPED.replace(
            r#""lost":[]"#,
            &format!(r#""lost":[{{"probe":"drop","ring_full":0,"over_budget":0,{lost}}}]"#),
        );
        let fake = Fake::new(&[
            ("hello", &[HELLO]),
            ("resolve", &[A]),
            ("arm", &[ARMED]),
            ("go", &[GOING, DROP]),
            ("stop", &[&stopped]),
            ("bye", &[DONE, "!exit 0"]),
        ]);
        let run = fake.run("capture netns/a --max-events 1");
        assert!(
            run.out.contains(&format!("Totals by cause, at least ({why}):")),
            "{}",
            run.out
        );
        assert!(!run.out.contains("exact"), "{}", run.out);
    }
}

#[test]
fn as_json_an_event_is_a_line_the_causes_are_the_last_and_nothing_else_is_on_stdout() {
    let run = Fake::capturing().run("capture netns/a --max-events 1 -o json");
    let [line, last] = run.out.lines().collect::<Vec<_>>()[..] else {
        panic!("{run:?}")
    };
    let event: serde_json::Value = serde_json::from_str(line).unwrap();
    assert_eq!(event["seen"]["reason"], "NETFILTER_DROP");
    let causes: serde_json::Value = serde_json::from_str(last).unwrap();
    assert_eq!(causes["kind"], "Causes");
    assert_eq!(causes["verdicts"], serde_json::json!([]), "one drop proves nothing");
    assert!(run.err.contains("41  drop"), "the summary is beside the data: {run:?}");
}

#[test]
fn that_nodes_have_clocks_of_their_own_is_said_where_events_of_several_kernels_are_shown() {
    const SAYS: &str = "ordered by the nodes' own clocks, which may differ";
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("run");
    let ask = "capture netns/a --max-events 2 --for 300ms";
    Fake::capturing().run(&format!("{ask} --record {}", file.display()));
    let recorded = fs::read_to_string(&file).unwrap();
    // Two nodes of which each said the same, the second on a kernel of this boot id.
    let of_two_nodes = |boot_id: &str, more: &str| {
        let mut lines = recorded.lines().filter(|line| !line.starts_with("{\"digest\""));
        let mut head: serde_json::Value = serde_json::from_str(lines.next().unwrap()).unwrap();
        head["ends"]["nodes"] = serde_json::json!(["n1", "n2"]);
        let mut two = format!("{head}\n");
        for line in lines {
            for node in ["n1", "n2"] {
                let mut line = line.replacen("\"node\":\"\"", &format!("\"node\":\"{node}\""), 1);
                if node == "n2" {
                    line = line.replace("\"boot_id\":\"b\"", &format!("\"boot_id\":\"{boot_id}\""));
                }
                two.extend([line.as_str(), "\n"]);
            }
        }
        fs::write(&file, cli::ended_recording(&two)).unwrap();
        skoop::run(&format!("{ask} {more} --replay {}", file.display()))
    };
    let two = of_two_nodes("c", "");
    assert!(two.out.contains("2 events shown"), "{two:?}");
    assert_eq!(two.out.matches(SAYS).count(), 1, "{two:?}");
    let json = of_two_nodes("c", "-o json");
    assert_eq!(json.out.lines().count(), 3, "two events and the causes: {json:?}");
    assert_eq!(json.err.matches(SAYS).count(), 1, "beside the data: {json:?}");
    let one_kernel = of_two_nodes("b", "");
    assert!(!one_kernel.out.contains(SAYS), "{one_kernel:?}");
    let one_node = Fake::capturing().run("capture netns/a --max-events 1");
    assert!(!one_node.out.contains(SAYS), "{one_node:?}");
}

#[test]
fn drops_that_happen_wherever_all_is_well_are_counted_and_shown_when_asked_for() {
    let fake = Fake::new(&[
        ("hello", &[HELLO]),
        ("resolve", &[A]),
        ("arm", &[ARMED]),
        ("go", &[GOING, PURGED, DROP]),
        ("stop", &[STOPPED]),
        ("bye", &[DONE, "!exit 0"]),
    ]);
    let usual = fake.run("capture netns/a --max-events 1").out;
    assert!(!usual.contains("QUEUE_PURGE"), "{usual}");
    let says = "1 event shown, 1 drop of no consequence left out (--all-drops), 0 lost";
    assert!(usual.contains(says), "{usual}");
    let all = fake.run("capture netns/a --max-events 2 --all-drops").out;
    assert!(all.contains("QUEUE_PURGE sk_stream_kill_queues"), "{all}");
    assert!(all.contains("2 events shown, 0 lost"), "{all}");
}

#[test]
fn ctrl_c_ends_a_capture_in_order_with_its_summary() {
    let fake = Fake::capturing();
    let mut child = fake.skoop("capture netns/a").stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("NETFILTER_DROP") {
        line.clear();
        assert!(
            out.read_line(&mut line).unwrap() > 0,
            "it ended before an event was shown"
        );
    }
    signal(&child, "INT");
    let mut rest = String::new();
    out.read_to_string(&mut rest).unwrap();
    assert!(rest.contains("Totals by cause"), "{rest}");
    assert_eq!(child.wait().unwrap().code(), Some(0));
}

#[test]
fn a_second_ctrl_c_ends_it_at_once() {
    // This helper never closes its window.
    let fake = Fake::new(&[
        ("hello", &[HELLO]),
        ("resolve", &[A]),
        ("arm", &[ARMED]),
        ("go", &[GOING, DROP]),
    ]);
    let mut child = fake.skoop("capture netns/a").stdout(Stdio::piped()).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut line = String::new();
    while !line.contains("NETFILTER_DROP") {
        line.clear();
        assert!(
            out.read_line(&mut line).unwrap() > 0,
            "it ended before an event was shown"
        );
    }
    let started = std::time::Instant::now();
    let status = loop {
        signal(&child, "INT");
        if let Some(status) = child.try_wait().unwrap() {
            break status;
        }
        std::thread::yield_now();
    };
    assert_eq!(status.code(), Some(130));
    assert!(
        started.elapsed() < std::time::Duration::from_secs(2),
        "it waited for {:?}",
        started.elapsed()
    );
}

#[test]
fn a_reader_that_has_seen_enough_is_no_error() {
    let many = vec![DROP; 2_000];
    let mut go = vec![GOING];
    go.extend(many);
    let fake = Fake::new(&[
        ("hello", &[HELLO]),
        ("resolve", &[A]),
        ("arm", &[ARMED]),
        ("go", &go),
        ("stop", &[STOPPED]),
        ("bye", &[DONE, "!exit 0"]),
    ]);
    let mut child = fake
        .skoop("capture")
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut first = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut first)
        .unwrap();
    assert!(first.starts_with("TIME"), "{first}");
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
}
