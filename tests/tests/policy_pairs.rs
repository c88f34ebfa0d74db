//! What our rulings on policies say is what the engines do: for each file in `tests/policies` that is about who enforces policies on the
//! project's own cluster, thirty pairs of pods and ports are tried by `diagnose`. A connection that works has no policy against it, one
//! that does not is denied by a policy that is named. Where nobody enforces policies, or that cluster is not up, it says so and passes.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::Value;
use tests::kubernetes::call::call;
use tests::kubernetes::cluster::TestCluster;
use tests::kubernetes::ground::{own_cluster, stage};
use tests::kubernetes::stage::Stage;
use tests::scenario::Scenario;
use tests::skoop;

const WITHIN: Duration = Duration::from_mins(1);
/// Runs at the same time: they mostly wait.
const AT_ONCE: usize = 2;
/// Where none or nearly none of the pairs is denied or allowed, nothing was tried.
const OF_EACH_AT_LEAST: usize = 6;
const PORTS: [u16; 2] = [8080, 9090];

/// Who asks, by namespace and name, with labels and node; the two of one namespace and the three of the other.
const CLIENTS: [(&str, &str, &str, &str); 5] = [
    ("HERE", "a", "{app: a, tier: front}", "n1"),
    ("HERE", "b", "{app: b, tier: back}", "n1"),
    ("HERE", "d", "{app: d, tier: front, env: test}", "n2"),
    ("THERE", "c", "{app: a}", "n2"),
    ("THERE", "e", "{app: e}", "n1"),
];
/// Who answers, all in the first namespace.
const SERVERS: [(&str, &str); 3] = [("web", "n2"), ("db", "n1"), ("cache", "n2")];

/// One file of policies.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct PolicyFile {
    /// Who enforces this kind: networks and engines.
    engines: Vec<String>,
    /// A client and what it asks, which are denied as soon as all of it is enforced.
    denied: [String; 2],
    /// What takes away that which belongs to no namespace.
    #[serde(default)]
    undo: Vec<String>,
    policies: Vec<Value>,
}

/// Pods of one namespace, without any policy.
fn pods(namespace: &str, undo: &[String]) -> Scenario {
    let mut manifests = Vec::new();
    for (_, name, labels, node) in CLIENTS.iter().filter(|(of, ..)| *of == namespace) {
        manifests.push(format!(
            "  apiVersion: v1
  kind: Pod
  metadata: {{name: {name}, labels: {labels}}}
  spec: {{nodeName: {node}, containers: [{{name: c, image: 'lab:1', command: [sleep, '100000']}}]}}
"
        ));
    }
    for (name, node) in SERVERS.iter().filter(|_| namespace == "HERE") {
        manifests.push(format!(
            "  apiVersion: v1
  kind: Pod
  metadata: {{name: {name}, labels: {{app: {name}}}}}
  spec:
    nodeName: {node}
    containers:
    - {{name: c, image: 'lab:1', command: [lab, http, '8080'], ports: [{{name: main, containerPort: 8080}}]}}
    - {{name: d, image: 'lab:1', command: [lab, http, '9090'], ports: [{{name: other, containerPort: 9090}}]}}
"
        ));
    }
    let steps: Vec<String> = undo.iter().map(|command| format!("- kubectl: {command}\n")).collect();
    let undo = if steps.is_empty() {
        String::new()
    } else {
        format!("undo:\n{}", steps.concat())
    };
    let apply = manifests.join("  ---\n");
    Scenario::parse(&format!(
        "site: kubernetes\napply: |\n{apply}{undo}run: diagnose pod-to-pod a web:8080\nexpect: {{outcome: healthy}}\n"
    ))
    .unwrap()
}

/// A text with what its placeholders are here: namespaces, and addresses of pods.
fn as_here(text: &str, here: &Stage<'_>, there: &Stage<'_>) -> String {
    let mut known = BTreeMap::from([
        ("HERE".to_owned(), here.namespace().to_owned()),
        ("THERE".to_owned(), there.namespace().to_owned()),
    ]);
    for (stage, name) in CLIENTS
        .iter()
        .map(|(of, name, ..)| (if *of == "HERE" { here } else { there }, *name))
        .chain(SERVERS.iter().map(|(name, _)| (here, *name)))
    {
        let placeholder = format!("ADDRESS-OF-{}/", name.to_uppercase());
        if text.contains(&placeholder) {
            known.insert(placeholder, format!("{}/", address(stage, name)));
        }
    }
    // `THERE` ends with `HERE`.
    known.iter().rev().fold(text.to_owned(), |text, (placeholder, found)| {
        text.replace(placeholder, found)
    })
}

fn address(stage: &Stage<'_>, pod: &str) -> String {
    let object = stage.json(&["get", "pod", pod]).unwrap();
    object["status"]["podIP"].as_str().unwrap().to_owned()
}

/// Waits until a connection that policies deny is denied.
fn enforced(here: &Stage<'_>, [client, server]: &[String; 2]) {
    let (_, client) = client.split_once('/').unwrap();
    let (pod, port) = server.split_once('/').unwrap().1.split_once(':').unwrap();
    let line = format!(
        "exec kubectl exec {client} -- timeout 1 lab tcp-connect {}:{port}",
        address(here, pod)
    );
    let began = Instant::now();
    while call(&mut here.shell(&line), "", WITHIN).unwrap().code == Some(0) {
        assert!(began.elapsed() < WITHIN, "{client} still reaches {server}");
    }
}

/// What a pair came to.
enum Tried {
    Allowed,
    Denied,
    /// Engine and ruling disagree, or it cannot be told.
    Wrong(String),
}

/// How long an engine takes to decide is not asked: one that asks a program takes longer than a path should.
fn diagnose(here: &Stage<'_>, client: &str, server: &str) -> Tried {
    let line = format!(
        "exec {} diagnose pod-to-pod {client} {server} --attempts 1 --timeout 3s --slow 10s -o json",
        skoop::binary().unwrap().display()
    );
    let ended = call(&mut here.shell(&line), "", WITHIN).unwrap();
    let Ok(report) = serde_json::from_str::<Value>(&ended.out) else {
        return Tried::Wrong(ended.err);
    };
    let verdicts: Vec<&str> = report["verdicts"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|verdict| verdict["rule"].as_str())
        .collect();
    let says = |id: &str| verdicts.contains(&id);
    match report["outcome"].as_str() {
        Some("healthy") if !says("enforcement-differs") && !says("network-policy-denies") => Tried::Allowed,
        Some("fault") if verdicts.first() == Some(&"network-policy-denies") => Tried::Denied,
        outcome => Tried::Wrong(format!(
            "{}: {verdicts:?}, {}, {}",
            outcome.unwrap_or("no outcome"),
            report["verdicts"][0]["says"],
            report["missing"]
        )),
    }
}

/// Tries all pairs under one file of policies; tells what was wrong.
fn try_all(cluster: &TestCluster, name: &str, file: &PolicyFile) -> String {
    let there = stage(cluster, &pods("THERE", &[])).unwrap();
    let here = stage(cluster, &pods("HERE", &file.undo)).unwrap();
    let list = serde_json::json!({"apiVersion": "v1", "kind": "List", "items": file.policies});
    let list = as_here(&list.to_string(), &here, &there);
    cluster
        .call(&["apply", "-f", "-"], &list, WITHIN)
        .unwrap()
        .good("kubectl apply")
        .unwrap();
    let denied = file.denied.clone().map(|end| as_here(&end, &here, &there));
    enforced(&here, &denied);

    let pairs: Vec<(String, String)> = CLIENTS
        .iter()
        .flat_map(|(of, client, ..)| {
            let client = as_here(&format!("{of}/{client}"), &here, &there);
            let ports = SERVERS.iter().flat_map(|(server, _)| PORTS.map(|port| (server, port)));
            let of_here = here.namespace();
            ports
                .map(|(server, port)| (client.clone(), format!("{of_here}/{server}:{port}")))
                .collect::<Vec<_>>()
        })
        .collect();
    let (next, tried) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some((client, server)) = pairs.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let end = diagnose(&here, client, server);
                    tried.lock().unwrap().push((client, server, end));
                }
            });
        }
    });
    let tried = tried.into_inner().unwrap();
    let count = |is: fn(&Tried) -> bool| tried.iter().filter(|(.., end)| is(end)).count();
    let (allowed, denied) = (
        count(|end| matches!(end, Tried::Allowed)),
        count(|end| matches!(end, Tried::Denied)),
    );
    let all = tried.len();
    let _ = writeln!(
        std::io::stdout(),
        "{name}: {all} pairs tried, {allowed} allowed, {denied} denied"
    );
    let mut wrong = String::new();
    for (client, server, end) in &tried {
        if let Tried::Wrong(why) = end {
            writeln!(wrong, "{name}: {client} -> {server}: {why}").unwrap();
        }
    }
    if allowed.min(denied) < OF_EACH_AT_LEAST {
        writeln!(
            wrong,
            "{name}: {allowed} allowed and {denied} denied are too few to tell"
        )
        .unwrap();
    }
    here.take_down().unwrap();
    there.take_down().unwrap();
    wrong
}

#[test]
fn rulings_are_what_engines_do() {
    let Some(cluster) = own_cluster() else { return };
    let network = cluster.network().unwrap();
    let files = Path::new(env!("CARGO_MANIFEST_DIR")).join("policies");
    let mut wrong = String::new();
    for entry in fs::read_dir(files).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let file: PolicyFile = serde_yaml::from_str(&fs::read_to_string(&path).unwrap()).unwrap();
        if file
            .engines
            .iter()
            .any(|engine| [&network.name, &network.engine].contains(&engine))
        {
            wrong += &try_all(&cluster, &name, &file);
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}
