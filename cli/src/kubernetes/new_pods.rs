//! Names of pods that start during a capture: read when an event is about an unknown pod, all of its node at a time.

use super::cluster::ClusterApi;
use model::inventory::Pod;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc::{UnboundedReceiver, UnboundedSender, unbounded_channel};
use tokio::time::Instant;

/// The pods of a node are asked for at most this often: one that the API server does not know is soon asked for again.
const ASK_AGAIN: Duration = Duration::from_secs(2);

/// Reads the pods of nodes in the background.
pub struct NewPods {
    cluster: ClusterApi,
    asked: HashMap<String, Instant>,
    sender: UnboundedSender<Vec<Pod>>,
    receiver: UnboundedReceiver<Vec<Pod>>,
}

impl NewPods {
    /// New pods of this cluster; nothing is asked yet.
    #[must_use]
    pub fn of(cluster: ClusterApi) -> Self {
        let (sender, receiver) = unbounded_channel();
        Self {
            cluster,
            asked: HashMap::new(),
            sender,
            receiver,
        }
    }

    /// There is an unknown pod on this node. One that the API does not know either keeps its UID as its name.
    pub fn ask(&mut self, node: &str) {
        let recent = |asked: &Instant| asked.elapsed() < ASK_AGAIN;
        if self.asked.get(node).is_some_and(recent) {
            return;
        }
        self.asked.insert(node.to_owned(), Instant::now());
        let (cluster, node, sender) = (self.cluster.clone(), node.to_owned(), self.sender.clone());
        tokio::spawn(async move {
            if let Ok(pods) = cluster.pods_on(&node).await {
                // A capture that has ended needs no names.
                let _ = sender.send(pods);
            }
        });
    }

    /// Pods that were read since.
    pub fn arrived(&mut self) -> Vec<Pod> {
        let mut pods = Vec::new();
        while let Ok(more) = self.receiver.try_recv() {
            pods.extend(more);
        }
        pods
    }
}
