//! What the ends and edges of a map are called: short where that is clear, and the command that asks on.

use diagnoses::words::{self, shell};
use model::traffic_map::{EdgeRuling, EdgeSource, MapEdge, MapEnd, MapEndKind, TrafficMap};
use std::collections::{BTreeMap, BTreeSet};

/// The names of all ends of a map.
#[derive(Debug)]
pub struct EndLabels<'a> {
    labels: BTreeMap<&'a str, String>,
    ends: BTreeMap<&'a str, &'a MapEnd>,
}

impl<'a> EndLabels<'a> {
    /// Namespaces are named where there are several.
    pub fn of(map: &'a TrafficMap) -> Self {
        let watched = map.ends.iter().filter(|end| end.watched && !end.namespace.is_empty());
        let own: BTreeSet<&str> = watched.map(|end| end.namespace.as_str()).collect();
        let is_own = |end: &MapEnd| own.len() == 1 && own.contains(end.namespace.as_str());
        Self {
            labels: map
                .ends
                .iter()
                .map(|end| (end.id.as_str(), label(end, !is_own(end))))
                .collect(),
            ends: map.ends.iter().map(|end| (end.id.as_str(), end)).collect(),
        }
    }

    /// What an end is called.
    pub fn of_end(&self, id: &'a str) -> &str {
        self.labels.get(id).map_or(id, String::as_str)
    }

    /// The command that asks what is wrong with an edge; none where an end cannot be named to it.
    pub fn next_command(&self, edge: &MapEdge) -> Option<String> {
        let (source, destination) = (
            self.ends.get(edge.source.as_str())?,
            self.ends.get(edge.destination.as_str())?,
        );
        let local = source.kind == MapEndKind::Place;
        // A service sends nothing.
        let from = argument(source).filter(|_| source.kind != MapEndKind::Service)?;
        let template = match (local, edge.protocol.as_str()) {
            (true, "udp") => "sudo kubectl-skoop diagnose {} {} --protocol udp --local",
            (true, _) => "sudo kubectl-skoop diagnose {} {} --local",
            (false, "udp") => "kubectl skoop diagnose {} {} --protocol udp",
            (false, _) => "kubectl skoop diagnose {} {}",
        };
        let port = edge.port.to_string();
        let to = match destination.kind {
            MapEndKind::Outside if destination.name.contains(':') => format!("[{}]:{port}", destination.name),
            MapEndKind::Outside => format!("{}:{port}", destination.name),
            _ => format!("{}:{port}", argument(destination)?),
        };
        shell::command(template, &[&from, &to]).map(|command| command.to_string())
    }
}

fn label(end: &MapEnd, with_namespace: bool) -> String {
    let name = if with_namespace && !end.namespace.is_empty() {
        format!("{}/{}", end.namespace, end.name)
    } else {
        end.name.clone()
    };
    match end.kind {
        MapEndKind::Service => format!("svc/{name}"),
        MapEndKind::Node => format!("node/{name}"),
        MapEndKind::Workload | MapEndKind::Place | MapEndKind::Outside => name,
    }
}

/// An end as it is named to `diagnose`.
fn argument(end: &MapEnd) -> Option<String> {
    let kind = match (end.kind, end.object.as_str()) {
        (MapEndKind::Place, _) => return (!end.name.is_empty()).then(|| end.name.clone()),
        (MapEndKind::Node, _) => return Some(format!("node/{}", end.name)),
        (MapEndKind::Service, _) => "svc",
        (MapEndKind::Workload, "Deployment") => "deploy",
        (MapEndKind::Workload, "StatefulSet") => "sts",
        (MapEndKind::Workload, "DaemonSet") => "ds",
        (MapEndKind::Workload, "ReplicaSet") => "rs",
        (MapEndKind::Workload, "Job") => "job",
        (MapEndKind::Workload, "Pod") => "pod",
        (MapEndKind::Outside | MapEndKind::Workload, _) => return None,
    };
    Some(format!("{kind}/{}/{}", end.namespace, end.name))
}

/// The port of an edge, and its protocol where it is not TCP.
pub fn traffic(edge: &MapEdge) -> String {
    match edge.protocol.as_str() {
        "tcp" => edge.port.to_string(),
        other => format!("{}/{other}", edge.port),
    }
}

/// How an edge is known, in words, and what policies say about it.
pub fn how_known(edge: &MapEdge) -> String {
    let seen = match edge.known.first() {
        _ if edge.is_observed() => "observed",
        Some(EdgeSource::Permitted) => "permitted, not seen",
        _ => "declared, not seen",
    };
    let ruling = match edge.ruling {
        EdgeRuling::Allowed if seen.starts_with("permitted") => "",
        EdgeRuling::Allowed => ", allowed",
        EdgeRuling::Denied => ", denied",
        EdgeRuling::Mixed => ", allowed for some pods",
        EdgeRuling::Unknown => "",
    };
    format!("{seen}{ruling}")
}

/// The round trip time of an edge's connections; nothing where none is open.
pub fn round_trip(edge: &MapEdge) -> String {
    edge.rtt_p50_us
        .map_or_else(String::new, |us| words::time(u64::from(us) * 1_000))
}

/// So many bytes; nothing for none.
pub fn volume(bytes: u64) -> String {
    match bytes {
        0 => String::new(),
        1..1024 => format!("{bytes} B"),
        _ => words::bytes(bytes),
    }
}

/// What an edge carries and suffers, in a few words.
pub fn summary(edge: &MapEdge) -> String {
    let mut says = vec![traffic(edge)];
    for (number, one) in [(edge.connections, "conn"), (edge.lookups, "lookup")] {
        if number > 0 {
            says.push(words::count(number as usize, one));
        }
    }
    if edge.connections == 0 && edge.open > 0 {
        says.push(format!("{} open", edge.open));
    }
    for (number, what) in [
        (edge.failed, "failed"),
        (edge.dropped(), "dropped"),
        (edge.retransmits, "retransmitted"),
        (edge.resets, "reset"),
    ] {
        if number > 0 {
            says.push(format!("{number} {what}"));
        }
    }
    if edge.rtt_p50_us.is_some() {
        says.push(format!("RTT {}", round_trip(edge)));
    }
    if !edge.is_observed() {
        says.push("not seen".to_owned());
    }
    says.join(", ")
}
