//! Numbers on the project's own cluster: `top` of a namespace over two nodes, `inspect` of a pod and of a node, `compare` of two
//! pods of one kind, `latency` between two pods. Where that cluster is not up (`make cluster`), these tests say so and pass.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
use std::process::Output;
use std::time::Duration;

use serde_json::Value;
use tests::kubernetes::call::call;
use tests::kubernetes::ground::{own_cluster, stage, two_pods};
use tests::kubernetes::stage::Stage;
use tests::skoop;

const WITHIN: Duration = Duration::from_mins(1);

/// Two of one kind on the two nodes; and one on its node's network.
const MORE: &str = "
  ---
  apiVersion: v1
  kind: Pod
  metadata: {name: web-2, labels: {app: web}}
  spec: {nodeName: n1, containers: [{name: c, image: 'lab:1', command: [lab, http, '8080']}]}
  ---
  apiVersion: v1
  kind: Pod
  metadata: {name: agent}
  spec: {nodeName: n2, hostNetwork: true, containers: [{name: c, image: 'lab:1', command: [sleep, '100000']}]}
  ---
  apiVersion: v1
  kind: Service
  metadata: {name: front}
  spec: {selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}
";

/// Runs a command of ours for four seconds, and in its window connects from `a` to a port of `web` where nobody listens.
fn while_refused(stage: &Stage<'_>, arguments: &str) -> Output {
    let address = stage.json(&["get", "pod", "web"]).unwrap();
    let address = address
        .pointer("/status/podIP")
        .and_then(Value::as_str)
        .unwrap()
        .to_owned();
    let line = format!(
        "exec {} {arguments} --for 4s -o json",
        skoop::binary().unwrap().display()
    );
    let mut child = stage.shell(&line);
    let child = child
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped());
    let child = child.spawn().unwrap();
    // Helpers take a moment to start; refused connects go on until the answer is there.
    let refuse = format!("exec kubectl exec a -- lab tcp-connect {address}:9 count=5");
    let waiter = std::thread::spawn(move || child.wait_with_output().unwrap());
    while !waiter.is_finished() {
        let _ = call(&mut stage.shell(&refuse), "", WITHIN);
    }
    waiter.join().unwrap()
}

fn document(output: &Output) -> Value {
    let out = String::from_utf8_lossy(&output.stdout);
    serde_json::from_str(&out)
        .unwrap_or_else(|error| panic!("{error}: {out} {}", String::from_utf8_lossy(&output.stderr)))
}

#[test]
fn numbers_bear_the_names_of_pods_wherever_they_run() {
    let Some(cluster) = own_cluster() else { return };
    let stage = stage(&cluster, &two_pods(MORE).unwrap()).unwrap();

    let output = while_refused(&stage, "top");
    let top = document(&output);
    let pods = top["pods"].as_array().unwrap();
    let row = |name: &str| {
        pods.iter()
            .find(|pod| pod["name"] == name)
            .unwrap_or_else(|| panic!("{name}: {top}"))
    };
    let (a, web) = (row("a"), row("web"));
    assert_eq!((&a["node"], &web["node"]), (&"n1".into(), &"n2".into()));
    assert_eq!(a["namespace"], stage.namespace());
    assert!(a["values"]["failed"].as_f64().unwrap() >= 1.0, "{a}");
    assert!(a["worst"].as_str().unwrap().contains("failed to be made"), "{a}");
    assert_eq!(pods[0]["name"], "a", "the worst first: {top}");
    assert!(
        pods.iter().all(|pod| pod["name"] != "agent"),
        "its numbers are its node's: {top}"
    );
    assert_eq!(row("web-2")["values"]["failed"], 0.0);

    let output = while_refused(&stage, "inspect web");
    let inspect = document(&output);
    let places = inspect["places"].as_array().unwrap();
    let [web] = &places[..] else { panic!("{inspect}") };
    assert_eq!(web["name"], format!("{}/web", stage.namespace()));
    let numbers = web["groups"]
        .as_array()
        .unwrap()
        .iter()
        .flat_map(|group| group["numbers"].as_array().unwrap());
    let resets = numbers.clone().find(|number| number["name"] == "Tcp.OutRsts");
    assert!(
        resets.is_some_and(|resets| resets["growth"].as_u64() > Some(0)),
        "{web}"
    );
    let listens = |number: &&Value| number["name"] == "tcpsummary.sockets" && number["labels"]["state"] == "LISTEN";
    assert_eq!(
        numbers.clone().find(listens).map(|number| &number["now"]),
        Some(&1.into()),
        "{web}"
    );

    let output = while_refused(&stage, "inspect node/n2");
    let inspect = document(&output);
    let names: Vec<&str> = inspect["places"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|place| place["netns"] == 0)
        .map(|place| place["name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["n2"], "the node as a whole, once: {inspect}");
    assert!(inspect.to_string().contains("softnet.processed"));

    let output = while_refused(&stage, "compare web web-2");
    assert_eq!(
        output.status.code(),
        Some(1),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let compare = document(&output);
    assert_eq!(
        (&compare["one"]["node"], &compare["other"]["node"]),
        (&"n2".into(), &"n1".into())
    );
    let differences = compare["differences"].as_array().unwrap();
    assert!(
        differences.iter().any(|difference| difference["what"] == "Tcp.OutRsts"),
        "{compare}"
    );

    // The refused connects go to another port, and are not of this conversation.
    let output = while_refused(&stage, "latency a web:8080 --http /");
    let latency = document(&output);
    let stages = latency["places"][0]["stages"].as_array().unwrap();
    let full = |name: &str| format!("{}/{name}", stage.namespace());
    let row = |says: &str, place: String| {
        let found = stages.iter().find(|row| row["stage"] == says && row["where"] == place);
        found.unwrap_or_else(|| panic!("{says} {place}: {latency:#}")).clone()
    };
    let connects = row("connect", format!("{} -> {}:8080", full("a"), full("web")));
    let made = latency["sent"]["made"].as_u64().unwrap();
    assert_eq!((made, &connects["count"]), (12, &made.into()), "{latency:#}");
    assert_eq!(latency["sent"]["failed"], 0, "{latency:#}");
    let read = row("read by application, tcp", format!("{} socket", full("web")));
    assert_eq!(read["count"], made, "at the other node: {latency:#}");
    assert!(
        stages.iter().all(|row| row["stage"] != "connect, failed"),
        "{latency:#}"
    );
    assert!(latency["worst"].is_string());

    let output = while_refused(&stage, "map");
    let map = document(&output);
    let edge = |source: &str, destination: &str| {
        let id = |name: &str| name.replace("NS", stage.namespace());
        let edges = map["edges"].as_array().unwrap();
        let found = edges
            .iter()
            .find(|edge| edge["source"] == id(source) && edge["destination"] == id(destination));
        found
            .unwrap_or_else(|| panic!("{source} {destination}: {map:#}"))
            .clone()
    };
    let refused = edge("Pod/NS/a", "Pod/NS/web");
    assert!(refused["failed"].as_u64().unwrap() >= 1, "{refused}");
    assert_eq!(
        (&refused["port"], &refused["ruling"]),
        (&9.into(), &"allowed".into()),
        "{refused}"
    );
    assert_eq!(
        refused["drops"][0]["place"],
        format!("{}/web", stage.namespace()),
        "{refused}"
    );
    let declared = edge("Service/NS/front", "Pod/NS/web-2");
    assert_eq!(
        declared["known"],
        serde_json::json!(["declared"]),
        "nobody asked it: {declared}"
    );
    stage.take_down().unwrap();
}
