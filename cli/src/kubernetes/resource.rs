//! How the API calls the objects of a kind that can be named.

use crate::inquiry::object_name::ObjectKind;
use kube::api::{ApiResource, GroupVersionKind};

/// How the API calls the objects of a kind.
pub fn resource(kind: ObjectKind) -> ApiResource {
    let (group, plural) = match kind {
        ObjectKind::Deployment => ("apps", "deployments"),
        ObjectKind::StatefulSet => ("apps", "statefulsets"),
        ObjectKind::DaemonSet => ("apps", "daemonsets"),
        ObjectKind::ReplicaSet => ("apps", "replicasets"),
        ObjectKind::Job => ("batch", "jobs"),
        ObjectKind::Pod | ObjectKind::Selector => ("", "pods"),
        ObjectKind::Service => ("", "services"),
        ObjectKind::Node => ("", "nodes"),
    };
    ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk(group, "v1", kind.api()), plural)
}
