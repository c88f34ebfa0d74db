//! What earlier runs left: Jobs with our label that have ended, or should have.

use super::manifest::{BY, MANAGED_BY, NODE};
use crate::kubernetes::cluster::ClusterApi;
use crate::kubernetes::list::{ListPage, PAGE, answer};
use crate::kubernetes::refusal::{Refusal, RefusalKind};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::jiff::{SignedDuration, Timestamp};
use kube::api::{DeleteParams, ListParams};
use kube::core::Request;
use kube::{Api, Resource as _, ResourceExt as _};

/// A Job is ended by the cluster at its deadline; after so much more it is nobody's live run.
const BEYOND_DEADLINE: SignedDuration = SignedDuration::from_secs(60);
/// Leftovers that are deleted at once, at most: whoever may make Jobs can make any number with our label.
pub const SWEPT_MAX: usize = 1_000;

/// A leftover.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LeftoverJob {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The node of its helper.
    pub node: String,
    /// Who had started it.
    pub by: String,
    /// Why it could not be deleted.
    pub left: Option<Refusal>,
}

/// Deletes what earlier runs left in a namespace, or in all of them; of very many the first.
pub async fn sweep(cluster: &ClusterApi, namespace: Option<&str>) -> Result<Vec<LeftoverJob>, Refusal> {
    let mut swept = Vec::new();
    let mut next = None;
    loop {
        let (now, page) = cluster.ask(|| list(cluster, namespace, next.as_deref())).await?;
        for job in page.items.iter().filter(|job| leftover(job, now)) {
            if swept.len() == SWEPT_MAX {
                return Ok(swept);
            }
            swept.push(delete(cluster, job).await);
        }
        next = page.next().map(str::to_owned);
        if next.is_none() {
            return Ok(swept);
        }
    }
}

/// Sweeps beside a run: an error is not told, since the run must not suffer from it.
pub async fn quietly(cluster: ClusterApi, namespace: String) {
    let _ = sweep(&cluster, Some(&namespace)).await;
}

async fn delete(cluster: &ClusterApi, job: &Job) -> LeftoverJob {
    let namespace = job.namespace().unwrap_or_default();
    let name = job.name_any();
    let api: Api<Job> = Api::namespaced(cluster.client.clone(), &namespace);
    let background = DeleteParams::background();
    let deleted = cluster.ask(|| api.delete(&name, &background)).await;
    let note = |key: &str| job.annotations().get(key).cloned().unwrap_or_default();
    LeftoverJob {
        node: note(NODE),
        by: note(BY),
        left: deleted.err().filter(|refused| refused.kind != RefusalKind::NotFound),
        namespace,
        name,
    }
}

/// A page, with the API server's own clock.
async fn list(
    cluster: &ClusterApi,
    namespace: Option<&str>,
    next: Option<&str>,
) -> kube::Result<(Timestamp, ListPage<Job>)> {
    let mut wanted = ListParams::default()
        .labels(&format!("{}={}", MANAGED_BY.0, MANAGED_BY.1))
        .limit(PAGE);
    wanted.continue_token = next.map(str::to_owned);
    let request = Request::new(Job::url_path(&(), namespace)).list(&wanted);
    let answered = answer(&cluster.client, request.map_err(kube::Error::BuildRequest)?).await?;
    Ok((
        answered.now.unwrap_or_else(Timestamp::now),
        ListPage::of(&answered.body)?,
    ))
}

/// Whether nobody can be using it any more.
fn leftover(job: &Job, now: Timestamp) -> bool {
    let ended = job
        .status
        .iter()
        .flat_map(|status| status.conditions.iter().flatten())
        .any(|condition| matches!(condition.type_.as_str(), "Complete" | "Failed") && condition.status == "True");
    let lifetime = job.spec.as_ref().and_then(|spec| spec.active_deadline_seconds);
    let created = job.metadata.creation_timestamp.as_ref();
    let overdue = lifetime.zip(created).is_some_and(|(lifetime, created)| {
        now.duration_since(created.0) > SignedDuration::from_secs(lifetime) + BEYOND_DEADLINE
    });
    ended || overdue
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "`json!` makes values")]
mod tests {
    use super::leftover;
    use k8s_openapi::api::batch::v1::Job;
    use serde_json::{Value, json};

    fn job(status: Value) -> Job {
        serde_json::from_value(json!({
            "metadata": { "name": "skoop-1-0", "creationTimestamp": "2026-01-01T00:00:00Z" },
            "spec": { "activeDeadlineSeconds": 70, "template": {} },
            "status": status,
        }))
        .unwrap()
    }

    #[test]
    fn a_live_run_is_left_alone_until_a_minute_after_its_deadline() {
        let at = |time: &str| leftover(&job(json!({ "active": 1 })), time.parse().unwrap());
        assert!(!at("2026-01-01T00:00:05Z"));
        assert!(!at("2026-01-01T00:02:10Z"));
        assert!(at("2026-01-01T00:02:11Z"));
    }

    #[test]
    fn a_job_that_has_ended_is_nobody_s() {
        let ended = |kind: &str| {
            let status = json!({ "conditions": [{ "type": kind, "status": "True" }] });
            leftover(&job(status), "2026-01-01T00:00:05Z".parse().unwrap())
        };
        assert!(ended("Complete") && ended("Failed"));
        assert!(!ended("FailureTarget"));
    }
}
