//! Why a helper's pod does not run: what its status and the events about it say, with the command that mends it. Pure.

use super::manifest::{CONTAINER, MANAGED_BY};
use super::options::OWN_NAMESPACE;
use diagnoses::words::shell;
use k8s_openapi::api::core::v1::{ContainerState, Event, Pod};
use model::missing::Missing;
use std::time::Duration;

/// How far a pod is.
#[derive(Clone, Debug, PartialEq)]
pub enum PodProgress {
    /// It may still start; what the kubelet does now.
    Waits(String),
    /// Its container runs.
    Runs,
    /// It will not start, or has ended: why.
    Ended(Missing),
}

/// Where a helper is wanted, and of what.
#[derive(Clone, Copy, Debug)]
pub struct HelperPlace<'a> {
    /// The node.
    pub node: &'a str,
    /// The namespace of helpers.
    pub namespace: &'a str,
    /// The image.
    pub image: &'a str,
    /// The helper is sent into somebody else's image.
    pub injected: bool,
}

impl HelperPlace<'_> {
    /// A helper that is missing there.
    pub fn missing(&self, why: impl Into<String>) -> Missing {
        Missing {
            node: Some(self.node.to_owned()),
            ..Missing::new(format!("what the helper on {} would have seen", self.node), why)
        }
    }

    /// What a pod's status says.
    pub fn progress(&self, pod: &Pod) -> PodProgress {
        let Some(status) = &pod.status else {
            return PodProgress::Waits("created".to_owned());
        };
        let containers = status.container_statuses.iter().flatten();
        let state = containers
            .filter(|container| container.name == CONTAINER)
            .find_map(|container| container.state.as_ref());
        if let Some(missing) = state.and_then(|state| self.state(state)) {
            return PodProgress::Ended(missing);
        }
        let message = status.message.as_deref().unwrap_or_default();
        match (status.phase.as_deref(), status.reason.as_deref()) {
            (Some("Failed"), reason) => PodProgress::Ended(self.failed(reason.unwrap_or_default(), message)),
            (Some("Succeeded"), _) => PodProgress::Ended(self.missing("its pod ended before it was spoken to")),
            _ if pod.metadata.deletion_timestamp.is_some() => PodProgress::Ended(
                self.missing("its pod was deleted by somebody else")
                    .remedy("see who deletes pods in this namespace, or name another with --helper-namespace"),
            ),
            _ if state.is_some_and(|state| state.running.is_some()) => PodProgress::Runs,
            _ => PodProgress::Waits(
                state
                    .and_then(|state| state.waiting.as_ref()?.reason.as_deref())
                    .map_or("waiting for the kubelet", |reason| match reason {
                        "ContainerCreating" => "starting its container",
                        other => other,
                    })
                    .to_owned(),
            ),
        }
    }

    /// Whether a kubelet has taken it up: then its status says when.
    pub fn is_taken_up(pod: Option<&Pod>) -> bool {
        let status = pod.and_then(|pod| pod.status.as_ref());
        status.is_some_and(|status| status.start_time.is_some() || status.container_statuses.is_some())
    }

    /// No kubelet has taken it up in all this time.
    pub fn not_taken_up(&self, pod: Option<&Pod>, after: Duration) -> Missing {
        let (node, after_s) = (self.node, after.as_secs());
        if pod.is_none() {
            return self
                .missing(format!("no pod was made for its Job within {after_s} s"))
                .remedy("see whether kube-controller-manager works: `kubectl -n kube-system get leases kube-controller-manager`");
        }
        self.missing(format!(
            "the kubelet of {node} has not taken up its pod within {after_s} s"
        ))
        .remedy(format!(
            "see whether it works: `journalctl -u kubelet` on {node}; on the node itself, kubectl-skoop ... --local needs no kubelet"
        ))
    }

    /// A container that waits for what will not come, or has ended.
    fn state(&self, state: &ContainerState) -> Option<Missing> {
        if let Some(ended) = &state.terminated {
            let message = ended.message.as_deref().unwrap_or_default();
            let reason = ended.reason.as_deref().unwrap_or_default();
            return Some(if matches!(reason, "StartError" | "ContainerCannotRun") {
                self.not_started(message)
            } else {
                self.missing(format!(
                    "its container ended with code {} ({reason}) {message}",
                    ended.exit_code
                ))
                .remedy("run it again with -v to see the helper's own messages")
            });
        }
        let waiting = state.waiting.as_ref()?;
        let message = waiting.message.as_deref().unwrap_or_default();
        match waiting.reason.as_deref()? {
            reason @ ("ErrImagePull"
            | "ImagePullBackOff"
            | "ErrImageNeverPull"
            | "RegistryUnavailable"
            | "ImageInspectError"
            | "SignatureValidationFailed") => Some(self.no_image(reason, message)),
            "InvalidImageName" => Some(
                self.missing(format!("`{}` is no name of an image", self.image))
                    .remedy("write it as REGISTRY/NAME:TAG"),
            ),
            "CreateContainerConfigError" | "CreateContainerError" | "RunContainerError" | "CreatePodSandboxError" => {
                Some(self.not_started(message))
            }
            _ => None,
        }
    }

    fn no_image(&self, reason: &str, message: &str) -> Missing {
        let (image, node) = (self.image, self.node);
        if self.injected {
            return self
                .missing(format!("the image {image} may not be used without pulling it: {message}"))
                .remedy("AlwaysPullImages or the kubelet's check of pull credentials is on, so --inject cannot work here; name an image with --image that the node may pull");
        }
        if lower(message).contains("no match for platform") || lower(message).contains("no matching manifest") {
            return self
                .missing(format!(
                    "the image {image} has no variant for this node's architecture: {message}"
                ))
                .remedy(
                    "`make image ARCHES='x86_64 aarch64'` makes one for both; name it with --image, or use --inject=IMAGE",
                );
        }
        let back_off = message.starts_with("Back-off") || message.is_empty();
        let says = if back_off { reason } else { message };
        self.missing(format!("the image {image} is not on {node} and cannot be pulled: {says}"))
            .remedy(
                "load it onto the node (`ctr -n k8s.io images import node-helper.tar`), name one that nodes can pull with --image (and --image-pull-secret), or send the helper into one that the node has with --inject=IMAGE (`doctor` lists some)",
            )
    }

    fn not_started(&self, message: &str) -> Missing {
        let says = lower(message);
        let missing = |why: &str| self.missing(format!("{why}: {message}"));
        if says.contains("exec format error") {
            return missing("the image is for another architecture").remedy("name one for this node with --image");
        }
        if self.injected && (says.contains("executable file not found") || says.contains("no such file")) {
            return missing("the image has no shell")
                .remedy("name one that has `sh` and is on the node with --inject=IMAGE");
        }
        if says.contains("apparmor") || says.contains("capabilit") || says.contains("operation not permitted") {
            return missing("the container runtime refuses it").remedy("start it with --privileged");
        }
        missing("its container cannot be started").remedy(format!(
            "see the node's container runtime: `journalctl -u containerd` on {}",
            self.node
        ))
    }

    fn failed(&self, reason: &str, message: &str) -> Missing {
        let node = self.node;
        let remedy = match reason {
            "OutOfpods" => format!("move a pod away from {node}: it has as many as its kubelet allows"),
            reason if reason.starts_with("OutOf") => format!("make room on {node} for a pod of 64Mi and 10m"),
            "NodeAffinity" | "NodeName" => "see whether the node still exists".to_owned(),
            "Evicted" => format!(
                "{node} is short of memory, disk or process ids; see {}",
                shell::said("kubectl describe node {}", &[&node])
            ),
            "DeadlineExceeded" => "look for a longer time with --for".to_owned(),
            _ => format!("see {}", shell::said("kubectl describe node {}", &[&node])),
        };
        let reason = if reason.is_empty() { "no reason told" } else { reason };
        self.missing(format!("its pod failed ({reason}): {message}"))
            .remedy(remedy)
    }

    /// What an event about the Job or its pod means; none where it is only news.
    pub fn event(&self, event: &Event) -> Option<Missing> {
        let message = event.message.as_deref().unwrap_or_default();
        match event.reason.as_deref()? {
            "FailedCreate" => Some(self.refused(message)),
            "FailedCreatePodSandBox" => Some(
                self.missing(format!("the node cannot make its sandbox: {message}")).remedy(format!(
                    "see the container runtime and the network plug-in of {}: `journalctl -u containerd -u kubelet`",
                    self.node
                )),
            ),
            "FailedMount" | "FailedAttachVolume" => Some(
                self.missing(format!("a volume cannot be mounted: {message}"))
                    .remedy(format!("see the kubelet of {}: `journalctl -u kubelet`", self.node)),
            ),
            _ => None,
        }
    }

    /// What the kubelet does now, where an event says so.
    pub fn news(&self, event: &Event) -> Option<String> {
        (event.reason.as_deref() == Some("Pulling")).then(|| format!("pulling {}", self.image))
    }

    /// Admission did not let the pod be made.
    pub fn refused(&self, message: &str) -> Missing {
        let namespace = self.namespace;
        let says = lower(message);
        let remedy = if says.contains("podsecurity") {
            format!(
                "give helpers a namespace of their own, which admits privileged pods: {OWN_NAMESPACE}; or answer by what the API says with --no-helper"
            )
        } else if says.contains("exceeded quota") || says.contains("failed quota") {
            format!("raise the quota of {namespace}, or name another namespace with --helper-namespace")
        } else if says.contains("admission webhook")
            || says.contains("denied the request")
            || says.contains("validatingadmissionpolicy")
        {
            format!(
                "have this policy except pods labelled {}={}, or name a namespace that it leaves alone with --helper-namespace",
                MANAGED_BY.0, MANAGED_BY.1
            )
        } else {
            "see `kubectl skoop doctor`, or name another namespace with --helper-namespace".to_owned()
        };
        self.missing(format!("the cluster does not admit its pod: {message}"))
            .remedy(remedy)
    }
}

fn lower(text: &str) -> String {
    text.to_lowercase()
}

#[cfg(test)]
#[expect(clippy::needless_pass_by_value, reason = "`json!` makes values")]
mod tests {
    use super::{HelperPlace, PodProgress};
    use serde_json::{Value, json};

    const PLACE: HelperPlace<'_> = HelperPlace {
        node: "n1",
        namespace: "shop",
        image: "ghcr.io/kubectl-skoop/node-helper:v0.1.0",
        injected: false,
    };

    fn pod(status: &Value) -> super::Pod {
        serde_json::from_value(json!({ "metadata": {}, "status": status })).unwrap()
    }

    fn progress(status: Value) -> PodProgress {
        PLACE.progress(&pod(&status))
    }

    fn ended(place: HelperPlace<'_>, status: Value) -> String {
        match place.progress(&pod(&status)) {
            PodProgress::Ended(missing) => format!("{} -> {}", missing.why, missing.remedy),
            other => panic!("{other:?} goes on"),
        }
    }

    fn waiting(reason: &str, message: &str) -> Value {
        let state = json!({ "waiting": { "reason": reason, "message": message } });
        json!({ "phase": "Pending", "containerStatuses": [container(state)] })
    }

    fn container(state: Value) -> Value {
        json!({ "name": "node-helper", "image": "", "imageID": "", "ready": false, "restartCount": 0, "state": state })
    }

    #[test]
    fn a_pod_that_starts_is_waited_for() {
        assert!(matches!(progress(json!({ "phase": "Pending" })), PodProgress::Waits(_)));
        assert_eq!(
            progress(waiting("ContainerCreating", "")),
            PodProgress::Waits("starting its container".to_owned())
        );
        let running = json!({ "running": { "startedAt": "2026-01-01T00:00:00Z" } });
        assert_eq!(
            progress(json!({ "phase": "Running", "containerStatuses": [container(running)] })),
            PodProgress::Runs
        );
    }

    #[test]
    fn a_pod_that_no_kubelet_takes_up_is_told_from_one_that_starts_slowly() {
        let scheduled = pod(&json!({ "phase": "Pending",
            "conditions": [{ "type": "PodScheduled", "status": "True" }] }));
        let slow = pod(&json!({ "phase": "Pending", "startTime": "2026-01-01T00:00:00Z" }));
        assert!(!HelperPlace::is_taken_up(None) && !HelperPlace::is_taken_up(Some(&scheduled)));
        assert!(HelperPlace::is_taken_up(Some(&slow)));
        let why = |pod| PLACE.not_taken_up(pod, std::time::Duration::from_secs(15)).why;
        assert_eq!(
            why(Some(&scheduled)),
            "the kubelet of n1 has not taken up its pod within 15 s"
        );
        assert_eq!(why(None), "no pod was made for its Job within 15 s");
    }

    #[test]
    fn an_image_that_cannot_be_had_is_named_with_three_ways_out() {
        let says = ended(PLACE, waiting("ErrImagePull", "dial tcp: lookup ghcr.io: no such host"));
        for part in [
            "no such host",
            "ctr -n k8s.io images import",
            "--image-pull-secret",
            "--inject",
        ] {
            assert!(says.contains(part), "{says}");
        }
        let says = ended(
            PLACE,
            waiting("ErrImagePull", "no match for platform in manifest: not found"),
        );
        assert!(says.contains("architecture"), "{says}");
    }

    #[test]
    fn an_injected_image_without_a_shell_or_without_leave_is_told() {
        let injected = HelperPlace {
            injected: true,
            ..PLACE
        };
        let state = json!({ "terminated": { "exitCode": 128, "reason": "StartError",
            "message": "exec: \"sh\": executable file not found in $PATH" } });
        let says = ended(
            injected,
            json!({ "phase": "Failed", "containerStatuses": [container(state)] }),
        );
        assert!(says.contains("no shell"), "{says}");
        assert!(ended(injected, waiting("ErrImageNeverPull", "not present")).contains("AlwaysPullImages"));
    }

    #[test]
    fn a_full_node_and_a_runtime_that_refuses_are_told_apart() {
        let full =
            json!({ "phase": "Failed", "reason": "OutOfpods", "message": "Node didn't have enough resource: pods" });
        assert!(ended(PLACE, full).contains("as many as its kubelet allows"));
        let refused = waiting(
            "RunContainerError",
            "runc: unable to apply caps: operation not permitted",
        );
        assert!(ended(PLACE, refused).contains("--privileged"));
    }

    #[test]
    fn admission_is_told_from_the_job_s_events() {
        let event = |reason: &str, message: &str| {
            let event = json!({ "metadata": {}, "involvedObject": {}, "reason": reason, "message": message });
            PLACE.event(&serde_json::from_value(event).unwrap())
        };
        let violates = "pods \"x\" is forbidden: violates PodSecurity \"restricted:latest\": host namespaces";
        let missing = event("FailedCreate", violates).unwrap();
        assert!(
            missing.remedy.contains("kubectl label namespace skoop pod-security"),
            "{missing:?}"
        );
        let webhook = "admission webhook \"policy.example\" denied the request: no hostPID";
        assert!(event("FailedCreate", webhook).unwrap().remedy.contains("managed-by"));
        assert!(
            event("FailedCreatePodSandBox", "plugin type=\"bridge\" failed")
                .unwrap()
                .why
                .contains("sandbox")
        );
        assert_eq!(event("SuccessfulCreate", "Created pod"), None);
    }
}
