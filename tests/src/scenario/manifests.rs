//! Manifests: what they hold, and how they are fitted to a cluster whose nodes and images are called otherwise. Pure.
use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Deserialize as _;
use serde_json::Value;

/// The image of the lab in scenario files.
pub const LAB_IMAGE: &str = "lab:1";

/// The documents of a YAML text.
pub fn read(text: &str) -> Result<Vec<Value>> {
    let mut documents = Vec::new();
    for document in serde_yaml::Deserializer::from_str(text) {
        let value = Value::deserialize(document).context("reading the manifests")?;
        match value {
            Value::Null => {}
            Value::Object(ref object) if object.get("kind") == Some(&"List".into()) => {
                documents.extend(value["items"].as_array().cloned().unwrap_or_default());
            }
            value => documents.push(value),
        }
    }
    Ok(documents)
}

/// One that is waited for: `pod/web`, in a namespace where it is not the scenario's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Awaited {
    /// Its kind, as kubectl has it.
    pub kind: String,
    /// Its namespace, when it names one.
    pub namespace: Option<String>,
    /// Its name.
    pub name: String,
}

/// All of these documents that become ready some time.
pub fn awaited(documents: &[Value]) -> Vec<Awaited> {
    let text = |value: &Value| value.as_str().map(str::to_owned);
    let each = documents.iter().filter_map(|document| {
        let kind = match document["kind"].as_str()? {
            "Pod" => "pod",
            "Deployment" => "deploy",
            "StatefulSet" => "sts",
            "DaemonSet" => "ds",
            _ => return None,
        };
        Some(Awaited {
            kind: kind.to_owned(),
            namespace: text(&document["metadata"]["namespace"]),
            name: text(&document["metadata"]["name"])?,
        })
    });
    each.collect()
}

/// `KIND/NAME` or `KIND/NAMESPACE/NAME` of a `ready:` list.
pub fn named(text: &str) -> Result<Awaited> {
    let words: Vec<_> = text.split('/').collect();
    let (kind, namespace, name) = match words.as_slice() {
        [kind, name] => (kind, None, name),
        [kind, namespace, name] => (kind, Some((*namespace).to_owned()), name),
        _ => anyhow::bail!("`{text}` under `ready` is no KIND/NAME"),
    };
    let kind = match *kind {
        "pod" | "pods" | "po" => "pod",
        "deploy" | "deployment" | "deployments" => "deploy",
        "sts" | "statefulset" => "sts",
        "ds" | "daemonset" => "ds",
        "svc" | "service" => "svc",
        "job" => "job",
        "node" => "node",
        other => anyhow::bail!(
            "`{text}` under `ready`: nobody here knows when a {other} is ready (pod, deploy, sts, ds, svc, job, node)"
        ),
    };
    Ok(Awaited {
        kind: kind.to_owned(),
        namespace,
        name: (*name).to_owned(),
    })
}

/// Puts a cluster's own names in place of the scenario's, for nodes (`nodeName`) and the lab's image.
pub fn fit(document: &mut Value, nodes: &BTreeMap<String, String>, image: &str) {
    match document {
        Value::Object(object) => {
            for (key, value) in object {
                let own = match (key.as_str(), value.as_str()) {
                    ("nodeName", Some(node)) => nodes.get(node).map(String::as_str),
                    ("image", Some(LAB_IMAGE)) => Some(image),
                    _ => None,
                };
                match own {
                    Some(own) => *value = own.into(),
                    None => fit(value, nodes, image),
                }
            }
        }
        Value::Array(values) => values.iter_mut().for_each(|value| fit(value, nodes, image)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: &str = "\
apiVersion: v1
kind: Pod
metadata: {name: web}
spec: {nodeName: n2, containers: [{name: c, image: 'lab:1'}]}
---
kind: Service
metadata: {name: web}
---
kind: Deployment
metadata: {name: api, namespace: other}
";

    #[test]
    fn pods_and_workloads_are_waited_for() {
        let documents = read(TWO).unwrap();
        let awaited = awaited(&documents);
        assert_eq!(documents.len(), 3);
        assert_eq!(awaited[0], named("pod/web").unwrap());
        assert_eq!(awaited[1], named("deployment/other/api").unwrap());
        assert_eq!(awaited.len(), 2);
    }

    #[test]
    fn what_nobody_can_wait_for_is_named() {
        for text in ["web", "networkpolicy/web", "pod/a/b/c"] {
            assert!(named(text).unwrap_err().to_string().contains(text));
        }
    }

    #[test]
    fn another_cluster_has_other_nodes_and_images() {
        let mut documents = read(TWO).unwrap();
        let nodes = BTreeMap::from([("n2".to_owned(), "worker-2".to_owned())]);
        fit(&mut documents[0], &nodes, "registry/lab:1");
        assert_eq!(documents[0]["spec"]["nodeName"], "worker-2");
        assert_eq!(documents[0]["spec"]["containers"][0]["image"], "registry/lab:1");
    }

    #[test]
    fn a_list_is_its_items() {
        assert_eq!(read("kind: List\nitems: [{kind: Pod}, {kind: Pod}]").unwrap().len(), 2);
    }
}
