//! Names of a cluster's objects as people write them: `[KIND/][NAMESPACE/]NAME`. Pure text.

use crate::exit::WrongUsage;
use crate::names;
use anyhow::Result;
use std::fmt;

/// Kinds that can be named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ObjectKind {
    /// A pod.
    Pod,
    /// A ready pod of a Deployment.
    Deployment,
    /// A ready pod of a `StatefulSet`.
    StatefulSet,
    /// A ready pod of a `DaemonSet`.
    DaemonSet,
    /// A ready pod of a `ReplicaSet`.
    ReplicaSet,
    /// A ready pod of a Job.
    Job,
    /// A service.
    Service,
    /// A node.
    Node,
    /// A ready pod with these labels.
    Selector,
}

/// Every kind: as it is shown, its other spellings (kubectl's), and the API's own name.
const KINDS: [(ObjectKind, &str, &[&str], &str); 9] = [
    (ObjectKind::Pod, "pod", &["po", "pods"], "Pod"),
    (
        ObjectKind::Deployment,
        "deploy",
        &["deployment", "deployments"],
        "Deployment",
    ),
    (
        ObjectKind::StatefulSet,
        "sts",
        &["statefulset", "statefulsets"],
        "StatefulSet",
    ),
    (ObjectKind::DaemonSet, "ds", &["daemonset", "daemonsets"], "DaemonSet"),
    (
        ObjectKind::ReplicaSet,
        "rs",
        &["replicaset", "replicasets"],
        "ReplicaSet",
    ),
    (ObjectKind::Job, "job", &["jobs"], "Job"),
    (ObjectKind::Service, "svc", &["service", "services"], "Service"),
    (ObjectKind::Node, "node", &["no", "nodes"], "Node"),
    (ObjectKind::Selector, "selector", &[], "Pod"),
];

/// A name, not looked up yet.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectName {
    /// Its kind; a bare name is a pod, else a service.
    pub kind: Option<ObjectKind>,
    /// Its namespace, where one was written.
    pub namespace: Option<String>,
    /// Its name; for a selector the selector.
    pub name: String,
}

impl ObjectKind {
    /// The kind of this spelling.
    #[must_use]
    pub fn of(text: &str) -> Option<Self> {
        KINDS
            .into_iter()
            .find(|(_, short, others, _)| *short == text || others.contains(&text))
            .map(|(kind, ..)| kind)
    }

    fn entry(self) -> (&'static str, &'static str) {
        KINDS
            .into_iter()
            .find(|(kind, ..)| *kind == self)
            .map_or(("", ""), |(_, short, _, api)| (short, api))
    }

    /// As it is written before the slash.
    #[must_use]
    pub fn short(self) -> &'static str {
        self.entry().0
    }

    /// As the API names it.
    #[must_use]
    pub fn api(self) -> &'static str {
        self.entry().1
    }

    /// Kinds as they are written, for completion.
    pub fn all() -> impl Iterator<Item = &'static str> {
        KINDS.into_iter().map(|(_, short, ..)| short)
    }
}

impl fmt::Display for ObjectName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(kind) = self.kind {
            write!(f, "{}/", kind.short())?;
        }
        if let Some(namespace) = &self.namespace {
            write!(f, "{namespace}/")?;
        }
        f.write_str(&self.name)
    }
}

/// The object that is named; none where it can only be a name outside the cluster: one with dots and without a slash.
pub fn parse(text: &str) -> Result<Option<ObjectName>> {
    let parts: Vec<&str> = text.split('/').collect();
    if let Some(rest) = text.strip_prefix("selector/") {
        return selector(rest, text).map(Some);
    }
    let (kind, namespace, name) = match parts[..] {
        [name] if name.trim_end_matches('.').contains('.') => return Ok(None),
        [name] => (None, None, name),
        [kind, name] if ObjectKind::of(kind).is_some() => (ObjectKind::of(kind), None, name),
        [namespace, name] => (None, Some(namespace), name),
        [kind, namespace, name] => match ObjectKind::of(kind) {
            Some(kind) => (Some(kind), Some(namespace), name),
            None => {
                return Err(WrongUsage::error(format!(
                    "`{kind}/` is no kind of endpoint{}; write KIND/NAMESPACE/NAME with one of {}",
                    names::hint(kind, ObjectKind::all()),
                    ObjectKind::all().collect::<Vec<_>>().join(", ")
                )));
            }
        },
        _ => {
            return Err(WrongUsage::error(format!(
                "`{text}` has too many slashes; write [KIND/][NAMESPACE/]NAME"
            )));
        }
    };
    if kind == Some(ObjectKind::Node) && namespace.is_some() {
        return Err(WrongUsage::error(format!(
            "`{text}`: nodes have no namespace; write node/{name}"
        )));
    }
    if let Some(namespace) = namespace
        && !is_label(namespace)
    {
        return Err(WrongUsage::error(format!(
            "`{namespace}` in `{text}` is no name of a namespace"
        )));
    }
    if name.is_empty() || !is_subdomain(name) {
        return Err(WrongUsage::error(format!(
            "`{name}` in `{text}` is no name of an object: lower-case letters, digits, `-` and `.`; write [KIND/][NAMESPACE/]NAME"
        )));
    }
    Ok(Some(ObjectName {
        kind,
        namespace: namespace.map(str::to_owned),
        name: name.to_owned(),
    }))
}

/// `app=x,tier!=y`, with a namespace before it perhaps: a namespace has no dots, the prefix of a label mostly has.
fn selector(rest: &str, text: &str) -> Result<ObjectName> {
    let (namespace, labels) = match rest.split_once('/') {
        Some((namespace, labels)) if is_label(namespace) => (Some(namespace), labels),
        _ => (None, rest),
    };
    let has_label = labels
        .split(',')
        .all(|part| part.bytes().any(|byte| byte.is_ascii_alphanumeric()));
    if !has_label || labels.chars().any(char::is_control) {
        return Err(WrongUsage::error(format!(
            "`{text}` selects nothing; write selector/app=web"
        )));
    }
    Ok(ObjectName {
        kind: Some(ObjectKind::Selector),
        namespace: namespace.map(str::to_owned),
        name: labels.to_owned(),
    })
}

/// A label of RFC 1123.
fn is_label(text: &str) -> bool {
    let good = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    !text.is_empty() && text.len() <= 63 && text.bytes().all(good) && !text.starts_with('-') && !text.ends_with('-')
}

/// A subdomain of RFC 1123, which names of pods and nodes are.
fn is_subdomain(text: &str) -> bool {
    text.len() <= 253 && text.split('.').all(is_label)
}

/// A name of a port (RFC 6335): it has a letter, so it is never taken for a number.
#[must_use]
pub fn is_port_name(text: &str) -> bool {
    text.len() <= 63 && is_label(text) && text.bytes().any(|byte| byte.is_ascii_lowercase())
}

#[cfg(test)]
mod tests {
    use super::{ObjectKind, is_port_name, parse};

    #[test]
    fn names_are_read_as_people_write_them() {
        let cases = [
            ("web-1", None, None, "web-1"),
            ("shop/web-1", None, Some("shop"), "web-1"),
            ("pod/web-1", Some(ObjectKind::Pod), None, "web-1"),
            ("po/shop/web-1", Some(ObjectKind::Pod), Some("shop"), "web-1"),
            ("deployment/shop/web", Some(ObjectKind::Deployment), Some("shop"), "web"),
            ("svc/db", Some(ObjectKind::Service), None, "db"),
            (
                "no/ip-10-0-0-1.ec2.internal",
                Some(ObjectKind::Node),
                None,
                "ip-10-0-0-1.ec2.internal",
            ),
            ("kube-system/etcd-a.b", None, Some("kube-system"), "etcd-a.b"),
            (
                "selector/app=web,tier!=x",
                Some(ObjectKind::Selector),
                None,
                "app=web,tier!=x",
            ),
            (
                "selector/shop/app=web",
                Some(ObjectKind::Selector),
                Some("shop"),
                "app=web",
            ),
            (
                "selector/app.kubernetes.io/name=web",
                Some(ObjectKind::Selector),
                None,
                "app.kubernetes.io/name=web",
            ),
            // A namespace may be called as a kind is, where the kind is written, too.
            ("pod/pod/pod", Some(ObjectKind::Pod), Some("pod"), "pod"),
        ];
        for (text, kind, namespace, name) in cases {
            let object = parse(text).unwrap().unwrap();
            assert_eq!(
                (object.kind, object.namespace.as_deref(), object.name.as_str()),
                (kind, namespace, name),
                "{text}"
            );
        }
        assert_eq!(parse("db.shop.svc").unwrap(), None);
    }

    #[test]
    fn what_cannot_be_a_name_is_refused_with_what_to_write() {
        for (text, says) in [
            ("depoly/shop/web", "did you mean `deploy`"),
            ("a/b/c/d", "too many slashes"),
            ("pod/", "no name of an object"),
            ("Web", "lower-case"),
            ("Shop/web", "namespace"),
            ("node/shop/n1", "node/n1"),
            ("selector/", "selects nothing"),
            ("a b", "lower-case"),
        ] {
            let error = parse(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_port_has_a_number_or_a_name() {
        assert!(is_port_name("http-2"));
        assert!(!is_port_name("80") && !is_port_name("") && !is_port_name("HTTP"));
    }
}
