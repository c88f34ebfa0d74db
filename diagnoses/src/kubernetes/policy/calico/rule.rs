//! Whether a rule of Calico's policies fits a connection.

use super::labels::{Holders, Labelled, holders, service_account_selector, within};
use crate::kubernetes::policy::fits::PolicyFit;
use crate::kubernetes::policy::objects::{Rest, left_over};
use crate::kubernetes::policy::ports::named;
use crate::kubernetes::policy::{Connection, Party};
use model::inventory::Inventory;
use serde::Deserialize;
use serde_json::Value;

/// A rule.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct CalicoRule {
    /// `Allow`, `Deny`, `Pass`, `Log`.
    pub action: String,
    ip_version: Option<u8>,
    protocol: Option<Value>,
    not_protocol: Option<Value>,
    icmp: Option<Icmp>,
    #[serde(rename = "notICMP")]
    not_icmp: Option<Icmp>,
    source: Entity,
    destination: Entity,
    #[serde(rename = "metadata")]
    _metadata: Value,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Icmp {
    r#type: Option<u8>,
    code: Option<u8>,
}

/// One end of what it is about: all of this must hold.
#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Entity {
    nets: Option<Vec<String>>,
    not_nets: Option<Vec<String>>,
    selector: String,
    not_selector: String,
    namespace_selector: String,
    ports: Option<Vec<Value>>,
    not_ports: Option<Vec<Value>>,
    service_accounts: Option<Accounts>,
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default)]
struct Accounts {
    names: Option<Vec<String>>,
    selector: String,
}

impl CalicoRule {
    /// It fits; an error where it is not understood. `namespace` is the policy's, empty for a policy of the cluster.
    pub fn fit(
        &self,
        inventory: &Inventory,
        namespace: &str,
        (from, to): (Party<'_>, Party<'_>),
        connection: &Connection<'_>,
    ) -> Result<PolicyFit, String> {
        let v6 = connection.to.address.is_ipv6();
        let version = if v6 { 6 } else { 4 };
        let mut parts = vec![PolicyFit::when(self.ip_version.is_none_or(|own| own == version), "")];
        if let Some(wanted) = &self.protocol {
            parts.push(protocol(wanted, connection)?);
        }
        if let Some(wanted) = &self.not_protocol {
            parts.push(protocol(wanted, connection)?.not(""));
        }
        if let Some(wanted) = &self.icmp {
            parts.push(wanted.fit(connection));
        }
        if let Some(wanted) = &self.not_icmp {
            parts.push(wanted.fit(connection).not(""));
        }
        // The port of whoever opens a connection is any.
        let source_ports = [&self.source.ports, &self.source.not_ports];
        let source_ports = source_ports.into_iter().flatten().any(|ports| !ports.is_empty());
        if source_ports {
            parts.push(PolicyFit::Maybe("ports of the source are not evaluated".to_owned()));
        }
        if let Some(wanted) = self.destination.ports.as_deref().filter(|wanted| !wanted.is_empty()) {
            parts.push(ports(wanted, connection)?);
        }
        if let Some(wanted) = &self.destination.not_ports {
            parts.push(ports(wanted, connection)?.not(""));
        }
        parts.push(self.source.fit(inventory, namespace, from)?);
        parts.push(self.destination.fit(inventory, namespace, to)?);
        Ok(PolicyFit::all(parts).only_if(left_over(&self.rest)))
    }
}

impl Icmp {
    /// An echo is the only ICMP message that is ever asked about.
    fn fit(&self, connection: &Connection<'_>) -> PolicyFit {
        let echo = if connection.to.address.is_ipv6() { 128 } else { 8 };
        let is = connection.protocol.eq_ignore_ascii_case("icmp")
            && self.r#type.is_none_or(|own| own == echo)
            && self.code.is_none_or(|own| own == 0);
        PolicyFit::when(is, "")
    }
}

fn protocol(wanted: &Value, connection: &Connection<'_>) -> Result<PolicyFit, String> {
    let v6 = connection.to.address.is_ipv6();
    let (number, name) = match connection.protocol.to_ascii_lowercase().as_str() {
        "tcp" => (6, "TCP"),
        "udp" => (17, "UDP"),
        "sctp" => (132, "SCTP"),
        "icmp" if v6 => (58, "ICMPv6"),
        "icmp" => (1, "ICMP"),
        other => return Err(format!("protocol {other} is not evaluated")),
    };
    let fits = match wanted {
        Value::Number(own) => own.as_u64() == Some(number),
        Value::String(own) => own.eq_ignore_ascii_case(name) || own.parse() == Ok(number),
        other => return Err(format!("protocol {other} is not understood")),
    };
    Ok(PolicyFit::when(fits, ""))
}

/// Any of them: `80`, `"8000:8080"`, `"http"`.
fn ports(wanted: &[Value], connection: &Connection<'_>) -> Result<PolicyFit, String> {
    let each: Result<Vec<PolicyFit>, String> = wanted.iter().map(|port| one_port(port, connection)).collect();
    Ok(PolicyFit::any(each?, String::new))
}

fn one_port(wanted: &Value, connection: &Connection<'_>) -> Result<PolicyFit, String> {
    if connection.protocol.eq_ignore_ascii_case("icmp") {
        return Ok(PolicyFit::No(String::new()));
    }
    let text = match wanted {
        Value::Number(number) => number.to_string(),
        Value::String(text) => text.clone(),
        other => return Err(format!("port {other} is not understood")),
    };
    let range = text.split_once(':').unwrap_or((&text, &text));
    if let (Ok(first), Ok(last)) = (range.0.parse::<u16>(), range.1.parse::<u16>()) {
        return Ok(PolicyFit::when((first..=last).contains(&connection.port), ""));
    }
    Ok(match connection.to.pod {
        Some(pod) if pod.host_network => PolicyFit::Maybe(format!("port {text} is one of a pod on its node's network")),
        Some(pod) => PolicyFit::when(
            named(pod, &text, connection.protocol).any(|port| port == connection.port),
            "",
        ),
        None => PolicyFit::No(String::new()),
    })
}

impl Entity {
    fn fit(&self, inventory: &Inventory, namespace: &str, party: Party<'_>) -> Result<PolicyFit, String> {
        let mut fits = Vec::new();
        let any_of = |nets: &[String]| PolicyFit::when(nets.iter().any(|net| within(net, party.address)), "");
        if let Some(nets) = self.nets.as_deref().filter(|nets| !nets.is_empty()) {
            fits.push(any_of(nets));
        }
        if let Some(nets) = &self.not_nets {
            fits.push(any_of(nets).not(""));
        }
        if self.by_labels(namespace) {
            let who = holders(inventory, party)?;
            fits.push(some(&who, |one| self.selects(inventory, namespace, one))?);
        }
        if !self.not_selector.trim().is_empty() {
            let who = holders(inventory, party)?;
            fits.push(some(&who, |one| one.fits(&self.not_selector))?.not(""));
        }
        Ok(PolicyFit::all(fits).only_if(left_over(&self.rest)))
    }

    /// Only somebody with labels is meant. In a policy of a namespace, the denial of a selector means that too.
    fn by_labels(&self, namespace: &str) -> bool {
        let given = |text: &str| !text.trim().is_empty();
        given(&self.selector)
            || given(&self.namespace_selector)
            || self.service_accounts.is_some()
            || (given(&self.not_selector) && !namespace.is_empty())
    }

    fn selects(&self, inventory: &Inventory, namespace: &str, one: &Labelled) -> Result<PolicyFit, String> {
        let mut parts = vec![one.fits(&self.selector)?];
        if !self.namespace_selector.trim().is_empty() {
            parts.push(one.in_namespaces(inventory, &self.namespace_selector)?);
        } else if !namespace.is_empty() {
            parts.push(PolicyFit::when(one.is_of(namespace), ""));
        }
        if let Some(accounts) = &self.service_accounts {
            let names = accounts.names.as_deref().unwrap_or_default();
            if !names.is_empty() {
                parts.push(one.has_account(names));
            }
            parts.push(service_account_selector(accounts.selector.trim()));
        }
        Ok(PolicyFit::all(parts))
    }
}

/// Some of those who have the address fits.
fn some(who: &Holders, fit: impl Fn(&Labelled) -> Result<PolicyFit, String>) -> Result<PolicyFit, String> {
    let each: Result<Vec<PolicyFit>, String> = who.known.iter().map(fit).collect();
    let doubt = who.doubt.clone().map(PolicyFit::Maybe);
    Ok(PolicyFit::any(each?.into_iter().chain(doubt), String::new))
}
