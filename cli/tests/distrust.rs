//! What a helper must not be believed, and what its client makes of it: nothing is healthy of which a part was not told.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod skoop;

use skoop::{A, ARMED, DONE, DROP, Fake, GOING, Run, STOPPED};
use std::time::{Duration, Instant};

/// It has every probe that the rules listen to.
const HELLO: &str = r#"{"hello":{"version":1,"node":"n1","kernel":"6.18.0","arch":"x86_64","boot_id":"b",
    "monotonic_ns":1000000000,"boottime_ns":1000000000,"wall_ns":1700000000000000000,
    "capabilities":["CAP_SYS_ADMIN","CAP_NET_ADMIN","CAP_BPF"],
    "probes":[{"name":"drop"},{"name":"tcpreset"},{"name":"icmp"},{"name":"neigh"},{"name":"path"},{"name":"tcpretrans"},
              {"name":"tcpstate"},{"name":"udpbuf"},{"name":"dns"}]}}"#;

/// All attempts went well: three connections and two trains of echoes.
const ATTEMPTS: &str = "!for attempt in 1:tcp 2:tcp 3:tcp 4:echo 5:echo-full-size; do \
    say '{\"attempt\":{\"id\":'${attempt%:*}',\"kind\":\"'${attempt#*:}'\",\"outcome\":\"ok\"}}'; done";

/// What a helper answers.
type Answers = Vec<(&'static str, Vec<&'static str>)>;

/// One whose every attempt goes well.
fn well() -> Answers {
    vec![
        ("hello", vec![HELLO]),
        ("resolve", vec![A, A]),
        ("read", vec![r#"{"read":{"id":$id}}"#]),
        ("plan", vec![r#"{"planned":{"id":$id,"flows":[],"missing":[]}}"#]),
        ("arm", vec![ARMED]),
        ("go", vec![GOING, ATTEMPTS]),
        ("stop", vec![STOPPED]),
        ("bye", vec![DONE, "!exit 0"]),
    ]
}

/// The same, but for what it answers to one request.
fn but(request: &'static str, words: &[&'static str]) -> Answers {
    let mut answers = well();
    for (known, said) in &mut answers {
        if *known == request {
            *said = words.to_vec();
        }
    }
    answers
}

fn fake(answers: &Answers) -> Fake {
    let answers: Vec<(&str, &[&str])> = answers.iter().map(|(name, words)| (*name, words.as_slice())).collect();
    Fake::new(&answers)
}

fn diagnosed(answers: &Answers) -> Run {
    fake(answers).run("diagnose pod-to-pod netns/a 10.0.0.1:80 -o json")
}

/// It is neither healthy nor a fault, and says what was not seen.
#[track_caller]
fn is_open(answers: &Answers, says: &str) {
    let run = diagnosed(answers);
    assert_eq!(run.code, Some(3), "{run:?}");
    let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["outcome"], "inconclusive", "{report:#}");
    let missing = report["missing"].to_string();
    assert!(missing.contains(says), "{says:?} is not in {missing}");
}

/// A capture ends with its data and says that it is not whole.
#[track_caller]
fn is_not_whole(answers: &Answers, says: &str) -> Run {
    let run = fake(answers).run("capture netns/a --for 300ms");
    run.refused_after_data(3, "the capture is not whole");
    assert!(run.err.contains(says), "{says:?} is not in {run:?}");
    run
}

#[test]
fn a_helper_that_tells_all_is_believed() {
    let run = diagnosed(&well());
    assert_eq!(run.code, Some(0), "{run:?}");
    let run = fake(&but("go", &[GOING, DROP])).run("capture netns/a --for 300ms");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.out.contains("Totals by cause, exact"), "{run:?}");
}

#[test]
fn an_end_that_nobody_asked_for_is_a_cut() {
    const ENDED: &str = r#"{"done":{"events":$events,"lost":0,"exit":3,"skipped":0,
        "why":{"what":"the rest of this session","why":"SIGTERM ended the helper"}}}"#;
    let told = but("go", &[GOING, ATTEMPTS, STOPPED, ENDED, "!exit 3"]);
    is_open(&told, "SIGTERM ended the helper");
    is_not_whole(&told, "SIGTERM ended the helper");
    let untold = but("go", &[GOING, ATTEMPTS, STOPPED, DONE, "!exit 0"]);
    is_open(&untold, "although nobody asked it to");
    is_not_whole(&untold, "although nobody asked it to");
}

#[test]
fn a_last_word_that_does_not_come_is_a_cut_whatever_was_told_before() {
    const SAYS: &str = "did not say its last word";
    let silent = but("bye", &["!:"]);
    let stopped = but("bye", &["!kill -STOP $$"]);
    let killed = but("bye", &["!kill -KILL $$"]);
    let stopped_before = but("stop", &[STOPPED, "!kill -STOP $$"]);
    // Each waits; so they do it beside each other.
    std::thread::scope(|scope| {
        for told_all in [&silent, &stopped] {
            scope.spawn(|| {
                let began = Instant::now();
                is_open(told_all, SAYS);
                // It is waited for some seconds, and killed then.
                assert!(began.elapsed() < Duration::from_secs(12), "{:?}", began.elapsed());
            });
            scope.spawn(|| is_not_whole(told_all, SAYS));
        }
        scope.spawn(|| is_open(&killed, "ended without its last line"));
        // Between its totals and its last word. Where facts are read meanwhile its silence is noticed.
        scope.spawn(|| is_open(&stopped_before, "the rest of what the helper saw"));
        scope.spawn(|| is_not_whole(&stopped_before, SAYS));
    });
}

#[test]
fn a_fault_that_was_seen_stays_one_though_the_last_word_does_not_come() {
    const REFUSED: &str = r#"{"attempt":{"id":1,"kind":"tcp","outcome":
        {"error":{"during":"connect","errno":{"number":111,"name":"ECONNREFUSED"}}}}}"#;
    let mut answers = but("bye", &["!:"]);
    answers[5].1 = vec![GOING, ATTEMPTS, REFUSED];
    let run = diagnosed(&answers);
    assert_eq!(run.code, Some(1), "{run:?}");
    assert!(run.out.contains("did not say its last word"), "{run:?}");
}

#[test]
fn totals_and_losses_that_were_not_told_are_no_zeros() {
    let silent = but("stop", &["!:"]);
    is_open(&silent, "what was lost, and the totals");
    let mut silent = silent;
    silent[5].1 = vec![GOING, DROP];
    let run = is_not_whole(&silent, "what was lost, and the totals");
    for claim in ["Nothing was seen", "0 lost", "exact"] {
        assert!(!run.out.contains(claim), "{run:?}");
    }
    assert!(run.out.contains("NETFILTER_DROP"), "{run:?}");
    assert!(run.out.contains("how many were lost is not known"), "{run:?}");
}

#[test]
fn an_attempt_that_was_not_made_or_not_told_is_a_gap_and_an_echo_beside_is_none() {
    const ONE: &str = r#"{"attempt":{"id":1,"kind":"tcp","outcome":"ok"}}"#;
    const DIED: &str =
        r#"{"attempt":{"id":3,"kind":"tcp","outcome":{"not-tried":{"why":"the process that made it died"}}}}"#;
    const MUTE: &str = r#"{"attempt":{"id":4,"kind":"echo","outcome":{"not-tried":{"why":"no CAP_NET_RAW"}}}}"#;
    let go = |word| but("go", &[GOING, ATTEMPTS, word]);
    is_open(&go(DIED), "1 of 3 attempts");
    is_open(&go(DIED), "the process that made it died");
    let echo = diagnosed(&go(MUTE));
    assert_eq!(echo.code, Some(0), "{echo:?}");
    assert!(echo.out.contains("no CAP_NET_RAW"), "{echo:?}");
    is_open(&but("go", &[GOING, ONE]), "2 of 3 attempts");
}

#[test]
fn what_does_not_fit_a_known_word_is_a_cut_and_a_word_that_is_not_known_a_gap() {
    let mangled = but("go", &[GOING, ATTEMPTS, r#"{"event":17}"#]);
    is_open(&mangled, "says `event`");
    is_not_whole(&mangled, "says `event`");
    let strange = but("go", &[GOING, ATTEMPTS, r#"{"weather":{"is":"fine"}}"#]);
    is_open(&strange, "`weather`");
    is_not_whole(&strange, "`weather`");
    let newer = but(
        "go",
        &[r#"{"going":{"id":$id,"at_ns":1000000000,"mood":"good"}}"#, ATTEMPTS],
    );
    assert_eq!(diagnosed(&newer).code, Some(0));
}

#[test]
fn events_that_were_told_and_did_not_come_are_a_cut() {
    const TWO: &str = r#"{"stopped":{"id":$id,"at_ns":2000000000,"events":2,"lost":[],"totals":[],"bpf":null}}"#;
    let mut answers = but("stop", &[TWO]);
    answers[5].1 = vec![GOING, DROP, ATTEMPTS];
    is_open(&answers, "told 2 events in its windows, and 1 came");
    is_not_whole(&answers, "told 2 events in its windows, and 1 came");
}

#[test]
fn a_request_that_was_not_understood_is_a_gap() {
    const SKIPPED: &str = r#"{"done":{"events":$events,"lost":0,"exit":0,"skipped":1}}"#;
    is_open(&but("bye", &[SKIPPED, "!exit 0"]), "the answers to 1 requests");
}

#[test]
fn a_recorded_run_ends_as_it_ended_then() {
    const ENDED: &str = r#"{"done":{"events":$events,"lost":0,"exit":3,"skipped":0,
        "why":{"what":"the rest of this session","why":"SIGTERM ended the helper"}}}"#;
    let folder = tempfile::TempDir::new().unwrap();
    let replayed = |name: &str, answers: &Answers| {
        let file = folder.path().join(name);
        let question = "diagnose pod-to-pod netns/a 10.0.0.1:80";
        let first = fake(answers).run(&format!("{question} --record {}", file.display()));
        let again = skoop::run(&format!("{question} --replay {}", file.display()));
        assert_eq!(first.code, again.code, "{first:?} {again:?}");
        again.code
    };
    assert_eq!(replayed("well", &well()), Some(0));
    let ended = but("go", &[GOING, ATTEMPTS, STOPPED, ENDED, "!exit 3"]);
    assert_eq!(replayed("ended", &ended), Some(3));
}

/// What a helper sends has no end, and each has a name of its own: the client cuts it off, and stays small.
#[test]
fn the_client_stays_small_whatever_a_helper_sends() {
    // By itself: a shell takes long to look through a line of this length.
    const OFTEN: &str = "!big=$(head -c 15000 /dev/zero | tr '\\0' x); at=0; while [ $at -lt 9000 ]; do \
        at=$((at + 1)) seq=$((seq + 1)); printf '{\"seq\":%d,\"say\":%s}\\n' $seq ";
    let floods = [
        r#""{\"armed\":{\"id\":$id,\"probes\":[{\"name\":\"$big$at\"}]}}"; done"#,
        r#""{\"stopped\":{\"id\":$id,\"at_ns\":1,\"events\":0,\"lost\":[],\"totals\":[{\"probe\":\"$big$at\",\"netns\":7,\"what\":\"x\",\"count\":1}],\"bpf\":null}}"; done"#,
        r#""{\"series\":{\"window\":2,\"netns\":$at,\"at_ns\":1,\"values\":[],\"whose\":{\"name\":\"$big\",\"owner\":\"host\",\"processes\":1}}}"; done"#,
    ];
    for flood in floods {
        let flood = format!("{OFTEN}{flood}");
        let mut answers: Vec<(&str, Vec<&str>)> = well();
        answers[5].1 = vec![GOING, &flood];
        let answers: Vec<(&str, &[&str])> = answers.iter().map(|(name, words)| (*name, words.as_slice())).collect();
        let fake = Fake::new(&answers);
        let child = fake
            .skoop("diagnose pod-to-pod netns/a 10.0.0.1:80 -o json")
            .stdout(std::process::Stdio::piped())
            .stderr(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let status = format!("/proc/{}/status", child.id());
        let mut peak_kb = 0;
        let run = std::thread::spawn(|| Run::of(child.wait_with_output().unwrap()));
        while !run.is_finished() {
            let status = std::fs::read_to_string(&status).unwrap_or_default();
            let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
            let peak = peak.and_then(|peak| peak.trim().strip_suffix(" kB"));
            peak_kb = peak.map_or(peak_kb, |peak| peak.trim().parse::<u64>().unwrap());
            std::thread::sleep(Duration::from_millis(5));
        }
        let run = run.join().unwrap();
        assert_eq!(run.code, Some(3), "{flood}: {}", run.err);
        let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
        let cut = report["missing"].to_string();
        assert!(cut.contains("that one run keeps"), "{flood}: {cut:.500}");
        assert!(peak_kb < 256 * 1024, "{peak_kb} kB for {flood}");
    }
}

/// A helper that lives on and answers nothing more after the window.
#[test]
fn what_is_read_after_a_window_comes_soon_or_is_missing() {
    const FAILS: &str = "!for port in 1 2 3; do for states in CLOSE:SYN_SENT SYN_SENT:CLOSE; do \
        say '{\"event\":{\"at_ns\":1500000000,\"probe\":\"tcpstate\",\"netns\":7,\"sk\":'$port',\"flow\":{\"src\":\"10.0.0.1\",\"sport\":4000'$port',\"dst\":\"10.0.0.2\",\"dport\":80,\"protocol\":\"tcp\"},\"seen\":{\"what\":\"state-change\",\"old\":\"'${states%:*}'\",\"new\":\"'${states#*:}'\"}}}'; done; done";
    const ALIVE: &str = "!if [ -n \"$over\" ]; then while :; do say '\"alive\"'; sleep 1; done; fi";
    let mut answers = well();
    answers[1].1 = vec![ALIVE, A];
    answers[2].1 = vec![ALIVE, r#"{"read":{"id":$id}}"#];
    answers[3].1 = vec![ALIVE, r#"{"planned":{"id":$id,"flows":[],"missing":[]}}"#];
    answers[5].1 = vec![GOING, FAILS];
    answers[6].1 = vec![STOPPED, "!over=1"];
    answers[7].1 = vec![ALIVE];
    let began = Instant::now();
    let run = fake(&answers).run("diagnose netns/a --for 1s -o json");
    assert_eq!(run.code, Some(3), "{run:?}");
    assert!(began.elapsed() < Duration::from_secs(1 + 20), "{:?}", began.elapsed());
}
