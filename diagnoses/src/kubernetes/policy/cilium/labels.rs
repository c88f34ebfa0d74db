//! Cilium's selectors: keys with a source (`k8s:app`, `any:app`), and labels that Cilium adds (`io.kubernetes.pod.namespace`).

use crate::kubernetes::policy::fits::{self, PolicyFit};
use crate::kubernetes::policy::objects::ApiSelector;
use crate::kubernetes::selector;
use model::inventory::{Inventory, LabelExpression, LabelSelector, Pod};
use model::object_ref::ObjectRef;
use serde::Deserialize;

/// The namespace of a pod.
const NAMESPACE: &str = "io.kubernetes.pod.namespace";
/// What stands before a label of its namespace.
const OF_NAMESPACE: &str = "io.cilium.k8s.namespace.labels.";
const CLUSTER: &str = "io.cilium.k8s.policy.cluster";
const SERVICE_ACCOUNT: &str = "io.cilium.k8s.policy.serviceaccount";
const APP: &str = "app.kubernetes.io/";
/// Labels with these in their names are passed over by Cilium unless it is told otherwise.
const PASSED_OVER: [&str; 7] = [
    "kubernetes.io",
    "k8s.io",
    "io.kubernetes",
    "pod-template-",
    "controller-revision-hash",
    "controller-uid",
    "annotation",
];

/// A selector.
#[derive(Clone, Debug, Default, Deserialize)]
pub struct CiliumSelector(ApiSelector);

/// Where a selector stands: it means pods of the policy's own namespace, if it says nothing else.
#[derive(Clone, Copy, Debug)]
pub enum Scope<'a> {
    /// Whom the policy is about, which was found in its namespace.
    Subject,
    /// A peer in a policy of this namespace.
    Namespace(&'a str),
    /// A peer in a policy of the cluster.
    Cluster,
}

impl<'a> Scope<'a> {
    /// That of peers in this policy.
    pub fn of(policy: &'a ObjectRef) -> Self {
        match policy.namespace.as_str() {
            "" => Self::Cluster,
            namespace => Self::Namespace(namespace),
        }
    }
}

/// What is known of a label.
enum Label {
    Is(Option<String>),
    Unknown(String),
    /// One of the pod's namespace: that key, held against it.
    OfNamespace(String),
}

impl CiliumSelector {
    /// It selects the pod.
    pub fn pod(&self, inventory: &Inventory, scope: Scope<'_>, pod: &Pod) -> PolicyFit {
        let wanted = self.requirements();
        let elsewhere = match scope {
            Scope::Namespace(namespace) => !wanted.iter().any(names_a_namespace) && namespace != pod.namespace,
            Scope::Subject | Scope::Cluster => false,
        };
        if elsewhere {
            return PolicyFit::No(String::new());
        }
        PolicyFit::all(wanted.iter().map(|one| requirement(inventory, one, pod)))
    }

    /// The entity that it means (`reserved:host`), where it is about one.
    pub fn entity(&self) -> Option<&str> {
        let selector = &self.0.0;
        let mut keys = selector::keys(selector);
        match (keys.next(), keys.next()) {
            (Some(key), None) if selector.match_expressions.is_empty() => key.strip_prefix("reserved:"),
            _ => None,
        }
    }

    /// In words.
    pub fn words(&self) -> String {
        if selector::is_empty(&self.0.0) {
            "endpoints".to_owned()
        } else {
            format!("endpoints with {}", selector::words(&self.0.0))
        }
    }

    /// Both forms as one.
    fn requirements(&self) -> Vec<LabelExpression> {
        let selector = &self.0.0;
        let labels = selector.match_labels.iter().map(|(key, value)| LabelExpression {
            key: key.clone(),
            operator: "In".to_owned(),
            values: vec![value.clone()],
        });
        labels.chain(selector.match_expressions.iter().cloned()).collect()
    }
}

fn names_a_namespace(wanted: &LabelExpression) -> bool {
    let key = without_source(&wanted.key);
    key == NAMESPACE || key.starts_with(OF_NAMESPACE)
}

fn without_source(key: &str) -> &str {
    let bare = key.strip_prefix("k8s:").or_else(|| key.strip_prefix("any:"));
    bare.unwrap_or(key)
}

fn requirement(inventory: &Inventory, wanted: &LabelExpression, pod: &Pod) -> PolicyFit {
    let holds = |key: &str, value: Option<String>| {
        let one = LabelSelector {
            match_expressions: vec![LabelExpression {
                key: key.to_owned(),
                ..wanted.clone()
            }],
            ..LabelSelector::default()
        };
        let labels = value.map(|value| (key.to_owned(), value)).into_iter().collect();
        PolicyFit::when(selector::selects(&one, &labels), "")
    };
    match label(&wanted.key, pod) {
        Label::Is(value) => holds(&wanted.key, value),
        Label::Unknown(why) => PolicyFit::Maybe(why),
        Label::OfNamespace(key) => {
            let one = LabelSelector {
                match_expressions: vec![LabelExpression { key, ..wanted.clone() }],
                ..LabelSelector::default()
            };
            fits::namespace(inventory, &one, &pod.namespace)
        }
    }
}

fn label(written: &str, pod: &Pod) -> Label {
    let key = without_source(written);
    if let Some((source, _)) = key.split_once(':') {
        // Pods have labels of Kubernetes alone; the reserved ones are those of nodes and of the world.
        return match source {
            "reserved" => Label::Is(None),
            _ => Label::Unknown(format!("labels with source {source} are not evaluated")),
        };
    }
    if let Some(of_namespace) = key.strip_prefix(OF_NAMESPACE) {
        return Label::OfNamespace(of_namespace.to_owned());
    }
    match key {
        NAMESPACE => Label::Is(Some(pod.namespace.clone())),
        SERVICE_ACCOUNT if !pod.service_account.is_empty() => Label::Is(Some(pod.service_account.clone())),
        SERVICE_ACCOUNT | CLUSTER => Label::Unknown(format!("label {key} was not read")),
        _ if !key.starts_with(APP) && PASSED_OVER.iter().any(|part| key.contains(part)) => Label::Unknown(format!(
            "whether Cilium heeds the label {key} is set where it is installed"
        )),
        _ => Label::Is(pod.labels.get(key).cloned()),
    }
}
