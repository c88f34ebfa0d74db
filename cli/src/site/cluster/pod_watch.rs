//! One watch over the pods that carry a run's label, opened before the first of them is made. Whose they are is decided by `pod_ownership`.

use super::pod_ownership;
use crate::kubernetes::cluster::ClusterApi;
use crate::kubernetes::refusal::Refusal;
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::api::{WatchEvent, WatchParams};
use kube::{Api, ResourceExt as _};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch::{self, Sender};

/// A watch that ended is opened again after this.
const AGAIN: Duration = Duration::from_millis(300);
/// Pods with the run's label that are kept: many more than a run has. Whoever may make pods can make any number of them.
const MOST: usize = 20_000;

/// Pods by their UID.
pub type PodsByUid = BTreeMap<String, Pod>;
/// What changes.
pub type Receiver = watch::Receiver<PodsByUid>;

/// Opens it for the pods of this run, and keeps it open while somebody wants to know.
pub async fn open(cluster: ClusterApi, pods: Api<Pod>, labels: String, run: String) -> Result<Receiver, Refusal> {
    let wanted = WatchParams::default().labels(&labels);
    let first = cluster.ask(|| pods.watch(&wanted, "0")).await?.boxed();
    let (sender, receiver) = watch::channel(PodsByUid::new());
    tokio::spawn(async move {
        follow(first, &run, &sender).await;
        while !sender.is_closed() {
            tokio::time::sleep(AGAIN).await;
            if let Ok(next) = pods.watch(&wanted, "0").await {
                follow(next.boxed(), &run, &sender).await;
            }
        }
    });
    Ok(receiver)
}

async fn follow(
    mut changes: impl Stream<Item = kube::Result<WatchEvent<Pod>>> + Unpin,
    run: &str,
    sender: &Sender<PodsByUid>,
) {
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            () = sender.closed() => return,
        };
        match change {
            Some(Ok(WatchEvent::Added(pod) | WatchEvent::Modified(pod) | WatchEvent::Deleted(pod))) => {
                let Some((uid, pod)) = pod.uid().zip(pod_ownership::kept(pod, run)) else {
                    continue;
                };
                sender.send_if_modified(|pods| {
                    let room = pods.len() < MOST || pods.contains_key(&uid);
                    if room {
                        pods.insert(uid, pod);
                    }
                    room
                });
            }
            Some(Ok(WatchEvent::Bookmark(_))) => {}
            // Expired, or the API server went away: another watch begins with what is there.
            Some(Ok(WatchEvent::Error(_)) | Err(_)) | None => return,
        }
    }
}
