//! The filter of a capture: first by the names that the user wrote, then by the inodes and addresses that the kernel knows.

use crate::conversation::session::Session;
use crate::exit::{WrongUsage, not_found};
use crate::render::{EventNames, PodNames, note};
use anyhow::Result;
use model::attempt::WatchedFlow;
use model::endpoint::Endpoint;
use model::flow::{self, Flow};
use model::inventory::Inventory;
use model::owner::Owner;
use model::protocol::{Filter, Request};
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

/// What to let through, before names became inodes.
#[derive(Debug, Default)]
pub struct CaptureFilter {
    /// The endpoints at each node, as its helper is asked for them.
    pub endpoints: BTreeMap<String, Vec<String>>,
    /// Processes, as the machine counts.
    pub pids: Vec<u32>,
    /// Addresses, either end.
    pub addresses: Vec<IpAddr>,
    /// Addresses of the other end; none for any.
    pub peers: Vec<IpAddr>,
    /// Ports, either end.
    pub ports: Vec<u16>,
    /// How often numbers are read, in milliseconds; 0 for when the window opens and closes.
    pub interval_ms: u32,
    /// What takes so many nanoseconds is an event; 0 for none.
    pub slow_ns: u64,
    /// What the cluster's API says of the nodes.
    pub inventory: Option<Inventory>,
}

impl CaptureFilter {
    /// Asks the helper of each node what is wanted of it, and what the node itself is.
    pub fn ask(&self, session: &mut Session) {
        for index in 0..session.state.nodes.len() {
            let name = session.state.evidence.nodes[index].name.clone();
            let asked = self.endpoints.get(&name).into_iter().flatten().map(String::as_str);
            // The host's name is known without being filtered for.
            for endpoint in asked.chain([HOST]) {
                let endpoint = endpoint.to_owned();
                session.ask_at(index, Request::Resolve { endpoint, from: None });
            }
        }
    }

    /// The uids of the pods that are asked for; none where a node is asked for as a whole.
    pub fn pods(&self) -> Vec<String> {
        if self.endpoints.values().any(Vec::is_empty) {
            return Vec::new();
        }
        let all = self.endpoints.values().flatten();
        all.filter_map(|endpoint| endpoint.strip_prefix("pod/").map(str::to_owned))
            .collect()
    }

    /// The names under which events are shown.
    pub fn names(&self, session: &Session, endpoints: Vec<ResolvedEndpoint>) -> EventNames {
        let several = session.state.evidence.nodes.len() > 1;
        let mut known = EventNames::default();
        if several {
            known.nodes = session
                .state
                .evidence
                .nodes
                .iter()
                .map(|node| node.name.clone())
                .collect();
        }
        if let Some(inventory) = &self.inventory {
            known.addresses.extend(inventory.address_names());
            known.pods = inventory
                .pods
                .iter()
                .map(|pod| (pod.uid.clone(), PodNames::of(pod)))
                .collect();
        }
        for ResolvedEndpoint {
            index, endpoint: end, ..
        } in endpoints
        {
            let name = match &end.owner {
                Owner::Pod { uid, .. } => known.pods.get(uid).map_or(&end.name, |pod| &pod.name).clone(),
                _ => end.name.clone(),
            };
            let node = if several {
                session.state.evidence.nodes[index].name.clone()
            } else {
                String::new()
            };
            for address in &end.addresses {
                known.addresses.entry(*address).or_insert_with(|| name.clone());
            }
            if let Some(netns) = end.netns {
                known.netns.insert((node, netns), name);
            }
        }
        known
    }

    /// What the helpers found of it, and of the node itself.
    pub async fn resolved(&self, session: &mut Session) -> Result<Vec<ResolvedEndpoint>> {
        let nodes = &session.state.evidence.nodes;
        let none = Vec::new();
        let of = |name: &String| self.endpoints.get(name).unwrap_or(&none).clone();
        // The one node of a machine gets its name from its helper.
        let alone = self.endpoints.values().next().cloned().unwrap_or_default();
        let asked: Vec<Vec<String>> = match nodes.len() {
            1 => vec![alone],
            _ => nodes.iter().map(|node| of(&node.name)).collect(),
        };
        session
            .need("finding what to filter for", |state| {
                let mut nodes = state.nodes.iter().zip(&asked);
                nodes.all(|(node, asked)| node.resolved.len() > asked.len() || node.over())
            })
            .await?;
        let mut found = Vec::new();
        for (index, asked) in asked.iter().enumerate() {
            let known: Vec<_> = session.state.nodes[index].resolved.drain(..).collect();
            let names = asked.iter().map(|name| (true, name.as_str())).chain([(false, HOST)]);
            for (known, (wanted, name)) in known.into_iter().zip(names) {
                match known {
                    model::missing::Known::Known(endpoint) => found.push(ResolvedEndpoint {
                        index,
                        wanted,
                        endpoint,
                    }),
                    // A pod may have gone meanwhile.
                    model::missing::Known::Missing(missing) if self.inventory.is_some() => {
                        note(&format!("left out: {name}: {}", missing.why));
                    }
                    model::missing::Known::Missing(_) if !wanted => {}
                    model::missing::Known::Missing(missing) => return Err(not_found(name, &missing)),
                }
            }
        }
        Ok(found)
    }

    /// The addresses of the pods that are asked for: what a node does to their packets is reported, too, and not only what happens
    /// inside of them.
    pub fn residents(&self, found: &[ResolvedEndpoint]) -> Vec<IpAddr> {
        let asked = found.iter().filter(|found| found.wanted && self.inventory.is_some());
        let addresses: BTreeSet<IpAddr> = asked
            .flat_map(|found| found.endpoint.addresses.iter().copied())
            .collect();
        addresses.into_iter().filter(|address| !address.is_loopback()).collect()
    }

    /// In the terms of one node's kernel. Without a namespace all of the node is wanted.
    pub fn filter(&self, netns: Vec<u32>, residents: Vec<IpAddr>, probes: &[String]) -> Result<Filter> {
        let mut filter = Filter {
            residents: if netns.is_empty() { Vec::new() } else { residents },
            netns,
            pids: self.pids.clone(),
            addresses: self.addresses.clone(),
            peers: self.peers.clone(),
            ports: self.ports.clone(),
            events_per_second: EVENTS_PER_SECOND,
            interval_ms: self.interval_ms,
            slow_ns: self.slow_ns,
            ..Filter::default()
        };
        if let Some(probe) = probes
            .iter()
            .find(|probe| ["path", "transmit"].contains(&probe.as_str()))
        {
            if filter.netns.is_empty() || (filter.addresses.is_empty() && filter.ports.is_empty()) {
                return Err(WrongUsage::error(format!(
                    "probe {probe} follows single packets and needs to know which: name the namespace they start in (--netns) and an address or port they go to"
                )));
            }
            filter.flows = flows(&filter);
        }
        Ok(filter)
    }
}

/// Single events of a node's probe that are reported in a second; beyond them only totals. A capture is there to show events, and this many
/// of each of two nodes are shown without one being lost (`make bench-cluster`).
const EVENTS_PER_SECOND: u32 = 20_000;

/// The endpoint that is the machine itself.
const HOST: &str = "host";

/// What a helper found.
pub struct ResolvedEndpoint {
    /// The node's place among those of the session.
    pub index: usize,
    /// It was asked for, not only to be named.
    pub wanted: bool,
    /// The endpoint itself.
    pub endpoint: Endpoint,
}

/// Flows from these namespaces to these addresses and ports; what is not named stands for all.
fn flows(filter: &Filter) -> Vec<WatchedFlow> {
    let any: IpAddr = Ipv4Addr::UNSPECIFIED.into();
    let addresses = if filter.addresses.is_empty() {
        vec![any]
    } else {
        filter.addresses.clone()
    };
    let ports = if filter.ports.is_empty() {
        vec![0]
    } else {
        filter.ports.clone()
    };
    let mut flows = Vec::new();
    for &netns in &filter.netns {
        for &address in &addresses {
            for &port in &ports {
                for protocol in [flow::TCP, flow::UDP] {
                    let (from, to) = (SocketAddr::new(any, 0), SocketAddr::new(address, port));
                    flows.push(WatchedFlow {
                        attempt: 0,
                        netns,
                        flow: Flow::new(protocol, from, to),
                    });
                }
            }
        }
    }
    flows
}
