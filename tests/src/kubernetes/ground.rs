//! What tests on a cluster stand on: a pod that asks on one node and one that answers on another, and the cluster itself.
use std::io::Write as _;
use std::path::Path;

use anyhow::Result;

use super::cluster::TestCluster;
use super::stage::Stage;
use crate::scenario::Scenario;

/// `a` on one node, and on the other node `web`, which answers HTTP on port 8080. Further manifests can be added.
pub fn two_pods(more: &str) -> Result<Scenario> {
    let text = format!(
        "\
site: kubernetes
apply: |
  apiVersion: v1
  kind: Pod
  metadata: {{name: a}}
  spec: {{nodeName: n1, containers: [{{name: c, image: 'lab:1', command: [sleep, '100000']}}]}}
  ---
  apiVersion: v1
  kind: Pod
  metadata: {{name: web, labels: {{app: web}}}}
  spec: {{nodeName: n2, containers: [{{name: c, image: 'lab:1', command: [lab, http, '8080']}}]}}
{more}run: diagnose pod-to-pod a web:8080
expect: {{outcome: healthy}}
"
    );
    Scenario::parse(&text)
}

/// A fresh namespace in which all that a scenario applies is ready, and nothing is broken yet. It goes when it is dropped.
pub fn stage<'a>(cluster: &'a TestCluster, scenario: &Scenario) -> Result<Stage<'a>> {
    let nowhere = Path::new("/");
    let mut stage = Stage::build(cluster, scenario, nowhere)?;
    stage.set(scenario, nowhere)?;
    Ok(stage)
}

/// The project's own cluster. Where it is not up, or another one is named, it is said that the test is skipped, and why: these
/// tests look into nodes, and some break them.
pub fn own_cluster() -> Option<TestCluster> {
    let why = match TestCluster::connect() {
        Ok(cluster) if cluster.own().is_some() => return Some(cluster),
        Ok(_) => "this is somebody's cluster".to_owned(),
        Err(error) => format!("{error:#}"),
    };
    let _ = writeln!(std::io::stderr(), "skipped: {why}");
    None
}
