//! The cluster that scenarios run on: the project's own, or the one `$KUBECONFIG` names.
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde_json::Value;

use super::call::{CallEnd, call};
use crate::scenario::manifests::LAB_IMAGE;
use crate::scenario::network::ClusterNetwork;

/// Where `make cluster` puts its program, and the kubeconfig beside it.
const OWN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/cluster");
/// Nodes of other clusters that carry this are not for scenarios.
const CONTROL_PLANE: &str = "node-role.kubernetes.io/control-plane";
/// How long a call of kubectl may take.
pub const CALL_WITHIN: Duration = Duration::from_secs(30);

/// A cluster that answers.
#[derive(Debug)]
pub struct TestCluster {
    kubeconfig: Value,
    file: PathBuf,
    /// The program that brought it up and that enters its nodes; another cluster has none.
    program: Option<PathBuf>,
    kubectl: PathBuf,
    nodes: BTreeMap<String, String>,
    network: Option<ClusterNetwork>,
    image: String,
}

impl TestCluster {
    /// Finds it: `$KUBECONFIG`, else the project's own.
    pub fn connect() -> Result<Self> {
        let file = match std::env::var_os("KUBECONFIG").filter(|file| !file.is_empty()) {
            Some(file) => PathBuf::from(file),
            None => Path::new(OWN).join("kubeconfig"),
        };
        let program = file.with_file_name("cluster");
        let program = program.is_file().then_some(program);
        if let Some(program) = &program {
            let up = call(Command::new(program).arg("status"), "", CALL_WITHIN)?;
            ensure!(
                up.code == Some(0),
                "no cluster is up: `make cluster` brings one up, or set KUBECONFIG"
            );
        } else if !file.is_file() && !file.to_string_lossy().contains(':') {
            bail!("no cluster: `make cluster` brings one up, or set KUBECONFIG");
        }
        let beside = file.with_file_name("bin").join("kubectl");
        let mut cluster = Self {
            kubeconfig: Value::Null,
            program,
            kubectl: if beside.is_file() { beside } else { "kubectl".into() },
            file,
            nodes: BTreeMap::new(),
            network: None,
            image: std::env::var("LAB_IMAGE").unwrap_or_else(|_| LAB_IMAGE.to_owned()),
        };
        cluster.kubeconfig = cluster.json(&["config", "view", "--raw", "--minify", "--flatten"])?;
        if cluster.own().is_some() {
            let network = cluster.program(&["network"], CALL_WITHIN)?;
            cluster.network = Some(network.parse().context("asking the cluster for its network")?);
        }
        cluster.nodes = cluster.name_nodes().context("listing the cluster's nodes")?;
        Ok(cluster)
    }

    /// The program of the project's own cluster, where this is it.
    pub fn own(&self) -> Option<&Path> {
        self.program.as_deref()
    }

    /// The kubectl that is used.
    pub fn kubectl(&self) -> &Path {
        &self.kubectl
    }

    /// What scenarios call `n1`, `n2`... is called this here.
    pub fn nodes(&self) -> &BTreeMap<String, String> {
        &self.nodes
    }

    /// The network it has; of another cluster than the project's own it is not known.
    pub fn network(&self) -> Option<&ClusterNetwork> {
        self.network.as_ref()
    }

    /// The lab's image on this cluster.
    pub fn image(&self) -> &str {
        &self.image
    }

    /// Runs kubectl to its end, whatever that is.
    pub fn call(&self, arguments: &[&str], input: &str, within: Duration) -> Result<CallEnd> {
        let mut command = Command::new(&self.kubectl);
        command.args(arguments).env("KUBECONFIG", &self.file);
        call(&mut command, input, within)
    }

    /// Runs kubectl, which must end well.
    pub fn ask(&self, arguments: &[&str]) -> Result<String> {
        let what = || format!("kubectl {}", arguments.join(" "));
        self.call(arguments, "", CALL_WITHIN)
            .and_then(|ended| ended.good(&what()))
    }

    /// The same, of an answer in JSON.
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let text = self.ask(&[arguments, &["-o", "json"]].concat())?;
        serde_json::from_str(&text).with_context(|| format!("understanding kubectl {}", arguments.join(" ")))
    }

    /// Runs the program of the project's own cluster.
    pub fn program(&self, arguments: &[&str], within: Duration) -> Result<String> {
        let program = self.own().context("this is not the project's own cluster")?;
        call(Command::new(program).args(arguments), "", within)?.good(&format!("cluster {}", arguments.join(" ")))
    }

    /// Runs a command on a node of the project's own cluster.
    pub fn on_node(&self, node: &str, command: &str) -> Result<String> {
        self.program(&["node", node, "--", "/bin/sh", "-c", command], CALL_WITHIN)
    }

    /// Writes a kubeconfig of its current context alone, with another namespace.
    pub fn write_kubeconfig(&self, path: &Path, namespace: &str) -> Result<()> {
        let mut kubeconfig = self.kubeconfig.clone();
        kubeconfig["contexts"][0]["context"]["namespace"] = namespace.into();
        fs::write(path, kubeconfig.to_string()).with_context(|| format!("writing {}", path.display()))
    }

    /// The nodes in order of their names are `n1`, `n2`...; on the project's own cluster they are called so, and
    /// `router` and `control-plane` are there beside them.
    fn name_nodes(&self) -> Result<BTreeMap<String, String>> {
        let list = self.json(&["get", "nodes"])?;
        let mut names: Vec<_> = list["items"]
            .as_array()
            .into_iter()
            .flatten()
            .filter(|node| self.own().is_some() || node["metadata"]["labels"].get(CONTROL_PLANE).is_none())
            .filter_map(|node| node["metadata"]["name"].as_str())
            .collect();
        names.sort_unstable();
        let numbered = names.iter().enumerate();
        Ok(numbered
            .map(|(at, name)| (format!("n{}", at + 1), (*name).to_owned()))
            .collect())
    }
}
