//! Where to look: this machine, a live cluster, or a recording of a run, behind one interface.
//!
//! It may use what a cluster's API says (`kubernetes`), recordings, and the links of a conversation, which it makes. What is
//! asked over them is decided elsewhere.

pub mod cluster;
mod embedded_helper;
mod local;

use crate::conversation::link::HelperLink;
use crate::inquiry::known_ends::KnownEnds;
use crate::inquiry::named_end::NamedEnd;
use crate::inquiry::question::Inquiry;
use crate::interrupt::Interrupt;
use crate::kubernetes::cluster::ClusterApi;
use crate::kubernetes::one_end;
use crate::kubernetes::resolved_ends::{self, EndsQuery};
use crate::recording::{Note, Recorder, Recording, RecordingDoubt};
use anyhow::{Result, anyhow};
use cluster::{HelperOptions, Helpers};
use k8s_openapi::api::batch::v1::Job;
use model::evidence::Intent;
use model::inventory::Node;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::time::Duration;

/// A place that has helpers.
#[derive(Debug)]
pub enum Site {
    /// This machine as one node: the helper is a child process.
    Local(local::Local),
    /// A live cluster.
    Kubernetes(Box<ClusterSite>),
    /// A recorded run.
    Recording(Box<Recording>),
}

/// A live cluster.
#[derive(Debug)]
pub struct ClusterSite {
    cluster: ClusterApi,
    options: HelperOptions,
    verbose: bool,
}

/// A session with helpers that is about to begin.
#[derive(Debug)]
pub struct Beginning<'a> {
    /// What the site knows of both ends, and the nodes.
    pub ends: &'a KnownEnds,
    /// The longest that it may take.
    pub window: Duration,
    /// Keeps the helpers' lines.
    pub recorder: Option<&'a Recorder>,
    /// The user's wish to end it.
    pub interrupt: &'a Interrupt,
}

impl Beginning<'_> {
    /// The nodes that matter, with what is known of each.
    fn known_nodes(&self) -> Vec<(String, Option<Node>)> {
        let inventory = self.ends.inventory.ok();
        let known = |node: &String| inventory.and_then(|inventory| inventory.node(node)).cloned();
        self.ends.nodes.iter().map(|node| (node.clone(), known(node))).collect()
    }
}

impl ClusterSite {
    fn helpers(&self, of: &Beginning<'_>) -> Helpers {
        let (cluster, options) = (self.cluster.clone(), self.options.clone());
        Helpers::new(cluster, options, of.window, self.verbose, of.interrupt.clone())
    }
}

impl Site {
    /// This machine; `helper` names the helper to use instead of the embedded one.
    #[must_use]
    pub fn local(helper: Option<PathBuf>, verbose: bool) -> Self {
        Self::Local(local::Local { helper, verbose })
    }

    /// A recording, which must have been made with these arguments.
    pub fn recording(file: PathBuf, arguments: &[String]) -> Result<Self> {
        Ok(Self::Recording(Box::new(Recording::open(file, arguments)?)))
    }

    /// A recording, whatever was asked when it was made.
    pub fn any_recording(file: PathBuf) -> Result<Self> {
        Ok(Self::Recording(Box::new(Recording::of_any_run(file)?)))
    }

    /// A cluster.
    #[must_use]
    pub fn cluster(cluster: ClusterApi, options: HelperOptions, verbose: bool) -> Self {
        Self::Kubernetes(Box::new(ClusterSite {
            cluster,
            options,
            verbose,
        }))
    }

    /// What is known here of both ends before any helper is asked, and which nodes matter. Settles what the inquiry left open.
    pub async fn ends(&self, inquiry: &mut Inquiry) -> Result<KnownEnds> {
        let question = &inquiry.question;
        match self {
            Self::Local(_) => {
                let ends = local::Local::ends(&question.source, &question.destination);
                let intent = local::intent(inquiry.intent)?;
                inquiry.settle(intent, inquiry.protocol.unwrap_or_default());
                Ok(ends)
            }
            Self::Kubernetes(site) => {
                let asked = EndsQuery {
                    intent: inquiry.intent,
                    source: &question.source,
                    destination: &question.destination,
                    protocol: inquiry.protocol,
                    via: inquiry.via,
                    api_only: site.options.no_helper,
                };
                let resolved = resolved_ends::resolve(&site.cluster, &asked).await?;
                for note in &resolved.notes {
                    crate::render::note(note);
                }
                inquiry.settle(resolved.intent, resolved.protocol);
                Ok(resolved.ends)
            }
            Self::Recording(recording) => {
                let ends = recording.ends();
                if let Some((intent, protocol)) = ends.settled {
                    inquiry.settle(intent, protocol);
                }
                Ok(ends)
            }
        }
    }

    /// What is known here of one end, and what kind of end it is.
    pub async fn one_end(
        &self,
        target: &NamedEnd,
        text: &str,
        intent: Option<Intent>,
        max_nodes: usize,
    ) -> Result<(Intent, KnownEnds)> {
        match self {
            Self::Local(_) => local::Local::one_end(target, intent),
            Self::Kubernetes(site) => one_end::resolve(&site.cluster, target, text, intent, max_nodes).await,
            Self::Recording(recording) => {
                let ends = recording.ends();
                let settled = ends.settled.map(|(intent, _)| intent);
                Ok((intent.or(settled).unwrap_or(Intent::Pod), ends))
            }
        }
    }

    /// The cluster, where this is one.
    pub fn cluster_of(&self) -> Option<&ClusterApi> {
        match self {
            Self::Kubernetes(site) => Some(&site.cluster),
            Self::Local(_) | Self::Recording(_) => None,
        }
    }

    /// What the client noted, where all is recorded.
    pub fn notes<T: DeserializeOwned>(&self, note: Note) -> Result<Option<VecDeque<T>>> {
        match self {
            Self::Recording(recording) => recording.notes(note).map(Some),
            Self::Local(_) | Self::Kubernetes(_) => Ok(None),
        }
    }

    /// Why the replies here are not to be believed as they are: of a recording that is not what it was.
    pub fn doubt(&self) -> Option<&RecordingDoubt> {
        match self {
            Self::Recording(recording) => recording.doubt(),
            Self::Local(_) | Self::Kubernetes(_) => None,
        }
    }

    /// What was asked when it was made, of a recording.
    pub fn asked(&self) -> Option<String> {
        match self {
            Self::Recording(recording) => Some(recording.asked()),
            Self::Local(_) | Self::Kubernetes(_) => None,
        }
    }

    /// Nodes to look at where no ends are asked for.
    pub fn nodes(&self) -> KnownEnds {
        match self {
            Self::Local(_) => KnownEnds {
                nodes: vec![String::new()],
                ..KnownEnds::default()
            },
            Self::Kubernetes(_) => KnownEnds::default(),
            Self::Recording(recording) => recording.ends(),
        }
    }

    /// Starts the helpers of these nodes, all at once. One that does not start says so on its own link; an error here is of
    /// all. They are gone when the last link is dropped.
    pub fn helpers(&self, of: &Beginning<'_>) -> Result<Vec<(String, HelperLink)>> {
        let nodes = &of.ends.nodes;
        let named = |link: &dyn Fn(&str) -> Result<HelperLink>| {
            let links = nodes.iter().map(|node| Ok((node.clone(), link(node)?)));
            links.collect::<Result<Vec<_>>>()
        };
        match self {
            Self::Local(local) => named(&|node| local.start(of.recorder.map(|recorder| recorder.for_node(node)))),
            Self::Recording(recording) => named(&|node| Ok(HelperLink::to_recording(recording.play(node)?))),
            Self::Kubernetes(_) if nodes.is_empty() => Ok(Vec::new()),
            Self::Kubernetes(site) => Ok(site.helpers(of).start(&of.known_nodes(), of.recorder)),
        }
    }

    /// What would be started for this look.
    pub fn manifests(&self, of: &Beginning<'_>) -> Result<Vec<Job>> {
        match self {
            Self::Kubernetes(site) => {
                let jobs = site.helpers(of).manifests(&of.known_nodes());
                jobs.map_err(|missing| anyhow!("{}: {}", missing.what, missing.reason()))
            }
            Self::Local(_) | Self::Recording(_) => Ok(Vec::new()),
        }
    }

    /// Endpoints that can be named here without asking a helper.
    pub fn endpoints(&self) -> Vec<String> {
        match self {
            Self::Local(_) => local::endpoints(),
            Self::Kubernetes(_) | Self::Recording(_) => Vec::new(),
        }
    }

    /// What to do when the helper may not look.
    #[must_use]
    pub fn privileges_hint(&self, program: &str) -> String {
        match self {
            Self::Local(_) if program.contains(' ') => format!("run it as root: sudo -E {program} ..."),
            Self::Local(_) => format!("run it as root: sudo {program} ..."),
            Self::Kubernetes(_) => "see what `doctor` says, and try --privileged".to_owned(),
            Self::Recording(_) => "record it again as root".to_owned(),
        }
    }
}
