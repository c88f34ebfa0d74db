//! `ClusterNetworkPolicy` (`policy.networking.k8s.io/v1alpha2`).

use super::{AdminPolicy, AdminPort, AdminTier, Subject, WrittenRule, read_rules};
use crate::kubernetes::policy::objects::{Rest, left_over, name, read};
use model::policy_objects::{PolicyObject, PolicyObjects};
use serde::Deserialize;

const VERSION: &str = "policy.networking.k8s.io/v1alpha2";

#[derive(Deserialize)]
struct Spec {
    tier: String,
    priority: i64,
    subject: Subject,
    #[serde(default)]
    ingress: Option<Vec<WrittenRule<Protocol>>>,
    #[serde(default)]
    egress: Option<Vec<WrittenRule<Protocol>>>,
    #[serde(flatten)]
    rest: Rest,
}

/// One of these.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Protocol {
    Tcp(Ports),
    Udp(Ports),
    Sctp(Ports),
    DestinationNamedPort(String),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
struct Ports {
    #[serde(default)]
    destination_port: Option<Port>,
}

/// One of these.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
enum Port {
    Number(u16),
    Range { start: u16, end: u16 },
}

/// The policies of a cluster of this kind; where one is not understood, why.
pub fn policies(objects: &PolicyObjects) -> Vec<Result<AdminPolicy, String>> {
    let of_kind = |object: &&PolicyObject| object.api_version == VERSION && object.kind() == "ClusterNetworkPolicy";
    objects.objects.iter().filter(of_kind).map(policy).collect()
}

fn policy(object: &PolicyObject) -> Result<AdminPolicy, String> {
    let spec: Spec = read(&object.object, &object.spec)?;
    let tier = match spec.tier.as_str() {
        "Admin" => AdminTier::Admin,
        "Baseline" => AdminTier::Baseline,
        tier => return Err(format!("{}: tier {tier} is not known", name(&object.object))),
    };
    Ok(AdminPolicy {
        object: object.object.clone(),
        tier,
        priority: spec.priority,
        subject: spec.subject,
        ingress: read_rules(spec.ingress, port),
        egress: read_rules(spec.egress, port),
        doubt: left_over(&spec.rest),
    })
}

fn port(protocol: Protocol) -> AdminPort {
    let (name, ports) = match protocol {
        Protocol::Tcp(ports) => ("TCP", ports),
        Protocol::Udp(ports) => ("UDP", ports),
        Protocol::Sctp(ports) => ("SCTP", ports),
        Protocol::DestinationNamedPort(name) => return AdminPort::Name(name),
    };
    match ports.destination_port {
        None => AdminPort::Protocol(name.to_owned()),
        Some(Port::Number(number)) => AdminPort::Range(name.to_owned(), number, number),
        Some(Port::Range { start, end }) => AdminPort::Range(name.to_owned(), start, end),
    }
}
