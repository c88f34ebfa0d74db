//! Whether a pod is the one that was asked for: only a pod that the created Job's controller made, on the node and of the image
//! that were asked for, is attached to. Labels prove nothing: whoever may make pods may give them any. Pure.

use super::manifest::{CONTAINER, RUN};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};
use kube::ResourceExt as _;
use kube::core::ObjectMeta;

/// Label that the Job controller gives its pods (batch/v1; the one without a prefix is as old as Jobs are).
const JOB: &str = "job-name";

/// What was asked for.
#[derive(Clone, Debug)]
pub struct ExpectedPod<'a> {
    /// Name of the Job.
    pub name: &'a str,
    /// Its UID, once it was made.
    pub job: &'a str,
    /// The node.
    pub node: &'a str,
    /// The container, as it stands in the Job.
    pub container: &'a Container,
}

/// Whose a pod is that bears the run's label.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PodOwnership {
    /// The one that was asked for.
    Own,
    /// That of another Job of the run, as it says itself: whoever asked for that one looks at it.
    Other,
    /// Nobody's in this run, for this reason.
    Stranger(String),
}

/// Whose it is; `of_run` knows the names of the run's Jobs.
pub fn whose(pod: &Pod, asked: &ExpectedPod<'_>, of_run: impl Fn(&str) -> bool) -> PodOwnership {
    let owners = pod.owner_references().iter();
    let mut controllers = owners.filter(|owner| owner.controller == Some(true));
    if controllers.any(|owner| owner.uid == asked.job) {
        return unlike(pod, asked).map_or(PodOwnership::Own, PodOwnership::Stranger);
    }
    match pod.labels().get(JOB) {
        Some(name) if name != asked.name && of_run(name) => PodOwnership::Other,
        _ => PodOwnership::Stranger("its controller is no Job of this run".to_owned()),
    }
}

/// What in it is not as it was asked for.
fn unlike(pod: &Pod, asked: &ExpectedPod<'_>) -> Option<String> {
    let spec = pod.spec.as_ref();
    let node = spec.and_then(|spec| spec.node_name.as_deref()).unwrap_or_default();
    if node != asked.node {
        return Some(format!("it is on node `{node}`, and {} was asked for", asked.node));
    }
    let containers = spec.map_or(&[][..], |spec| &spec.containers);
    let Some(container) = containers.iter().find(|container| container.name == CONTAINER) else {
        return Some(format!("it has no container {CONTAINER}"));
    };
    let (is, wanted) = (container.image.as_deref(), asked.container.image.as_deref());
    if is != wanted {
        return Some(format!(
            "its image is `{}`, and {} was asked for (if a policy of the cluster rewrites images, name the rewritten image with --image)",
            is.unwrap_or_default(),
            wanted.unwrap_or_default()
        ));
    }
    let runs = |container: &Container| (container.command.clone(), container.args.clone().unwrap_or_default());
    if runs(container) != runs(asked.container) {
        return Some("its container runs another command than was asked for".to_owned());
    }
    None
}

/// What is kept of a pod that carries a run's label; nothing of one that does not.
pub fn kept(pod: Pod, run: &str) -> Option<Pod> {
    if pod.labels().get(RUN).is_none_or(|label| label != run) {
        return None;
    }
    let container = |container: Container| Container {
        name: container.name,
        image: container.image,
        command: container.command,
        args: container.args,
        ..Container::default()
    };
    let spec = pod.spec.unwrap_or_default();
    let containers = spec.containers.into_iter().filter(|one| one.name == CONTAINER);
    Some(Pod {
        metadata: ObjectMeta {
            name: pod.metadata.name,
            uid: pod.metadata.uid,
            labels: pod.metadata.labels.map(|mut labels| {
                labels.retain(|key, _| key == JOB);
                labels
            }),
            owner_references: pod.metadata.owner_references,
            deletion_timestamp: pod.metadata.deletion_timestamp,
            ..ObjectMeta::default()
        },
        spec: Some(PodSpec {
            node_name: spec.node_name,
            containers: containers.map(container).collect(),
            ..PodSpec::default()
        }),
        status: pod.status,
    })
}

#[cfg(test)]
mod tests {
    use super::{ExpectedPod, PodOwnership, kept, whose};
    use k8s_openapi::api::core::v1::{Container, Pod};
    use serde_json::{Value, json};

    const UID: &str = "5f0e";

    fn pod(changes: &[(&str, Value)]) -> Pod {
        let mut pod = json!({
            "metadata": {"name": "skoop-1f-0-x", "uid": "a", "labels": {"kubectl-skoop/run": "1f", "job-name": "skoop-1f-0"},
                "annotations": {"large": "x"},
                "ownerReferences": [{"apiVersion": "batch/v1", "kind": "Job", "name": "skoop-1f-0", "uid": UID, "controller": true}]},
            "spec": {"nodeName": "n1", "containers": [
                {"name": "node-helper", "image": "lab:1", "command": ["/node-helper", "--deadline", "70"]}]},
        });
        for (at, value) in changes {
            *pod.pointer_mut(at).unwrap() = value.clone();
        }
        serde_json::from_value(pod).unwrap()
    }

    fn whose_is(changes: &[(&str, Value)]) -> PodOwnership {
        let container = Container {
            name: "node-helper".to_owned(),
            image: Some("lab:1".to_owned()),
            command: Some(["/node-helper", "--deadline", "70"].map(str::to_owned).to_vec()),
            ..Container::default()
        };
        let asked = ExpectedPod {
            name: "skoop-1f-0",
            job: UID,
            node: "n1",
            container: &container,
        };
        whose(&pod(changes), &asked, |name| {
            matches!(name, "skoop-1f-0" | "skoop-1f-1")
        })
    }

    #[test]
    fn the_pod_that_the_created_job_made_is_ours() {
        assert_eq!(whose_is(&[]), PodOwnership::Own);
    }

    #[test]
    fn a_pod_that_only_bears_the_labels_is_a_strangers() {
        for (changes, says) in [
            (vec![("/metadata/ownerReferences", json!([]))], "controller"),
            (vec![("/metadata/ownerReferences/0/uid", json!("other"))], "controller"),
            (
                vec![("/metadata/ownerReferences/0/controller", json!(false))],
                "controller",
            ),
            (vec![("/spec/nodeName", json!("n2"))], "node `n2`"),
            (vec![("/spec/containers/0/name", json!("c"))], "no container"),
            (vec![("/spec/containers/0/image", json!("mallory:1"))], "mallory:1"),
            (vec![("/spec/containers/0/command", json!(["sh"]))], "another command"),
        ] {
            match whose_is(&changes) {
                PodOwnership::Stranger(why) => assert!(why.contains(says), "{changes:?}: {why}"),
                other => panic!("{changes:?}: {other:?}"),
            }
        }
    }

    #[test]
    fn another_jobs_pod_is_left_to_whoever_asked_for_it() {
        let owner = ("/metadata/ownerReferences/0/uid", json!("6a1d"));
        let of = |name: &str| [owner.clone(), ("/metadata/labels/job-name", json!(name))];
        assert_eq!(whose_is(&of("skoop-1f-1")), PodOwnership::Other);
        assert!(
            matches!(whose_is(&of("skoop-1f-9")), PodOwnership::Stranger(_)),
            "no such Job was made"
        );
    }

    #[test]
    fn of_a_pod_only_what_decides_is_kept_and_nothing_of_another_runs() {
        let pod = kept(pod(&[]), "1f").unwrap();
        assert!(pod.metadata.annotations.is_none());
        assert_eq!(kept(super::tests::pod(&[]), "2e"), None);
    }
}
