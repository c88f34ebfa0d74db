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
    /// The hosts file beside it; `None` where there is none, or where it is not asked.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hosts: Option<HostsFile>,
}

/// A hosts file, as the C library asks it (hosts(5), nsswitch.conf(5)).
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct HostsFile {
    /// Where it was read.
    pub path: String,
    /// It is asked before DNS, else after it.
    pub before_dns: bool,
    /// Its lines.
    pub entries: Vec<HostsEntry>,
}

impl HostsFile {
    /// The addresses of a name, in the order of the file.
    #[must_use]
    pub fn addresses(&self, name: &str) -> Vec<IpAddr> {
        let named = |entry: &&HostsEntry| entry.names.iter().any(|own| own.eq_ignore_ascii_case(name));
        self.entries.iter().filter(named).map(|entry| entry.address).collect()
    }
}

/// A line of a hosts file.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct HostsEntry {
    /// Address.
    pub address: IpAddr,
    /// Its names.
    pub names: Vec<String>,
}
