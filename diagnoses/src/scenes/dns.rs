//! Hand-made lookups for the tests of the DNS rules: pod a asks the name server in c.

use crate::scenes::{self, Scene};
use model::attempt::{DnsExchange, DnsLookup, Outcome};
use model::errno::Errno;
use model::event::Seen;
use model::evidence::Intent;
use model::facts::ResolvConf;
use model::flow::{Flow, UDP};
use model::missing::Known;

/// A lookup in the making.
#[derive(Clone, Debug)]
pub struct LookupScene {
    dns: DnsLookup,
    took_ns: u64,
    late: Vec<(usize, u64)>,
}

fn flow() -> Flow {
    Flow::new(UDP, "10.90.1.2:40000".parse().unwrap(), "10.90.2.2:53".parse().unwrap())
}

impl LookupScene {
    /// A lookup of a name.
    pub fn of(name: &str) -> Self {
        Self {
            dns: DnsLookup {
                name: name.to_owned(),
                ..DnsLookup::default()
            },
            took_ns: 0,
            late: Vec::new(),
        }
    }

    fn query(mut self, name: &str, latency_ms: Option<u64>, rcode: Option<&str>, answers: u16) -> Self {
        self.dns.queries.push(DnsExchange {
            flow: flow(),
            id: u16::try_from(self.dns.queries.len()).unwrap() + 1,
            name: name.to_owned(),
            qtype: "A".to_owned(),
            sent_ns: self.took_ns,
            latency_ns: latency_ms.map(|ms| ms * 1_000_000),
            rcode: rcode.map(str::to_owned),
            answers,
            ..DnsExchange::default()
        });
        self.took_ns += latency_ms.unwrap_or(2_000) * 1_000_000;
        if answers > 0 {
            self.dns.addresses.push(scenes::ip("10.96.0.1"));
            self.dns.found = Some(name.to_owned());
        }
        self
    }

    /// A query that is answered at once.
    pub fn says(self, name: &str, rcode: &str, answers: u16) -> Self {
        self.query(name, Some(1), Some(rcode), answers)
    }

    /// A query that is answered with an address after so long.
    pub fn takes(self, name: &str, ms: u64) -> Self {
        self.query(name, Some(ms), Some("NOERROR"), 1)
    }

    /// A query that is never answered.
    pub fn silence(self, name: &str) -> Self {
        self.query(name, None, None, 0)
    }

    /// A query whose answer comes after it was given up.
    pub fn late(mut self, name: &str, ms: u64) -> Self {
        self = self.query(name, None, None, 0);
        self.late.push((self.dns.queries.len() - 1, ms * 1_000_000));
        if let Some(query) = self.dns.queries.last_mut() {
            query.late_ns = Some(ms * 1_000_000);
        }
        self
    }

    /// The run in which it was made.
    pub fn scene(self) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.evidence.intent = Intent::Dns;
        scene.evidence.protocol = "udp".to_owned();
        scene.evidence.destination.port = Some(53);
        scene.evidence.source.resolv = Known::Known(ResolvConf {
            nameservers: vec![scenes::ip("10.90.2.2")],
            ndots: 1,
            ..ResolvConf::default()
        });
        scene.watch(0, flow());
        let found = !self.dns.addresses.is_empty();
        let heard = self.dns.queries.iter().all(|query| query.rcode.is_some());
        scene.walk_to(0, flow(), scenes::C, "eth0");
        let outcome = if found {
            Outcome::Ok
        } else if heard {
            Outcome::Error {
                during: "lookup".to_owned(),
                errno: Errno::default(),
            }
        } else {
            Outcome::TimedOut {
                during: "read".to_owned(),
            }
        };
        let (took_ns, dns) = (self.took_ns, self.dns);
        let attempt = scene.attempt(0, flow(), outcome);
        "dns".clone_into(&mut attempt.kind);
        (attempt.took_ns, attempt.dns) = (took_ns, Some(dns.clone()));
        for (index, latency_ns) in self.late {
            let query = &dns.queries[index];
            scene.saw(
                scenes::A,
                "eth0",
                flow().reversed(),
                Seen::DnsAnswer {
                    id: query.id,
                    name: query.name.clone(),
                    qtype: query.qtype.clone(),
                    rcode: "NOERROR".to_owned(),
                    answers: 1,
                    truncated: false,
                    latency_ns,
                },
            );
        }
        scene
    }
}
