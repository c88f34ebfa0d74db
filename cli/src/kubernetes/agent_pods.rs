//! The agents that daemon sets run, node by node: whose they are, where they are ready, and where they are not.

use super::calls::selector_text;
use super::cluster::ClusterApi;
use super::list::MOST;
use super::refusal::Refusal;
use diagnoses::kubernetes::agents::{self, Agent};
use futures_util::future::join_all;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1 as core;
use kube::api::ListParams;
use model::object_ref::ObjectRef;
use serde::Deserialize;
use serde_json::Value;
use std::collections::BTreeMap;
use std::ops::ControlFlow;

/// A daemon set that runs agents, and what became of it.
#[derive(Debug)]
pub struct AgentSet {
    /// Whose they are.
    pub agents: Vec<&'static Agent>,
    /// The daemon set.
    pub set: ObjectRef,
    /// Nodes that are to have a pod of it (`status.desiredNumberScheduled`).
    pub wanted: usize,
    /// Its pods by their nodes.
    pub pods: Result<BTreeMap<String, AgentPod>, Refusal>,
}

/// A pod of one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AgentPod {
    /// Its name.
    pub name: String,
    /// Why it is not ready; nothing where it is.
    pub not_ready: Option<String>,
}

/// What is read of a daemon set.
#[derive(Debug, Deserialize)]
struct Written {
    metadata: Named,
    #[serde(default)]
    spec: SetSpec,
    #[serde(default)]
    status: SetStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Named {
    name: String,
    namespace: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct SetSpec {
    selector: Value,
    template: Template,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Template {
    spec: PodSpec,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodSpec {
    node_name: String,
    host_network: bool,
    containers: Vec<Named>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct SetStatus {
    desired_number_scheduled: usize,
}

/// What is read of a pod.
#[derive(Debug, Deserialize)]
struct Listed {
    metadata: Named,
    #[serde(default)]
    spec: PodSpec,
    #[serde(default)]
    status: PodStatus,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct PodStatus {
    phase: String,
    reason: String,
    conditions: Option<Vec<Condition>>,
    container_statuses: Option<Vec<core::ContainerStatus>>,
    init_container_statuses: Option<Vec<core::ContainerStatus>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Condition {
    r#type: String,
    status: String,
}

/// All of the cluster: one list of daemon sets, and one of the pods of each that runs agents.
pub async fn agent_sets(cluster: &ClusterApi) -> Result<Vec<AgentSet>, Refusal> {
    let known = |written: Written| {
        let template = written.spec.template.spec;
        let containers: Vec<String> = template.containers.into_iter().map(|one| one.name).collect();
        // A user's own that is called so has a network of its own.
        let agents = agents::of_daemon_set(&written.metadata.name, &containers);
        let (set, selector) = (written.metadata, selector_text(Some(&written.spec.selector)));
        let fits = template.host_network && !agents.is_empty() && !selector.is_empty();
        fits.then_some((agents, set, written.status.desired_number_scheduled, selector))
    };
    let sets = cluster
        .list::<DaemonSet, _, _>(None, ListParams::default(), known)
        .await?;
    let read = sets
        .into_iter()
        .flatten()
        .map(|(agents, set, wanted, selector)| async move {
            let pods = pods(cluster, &set.namespace, &selector).await;
            let set = ObjectRef {
                kind: "DaemonSet".to_owned(),
                namespace: set.namespace,
                name: set.name,
            };
            AgentSet {
                agents,
                set,
                wanted,
                pods,
            }
        });
    Ok(join_all(read).await)
}

async fn pods(cluster: &ClusterApi, namespace: &str, selector: &str) -> Result<BTreeMap<String, AgentPod>, Refusal> {
    let params = ListParams::default().labels(selector);
    let take = |kept: &mut BTreeMap<String, AgentPod>, pod: Listed| {
        if kept.len() == MOST {
            return ControlFlow::Break(());
        }
        if !pod.spec.node_name.is_empty() {
            let not_ready = pod.status.not_ready();
            let found = AgentPod {
                name: pod.metadata.name,
                not_ready,
            };
            // While one replaces another a node has two.
            let kept = kept.entry(pod.spec.node_name).or_insert_with(|| found.clone());
            if found.not_ready.is_none() {
                *kept = found;
            }
        }
        ControlFlow::Continue(())
    };
    let read = cluster.fold::<core::Pod, _, _>(Some(namespace), params, take).await?;
    if read.whole {
        Ok(read.kept)
    } else {
        Err(Refusal::too_many("pods", Some(namespace), MOST))
    }
}

impl PodStatus {
    fn not_ready(&self) -> Option<String> {
        let mut conditions = self.conditions.iter().flatten();
        if conditions.any(|one| one.r#type == "Ready" && one.status == "True") {
            return None;
        }
        if !self.reason.is_empty() {
            return Some(self.reason.clone());
        }
        let all = self.init_container_statuses.iter().chain(&self.container_statuses);
        let waits = all.flatten().find_map(|container| {
            let state = container.state.as_ref()?;
            let waiting = state.waiting.as_ref().and_then(|waiting| waiting.reason.clone());
            waiting.filter(|reason| reason != "PodInitializing")
        });
        Some(waits.unwrap_or_else(|| match self.phase.as_str() {
            "Running" => "it runs, and fails its readiness probe".to_owned(),
            phase => format!("its phase is {phase}"),
        }))
    }
}
