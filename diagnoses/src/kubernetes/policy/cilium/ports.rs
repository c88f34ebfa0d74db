//! The ports of a rule of Cilium, and the kinds of ICMP messages that it may name instead.

use crate::kubernetes::policy::Connection;
use crate::kubernetes::policy::fits::PolicyFit;
use crate::kubernetes::policy::objects::{Rest, left_over};
use crate::kubernetes::policy::ports::{defined, named};
use serde::Deserialize;
use serde_json::Value;

/// Ports, with what is asked of the connections to them.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct PortRule {
    ports: Option<Vec<PortProtocol>>,
    /// What layer 7 and its proxy are asked for.
    #[serde(flatten)]
    rest: Rest,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase", deny_unknown_fields)]
struct PortProtocol {
    /// A number, or a name. None and 0 mean all.
    port: String,
    end_port: Option<u16>,
    /// `TCP`, `UDP`, `SCTP`; all of these where there is none.
    protocol: String,
}

/// Kinds of ICMP messages.
#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct IcmpRule {
    fields: Option<Vec<IcmpField>>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
struct IcmpField {
    family: String,
    r#type: Value,
}

/// Any of them fits.
pub fn any(rules: &[PortRule], connection: &Connection<'_>) -> PolicyFit {
    let each = rules.iter().map(|rule| match rule.ports.as_deref() {
        None | Some([]) => PolicyFit::Maybe("what toPorts without ports means is not evaluated".to_owned()),
        Some(ports) => {
            let fit = PolicyFit::any(ports.iter().map(|port| port.fit(connection)), String::new);
            // A proxy takes the connection, and says later what of it may pass.
            fit.only_if(left_over(&rule.rest).map(|_| "rules of layer 7 are not evaluated".to_owned()))
        }
    });
    PolicyFit::any(each, || {
        let ports: Vec<String> = rules
            .iter()
            .flat_map(|rule| rule.ports.iter().flatten())
            .map(PortProtocol::words)
            .collect();
        format!(
            "only ports {}, not {}/{}",
            ports.join(", "),
            connection.port,
            connection.protocol.to_ascii_uppercase()
        )
    })
}

/// Any of them fits an echo, which is the only ICMP message that is ever asked about.
pub fn any_icmp(rules: &[IcmpRule], connection: &Connection<'_>) -> PolicyFit {
    let v6 = connection.to.address.is_ipv6();
    let is_echo = |field: &IcmpField| {
        let of_family = (field.family == "IPv6") == v6;
        let number = if v6 { "128" } else { "8" };
        let kind = match &field.r#type {
            Value::String(text) => text.clone(),
            other => other.to_string(),
        };
        of_family && (kind == number || kind == "EchoRequest")
    };
    let echo = connection.protocol.eq_ignore_ascii_case("icmp");
    let mut fields = rules.iter().flat_map(|rule| rule.fields.iter().flatten());
    PolicyFit::when(echo && fields.any(is_echo), "only some ICMP messages")
}

impl PortProtocol {
    fn fit(&self, connection: &Connection<'_>) -> PolicyFit {
        let protocol = match self.protocol.as_str() {
            "" | "ANY" => defined(connection.protocol),
            "TCP" | "UDP" | "SCTP" => self.protocol.eq_ignore_ascii_case(connection.protocol),
            other if defined(connection.protocol) => {
                return PolicyFit::No(format!("{other} is no {}", connection.protocol));
            }
            other => return PolicyFit::Maybe(format!("protocol {other} is not evaluated")),
        };
        if !protocol {
            return PolicyFit::No(String::new());
        }
        let fits = match (self.port.parse::<u16>(), self.end_port) {
            (Ok(0), _) => true,
            (Ok(first), Some(last)) if last >= first => (first..=last).contains(&connection.port),
            (Ok(number), _) => number == connection.port,
            (Err(_), _) if self.port.is_empty() => true,
            (Err(_), _) => match connection.to.pod {
                Some(pod) if pod.host_network => {
                    return PolicyFit::Maybe(format!(
                        "port {} is one of {}, which is on its node's network",
                        self.port,
                        pod.full_name()
                    ));
                }
                Some(pod) => named(pod, &self.port, connection.protocol).any(|port| port == connection.port),
                None => false,
            },
        };
        PolicyFit::when(fits, "")
    }

    fn words(&self) -> String {
        let protocol = if self.protocol.is_empty() {
            "ANY"
        } else {
            &self.protocol
        };
        match (self.port.as_str(), self.end_port.filter(|last| *last != 0)) {
            ("" | "0", _) => format!("all of {protocol}"),
            (first, Some(last)) => format!("{first}-{last}/{protocol}"),
            (port, None) => format!("{port}/{protocol}"),
        }
    }
}
