//! `deploy/rbac` is enough for all that the client does on a cluster, and nothing in it is superfluous: what is granted is
//! held against what the API server's audit log says was asked. Where the project's own cluster is not up (`make
//! cluster`), this test says so and passes.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread::sleep;
use std::time::Duration;

use serde_json::Value;
use tests::kubernetes::audit::{ApiCall, Audit};
use tests::kubernetes::call::call;
use tests::kubernetes::cluster::TestCluster;
use tests::kubernetes::ground::{own_cluster, stage};
use tests::scenario::Scenario;
use tests::scenario::manifests;
use tests::skoop;

const USER: &str = "skoop-rbac-test";
const WITHIN: Duration = Duration::from_mins(1);

/// One object of every kind that can be an end.
const GROUND: &str = "\
site: kubernetes
apply: |
  apiVersion: v1
  kind: Pod
  metadata: {name: a}
  spec: {nodeName: n1, containers: [{name: c, image: 'lab:1', command: [sleep, '100000']}]}
  ---
  apiVersion: apps/v1
  kind: Deployment
  metadata: {name: deployed}
  spec:
    selector: {matchLabels: {app: web}}
    template:
      metadata: {labels: {app: web}}
      spec: {containers: [{name: c, image: 'lab:1', command: [lab, http, '8080']}]}
  ---
  apiVersion: apps/v1
  kind: StatefulSet
  metadata: {name: kept}
  spec:
    selector: {matchLabels: {app: kept}}
    serviceName: kept
    template:
      metadata: {labels: {app: kept}}
      spec: {containers: [{name: c, image: 'lab:1', command: [lab, http, '8080']}]}
  ---
  apiVersion: apps/v1
  kind: DaemonSet
  metadata: {name: everywhere}
  spec:
    selector: {matchLabels: {app: everywhere}}
    template:
      metadata: {labels: {app: everywhere}}
      spec: {containers: [{name: c, image: 'lab:1', command: [lab, http, '8080']}]}
  ---
  apiVersion: apps/v1
  kind: ReplicaSet
  metadata: {name: copies}
  spec:
    selector: {matchLabels: {app: copies}}
    template:
      metadata: {labels: {app: copies}}
      spec: {containers: [{name: c, image: 'lab:1', command: [lab, http, '8080']}]}
  ---
  apiVersion: batch/v1
  kind: Job
  metadata: {name: once}
  spec:
    template:
      spec: {restartPolicy: Never, containers: [{name: c, image: 'lab:1', command: [lab, http, '8080']}]}
  ---
  apiVersion: v1
  kind: Service
  metadata: {name: web}
  spec: {selector: {app: web}, ports: [{name: http, port: 80, targetPort: 8080}]}
  ---
  apiVersion: v1
  kind: Service
  metadata: {name: nobody}
  spec: {selector: {app: nobody}, ports: [{port: 80}]}
  ---
  apiVersion: networking.k8s.io/v1
  kind: NetworkPolicy
  metadata: {name: from-here}
  spec: {podSelector: {}, ingress: [{from: [{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: kube-system}}}, {podSelector: {}}]}]}
run: diagnose
expect: {outcome: healthy}
";

/// What users do, kind by kind; names that do not exist are looked for among the others.
const COMMANDS: &[&str] = &[
    "diagnose pod-to-service a web:http",
    "diagnose pod-to-service a nobody:80",
    "diagnose pod-to-service a no-such-service:80",
    "diagnose pod-to-pod deploy/deployed sts/kept:8080",
    "diagnose pod-to-pod ds/everywhere job/once:8080",
    "diagnose pod-to-pod deploy/no-such sts/no-such:1",
    "diagnose pod-to-pod a sts/no-such:1",
    "diagnose pod-to-pod a ds/no-such:1",
    "diagnose pod-to-pod a job/no-such:1",
    "diagnose pod-to-pod a rs/copies:8080",
    "diagnose pod-to-pod a rs/no-such:1",
    "diagnose pod-to-pod a selector/app=web:8080",
    "diagnose pod-to-pod a no-such-pod:1",
    "diagnose pod-to-pod a stuck:8080",
    "diagnose pod-to-pod a no-such-namespace/web:1",
    "diagnose pod-to-node a node/n2:10250",
    "diagnose pod-to-node a node/no-such:1",
    "diagnose dns a web",
    "diagnose pod-to-pod a deploy/deployed:8080 --image registry.invalid/no-such:1",
    "capture --probe drop --for 1s",
    "capture --probe drop --for 1s --all-nodes",
    "doctor",
    "doctor --try",
    "cleanup",
];

/// What is granted and yet in no log: from Kubernetes 1.35 on the API server asks for it beside the verb of the request.
const NOT_LOGGED: [&str; 1] = ["create pods/attach"];

/// The grants, taken back when this is dropped.
struct Granted<'a>(&'a TestCluster);

impl Drop for Granted<'_> {
    fn drop(&mut self) {
        for kind in ["clusterrolebinding", "clusterrole"] {
            let _ = self.0.ask(&["delete", kind, "skoop-reader", "--ignore-not-found"]);
        }
    }
}

fn manifest(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../deploy/rbac").join(name)
}

fn grant<'a>(cluster: &'a TestCluster, namespace: &str) -> Granted<'a> {
    let granted = Granted(cluster);
    let file = |name| manifest(name).display().to_string();
    let user = format!("--user={USER}");
    for arguments in [
        vec!["apply", "-n", namespace, "-f", &file("helpers.yaml")],
        vec!["apply", "-f", &file("reader.yaml")],
        vec![
            "create",
            "rolebinding",
            "skoop-helpers",
            "-n",
            namespace,
            "--role=skoop-helpers",
            &user,
        ],
        vec![
            "create",
            "clusterrolebinding",
            "skoop-reader",
            "--clusterrole=skoop-reader",
            &user,
        ],
    ] {
        cluster.ask(&arguments).unwrap();
    }
    granted
}

/// `verb resource`, of a role's rules.
fn granted_by(name: &str) -> BTreeSet<String> {
    let documents = manifests::read(&fs::read_to_string(manifest(name)).unwrap()).unwrap();
    let list = |value: &Value| -> Vec<String> {
        let texts = value.as_array().into_iter().flatten().filter_map(Value::as_str);
        texts.map(str::to_owned).collect()
    };
    let mut all = BTreeSet::new();
    for rule in documents
        .iter()
        .flat_map(|document| document["rules"].as_array().unwrap())
    {
        for group in list(&rule["apiGroups"]) {
            for resource in list(&rule["resources"]) {
                let full = if group.is_empty() {
                    resource
                } else {
                    format!("{group}/{resource}")
                };
                all.extend(list(&rule["verbs"]).into_iter().map(|verb| format!("{verb} {full}")));
            }
        }
    }
    all
}

/// Whether this cluster has that resource at all: of a policy engine that is not here, nothing can be asked.
fn served(cluster: &TestCluster, grant: &str) -> bool {
    let resource = grant.split_once(' ').unwrap().1;
    match resource.rsplit_once('/') {
        Some((group, _)) if group.contains('.') => cluster
            .ask(&[
                "api-resources",
                "--no-headers",
                "-o",
                "name",
                &format!("--api-group={group}"),
            ])
            .is_ok_and(|list| !list.trim().is_empty()),
        _ => true,
    }
}

fn used(calls: &[ApiCall]) -> BTreeSet<String> {
    let resources = calls.iter().filter(|call| !call.resource.is_empty());
    resources
        .map(|call| format!("{} {}", call.verb, call.resource))
        .collect()
}

#[test]
fn what_is_granted_is_enough_and_nothing_in_it_is_superfluous() {
    let Some(cluster) = own_cluster() else { return };
    let scenario = Scenario::parse(GROUND).unwrap();
    let stage = stage(&cluster, &scenario).unwrap();
    // Of a pod that no node is good enough for, events say so.
    let namespace = stage.namespace();
    let nowhere = r#"--overrides={"spec": {"nodeSelector": {"disk": "fast"}}}"#;
    cluster
        .ask(&["-n", namespace, "run", "stuck", "--image=lab:1", nowhere])
        .unwrap();
    let _granted = grant(&cluster, stage.namespace());
    let mut audit = Audit::from_now().unwrap();
    let mut said = Vec::new();
    let mut run = |arguments: &str| {
        let line = format!("exec {} {arguments} --as {USER}", skoop::binary().unwrap().display());
        let ended = call(&mut stage.shell(&line), "", WITHIN).unwrap();
        said.push(format!("{arguments}: exit code {:?}\n{}", ended.code, ended.err));
    };
    for arguments in COMMANDS {
        run(arguments);
    }
    // Where no more pods are allowed, only an event says why a helper does not start.
    let namespace = stage.namespace();
    cluster
        .ask(&["-n", namespace, "create", "quota", "no-more", "--hard=pods=0"])
        .unwrap();
    run("diagnose pod-to-pod a rs/copies:8080");
    sleep(Duration::from_millis(500));
    let calls = audit.more().unwrap();
    let own: Vec<ApiCall> = calls.into_iter().filter(|call| call.user == USER).collect();
    // `doctor` asks whether the pod itself would be admitted, and says so where it may not ask.
    let only_doctor = |call: &&ApiCall| call.verb == "create" && call.resource == "pods";
    let refused: Vec<_> = own
        .iter()
        .filter(|call| call.code == 403 && !only_doctor(call))
        .collect();
    assert!(refused.is_empty(), "refused: {refused:#?}\n{}", said.join("\n"));
    let used = used(&own);
    let mut superfluous: Vec<String> = Vec::new();
    for name in ["helpers.yaml", "reader.yaml"] {
        let never = granted_by(name).into_iter().filter(|grant| !used.contains(grant));
        let never = never.filter(|grant| !NOT_LOGGED.contains(&grant.as_str()));
        superfluous.extend(
            never
                .filter(|grant| served(&cluster, grant))
                .map(|grant| format!("{name}: {grant}")),
        );
    }
    assert!(
        superfluous.is_empty(),
        "never asked for: {superfluous:#?}\nasked for: {used:#?}\n{}",
        said.join("\n")
    );
}
