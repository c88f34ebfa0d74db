//! The Job that puts a helper on a node, as typed objects.
//!
//! A Job and not a bare pod: when this program is killed, the Job's TTL removes what is left. `nodeName` binds the pod
//! itself, so a node that the scheduler avoids can be looked at, too.

use super::options::PullPolicy;
use k8s_openapi::api::batch::v1::{Job, JobSpec};
use k8s_openapi::api::core::v1::{
    AppArmorProfile, Capabilities, Container, EmptyDirVolumeSource, LocalObjectReference, PodSpec, PodTemplateSpec,
    ResourceRequirements, SELinuxOptions, SeccompProfile, SecurityContext, Toleration, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use std::collections::BTreeMap;
use std::time::Duration;

/// The one container of a helper's pod.
pub const CONTAINER: &str = "node-helper";
/// Who keeps these objects.
pub const MANAGED_BY: (&str, &str) = ("app.kubernetes.io/managed-by", "kubectl-skoop");
/// Label: the run that a Job belongs to.
pub const RUN: &str = "kubectl-skoop/run";
/// Annotation: the node, whose name may be longer than a label.
pub const NODE: &str = "kubectl-skoop/node";
/// Annotation: who started it and from where; labels allow neither `@` nor `:`.
pub const BY: &str = "kubectl-skoop/by";

/// What a helper needs to load and attach eBPF programs and to read the kernel's state (capabilities(7)).
pub const CAPABILITIES: [&str; 10] = [
    "BPF",             // load programs, make maps
    "PERFMON",         // tracing programs, reading kernel memory in them
    "NET_ADMIN",       // netfilter rules, conntrack, namespaces' interfaces
    "NET_RAW",         // echo requests
    "SYS_PTRACE",      // namespaces and files of other processes
    "SYS_ADMIN",       // entering them
    "DAC_READ_SEARCH", // files of any owner
    "SYSLOG",          // names of kernel functions
    "SETUID",          // what reads others' files belongs to nobody, and can write none
    "SETGID",          // the same of groups
];

/// Rings and maps are charged to it.
const MEMORY: &str = "256Mi";
/// Asked for, so that it fits on a busy node.
const MEMORY_REQUEST: &str = "64Mi";
/// The helper ends on SIGTERM at once; beyond this it is killed.
const GRACE_S: i64 = 2;
/// Where an injected helper is put.
const FOLDER: &str = "/skoop";

/// Labels that keep service meshes from adding a sidecar, which would outlive the helper.
const NO_MESH: [(&str, &str); 3] = [
    ("sidecar.istio.io/inject", "false"),
    ("kuma.io/sidecar-injection", "disabled"),
    ("openservicemesh.io/sidecar-injection", "disabled"),
];
/// Annotations to the same end, and against collecting a helper's output as a log: it is an answer to one client.
const LEAVE_ALONE: [(&str, &str); 7] = [
    ("sidecar.istio.io/inject", "false"),
    ("linkerd.io/inject", "disabled"),
    ("consul.hashicorp.com/connect-inject", "false"),
    ("fluentbit.io/exclude", "true"),
    ("co.elastic.logs/enabled", "false"),
    ("ad.datadoghq.com/logs_exclude", "true"),
    ("cluster-autoscaler.kubernetes.io/safe-to-evict", "true"),
];

/// What is in the container.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// The helper's own image.
    Image {
        /// Its name.
        image: String,
        /// When it is pulled; the API's default where nothing is asked.
        policy: Option<PullPolicy>,
    },
    /// An image with a shell that is on the node, into which so many bytes are sent.
    Injected {
        /// Its name.
        image: String,
        /// Size of the helper.
        bytes: usize,
    },
}

/// Everything a manifest is made of.
#[derive(Clone, Debug)]
pub struct Manifest<'a> {
    /// Name of the Job.
    pub name: &'a str,
    /// The namespace of helpers.
    pub namespace: &'a str,
    /// The run it belongs to.
    pub run: &'a str,
    /// Who started it, and from where.
    pub by: &'a str,
    /// On which node.
    pub node: &'a str,
    /// What is in the container.
    pub content: &'a Content,
    /// Secrets to pull it with.
    pub secrets: &'a [String],
    /// Instead of capabilities.
    pub privileged: bool,
    /// How long it may live.
    pub lifetime: Duration,
}

/// The Job.
pub fn job(of: &Manifest<'_>) -> Job {
    let labels: BTreeMap<String, String> =
        owned(&[MANAGED_BY, ("app.kubernetes.io/name", "node-helper"), (RUN, of.run)]);
    let annotations = owned(&[(BY, of.by), (NODE, of.node)]);
    let apparmor = format!("container.apparmor.security.beta.kubernetes.io/{CONTAINER}");
    let seconds = of.lifetime.as_secs() as i64;
    let mut pod_labels = labels.clone();
    pod_labels.extend(owned(&NO_MESH));
    let mut pod_annotations = annotations.clone();
    pod_annotations.extend(owned(&LEAVE_ALONE));
    // Clusters before 1.30 know no field for it.
    pod_annotations.extend(owned(&[(apparmor.as_str(), "unconfined")]));
    Job {
        metadata: ObjectMeta {
            name: Some(of.name.to_owned()),
            namespace: Some(of.namespace.to_owned()),
            labels: Some(labels),
            annotations: Some(annotations),
            ..ObjectMeta::default()
        },
        spec: Some(JobSpec {
            active_deadline_seconds: Some(seconds),
            backoff_limit: Some(0),
            ttl_seconds_after_finished: Some(1),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta {
                    labels: Some(pod_labels),
                    annotations: Some(pod_annotations),
                    ..ObjectMeta::default()
                }),
                spec: Some(pod(of)),
            },
            ..JobSpec::default()
        }),
        ..Job::default()
    }
}

fn pod(of: &Manifest<'_>) -> PodSpec {
    let injected = matches!(of.content, Content::Injected { .. });
    PodSpec {
        automount_service_account_token: Some(false),
        containers: vec![container(of)],
        dns_policy: Some("Default".to_owned()),
        enable_service_links: Some(false),
        host_network: Some(true),
        host_pid: Some(true),
        image_pull_secrets: (!of.secrets.is_empty()).then(|| {
            let named = |name: &String| LocalObjectReference { name: name.clone() };
            of.secrets.iter().map(named).collect()
        }),
        node_name: Some(of.node.to_owned()),
        restart_policy: Some("Never".to_owned()),
        termination_grace_period_seconds: Some(GRACE_S),
        tolerations: Some(vec![Toleration {
            operator: Some("Exists".to_owned()),
            ..Toleration::default()
        }]),
        volumes: injected.then(|| {
            vec![Volume {
                name: CONTAINER.to_owned(),
                empty_dir: Some(EmptyDirVolumeSource {
                    medium: Some("Memory".to_owned()),
                    size_limit: Some(Quantity("64Mi".to_owned())),
                }),
                ..Volume::default()
            }]
        }),
        ..PodSpec::default()
    }
}

fn container(of: &Manifest<'_>) -> Container {
    let seconds = of.lifetime.as_secs();
    let (image, policy, command) = match of.content {
        Content::Image { image, policy } => {
            let command = ["/node-helper", "--deflate", "--deadline", &seconds.to_string()];
            (image, policy.map(PullPolicy::name), command.map(str::to_owned).to_vec())
        }
        Content::Injected { image, bytes } => {
            let command = vec!["sh".to_owned(), "-c".to_owned(), receive(*bytes, seconds)];
            (image, Some(PullPolicy::Never.name()), command)
        }
    };
    Container {
        name: CONTAINER.to_owned(),
        image: Some(image.clone()),
        image_pull_policy: policy.map(str::to_owned),
        command: Some(command),
        stdin: Some(true),
        stdin_once: Some(true),
        resources: Some(ResourceRequirements {
            limits: Some(quantities(&[("memory", MEMORY)])),
            requests: Some(quantities(&[("cpu", "10m"), ("memory", MEMORY_REQUEST)])),
            ..ResourceRequirements::default()
        }),
        security_context: Some(security(of.privileged)),
        volume_mounts: matches!(of.content, Content::Injected { .. }).then(|| {
            vec![VolumeMount {
                name: CONTAINER.to_owned(),
                mount_path: FOLDER.to_owned(),
                ..VolumeMount::default()
            }]
        }),
        ..Container::default()
    }
}

fn security(privileged: bool) -> SecurityContext {
    SecurityContext {
        app_armor_profile: Some(AppArmorProfile {
            type_: "Unconfined".to_owned(),
            ..AppArmorProfile::default()
        }),
        capabilities: (!privileged).then(|| Capabilities {
            add: Some(CAPABILITIES.map(str::to_owned).to_vec()),
            drop: Some(vec!["ALL".to_owned()]),
        }),
        privileged: privileged.then_some(true),
        read_only_root_filesystem: Some(true),
        run_as_group: Some(0),
        run_as_user: Some(0),
        // The runtime's confined type may neither read other processes nor use bpf(2).
        se_linux_options: Some(SELinuxOptions {
            type_: Some("spc_t".to_owned()),
            ..SELinuxOptions::default()
        }),
        // Where the kubelet's default is the runtime's profile, it would refuse bpf(2) and setns(2).
        seccomp_profile: Some(SeccompProfile {
            type_: "Unconfined".to_owned(),
            ..SeccompProfile::default()
        }),
        ..SecurityContext::default()
    }
}

/// What an injected container prints when it has received the helper: no request may be sent before, since `head` may read
/// ahead.
pub const RECEIVED: &str = "skoop: the helper is here";

/// A shell's part: take exactly so many bytes from standard input, and become what they are.
fn receive(bytes: usize, seconds: u64) -> String {
    format!(
        "set -e; cd {FOLDER}; \
         if [ \"$(echo ab | head -c 1 2>/dev/null)\" = a ]; then head -c {bytes} >{CONTAINER}; \
         else dd bs=1 count={bytes} of={CONTAINER} 2>/dev/null; fi; \
         chmod 0700 {CONTAINER}; echo '{RECEIVED}'; exec ./{CONTAINER} --deflate --deadline {seconds}"
    )
}

fn owned(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
    pairs
        .iter()
        .map(|(key, value)| ((*key).to_owned(), (*value).to_owned()))
        .collect()
}

fn quantities(pairs: &[(&str, &str)]) -> BTreeMap<String, Quantity> {
    let pairs = owned(pairs).into_iter();
    pairs.map(|(key, value)| (key, Quantity(value))).collect()
}

#[cfg(test)]
mod tests {
    use super::{CONTAINER, Content, FOLDER, Manifest, RECEIVED, job, receive};
    use std::io::Write as _;
    use std::process::{Command, Stdio};
    use std::time::Duration;

    fn manifest(content: &Content) -> String {
        let job = job(&Manifest {
            name: "skoop-1f2e3d4c-0",
            namespace: "shop",
            run: "1f2e3d4c",
            by: "ann@laptop",
            node: "n1",
            content,
            secrets: &["registry".to_owned()],
            privileged: false,
            lifetime: Duration::from_secs(70),
        });
        serde_yaml::to_string(&job).unwrap()
    }

    #[test]
    fn a_helper_s_job_asks_for_what_it_needs_and_for_nothing_else() {
        insta::assert_snapshot!(manifest(&Content::Image {
            image: "ghcr.io/kubectl-skoop/node-helper:v0.1.0".to_owned(),
            policy: None,
        }));
    }

    #[test]
    fn an_injected_helper_has_a_folder_in_memory() {
        insta::assert_snapshot!(manifest(&Content::Injected {
            image: "docker.io/library/busybox:1.36".to_owned(),
            bytes: 3_700_000,
        }));
    }

    /// The shell's part, with a program that is a script: bytes behind it must reach that program.
    #[test]
    fn a_shell_becomes_what_it_was_sent() {
        let folder = tempfile::tempdir().unwrap();
        let program = "#!/bin/sh\necho started with $*\nread line\necho heard $line\n";
        let script = receive(program.len(), 70).replace(FOLDER, &folder.path().display().to_string());
        let mut shell = Command::new("sh")
            .args(["-c", &script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut input = shell.stdin.take().unwrap();
        input.write_all(program.as_bytes()).unwrap();
        input.write_all(b"hello\n").unwrap();
        drop(input);
        let said = String::from_utf8(shell.wait_with_output().unwrap().stdout).unwrap();
        assert_eq!(
            said,
            format!("{RECEIVED}\nstarted with --deflate --deadline 70\nheard hello\n")
        );
        assert!(folder.path().join(CONTAINER).exists());
    }
}
