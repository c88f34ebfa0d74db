//! The scenario file: one fault (or one healthy path), how it is made, and what must come out.
//!
//! Here is the form of the file, and the manifests and places that are named in it. Nothing of it is run here.
use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use serde::Deserialize;
use serde::de::{self, Deserializer, MapAccess, SeqAccess, Visitor};
use serde_json::Value;

pub use self::expect::{Expect, ExpectedCause, ExpectedConversation, ExpectedOutcome, NumberRange, ServerPort};
use self::network::{ENGINES, NETWORKS};
use self::place::StepPlace;
use crate::topology::{self, Topology};

mod expect;
pub mod manifests;
pub mod network;
pub mod place;

/// A scenario as its file says it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Scenario {
    /// The kinds of fault that it shows, by number (`40`, `72b`): scenarios of one kind have the same number. For people only.
    #[serde(default, deserialize_with = "one_or_more")]
    pub rows: Vec<String>,
    /// A named topology.
    #[serde(default)]
    pub topology: Option<String>,
    /// Or one built by commands of its own.
    #[serde(default)]
    pub lab: Option<OwnLab>,
    /// `kubernetes` for scenarios that need a cluster.
    #[serde(default)]
    pub site: Option<String>,
    /// Kubernetes only: the networks on which it makes sense; without it, all that have what its steps name.
    #[serde(default, deserialize_with = "one_or_more")]
    pub networks: Vec<String>,
    /// Kubernetes only: the policy engines beside which it makes sense; without it, all.
    #[serde(default, deserialize_with = "one_or_more")]
    pub policies: Vec<String>,
    /// Tools and kernel modules without which it is skipped.
    #[serde(default, deserialize_with = "one_or_more")]
    pub needs: Vec<String>,
    /// Per namespace, its programs' resolv.conf.
    #[serde(default)]
    pub resolv: BTreeMap<String, String>,
    /// What runs before the break.
    #[serde(default)]
    pub serve: Steps,
    /// The break.
    #[serde(default, rename = "break")]
    pub breaks: Steps,
    /// What runs while the command does.
    #[serde(default)]
    pub during: Steps,
    /// Kubernetes only: what undoes the break on a node.
    #[serde(default)]
    pub undo: Steps,
    /// Kubernetes only: manifests, inline or a path, or several of these.
    #[serde(default, deserialize_with = "one_or_more")]
    pub apply: Vec<String>,
    /// Kubernetes only: what to wait for, as `KIND/NAME`; without it, all that was applied.
    #[serde(default, deserialize_with = "some_or_none")]
    pub ready: Option<Vec<String>>,
    /// Arguments of the command.
    pub run: String,
    /// What must come out.
    pub expect: Expect,
    /// Rules that must not be in the report at all.
    #[serde(default, deserialize_with = "one_or_more")]
    pub never: Vec<String>,
}

/// A topology of a scenario's own: bare namespaces, and the commands that join them.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OwnLab {
    /// Their names.
    pub namespaces: Vec<String>,
    /// Commands, each in the namespace before its colon.
    #[serde(default)]
    pub steps: Steps,
}

/// A command, and the namespace it runs in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The namespace.
    pub place: String,
    /// What `/bin/sh` runs there.
    pub command: String,
}

/// Commands in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Steps(pub Vec<Step>);

impl<'de> Deserialize<'de> for Steps {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct StepsVisitor;
        impl<'de> Visitor<'de> for StepsVisitor {
            type Value = Steps;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of steps, each `NAMESPACE: command`")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Steps, A::Error> {
                let mut steps = Vec::new();
                while let Some((place, command)) = map.next_entry::<String, Value>()? {
                    let command = match command {
                        Value::String(command) => command,
                        Value::Bool(word) => word.to_string(),
                        other => {
                            return Err(de::Error::custom(format!("the step `{place}: {other}` is no command")));
                        }
                    };
                    steps.push(Step { place, command });
                }
                Ok(Steps(steps))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Steps, A::Error> {
                let mut steps = Vec::new();
                while let Some(Steps(step)) = list.next_element()? {
                    steps.extend(step);
                }
                Ok(Steps(steps))
            }

            fn visit_str<E: de::Error>(self, text: &str) -> Result<Steps, E> {
                let (place, command) = text
                    .split_once(": ")
                    .ok_or_else(|| E::custom(format!("the step `{text}` has no namespace before a colon")))?;
                Ok(Steps(vec![Step {
                    place: place.to_owned(),
                    command: command.to_owned(),
                }]))
            }

            fn visit_unit<E>(self) -> Result<Steps, E> {
                Ok(Steps::default())
            }
        }
        deserializer.deserialize_any(StepsVisitor)
    }
}

fn one_or_more<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<String>, D::Error> {
    let one = |value: Value| match value {
        Value::String(text) => Ok(text),
        Value::Number(number) => Ok(number.to_string()),
        other => Err(de::Error::custom(format!("`{other}` is no text"))),
    };
    match Value::deserialize(deserializer)? {
        Value::Null => Ok(Vec::new()),
        Value::Array(values) => values.into_iter().map(one).collect(),
        value => Ok(vec![one(value)?]),
    }
}

fn some_or_none<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<Vec<String>>, D::Error> {
    one_or_more(deserializer).map(Some)
}

impl Scenario {
    /// Reads a scenario; an unknown key is an error that names it and its line.
    pub fn parse(text: &str) -> Result<Self> {
        let scenario: Self = serde_yaml::from_str(text).map_err(|error| anyhow!("{error}"))?;
        scenario.expect.check().context("expect")?;
        match scenario.site.as_deref() {
            None | Some("local") => {
                scenario.topology()?;
                for (key, given) in [
                    ("apply", !scenario.apply.is_empty()),
                    ("ready", scenario.ready.is_some()),
                    ("undo", !scenario.undo.0.is_empty()),
                    ("networks", !scenario.networks.is_empty()),
                    ("policies", !scenario.policies.is_empty()),
                ] {
                    ensure!(!given, "`{key}` belongs to `site: kubernetes`");
                }
            }
            Some("kubernetes") => scenario.on_kubernetes()?,
            Some(other) => bail!("no site `{other}` (there is kubernetes, or none)"),
        }
        Ok(scenario)
    }

    /// What only a scenario on Kubernetes must keep to.
    fn on_kubernetes(&self) -> Result<()> {
        for (key, given) in [
            ("topology", self.topology.is_some()),
            ("lab", self.lab.is_some()),
            ("resolv", !self.resolv.is_empty()),
        ] {
            ensure!(!given, "`{key}` does not belong to `site: kubernetes`");
        }
        for step in self.all_steps() {
            step.place.parse::<StepPlace>()?;
        }
        for (key, given, known) in [
            ("networks", &self.networks, &NETWORKS[..]),
            ("policies", &self.policies, &ENGINES[..]),
        ] {
            let unknown = given.iter().find(|name| !known.contains(&name.as_str()));
            if let Some(name) = unknown {
                bail!("`{name}` under `{key}` is unknown (they are {})", known.join(", "));
            }
        }
        for name in self.ready.iter().flatten() {
            manifests::named(name)?;
        }
        Ok(())
    }

    /// The documents it applies: inline, or of a file beside it, or several of these.
    pub fn manifests(&self, beside: &Path) -> Result<Vec<Value>> {
        let mut documents = Vec::new();
        for text in &self.apply {
            let inline = text.contains('\n') || text.trim_start().starts_with('{') || text.contains(": ");
            let text = if inline {
                text.clone()
            } else {
                let path = beside.join(text.trim());
                fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?
            };
            documents.extend(manifests::read(&text).context("apply")?);
        }
        Ok(documents)
    }

    /// Whether it has steps that only somebody with access to nodes can run.
    pub fn needs_nodes(&self) -> bool {
        self.all_steps()
            .any(|step| matches!(step.place.parse(), Ok(StepPlace::Node(_))))
    }

    /// Every step it has.
    pub fn all_steps(&self) -> impl Iterator<Item = &Step> + Clone {
        let all: [&Steps; 4] = [&self.serve, &self.breaks, &self.during, &self.undo];
        all.into_iter().flat_map(|steps| &steps.0)
    }

    /// The network it starts from.
    pub fn topology(&self) -> Result<Topology> {
        match (&self.topology, &self.lab) {
            (Some(name), None) => topology::named(name)
                .with_context(|| format!("no topology `{name}` (they are {})", topology::NAMES.join(", "))),
            (None, Some(own)) => Ok(topology::bare(&own.namespaces)),
            _ => bail!("a scenario has either `topology` or `lab`"),
        }
    }
}

/// A scenario file that was found, and what it holds, or why it cannot be run.
#[derive(Debug)]
pub struct ScenarioFile {
    /// Its path below the directory that was asked for, without `.yaml`.
    pub name: String,
    /// The file.
    pub path: PathBuf,
    /// What it says.
    pub scenario: Result<Scenario>,
}

impl ScenarioFile {
    /// Whether all of it can be understood, its manifests too, without running any of it.
    pub fn understood(&self) -> Result<()> {
        let scenario = self.scenario.as_ref().map_err(|error| anyhow!("{error:#}"))?;
        scenario
            .manifests(self.path.parent().unwrap_or(Path::new("/")))
            .map(drop)
    }
}

/// All scenario files among these files and directories, in order of their names.
pub fn find(paths: &[PathBuf]) -> Result<Vec<ScenarioFile>> {
    let mut found = Vec::new();
    for path in paths {
        let mut files = Vec::new();
        if path.is_dir() {
            walk(path, &mut files)?;
            ensure!(!files.is_empty(), "no scenario (*.yaml) in {}", path.display());
        } else {
            files.push(path.clone());
        }
        files.sort();
        for file in files {
            let base = if path.is_dir() {
                path.as_path()
            } else {
                path.parent().unwrap_or(Path::new(""))
            };
            let name = file
                .strip_prefix(base)
                .unwrap_or(&file)
                .with_extension("")
                .display()
                .to_string();
            let text = fs::read_to_string(&file).with_context(|| format!("reading {}", file.display()))?;
            let scenario = Scenario::parse(&text).with_context(|| file.display().to_string());
            let path = fs::canonicalize(&file).with_context(|| format!("finding {}", file.display()))?;
            found.push(ScenarioFile { name, path, scenario });
        }
    }
    Ok(found)
}

fn walk(directory: &Path, files: &mut Vec<PathBuf>) -> Result<()> {
    for entry in fs::read_dir(directory).with_context(|| format!("listing {}", directory.display()))? {
        let path = entry?.path();
        if path.is_dir() {
            walk(&path, files)?;
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml" || extension == "yml")
        {
            files.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const DROP: &str = "\
rows: [40, 72b]
topology: two-nodes
serve:
  - c: http 80
break:
  - x: iptables-legacy -A FORWARD -p tcp --dport 80 -d 10.90.2.2 -j DROP
run: diagnose pod-to-pod {a} {c}:80
expect:
  outcome: fault
  cause: netfilter-drop
  where: {netns: x, rule: {chain: FORWARD}}
  because: [FORWARD]
never: [conntrack-full, port-closed]
";

    #[test]
    fn a_scenario_reads_as_it_is_written() {
        let scenario = Scenario::parse(DROP).unwrap();
        assert_eq!(
            scenario.serve.0,
            [Step {
                place: "c".to_owned(),
                command: "http 80".to_owned()
            }]
        );
        assert_eq!(scenario.expect.cause, ["netfilter-drop"]);
        assert_eq!(scenario.expect.outcome, ExpectedOutcome::Fault);
        assert_eq!(scenario.topology().unwrap().name, "two-nodes");
    }

    #[test]
    fn an_unknown_key_is_named_with_its_line() {
        let error = Scenario::parse(&DROP.replace("never:", "nevver:"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("nevver") && error.contains("line 13"), "{error}");
        let error = Scenario::parse(&DROP.replace("  cause:", "  course:"))
            .unwrap_err()
            .to_string();
        assert!(error.contains("course") && error.contains("line 10"), "{error}");
    }

    #[test]
    fn a_scenario_has_one_topology() {
        for (text, says) in [
            ("topology: ring", "no topology `ring`"),
            ("rows: []", "either `topology` or `lab`"),
        ] {
            let error = Scenario::parse(&DROP.replace("topology: two-nodes", text).replacen(
                "rows: [40, 72b]\n",
                "",
                1,
            ))
            .unwrap_err();
            assert!(error.to_string().contains(says), "{error}");
        }
        let own = DROP.replace(
            "topology: two-nodes",
            "lab: {namespaces: [p, q], steps: [p: ip link set lo up]}",
        );
        assert_eq!(Scenario::parse(&own).unwrap().lab.unwrap().namespaces, ["p", "q"]);
        let quoted = own.replace("[p: ip link set lo up]", "[\"p: ip link set lo up\"]");
        assert_eq!(Scenario::parse(&quoted).unwrap().lab.unwrap().steps.0[0].place, "p");
    }

    #[test]
    fn kubernetes_scenarios_are_read_too() {
        let text = "site: kubernetes\napply: |\n  kind: Pod\nbreak:\n  - node/n1: 'true'\nundo:\n  - node/n1: 'true'\nready: [pod/a]\nrun: diagnose pod-to-service a web:80\nexpect: {outcome: fault, cause: [service-without-endpoints]}\n";
        let scenario = Scenario::parse(text).unwrap();
        assert_eq!(scenario.breaks.0[0].place, "node/n1");
        assert_eq!(scenario.apply, ["kind: Pod\n"]);
        assert_eq!(scenario.ready.unwrap(), ["pod/a"]);
        for (from, to, says) in [
            ("  - node/n1: 'true'\nundo", "  - n1: 'true'\nundo", "no place"),
            ("pod/a", "a", "no KIND/NAME"),
            ("ready: [pod/a]", "topology: one-node", "does not belong"),
        ] {
            let error = Scenario::parse(&text.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
