//! One watch over the pods of a run, opened before the first of them is made.

use crate::kubernetes::connect::Cluster;
use crate::kubernetes::refused::Refused;
use futures_util::{Stream, StreamExt as _};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{WatchEvent, WatchParams};
use std::collections::BTreeMap;
use std::time::Duration;
use tokio::sync::watch::{self, Sender};

/// Label that the Job controller gives its pods (batch/v1; the one without a prefix is as old as Jobs are).
const JOB: &str = "job-name";
/// A watch that ended is opened again after this.
const AGAIN: Duration = Duration::from_millis(300);

/// Pods by the name of their Job.
pub type Pods = BTreeMap<String, Pod>;
/// What changes.
pub type Receiver = watch::Receiver<Pods>;

/// Opens it, and keeps it open while somebody wants to know.
pub async fn open(cluster: Cluster, pods: Api<Pod>, labels: String) -> Result<Receiver, Refused> {
    let wanted = WatchParams::default().labels(&labels);
    let first = cluster.ask(|| pods.watch(&wanted, "0")).await?.boxed();
    let (tell, receiver) = watch::channel(Pods::new());
    tokio::spawn(async move {
        follow(first, &tell).await;
        while !tell.is_closed() {
            tokio::time::sleep(AGAIN).await;
            if let Ok(next) = pods.watch(&wanted, "0").await {
                follow(next.boxed(), &tell).await;
            }
        }
    });
    Ok(receiver)
}

async fn follow(mut changes: impl Stream<Item = kube::Result<WatchEvent<Pod>>> + Unpin, tell: &Sender<Pods>) {
    loop {
        let change = tokio::select! {
            change = changes.next() => change,
            () = tell.closed() => return,
        };
        match change {
            Some(Ok(WatchEvent::Added(pod) | WatchEvent::Modified(pod) | WatchEvent::Deleted(pod))) => {
                let labels = pod.metadata.labels.as_ref();
                if let Some(job) = labels.and_then(|labels| labels.get(JOB)).cloned() {
                    tell.send_modify(|pods| {
                        pods.insert(job, pod);
                    });
                }
            }
            Some(Ok(WatchEvent::Bookmark(_))) => {}
            // Expired, or the API server went away: another watch begins with what is there.
            Some(Ok(WatchEvent::Error(_)) | Err(_)) | None => return,
        }
    }
}
