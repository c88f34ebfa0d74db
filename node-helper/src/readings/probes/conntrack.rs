//! `conntrack`: how full a namespace's table of connections is, and what could not be taken in.

use crate::facts::conntrack::LACKING;
use crate::readings::ReadingProbe;
use crate::servants::usher::KernelFile;
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;

/// See [`crate::readings::READINGS`].
pub const CONNTRACK: ReadingProbe = ReadingProbe {
    name: "conntrack",
    about: "the table of tracked connections: how full it is, and what could not be tracked",
    cost: "some 20 us a namespace and round",
    sources: &[
        "/proc/sys/net/netfilter/nf_conntrack_count",
        "/proc/sys/net/netfilter/nf_conntrack_max",
        "/proc/net/stat/nf_conntrack",
    ],
    lacking: Some(LACKING),
    of_node: false,
    read: |place, sink| {
        let Some(count) = place.text(KernelFile::ConntrackCount)? else {
            bail!("{}", LACKING.1);
        };
        let number = |text: &str| text.trim().parse::<u64>().context("nf_conntrack_count holds no number");
        sink.set("conntrack.entries", &[], number(&count)?);
        sink.set("conntrack.limit", &[], number(&place.need(KernelFile::ConntrackMax)?)?);
        // A kernel may be built without it (CONFIG_NF_CONNTRACK_PROCFS).
        let stats = place.text(KernelFile::ConntrackStat)?.unwrap_or_default();
        for (name, value) in parse(&stats) {
            if let Some(name) = name_of(name) {
                sink.set(name, &[], value);
            }
        }
        Ok(())
    },
};

/// The kernel's heading of a column, and our number's name: columns that count nothing any more are left out.
fn name_of(column: &str) -> Option<&'static str> {
    Some(match column {
        "found" => "conntrack.found",
        "invalid" => "conntrack.invalid",
        "insert" => "conntrack.insert",
        "insert_failed" => "conntrack.insert_failed",
        "drop" => "conntrack.drop",
        "early_drop" => "conntrack.early_drop",
        "icmp_error" => "conntrack.icmp_error",
        "search_restart" => "conntrack.search_restart",
        "clashres" => "conntrack.clash_resolve",
        "chainlength" => "conntrack.chaintoolong",
        _ => return None,
    })
}

/// A line of headings, then a line in hexadecimal each CPU: what CPUs count is added.
fn parse(text: &str) -> BTreeMap<&str, u64> {
    let mut lines = text.lines();
    let headings: Vec<&str> = lines.next().unwrap_or_default().split_whitespace().collect();
    let mut sums = BTreeMap::new();
    for line in lines {
        for (heading, word) in headings.iter().zip(line.split_whitespace()) {
            if let Ok(value) = u64::from_str_radix(word, 16) {
                *sums.entry(*heading).or_default() += value;
            }
        }
    }
    sums
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn cpus_are_added_by_the_headings_of_this_kernel() {
        let text = "entries  clashres found insert_failed\n00000010 00000001 0000000a 00000002\n00000010 00000000 00000001 00000001\n";
        let sums = parse(text);
        assert_eq!((sums["clashres"], sums["found"], sums["insert_failed"]), (1, 11, 3));
        assert!(parse("").is_empty());
    }
}
