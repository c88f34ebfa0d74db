//! Each event of a capture bears the name of the pod that it happened to, and of the container where the kernel tells: also
//! of a pod on its node's network, of one that comes later, and of one that dies meanwhile. Where the project's own cluster
//! is not up (`make cluster`), this test says so and passes.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
use std::io::{BufRead as _, BufReader};
use std::process::{Child, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};
use tests::kubernetes::call::call;
use tests::kubernetes::ground::{own_cluster, stage, two_pods};
use tests::kubernetes::stage::Stage;
use tests::skoop;

const WITHIN: Duration = Duration::from_secs(30);

/// One on its node's network that resets whoever sends it something, and one of two containers, of which one does the same and the
/// other when it is killed.
const MORE: &str = "
  ---
  apiVersion: v1
  kind: Pod
  metadata: {name: agent}
  spec: {nodeName: n2, hostNetwork: true, containers: [{name: c, image: 'lab:1', command: [lab, tcp-abort, '18099']}]}
  ---
  apiVersion: v1
  kind: Pod
  metadata: {name: two}
  spec:
    nodeName: n2
    containers:
    - {name: fast, image: 'lab:1', command: [lab, tcp-abort, '8081']}
    - {name: slow, image: 'lab:1', command: [lab, tcp-no-read, '8082']}
";

/// A capture, and its events as they come. It ends with this.
struct Capture {
    child: Child,
    events: Receiver<Value>,
}

impl Capture {
    fn start(stage: &Stage<'_>) -> Self {
        let line = format!(
            "exec {} capture --node n1 --node n2 --probe tcpreset --for 60s -o json",
            skoop::binary().unwrap().display()
        );
        let mut child = stage.shell(&line).stdout(Stdio::piped()).spawn().unwrap();
        let (said, events) = channel();
        let out = BufReader::new(child.stdout.take().unwrap());
        std::thread::spawn(move || {
            for line in out.lines().map_while(Result::ok) {
                let Ok(event) = serde_json::from_str(&line) else {
                    continue;
                };
                if said.send(event).is_err() {
                    return;
                }
            }
        });
        Self { child, events }
    }

    /// The next event that is sought, doing this again and again until it comes.
    fn until(&self, what: &str, sought: impl Fn(&Value) -> bool, mut again: impl FnMut()) -> Value {
        let began = Instant::now();
        loop {
            again();
            let wait = Instant::now() + Duration::from_secs(1);
            while let Ok(event) = self.events.recv_timeout(wait.saturating_duration_since(Instant::now())) {
                if sought(&event) {
                    return event;
                }
            }
            assert!(began.elapsed() < WITHIN, "no event of {what}");
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        let _ = kill(Pid::from_raw(self.child.id().cast_signed()), Signal::SIGINT);
        let _ = self.child.wait();
    }
}

/// A reset that left this port.
fn reset_by(port: u16) -> impl Fn(&Value) -> bool {
    move |event| event["seen"]["what"] == "reset-sent" && event["flow"]["sport"] == port
}

/// Sockets know their cgroup where version 2 is mounted.
fn cgroups_tell() -> bool {
    std::fs::read_to_string("/proc/self/mountinfo").is_ok_and(|mounts| mounts.contains(" cgroup2 "))
}

#[test]
fn every_event_names_its_pod_and_container() {
    let Some(cluster) = own_cluster() else { return };
    let stage = stage(&cluster, &two_pods(MORE).unwrap()).unwrap();
    let address = |arguments: &[&str], path: &str| {
        let object = stage.json(arguments).unwrap();
        object.pointer(path).and_then(Value::as_str).unwrap().to_owned()
    };
    let node = address(&["get", "pod", "agent"], "/status/hostIP");
    let two = address(&["get", "pod", "two"], "/status/podIP");
    let connect = |to: &str| {
        let line = format!("exec kubectl exec a -- lab tcp-connect {to} send=10");
        call(&mut stage.shell(&line), "", WITHIN).unwrap();
    };
    let named = |event: &Value, pod: &str, container: &str| {
        assert_eq!(event["pod"], format!("{}/{pod}", stage.namespace()), "{event}");
        if cgroups_tell() {
            assert_eq!(event["container"], container, "{event}");
        }
    };
    let capture = Capture::start(&stage);

    let event = capture.until("the agent", reset_by(18099), || connect(&format!("{node}:18099")));
    named(&event, "agent", "c");

    let event = capture.until("the fast one", reset_by(8081), || connect(&format!("{two}:8081")));
    named(&event, "two", "fast");

    let late = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "late"},
        "spec": {"nodeName": "n2", "containers": [{"name": "c", "image": "lab:1", "command": ["lab", "tcp-abort", "8083"]}]},
    });
    cluster
        .call(
            &["-n", stage.namespace(), "apply", "-f", "-"],
            &late.to_string(),
            WITHIN,
        )
        .unwrap();
    let ready = [
        "-n",
        stage.namespace(),
        "wait",
        "--for=condition=Ready",
        "pod/late",
        "--timeout=30s",
    ];
    cluster.ask(&ready).unwrap();
    let address = address(&["get", "pod", "late"], "/status/podIP");
    let name = format!("{}/late", stage.namespace());
    let of_late = |event: &Value| reset_by(8083)(event) && event["pod"] == name;
    let event = capture.until("one that came later", of_late, || connect(&format!("{address}:8083")));
    named(&event, "late", "c");

    // What it has not read when it is killed resets its connection.
    let line = format!("exec kubectl exec a -- lab tcp-connect {two}:8082 send=100 hold=60000");
    let mut held = stage.shell(&line).spawn().unwrap();
    let established = format!("exec kubectl exec a -- grep -q {:04X}.*01 /proc/net/tcp", 8082);
    let began = Instant::now();
    while call(&mut stage.shell(&established), "", WITHIN).unwrap().code != Some(0) {
        assert!(began.elapsed() < WITHIN, "nobody connects to the slow one");
    }
    let mut deleted = false;
    let event = capture.until("the slow one", reset_by(8082), || {
        if !std::mem::replace(&mut deleted, true) {
            let delete = ["-n", stage.namespace(), "delete", "pod", "two", "--now", "--wait=false"];
            cluster.ask(&delete).unwrap();
        }
    });
    named(&event, "two", "slow");
    let _ = held.wait();
    drop(capture);
    stage.take_down().unwrap();
}
