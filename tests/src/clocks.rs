//! A recorded run on nodes that share a kernel, told again as by machines of their own whose clocks differ: the verdict and the
//! path must be the same, whatever the clocks say.
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::fs;
use std::num::NonZero;
use std::path::Path;

use anyhow::{Context as _, Result, anyhow};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use crate::skoop;

/// How far the clock of a machine is ahead, in milliseconds, and how much faster it runs, in parts per million.
pub const SKEWS: [(i64, i64); 14] = [
    (1, 0),
    (-1, 0),
    (5, 0),
    (-5, 0),
    (20, 0),
    (-20, 0),
    (200, 0),
    (-200, 0),
    (2000, 0),
    (-2000, 0),
    (0, 100),
    (0, -100),
    (20, 100),
    (-20, -100),
];

/// Stamps of a node's clock, by the names of the fields.
const STAMPS: [&str; 5] = ["at_ns", "started_ns", "monotonic_ns", "boottime_ns", "wall_ns"];

/// A recording, line by line.
#[derive(Debug, Clone)]
pub struct Recorded {
    head: Value,
    lines: Vec<Value>,
}

impl Recorded {
    /// Reads a file that `--record` wrote.
    pub fn read(path: &Path) -> Result<Self> {
        let text = fs::read_to_string(path).with_context(|| format!("reading {}", path.display()))?;
        let mut lines = text.lines().map(serde_json::from_str::<Value>);
        let head = lines.next().context("the recording is empty")??;
        Ok(Self {
            head,
            lines: lines
                .filter(|line| !line.as_ref().is_ok_and(is_digest))
                .collect::<Result<_, _>>()
                .context("a line of the recording is no JSON")?,
        })
    }

    /// The nodes that were looked at.
    pub fn nodes(&self) -> Vec<String> {
        let nodes = self.head["ends"]["nodes"].as_array().into_iter().flatten();
        nodes.filter_map(|node| node.as_str().map(str::to_owned)).collect()
    }

    /// The same run with a kernel for each node: another boot, and nothing told of what happened on the others.
    #[must_use]
    pub fn apart(&self) -> Self {
        let mut apart = self.clone();
        if let Some(nodes) = apart
            .head
            .pointer_mut("/ends/inventory/known/nodes")
            .and_then(Value::as_array_mut)
        {
            for node in nodes {
                let name = node["name"].as_str().unwrap_or_default().to_owned();
                own_boot(&mut node["boot_id"], &name);
            }
        }
        let own = self.own_namespaces();
        let mut places = BTreeMap::new();
        for line in &mut apart.lines {
            let node = line["node"].as_str().unwrap_or_default().to_owned();
            if let Some(hello) = line.pointer_mut("/line/say/hello") {
                own_boot(&mut hello["boot_id"], &node);
            }
            let Some(event) = line.pointer_mut("/line/say/event") else {
                continue;
            };
            let skb = (node.clone(), event["skb"].as_u64().unwrap_or_default());
            let here = match event["netns"].as_u64().unwrap_or_default() {
                // In no namespace: where its packet was last.
                0 => places.get(&skb).copied().unwrap_or(true),
                netns => own.get(&node).is_some_and(|own| own.contains(&netns)),
            };
            places.insert(skb, here);
            if !here {
                make_foreign(event);
            }
        }
        apart
    }

    fn own_namespaces(&self) -> BTreeMap<String, BTreeSet<u64>> {
        let mut own: BTreeMap<String, BTreeSet<u64>> = BTreeMap::new();
        for line in &self.lines {
            let say = &line["line"]["say"];
            let told = [
                &say["hello"]["netns"],
                &say["resolved"]["known"]["netns"],
                &say["facts"]["facts"]["netns"],
            ];
            let node = line["node"].as_str().unwrap_or_default().to_owned();
            own.entry(node)
                .or_default()
                .extend(told.into_iter().filter_map(Value::as_u64));
        }
        own
    }

    /// The same with the clock of one node so far ahead, and so much faster.
    #[must_use]
    pub fn shifted(&self, node: &str, ahead_ms: i64, faster_ppm: i64) -> Self {
        let mut shifted = self.clone();
        let own = |line: &&Value| line["node"] == node;
        let began = self
            .lines
            .iter()
            .filter(own)
            .find_map(|line| line["line"]["say"]["hello"]["monotonic_ns"].as_i64());
        let began = began.unwrap_or_default();
        for line in shifted.lines.iter_mut().filter(|line| line["node"] == node) {
            shift(&mut line["line"]["say"], &|name, stamp| {
                // The wall clock is another line; it drifts from the same moment on.
                let since = if name == "at_ns" || name == "started_ns" {
                    stamp - began
                } else {
                    0
                };
                stamp + ahead_ms * 1_000_000 + since * faster_ppm / 1_000_000
            });
        }
        shifted
    }

    /// Writes it as a recording, with the digest of what it holds now.
    pub fn write(&self, path: &Path) -> Result<()> {
        let mut text = format!("{}\n", self.head);
        for line in &self.lines {
            writeln!(text, "{line}")?;
        }
        let digest = format!("sha256:{:x}", Sha256::digest(&text));
        writeln!(text, "{}", json!({"digest": digest, "lines": self.lines.len() + 1}))?;
        fs::write(path, text).with_context(|| format!("writing {}", path.display()))
    }
}

/// The last line of a recording.
fn is_digest(line: &Value) -> bool {
    line.get("digest").is_some()
}

fn own_boot(boot: &mut Value, node: &str) {
    if let Some(id) = boot.as_str().filter(|id| !id.is_empty()) {
        *boot = json!(format!("{id} of {node}"));
    }
}

/// It stays, so that counts come out, as one of somebody else's packets in a namespace that nobody asked for.
fn make_foreign(event: &mut Value) {
    event["netns"] = json!(1);
    event["flow"] = json!({"src": "192.0.2.1", "sport": 1, "dst": "192.0.2.2", "dport": 1, "protocol": "tcp"});
    if let Some(fields) = event.as_object_mut() {
        for field in ["attempt", "quoted", "skb", "sk", "owner"] {
            fields.remove(field);
        }
    }
}

fn shift(value: &mut Value, stamp: &impl Fn(&str, i64) -> i64) {
    match value {
        Value::Object(fields) => {
            for (name, value) in fields {
                match value.as_i64().filter(|at| *at != 0 && STAMPS.contains(&name.as_str())) {
                    Some(at) => *value = json!(stamp(name, at)),
                    None => shift(value, stamp),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| shift(value, stamp)),
        _ => {}
    }
}

/// What a report says that must not depend on clocks: outcome, verdicts, and the path without its times.
pub fn told(report: &Value) -> Value {
    let of = |list: &str, fields: &[&str]| -> Vec<Value> {
        let entries = report[list].as_array().into_iter().flatten();
        let picked = |entry: &Value| fields.iter().map(|field| entry[field].clone()).collect::<Value>();
        entries.map(picked).collect()
    };
    json!({
        "outcome": report["outcome"],
        "verdicts": of("verdicts", &["rule", "cause", "severity", "where"]),
        "path": of("path", &["direction", "attempt", "node", "netns", "interface", "happened", "flow"]),
    })
}

/// Replays a recording of several nodes with shifted clocks, and says what came out differently.
pub fn told_otherwise(recording: &Path, arguments: &str) -> Result<Vec<String>> {
    let recorded = Recorded::read(recording)?;
    let nodes = recorded.nodes();
    let Some(other) = nodes.get(1) else {
        return Ok(Vec::new());
    };
    let apart = recorded.apart();
    let right = told(&replay(&apart, &recording.with_extension("apart"), arguments)?);
    let otherwise = |(ms, ppm): (i64, i64)| -> Result<Option<String>> {
        let file = recording.with_extension(format!("{ms}ms{ppm}ppm"));
        let got = told(&replay(&apart.shifted(other, ms, ppm), &file, arguments)?);
        let how = first_difference(&got, &right);
        Ok(how.map(|how| format!("with the clock of {other} {ms} ms ahead and {ppm} ppm faster {how}")))
    };
    let at_once = std::thread::available_parallelism().map_or(1, NonZero::get);
    let answers = std::thread::scope(|scope| {
        let parts = SKEWS.chunks(SKEWS.len().div_ceil(at_once));
        let threads: Vec<_> = parts
            .map(|part| scope.spawn(|| part.iter().map(|skew| otherwise(*skew)).collect::<Vec<_>>()))
            .collect();
        let ended = threads.into_iter().map(std::thread::ScopedJoinHandle::join);
        ended.collect::<Result<Vec<_>, _>>()
    });
    let answers = answers.map_err(|_| anyhow!("a thread that replays a recording ended in a panic"))?;
    answers.into_iter().flatten().filter_map(Result::transpose).collect()
}

/// Replays the recording of one run as it is, and says what came out differently than in the run itself.
pub fn told_otherwise_again(recording: &Path, arguments: &str, report: &Value) -> Result<Vec<String>> {
    let again = skoop::replay(recording, arguments)?;
    let how = first_difference(&told(&again), &told(report));
    Ok(how.map(|how| format!("replayed {how}")).into_iter().collect())
}

/// The first entry that differs between what was told and what is right.
fn first_difference(got: &Value, right: &Value) -> Option<String> {
    if got == right {
        return None;
    }
    let entries = |told: &Value| -> Vec<String> {
        let listed = ["verdicts", "path"].into_iter().flat_map(|list| {
            let entries = told[list].as_array().cloned().unwrap_or_default();
            entries
                .into_iter()
                .enumerate()
                .map(move |(at, entry)| format!("{list}[{at}] {entry}"))
        });
        std::iter::once(format!("outcome {}", told["outcome"]))
            .chain(listed)
            .collect()
    };
    let (got, right) = (entries(got), entries(right));
    let end = || "nothing more".to_owned();
    let at = (0..got.len().max(right.len()))
        .find(|at| got.get(*at) != right.get(*at))
        .unwrap_or_default();
    let told = |entries: &[String]| entries.get(at).cloned().unwrap_or_else(end);
    Some(format!("it says {} instead of {}", told(&got), told(&right)))
}

fn replay(recorded: &Recorded, file: &Path, arguments: &str) -> Result<Value> {
    recorded.write(file)?;
    skoop::replay(file, arguments)
}

#[cfg(test)]
mod tests {
    use super::{Recorded, first_difference};
    use serde_json::{Value, json};

    fn recorded() -> Recorded {
        let hello = |node: &str, netns: u32| {
            let hello = json!({"boot_id": "b", "netns": netns, "monotonic_ns": 1_000, "wall_ns": 9_000});
            json!({"node": node, "line": {"seq": 1, "say": {"hello": hello}}})
        };
        let event = |node: &str, netns: u32, skb: u64| {
            let event = json!({"at_ns": 5_000, "netns": netns, "skb": skb, "attempt": 1});
            json!({"node": node, "line": {"seq": 2, "say": {"event": event}}})
        };
        Recorded {
            head: json!({"ends": {"nodes": ["n1", "n2"], "inventory": {"known": {"nodes": [{"name": "n1", "boot_id": "b"}]}}}}),
            lines: vec![
                hello("n1", 1),
                hello("n2", 2),
                event("n1", 2, 7),
                event("n1", 0, 7),
                event("n2", 2, 7),
            ],
        }
    }

    fn event(recorded: &Recorded, line: usize) -> &Value {
        &recorded.lines[line]["line"]["say"]["event"]
    }

    #[test]
    fn apart_each_node_tells_only_what_happened_on_it() {
        let apart = recorded().apart();
        assert_eq!(event(&apart, 2)["attempt"], Value::Null, "it happened on the other");
        assert_eq!(event(&apart, 3)["attempt"], Value::Null, "its packet was there");
        assert_eq!(event(&apart, 4)["attempt"], 1);
        let boot = |line: usize| apart.lines[line]["line"]["say"]["hello"]["boot_id"].clone();
        assert_ne!(boot(0), boot(1));
        assert_eq!(apart.head["ends"]["inventory"]["known"]["nodes"][0]["boot_id"], boot(0));
    }

    #[test]
    fn of_two_answers_the_first_entry_that_differs_is_told() {
        let told = |path: Value| json!({"outcome": "fault", "verdicts": [["reset"]], "path": path});
        let (long, short) = (told(json!([["a"], ["b"]])), told(json!([["a"]])));
        let says = first_difference(&long, &short);
        assert_eq!(
            says.as_deref(),
            Some(r#"it says path[1] ["b"] instead of nothing more"#)
        );
        assert_eq!(first_difference(&long, &long), None);
        let healthy = json!({"outcome": "healthy"});
        assert_eq!(
            first_difference(&healthy, &long).as_deref(),
            Some(r#"it says outcome "healthy" instead of outcome "fault""#)
        );
    }

    #[test]
    fn a_shift_moves_all_stamps_of_one_node_and_none_of_the_other() {
        let shifted = recorded().shifted("n2", 1, 500_000);
        assert_eq!(event(&shifted, 2)["at_ns"], 5_000);
        assert_eq!(event(&shifted, 4)["at_ns"], 1_000_000 + 5_000 + 2_000);
        let hello = &shifted.lines[1]["line"]["say"]["hello"];
        assert_eq!(
            (hello["monotonic_ns"].clone(), hello["wall_ns"].clone()),
            (json!(1_001_000), json!(1_009_000))
        );
    }
}
