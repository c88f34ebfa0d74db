//! Whether the cluster is as it was: nodes Ready, their services running, its DNS whole. What can be restored is.
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail};
use serde_json::Value;

use super::cluster::TestCluster;

const WITHIN: Duration = Duration::from_mins(2);
const LOOK_EVERY: Duration = Duration::from_millis(250);
/// What runs on the nodes of the project's own cluster: of the agents, that of its network.
const SERVICES: [&str; 8] = [
    "containerd",
    "kubelet",
    "kube-proxy",
    "flanneld",
    "calico-node",
    "cilium-agent",
    "cilium-operator",
    "kube-router",
];

/// The cluster as it was found.
#[derive(Debug)]
pub struct Baseline {
    replicas: Option<u64>,
    corefile: Option<String>,
}

impl Baseline {
    /// Looks at it; a cluster whose nodes are not all Ready is no ground for a scenario.
    pub fn take(cluster: &TestCluster) -> Result<Self> {
        let (replicas, corefile, _) = coredns(cluster)?;
        let baseline = Self { replicas, corefile };
        baseline.restore(cluster)?;
        Ok(baseline)
    }

    /// Puts back what differs, and waits until all is well.
    pub fn restore(&self, cluster: &TestCluster) -> Result<()> {
        if cluster.own().is_some() {
            let status = cluster.program(&["status"], super::cluster::CALL_WITHIN)?;
            for (machine, service) in at_rest(&status) {
                if SERVICES.contains(&service.as_str()) {
                    cluster.program(&["start", &machine, &service], super::cluster::CALL_WITHIN)?;
                }
            }
        }
        let started = Instant::now();
        let mut asked = false;
        loop {
            let mut ill = nodes_not_ready(&cluster.json(&["get", "nodes"])?);
            let (replicas, corefile, ready) = coredns(cluster)?;
            if !asked {
                self.put_back(cluster, replicas, corefile.as_deref())?;
                asked = true;
            }
            if ready < self.replicas {
                ill.push(format!(
                    "CoreDNS has {} of {} pods ready",
                    ready.unwrap_or(0),
                    self.replicas.unwrap_or(0)
                ));
            }
            if ill.is_empty() {
                return Ok(());
            }
            if started.elapsed() > WITHIN {
                bail!("the cluster is not well after {WITHIN:?}: {}", ill.join("; "));
            }
            sleep(LOOK_EVERY);
        }
    }

    fn put_back(&self, cluster: &TestCluster, replicas: Option<u64>, corefile: Option<&str>) -> Result<()> {
        if let Some(wanted) = self.replicas
            && replicas != self.replicas
        {
            let wanted = format!("--replicas={wanted}");
            cluster.ask(&["-n", "kube-system", "scale", "deploy/coredns", &wanted])?;
        }
        if let Some(wanted) = &self.corefile
            && corefile != Some(wanted)
        {
            let patch = serde_json::json!({"data": {"Corefile": wanted}}).to_string();
            cluster.ask(&["-n", "kube-system", "patch", "cm/coredns", "--type=merge", "-p", &patch])?;
            cluster.ask(&["-n", "kube-system", "rollout", "restart", "deploy/coredns"])?;
            cluster.ask(&[
                "-n",
                "kube-system",
                "rollout",
                "status",
                "deploy/coredns",
                "--timeout=25s",
            ])?;
        }
        Ok(())
    }
}

/// Replicas and Corefile of the cluster's DNS, and how many of its pods are ready; nothing where the cluster has no such deployment.
fn coredns(cluster: &TestCluster) -> Result<(Option<u64>, Option<String>, Option<u64>)> {
    let all = cluster
        .json(&["-n", "kube-system", "get", "deployments,configmaps"])
        .context("looking at CoreDNS")?;
    let named = |kind: &str| {
        all["items"]
            .as_array()?
            .iter()
            .find(|item| item["kind"] == kind && item["metadata"]["name"] == "coredns")
    };
    let deployment = named("Deployment").unwrap_or(&Value::Null);
    let corefile = named("ConfigMap").and_then(|map| map["data"]["Corefile"].as_str());
    Ok((
        deployment["spec"]["replicas"].as_u64(),
        corefile.map(str::to_owned),
        deployment["status"]["readyReplicas"].as_u64(),
    ))
}

/// The nodes that are not Ready, each with what the kubelet or the node controller says about it.
fn nodes_not_ready(list: &Value) -> Vec<String> {
    let nodes = list["items"].as_array().into_iter().flatten();
    let ill = nodes.filter_map(|node| {
        let conditions = node["status"]["conditions"].as_array().into_iter().flatten();
        let ready = conditions.clone().find(|condition| condition["type"] == "Ready");
        let says = match ready {
            Some(ready) if ready["status"] == "True" => return None,
            Some(ready) => ready["message"].as_str().unwrap_or_default(),
            None => "it has not said so",
        };
        Some(format!(
            "node {} is not Ready ({says})",
            node["metadata"]["name"].as_str().unwrap_or_default()
        ))
    });
    ill.collect()
}

/// Machines and services that `cluster status` shows as stopped, or as hanging.
fn at_rest(status: &str) -> Vec<(String, String)> {
    let mut machine = "";
    let mut found = Vec::new();
    for line in status.lines() {
        if !line.starts_with(' ') {
            machine = line.trim();
        } else if let Some((service, "stopped" | "hangs")) = line.trim().split_once(' ') {
            found.push((machine.to_owned(), service.to_owned()));
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_node_that_is_not_ready_is_named_with_its_reason() {
        let node = |name: &str, status: &str| {
            json!({"metadata": {"name": name}, "status": {"conditions": [
                {"type": "MemoryPressure", "status": "False"},
                {"type": "Ready", "status": status, "message": "kubelet stopped posting"},
            ]}})
        };
        let ill = nodes_not_ready(&json!({"items": [node("n1", "True"), node("n2", "Unknown")]}));
        assert_eq!(ill, ["node n2 is not Ready (kubelet stopped posting)"]);
    }

    #[test]
    fn services_that_were_stopped_or_hang_are_found() {
        let status = "n1\n  kubelet running\n  images done\n  flanneld hangs\nn2\n  kubelet stopped\n  kube-proxy running (started 2 times; before: exit code 1)\n";
        let named = |machine: &str, service: &str| (machine.to_owned(), service.to_owned());
        assert_eq!(at_rest(status), [named("n1", "flanneld"), named("n2", "kubelet")]);
    }
}
