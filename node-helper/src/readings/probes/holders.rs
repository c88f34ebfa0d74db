//! `holders`: who holds the entries of a table of tracked connections: sources, destinations, and pairs of both.

use crate::facts::conntrack;
use crate::readings::{NumberSink, ReadingProbe};
use crate::servants::usher::KernelFile;
use crate::system::netlink::Budget;
use anyhow::Context as _;
use model::flow::{Flow, has_ports, protocol_name};
use std::cmp::Reverse;
use std::collections::HashMap;
use std::hash::Hash;
use std::net::IpAddr;
use std::time::Duration;

/// Bytes of a table that are read, at most: some million entries.
const BYTES_MAX: usize = 256 << 20;
/// How long a table is read, at most.
const PATIENCE: Duration = Duration::from_secs(2);
/// Holders of each kind that are told: those with the most entries.
const TOLD: usize = 10;
/// Holders of each kind that are counted one by one.
const COUNTED: usize = 65_536;

/// See [`crate::readings::READINGS`].
pub const HOLDERS: ReadingProbe = ReadingProbe {
    name: "holders",
    about: "who holds the table of tracked connections: the sources and destinations with the most entries",
    cost: "some 1 us an entry of the table and round, 2 s at most",
    sources: &["IPCTNL_MSG_CT_GET"],
    lacking: Some(conntrack::LACKING),
    of_node: false,
    read: |place, sink| {
        let count = place.text(KernelFile::ConntrackCount)?.unwrap_or_default();
        if matches!(count.trim(), "" | "0") {
            return Ok(());
        }
        let mut held = Holders::default();
        let mut table = place.tracked(Budget::new(BYTES_MAX, PATIENCE))?;
        let heard = table.hear(|_, body| {
            if let Some(flow) = conntrack::origin(body) {
                held.add(flow);
            }
        });
        held.tell(sink);
        heard.map(drop).with_context(|| {
            let entries = held.entries;
            format!("only the first {entries} of {} entries were counted", count.trim())
        })
    },
};

/// What stands for all that are not told.
const OTHERS: &str = "others";

/// Where entries lead to: an address, and the port where the protocol has any.
type Target = (IpAddr, u16, u8);

/// Entries by who holds them.
#[derive(Default)]
struct Holders {
    entries: u64,
    sources: Counted<IpAddr>,
    destinations: Counted<Target>,
    pairs: Counted<(IpAddr, Target)>,
}

/// How many entries each holder has. Holders beyond those that are counted one by one are one number.
struct Counted<K> {
    each: HashMap<K, u64>,
    others: u64,
}

impl<K> Default for Counted<K> {
    fn default() -> Self {
        Self {
            each: HashMap::new(),
            others: 0,
        }
    }
}

impl<K: Eq + Hash + Ord + Copy> Counted<K> {
    fn add(&mut self, key: K) {
        if let Some(count) = self.each.get_mut(&key) {
            *count += 1;
        } else if self.each.len() < COUNTED {
            self.each.insert(key, 1);
        } else {
            self.others += 1;
        }
    }

    /// Those with the most entries, and the entries of all others.
    fn top(&self) -> (Vec<(K, u64)>, u64) {
        let mut all: Vec<(K, u64)> = self.each.iter().map(|(key, count)| (*key, *count)).collect();
        all.sort_unstable_by_key(|(key, count)| (Reverse(*count), *key));
        let rest: u64 = all.iter().skip(TOLD).map(|(_, count)| count).sum();
        all.truncate(TOLD);
        (all, rest + self.others)
    }
}

impl Holders {
    /// The flow of an entry in the direction in which it began.
    fn add(&mut self, flow: Flow) {
        let port = if has_ports(flow.protocol) { flow.dport } else { 0 };
        let (source, target) = (flow.src(), (flow.dst(), port, flow.protocol));
        self.entries += 1;
        self.sources.add(source);
        self.destinations.add(target);
        self.pairs.add((source, target));
    }

    fn tell(&self, sink: &mut NumberSink) {
        let (sources, others) = self.sources.top();
        sink.set("holders.by_source", &[("source", OTHERS)], others);
        for (source, count) in sources {
            sink.set("holders.by_source", &[("source", &source.to_string())], count);
        }
        let (destinations, others) = self.destinations.top();
        sink.set("holders.by_destination", &[("destination", OTHERS)], others);
        for (target, count) in destinations {
            let (address, port) = told(target);
            let of = [("destination", address.as_str()), ("port", &port)];
            sink.set("holders.by_destination", &of, count);
        }
        let (pairs, others) = self.pairs.top();
        sink.set("holders.by_pair", &[("source", OTHERS)], others);
        for ((source, target), count) in pairs {
            let (address, port) = told(target);
            let of = [("source", source.to_string()), ("destination", address), ("port", port)];
            let of = of.each_ref().map(|(label, of)| (*label, of.as_str()));
            sink.set("holders.by_pair", &of, count);
        }
    }
}

/// An address and its port, as labels have them.
fn told((address, port, protocol): Target) -> (String, String) {
    let protocol = protocol_name(protocol);
    let port = if port == 0 {
        protocol.into_owned()
    } else {
        format!("{port}/{protocol}")
    };
    (address.to_string(), port)
}

#[cfg(test)]
mod tests {
    use super::{COUNTED, Counted, Holders, TOLD};
    use model::flow::{Flow, TCP};
    use std::net::SocketAddr;

    #[test]
    fn the_most_are_told_and_all_others_are_one_number() {
        let mut counted = Counted::default();
        for key in 0..COUNTED as u32 + 10 {
            for _ in 0..if key < 3 { 5 } else { 1 } {
                counted.add(key);
            }
        }
        let (told, others) = counted.top();
        assert_eq!(told.len(), TOLD);
        assert_eq!(told[..4], [(0, 5), (1, 5), (2, 5), (3, 1)]);
        assert_eq!(others as usize, COUNTED + 10 - TOLD);
    }

    #[test]
    fn an_entry_is_its_sources_and_its_destinations() {
        let mut held = Holders::default();
        for sport in 40_000..40_100 {
            let [from, to] = [("10.0.0.2", sport), ("10.0.0.9", 80 + sport % 2)]
                .map(|(address, port)| SocketAddr::new(address.parse().unwrap(), port));
            held.add(Flow::new(TCP, from, to));
        }
        let (source, _) = held.sources.top();
        assert_eq!(source, [("10.0.0.2".parse().unwrap(), 100)]);
        assert_eq!((held.destinations.top().0.len(), held.pairs.top().0[0].1), (2, 50));
    }
}
