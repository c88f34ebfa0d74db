//! What cannot be done is refused with what to do instead, with the exit code of the contract, and without a panic.

mod skoop;

use skoop::{A, ARMED, DONE, Fake, GOING, HELLO, STOPPED, run};

#[test]
fn without_a_cluster_local_is_what_to_use() {
    run("diagnose pod-to-pod netns/a netns/c:80").refused(2, "--local");
    run("diagnose pod-to-pod shop/web shop/db:80 --local").refused(2, "--local looks at this machine alone");
    run("capture").refused(2, "--local");
}

#[test]
fn ports_are_from_1_to_65535_and_only_where_the_protocol_has_them() {
    for end in [
        "netns/c:0",
        "netns/c:65536",
        "10.0.0.1:70000",
        "[::1]:99999999999999999999",
    ] {
        run(&format!("diagnose pod-to-pod netns/a {end} --local")).refused(2, "1 to 65535");
    }
    run("diagnose pod-to-pod netns/a netns/c:http --local").refused(2, "is no port");
    run("diagnose pod-to-pod netns/a netns/c --local").refused(2, "write `netns/c:80`");
    run("diagnose pod-to-pod netns/a fd90::1 --local").refused(2, "write `[fd90::1]:80`");
    run("diagnose pod-to-pod netns/a netns/c:80 --protocol icmp --local").refused(2, "icmp has no ports");
    run("diagnose pod-to-pod netns/a:80 netns/c:80 --local").refused(2, "source ports are chosen");
    run("capture --port 0 --local").refused(2, "1 to 65535");
}

#[test]
fn ends_that_cannot_be_meant_are_refused() {
    run("diagnose pod-to-pod netsn/a netns/c:80 --local").refused(2, "did you mean `netns`");
    run("diagnose pod-to-pod pid/none netns/c:80 --local").refused(2, "pid/N");
    run("diagnose pod-to-pod 10.0.0.1 netns/c:80 --local").refused(2, "no place to send from");
    run("diagnose pod-to-pod netns/a 10.0.0.1:80 -6 --local").refused(2, "leave -6 out");
    run("diagnose dns netns/a 10.0.0.1 --local").refused(2, "needs no lookup");
    run("diagnose dns netns/a a..b --local").refused(2, "no DNS name");
    run("capture --address nowhere --local").refused(2, "no address");
    run("capture web --local").refused(2, "packets carry addresses");
}

#[test]
fn options_that_contradict_each_other_are_refused() {
    let ask = |more: &str| run(&format!("diagnose pod-to-pod netns/a netns/c:80 --local {more}"));
    ask("--http /x --protocol udp").refused(2, "--http is for tcp");
    ask("--http x").refused(2, "write it as /healthz");
    ask("--attempts 0").refused(2, "1 or more");
    ask("--attempts 100000").refused(2, "up to 1000");
    ask("--bytes 0").refused(2, "1 or more");
    ask("--bytes 70000 --protocol udp").refused(2, "65507");
    ask("--send x --passive").refused(2, "cannot be used with");
    ask("-4 -6").refused(2, "cannot be used with");
    ask("--timeout 1h").refused(2, "up to 120 s");
}

#[test]
fn an_image_to_send_the_helper_into_is_always_named() {
    for bare in ["--inject", "--inject lab:1", "--inject="] {
        let run = run(&format!("diagnose pod-to-pod shop/web shop/db:80 {bare}"));
        run.refused(2, "--inject=");
        assert!(run.err.contains("`doctor` lists those of kube-system"), "{run:?}");
    }
    run("doctor --inject").refused(2, "--inject=IMAGE");
    for bad in ["--inject=a;b", "--inject=$(id)", "--image=-x", "--image=a@sha256:12"] {
        run(&format!("diagnose pod-to-pod shop/web shop/db:80 {bad}")).refused(2, "write it as");
    }
}

#[test]
fn a_window_of_zero_or_a_year_is_refused_with_its_bounds() {
    run("capture --local --for 0s").refused(2, "100ms or more");
    run("capture --local --for 1y").refused(2, "24h");
    run("capture --local --for soon").refused(2, "write it as 30s");
    run("diagnose pod-to-pod netns/a netns/c:80 --local --for 0s").refused(2, "100ms or more");
    run("capture --local --max-events 0").refused(2, "0");
}

#[test]
fn an_unknown_command_probe_or_rule_is_answered_with_the_nearest_name() {
    run("dianose").refused(2, "diagnose");
    run("explain netfilter-dorp --helper /nonexistent").refused(2, "did you mean `netfilter-drop`");
    let fake = Fake::capturing();
    fake.run("capture --probe tcprest")
        .refused(2, "did you mean `tcpreset`");
    fake.run("explain dorp").refused(2, "did you mean `drop`");
}

#[test]
fn a_name_that_is_not_there_is_told_with_the_helpers_reason() {
    let gone =
        r#"{"resolved":{"missing":{"what":"pid/4711","why":"no process has this id","remedy":"list them with ps"}}}"#;
    let fake = Fake::new(&[("hello", &[HELLO]), ("resolve", &[gone, gone]), ("bye", &[DONE])]);
    fake.run("diagnose pod-to-pod pid/4711 10.0.0.2:80")
        .refused(2, "pid/4711 was not found: no process has this id; list them with ps");
    fake.run("capture pid/4711").refused(2, "pid/4711 was not found");
}

#[test]
fn without_root_it_says_how_to_get_it() {
    let hello = HELLO.replace(r#""CAP_SYS_ADMIN","CAP_NET_ADMIN","CAP_BPF""#, "");
    let fake = Fake::new(&[("hello", &[&hello]), ("resolve", &[A]), ("bye", &[DONE])]);
    fake.run("diagnose pod-to-pod netns/a 10.0.0.2:80")
        .refused(3, "run it as root: sudo kubectl-skoop");
    fake.run("capture").refused(3, "run it as root: sudo kubectl-skoop");
}

#[test]
fn a_kernel_without_btf_or_a_hook_is_told_probe_by_probe() {
    let off =
        |name: &str, why: &str| format!(r#"{{"name":"{name}","unsupported":{{"what":"probe {name}","why":"{why}"}}}}"#);
    let probes = [
        off("drop", "this kernel has no BTF (/sys/kernel/btf/vmlinux)"),
        off("tcpreset", "no tracepoint tcp_send_reset"),
    ];
    let armed = format!(r#"{{"armed":{{"id":$id,"probes":[{}]}}}}"#, probes.join(","));
    let fake = Fake::new(&[
        ("hello", &[HELLO]),
        ("resolve", &[A]),
        ("arm", &[&armed]),
        ("go", &[GOING]),
        ("stop", &[STOPPED]),
        ("bye", &[DONE]),
    ]);
    let run = fake.run("capture --for 1s");
    run.refused(3, "no BTF");
    run.refused(3, "no tracepoint tcp_send_reset");
}

#[test]
fn one_probe_that_cannot_run_is_told_and_the_other_runs() {
    let armed = r#"{"armed":{"id":$id,"probes":[{"name":"drop"},{"name":"tcpreset","unsupported":{"what":"probe tcpreset","why":"no tracepoint"}}]}}"#;
    let fake = Fake::new(&[
        ("hello", &[HELLO]),
        ("resolve", &[A]),
        ("arm", &[armed]),
        ("go", &[GOING]),
        ("stop", &[STOPPED]),
        ("bye", &[DONE]),
    ]);
    let run = fake.run("capture netns/a --for 100ms");
    assert_eq!(run.code, Some(0), "{run:?}");
    assert!(run.err.contains("probe tcpreset is off: no tracepoint"), "{run:?}");
}

#[test]
fn a_helper_that_is_none_or_speaks_otherwise_is_refused() {
    run("capture --local --helper /nonexistent").refused(3, "starting the helper /nonexistent");
    let other = HELLO.replace(r#""version":1"#, r#""version":9"#);
    Fake::new(&[("hello", &[&other])])
        .run("capture")
        .refused(3, "version 9");
    Fake::new(&[("hello", &["!echo Segmentation fault"])])
        .run("capture")
        .refused(3, "not of the protocol");
    Fake::new(&[("hello", &["!echo out of memory >&2; exit 1"])])
        .run("capture")
        .refused(3, "out of memory");
}

#[test]
fn a_helper_that_dies_makes_the_answer_inconclusive_never_healthy() {
    let fake = Fake::new(&[
        ("hello", &[HELLO]),
        ("resolve", &[A]),
        ("read", &[r#"{"read":{"id":$id}}"#]),
        ("plan", &[r#"{"planned":{"id":$id,"flows":[],"missing":[]}}"#]),
        ("arm", &[ARMED]),
        ("go", &[GOING, "!exit 9"]),
    ]);
    let run = fake.run("diagnose pod-to-pod netns/a 10.0.0.1:80 -o json");
    assert_eq!(run.code, Some(3), "{run:?}");
    let report: serde_json::Value = serde_json::from_str(&run.out).unwrap();
    assert_eq!(report["outcome"], "inconclusive");
    assert!(
        report["missing"].to_string().contains("without its last line"),
        "{}",
        report["missing"]
    );
    fake.run("capture").refused_after_data(3, "not whole");
}

#[test]
fn an_output_that_cannot_be_written_is_told() {
    let full = || std::fs::File::options().write(true).open("/dev/full").unwrap();
    let out = skoop::skoop("schema").stdout(full()).output().unwrap();
    skoop::Run::of(out).refused(3, "No space left");
    let fake = Fake::capturing();
    let out = fake.skoop("capture --for 100ms").stdout(full()).output().unwrap();
    skoop::Run::of(out).refused(3, "No space left");
    fake.run("capture --record /nonexistent/file")
        .refused(3, "/nonexistent/file");
}

#[test]
fn a_recording_is_one_and_of_the_same_question() {
    run("capture --replay /nonexistent").refused(3, "/nonexistent");
    run("capture --replay /etc/passwd").refused(3, "no recording");
    let folder = tempfile::TempDir::new().unwrap();
    let file = folder.path().join("run");
    let fake = Fake::capturing();
    let recorded = fake.run(&format!("capture netns/a --max-events 1 --record {}", file.display()));
    assert_eq!(recorded.code, Some(0), "{recorded:?}");
    let replayed = run(&format!("capture netns/a --max-events 1 --replay {}", file.display()));
    let lines = |run: &skoop::Run| run.out.lines().take(5).map(str::to_owned).collect::<Vec<_>>();
    assert_eq!(lines(&replayed), lines(&recorded), "{replayed:?}");
    run(&format!("capture --replay {}", file.display())).refused(2, "give the same arguments");
}
