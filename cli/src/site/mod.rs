//! Where to look: this machine, or a recording of a run. A live cluster will be a third body of the same interface.

mod embedded;
mod link;
mod local;
mod recording;

pub use link::{Heard, Link};
pub use recording::Recorder;

use crate::ends::Ends;
use crate::target::Target;
use anyhow::Result;
use std::path::PathBuf;

/// A place that has helpers.
#[derive(Debug)]
pub enum Site {
    /// This machine as one node: the helper is a child process.
    Local(local::Local),
    /// A recorded run.
    Recording(recording::Recording),
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

    /// What is known here of both ends before any helper is asked, and which nodes matter.
    pub fn ends(&self, source: &Target, destination: &Target) -> Ends {
        match self {
            Self::Local(_) => local::Local::ends(source, destination),
            Self::Recording(recording) => recording.ends(),
        }
    }

    /// Nodes to look at where no ends are asked for.
    pub fn nodes(&self) -> Ends {
        match self {
            Self::Local(_) => Ends {
                nodes: vec![String::new()],
                ..Ends::default()
            },
            Self::Recording(recording) => recording.ends(),
        }
    }

    /// Starts the helpers of these nodes, all at once. One that does not start says so on its own link; an error here is of all.
    pub fn helpers(&self, nodes: &[String], recorder: Option<&Recorder>) -> Result<Vec<(String, Link)>> {
        let start = |node: &String| {
            let link = match self {
                Self::Local(local) => local.start(recorder.map(|recorder| recorder.for_node(node)))?,
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
            Self::Recording(_) => Vec::new(),
        }
    }

    /// What to do when the helper may not look.
    #[must_use]
    pub fn privileges_hint(&self, program: &str) -> String {
        match self {
            Self::Local(_) if program.contains(' ') => format!("run it as root: sudo -E {program} ..."),
            Self::Local(_) => format!("run it as root: sudo {program} ..."),
            Self::Recording(_) => "record it again as root".to_owned(),
        }
    }
}
