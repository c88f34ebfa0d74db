//! The helpers of one run, from their start until the last of them is taken away.

use super::helper_start::{self, HelperToStart};
use super::options::HelperOptions;
use super::pod_progress::HelperPlace;
use super::run::HelperRun;
use super::{job_deletion, leftover_jobs};
use crate::conversation::link::{self, HelperLink};
use crate::interrupt::Interrupt;
use crate::kubernetes::cluster::ClusterApi;
use crate::names;
use crate::recording::Recorder;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::Pod;
use kube::api::PostParams;
use model::inventory::Node;
use model::missing::Missing;
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::mpsc;

/// A program that was interrupted gets this long to end in order; then its Jobs are deleted whatever it does.
const ORDER: Duration = Duration::from_secs(3);

/// The helpers of one run. When this value and all its links are dropped, they are deleted.
#[derive(Clone, Debug)]
pub struct Helpers {
    run: Arc<HelperRun>,
    end: Arc<JobsGuard>,
}

impl Helpers {
    /// Begins a run; nothing is created yet. Called inside the runtime.
    pub fn new(
        cluster: ClusterApi,
        options: HelperOptions,
        window: Duration,
        verbose: bool,
        interrupt: Interrupt,
    ) -> Self {
        let run = Arc::new(HelperRun::new(cluster, options, window, verbose));
        let interrupted = Arc::clone(&run);
        tokio::spawn(async move {
            interrupt.wait().await;
            tokio::time::sleep(ORDER).await;
            let _ = job_deletion::all(&interrupted).await;
        });
        Self {
            end: Arc::new(JobsGuard {
                run: Arc::clone(&run),
                runtime: Handle::current(),
            }),
            run,
        }
    }

    /// Starts a helper on each node, all in the background; why one does not start is the last event of its link. What is
    /// known of a node is used: none is started where it could not be reached.
    pub fn start(&self, nodes: &[(String, Option<Node>)], recorder: Option<&Recorder>) -> Vec<(String, HelperLink)> {
        if let Some(image) = &self.run.options.inject {
            let names: Vec<&str> = nodes.iter().map(|(name, _)| name.as_str()).collect();
            crate::render::note(&format!(
                "starting {image} as root on {}, to send the helper into it: it is an image that you named, not ours",
                names::some(&names)
            ));
        }
        if self.run.jobs().is_empty() {
            tokio::spawn(leftover_jobs::quietly(
                self.run.cluster.clone(),
                self.run.namespace.clone(),
            ));
        }
        let start = |(name, known): &(String, Option<Node>)| {
            let (sender, from) = mpsc::channel(link::WAITING);
            let (ask, requests) = mpsc::unbounded_channel();
            let wanted = HelperToStart {
                node: name.clone(),
                known: known.clone(),
                recorder: recorder.map(|recorder| recorder.for_node(name)),
            };
            tokio::spawn(helper_start::helper(Arc::clone(&self.run), wanted, requests, sender));
            let ask = move |request| {
                // A helper that is gone is noticed on the other stream.
                let _ = ask.send(request);
            };
            let link = HelperLink::new(ask, from, Box::new(Arc::clone(&self.end)), self.run.lifetime);
            (name.clone(), link)
        };
        nodes.iter().map(start).collect()
    }

    /// The manifests of what would be started.
    pub fn manifests(&self, nodes: &[(String, Option<Node>)]) -> Result<Vec<Job>, Missing> {
        let job = |(node, known): &(String, Option<Node>)| {
            let arch = known.as_ref().map_or("", |known| known.arch.as_str());
            let content = self.run.content(self.place(node), arch)?;
            Ok(self.run.job(&self.run.next_name(), node, &content))
        };
        nodes.iter().map(job).collect()
    }

    fn place<'a>(&'a self, node: &'a str) -> HelperPlace<'a> {
        HelperPlace {
            node,
            namespace: &self.run.namespace,
            image: self.run.options.started(),
            injected: self.run.options.inject.is_some(),
        }
    }

    /// Asks the API server whether it would admit a helper: its Job, and its pod where the user may make pods (a Job's pod
    /// is made by a controller, so most users need not). Nothing is made.
    pub async fn would_admit(&self) -> Result<(), Missing> {
        let place = self.place("");
        let job = self.run.job(&self.run.next_name(), "", &self.run.content(place, "")?);
        let (jobs, pods) = (self.run.jobs_api(), self.run.pods_api());
        let dry = PostParams {
            dry_run: true,
            ..PostParams::default()
        };
        let admitted = self.run.cluster.ask(|| jobs.create(&dry, &job)).await;
        admitted.map_err(|refused| helper_start::not_created(&refused, place))?;
        let Some(template) = job.spec.map(|spec| spec.template) else {
            return Ok(());
        };
        let mut metadata = template.metadata.unwrap_or_default();
        metadata.name = Some(self.run.next_name());
        let pod = Pod {
            metadata,
            spec: template.spec,
            status: None,
        };
        match self.run.cluster.ask(|| pods.create(&dry, &pod)).await {
            Err(refused) if !refused.says.contains("cannot create resource") => {
                Err(helper_start::not_created(&refused, place))
            }
            _ => Ok(()),
        }
    }

    /// Where helpers live.
    pub fn namespace(&self) -> &str {
        &self.run.namespace
    }
}

/// Held by the run and by each of its links: the last one to go takes the Jobs along.
#[derive(Debug)]
struct JobsGuard {
    run: Arc<HelperRun>,
    runtime: Handle,
}

impl Drop for JobsGuard {
    fn drop(&mut self) {
        job_deletion::before_leaving(&self.runtime, &self.run);
    }
}
