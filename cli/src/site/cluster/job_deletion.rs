//! Taking a run's Jobs away: at its end, and on every other way out.

use super::run::HelperRun;
use crate::kubernetes::refusal::{Refusal, RefusalKind};
use kube::api::{DeleteParams, ListParams};
use std::sync::Arc;
use std::sync::mpsc::{RecvTimeoutError, channel};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::time::Instant;

/// An API server that is well has deleted a Job within this time; then a note says what is waited for.
const USUAL: Duration = Duration::from_secs(2);
/// Between two tries, growing to this.
const LONGEST_PAUSE: Duration = Duration::from_secs(2);
/// Creating a Job is waited for this long.
const CREATING: Duration = Duration::from_secs(2);

/// Deletes one that came to nothing. What fails here is tried again with all others.
pub(super) async fn one(run: &HelperRun, job: &str) {
    let (api, background) = (run.jobs_api(), DeleteParams::background());
    let deleted = run.cluster.ask(|| api.delete(job, &background)).await;
    if deleted.is_ok() {
        run.jobs().remove(job);
    }
}

/// Deletes all that may be left, with their pods, by one call. Where the API server does not answer, it is asked again
/// until they have ended by themselves; why they could not be deleted is reported then.
pub(super) async fn all(run: &HelperRun) -> Result<(), Refusal> {
    // A request that is under way may still make a Job; one that hangs must not keep the others.
    let _ = tokio::time::timeout(CREATING, run.close()).await;
    let _deleting = run.deleting.lock().await;
    if run.jobs().is_empty() {
        return Ok(());
    }
    let (api, background) = (run.jobs_api(), DeleteParams::background());
    let ours = ListParams::default().labels(&run.label());
    let mut pause = Duration::from_millis(100);
    loop {
        let Err(refused) = run.cluster.ask(|| api.delete_collection(&background, &ours)).await else {
            run.jobs().clear();
            return Ok(());
        };
        let final_word = matches!(
            refused.kind,
            RefusalKind::Forbidden | RefusalKind::Unauthorized | RefusalKind::NotFound
        );
        if final_word || Instant::now() + pause > run.deadline() {
            return Err(refused);
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}

/// Does so from a thread that is about to leave, and waits for it.
pub(super) fn before_leaving(runtime: &Handle, run: &Arc<HelperRun>) {
    if run.jobs().is_empty() {
        return;
    }
    let (sender, receiver) = channel();
    let of = Arc::clone(run);
    runtime.spawn(async move {
        let _ = sender.send(all(&of).await);
    });
    let gone = match receiver.recv_timeout(USUAL) {
        Err(RecvTimeoutError::Timeout) => {
            crate::render::note(&format!(
                "the API server has not answered yet; still deleting {} in namespace {} (Ctrl-C leaves it to the cluster: they end by themselves)",
                named(run.jobs().iter()),
                run.namespace
            ));
            receiver.recv_timeout(run.deadline().saturating_duration_since(Instant::now()) + USUAL)
        }
        other => other,
    };
    if let Ok(Err(refused)) = gone {
        crate::render::note(&format!(
            "{} in namespace {} could not be deleted: {}; they end by themselves, and `kubectl skoop cleanup` takes the rest away",
            named(run.jobs().iter()),
            run.namespace,
            refused.says
        ));
    }
}

fn named<'a>(jobs: impl Iterator<Item = &'a String>) -> String {
    let jobs: Vec<&str> = jobs.map(String::as_str).collect();
    format!("job/{}", jobs.join(", job/"))
}
