//! What a resolver is configured with.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// A resolv.conf, as glibc reads it (resolv.conf(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ResolvConf {
    /// Where it was read.
    pub path: String,
    /// Name servers in order; glibc uses the first three.
    pub nameservers: Vec<IpAddr>,
    /// Search list.
    pub search: Vec<String>,
    /// Dots a name needs to be tried as it is first.
    pub ndots: u32,
    /// Seconds to wait for one answer.
    pub timeout_s: u32,
    /// Rounds through the servers.
    pub attempts: u32,
    /// Other options as written.
    pub options: Vec<String>,
    /// Lines that could not be read, by their number (`line 3`): what they hold may be another file's, and nobody's to see.
    pub garbage: Vec<String>,
}
