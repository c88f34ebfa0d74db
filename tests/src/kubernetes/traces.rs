//! What a run has on a cluster at this moment: Jobs and pods in its namespace, helper processes, eBPF programs.
//!
//! The nodes of the project's own cluster share this machine's kernel, so its `/proc` shows the helpers of all nodes. The
//! pod's UID in a helper's cgroup says to which run the helper belongs.
use std::fs;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use nix::unistd::Pid;
use serde_json::Value;

use super::stage::Stage;

/// The name of the helper's program.
const HELPER: &str = "node-helper";
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// The Jobs and pods of a stage that its scenario did not apply, each as `kind/name`, and those pods' UIDs.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Objects {
    /// `Job/x`, `Pod/x`.
    pub names: Vec<String>,
    /// UIDs of the pods.
    pub uids: Vec<String>,
}

/// The objects of runs in a stage.
pub fn objects(stage: &Stage) -> Result<Objects> {
    let list = stage.json(&["get", "jobs,pods"])?;
    Ok(of_runs(&list, stage.applied()))
}

fn of_runs(list: &Value, applied: &[String]) -> Objects {
    let mut found = Objects::default();
    for item in list["items"].as_array().into_iter().flatten() {
        let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
        let (kind, name) = (text(&item["kind"]), text(&item["metadata"]["name"]));
        if applied.contains(&format!("{kind}/{name}")) {
            continue;
        }
        if kind == "Pod" {
            found.uids.push(text(&item["metadata"]["uid"]));
        }
        found.names.push(format!("{kind}/{name}"));
    }
    found
}

/// The helper processes of these pods.
pub fn helpers(uids: &[String]) -> Vec<Pid> {
    let entries = fs::read_dir("/proc").into_iter().flatten().flatten();
    let pids = entries.filter_map(|entry| entry.file_name().to_str()?.parse::<i32>().ok());
    let of_ours = |pid: &i32| {
        let read = |file| fs::read_to_string(format!("/proc/{pid}/{file}")).unwrap_or_default();
        read("comm").trim() == HELPER && {
            // A cgroup driver may write the UID with underscores.
            let cgroup = read("cgroup").replace('_', "-");
            uids.iter().any(|uid| cgroup.contains(uid))
        }
    };
    pids.filter(of_ours).map(Pid::from_raw).collect()
}

/// The eBPF programs that these processes hold, by their ids.
pub fn programs(pids: &[Pid]) -> Vec<u32> {
    let mut ids = Vec::new();
    for pid in pids {
        for entry in fs::read_dir(format!("/proc/{pid}/fdinfo"))
            .into_iter()
            .flatten()
            .flatten()
        {
            let text = fs::read_to_string(entry.path()).unwrap_or_default();
            let id = text.lines().find_map(|line| line.strip_prefix("prog_id:"));
            ids.extend(id.and_then(|id| id.trim().parse::<u32>().ok()));
        }
    }
    ids.sort_unstable();
    ids.dedup();
    ids
}

/// Those of these programs that the kernel still has.
pub fn loaded(programs: &[u32]) -> Result<Vec<u32>> {
    let output = Command::new("bpftool")
        .args(["-j", "prog", "show"])
        .output()
        .context("starting bpftool")?;
    let all: Value = serde_json::from_slice(&output.stdout).context("understanding bpftool")?;
    let ids = all
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|program| program["id"].as_u64());
    let known: Vec<_> = ids.filter_map(|id| u32::try_from(id).ok()).collect();
    Ok(programs.iter().copied().filter(|id| known.contains(id)).collect())
}

/// Waits until `left` has nothing any more, and says how long it took; an error names what is left when time is up.
pub fn gone<T: std::fmt::Debug>(within: Duration, mut left: impl FnMut() -> Result<Vec<T>>) -> Result<Duration> {
    let started = Instant::now();
    loop {
        // What is seen was there when the look began.
        let looked = started.elapsed();
        let still = left()?;
        if still.is_empty() {
            return Ok(looked);
        }
        anyhow::ensure!(looked <= within, "after {within:?} there is still {still:?}");
        std::thread::sleep(LOOK_EVERY);
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_the_scenario_applied_is_no_trace() {
        let item =
            |kind: &str, name: &str| json!({"kind": kind, "metadata": {"name": name, "uid": format!("u-{name}")}});
        let list = json!({"items": [item("Pod", "web"), item("Job", "skoop-1"), item("Pod", "skoop-1-x")]});
        let found = of_runs(&list, &["Pod/web".to_owned()]);
        assert_eq!(found.names, ["Job/skoop-1", "Pod/skoop-1-x"]);
        assert_eq!(found.uids, ["u-skoop-1-x"]);
    }

    #[test]
    fn waiting_ends_when_nothing_is_left() {
        let mut left = vec![1, 2];
        let shrinking = || {
            left.pop();
            Ok(left.clone())
        };
        assert!(gone(Duration::from_secs(5), shrinking).is_ok());
        let error = gone(Duration::ZERO, || {
            std::thread::sleep(Duration::from_millis(1));
            Ok(vec!["Pod/x"])
        });
        assert!(error.unwrap_err().to_string().contains("Pod/x"));
    }
}
