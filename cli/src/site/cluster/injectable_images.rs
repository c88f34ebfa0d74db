//! Images that may take a helper where ours cannot be had: those of kube-system's pods, which no tenant chose, by digest.

use super::image::by_digest;
use crate::kubernetes::cluster::ClusterApi;
use crate::kubernetes::list::MOST;
use crate::kubernetes::refusal::Refusal;
use k8s_openapi::api::core::v1::Pod;
use kube::api::ListParams;
use serde::Deserialize;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;

/// Where a cluster's own pods are.
pub const OF_THE_CLUSTER: &str = "kube-system";

/// What was found.
#[derive(Debug, Default)]
pub struct InjectableImages {
    /// Nodes by the image that they have.
    images: BTreeMap<String, BTreeSet<String>>,
    pods: usize,
    /// There are more pods than were looked at.
    pub more: bool,
}

/// What is read of a pod.
#[derive(Debug, Deserialize)]
struct OnNode {
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Spec {
    node_name: String,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Status {
    container_statuses: Option<Vec<Container>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Container {
    #[serde(rename = "imageID")]
    image_id: String,
}

/// Looks for them, on these nodes where any are named.
pub async fn suggest(cluster: &ClusterApi, only_on: &[String]) -> Result<InjectableImages, Refusal> {
    let take = |suggested: &mut InjectableImages, pod: OnNode| {
        if suggested.pods == MOST {
            suggested.more = true;
            return ControlFlow::Break(());
        }
        suggested.pods += 1;
        if only_on.is_empty() || only_on.contains(&pod.spec.node_name) {
            suggested.take(&pod);
        }
        ControlFlow::Continue(())
    };
    // What runs now is surely there.
    let running = ListParams::default().fields("status.phase=Running");
    let read = cluster.fold::<Pod, _, _>(Some(OF_THE_CLUSTER), running, take);
    Ok(read.await?.kept)
}

impl InjectableImages {
    fn take(&mut self, pod: &OnNode) {
        let containers = pod.status.container_statuses.iter().flatten();
        for image in containers.filter_map(|container| by_digest(&container.image_id)) {
            self.images.entry(image).or_default().insert(pod.spec.node_name.clone());
        }
    }

    /// Each image with the nodes that have it; those that most have first.
    pub fn images(self) -> Vec<(String, Vec<String>)> {
        let images = self.images.into_iter();
        let mut images: Vec<(String, Vec<String>)> = images
            .map(|(image, nodes)| (image, nodes.into_iter().collect()))
            .collect();
        images.sort_by_key(|(_, nodes)| std::cmp::Reverse(nodes.len()));
        images
    }
}
