//! Names of a cluster's objects: those like a name that matches nothing, and those that complete what was typed.

use super::cluster::ClusterApi;
use super::resource::resource;
use crate::exit::NotThere;
use crate::inquiry::object_name::ObjectKind;
use crate::names;
use anyhow::Result;
use kube::api::ApiResource;

impl ClusterApi {
    /// Names of all namespaces, as far as they may be read.
    pub async fn namespaces(&self) -> Vec<String> {
        self.names(&namespaces(), None).await.unwrap_or_default()
    }

    /// Names of all nodes, as far as they may be read.
    pub async fn nodes(&self) -> Vec<String> {
        self.names(&resource(ObjectKind::Node), None).await.unwrap_or_default()
    }

    /// Endpoints that begin like this: kinds, names of the namespace in question, or those of the kind or namespace before
    /// the slash.
    pub async fn endpoints(&self, begun: &str) -> Vec<String> {
        let Some((before, _)) = begun.rsplit_once('/') else {
            let (pod, service) = (resource(ObjectKind::Pod), resource(ObjectKind::Service));
            let (pods, services) = tokio::join!(
                self.names(&pod, Some(&self.namespace)),
                self.names(&service, Some(&self.namespace))
            );
            let kinds = ObjectKind::all().map(|kind| format!("{kind}/"));
            return kinds
                .chain(pods.unwrap_or_default())
                .chain(services.unwrap_or_default())
                .collect();
        };
        let (kind, namespace) = match before.split_once('/') {
            Some((kind, namespace)) => (ObjectKind::of(kind), namespace),
            None if ObjectKind::of(before).is_some() => (ObjectKind::of(before), self.namespace.as_str()),
            None => (Some(ObjectKind::Pod), before),
        };
        let Some(kind) = kind.filter(|kind| *kind != ObjectKind::Selector) else {
            return Vec::new();
        };
        let namespace = (kind != ObjectKind::Node).then_some(namespace);
        let names = self.names(&resource(kind), namespace).await.unwrap_or_default();
        names.into_iter().map(|name| format!("{before}/{name}")).collect()
    }
}

/// Names that are listed whole, where there are no more.
const FEW: usize = 8;

/// No pod of this name.
pub async fn pod(cluster: &ClusterApi, namespace: &str, name: &str) -> anyhow::Error {
    nothing(cluster, &[ObjectKind::Pod], "pod", namespace, name).await
}

/// Neither a pod nor a service.
pub async fn pod_or_service(cluster: &ClusterApi, namespace: &str, name: &str) -> anyhow::Error {
    nothing(
        cluster,
        &[ObjectKind::Pod, ObjectKind::Service],
        "pod or service",
        namespace,
        name,
    )
    .await
}

/// No workload of this name.
pub async fn workload(cluster: &ClusterApi, kind: ObjectKind, namespace: &str, name: &str) -> anyhow::Error {
    nothing(cluster, &[kind], kind.api(), namespace, name).await
}

/// No node of this name.
pub async fn node(cluster: &ClusterApi, name: &str) -> anyhow::Error {
    let known = cluster
        .names(&resource(ObjectKind::Node), None)
        .await
        .unwrap_or_default();
    NotThere::error(format!("there is no node `{name}`{}", hint(name, &known, "nodes")))
}

/// An error where there is no such namespace; nothing where there is, or nobody may know.
pub async fn namespace(cluster: &ClusterApi, name: &str) -> Result<()> {
    if !matches!(cluster.namespace(name).await, Ok(None)) {
        return Ok(());
    }
    let known = cluster.names(&namespaces(), None).await.unwrap_or_default();
    Err(NotThere::error(format!(
        "there is no namespace `{name}` in {}{}",
        cluster.context,
        hint(name, &known, "namespaces")
    )))
}

fn namespaces() -> ApiResource {
    ApiResource::erase::<k8s_openapi::api::core::v1::Namespace>(&())
}

async fn nothing(cluster: &ClusterApi, kinds: &[ObjectKind], what: &str, namespace: &str, name: &str) -> anyhow::Error {
    let mut known = Vec::new();
    for kind in kinds {
        known.extend(
            cluster
                .names(&resource(*kind), Some(namespace))
                .await
                .unwrap_or_default(),
        );
    }
    if known.is_empty()
        && let Err(error) = self::namespace(cluster, namespace).await
    {
        return error;
    }
    let plural = if what.ends_with("or service") {
        "pods and services"
    } else {
        "there"
    };
    NotThere::error(format!(
        "there is no {what} `{name}` in namespace {namespace} of {}{}",
        cluster.context,
        hint(name, &known, plural)
    ))
}

fn hint(name: &str, known: &[String], what: &str) -> String {
    let near = names::hint(name, known.iter().map(String::as_str));
    let listed = if known.is_empty() || known.len() > FEW {
        String::new()
    } else {
        format!(" ({what}: {})", known.join(", "))
    };
    if near.is_empty() && listed.is_empty() {
        "; name another namespace with -n, or another cluster with --context".to_owned()
    } else {
        format!("{near}{listed}")
    }
}
