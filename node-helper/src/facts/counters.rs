//! `snmp`, `netstat` and `snmp6` counters, by name: their order differs between kernels.

use super::{Fact, Look};
use anyhow::Context as _;
use model::facts::NetnsFacts;
use std::collections::BTreeMap;

pub(super) const FACT: Fact = Fact {
    name: "counters",
    moves: true,
    read: |look, facts: &mut NetnsFacts| facts.counters = look.known("counters", read(look)),
};

fn read(look: &Look) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut counters = BTreeMap::new();
    for file in ["snmp", "netstat"] {
        let text = look.proc_net(file).with_context(|| format!("cannot read {file}"))?;
        counters.extend(parse_pairs(&text));
    }
    // Absent where IPv6 is.
    if let Ok(text) = look.proc_net("snmp6") {
        counters.extend(parse_list(&text));
    }
    // Most never counted anything, and four fifths of the answer would be zeros.
    counters.retain(|_, value| *value != 0);
    Ok(counters)
}

/// A line of names and a line of values, both headed by the protocol. A limit that is not set (-1) is no counter.
pub(crate) fn parse_pairs(text: &str) -> BTreeMap<String, u64> {
    let lines: Vec<&str> = text.lines().collect();
    lines
        .chunks_exact(2)
        .filter_map(|pair| Some((pair[0].split_once(':')?, pair[1].split_once(':')?)))
        .filter(|((name, _), (again, _))| name == again)
        .flat_map(|((protocol, names), (_, values))| {
            names
                .split_whitespace()
                .zip(values.split_whitespace())
                .filter_map(move |(name, value)| Some((format!("{protocol}.{name}"), value.parse().ok()?)))
        })
        .collect()
}

/// A name and a value a line, the protocol at the head of the name.
pub(crate) fn parse_list(text: &str) -> BTreeMap<String, u64> {
    const PROTOCOLS: [&str; 4] = ["Ip6", "Icmp6", "UdpLite6", "Udp6"];
    text.lines()
        .filter_map(|line| {
            let (name, value) = line.split_once(char::is_whitespace)?;
            let protocol = PROTOCOLS.iter().find(|protocol| name.starts_with(**protocol))?;
            Some((
                format!("{protocol}.{}", &name[protocol.len()..]),
                value.trim().parse().ok()?,
            ))
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{parse_list, parse_pairs};

    #[test]
    fn names_and_values_are_joined_by_protocol() {
        let counters = parse_pairs(
            "Tcp: RtoAlgorithm RtoMin MaxConn OutRsts\nTcp: 1 200 -1 7\n\
             TcpExt: SyncookiesSent ListenOverflows\nTcpExt: 0 24\n",
        );
        assert_eq!(counters["Tcp.OutRsts"], 7);
        assert_eq!(counters["TcpExt.ListenOverflows"], 24);
        assert!(!counters.contains_key("Tcp.MaxConn"));
    }

    #[test]
    fn ipv6_names_get_the_same_shape() {
        let counters = parse_list("Ip6InNoRoutes                   \t3\nUdpLite6InErrors\t1\nIcmp6OutType135\t2\n");
        assert_eq!(counters["Ip6.InNoRoutes"], 3);
        assert_eq!(counters["UdpLite6.InErrors"], 1);
        assert_eq!(counters["Icmp6.OutType135"], 2);
    }
}
