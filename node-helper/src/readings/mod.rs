//! Probes that read: numbers of the kernel and of cgroups, read again and again while a window is open, and said as they change.
//!
//! One file of `probes` is one of them, and one line in [`READINGS`]; what facts read already is read by the same code. Times that
//! attached probes count in the kernel are told with the rest. They use `facts`, `identity`, `kernel`, `system` and the usher of
//! `servants`. Who listens is not known here: replies go to a sink.

mod place;
mod probes;
mod rounds;
mod sink;

pub use place::{PodLabel, ReadPlace};
pub use rounds::Rounds;
pub use sink::NumberSink;

use crate::system::door;
use model::missing::Missing;
use model::protocol::ProbeStatus;

/// A probe that reads.
#[derive(Debug)]
pub struct ReadingProbe {
    /// Its name.
    pub name: &'static str,
    /// What it sees.
    pub about: &'static str,
    /// What it costs, in words.
    pub cost: &'static str,
    /// What it reads, for people.
    pub sources: &'static [&'static str],
    /// What a kernel may lack of it: a file, and what it is that is not there.
    pub lacking: Option<(&'static str, &'static str)>,
    /// It reads the node's numbers, once a round, and not each namespace's.
    pub of_node: bool,
    /// Reads the numbers of one place.
    pub read: fn(&mut ReadPlace, &mut NumberSink) -> anyhow::Result<()>,
}

/// Every probe that reads.
pub const READINGS: &[&ReadingProbe] = &[
    &probes::tcp::TCP,
    &probes::tcp::UDP,
    &probes::tcp::TCPEXT,
    &probes::tcp::IP,
    &probes::sock::SOCK,
    &probes::sock::SOCKMEM,
    &probes::tcpsummary::TCPSUMMARY,
    &probes::netdev::NETDEV,
    &probes::qdisc::QDISC,
    &probes::softnet::SOFTNET,
    &probes::conntrack::CONNTRACK,
    &probes::holders::HOLDERS,
    &probes::fd::FD,
    &probes::io::IO,
    &probes::cpu::CPU,
    &probes::process::PROCESS,
    &probes::peers::PEERS,
];

/// The probe of that name.
pub fn find(name: &str) -> Option<&'static ReadingProbe> {
    READINGS.iter().find(|probe| probe.name == name).copied()
}

impl ReadingProbe {
    /// What it can do here, before it is tried.
    pub fn status(&self) -> ProbeStatus {
        let lacking = self.lacking.filter(|(file, _)| door::metadata(file).is_err());
        ProbeStatus {
            unsupported: lacking.map(|(_, why)| self.missing(why)),
            name: self.name.to_owned(),
            about: self.about.to_owned(),
            cost: self.cost.to_owned(),
            reads: true,
            hooks: self.sources.iter().map(|source| (*source).to_owned()).collect(),
            ..ProbeStatus::default()
        }
    }

    /// What it would have read, for this reason.
    pub fn missing(&self, why: impl Into<String>) -> Missing {
        Missing::new(format!("probe {}", self.name), why)
    }
}

#[cfg(test)]
mod tests {
    use super::READINGS;
    use crate::probes::PROBES;
    use model::numbers::{NUMBERS, is_of_node};
    use model::predecessor::PREDECESSOR_PROBES;
    use std::collections::BTreeSet;

    #[test]
    fn every_number_of_the_table_has_a_probe_that_reads_or_counts_it() {
        let mut probes: BTreeSet<&str> = READINGS.iter().map(|probe| probe.name).collect();
        assert_eq!(probes.len(), READINGS.len());
        for probe in READINGS {
            assert_eq!(probe.of_node, is_of_node(probe.name), "{}", probe.name);
        }
        probes.extend(PROBES.iter().map(|probe| probe.name));
        assert_eq!(probes.len(), READINGS.len() + PROBES.len());
        for number in NUMBERS {
            let (probe, _) = number.name.split_once('.').unwrap();
            assert!(probes.contains(probe), "{} is read by no probe", number.name);
        }
        for theirs in PREDECESSOR_PROBES {
            for ours in theirs.ours {
                assert!(
                    probes.contains(ours),
                    "{ours}, which {} is said to be, is no probe",
                    theirs.name()
                );
            }
        }
    }
}
