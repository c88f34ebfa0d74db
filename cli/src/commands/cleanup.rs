//! `cleanup`: takes away what earlier runs left in a cluster, and leaves live ones alone.

use super::site_options::block_on;
use super::{CliCommand, CommandContext};
use crate::exit::Exit;
use crate::render;
use crate::site::cluster::{LeftoverJob, SWEPT_MAX, sweep};
use anyhow::Result;
use clap::Args;

/// Delete what earlier runs left in a cluster; does not touch live runs
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # In the current namespace
  kubectl skoop cleanup
  # In the namespace that was given as --helper-namespace
  kubectl skoop cleanup -n skoop
  kubectl skoop cleanup --all-namespaces")]
pub struct Cleanup {
    /// Look in all namespaces, not only in the current one
    #[arg(short = 'A', long)]
    all_namespaces: bool,
}

impl CliCommand for Cleanup {
    const NAME: &'static str = "cleanup";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        let swept = block_on(async {
            let cluster = context.access.connect().await?;
            let namespace = (!self.all_namespaces).then_some(cluster.namespace.as_str());
            let swept = sweep(&cluster, namespace).await;
            swept.map_err(|refused| refused.fatal("looking for what earlier runs left"))
        })?;
        render::lines(&report_lines(&swept))?;
        let all = swept.len() < SWEPT_MAX;
        if !all {
            render::note(&format!("there may be more than {SWEPT_MAX} of them: run it again"));
        }
        Ok(if all && swept.iter().all(|job| job.left.is_none()) {
            Exit::Fine
        } else {
            Exit::Inconclusive
        })
    }
}

fn report_lines(swept: &[LeftoverJob]) -> Vec<String> {
    if swept.is_empty() {
        return vec!["nothing is left of earlier runs".to_owned()];
    }
    let line = |job: &LeftoverJob| {
        let LeftoverJob {
            namespace,
            name,
            node,
            by,
            left,
        } = job;
        let end = match left {
            None => "deleted".to_owned(),
            Some(refused) => format!("could not be deleted: {refused}"),
        };
        format!("job/{name} in {namespace} (of {by}, on {node}): {end}")
    };
    swept.iter().map(line).collect()
}
