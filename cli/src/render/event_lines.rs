//! The lines of events: aligned in columns that can be read while they scroll, or one JSON object a line. Pure.

use super::event_phrases::{self, AddressNames};
use super::paper::{Ink, Paper, TextLine, TextPage, columns, wrap};
use super::untrusted_text::{self, CELL, shown};
use model::event::{Event, Seen};
use model::inventory::Pod;
use model::owner::Owner;
use model::protocol::Hello;
use std::collections::BTreeMap;

/// Columns of the time and of the word, and the space between columns.
const TIME: usize = 12;
const WHAT: usize = 10;
const GAP: usize = 2;
/// Columns that places and flows have at first, and at most; they grow with what comes.
const fn place_columns(width: usize) -> (usize, usize) {
    (if width < 104 { width / 4 } else { 26 }, width / 3)
}
const fn flow_columns(width: usize) -> (usize, usize) {
    (if width < 120 { width * 3 / 10 } else { 36 }, width / 2)
}

/// Names of namespaces, by node and inode.
pub type NetnsNames = BTreeMap<(String, u32), String>;

/// Names that are known before the first event.
#[derive(Clone, Debug, Default)]
pub struct EventNames {
    /// Names of addresses.
    pub addresses: AddressNames,
    /// Names of namespaces.
    pub netns: NetnsNames,
    /// Names of pods, by UID.
    pub pods: event_phrases::PodNamesByUid,
    /// The nodes, where there are several.
    pub nodes: Vec<String>,
}

/// An event with the names of the cluster's objects that it is about.
#[derive(serde::Serialize)]
struct Named<'a> {
    #[serde(flatten)]
    event: &'a Event,
    #[serde(skip_serializing_if = "Option::is_none")]
    pod: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    container: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    src_name: Option<&'a String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    dst_name: Option<&'a String>,
}

/// What the lines of a capture share.
#[derive(Debug)]
pub(super) struct EventLines {
    paper: Paper,
    names: AddressNames,
    /// Names of namespaces, by node and inode; the node is empty where there is one.
    netns: NetnsNames,
    /// Names of pods, by UID.
    pods: event_phrases::PodNamesByUid,
    /// Columns of the nodes' names; 0 where there is one node.
    node: usize,
    /// Nanoseconds since midnight UTC at `CLOCK_MONOTONIC` zero.
    midnight_ns: i128,
    place: usize,
    flow: usize,
}

impl EventLines {
    /// With these names; the clock is that of this helper's node.
    pub(super) fn new(paper: Paper, known: EventNames, hello: &Hello) -> Self {
        Self {
            paper,
            names: known.addresses,
            netns: known.netns,
            pods: known.pods,
            node: known
                .nodes
                .iter()
                .map(|name| columns(name).max("NODE".len()))
                .max()
                .unwrap_or_default(),
            midnight_ns: i128::from(hello.wall_ns) - i128::from(hello.monotonic_ns),
            place: place_columns(paper.width).0,
            flow: flow_columns(paper.width).0,
        }
    }

    /// It is of a pod that has a name, or of none.
    pub(super) fn knows_pod_of(&self, event: &Event) -> bool {
        !matches!(&event.owner, Owner::Pod { uid, .. } if !self.pods.contains_key(uid))
    }

    /// Names of pods that have come since.
    pub(super) fn name_pods(&mut self, pods: &[Pod]) {
        for pod in pods {
            let names = event_phrases::PodNames::of(pod);
            if !pod.host_network && pod.phase == "Running" {
                let addresses = pod.addresses.iter().map(|address| (*address, names.name.clone()));
                self.names.extend(addresses);
            }
            self.pods.insert(pod.uid.clone(), names);
        }
    }

    /// Names of namespaces, as far as they are known by now.
    pub(super) const fn netns(&self) -> &NetnsNames {
        &self.netns
    }

    /// What namespaces are called, for the summary: it has their inodes only.
    pub(super) fn learn(&mut self, event: &Event) {
        let place = (event.node.clone(), event.netns);
        if self.netns.contains_key(&place) {
            return;
        }
        let whose = event_phrases::OwnerNames {
            netns: &self.netns,
            pods: &self.pods,
        };
        if let Some(name) = event_phrases::netns(event, &whose) {
            self.netns.insert(place, name);
        }
    }

    pub(super) fn event(&mut self, event: &Event) -> TextPage {
        let ink = match event.seen {
            Seen::Drop { .. }
            | Seen::NeighbourFailed { .. }
            | Seen::DnsUnanswered { .. }
            | Seen::ReceiveBufferFull { .. } => Ink::Bad,
            Seen::ResetSent { .. }
            | Seen::ResetReceived { .. }
            | Seen::SocketError { .. }
            | Seen::Retransmit { .. }
            | Seen::Slow { .. } => Ink::Open,
            _ => Ink::Quiet,
        };
        let whose = event_phrases::OwnerNames {
            netns: &self.netns,
            pods: &self.pods,
        };
        let (place, flow) = (
            event_phrases::place(event, &whose),
            event_phrases::flow(event, &self.names),
        );
        let row = self.row(
            &self.clock(event.at_ns),
            &event.node,
            &place,
            event_phrases::what(&event.seen),
            &flow,
            &event_phrases::why(event),
        );
        row.page(Some(ink))
    }

    pub(super) fn head(&mut self) -> TextPage {
        let row = self.row("TIME (UTC)", "NODE", "PLACE", "WHAT", "FLOW", "WHY");
        let lines = [row.before + &row.what + &row.behind].into_iter().chain(row.below);
        lines
            .map(|line| TextLine::default().ink(Ink::Strong, line.trim_end()))
            .collect()
    }

    /// One line, or two where it does not fit: then the reason goes below, and nothing is broken inside an address.
    fn row(&mut self, time: &str, node: &str, place: &str, what: &str, flow: &str, why: &str) -> Row {
        let [node, place, flow, why] = [node, place, flow, why].map(|text| shown(text, CELL));
        let width = self.paper.width;
        self.place = self.place.max(columns(&place).min(place_columns(width).1));
        let node = match self.node {
            0 => String::new(),
            width => format!("{node:<width$}  "),
        };
        let before = format!("{time:<TIME$}  {node}{place:<width$}  ", width = self.place);
        let head = columns(&before) + columns(&format!("{what:<WHAT$}")) + GAP;
        let mut row = Row {
            before,
            what: what.to_owned(),
            behind: String::new(),
            below: Vec::new(),
        };
        let gap = " ".repeat(WHAT.saturating_sub(columns(what)) + GAP);
        // A column grows for a flow that then fits into one line; others stand alone and take no space from the rest.
        if head + columns(&flow) + GAP + columns(&why) <= width {
            self.flow = self.flow.max(columns(&flow).min(flow_columns(width).1));
        }
        // One long flow does not have to cost a line: without its padding it may fit.
        let aligned = format!("{gap}{flow:<width$}  {why}", width = self.flow);
        let tight = format!("{}  {why}", format!("{gap}{flow}").trim_end());
        for behind in [aligned.trim_end(), &tight] {
            if columns(&row.before) + columns(what) + columns(behind) <= width {
                behind.clone_into(&mut row.behind);
                return row;
            }
        }
        let below = |text: &str| wrap(text, width.saturating_sub(TIME + GAP));
        if head + columns(&flow) <= width {
            row.behind = gap + &flow;
        } else {
            row.below = below(&flow);
        }
        row.below.extend(below(&why));
        row
    }

    pub(super) fn json(&self, event: &Event) -> serde_json::Result<String> {
        Ok(untrusted_text::json(&serde_json::to_string(&self.named(event))?) + "\n")
    }

    fn named<'a>(&'a self, event: &'a Event) -> Named<'a> {
        let (pod, container) = match &event.owner {
            Owner::Pod { uid, container } => (self.pods.get(uid), container.as_deref()),
            _ => (None, None),
        };
        Named {
            event,
            pod: pod.map(|pod| &pod.name),
            container: pod.and_then(|pod| pod.container(container)),
            src_name: self.names.get(&event.flow.src()),
            dst_name: self.names.get(&event.flow.dst()),
        }
    }

    /// The time of day, UTC.
    fn clock(&self, at_ns: u64) -> String {
        let ms = (self.midnight_ns + i128::from(at_ns)).max(0) / 1_000_000;
        let (s, ms) = (ms / 1000 % 86_400, ms % 1000);
        format!("{:02}:{:02}:{:02}.{ms:03}", s / 3600, s / 60 % 60, s % 60)
    }
}

/// A row of the table: its word is coloured after the columns were measured.
struct Row {
    before: String,
    what: String,
    behind: String,
    /// What did not fit, each on a line of its own.
    below: Vec<String>,
}

impl Row {
    fn page(self, ink: Option<Ink>) -> TextPage {
        let first = TextLine::default().plain(&self.before);
        let first = match ink {
            Some(ink) => first.ink(ink, &self.what),
            None => first.plain(&self.what),
        };
        let indent = " ".repeat(TIME + GAP);
        let below = self.below.iter();
        let below = below.map(|line| TextLine::default().plain(&indent).plain(line));
        core::iter::once(first.plain(&self.behind)).chain(below).collect()
    }
}

#[cfg(test)]
impl EventLines {
    /// Without any name, since midnight.
    pub(super) fn sample(width: usize) -> Self {
        Self {
            paper: Paper { colour: false, width },
            names: AddressNames::new(),
            netns: BTreeMap::new(),
            pods: BTreeMap::new(),
            node: 0,
            midnight_ns: 0,
            place: place_columns(width).0,
            flow: flow_columns(width).0,
        }
    }

    /// With these names.
    pub(super) fn name(
        &mut self,
        addresses: impl IntoIterator<Item = (std::net::IpAddr, String)>,
        pods: impl IntoIterator<Item = (String, event_phrases::PodNames)>,
    ) {
        self.node = 4;
        self.names.extend(addresses);
        self.pods.extend(pods);
    }
}

#[cfg(test)]
mod tests {
    use super::{EventLines, Paper, columns};

    #[test]
    fn a_row_that_does_not_fit_breaks_between_columns_and_never_in_an_address() {
        let flow = "[fd90:1:1:1:1:1:1:2]:41234 -> [fd90:2:2:2:2:2:2:2]:80 tcp SYN";
        let row = EventLines::sample(72).row(
            "12:03:07.412",
            "",
            "netns/x up0",
            "drop",
            flow,
            "NETFILTER_DROP nft_do_chain",
        );
        let row = Paper {
            colour: false,
            width: 72,
        }
        .write(&row.page(None));
        assert!(row.lines().all(|line| columns(line) <= 72), "{row}");
        for address in ["[fd90:1:1:1:1:1:1:2]:41234", "[fd90:2:2:2:2:2:2:2]:80"] {
            assert!(row.lines().any(|line| line.contains(address)), "{row}");
        }
    }

    #[test]
    fn the_time_of_day_is_that_of_the_node() {
        let mut lines = EventLines::sample(120);
        lines.midnight_ns = 20_000 * 86_400_000_000_000 + 43_200_000_000_000;
        assert_eq!(lines.clock(187_412_000_000), "12:03:07.412");
    }
}
