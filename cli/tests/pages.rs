//! Pages of HTML in a real browser: no error, nothing is loaded, nothing overlaps, all is inside the picture. Where there is no
//! Chromium (`./setup.sh browser`), these tests say so and pass.
#![allow(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::process::Command;

use model::traffic_map::{EdgeSource, MapDrop, MapEdge, MapEnd, MapEndKind, TrafficMap};
use serde_json::Value;

/// What is asked of a page that was drawn, as its title.
const QUESTIONS: &str = "
<script>{
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
}</script>
</body>";

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

/// What the browser says of a page of this width; `None` where there is no browser.
fn drawn(page: &str, width: u32, directory: &Path) -> Option<(Value, String)> {
    let file = directory.join("page.html");
    fs::write(&file, page.replace("</body>", QUESTIONS)).unwrap();
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
        .args([size.as_str(), profile.as_str(), "--dump-dom"])
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
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR"));
    for (ends, edges, width) in [(100, 500, 1280), (5, 6, 390)] {
        let Some((told, console)) = drawn(&cli::page_of(&map(ends, edges)), width, directory) else {
            return;
        };
        assert_eq!(console, "", "{told}");
        assert_eq!((&told["ends"], &told["paths"]), (&ends.into(), &edges.into()), "{told}");
        for nothing in ["overlaps", "outside", "cut", "loaded"] {
            assert_eq!(told[nothing], 0, "{nothing} of {told}");
        }
        assert!(
            told["lit"].as_u64().unwrap() > 0,
            "what belongs to an end is lit: {told}"
        );
    }
}
