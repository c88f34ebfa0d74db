//! Starts a helper on a node: from the node's name to streams that are attached, or the reason why there are none.

use super::attached_pod::{self, Attached};
use super::manifest::Content;
use super::node_fitness::unfit;
use super::pod_ownership::{self, ExpectedPod, PodOwnership};
use super::pod_progress::{HelperPlace, PodProgress};
use super::pod_watch::PodsByUid;
use super::run::HelperRun;
use super::{injection, job_deletion};
use crate::conversation::link::LinkEvent;
use crate::kubernetes::refusal::{Refusal, RefusalKind};
use crate::recording::Recorder;
use diagnoses::words::shell;
use k8s_openapi::api::core::v1::{Event, Pod};
use kube::ResourceExt as _;
use kube::api::ListParams;
use model::inventory::Node;
use model::missing::Missing;
use model::protocol::Request;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::time::Instant;

/// How long a pod usually takes to run; then it is asked why it does not.
const USUAL: Duration = Duration::from_millis(700);
/// The pause before it is asked about again.
const AGAIN: Duration = Duration::from_secs(1);
/// A kubelet takes up a pod at once. One that has not in this time does not work: one that does renews its Lease in it, too.
const TAKES_UP: Duration = Duration::from_secs(15);
/// Events about one object that are read, at most.
const EVENTS: u32 = 50;
/// A pod that does not start in this time is given up.
const PATIENCE: Duration = Duration::from_secs(45);

/// A helper that is wanted.
#[derive(Debug)]
pub struct HelperToStart {
    /// On this node.
    pub node: String,
    /// What is known of it.
    pub known: Option<Node>,
    /// Keeps its lines.
    pub recorder: Option<Recorder>,
}

/// Brings a helper up and carries the conversation.
pub async fn helper(
    run: Arc<HelperRun>,
    wanted: HelperToStart,
    requests: mpsc::UnboundedReceiver<Request>,
    sender: mpsc::Sender<LinkEvent>,
) {
    match bring_up(&run, &wanted, &sender).await {
        Ok(attached) => attached_pod::converse(attached, requests, &sender, wanted.recorder).await,
        Err(missing) => {
            let _ = sender.send(LinkEvent::Cut(missing)).await;
        }
    }
}

async fn bring_up(
    run: &HelperRun,
    wanted: &HelperToStart,
    sender: &mpsc::Sender<LinkEvent>,
) -> Result<Attached, Missing> {
    let node = &wanted.node;
    let place = HelperPlace {
        node,
        namespace: &run.namespace,
        image: run.options.started(),
        injected: run.options.inject.is_some(),
    };
    if let Some(known) = &wanted.known {
        unfit(known)?;
    }
    // A node of which nothing is known is taken for one like this machine.
    let arch = wanted.known.as_ref().map_or("", |known| known.arch.as_str());
    let content = run.content(place, arch)?;
    let job = run.next_name();
    let started = start(run, &job, place, &content, arch, sender).await;
    if started.is_err() {
        job_deletion::one(run, &job).await;
    }
    started
}

/// Starts one from this image, and attaches to it.
async fn start(
    run: &HelperRun,
    job: &str,
    place: HelperPlace<'_>,
    content: &Content,
    arch: &str,
    sender: &mpsc::Sender<LinkEvent>,
) -> Result<Attached, Missing> {
    let what = place.missing("").what;
    let stage = async |text: String| {
        let _ = sender.send(LinkEvent::Stage(text)).await;
    };
    let unwanted = || place.missing("it was not wanted any more");
    let mut pods = run
        .pods()
        .await
        .map_err(|refused| refused.missing(format!("{what} (watching pods of {})", place.namespace)))?;
    stage(format!("creating its pod of {}", place.image)).await;
    let wanted = run.job(job, place.node, content);
    let made = match run.create(job, &wanted).await {
        None => return Err(unwanted()),
        Some(Err(refused)) => return Err(not_created(&refused, place)),
        Some(Ok(made)) => made.metadata.uid.unwrap_or_default(),
    };
    let containers = wanted.spec.into_iter().filter_map(|spec| spec.template.spec);
    let container = containers.flat_map(|spec| spec.containers).next().unwrap_or_default();
    let asked = ExpectedPod {
        name: job,
        job: &made,
        node: place.node,
        container: &container,
    };
    if made.is_empty() {
        return Err(place.missing("the API server gave its Job no UID, by which its pod would be known"));
    }
    let created = Instant::now();
    let mut ask_at = created + USUAL;
    let mut now = String::new();
    let pod = loop {
        let (pod, left_alone) = own(&pods.borrow_and_update(), &asked, run);
        let but = |mut missing: Missing| {
            if let Some(left_alone) = &left_alone {
                missing.why = format!("{}; {left_alone}", missing.why);
            }
            missing
        };
        match pod.as_ref().map(|pod| place.progress(pod)) {
            Some(PodProgress::Runs) => break pod.unwrap_or_default().name_any(),
            Some(PodProgress::Ended(missing)) => return Err(missing),
            Some(PodProgress::Waits(waits)) if waits != now => {
                stage(waits.clone()).await;
                now = waits;
            }
            _ => {}
        }
        tokio::select! {
            changed = pods.changed() => if changed.is_err() {
                return Err(place.missing("the watch over its pod ended"));
            },
            () = tokio::time::sleep_until(ask_at) => {
                // By its identity: whoever may write events may write any about an object of that name.
                let about = pod.as_ref().and_then(kube::ResourceExt::uid);
                for event in events(run, about.as_deref().unwrap_or(&made)).await {
                    if let Some(missing) = place.event(&event) {
                        return Err(missing);
                    }
                    if let Some(news) = place.news(&event).filter(|news| *news != now) {
                        stage(news.clone()).await;
                        now = news;
                    }
                }
                ask_at = Instant::now() + AGAIN;
            }
            () = tokio::time::sleep_until(created + TAKES_UP), if !HelperPlace::is_taken_up(pod.as_ref()) => {
                return Err(but(place.not_taken_up(pod.as_ref(), TAKES_UP)));
            }
            () = tokio::time::sleep_until(created + PATIENCE) => {
                return Err(place
                    .missing(format!("its pod did not start within {} s; the last that was told: {now}", PATIENCE.as_secs()))
                    .remedy(format!("see {} and its kubelet", shell::said("kubectl describe node {}", &[&place.node]))));
            }
            () = sender.closed() => return Err(unwanted()),
        }
    };
    stage("attaching".to_owned()).await;
    let mut attached = attached_pod::attach(run, &pod)
        .await
        .map_err(|refused| refused.missing(format!("{what} (attaching to its pod)")))?;
    if let Content::Injected { .. } = content {
        stage("sending the helper".to_owned()).await;
        let helper = injection::helper(arch, place)?;
        attached.send_program(helper).await.map_err(|why| place.missing(why))?;
    }
    stage("greeting".to_owned()).await;
    Ok(attached)
}

/// The pod that was asked for, among those that bear the run's label. Any other that bears it is reported and left alone: why one was.
fn own(pods: &PodsByUid, asked: &ExpectedPod<'_>, run: &HelperRun) -> (Option<Pod>, Option<String>) {
    let (mut own, mut left_alone) = (None, None);
    for (uid, pod) in pods {
        match pod_ownership::whose(pod, asked, |name| run.has_named(name)) {
            PodOwnership::Own => own = Some(pod.clone()),
            PodOwnership::Other => {}
            PodOwnership::Stranger(why) => {
                let what = format!(
                    "pod {} bears the label of this run and is left alone: {why}",
                    pod.name_any()
                );
                run.report_stranger(uid, &what);
                left_alone = Some(what);
            }
        }
    }
    (own, left_alone)
}

/// Why a Job or its pod was not made.
pub fn not_created(refused: &Refusal, place: HelperPlace<'_>) -> Missing {
    match refused.kind {
        RefusalKind::NotFound => place
            .missing(format!("there is no namespace {}", place.namespace))
            .remedy(format!(
                "{}, or name another with --helper-namespace",
                shell::said("kubectl create namespace {}", &[&place.namespace])
            )),
        // A policy that denies the Job itself, and no lack of permission.
        RefusalKind::Forbidden if !refused.says.contains("cannot create resource") => place.refused(&refused.says),
        _ => {
            let missing = refused.missing("");
            place.missing(missing.why).remedy(missing.remedy)
        }
    }
}

/// The events about the object with this UID. Without permission there are none, and its status must do.
async fn events(run: &HelperRun, about: &str) -> Vec<Event> {
    let wanted = ListParams::default()
        .fields(&format!("involvedObject.uid={about}"))
        .limit(EVENTS);
    let api = run.events_api();
    run.cluster
        .ask(|| api.list(&wanted))
        .await
        .map_or_else(|_| Vec::new(), |list| list.items)
}

#[cfg(test)]
mod tests {
    use super::unfit;
    use model::inventory::Node;

    #[test]
    fn a_helper_is_not_sent_where_it_could_not_be_heard() {
        let node = Node {
            name: "n1".to_owned(),
            ready: true,
            os: "linux".to_owned(),
            lease_age_s: Some(9),
            ..Node::default()
        };
        assert_eq!(unfit(&node), Ok(()));
        let why = |node: Node| unfit(&node).unwrap_err().why;
        let not_ready = Node {
            ready: false,
            reason: "KubeletNotReady".to_owned(),
            ..node.clone()
        };
        assert!(why(not_ready).contains("KubeletNotReady"));
        let silent = Node {
            lease_age_s: Some(16),
            ..node.clone()
        };
        assert!(why(silent).contains("16 s"));
        let windows = Node {
            os: "windows".to_owned(),
            ..node
        };
        assert!(why(windows).contains("windows"));
    }
}
