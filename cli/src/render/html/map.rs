//! Who talks to whom, as one page of HTML that needs no network: a picture in SVG, and below it every edge in a table.

use super::map_layout::{Cell, layout};
use super::{HtmlPage, escaped, not_seen, table};
use crate::render::map_labels::{EndLabels, how_known, round_trip, summary, traffic, volume};
use crate::render::numbers_parts::amount;
use model::traffic_map::{MapEdge, MapEnd, MapEndKind, TrafficMap};
use std::collections::BTreeMap;

/// Pixels from one row to the next, and of a box.
const ROW: usize = 44;
const BOX_HEIGHT: usize = 28;
/// Pixels of a letter, at most.
const LETTER: usize = 8;
/// Letters of a name that are drawn; the page has the whole name as well.
const NAME_MAX: usize = 36;
/// Pixels between two columns, for the lines.
const GAP: usize = 160;
/// Pixels around all.
const MARGIN: usize = 24;

const STYLE: &str = "
.picture { overflow: auto; max-height: 85vh; border: 1px solid var(--line); }
svg text { font: 13px system-ui, sans-serif; fill: var(--ink); }
svg rect { fill: var(--box); stroke: var(--line); }
svg .watched rect { stroke-width: 2; }
svg path { fill: none; stroke: var(--line); stroke-width: 1.2; }
svg path.bad { stroke: var(--bad); stroke-width: 2.4; }
svg path.unseen { stroke-dasharray: 2 4; }
svg.chosen path:not(.lit), svg.chosen g:not(.lit) { opacity: 0.12; }
@media print { .picture { max-height: none; overflow: visible; border: none; } }
";

/// Points at an end or an edge, and what has nothing to do with it fades.
const SCRIPT: &str = "
const picture = document.querySelector('svg');
function choose(ends) {
  picture.classList.toggle('chosen', ends !== null);
  for (const path of picture.querySelectorAll('path[data-from]')) {
    const lit = ends !== null && (ends.has(path.dataset.from) || ends.has(path.dataset.to));
    path.classList.toggle('lit', lit);
  }
  for (const group of picture.querySelectorAll('g[data-end]')) {
    const own = group.dataset.end;
    const near = ends !== null && [...picture.querySelectorAll('path.lit')].some((p) => p.dataset.from === own || p.dataset.to === own);
    group.classList.toggle('lit', near || (ends !== null && ends.has(own)));
  }
}
for (const group of picture.querySelectorAll('g[data-end]')) {
  group.addEventListener('pointerenter', () => choose(new Set([group.dataset.end])));
  group.addEventListener('pointerleave', () => choose(null));
}
";

/// The page.
pub fn page(map: &TrafficMap) -> String {
    let labels = EndLabels::of(map);
    let seen = map.edges.iter().filter(|edge| edge.is_observed()).count();
    let suffer = map.edges.iter().filter(|edge| edge.suffers()).count();
    let mut body = format!(
        "<h1>Who talks to whom</h1>\n<p class=\"quiet\">{} · {:.1} s · {} between {}, of which {suffer} suffer</p>\n",
        escaped(&map.at),
        map.window_ms as f64 / 1e3,
        diagnoses::words::count(seen, "edge"),
        diagnoses::words::count(map.ends.len(), "end"),
    );
    body += &picture(map, &labels);
    body += &table(&HEADINGS, NUMBERS_FROM, &rows(map, &labels));
    body += &not_seen(&map.missing);
    HtmlPage {
        title: "Who talks to whom".to_owned(),
        styles: &[STYLE],
        script: SCRIPT,
        is_wide: true,
        body,
    }
    .write()
}

/// Where a box is, in pixels.
#[derive(Clone, Copy)]
struct Place {
    left: usize,
    middle: usize,
    width: usize,
}

fn picture(map: &TrafficMap, labels: &EndLabels) -> String {
    let cells = layout(map);
    let names: Vec<String> = map.ends.iter().map(|end| short(labels.of_end(&end.id))).collect();
    let count = cells.iter().map(|cell| cell.column + 1).max().unwrap_or_default();
    let mut widths = vec![0; count];
    let mut heights = vec![0; count];
    for (cell, name) in cells.iter().zip(&names) {
        widths[cell.column] = widths[cell.column].max(name.chars().count() * LETTER + 24);
        heights[cell.column] = heights[cell.column].max((cell.row + 1) * ROW);
    }
    let height = heights.iter().copied().max().unwrap_or_default();
    let mut lefts = Vec::new();
    let mut left = MARGIN;
    for width in &widths {
        lefts.push(left);
        left += width + GAP;
    }
    let place = |cell: &Cell| Place {
        left: lefts[cell.column],
        // Short columns stand in the middle.
        middle: MARGIN + (height - heights[cell.column]) / 2 + cell.row * ROW + ROW / 2,
        width: widths[cell.column],
    };
    let places: Vec<Place> = cells.iter().map(place).collect();
    let at: BTreeMap<&str, usize> = map
        .ends
        .iter()
        .enumerate()
        .map(|(at, end)| (end.id.as_str(), at))
        .collect();
    let (wide, high) = (left.saturating_sub(GAP) + MARGIN + GAP / 2, height + 2 * MARGIN);
    let mut svg = format!(
        "<div class=\"picture\"><svg role=\"img\" aria-label=\"Who talks to whom\" width=\"{wide}\" height=\"{high}\" viewBox=\"0 0 {wide} {high}\">\n\
         <defs><marker id=\"tip\" viewBox=\"0 0 8 8\" refX=\"8\" refY=\"4\" markerWidth=\"7\" markerHeight=\"7\" orient=\"auto\">\
         <polygon points=\"0,0 8,4 0,8\" fill=\"context-stroke\"/></marker></defs>\n"
    );
    // What suffers is drawn last, above all other lines.
    for edge in map.edges.iter().rev() {
        if let (Some(&from), Some(&to)) = (at.get(edge.source.as_str()), at.get(edge.destination.as_str())) {
            svg += &line(edge, labels, (from, places[from]), (to, places[to]));
        }
    }
    for ((end, place), name) in map.ends.iter().zip(&places).zip(&names) {
        svg += &node(end, at[end.id.as_str()], *place, name);
    }
    svg + "</svg></div>\n"
}

fn line(
    edge: &MapEdge,
    labels: &EndLabels,
    (from, source): (usize, Place),
    (to, destination): (usize, Place),
) -> String {
    let start = source.left + source.width;
    let path = if destination.left > start {
        let bend = (destination.left - start) / 2;
        format!(
            "M{start},{} C{},{} {},{} {},{}",
            source.middle,
            start + bend,
            source.middle,
            destination.left - bend,
            destination.middle,
            destination.left,
            destination.middle
        )
    } else {
        // Back, or within a column: around the right side.
        let end = destination.left + destination.width;
        let out = start.max(end) + GAP / 2;
        format!(
            "M{start},{} C{out},{} {out},{} {end},{}",
            source.middle,
            source.middle,
            destination.middle + BOX_HEIGHT / 4,
            destination.middle + BOX_HEIGHT / 4
        )
    };
    let class = match (edge.suffers(), edge.is_observed()) {
        (true, _) => " class=\"bad\"",
        (false, true) => "",
        (false, false) => " class=\"unseen\"",
    };
    let says = format!(
        "{} to {}: {}",
        labels.of_end(&edge.source),
        labels.of_end(&edge.destination),
        summary(edge)
    );
    format!(
        "<path{class} data-from=\"{from}\" data-to=\"{to}\" marker-end=\"url(#tip)\" d=\"{path}\"><title>{}</title></path>\n",
        escaped(&says)
    )
}

fn node(end: &MapEnd, at: usize, place: Place, name: &str) -> String {
    let round = match end.kind {
        MapEndKind::Service => BOX_HEIGHT / 2,
        MapEndKind::Outside => 0,
        _ => 5,
    };
    let class = if end.watched { " class=\"watched\"" } else { "" };
    let whole = match (end.object.as_str(), end.namespace.as_str()) {
        ("", _) => end.name.clone(),
        (object, "") => format!("{object} {}", end.name),
        (object, namespace) => format!("{object} {namespace}/{}", end.name),
    };
    format!(
        "<g{class} data-end=\"{at}\"><title>{}</title><rect x=\"{}\" y=\"{}\" width=\"{}\" height=\"{BOX_HEIGHT}\" rx=\"{round}\"/>\
         <text x=\"{}\" y=\"{}\">{}</text></g>\n",
        escaped(&whole),
        place.left,
        place.middle - BOX_HEIGHT / 2,
        place.width,
        place.left + 12,
        place.middle + 5,
        escaped(name)
    )
}

/// A name as long as a box can be.
fn short(name: &str) -> String {
    if name.chars().count() <= NAME_MAX {
        return name.to_owned();
    }
    name.chars().take(NAME_MAX - 1).chain(['…']).collect()
}

const HEADINGS: [&str; 14] = [
    "from",
    "to",
    "port",
    "known",
    "dropped",
    "connections",
    "lookups",
    "failed",
    "open",
    "retransmits",
    "resets",
    "RTT p50",
    "sent",
    "received",
];
/// From here on they are numbers.
const NUMBERS_FROM: usize = 5;

fn rows(map: &TrafficMap, labels: &EndLabels) -> Vec<(bool, Vec<String>)> {
    let row = |edge: &MapEdge| {
        let drops = edge
            .drops
            .iter()
            .map(|drop| escaped(&format!("{} at {}: {}", drop.packets, drop.place, drop.why)));
        let texts = [
            escaped(labels.of_end(&edge.source)),
            escaped(labels.of_end(&edge.destination)),
            escaped(&traffic(edge)),
            known(edge),
            drops.collect::<Vec<_>>().join("<br>"),
        ];
        let numbers = [
            edge.connections,
            edge.lookups,
            edge.failed,
            edge.open,
            edge.retransmits,
            edge.resets,
        ];
        let measured = [round_trip(edge), volume(edge.sent_bytes), volume(edge.received_bytes)];
        let cells = texts.into_iter().chain(numbers.map(amount)).chain(measured);
        (edge.suffers(), cells.collect())
    };
    map.edges.iter().map(row).collect()
}

fn known(edge: &MapEdge) -> String {
    let known = how_known(edge);
    if edge.denied_by.is_empty() {
        return known;
    }
    format!("{known} (denied by {})", escaped(&edge.denied_by.join(", ")))
}

#[cfg(test)]
mod tests {
    use super::page;
    use crate::render::samples::traffic_map;

    #[test]
    fn a_page_has_a_box_for_each_end_and_a_line_for_each_edge() {
        let map = traffic_map();
        let drawn = page(&map);
        assert_eq!(drawn.matches("<g").count(), map.ends.len());
        assert_eq!(drawn.matches("<path").count(), map.edges.len());
        assert_eq!(drawn.matches("class=\"bad\" data-from").count(), 1);
        assert!(
            !drawn.contains("http://") && !drawn.contains("https://"),
            "nothing is loaded from anywhere"
        );
        for cell in [
            "data-label=\"RTT p50\">310 us<",
            "data-label=\"sent\">900 B<",
            "data-label=\"received\">1.0 MiB<",
        ] {
            assert!(drawn.contains(cell), "{cell}: {drawn}");
        }
    }

    #[test]
    fn a_name_is_no_markup() {
        let mut map = traffic_map();
        map.ends[0].name = "</title><script>alert(1)</script>\u{1b}\"'".to_owned();
        let drawn = page(&map);
        assert_eq!(drawn.matches("<script>").count(), 1, "ours alone");
        assert!(drawn.contains("&lt;script&gt;alert(1)") && !drawn.contains('\u{1b}'));
    }
}
