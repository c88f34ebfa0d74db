//! Where to look: this machine, or a recording of a run. A live cluster will be a third body of the same interface.

mod embedded;
pub mod kubernetes;
mod link;
mod local;
mod recording;

pub use link::{Heard, Link};
pub use recording::Recorder;

use crate::ends::Ends;
use crate::inquiry::Inquiry;
use crate::kubernetes::connect::Cluster;
use crate::kubernetes::{self, ends::Asked};
use anyhow::Result;
use std::path::PathBuf;

/// A place that has helpers.
#[derive(Debug)]
pub enum Site {
    /// This machine as one node: the helper is a child process.
    Local(local::Local),
    /// A live cluster.
    Kubernetes(Kubernetes),
    /// A recorded run.
    Recording(recording::Recording),
}

/// A live cluster.
#[derive(Debug)]
pub struct Kubernetes {
    cluster: Cluster,
    no_helper: bool,
}

fn unreachable_node(node: &str) -> Result<Link> {
    Err(anyhow::anyhow!("no helper can be started on {node} by this version"))
}

impl Site {
    /// This machine; `helper` names the helper to use instead of the embedded one.
    #[must_use]
    pub fn local(helper: Option<PathBuf>, verbose: bool) -> Self {
        Self::Local(local::Local { helper, verbose })
    }

    /// A recording, which must have been made with these arguments.
    pub fn recording(file: PathBuf, arguments: &[String]) -> Result<Self> {
        Ok(Self::Recording(recording::Recording::open(file, arguments)?))
    }

    /// A cluster.
    #[must_use]
    pub fn cluster(cluster: Cluster, no_helper: bool) -> Self {
        Self::Kubernetes(Kubernetes { cluster, no_helper })
    }

    /// What is known here of both ends before any helper is asked, and which nodes matter. Settles what the inquiry left open.
    pub async fn ends(&self, inquiry: &mut Inquiry) -> Result<Ends> {
        let question = &inquiry.question;
        match self {
            Self::Local(_) => {
                let ends = local::Local::ends(&question.source, &question.destination);
                let intent = local::intent(inquiry.intent)?;
                inquiry.settle(intent, inquiry.protocol.unwrap_or_default());
                Ok(ends)
            }
            Self::Kubernetes(site) => {
                let asked = Asked {
                    intent: inquiry.intent,
                    source: &question.source,
                    destination: &question.destination,
                    protocol: inquiry.protocol,
                    via: inquiry.via,
                    api_only: site.no_helper,
                };
                let resolved = kubernetes::ends::resolve(&site.cluster, &asked).await?;
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

    /// Nodes to look at where no ends are asked for.
    pub fn nodes(&self) -> Ends {
        match self {
            Self::Local(_) => Ends {
                nodes: vec![String::new()],
                ..Ends::default()
            },
            Self::Kubernetes(_) => Ends::default(),
            Self::Recording(recording) => recording.ends(),
        }
    }

    /// Starts the helpers of these nodes, all at once. One that does not start says so on its own link; an error here is of all.
    pub fn helpers(&self, nodes: &[String], recorder: Option<&Recorder>) -> Result<Vec<(String, Link)>> {
        let start = |node: &String| {
            let link = match self {
                Self::Local(local) => local.start(recorder.map(|recorder| recorder.for_node(node)))?,
                Self::Kubernetes(_) => unreachable_node(node)?,
                Self::Recording(recording) => recording.play(node)?,
            };
            Ok((node.clone(), link))
        };
        nodes.iter().map(start).collect()
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
