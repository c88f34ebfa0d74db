//! Pages of HTML in a real browser: no error, nothing is loaded, nothing overlaps, all is inside the picture. Where there is no
//! Chromium (`./setup.sh browser`), these tests say so and pass.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
use std::collections::BTreeSet;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use model::traffic_map::{EdgeSource, MapDrop, MapEdge, MapEnd, MapEndKind, TrafficMap};
use serde_json::{Value, json};

/// What is asked of a map that was drawn; the answer becomes its title.
const OF_A_MAP: &str = "
const boxes = [...document.querySelectorAll('g[data-end] rect')].map((box) => box.getBoundingClientRect());
const texts = [...document.querySelectorAll('g[data-end]')].map((end) => [end.querySelector('text').getBoundingClientRect(), end.querySelector('rect').getBoundingClientRect()]);
const overlap = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
let overlaps = 0;
for (let i = 0; i < boxes.length; i++) for (let j = 0; j < i; j++) overlaps += overlap(boxes[i], boxes[j]) ? 1 : 0;
const outside = texts.filter(([text, box]) => text.left < box.left || text.right > box.right || text.top < box.top - 1 || text.bottom > box.bottom + 1).length;
const picture = document.querySelector('svg').getBoundingClientRect();
const cut = boxes.filter((box) => box.left < picture.left || box.right > picture.right || box.bottom > picture.bottom).length;
document.querySelector('g[data-end]').dispatchEvent(new PointerEvent('pointerenter'));
const lit = document.querySelectorAll('path.lit').length;
document.title = JSON.stringify({ ends: boxes.length, paths: document.querySelectorAll('path[data-from]').length, overlaps, outside, cut, lit,
  wide: document.documentElement.scrollWidth > window.innerWidth + 1, loaded: performance.getEntriesByType('resource').length });
";

/// The same of a diagnosis, with all of it unfolded.
const OF_A_REPORT: &str = "
document.querySelector('details').open = true;
const places = [...document.querySelectorAll('.place')];
const boxes = places.map((place) => place.getBoundingClientRect());
const overlap = (a, b) => a.left < b.right - 1 && b.left < a.right - 1 && a.top < b.bottom - 1 && b.top < a.bottom - 1;
let overlaps = 0;
for (let i = 0; i < boxes.length; i++) for (let j = 0; j < i; j++) overlaps += overlap(boxes[i], boxes[j]) ? 1 : 0;
document.title = JSON.stringify({ places: places.length, lost: document.querySelector('.lost').textContent, overlaps, outside: textOutside(),
  paper: getComputedStyle(document.body).backgroundColor, loaded: performance.getEntriesByType('resource').length });
";

/// The same of times.
const OF_TIMES: &str = "
document.title = JSON.stringify({ charts: document.querySelectorAll('.chart').length, bars: document.querySelectorAll('.chart rect').length,
  outside: textOutside(), places: document.querySelectorAll('h2').length, loaded: performance.getEntriesByType('resource').length });
";

/// The same of tables.
const OF_TABLES: &str = "
document.title = JSON.stringify({ rows: document.querySelectorAll('tbody tr').length, bad: document.querySelectorAll('td.bad').length,
  outside: textOutside(), loaded: performance.getEntriesByType('resource').length });
";

/// Text that stands outside the window, which every page may be asked for.
const TEXT_OUTSIDE: &str = "
const textOutside = () => [...document.querySelectorAll('body *')].filter((one) => {
  const box = one.getBoundingClientRect();
  return one.textContent.trim() !== '' && (box.left < 0 || box.right > window.innerWidth + 1);
}).map((one) => one.outerHTML.slice(0, 80));
";

/// A map of so many ends in five namespaces, some with names that a stranger chose.
fn map(ends: usize, edges: usize) -> TrafficMap {
    let end = |at: usize| MapEnd {
        id: at.to_string(),
        kind: [MapEndKind::Workload, MapEndKind::Service, MapEndKind::Outside][at % 3],
        object: String::new(),
        namespace: format!("team-{}", at % 5),
        name: match at % 7 {
            0 => format!("a-workload-with-a-rather-long-name-that-goes-on-{at}"),
            1 => format!("<b onclick=\"alert({at})\">&amp;</b>"),
            _ => format!("web-{at}"),
        },
        watched: at.is_multiple_of(2),
    };
    let edge = |at: usize| MapEdge {
        source: (at * 7 % ends).to_string(),
        destination: ((at * 13 + at / ends + 1) % ends).to_string(),
        port: 80,
        protocol: "tcp".to_owned(),
        known: vec![EdgeSource::Observed],
        connections: at as u64,
        drops: if at.is_multiple_of(50) {
            vec![MapDrop {
                place: "n2".to_owned(),
                why: "</script><script>throw 1</script>".to_owned(),
                packets: 3,
            }]
        } else {
            Vec::new()
        },
        ..MapEdge::default()
    };
    TrafficMap {
        kind: "Map".to_owned(),
        ends: (0..ends).map(end).collect(),
        edges: (0..edges).map(edge).collect(),
        ..TrafficMap::default()
    }
}

/// What the browser answers of a page of this width, and what it has to complain of; `None` where there is no browser.
fn drawn(page: &str, questions: &str, width: u32, scheme: &str) -> Option<(Value, String)> {
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("page-{width}-{scheme}-{}", page.len()));
    fs::create_dir_all(&directory).unwrap();
    let file = directory.join("page.html");
    fs::write(
        &file,
        page.replace(
            "</body>",
            &format!("<script>{{{TEXT_OUTSIDE}{questions}}}</script></body>"),
        ),
    )
    .unwrap();
    let scheme = format!("--blink-settings=preferredColorScheme={}", i32::from(scheme == "light"));
    let size = format!("--window-size={width},900");
    let profile = format!("--user-data-dir={}", directory.join("profile").display());
    let output = Command::new("timeout")
        .args([
            "60",
            "chromium",
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--no-first-run",
            "--enable-logging=stderr",
        ])
        .args([size.as_str(), profile.as_str(), scheme.as_str(), "--dump-dom"])
        .arg(format!("file://{}", file.display()))
        .output()
        .ok()?;
    if output.status.code() == Some(127) {
        let _ = writeln!(std::io::stderr(), "skipped: there is no chromium");
        return None;
    }
    let dom = String::from_utf8_lossy(&output.stdout);
    let said = String::from_utf8_lossy(&output.stderr);
    let console: String = said.lines().filter(|line| line.contains("CONSOLE")).collect();
    let title = dom
        .split("<title>")
        .nth(1)
        .and_then(|rest| rest.split("</title>").next())
        .unwrap_or_default();
    let told = serde_json::from_str(title).unwrap_or_else(|error| panic!("{error}: {title} {console}\n{said}"));
    Some((told, console))
}

#[test]
fn a_map_of_a_hundred_ends_is_drawn_whole_and_loads_nothing() {
    for (ends, edges, width) in [(100, 500, 1280), (5, 6, 390)] {
        let page = cli::page_of(&serde_json::to_string(&map(ends, edges)).unwrap()).unwrap();
        let Some((told, console)) = drawn(&page, OF_A_MAP, width, "light") else {
            return;
        };
        assert_eq!(console, "", "{told}");
        assert_eq!((&told["ends"], &told["paths"]), (&ends.into(), &edges.into()), "{told}");
        for nothing in ["overlaps", "outside", "cut", "loaded"] {
            assert_eq!(told[nothing], 0, "{nothing} of {told}");
        }
        assert_eq!(told["wide"], false, "the page itself fits: {told}");
        assert!(
            told["lit"].as_u64().unwrap() > 0,
            "what belongs to an end is lit: {told}"
        );
    }
}

/// A diagnosis with long names and a long rule, on two ways of which one ends early.
fn diagnosis() -> String {
    let long =
        "10.90.2.2/32 -p tcp -m tcp --dport 80 -m comment --comment a-comment-without-any-space-that-is-rather-long";
    let hop = |direction: &str, netns: &str, interface: &str, happened: &str| {
        json!({"direction": direction, "attempt": 1, "node": "n1", "netns": netns, "netns_id": 1, "interface": interface,
            "happened": happened, "at_ns": 120_000, "packets": 3, "says": "dropped: NETFILTER_DROP in ipt_do_table",
            "flow": {"src": "fd90:1:2:3:4:5:6:7", "sport": 41234, "dst": "fd90:2:2:3:4:5:6:7", "dport": 80, "protocol": "tcp"}})
    };
    let report = json!({
        "apiVersion": "skoop/v1", "kind": "Diagnosis", "intent": "pod-to-pod",
        "source": {"asked": "shop/web"}, "destination": {"asked": "shop/db", "name": "shop/db", "netns": 2, "port": 80},
        "outcome": "fault", "headline": "shop/web cannot reach shop/db:80/tcp: a firewall rule on n2 drops the request",
        "verdicts": [{"rule": "netfilter-drop", "severity": "fatal", "cause": true,
            "where": {"node": "n2", "netns": "n2", "interface": "eth0", "rule": {"backend": "iptables-legacy", "table": "filter",
                "chain": "FORWARD", "handle": 3, "text": format!("-d {long} -j DROP")}},
            "says": "a firewall rule on n2 drops the request", "because": ["3 of 3 SYNs were dropped on n2", long],
            "remedy": format!("delete it: `iptables -D FORWARD -d {long} -j DROP`")}],
        "proven": ["the name resolves"],
        "path": [hop("request", "shop/web", "eth0", "left"), hop("request", "n1", "veth01234567", "arrived"),
            hop("request", "n1", "flannel.1", "left"), hop("request", "n2", "eth0", "dropped")],
        "attempts": [{"id": 1, "kind": "tcp", "took_ns": 1_200_000_000_u64, "outcome": {"timed-out": {"during": "connect"}},
            "flow": {"src": "10.90.1.2", "sport": 41000, "dst": "10.90.2.2", "dport": 80, "protocol": "tcp"}}],
        "missing": [{"what": "netfilter rules of n1", "why": "a-reason-without-any-space-".repeat(8), "remedy": ""}],
        "nodes": [{"name": "n1", "kernel": "6.18.0"}, {"name": "n2", "kernel": "6.18.0"}], "timing": {},
    });
    report.to_string()
}

#[test]
fn a_diagnosis_is_readable_on_a_screen_and_on_a_telephone_by_day_and_by_night() {
    let page = cli::page_of(&diagnosis()).unwrap();
    for width in [1280, 390] {
        let mut papers = BTreeSet::new();
        for scheme in ["light", "dark"] {
            let Some((told, console)) = drawn(&page, OF_A_REPORT, width, scheme) else {
                return;
            };
            assert_eq!(console, "", "{told}");
            assert_eq!(
                told["places"], 4,
                "three places, and the end that was never reached: {told}"
            );
            assert_eq!(told["lost"], "n2 eth0", "the place of the fault is marked: {told}");
            for nothing in ["overlaps", "loaded"] {
                assert_eq!(told[nothing], 0, "{nothing} of {told}");
            }
            assert_eq!(told["outside"], json!([]), "at {width} pixels: {told}");
            papers.insert(told["paper"].as_str().unwrap().to_owned());
        }
        assert_eq!(papers.len(), 2, "{papers:?}");
    }
}

#[test]
fn where_time_passes_is_drawn_beside_each_stage() {
    let stage = |name: &str| {
        json!({"stage": name, "where": "socket", "count": 10, "p50_us": 40.0, "p99_us": 230_000.0, "max_us": 230_000.0,
            "buckets": [[0.5, 0.6, 1], [36.0, 40.0, 8], [200_000.0, 230_000.0, 1]]})
    };
    let latency = json!({"apiVersion": "skoop/v1", "kind": "Latency", "at": "2026-11-30T10:00:00Z", "seconds": 10.0, "places": [
        {"name": "shop/web", "node": "n1", "netns": 7, "stages": [stage("read by application, tcp"), stage("written by application")]},
        {"name": "shop/<b>db</b>", "node": "n1", "netns": 8, "stages": []}]});
    let page = cli::page_of(&latency.to_string()).unwrap();
    for width in [1280, 390] {
        let Some((told, console)) = drawn(&page, OF_TIMES, width, "light") else {
            return;
        };
        assert_eq!(console, "", "{told}");
        assert_eq!(
            told,
            json!({"charts": 2, "bars": 6, "outside": [], "loaded": 0, "places": 2})
        );
    }
}

#[test]
fn all_numbers_and_what_is_different_stand_in_tables_that_fit() {
    let number = |name: &str, hurts: bool| {
        json!({"name": name, "labels": {"interface": "eth0"}, "kind": "counter", "unit": "count", "now": 10, "growth": 3,
            "hurts": hurts, "help": "segments that were sent again"})
    };
    let inspect = json!({"apiVersion": "skoop/v1", "kind": "Inspect", "at": "2026-12-01T10:00:00Z", "seconds": 5.0, "places": [
        {"name": "shop/web", "node": "n1", "netns": 7, "hurts": ["3 segments were sent again"],
            "groups": [{"name": "TCP", "shown_by": "nstat -z", "numbers": [number("Tcp.RetransSegs", true), number("Tcp.<b>", false)]}]}]});
    let compare = json!({"apiVersion": "skoop/v1", "kind": "Compare", "at": "2026-12-01T10:00:00Z", "seconds": 5.0, "alike": 180,
        "one": {"name": "shop/web-7c9", "node": "n1", "hurts": ["it is throttled"]}, "other": {"name": "shop/web-5d2", "node": "n2", "hurts": []},
        "differences": [{"what": "MTU of eth0", "one": "1400", "other": "1450", "hurts": false},
            {"what": "Tcp.RetransSegs", "one": "+31", "other": "", "hurts": true, "help": "segments that were sent again"}]});
    for (document, rows) in [(inspect, 2), (compare, 2)] {
        let page = cli::page_of(&document.to_string()).unwrap();
        for width in [1280, 390] {
            let Some((told, console)) = drawn(&page, OF_TABLES, width, "dark") else {
                return;
            };
            assert_eq!(console, "", "{told}");
            assert_eq!(told, json!({"rows": rows, "bad": 1, "outside": [], "loaded": 0}));
        }
    }
}
