//! Who talks to whom, as text that other programs draw: Mermaid's flowcharts and Graphviz' DOT.

use super::map_labels::{EndLabels, summary};
use super::untrusted_text::{CELL, shown};
use model::traffic_map::{MapEnd, MapEndKind, TrafficMap};
use std::collections::BTreeMap;

/// The colour of what suffers.
const BAD: &str = "#c62828";

/// A flowchart of Mermaid (as GitHub, GitLab and many wikis draw it).
pub fn mermaid(map: &TrafficMap) -> String {
    let labels = EndLabels::of(map);
    let numbers = numbers(map);
    let mut text = "flowchart LR\n".to_owned();
    for (at, (namespace, ends)) in by_namespace(map).into_iter().enumerate() {
        let indent = if namespace.is_empty() { "  " } else { "    " };
        if !namespace.is_empty() {
            text += &format!("  subgraph g{at}[{}]\n", mermaid_text(namespace));
        }
        for end in ends {
            let (open, close) = match end.kind {
                MapEndKind::Service => ("([", "])"),
                MapEndKind::Node => ("[[", "]]"),
                MapEndKind::Outside => ("{{", "}}"),
                MapEndKind::Workload | MapEndKind::Place => ("[", "]"),
            };
            let name = mermaid_text(labels.of_end(&end.id));
            text += &format!("{indent}n{}{open}{name}{close}\n", numbers[end.id.as_str()]);
        }
        if !namespace.is_empty() {
            text += "  end\n";
        }
    }
    let mut bad = Vec::new();
    for (at, edge) in map.edges.iter().enumerate() {
        let (Some(from), Some(to)) = (
            numbers.get(edge.source.as_str()),
            numbers.get(edge.destination.as_str()),
        ) else {
            continue;
        };
        let arrow = match (edge.suffers(), edge.is_observed()) {
            (true, _) => "--x",
            (false, true) => "-->",
            (false, false) => "-.->",
        };
        text += &format!("  n{from} {arrow}|{}| n{to}\n", mermaid_text(&summary(edge)));
        if edge.suffers() {
            bad.push(at.to_string());
        }
    }
    if !bad.is_empty() {
        text += &format!("  linkStyle {} stroke:{BAD},color:{BAD}\n", bad.join(","));
    }
    text
}

/// A graph in Graphviz' language.
pub fn dot(map: &TrafficMap) -> String {
    let labels = EndLabels::of(map);
    let numbers = numbers(map);
    let mut text = "digraph map {\n  rankdir=LR;\n  node [shape=box, fontname=\"sans-serif\"];\n  edge [fontname=\"sans-serif\", fontsize=10];\n"
        .to_owned();
    for (at, (namespace, ends)) in by_namespace(map).into_iter().enumerate() {
        if !namespace.is_empty() {
            text += &format!("  subgraph cluster_{at} {{\n    label={};\n", dot_text(namespace));
        }
        for end in ends {
            let shape = match end.kind {
                MapEndKind::Service => "ellipse",
                MapEndKind::Node => "box3d",
                MapEndKind::Outside => "plaintext",
                MapEndKind::Workload | MapEndKind::Place => "box",
            };
            let name = dot_text(labels.of_end(&end.id));
            text += &format!("    n{} [label={name}, shape={shape}];\n", numbers[end.id.as_str()]);
        }
        if !namespace.is_empty() {
            text += "  }\n";
        }
    }
    for edge in &map.edges {
        let (Some(from), Some(to)) = (
            numbers.get(edge.source.as_str()),
            numbers.get(edge.destination.as_str()),
        ) else {
            continue;
        };
        let look = match (edge.suffers(), edge.is_observed()) {
            (true, _) => format!(", color=\"{BAD}\", fontcolor=\"{BAD}\""),
            (false, true) => String::new(),
            (false, false) => ", style=dotted".to_owned(),
        };
        text += &format!("  n{from} -> n{to} [label={}{look}];\n", dot_text(&summary(edge)));
    }
    text + "}\n"
}

/// A number for each end: a name of somebody else's is no identifier.
fn numbers(map: &TrafficMap) -> BTreeMap<&str, usize> {
    map.ends
        .iter()
        .enumerate()
        .map(|(at, end)| (end.id.as_str(), at))
        .collect()
}

/// Ends by namespace; those that have none first.
fn by_namespace(map: &TrafficMap) -> BTreeMap<&str, Vec<&MapEnd>> {
    let mut groups: BTreeMap<&str, Vec<&MapEnd>> = BTreeMap::new();
    for end in &map.ends {
        groups.entry(end.namespace.as_str()).or_default().push(end);
    }
    groups
}

/// As a quoted text of Mermaid, in which entities stand for what would end it.
fn mermaid_text(text: &str) -> String {
    let mut quoted = "\"".to_owned();
    for letter in shown(text, CELL).chars() {
        if letter.is_alphanumeric() || " /:.,-_[]".contains(letter) {
            quoted.push(letter);
        } else {
            quoted += &format!("#{};", u32::from(letter));
        }
    }
    quoted + "\""
}

/// As a quoted text of DOT.
fn dot_text(text: &str) -> String {
    format!("\"{}\"", shown(text, CELL).replace('\\', "\\\\").replace('"', "\\\""))
}

#[cfg(test)]
mod tests {
    use super::{dot, dot_text, mermaid, mermaid_text};
    use crate::render::samples::traffic_map;

    #[test]
    fn both_languages_draw_the_same_map() {
        insta::assert_snapshot!(mermaid(&traffic_map()));
        insta::assert_snapshot!(dot(&traffic_map()));
    }

    #[test]
    fn a_name_ends_no_quotation() {
        assert_eq!(mermaid_text("a\"]\n|x|"), "\"a#34;]#92;n#124;x#124;\"");
        assert_eq!(dot_text("a\"];\\\n"), "\"a\\\"];\\\\\\\\n\"");
    }
}
