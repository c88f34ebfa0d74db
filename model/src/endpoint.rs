//! The two ends of a path: how they were asked for, and what they are.

use crate::missing::Known;
use crate::object_ref::ObjectRef;
use crate::owner::Owner;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// What kind of thing was named.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum EndpointKind {
    /// A network namespace, by the name `ip netns` gives it or by path.
    Netns,
    /// A process.
    Pid,
    /// A container, by (the start of) its id.
    Container,
    /// This machine.
    Host,
    /// An IP address.
    #[default]
    Address,
    /// A DNS name, resolved from the source.
    Name,
    /// A pod.
    Pod,
    /// A service.
    Service,
    /// A node.
    Node,
}

/// One end of the path.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Endpoint {
    /// As the user wrote it, without the port.
    pub asked: String,
    /// What it is.
    pub kind: EndpointKind,
    /// Node it lives on; empty when it is on none that can be watched.
    pub node: String,
    /// Inode of its network namespace; `None` when nobody here owns its address.
    pub netns: Option<u32>,
    /// Its name for people (`netns/a`, a process name, `shop/web-1`).
    pub name: String,
    /// A process in it, as the host counts, where there is one.
    pub pid: Option<u32>,
    /// Its addresses that others can reach, best first.
    pub addresses: Vec<IpAddr>,
    /// Port asked for.
    pub port: Option<u16>,
    /// The name by which the port was asked for; where `port` is `None`, the object has none of that name.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub port_name: Option<String>,
    /// To whom it belongs.
    pub owner: Owner,
    /// The Kubernetes object it is, or the one it was chosen from.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub object: Option<ObjectRef>,
    /// Its resolv.conf.
    pub resolv: Known<crate::facts::ResolvConf>,
}
