//! Reports made by hand, one of each outcome, and the screens drawn from them.

use super::paper::Paper;
use super::table::Sheet;
use model::flow::{Flow, TCP};
use model::report::{OneEndReport, Report};
use model::traffic_map::TrafficMap;
use serde_json::{Value, json};

fn report(outcome: &str, headline: &str, parts: &Value) -> Report {
    let mut report = json!({
        "apiVersion": "skoop/v1", "kind": "Diagnosis", "intent": "pod-to-pod",
        "source": {"asked": "netns/a", "name": "netns/a"}, "destination": {"asked": "netns/c", "name": "netns/c", "netns": 2, "port": 80},
        "outcome": outcome, "headline": headline,
        "verdicts": [], "proven": [], "path": [], "attempts": [], "missing": [],
        "nodes": [{"name": "n1", "kernel": "6.18.0", "events": 212, "bpf": {"runs": 9000, "ns": 3_000_000}}],
        "timing": {"totalMs": 620, "helloMs": 20, "factsMs": 60, "armedMs": 50, "windowMs": 440, "verdictMs": 50},
    });
    for (name, value) in parts.as_object().unwrap() {
        report[name] = value.clone();
    }
    serde_json::from_value(report).unwrap()
}

fn hop(direction: &str, netns: &str, interface: &str, happened: &str, says: &str) -> Value {
    json!({"direction": direction, "attempt": 1, "node": "n1", "netns": netns, "netns_id": 1, "interface": interface,
        "happened": happened, "at_ns": 120_000, "packets": 3, "says": says,
        "flow": {"src": "10.90.1.2", "sport": 41234, "dst": "10.90.2.2", "dport": 80, "protocol": "tcp"}})
}

fn connect(id: u32, connected_ns: Option<u64>, outcome: &Value) -> Value {
    json!({"id": id, "kind": "tcp", "took_ns": 1_200_000_000, "connected_ns": connected_ns, "outcome": outcome,
        "flow": {"src": "10.90.1.2", "sport": 41000 + id, "dst": "10.90.2.2", "dport": 80, "protocol": "tcp"}})
}

fn fault() -> Report {
    let timed_out = json!({"timed-out": {"during": "connect"}});
    report(
        "fault",
        "netns/a cannot reach netns/c:80/tcp: a firewall rule in netns/x drops the request",
        &json!({
            "verdicts": [
                {"rule": "netfilter-drop", "severity": "fatal", "cause": true,
                 "where": {"node": "n1", "netns": "netns/x", "interface": "up0", "rule": {"backend": "iptables-legacy",
                    "table": "filter", "chain": "FORWARD", "handle": 3,
                    "text": "-d 10.90.2.2/32 -p tcp -m tcp --dport 80 -m comment --comment \"lockdown 2024-11\" -j DROP"}},
                 "says": "a firewall rule in netns/x drops the request",
                 "because": ["3 of 3 SYNs left netns/a and were dropped in netns/x (NETFILTER_DROP in ipt_do_table)",
                    "that rule counted 3 packets in the same window, no other rule did"],
                 "remedy": "delete the rule or accept 10.90.1.2 -> 10.90.2.2:80/tcp before it; it carries the comment \"lockdown 2024-11\""},
                {"rule": "dns-server-unreachable", "severity": "fatal", "cause": false, "where": {},
                 "says": "the name server 10.90.2.2 does not answer", "because": ["2 queries without an answer"], "remedy": ""}],
            "path": [hop("request", "netns/a", "eth0", "left", "left through netns/a eth0"),
                hop("request", "netns/x", "vetha", "arrived", "arrived at netns/x vetha"),
                hop("request", "netns/x", "cbr0", "arrived", "arrived at netns/x cbr0"),
                hop("request", "netns/x", "up0", "dropped", "dropped: NETFILTER_DROP in ipt_do_table")],
            "attempts": [connect(1, None, &timed_out), connect(2, None, &timed_out), connect(3, None, &timed_out)],
        }),
    )
}

fn healthy() -> Report {
    let echo = |kind: &str, bytes: u32, rtt_ns: Vec<Option<u64>>| {
        json!({"id": 9, "kind": kind, "outcome": "ok", "echo": {"packet_bytes": bytes, "rtt_ns": rtt_ns, "order": []},
            "flow": {"src": "10.90.1.2", "sport": 7, "dst": "10.90.2.2", "dport": 0, "protocol": "icmp"}})
    };
    report(
        "healthy",
        "netns/a reaches netns/c:80/tcp: 3 TCP connections made in 180 us at best, 210 us on average",
        &json!({
            "proven": ["3 TCP connections made in 180 us at best, 210 us on average",
                "20 of 20 echoes answered, round trip 85 us at best", "packets of 1500 bytes pass whole, there and back"],
            "verdicts": [{"rule": "dns-search-amplification", "severity": "info", "cause": false, "where": {},
                "says": "one lookup became 5 queries (ndots:5)", "because": ["4 names of the search list were tried first"],
                "remedy": "write the name with a final dot"}],
            "path": [hop("request", "netns/a", "eth0", "left", ""), hop("request", "netns/x", "vetha", "arrived", ""),
                hop("request", "netns/c", "eth0", "delivered", ""), hop("answer", "netns/c", "eth0", "left", ""),
                hop("answer", "netns/x", "vetha", "left", ""), hop("answer", "netns/a", "eth0", "arrived", "")],
            "attempts": [connect(1, Some(180_000), &json!("ok")), connect(2, Some(240_000), &json!("ok")),
                echo("echo", 84, vec![Some(85_000), Some(99_000)]), echo("echo-full-size", 1500, vec![Some(120_000)])],
        }),
    )
}

fn inconclusive() -> Report {
    let missing = |what: &str, why: &str, remedy: &str| json!({"what": what, "why": why, "remedy": remedy});
    report(
        "inconclusive",
        "cannot tell whether netns/a reaches netns/c:80/tcp: probe path: this kernel has no BTF",
        &json!({
            "missing": [missing("probe path", "this kernel has no BTF (/sys/kernel/btf/vmlinux)", "use a kernel built with CONFIG_DEBUG_INFO_BTF"),
                missing("netfilter rules of netns/x", "nft is not installed", "install nftables on the node"),
                missing("the rest of what the helper saw", "the helper ended without its last line", ""),
                missing("one", "two", ""), missing("three", "four", "")],
            "attempts": [connect(1, None, &json!("cancelled"))],
        }),
    )
}

fn lookup() -> Report {
    report(
        "fault",
        "netns/a cannot resolve api.default.svc.cluster.local: no server knows this name",
        &json!({
            "intent": "dns",
            "verdicts": [{"rule": "dns-name-not-found", "severity": "fatal", "cause": true, "where": {"netns": "netns/a"},
                "says": "no server knows this name",
                "because": ["10.90.2.2:53 answered NXDOMAIN for api.default.svc.cluster.local after 1.1 ms"],
                "remedy": "check the name, and that the service exists"}],
            "attempts": [{"id": 1, "kind": "dns", "took_ns": 2_300_000,
                "outcome": {"error": {"during": "lookup", "errno": {"number": 0, "name": "NXDOMAIN"}}},
                "dns": {"name": "api.default.svc.cluster.local", "queries": [], "addresses": [], "found": null}}],
        }),
    )
}

fn screen(report: &Report, width: usize, wide: bool) -> String {
    let paper = Paper { colour: false, width };
    paper.write(&Sheet { paper, wide }.report(report))
}

#[test]
fn a_fault_shows_cause_proof_remedy_path_and_attempts() {
    insta::assert_snapshot!(screen(&fault(), 110, false));
}

#[test]
fn a_fault_on_a_narrow_terminal_breaks_no_address() {
    let screen = screen(&fault(), 60, false);
    assert!(screen.contains("10.90.2.2:80/tcp"), "{screen}");
    insta::assert_snapshot!(screen);
}

#[test]
fn a_fault_in_full_shows_every_hop_and_every_time() {
    insta::assert_snapshot!(screen(&fault(), 140, true));
}

#[test]
fn a_healthy_path_says_what_was_proven() {
    insta::assert_snapshot!(screen(&healthy(), 110, false));
}

#[test]
fn a_path_over_both_families_says_which_is_which() {
    let mut report = healthy();
    let mut other = report.path.clone();
    for hop in &mut other {
        hop.attempt += 100;
        hop.flow = Flow::new(
            TCP,
            "[fd90:1::2]:41000".parse().unwrap(),
            "[fd90:2::2]:80".parse().unwrap(),
        );
    }
    report.path.extend(other);
    let sheet = screen(&report, 110, false);
    for label in ["there, IPv4: ", "there, IPv6: "] {
        assert!(sheet.contains(label), "{sheet}");
    }
}

#[test]
fn a_line_of_the_path_has_one_mark_and_each_loss_a_line_of_its_own() {
    let mut report = fault();
    let mut other = report.path.last().unwrap().clone();
    other.interface = Some("cbr0".to_owned());
    other.says = "dropped: PKT_TOO_BIG in ip_forward".to_owned();
    report.path.insert(3, other);
    let sheet = screen(&report, 110, false);
    let line = sheet.lines().find(|line| line.contains("there:")).unwrap();
    assert_eq!(line.matches('✗').count(), 1, "{sheet}");
    assert!(
        sheet.contains("PKT_TOO_BIG") && sheet.contains("NETFILTER_DROP"),
        "{sheet}"
    );
}

#[test]
fn answers_of_a_connection_that_was_made_were_not_lost_where_they_were_last_seen() {
    let of = |connected_ns| {
        let timed_out = json!({"timed-out": {"during": "read"}});
        let path = [
            hop("answer", "netns/c", "eth0", "left", ""),
            hop("answer", "netns/a", "eth0", "last-seen", ""),
        ];
        let parts = json!({"path": path, "attempts": [connect(1, connected_ns, &timed_out)]});
        screen(&report("fault", "it stalls", &parts), 110, false)
    };
    assert!(of(None).contains("✗ last seen here"));
    assert!(!of(Some(180_000)).contains("last seen here"));
}

#[test]
fn an_inconclusive_look_says_what_was_not_seen_and_how_to_see_it() {
    insta::assert_snapshot!(screen(&inconclusive(), 110, false));
}

#[test]
fn a_lookup_that_fails_says_what_was_asked() {
    insta::assert_snapshot!(screen(&lookup(), 110, false));
}

/// One end with two causes, one of which two conversations suffer from.
fn one_end() -> OneEndReport {
    let conversation = |source: &str, failed: u32| {
        json!({"source": source, "destination": "shop/db-0", "port": 5432, "protocol": "tcp",
            "tried": 38, "failed": failed, "lost": 41, "waited_ms": 14_200})
    };
    let verdict = |rule: &str, says: &str, conversations: Value| {
        json!({"rule": rule, "severity": "fatal", "cause": true, "where": {"node": "n2", "netns": "n2", "interface": "eth0"},
            "says": says, "because": ["seen in the kernel"], "remedy": "mend it", "conversations": conversations})
    };
    serde_json::from_value(json!({
        "apiVersion": "skoop/v1", "kind": "Diagnosis", "intent": "namespace", "source": {"asked": "shop", "name": "shop"},
        "outcome": "fault",
        "headline": "shop: 14 of 38 connections to shop/db-0:5432 failed: a firewall rule in n2 drops the request (and 1 more cause)",
        "verdicts": [
            verdict("netfilter-drop", "a firewall rule in n2 drops the request",
                json!([conversation("shop/web-7c9", 14), conversation("shop/cart-66b", 3)])),
            verdict("port-closed", "nothing listens on 10.244.2.3:8081/tcp", json!([conversation("shop/web-7c9", 2)]))],
        "seen": {"connections": 312, "lookups": 410, "datagrams": 1640, "peers": 9, "connect_p99_ms": 1.2, "lookup_p99_ms": 3.0},
        "missing": [], "nodes": [{"name": "n1", "kernel": "6.18.0", "events": 212, "bpf": {"runs": 9000, "ns": 3_000_000}}],
        "timing": {"totalMs": 10_620},
    }))
    .unwrap()
}

#[test]
fn one_end_shows_its_causes_by_what_they_cost_and_what_was_seen_to_work() {
    let paper = Paper {
        colour: false,
        width: 110,
    };
    insta::assert_snapshot!(paper.write(&Sheet { paper, wide: false }.one_end(&one_end(), false)));
}

#[test]
fn colour_adds_marks_and_no_words() {
    let sheet = |colour| {
        let paper = Paper { colour, width: 110 };
        paper.write(&Sheet { paper, wide: false }.report(&fault()))
    };
    let coloured = sheet(true);
    assert!(coloured.contains("\u{1b}["), "{coloured}");
    assert_eq!(anstream::adapter::strip_str(&coloured).to_string(), sheet(false));
}

#[test]
fn yaml_is_the_same_document_as_json() {
    let report = fault();
    let text = super::yaml(&report).unwrap();
    assert!(!text.contains(": !"), "a tag: {text}");
    let back: Value = serde_yaml::from_str(&text).unwrap();
    assert_eq!(back, serde_json::to_value(&report).unwrap());
}

/// A map of two workloads, a service that nobody asked, and something outside.
pub fn traffic_map() -> TrafficMap {
    let workload = |name: &str| {
        json!({"id": format!("Deployment/shop/{name}"), "kind": "workload", "object": "Deployment", "namespace": "shop",
            "name": name, "watched": true})
    };
    let service = |namespace: &str, name: &str| {
        json!({"id": format!("Service/{namespace}/{name}"), "kind": "service", "object": "Service", "namespace": namespace,
            "name": name, "watched": false})
    };
    let map = json!({
        "apiVersion": "skoop/v1", "kind": "Map", "at": "2026-11-30T10:00:00Z", "window_ms": 30_000,
        "ends": [workload("web"), workload("db"), service("shop", "db"), service("kube-system", "kube-dns"),
            {"id": "203.0.113.9", "kind": "outside", "name": "203.0.113.9"}],
        "edges": [
            {"source": "Deployment/shop/web", "destination": "Service/shop/db", "port": 5432, "protocol": "tcp",
                "known": ["observed"], "ruling": "denied", "denied_by": ["shop/lockdown"], "connections": 12, "failed": 12,
                "drops": [{"place": "n2", "why": "netfilter said so (NETFILTER_DROP)", "packets": 24}]},
            {"source": "Deployment/shop/web", "destination": "Service/kube-system/kube-dns", "port": 53, "protocol": "udp",
                "known": ["observed"], "ruling": "allowed", "lookups": 310},
            {"source": "Deployment/shop/web", "destination": "203.0.113.9", "port": 443, "protocol": "tcp",
                "known": ["observed"], "ruling": "allowed", "connections": 3, "open": 2, "retransmits": 1,
                "sent_bytes": 900, "received_bytes": 1_048_576, "rtt_p50_us": 310},
            {"source": "Service/shop/db", "destination": "Deployment/shop/db", "port": 5432, "protocol": "tcp",
                "known": ["declared"]},
        ],
        "missing": [],
    });
    serde_json::from_value(map).unwrap()
}
