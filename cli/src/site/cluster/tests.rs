//! A run's helpers against an API server in which strangers are, too.

use super::injectable_images::suggest;
use super::{HelperOptions, Helpers};
use crate::conversation::link::LinkEvent;
use crate::interrupt::Interrupt;
use crate::kubernetes::fake_server::{FakeAnswer, FakeServer};
use model::inventory::Node;
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

const JOBS: &str = "/apis/batch/v1/namespaces/shop/jobs";
const PODS: &str = "/api/v1/namespaces/shop/pods";
const UID: &str = "5f0e";
const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

fn helpers(fake: &FakeServer, options: HelperOptions) -> Helpers {
    Helpers::new(
        fake.cluster(),
        options,
        Duration::from_secs(10),
        false,
        Interrupt::listen(),
    )
}

fn n1() -> Vec<(String, Option<Node>)> {
    let node = Node {
        name: "n1".to_owned(),
        ready: true,
        os: "linux".to_owned(),
        arch: "amd64".to_owned(),
        ..Node::default()
    };
    vec![("n1".to_owned(), Some(node))]
}

/// A running pod that bears the labels of this run, as the watch tells of it.
fn told(run: &str, name: &str, owner: &str, spec: &Value) -> String {
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": name, "namespace": "shop", "uid": format!("uid-of-{name}"),
            "labels": {"kubectl-skoop/run": run, "job-name": format!("skoop-{run}-0")},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": format!("skoop-{run}-0"),
                "uid": owner, "controller": true}]},
        "spec": spec,
        "status": {"phase": "Running", "containerStatuses": [{"name": "node-helper", "ready": true, "restartCount": 0,
            "image": "", "imageID": "", "state": {"running": {}}}]},
    });
    json!({"type": "ADDED", "object": pod}).to_string() + "\n"
}

/// An API server on which a pod of the run's Job runs beside one that only looks like it. Names sort so that the stranger's is
/// met last.
fn with_a_stranger(spec: Value) -> FakeServer {
    let watch = move |asked: &str| {
        let run = asked.split_once("run%3D").unwrap().1;
        let run = run.split('&').next().unwrap();
        told(run, "a-ours", UID, &spec) + &told(run, "mallory", "another", &spec)
    };
    FakeServer::default()
        .list(&format!("{JOBS}?&labelSelector"), &json!([]))
        .object(
            &format!("{JOBS}?"),
            json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "x", "uid": UID}}),
        )
        .with(&format!("{PODS}?&watch"), FakeAnswer::Made(Arc::new(watch)))
}

/// Waits until the helper is given up, and tells why.
async fn given_up(helpers: &Helpers) -> String {
    let (_, mut link) = helpers.start(&n1(), None).pop().unwrap();
    loop {
        if let LinkEvent::Cut(missing) = std::future::poll_fn(|task| link.poll_next(task)).await {
            return missing.why;
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn only_the_pod_of_the_jobs_own_controller_is_spoken_to() {
    let ours = helpers(&FakeServer::default(), HelperOptions::default())
        .manifests(&n1())
        .unwrap();
    let spec = serde_json::to_value(&ours[0].spec.as_ref().unwrap().template.spec).unwrap();
    let fake = with_a_stranger(spec);
    // This server has no streams: the attempt to attach is the end.
    given_up(&helpers(&fake, HelperOptions::default())).await;
    let asked = fake.asked();
    let attached: Vec<_> = asked.iter().filter(|path| path.contains("/attach?")).collect();
    assert!(!attached.is_empty(), "{asked:#?}");
    assert!(
        attached
            .iter()
            .all(|path| path.starts_with(&format!("{PODS}/a-ours/attach"))),
        "{attached:#?}"
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn what_would_run_of_an_injected_helper_is_the_image_that_was_named() {
    let named = HelperOptions {
        inject: Some("lab:1".to_owned()),
        ..HelperOptions::default()
    };
    match helpers(&FakeServer::default(), named).manifests(&n1()) {
        Ok(jobs) => {
            let spec = jobs[0].spec.clone().unwrap().template.spec.unwrap();
            assert_eq!(spec.containers[0].image.as_deref(), Some("lab:1"));
            assert_eq!(spec.containers[0].command.as_ref().unwrap()[0], "sh");
        }
        // A client without a helper inside has nothing to send.
        Err(missing) => assert!(missing.why.contains("carries no helper for amd64"), "{missing:?}"),
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn to_inject_a_helper_no_image_is_looked_for_on_the_node() {
    let fake = FakeServer::default().list(&format!("{JOBS}?&labelSelector"), &json!([]));
    let named = HelperOptions {
        inject: Some("lab:1".to_owned()),
        ..HelperOptions::default()
    };
    given_up(&helpers(&fake, named)).await;
    assert!(
        !fake.asked().iter().any(|path| path.contains("/nodes/")),
        "{:?}",
        fake.asked()
    );
}

#[tokio::test]
async fn images_are_suggested_by_digest_and_only_those_of_the_cluster_itself() {
    let pod = |node: &str, ids: &[&str]| {
        let containers: Vec<Value> = ids.iter().map(|id| json!({"name": "c", "imageID": id})).collect();
        json!({"metadata": {"name": "p"}, "spec": {"nodeName": node}, "status": {"containerStatuses": containers}})
    };
    let proxy = format!("registry.k8s.io/kube-proxy@{DIGEST}");
    let flannel = format!("docker-pullable://docker.io/flannel/flannel@{DIGEST}");
    let pods = json!([
        pod("n1", &[&proxy, DIGEST]),
        pod("n1", &[&flannel]),
        pod("n2", &[&proxy, "\u{1b}]0;x\u{7}@sha256:00"]),
    ]);
    let fake = FakeServer::default().list("/api/v1/namespaces/kube-system/pods?", &pods);
    let found = suggest(&fake.cluster(), &[]).await.unwrap().images();
    let flannel = format!("docker.io/flannel/flannel@{DIGEST}");
    let nodes = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
    assert_eq!(
        found,
        [(proxy, nodes(&["n1", "n2"])), (flannel.clone(), nodes(&["n1"]))]
    );
    let on_n2 = suggest(&fake.cluster(), &["n2".to_owned()]).await.unwrap().images();
    assert!(on_n2.iter().all(|(image, _)| *image != flannel));
    assert!(
        fake.asked()
            .iter()
            .all(|path| path.contains("kube-system") && path.contains("limit="))
    );
}
