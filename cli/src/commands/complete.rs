//! `__complete`: candidates for the last word, asked by kubectl and by the shells' scripts. Silent when it fails.

use super::candidates::{self, CandidateSource};
use super::site_options::{SiteOptions, block_on};
use super::{CliCommand, CommandContext, probes};
use crate::exit::Exit;
use crate::kubernetes::cluster::ClusterApi;
use crate::render;
use crate::site::Site;
use anyhow::{Result, anyhow};
use clap::Args;
use std::ffi::OsString;
use std::time::Duration;

/// Nobody waits longer for the Tab key.
const PATIENCE: Duration = Duration::from_secs(1);

/// Print candidates for the last of these words
#[derive(Debug, Args)]
#[command(hide = true)]
pub struct Complete {
    /// The words so far, the last of them perhaps empty
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    words: Vec<OsString>,
}

impl CliCommand for Complete {
    const NAME: &'static str = "__complete";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        let words: Vec<String> = self
            .words
            .iter()
            .map(|word| word.to_string_lossy().into_owned())
            .collect();
        let (last, before) = words
            .split_last()
            .map_or(("", &[][..]), |(last, before)| (last.as_str(), before));
        let mut candidates = Vec::new();
        for wanted in candidates::wanted(before, last) {
            match wanted {
                CandidateSource::Words(words) => candidates.extend(words),
                CandidateSource::Endpoints if before.iter().any(|word| word == "--local") => {
                    candidates.extend(Site::local(None, false).endpoints());
                }
                CandidateSource::Endpoints => {
                    candidates.extend(of_cluster(before, async |cluster| cluster.endpoints(last).await));
                }
                CandidateSource::Namespaces => {
                    candidates.extend(of_cluster(before, async |cluster| cluster.namespaces().await));
                }
                CandidateSource::Nodes => candidates.extend(of_cluster(before, async |cluster| cluster.nodes().await)),
                CandidateSource::Kubeconfig(entry) => candidates.extend(candidates::access(before).entries(entry)),
                CandidateSource::Probes => candidates.extend(probe_names(context).unwrap_or_default()),
            }
        }
        render::lines(&candidates::answer(last, candidates))?;
        Ok(Exit::Fine)
    }
}

/// The names that the API gives in time.
fn of_cluster(before: &[String], ask: impl AsyncFnOnce(&ClusterApi) -> Vec<String>) -> Vec<String> {
    let asked = async {
        let cluster = candidates::access(before).connect().await?;
        let names = tokio::time::timeout(PATIENCE, ask(&cluster)).await;
        Ok(names.unwrap_or_default())
    };
    block_on(asked).unwrap_or_default()
}

fn probe_names(context: &CommandContext) -> Result<Vec<String>> {
    let asked = async {
        tokio::time::timeout(PATIENCE, probes::ask(SiteOptions::default(), context))
            .await
            .map_err(|_| anyhow!("too slow"))?
    };
    Ok(block_on(asked)?.probes.into_iter().map(|probe| probe.name).collect())
}
