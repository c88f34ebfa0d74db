//! Where a step of a Kubernetes scenario runs: `node/N`, `pod/[NS/]P` or `kubectl`. Pure.
use std::str::FromStr;

use anyhow::{Error, Result, bail};

/// A place as a step names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StepPlace {
    /// On a node, as root, in its namespaces.
    Node(String),
    /// In the first container of a pod; without a namespace, in the scenario's own.
    Pod {
        /// Its namespace.
        namespace: Option<String>,
        /// Its name.
        name: String,
    },
    /// Arguments of kubectl.
    Kubectl,
}

impl FromStr for StepPlace {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let words: Vec<_> = text.split('/').collect();
        Ok(match words.as_slice() {
            ["kubectl"] => Self::Kubectl,
            ["node", name] if !name.is_empty() => Self::Node((*name).to_owned()),
            ["pod", name] if !name.is_empty() => Self::Pod {
                namespace: None,
                name: (*name).to_owned(),
            },
            ["pod", namespace, name] if !namespace.is_empty() && !name.is_empty() => Self::Pod {
                namespace: Some((*namespace).to_owned()),
                name: (*name).to_owned(),
            },
            _ => {
                bail!("`{text}` is no place for a step on Kubernetes (they are node/N, pod/[NAMESPACE/]NAME, kubectl)")
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_node_a_pod_or_kubectl() {
        let pod = |namespace: Option<&str>| StepPlace::Pod {
            namespace: namespace.map(str::to_owned),
            name: "web".to_owned(),
        };
        for (text, place) in [
            ("node/n1", StepPlace::Node("n1".to_owned())),
            ("pod/web", pod(None)),
            ("pod/kube-system/web", pod(Some("kube-system"))),
            ("kubectl", StepPlace::Kubectl),
        ] {
            assert_eq!(text.parse::<StepPlace>().unwrap(), place);
        }
        for text in ["n1", "node/", "pod/a/b/c", "pod//a", "deploy/web", ""] {
            assert!(
                text.parse::<StepPlace>().unwrap_err().to_string().contains("no place"),
                "{text}"
            );
        }
    }
}
