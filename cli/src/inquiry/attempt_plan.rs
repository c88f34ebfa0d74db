//! What to send: the attempts of one round, by default and as asked. Pure.

use model::attempt::{AttemptSpec, Exchange, Sending};
use std::net::IpAddr;
use std::time::Duration;

/// Connects of one round, when nothing else is asked.
pub const ATTEMPTS: u32 = 3;
/// Milliseconds between two of them; closer together when there are many.
const APART_MS: u64 = 100;
/// The first kind of attempts is started within about this time, in milliseconds.
const SPREAD_MS: u64 = 1_000;
/// How long a connection is held to see whether the peer speaks or resets, in milliseconds.
const HOLD_MS: u64 = 200;
/// Small echo requests of the train, and milliseconds between them.
const ECHOES: (u32, u64) = (20, 10);
/// Echo requests of the path's full size.
const FULL_SIZE: u32 = 2;
/// An echo that takes longer than this will not come, in milliseconds.
const ECHO_TIMEOUT_MS: u64 = 1_000;
/// Most rounds of one watch: each has sockets of its own, with their ports reserved beforehand.
const ROUNDS_MAX: u32 = 600;
/// Port of DNS: its servers answer queries, not empty datagrams.
const DNS_PORT: u16 = 53;

/// What is asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Default, clap::ValueEnum, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Protocol {
    /// Connections.
    #[default]
    Tcp,
    /// Datagrams.
    Udp,
    /// Echo requests.
    Icmp,
}

impl Protocol {
    /// Its name, as evidence has it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Icmp => "icmp",
        }
    }
}

/// How to try.
#[derive(Clone, Debug)]
pub struct AttemptPlan {
    /// Protocol.
    pub protocol: Protocol,
    /// Attempts of the first kind.
    pub attempts: u32,
    /// Given up after this long.
    pub timeout: Duration,
    /// What to exchange.
    pub exchange: Exchange,
    /// Rounds, one a second.
    pub rounds: u32,
}

/// Where from.
#[derive(Clone, Copy, Debug)]
pub struct AttemptSource {
    /// Namespace, by inode.
    pub netns: u32,
    /// Process whose cgroup to send from.
    pub pid: Option<u32>,
}

/// The attempts towards each of these addresses.
#[must_use]
pub fn attempts(from: AttemptSource, to: &[IpAddr], port: Option<u16>, plan: &AttemptPlan) -> Vec<AttemptSpec> {
    let mut specs = Vec::new();
    let timeout_ms = plan.timeout.as_millis() as u64;
    let mut add = |start_ms, timeout_ms, send| {
        let id = specs.len() as u32 + 1;
        specs.push(AttemptSpec {
            id,
            netns: from.netns,
            pid: from.pid,
            start_ms,
            timeout_ms,
            send,
        });
    };
    let apart = APART_MS.min(SPREAD_MS / u64::from(plan.attempts.max(1))).max(1);
    for round in 0..plan.rounds.max(1) {
        let start = u64::from(round) * 1_000;
        for &to in to {
            if plan.protocol != Protocol::Icmp {
                for index in 0..u64::from(plan.attempts) {
                    if let Some(send) = first_kind(plan, to, port.unwrap_or_default()) {
                        add(start + index * apart, timeout_ms, send);
                    }
                }
            }
            if round == 0 || plan.protocol == Protocol::Icmp {
                let echo = |count, packet_bytes| Sending::Echo {
                    to,
                    count,
                    interval_ms: ECHOES.1,
                    packet_bytes,
                    dont_fragment: packet_bytes.is_some(),
                };
                let echo_timeout_ms = timeout_ms.min(ECHO_TIMEOUT_MS);
                add(start, echo_timeout_ms, echo(ECHOES.0.max(plan.attempts), None));
                add(start, echo_timeout_ms, echo(FULL_SIZE, Some(0)));
            }
        }
    }
    specs
}

fn first_kind(plan: &AttemptPlan, to: IpAddr, port: u16) -> Option<Sending> {
    Some(match plan.protocol {
        Protocol::Tcp => Sending::Tcp {
            to,
            port,
            hold_ms: HOLD_MS,
            exchange: exchange_with(&plan.exchange, to, port),
        },
        Protocol::Udp if port == DNS_PORT && plan.exchange == Exchange::None => {
            // Every resolver knows the servers of the root, and asking for them leaves nothing behind.
            Sending::DnsQuery {
                server: to,
                port,
                name: ".".into(),
                qtype: "NS".into(),
            }
        }
        Protocol::Udp => Sending::Udp {
            to,
            port,
            payload: match &plan.exchange {
                Exchange::Text(text) => text.clone(),
                Exchange::Bytes(count) => vec![b'.'; *count as usize],
                Exchange::None | Exchange::Http { .. } => Vec::new(),
            },
        },
        Protocol::Icmp => return None,
    })
}

/// HTTP names the address itself where the user named no host.
fn exchange_with(exchange: &Exchange, to: IpAddr, port: u16) -> Exchange {
    match exchange {
        Exchange::Http { path, host } if host.is_empty() => Exchange::Http {
            path: path.clone(),
            host: std::net::SocketAddr::new(to, port).to_string(),
        },
        other => other.clone(),
    }
}

/// Rounds, one a second, that fit into this time.
#[must_use]
pub fn rounds_in(length: Duration) -> u32 {
    (length.as_secs() as u32).clamp(1, ROUNDS_MAX)
}

/// Milliseconds until the last of them is over, one way or the other.
#[must_use]
pub fn bound_ms(specs: &[AttemptSpec]) -> u64 {
    let length = |spec: &AttemptSpec| {
        let train = match &spec.send {
            Sending::Echo { count, interval_ms, .. } => u64::from(*count) * interval_ms,
            Sending::Tcp { hold_ms, .. } => *hold_ms,
            _ => 0,
        };
        spec.start_ms + spec.timeout_ms + train
    };
    specs.iter().map(length).max().unwrap_or_default()
}

/// One address of the destination for each family that both ends have, the best first.
#[must_use]
pub fn families(source: &[IpAddr], destination: &[IpAddr], only: Option<IpFamily>) -> Vec<IpAddr> {
    let mut chosen: Vec<IpAddr> = Vec::new();
    for address in destination {
        let wanted = only.is_none_or(|family| family.of(*address));
        let new = !chosen.iter().any(|other| other.is_ipv4() == address.is_ipv4());
        if wanted && new {
            chosen.push(*address);
        }
    }
    let both: Vec<IpAddr> = chosen
        .iter()
        .copied()
        .filter(|address| address.is_loopback() || source.iter().any(|other| other.is_ipv4() == address.is_ipv4()))
        .collect();
    // A source without any address of the family is a fault of its own: then it is tried all the same.
    if both.is_empty() { chosen } else { both }
}

/// An IP version.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum IpFamily {
    /// IPv4.
    V4,
    /// IPv6.
    V6,
}

impl IpFamily {
    /// The address is of this version.
    #[must_use]
    pub const fn of(self, address: IpAddr) -> bool {
        matches!((self, address), (Self::V4, IpAddr::V4(_)) | (Self::V6, IpAddr::V6(_)))
    }
}

#[cfg(test)]
mod tests {
    use super::{AttemptPlan, AttemptSource, IpFamily, Protocol, attempts, bound_ms, families};
    use model::attempt::{Exchange, Sending};
    use std::net::IpAddr;
    use std::time::Duration;

    const A: AttemptSource = AttemptSource { netns: 7, pid: None };

    fn plan(protocol: Protocol) -> AttemptPlan {
        AttemptPlan {
            protocol,
            attempts: 3,
            timeout: Duration::from_secs(2),
            exchange: Exchange::None,
            rounds: 1,
        }
    }

    fn to() -> Vec<IpAddr> {
        vec!["10.90.2.2".parse().unwrap()]
    }

    #[test]
    fn a_round_of_tcp_is_three_connects_an_echo_train_and_two_full_size_ones() {
        let specs = attempts(A, &to(), Some(80), &plan(Protocol::Tcp));
        let connects: Vec<u64> = specs
            .iter()
            .filter(|spec| matches!(spec.send, Sending::Tcp { .. }))
            .map(|spec| spec.start_ms)
            .collect();
        assert_eq!(connects, [0, 100, 200]);
        let echoes: Vec<(u32, Option<u32>, bool)> = specs
            .iter()
            .filter_map(|spec| match spec.send {
                Sending::Echo {
                    count,
                    packet_bytes,
                    dont_fragment,
                    ..
                } => Some((count, packet_bytes, dont_fragment)),
                _ => None,
            })
            .collect();
        assert_eq!(echoes, [(20, None, false), (2, Some(0), true)]);
        assert_eq!(bound_ms(&specs), 2_400);
    }

    #[test]
    fn many_attempts_come_closer_together() {
        let specs = attempts(
            A,
            &to(),
            Some(80),
            &AttemptPlan {
                attempts: 50,
                ..plan(Protocol::Tcp)
            },
        );
        let last = specs.iter().map(|spec| spec.start_ms).max();
        assert!(last < Some(1_000), "{last:?}");
    }

    #[test]
    fn port_53_gets_a_query_and_other_ports_an_empty_datagram() {
        let udp = |port| attempts(A, &to(), Some(port), &plan(Protocol::Udp)).remove(0).send;
        assert!(matches!(udp(53), Sending::DnsQuery { .. }));
        assert!(matches!(udp(5353), Sending::Udp { payload, .. } if payload.is_empty()));
    }

    #[test]
    fn numbers_of_attempts_are_unique_over_families_and_rounds() {
        let to: Vec<IpAddr> = vec!["10.0.0.1".parse().unwrap(), "fd90::1".parse().unwrap()];
        let specs = attempts(
            A,
            &to,
            Some(80),
            &AttemptPlan {
                rounds: 3,
                ..plan(Protocol::Tcp)
            },
        );
        let mut ids: Vec<u32> = specs.iter().map(|spec| spec.id).collect();
        ids.dedup();
        assert_eq!(ids.len(), specs.len());
    }

    #[test]
    fn every_family_both_ends_have_is_tried() {
        let (four, six): (IpAddr, IpAddr) = ("10.0.0.1".parse().unwrap(), "fd90::1".parse().unwrap());
        assert_eq!(families(&[four, six], &[four, six], None), [four, six]);
        assert_eq!(families(&[four], &[four, six], None), [four]);
        assert_eq!(families(&[four, six], &[four, six], Some(IpFamily::V6)), [six]);
        assert_eq!(
            families(&[four], &[six], None),
            [six],
            "a missing family is shown by trying it"
        );
    }
}
