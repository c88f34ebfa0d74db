//! Members of the address sets that iptables' rules ask for, by netlink (`linux/netfilter/ipset/ip_set.h`).
//!
//! A set that is too large, or that a newer kernel tells in a way that is not known here, is left out: whether a packet is in
//! it cannot be told then.

use crate::system::netlink::{Budget, Netlink, address, at, attribute, attributes, each_of, hardware, text};
use anyhow::Context as _;
use model::facts::IpSet;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::time::Duration;

/// Members that are carried for one namespace, at most.
const MEMBERS_MAX: usize = 10_000;
/// Bytes of sets that are read, at most, also of those that no rule asks for.
const BYTES_MAX: usize = 32 << 20;
const PATIENCE: Duration = Duration::from_secs(2);

const NFGENMSG_BYTES: usize = 4;
const NFNL_SUBSYS_IPSET: u16 = 6;
const LIST: u16 = NFNL_SUBSYS_IPSET << 8 | 7;
const PROTOCOL: u16 = 1;
/// The oldest protocol that kernels speak (`IPSET_PROTOCOL_MIN`).
const PROTOCOL_MIN: u8 = 6;
const SETNAME: u16 = 2;
const TYPENAME: u16 = 3;
const DATA: u16 = 7;
const ADT: u16 = 8;
// Of a set
const NETMASK: u16 = 20;
const BITMASK: u16 = 27;
// Of a member
const IP: u16 = 1;
const IP_TO: u16 = 2;
const CIDR: u16 = 3;
const PORT: u16 = 4;
const PORT_TO: u16 = 5;
const PROTO: u16 = 7;
const FLAGS: u16 = 8;
const MARK: u16 = 10;
const ETHER: u16 = 17;
const NAME: u16 = 18;
const IP2: u16 = 20;
const CIDR2: u16 = 21;
const IFACE: u16 = 23;
// `IPSET_FLAG_*` of a member
const PHYSDEV: u32 = 1 << 1;
const NOMATCH: u32 = 1 << 2;
const WILDCARD: u32 = 1 << 7;

/// The sets that rules ask for, with those that such sets are made of.
///
/// # Errors
/// The kernel did not answer, or told too much.
pub(super) fn read(wanted: &BTreeSet<String>) -> anyhow::Result<BTreeMap<String, IpSet>> {
    let mut netlink = Netlink::open(libc::NETLINK_NETFILTER)?.within(Budget::new(BYTES_MAX, PATIENCE));
    let mut request = vec![0; NFGENMSG_BYTES];
    attribute(&mut request, PROTOCOL, &[PROTOCOL_MIN]);
    let mut sets = Sets::default();
    netlink
        .dump_once(LIST, &request, |_, body| sets.add(body))
        .context("cannot list sets of addresses")?;
    Ok(sets.of(wanted))
}

/// All sets that these messages tell, which come one after another as the kernel sends them.
pub(super) fn told(messages: &[u8]) -> anyhow::Result<BTreeMap<String, IpSet>> {
    let mut sets = Sets::default();
    each_of(messages, |_, body| sets.add(body))?;
    let all = sets.sets.keys().cloned().collect();
    Ok(sets.of(&all))
}

/// Sets while they are told, piece by piece.
#[derive(Default)]
struct Sets {
    sets: BTreeMap<String, Told>,
}

#[derive(Default)]
struct Told {
    kind: String,
    netmask: Option<u8>,
    /// Members; `None` once one of them made no sense, or there were too many.
    members: Option<Vec<String>>,
}

impl Sets {
    /// One message: a set's head, members, or both.
    fn add(&mut self, body: &[u8]) {
        let Some(told) = body.get(NFGENMSG_BYTES..) else { return };
        let of = |wanted: u16| {
            attributes(told)
                .find(|(kind, _)| *kind == wanted)
                .map(|(_, value)| value)
        };
        let Some(name) = of(SETNAME).map(text) else { return };
        let set = self.sets.entry(name).or_default();
        if let Some(kind) = of(TYPENAME) {
            set.kind = text(kind);
            set.members = Some(Vec::new());
            for (kind, value) in attributes(of(DATA).unwrap_or_default()) {
                match kind {
                    NETMASK => set.netmask = value.first().copied(),
                    // Addresses are masked before they are looked up, in a way that no prefix says.
                    BITMASK => set.members = None,
                    _ => {}
                }
            }
        }
        for (_, data) in attributes(of(ADT).unwrap_or_default()).filter(|(kind, _)| *kind == DATA) {
            let Some(members) = &mut set.members else { return };
            match member(&set.kind, set.netmask, data).filter(|_| members.len() < MEMBERS_MAX) {
                Some(member) => members.push(member),
                None => set.members = None,
            }
        }
    }

    /// Those that are wanted and known whole, the smallest first until there are too many members.
    fn of(mut self, wanted: &BTreeSet<String>) -> BTreeMap<String, IpSet> {
        let in_lists: BTreeSet<String> = wanted
            .iter()
            .filter_map(|name| self.sets.get(name))
            .filter(|set| set.kind == "list:set")
            .flat_map(|set| set.members.iter().flatten().cloned())
            .collect();
        let mut known: Vec<(String, IpSet)> = wanted
            .union(&in_lists)
            .filter_map(|name| {
                let told = self.sets.remove(name)?;
                let members = told.members?;
                Some((
                    name.clone(),
                    IpSet {
                        kind: told.kind,
                        members,
                    },
                ))
            })
            .collect();
        known.sort_by_key(|(_, set)| set.members.len());
        let mut left = MEMBERS_MAX;
        known
            .into_iter()
            .map_while(|(name, set)| {
                left = left.checked_sub(set.members.len())?;
                Some((name, set))
            })
            .collect()
    }
}

/// A member as `ipset` writes it, part by part as the set's type says: `10.0.0.0/8,tcp:80`.
fn member(kind: &str, netmask: Option<u8>, data: &[u8]) -> Option<String> {
    let of = |wanted: u16| {
        attributes(data)
            .find(|(kind, _)| *kind == wanted)
            .map(|(_, value)| value)
    };
    let flags = of(FLAGS).map_or(Some(0), |value| at(value, 0).map(u32::from_be_bytes))?;
    let (_, parts) = kind.split_once(':')?;
    let mut first = true;
    let parts: Option<Vec<String>> = parts
        .split(',')
        .map(|part| match part {
            "ip" | "net" => {
                let (ip, cidr) = if first { (IP, CIDR) } else { (IP2, CIDR2) };
                let prefix = of(cidr)
                    .and_then(|value| value.first().copied())
                    .or_else(|| netmask.filter(|_| first));
                // A range is not told in members of today's sets.
                if first && of(IP_TO).is_some() {
                    return None;
                }
                first = false;
                let address = told_address(of(ip)?)?;
                Some(prefix.map_or_else(|| address.to_string(), |prefix| format!("{address}/{prefix}")))
            }
            "port" => {
                let port = of(PORT).and_then(|value| at(value, 0)).map(u16::from_be_bytes)?;
                if of(PORT_TO).is_some() {
                    return None;
                }
                Some(match of(PROTO).and_then(|value| value.first()) {
                    Some(number) => format!("{}:{port}", super::iptables::xt::protocol(u16::from(*number))),
                    None => port.to_string(),
                })
            }
            "iface" => {
                let name = text(of(IFACE)?);
                let physical = if flags & PHYSDEV != 0 { "physdev:" } else { "" };
                let rest = if flags & WILDCARD != 0 { "+" } else { "" };
                Some(format!("{physical}{name}{rest}"))
            }
            "mac" => of(ETHER).map(hardware),
            "mark" => of(MARK)
                .and_then(|value| at(value, 0))
                .map(|mark| format!("{:#x}", u32::from_be_bytes(mark))),
            "set" => of(NAME).map(text),
            _ => None,
        })
        .collect();
    let not = if flags & NOMATCH != 0 { " nomatch" } else { "" };
    parts.map(|parts| format!("{}{not}", parts.join(",")))
}

/// An address nested as one of IPv4 or IPv6.
fn told_address(nested: &[u8]) -> Option<IpAddr> {
    attributes(nested).find_map(|(_, value)| address(value))
}

#[cfg(test)]
mod tests {
    use super::{ADT, CIDR, DATA, FLAGS, IP, NETMASK, PORT, PROTO, SETNAME, Sets, TYPENAME};
    use crate::system::netlink::attribute;
    use model::facts::IpSet;
    use std::collections::BTreeSet;

    fn nested(kind: u16, fill: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
        let (mut inner, mut outer) = (Vec::new(), Vec::new());
        fill(&mut inner);
        attribute(&mut outer, kind, &inner);
        outer
    }

    fn message(name: &str, kind: Option<&str>, netmask: Option<u8>, members: &[Vec<u8>]) -> Vec<u8> {
        let mut body = vec![2, 0, 0, 0];
        attribute(&mut body, SETNAME, format!("{name}\0").as_bytes());
        if let Some(kind) = kind {
            attribute(&mut body, TYPENAME, format!("{kind}\0").as_bytes());
            body.extend(nested(DATA, |data| {
                if let Some(netmask) = netmask {
                    attribute(data, NETMASK, &[netmask]);
                }
            }));
        }
        body.extend(nested(ADT, |adt| {
            for member in members {
                attribute(adt, DATA, member);
            }
        }));
        body
    }

    fn ip(octets: [u8; 4]) -> Vec<u8> {
        nested(IP, |data| attribute(data, 1, &octets))
    }

    fn with(mut member: Vec<u8>, kind: u16, value: &[u8]) -> Vec<u8> {
        attribute(&mut member, kind, value);
        member
    }

    fn wanted(names: &[&str]) -> BTreeSet<String> {
        names.iter().map(|name| (*name).to_owned()).collect()
    }

    #[test]
    fn a_set_is_told_in_pieces_and_each_member_by_the_parts_of_its_type() {
        let mut sets = Sets::default();
        sets.add(&message(
            "nets",
            Some("hash:net"),
            None,
            &[with(ip([10, 0, 0, 0]), CIDR, &[8])],
        ));
        let hole = with(with(ip([10, 1, 0, 0]), CIDR, &[16]), FLAGS, &4_u32.to_be_bytes());
        sets.add(&message("nets", None, None, &[hole]));
        let web = with(with(ip([10, 0, 0, 7]), PROTO, &[6]), PORT, &80_u16.to_be_bytes());
        sets.add(&message("ports", Some("hash:ip,port"), None, &[web]));
        sets.add(&message("masked", Some("hash:ip"), Some(24), &[ip([10, 0, 5, 0])]));
        sets.add(&message("other", Some("hash:ip"), None, &[]));
        let read = sets.of(&wanted(&["nets", "ports", "masked", "gone"]));
        let members = |name: &str| read.get(name).map(|set: &IpSet| set.members.join(" | "));
        assert_eq!(members("nets").unwrap(), "10.0.0.0/8 | 10.1.0.0/16 nomatch");
        assert_eq!(members("ports").unwrap(), "10.0.0.7,tcp:80");
        assert_eq!(members("masked").unwrap(), "10.0.5.0/24");
        assert_eq!((members("other"), members("gone")), (None, None));
    }

    #[test]
    fn a_set_with_a_member_that_makes_no_sense_is_left_out() {
        let mut sets = Sets::default();
        sets.add(&message("odd", Some("hash:ip"), None, &[ip([10, 0, 0, 7]), Vec::new()]));
        sets.add(&message("new", Some("hash:colour"), None, &[ip([10, 0, 0, 7])]));
        assert!(sets.of(&wanted(&["odd", "new"])).is_empty());
    }
}
