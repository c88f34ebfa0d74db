//! One run's helpers in a cluster: its identity, its Jobs, and their end.

use super::gone;
use super::inject;
use super::manifest::{self, Content, Manifest};
use super::options::{HelperOptions, lifetime};
use super::reason::Place;
use super::start::{self, Wanted};
use super::sweep;
use super::watch::{self, Pods};
use crate::interrupt::Interrupt;
use crate::kubernetes::connect::Cluster;
use crate::kubernetes::refused::Refused;
use crate::names;
use crate::site::{Link, Recorder, link};
use k8s_openapi::api::batch::v1::Job;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::Api;
use kube::api::PostParams;
use model::inventory::Node;
use model::missing::Missing;
use std::collections::BTreeSet;
use std::hash::{BuildHasher as _, Hasher as _};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::runtime::Handle;
use tokio::sync::{OnceCell, RwLock, mpsc};
use tokio::time::Instant;

/// A program that was interrupted gets this long to end in order; then its Jobs are deleted whatever it does.
const ORDER: Duration = Duration::from_secs(3);

/// Pods of strangers that are told of, at most.
const STRANGERS: usize = 5;

/// The helpers of one run. When this value and all its links are dropped, they are deleted.
#[derive(Clone, Debug)]
pub struct Helpers {
    run: Arc<Run>,
    end: Arc<End>,
}

/// What its tasks share.
#[derive(Debug)]
pub(super) struct Run {
    /// The cluster.
    pub cluster: Cluster,
    /// How the user wants them.
    pub options: HelperOptions,
    /// Where they live.
    pub namespace: String,
    /// This run's name: a label of all its objects.
    id: String,
    /// Who started it, and from where.
    by: String,
    /// How long each may live.
    lifetime: Duration,
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
    pods: OnceCell<watch::Receiver>,
    /// Pods of strangers that were told of, by UID.
    strangers: Mutex<BTreeSet<String>>,
}

impl Helpers {
    /// Begins a run; nothing is created yet. Called inside the runtime.
    pub fn new(
        cluster: Cluster,
        options: HelperOptions,
        window: Duration,
        verbose: bool,
        interrupt: Interrupt,
    ) -> Self {
        let namespace = options
            .helper_namespace
            .clone()
            .unwrap_or_else(|| cluster.namespace.clone());
        let run = Arc::new(Run {
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
        });
        let interrupted = Arc::clone(&run);
        tokio::spawn(async move {
            interrupt.wait().await;
            tokio::time::sleep(ORDER).await;
            let _ = gone::all(&interrupted).await;
        });
        Self {
            end: Arc::new(End {
                run: Arc::clone(&run),
                runtime: Handle::current(),
            }),
            run,
        }
    }

    /// Starts a helper on each node, all in the background; why one does not start is the last word of its link. What is
    /// known of a node is used: none is started where it could not be heard.
    pub fn start(&self, nodes: &[(String, Option<Node>)], recorder: Option<&Recorder>) -> Vec<(String, Link)> {
        if let Some(image) = &self.run.options.inject {
            let names: Vec<&str> = nodes.iter().map(|(name, _)| name.as_str()).collect();
            crate::render::note(&format!(
                "starting {image} as root on {}, to send the helper into it: it is an image that you named, not ours",
                names::some(&names)
            ));
        }
        if self.run.jobs().is_empty() {
            tokio::spawn(sweep::quietly(self.run.cluster.clone(), self.run.namespace.clone()));
        }
        let start = |(name, known): &(String, Option<Node>)| {
            let (tell, from) = mpsc::channel(link::WAITING);
            let (ask, requests) = mpsc::unbounded_channel();
            let wanted = Wanted {
                node: name.clone(),
                known: known.clone(),
                recorder: recorder.map(|recorder| recorder.for_node(name)),
            };
            tokio::spawn(start::helper(Arc::clone(&self.run), wanted, requests, tell));
            let ask = move |request| {
                // A helper that is gone is noticed on the other stream.
                let _ = ask.send(request);
            };
            let link = Link::new(ask, from, Box::new(Arc::clone(&self.end)), self.run.lifetime);
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

    fn place<'a>(&'a self, node: &'a str) -> Place<'a> {
        Place {
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
        admitted.map_err(|refused| start::not_created(&refused, place))?;
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
                Err(start::not_created(&refused, place))
            }
            _ => Ok(()),
        }
    }

    /// Where helpers live.
    pub fn namespace(&self) -> &str {
        &self.run.namespace
    }
}

impl Run {
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

    /// Tells of a pod that is not of this run and says so: once of each, and of very many the first.
    pub fn tell_stranger(&self, uid: &str, what: &str) {
        let mut told = self.strangers.lock().unwrap_or_else(PoisonError::into_inner);
        if told.len() < STRANGERS && told.insert(uid.to_owned()) {
            crate::render::note(what);
        }
    }

    /// What is started on a node of this architecture: the helper's own image, or the one that the user named for it to be
    /// sent into.
    pub fn content(&self, place: Place<'_>, arch: &str) -> Result<Content, Missing> {
        if let Some(image) = &self.options.inject {
            return inject::content(place, image, arch);
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
    pub async fn create(&self, name: &str, job: &Job) -> Option<Result<Job, Refused>> {
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

    /// Until then all of them have ended by themselves.
    pub fn deadline(&self) -> Instant {
        self.began + self.lifetime
    }

    /// The pods of this run, as they change. The watch is opened once, before the first is created.
    pub async fn pods(&self) -> Result<tokio::sync::watch::Receiver<Pods>, Refused> {
        let watch = self
            .pods
            .get_or_try_init(|| watch::open(self.cluster.clone(), self.pods_api(), self.label(), self.id.clone()))
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

/// Held by the run and by each of its links: the last one to go takes the Jobs along.
#[derive(Debug)]
struct End {
    run: Arc<Run>,
    runtime: Handle,
}

impl Drop for End {
    fn drop(&mut self) {
        gone::before_leaving(&self.runtime, &self.run);
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
