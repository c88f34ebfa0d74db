//! One run in a cluster: its identity, the Jobs it has made, and whether it is over.

use super::injection;
use super::manifest::{self, Content, Manifest};
use super::options::{HelperOptions, lifetime};
use super::pod_progress::HelperPlace;
use super::pod_watch::{self, PodsByUid};
use crate::kubernetes::cluster::ClusterApi;
use crate::kubernetes::refusal::Refusal;
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::PostParams;
use model::missing::Missing;
use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{OnceCell, RwLock};
use tokio::time::Instant;

/// Pods of strangers that are reported, at most.
const STRANGERS: usize = 5;

/// What its tasks share.
#[derive(Debug)]
pub(super) struct HelperRun {
    /// The cluster.
    pub cluster: ClusterApi,
    /// How the user wants them.
    pub options: HelperOptions,
    /// Where they live.
    pub namespace: String,
    /// This run's name: a label of all its objects.
    id: String,
    /// Who started it, and from where.
    by: String,
    /// How long each may live.
    pub lifetime: Duration,
    /// Show their messages.
    pub verbose: bool,
    began: Instant,
    numbers: AtomicU32,
    /// Jobs that were created, or may have been.
    jobs: Mutex<BTreeSet<String>>,
    /// Held by whoever deletes them: a second one finds it done.
    pub deleting: tokio::sync::Mutex<()>,
    /// Whether the run is over. Held for reading while a Job is created, so that none appears behind the deletion.
    over: RwLock<bool>,
    pods: OnceCell<pod_watch::Receiver>,
    /// Pods of strangers that were reported, by UID.
    strangers: Mutex<BTreeSet<String>>,
}

impl HelperRun {
    /// A new one that may take so long; nothing is created yet.
    pub fn new(cluster: ClusterApi, options: HelperOptions, window: Duration, verbose: bool) -> Self {
        let namespace = options
            .helper_namespace
            .clone()
            .unwrap_or_else(|| cluster.namespace.clone());
        Self {
            cluster,
            options,
            namespace,
            id: identity(),
            by: by(),
            lifetime: lifetime(window),
            verbose,
            began: Instant::now(),
            numbers: AtomicU32::new(0),
            jobs: Mutex::default(),
            deleting: tokio::sync::Mutex::default(),
            over: RwLock::new(false),
            pods: OnceCell::new(),
            strangers: Mutex::default(),
        }
    }

    /// A name for the next Job.
    pub fn next_name(&self) -> String {
        format!("{}{}", self.prefix(), self.numbers.fetch_add(1, Ordering::Relaxed))
    }

    fn prefix(&self) -> String {
        format!("skoop-{}-", self.id)
    }

    /// A Job of this name was made in this run, or was to be.
    pub fn has_named(&self, job: &str) -> bool {
        let number = job.strip_prefix(&self.prefix()).and_then(|number| number.parse().ok());
        number.is_some_and(|number: u32| number < self.numbers.load(Ordering::Relaxed))
    }

    /// Reports a pod that bears this run's label and is not of it: each once, and of very many the first.
    pub fn report_stranger(&self, uid: &str, what: &str) {
        let mut reported = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        if reported.len() < STRANGERS && reported.insert(uid.to_owned()) {
            crate::render::note(what);
        }
    }

    /// What is started on a node of this architecture: the helper's own image, or the one that the user named for it to be
    /// sent into.
    pub fn content(&self, place: HelperPlace<'_>, arch: &str) -> Result<Content, Missing> {
        if let Some(image) = &self.options.inject {
            return injection::content(place, image, arch);
        }
        Ok(Content::Image {
            image: self.options.started().to_owned(),
            policy: self.options.image_pull_policy,
        })
    }

    /// A Job of this run.
    pub fn job(&self, name: &str, node: &str, content: &Content) -> Job {
        manifest::job(&Manifest {
            name,
            namespace: &self.namespace,
            run: &self.id,
            by: &self.by,
            node,
            content,
            secrets: &self.options.image_pull_secret,
            privileged: self.options.privileged,
            lifetime: self.lifetime,
        })
    }

    /// Creates a Job; `None` when the run is over. Tells what was made.
    pub async fn create(&self, name: &str, job: &Job) -> Option<Result<Job, Refusal>> {
        let over = self.over.read().await;
        if *over {
            return None;
        }
        let (api, as_it_is) = (self.jobs_api(), PostParams::default());
        self.jobs().insert(name.to_owned());
        let created = self.cluster.ask(|| api.create(&as_it_is, job)).await;
        drop(over);
        Some(created)
    }

    /// No Job is created from now on; those being created are waited for.
    pub async fn close(&self) {
        *self.over.write().await = true;
    }

    /// What selects the objects of this run.
    pub fn label(&self) -> String {
        format!("{}={}", manifest::RUN, self.id)
    }

    /// Jobs that may be there.
    pub fn jobs(&self) -> MutexGuard<'_, BTreeSet<String>> {
        self.jobs.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The time by which all its helpers have ended by themselves.
    pub fn deadline(&self) -> Instant {
        self.began + self.lifetime
    }

    /// The pods of this run, as they change. The watch is opened once, before the first is created.
    pub async fn pods(&self) -> Result<tokio::sync::watch::Receiver<PodsByUid>, Refusal> {
        let watch = self
            .pods
            .get_or_try_init(|| pod_watch::open(self.cluster.clone(), self.pods_api(), self.label(), self.id.clone()))
            .await?;
        Ok(watch.clone())
    }

    pub fn jobs_api(&self) -> Api<Job> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    pub fn pods_api(&self) -> Api<Pod> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }

    pub fn events_api(&self) -> Api<Event> {
        Api::namespaced(self.cluster.client.clone(), &self.namespace)
    }
}

/// Eight hexadecimal digits that no other run has.
fn identity() -> String {
    // Seeded by the system for each process, and by the time besides.
    let mut hasher = std::hash::RandomState::new().build_hasher();
    hasher.write_u32(std::process::id());
    format!("{:08x}", hasher.finish() as u32)
}

/// Who and from where, for those who find a helper on their cluster.
fn by() -> String {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let user = variable("USER")
        .or_else(|| variable("USERNAME"))
        .unwrap_or_else(|| "unknown".to_owned());
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname")
        .ok()
        .map(|name| name.trim().to_owned())
        .or_else(|| variable("HOSTNAME"))
        .or_else(|| variable("COMPUTERNAME"));
    match host {
        Some(host) => format!("{user}@{host}"),
        None => user,
    }
}
