//! How many sockets there are, by protocol and state.

use super::{Fact, Look, sockets};
use crate::system::netlink::Netlink;
use model::facts::NetnsFacts;
use model::flow::{TCP, address};
use std::collections::BTreeMap;
use std::net::SocketAddr;

pub(super) const FACT: Fact = Fact {
    name: "socket_counts",
    moves: true,
    read: |look, facts: &mut NetnsFacts| facts.socket_counts = look.known("socket counts", read(look)),
};

/// Beyond this many TCP sockets their states are not counted one by one.
const COUNTED_MAX: u64 = 50_000;

/// From `sockstat`: `tcp inuse`, `tcp TIME_WAIT`, `tcp orphan`, `udp inuse`, `frag inuse`... From the sockets: `tcp STATE`, and
/// for each watched target `tcp to ADDRESS:PORT`.
fn read(look: &Look) -> anyhow::Result<BTreeMap<String, u64>> {
    let mut counts = parse_sockstat(&look.proc_net("sockstat")?);
    if let Ok(text) = look.proc_net("sockstat6") {
        counts.extend(parse_sockstat(&text));
    }
    let all: u64 = ["tcp inuse", "tcp6 inuse", "tcp TIME_WAIT"]
        .iter()
        .filter_map(|name| counts.get(*name))
        .sum();
    if all <= COUNTED_MAX {
        count_states(look, &mut counts)?;
    }
    Ok(counts)
}

pub(crate) fn parse_sockstat(text: &str) -> BTreeMap<String, u64> {
    text.lines()
        .filter_map(|line| line.split_once(':'))
        .flat_map(|(protocol, rest)| {
            let words: Vec<&str> = rest.split_whitespace().collect();
            let protocol = protocol.to_lowercase();
            words
                .chunks_exact(2)
                .filter_map(|pair| {
                    let name = if pair[0] == "tw" { "TIME_WAIT" } else { pair[0] };
                    Some((format!("{protocol} {name}"), pair[1].parse().ok()?))
                })
                .collect::<Vec<_>>()
        })
        .collect()
}

fn count_states(look: &Look, counts: &mut BTreeMap<String, u64>) -> anyhow::Result<()> {
    // sockstat counts TIME_WAIT too, of all namespaces on older kernels.
    counts.remove("tcp TIME_WAIT");
    let mut diag = Netlink::open(libc::NETLINK_SOCK_DIAG)?;
    for socket in sockets::brief(&mut diag, TCP)? {
        *counts.entry(format!("tcp {}", socket.state)).or_default() += 1;
        let to = (socket.flow.daddr, socket.flow.dport);
        if look
            .ask
            .flows
            .iter()
            .any(|flow| flow.protocol == TCP && (flow.daddr, flow.dport) == to)
        {
            let to = SocketAddr::new(address(to.0), to.1);
            *counts.entry(format!("tcp to {to}")).or_default() += 1;
        }
    }
    counts.entry("tcp TIME_WAIT".to_owned()).or_default();
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::parse_sockstat;

    #[test]
    fn sockstat_is_read_by_protocol_and_word() {
        let counts = parse_sockstat("sockets: used 20\nTCP: inuse 1 orphan 2 tw 3 alloc 3 mem 253\nUDP6: inuse 4\n");
        assert_eq!(counts["tcp inuse"], 1);
        assert_eq!(counts["tcp orphan"], 2);
        assert_eq!(counts["tcp TIME_WAIT"], 3);
        assert_eq!(counts["udp6 inuse"], 4);
    }
}
