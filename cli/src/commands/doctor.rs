//! `doctor`: what is missing before a helper can start on a cluster, each with the command that mends it.

use super::Run;
use super::place::block_on;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::kubernetes::connect::Cluster;
use crate::program::Context;
use crate::render::progress::Progress;
use crate::render::{self, Finding};
use crate::session::Session;
use crate::site::kubernetes::{HelperOptions, Helpers};
use anyhow::Result;
use clap::Args;
use model::inventory::Node;
use model::protocol::Request;
use std::time::Duration;

/// A trial needs no window.
const WINDOW: Duration = Duration::from_secs(10);

/// Say what is missing before a helper can start on a cluster
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl skoop doctor
  kubectl skoop doctor --try
  kubectl skoop doctor --try --node n1 --node n2 --helper-namespace tools")]
pub struct Doctor {
    /// Start a helper, hear it, and take it away again
    #[arg(long = "try")]
    try_one: bool,
    /// On this node, may be repeated [default: one that is ready]
    #[arg(long, value_name = "NAME")]
    node: Vec<String>,
    /// Show the helper's own messages on stderr
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    options: HelperOptions,
}

impl Run for Doctor {
    const NAME: &'static str = "doctor";

    fn run(self, context: &Context) -> Result<Exit> {
        self.options.check()?;
        let findings = block_on(self.look(context))?;
        let fine = findings.iter().all(|finding| finding.missing.is_none());
        render::findings(&findings, context.colour)?;
        Ok(if fine { Exit::Fine } else { Exit::Inconclusive })
    }
}

impl Doctor {
    async fn look(self, context: &Context) -> Result<Vec<Finding>> {
        let cluster = context.access.connect().await?;
        let mut findings = Vec::new();
        if self.try_one {
            findings.extend(self.try_nodes(cluster).await?);
        }
        Ok(findings)
    }

    /// Starts helpers, and tells what each says of itself.
    async fn try_nodes(&self, cluster: Cluster) -> Result<Vec<Finding>> {
        let interrupt = Interrupt::listen();
        let helpers = Helpers::new(cluster, self.options.clone(), WINDOW, self.verbose, interrupt.clone());
        let nodes: Vec<(String, Option<Node>)> = self.node.iter().map(|name| (name.clone(), None)).collect();
        let links = helpers.start(&nodes, None);
        let mut session = Session::begin(links, interrupt, Progress::new());
        let _ = session.hello().await;
        session.ask_all(&Request::Bye);
        session.finish(|look| look.all(|node| node.done)).await;
        session.progress.clear();
        let look = &session.look;
        let told = look.nodes.iter().zip(&look.evidence.nodes).map(|(talk, node)| {
            let what = format!("a helper on {}", node.name);
            match &talk.hello {
                Some(hello) => Finding::fine(format!(
                    "{what} answers: kernel {}, {}, boot {}, {} of {} probes",
                    hello.kernel,
                    hello.arch,
                    hello.boot_id,
                    hello.probes.iter().filter(|probe| probe.unsupported.is_none()).count(),
                    hello.probes.len()
                )),
                None => Finding::missing(what, node.truncated.clone().unwrap_or_default()),
            }
        });
        Ok(told.collect())
    }
}
