//! How the API calls the objects of a kind that can be named.

use crate::inquiry::object_name::Kind;
use kube::api::{ApiResource, GroupVersionKind};

/// How the API calls the objects of a kind.
pub fn resource(kind: Kind) -> ApiResource {
    let (group, plural) = match kind {
        Kind::Deployment => ("apps", "deployments"),
        Kind::StatefulSet => ("apps", "statefulsets"),
        Kind::DaemonSet => ("apps", "daemonsets"),
        Kind::ReplicaSet => ("apps", "replicasets"),
        Kind::Job => ("batch", "jobs"),
        Kind::Pod | Kind::Selector => ("", "pods"),
        Kind::Service => ("", "services"),
        Kind::Node => ("", "nodes"),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind.api()), plural)
}
