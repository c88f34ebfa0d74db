//! The two ends as a user writes them: `netns/a:80`, `shop/web-1`, `svc/db:5432`, `[fd90::1]:443`, `db.shop:5432`. Pure text.

use super::object_name::{self, ObjectName};
use crate::exit::WrongUsage;
use anyhow::Result;
use std::net::IpAddr;

/// What was named.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum NamedPlace {
    /// Something the helper finds: `netns/NAME`, `pid/N`, `container/ID`, `host`.
    Site(String),
    /// An object of a cluster.
    Object(ObjectName),
    /// An address.
    Address(IpAddr),
    /// A DNS name, to be resolved from the source.
    Name(String),
}

/// One end: a place and perhaps a port.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NamedEnd {
    /// The place.
    pub place: NamedPlace,
    /// The port after the colon.
    pub port: Option<u16>,
    /// Or the name of a port, which an object of a cluster may have.
    pub port_name: Option<String>,
}

/// What names mean, which depends on where they are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Grammar {
    /// On one machine: namespaces, processes, containers.
    Machine,
    /// In a cluster: its objects.
    Cluster,
    /// In a recording of either: what a machine could mean is meant so.
    Recorded,
}

/// Kinds of endpoints of a site, with what follows the slash.
pub const SITE_KINDS: [(&str, &str); 3] = [("netns", "NAME"), ("pid", "N"), ("container", "ID")];

impl NamedEnd {
    /// The place as the user wrote it.
    #[must_use]
    pub fn asked(&self) -> String {
        match &self.place {
            NamedPlace::Site(text) | NamedPlace::Name(text) => text.clone(),
            NamedPlace::Object(object) => object.to_string(),
            NamedPlace::Address(address) => address.to_string(),
        }
    }

    fn at(place: NamedPlace, port: Option<u16>) -> Self {
        Self {
            place,
            port,
            port_name: None,
        }
    }
}

impl Grammar {
    /// What can be written as an endpoint.
    const fn forms(self) -> &'static str {
        match self {
            Self::Machine => "netns/NAME, pid/N, container/ID, host, an address or a name",
            Self::Cluster | Self::Recorded => "[KIND/][NAMESPACE/]NAME, an address or a host name",
        }
    }

    /// Parses the end that sends: it must be a place that can be entered.
    pub fn source(self, text: &str) -> Result<NamedEnd> {
        let target = self.destination(text)?;
        if target.port.is_some() || target.port_name.is_some() {
            return Err(WrongUsage::error(format!(
                "the source `{text}` has a port, but source ports are chosen per attempt; write `{}`",
                target.asked()
            )));
        }
        match target.place {
            NamedPlace::Site(_) => Ok(target),
            NamedPlace::Object(ref object) if object.kind != Some(object_name::ObjectKind::Service) => Ok(target),
            // A bare name: what it was, the recording says.
            NamedPlace::Name(_) if matches!(self, Self::Recorded) => Ok(target),
            _ => {
                let forms = match self {
                    Self::Machine => "name it as netns/NAME, pid/N, container/ID or host",
                    Self::Cluster | Self::Recorded => "name a pod, a workload (deploy/NAME) or a node (node/NAME)",
                };
                Err(WrongUsage::error(format!(
                    "the source `{text}` is no place to send from; {forms}"
                )))
            }
        }
    }

    /// Parses the end that should answer.
    pub fn destination(self, text: &str) -> Result<NamedEnd> {
        if text.is_empty() {
            return Err(WrongUsage::error(format!(
                "an endpoint is empty; write {}",
                self.forms()
            )));
        }
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(NamedEnd::at(NamedPlace::Address(address), None));
        }
        if let Some(rest) = text.strip_prefix('[') {
            return bracketed(rest, text);
        }
        let (place, after) = match text.rsplit_once(':') {
            Some((place, after)) => (place, Some(after)),
            None => (text, None),
        };
        let place = self.place(place)?;
        match (after, &place) {
            (None, _) => Ok(NamedEnd::at(place, None)),
            (Some(name), NamedPlace::Object(_)) if object_name::is_port_name(name) => Ok(NamedEnd {
                place,
                port: None,
                port_name: Some(name.to_owned()),
            }),
            // A bare name: which of a service's ports it was, the recording says.
            (Some(name), NamedPlace::Name(_)) if matches!(self, Self::Recorded) && object_name::is_port_name(name) => {
                Ok(NamedEnd {
                    place,
                    port: None,
                    port_name: Some(name.to_owned()),
                })
            }
            (Some(digits), _) => Ok(NamedEnd::at(place, Some(port(digits, text)?))),
        }
    }

    fn place(self, text: &str) -> Result<NamedPlace> {
        if let Ok(address) = text.parse::<IpAddr>() {
            return Ok(NamedPlace::Address(address));
        }
        match self {
            Self::Machine => on_machine(text),
            Self::Cluster => in_cluster(text),
            Self::Recorded => on_machine(text).or_else(|_| in_cluster(text)),
        }
    }
}

fn bracketed(rest: &str, text: &str) -> Result<NamedEnd> {
    let (inside, after) = rest.split_once(']').ok_or_else(|| {
        WrongUsage::error(format!(
            "`{text}` opens a bracket and does not close it; write [ADDRESS]:PORT"
        ))
    })?;
    let address = inside
        .parse()
        .map_err(|_| WrongUsage::error(format!("`{inside}` is no IPv6 address; write [ADDRESS]:PORT")))?;
    let port = match after.strip_prefix(':') {
        Some(digits) => Some(port(digits, text)?),
        None if after.is_empty() => None,
        None => {
            return Err(WrongUsage::error(format!(
                "`{after}` follows the bracket of `{text}`; write [ADDRESS]:PORT"
            )));
        }
    };
    Ok(NamedEnd::at(NamedPlace::Address(address), port))
}

/// Parses a port that stands alone.
pub fn port_number(text: &str) -> Result<u16> {
    port(text, text)
}

fn port(digits: &str, text: &str) -> Result<u16> {
    match digits.parse::<u64>() {
        Ok(number @ 1..=65535) => Ok(number as u16),
        Ok(number) => Err(WrongUsage::error(format!(
            "port {number} is out of range; ports are 1 to 65535"
        ))),
        Err(_) if !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit()) => Err(WrongUsage::error(
            format!("port {digits} is out of range; ports are 1 to 65535"),
        )),
        Err(_) => Err(WrongUsage::error(format!(
            "`{digits}` in `{text}` is no port; write a number from 1 to 65535"
        ))),
    }
}

fn on_machine(text: &str) -> Result<NamedPlace> {
    if text == "host" {
        return Ok(NamedPlace::Site(text.to_owned()));
    }
    if let Some((kind, rest)) = text.split_once('/') {
        if let Some((kind, form)) = SITE_KINDS.into_iter().find(|(name, _)| *name == kind) {
            let good = match kind {
                "pid" => rest.parse::<u32>().is_ok_and(|pid| pid > 0),
                "container" => rest.len() >= 4 && rest.bytes().all(|byte| byte.is_ascii_hexdigit()),
                _ => !rest.is_empty(),
            };
            return if good {
                Ok(NamedPlace::Site(text.to_owned()))
            } else if kind == "container" {
                Err(WrongUsage::error(format!(
                    "`{text}` is no container; write container/ID with at least 4 hex digits of its id"
                )))
            } else {
                Err(WrongUsage::error(format!(
                    "`{text}` is no endpoint; write {kind}/{form}"
                )))
            };
        }
        let hint = crate::names::hint(kind, SITE_KINDS.iter().map(|(name, _)| *name));
        if object_name::ObjectKind::of(kind).is_none() && !hint.is_empty() {
            return Err(WrongUsage::error(format!("`{kind}/` is no kind of endpoint{hint}")));
        }
        return Err(WrongUsage::error(format!(
            "`{text}` names a Kubernetes object, and --local looks at this machine alone; \
             write netns/NAME, pid/N, container/ID or host, or leave --local out to look at the cluster"
        )));
    }
    host_name(text, Grammar::Machine)
}

fn in_cluster(text: &str) -> Result<NamedPlace> {
    match object_name::parse(text)? {
        Some(object) => Ok(NamedPlace::Object(object)),
        None => host_name(text, Grammar::Cluster),
    }
}

fn host_name(text: &str, grammar: Grammar) -> Result<NamedPlace> {
    let label = |label: &str| {
        !label.is_empty()
            && label.len() <= 63
            && label
                .bytes()
                .all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
    };
    let name = text.strip_suffix('.').unwrap_or(text);
    if name.len() <= 253
        && !name.is_empty()
        && name.split('.').all(label)
        && !name.bytes().all(|byte| byte.is_ascii_digit() || byte == b'.')
    {
        Ok(NamedPlace::Name(text.to_owned()))
    } else {
        Err(WrongUsage::error(format!(
            "`{text}` is neither an endpoint, an address nor a DNS name; write {}",
            grammar.forms()
        )))
    }
}

/// Checks that a DNS name can be asked for.
pub fn dns_name(text: &str) -> Result<String> {
    if let Ok(address) = text.parse::<IpAddr>() {
        return Err(WrongUsage::error(format!(
            "{address} is an address and needs no lookup; give a name"
        )));
    }
    match host_name(text, Grammar::Machine) {
        Ok(NamedPlace::Name(name)) => Ok(name),
        _ => Err(WrongUsage::error(format!(
            "`{text}` is no DNS name: labels of letters, digits and `-`, up to 63 each, joined by dots"
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::{Grammar, NamedPlace, dns_name};
    use crate::inquiry::object_name::ObjectKind;

    #[test]
    fn ends_are_read_as_people_write_them() {
        let cases = [
            ("netns/a:80", NamedPlace::Site("netns/a".into()), Some(80)),
            (
                "netns//run/netns/a",
                NamedPlace::Site("netns//run/netns/a".into()),
                None,
            ),
            ("pid/4711", NamedPlace::Site("pid/4711".into()), None),
            ("host:22", NamedPlace::Site("host".into()), Some(22)),
            ("10.90.2.2:53", NamedPlace::Address([10, 90, 2, 2].into()), Some(53)),
            ("::1", NamedPlace::Address("::1".parse().unwrap()), None),
            (
                "[fd90:2::2]:443",
                NamedPlace::Address("fd90:2::2".parse().unwrap()),
                Some(443),
            ),
            ("[::1]", NamedPlace::Address("::1".parse().unwrap()), None),
            ("db.shop:5432", NamedPlace::Name("db.shop".into()), Some(5432)),
            (
                "db.shop.svc.cluster.local.",
                NamedPlace::Name("db.shop.svc.cluster.local.".into()),
                None,
            ),
        ];
        for (text, place, port) in cases {
            let target = Grammar::Machine.destination(text).unwrap();
            assert_eq!((target.place, target.port), (place, port), "{text}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused_with_what_to_write() {
        for (text, says) in [
            ("netns/c:0", "1 to 65535"),
            ("netns/c:65536", "1 to 65535"),
            ("netns/c:99999999999999999999999", "1 to 65535"),
            ("netns/c:http", "no port"),
            ("netns/c:", "no port"),
            ("netns/", "netns/NAME"),
            ("pid/zero", "pid/N"),
            ("pid/0", "pid/N"),
            ("container/xyz", "hex digits"),
            ("[::1", "bracket"),
            ("[::1]80", "bracket"),
            ("[nope]:80", "IPv6"),
            ("", "empty"),
            ("netsn/a", "did you mean `netns`"),
            ("pod/web", "cluster"),
            ("shop/web", "cluster"),
            ("a b", "neither"),
            ("300.1.1.1:80", "neither"),
        ] {
            let error = Grammar::Machine.destination(text).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
    }

    #[test]
    fn a_source_is_a_place_to_send_from() {
        let source = |text| Grammar::Machine.source(text);
        assert!(source("netns/a").is_ok());
        assert!(source("netns/a:80").unwrap_err().to_string().contains("source ports"));
        assert!(source("10.0.0.1").unwrap_err().to_string().contains("netns/NAME"));
    }

    #[test]
    fn ends_of_a_cluster_are_objects_addresses_and_names_outside() {
        let target = Grammar::Cluster.destination("svc/shop/db:pg").unwrap();
        let NamedPlace::Object(object) = &target.place else {
            panic!("{target:?}")
        };
        assert_eq!(object.kind, Some(ObjectKind::Service));
        assert_eq!(object.namespace.as_deref(), Some("shop"));
        assert_eq!((object.name.as_str(), target.port_name.as_deref()), ("db", Some("pg")));
        assert_eq!(target.asked(), "svc/shop/db");
        let cases = [
            ("10.90.2.2:53", NamedPlace::Address([10, 90, 2, 2].into()), Some(53)),
            (
                "[fd90::1]:443",
                NamedPlace::Address("fd90::1".parse().unwrap()),
                Some(443),
            ),
            (
                "api.example.com.:443",
                NamedPlace::Name("api.example.com.".into()),
                Some(443),
            ),
        ];
        for (text, place, port) in cases {
            let target = Grammar::Cluster.destination(text).unwrap();
            assert_eq!((target.place, target.port), (place, port), "{text}");
        }
        assert!(
            Grammar::Cluster
                .source("svc/web")
                .unwrap_err()
                .to_string()
                .contains("deploy/NAME")
        );
        assert!(Grammar::Cluster.source("10.0.0.1").is_err());
    }

    #[test]
    fn a_recording_means_what_was_meant() {
        let recorded = |text| Grammar::Recorded.destination(text).unwrap().place;
        assert_eq!(recorded("netns/a:80"), NamedPlace::Site("netns/a".into()));
        assert!(matches!(recorded("shop/web:80"), NamedPlace::Object(_)));
        let named = Grammar::Recorded.destination("web:http").unwrap();
        assert_eq!(
            (named.place, named.port_name.as_deref()),
            (NamedPlace::Name("web".into()), Some("http"))
        );
    }

    #[test]
    fn a_lookup_wants_a_name() {
        assert_eq!(dns_name("api.default.svc").unwrap(), "api.default.svc");
        assert!(
            dns_name("10.0.0.1")
                .unwrap_err()
                .to_string()
                .contains("needs no lookup")
        );
        assert!(dns_name("a..b").is_err());
    }
}
