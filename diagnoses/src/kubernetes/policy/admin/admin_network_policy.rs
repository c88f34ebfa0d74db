//! `AdminNetworkPolicy` and `BaselineAdminNetworkPolicy` (`policy.networking.k8s.io/v1alpha1`).

use super::{AdminPolicy, AdminPort, AdminTier, Subject, WrittenRule, read_rules};
use crate::kubernetes::policy::objects::{Rest, left_over, read};
use model::policy_objects::{PolicyObject, PolicyObjects};
use serde::Deserialize;

const VERSION: &str = "policy.networking.k8s.io/v1alpha1";

#[derive(Deserialize)]
struct Spec {
    #[serde(default)]
    priority: Option<i64>,
    subject: Subject,
    #[serde(default)]
    ingress: Option<Vec<WrittenRule<Port>>>,
    #[serde(default)]
    egress: Option<Vec<WrittenRule<Port>>>,
    #[serde(flatten)]
    rest: Rest,
}

/// One of these.
#[derive(Deserialize)]
enum Port {
    #[serde(rename = "portNumber")]
    Number {
        #[serde(default)]
        protocol: Option<String>,
        port: u16,
    },
    #[serde(rename = "namedPort")]
    Named(String),
    #[serde(rename = "portRange")]
    Range {
        #[serde(default)]
        protocol: Option<String>,
        start: u16,
        end: u16,
    },
}

/// The policies of a cluster of these two kinds; where one is not understood, why.
pub fn policies(objects: &PolicyObjects) -> Vec<Result<AdminPolicy, String>> {
    let tier = |object: &PolicyObject| match object.kind() {
        "AdminNetworkPolicy" => Some(AdminTier::Admin),
        "BaselineAdminNetworkPolicy" => Some(AdminTier::Baseline),
        _ => None,
    };
    let of_version = objects.objects.iter().filter(|object| object.api_version == VERSION);
    of_version
        .filter_map(|object| Some(policy(object, tier(object)?)))
        .collect()
}

fn policy(object: &PolicyObject, tier: AdminTier) -> Result<AdminPolicy, String> {
    let spec: Spec = read(&object.object, &object.spec)?;
    Ok(AdminPolicy {
        object: object.object.clone(),
        tier,
        // There is one of the baseline alone.
        priority: spec.priority.unwrap_or_default(),
        subject: spec.subject,
        ingress: read_rules(spec.ingress, port),
        egress: read_rules(spec.egress, port),
        doubt: left_over(&spec.rest),
    })
}

fn port(port: Port) -> AdminPort {
    let tcp = |protocol: Option<String>| protocol.unwrap_or_else(|| "TCP".to_owned());
    match port {
        Port::Number { protocol, port } => AdminPort::Range(tcp(protocol), port, port),
        Port::Named(name) => AdminPort::Name(name),
        Port::Range { protocol, start, end } => AdminPort::Range(tcp(protocol), start, end),
    }
}
