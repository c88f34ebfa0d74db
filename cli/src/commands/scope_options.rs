//! The options that say whose packets, sockets or numbers are looked at: pods, nodes, or places of one machine.

use crate::capture::filter::CaptureFilter;
use crate::exit::WrongUsage;
use crate::inquiry::known_ends::KnownEnds;
use crate::inquiry::named_end::{Grammar, NamedPlace};
use crate::kubernetes::capture_scope::{NODES_MAX, ScopeRequest};
use crate::kubernetes::cluster::ClusterApi;
use crate::render::note;
use crate::site::Site;
use anyhow::Result;
use clap::Args;
use model::inventory::Pod;
use std::time::Duration;

/// How long a cluster's helpers live where no `--for` says when the look ends.
pub const OPEN_ENDED: Duration = Duration::from_hours(1);

/// The targets, and how many nodes may be looked at.
#[derive(Debug, Args)]
pub struct ScopeOptions {
    /// Watch only these: pods, workloads, services, nodes, addresses. With --local: netns/NAME, pid/N, container/ID, host or addresses
    #[arg(value_name = "TARGET")]
    pub targets: Vec<String>,
    /// Watch only pods with these labels
    #[arg(short = 'l', long, value_name = "LABELS")]
    selector: Option<String>,
    /// Watch this node; may be repeated
    #[arg(long, value_name = "NAME")]
    node: Vec<String>,
    /// Watch all nodes
    #[arg(long, conflicts_with = "node")]
    all_nodes: bool,
    /// Refuse to watch more nodes than this
    #[arg(long, value_name = "N", default_value_t = NODES_MAX)]
    max_nodes: usize,
}

impl ScopeOptions {
    /// What of a site is wanted; `further` are endpoints of a machine that other options name.
    pub async fn of(
        &self,
        site: &Site,
        wanted: CaptureFilter,
        further: &[String],
    ) -> Result<(CaptureFilter, KnownEnds)> {
        match site.cluster_of() {
            Some(cluster) => self.on_cluster(cluster, wanted).await,
            None => self.on_machine(site, wanted, further),
        }
    }

    /// An option by which more is named than by targets, if there is one.
    pub fn beside_targets(&self) -> Option<&'static str> {
        let all = [
            (self.selector.is_some(), "--selector"),
            (!self.node.is_empty(), "--node"),
            (self.all_nodes, "--all-nodes"),
        ];
        all.into_iter().find_map(|(given, option)| given.then_some(option))
    }

    fn on_machine(
        &self,
        site: &Site,
        mut wanted: CaptureFilter,
        further: &[String],
    ) -> Result<(CaptureFilter, KnownEnds)> {
        if let Some(option) = self.beside_targets() {
            return Err(WrongUsage::error(format!(
                "{option} is about a cluster, and this looks at one machine; leave it out, or leave --local out"
            )));
        }
        let ends = site.nodes();
        let mut all = self.machine_endpoints(&mut wanted)?;
        all.extend_from_slice(further);
        wanted.endpoints = ends.nodes.iter().map(|node| (node.clone(), all.clone())).collect();
        Ok((wanted, ends))
    }

    async fn on_cluster(&self, cluster: &ClusterApi, mut wanted: CaptureFilter) -> Result<(CaptureFilter, KnownEnds)> {
        let scope = cluster
            .scope(&ScopeRequest {
                targets: self.targets.clone(),
                selector: self.selector.clone(),
                nodes: self.node.clone(),
                all_nodes: self.all_nodes,
                max_nodes: self.max_nodes,
            })
            .await?;
        let missing = scope.inventory.missing.iter();
        let unread = missing.map(|missing| format!("not known: {}: {}", missing.what, missing.why));
        for line in scope.notes.iter().cloned().chain(unread) {
            note(&line);
        }
        wanted.addresses.extend(&scope.addresses);
        wanted.ports.extend(&scope.ports);
        let uid = |pod: &Pod| format!("pod/{}", pod.uid);
        let nodes = scope.nodes.iter();
        wanted.endpoints = nodes
            .map(|(node, pods)| (node.clone(), pods.iter().map(uid).collect()))
            .collect();
        let ends = KnownEnds {
            nodes: scope.nodes.into_keys().collect(),
            inventory: model::missing::Known::Known(scope.inventory.clone()),
            ..KnownEnds::default()
        };
        wanted.inventory = Some(scope.inventory);
        Ok((wanted, ends))
    }

    /// The endpoints of a machine, as a helper is asked for them; addresses and ports go into the filter.
    pub fn machine_endpoints(&self, wanted: &mut CaptureFilter) -> Result<Vec<String>> {
        let mut endpoints = Vec::new();
        for text in &self.targets {
            let target = Grammar::Machine.destination(text)?;
            match target.place {
                NamedPlace::Site(endpoint) => endpoints.push(endpoint),
                NamedPlace::Address(address) => wanted.addresses.push(address),
                NamedPlace::Name(name) => {
                    let message = format!(
                        "`{name}` cannot be filtered for: packets carry addresses; write netns/{name}, or its address"
                    );
                    return Err(WrongUsage::error(message));
                }
                NamedPlace::Object(object) => {
                    return Err(WrongUsage::error(format!(
                        "`{object}` is of a cluster; leave --local out to look there"
                    )));
                }
            }
            wanted.ports.extend(target.port);
        }
        Ok(endpoints)
    }
}
