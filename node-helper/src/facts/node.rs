//! Facts of the whole node: its CPUs' backlogs, load, limits.

use super::sysctls::read_files;
use crate::system::door;
use anyhow::Context as _;
use model::facts::NodeFacts;
use model::missing::{Known, Missing};
use procfs::{FromRead as _, LoadAverage};
use std::path::Path;

/// Sysctls that are the node's, not a namespace's.
const SYSCTLS: &[&str] = &[
    "fs.file-max",
    "net.core.dev_weight",
    "net.core.netdev_budget",
    "net.core.netdev_budget_usecs",
    "net.core.netdev_max_backlog",
    "net.core.rmem_default",
    "net.core.rmem_max",
    "net.core.wmem_default",
    "net.core.wmem_max",
    "net.ipv4.neigh.default.gc_thresh1",
    "net.ipv4.neigh.default.gc_thresh2",
    "net.ipv4.neigh.default.gc_thresh3",
    "net.ipv4.neigh.default.unres_qlen_bytes",
    "net.ipv4.tcp_max_orphans",
    "net.ipv4.tcp_mem",
    "net.ipv4.udp_mem",
    "net.ipv6.neigh.default.gc_thresh3",
    "net.netfilter.nf_conntrack_max",
];

/// Reads them from a root that holds `proc`.
pub fn read(root: &Path) -> NodeFacts {
    let file = |path: &str| {
        let path = root.join(path);
        door::text(&path, door::TABLE).with_context(|| format!("cannot read {}", path.display()))
    };
    let softnet = || file("proc/net/softnet_stat");
    NodeFacts {
        softnet_dropped: known(
            "packets dropped at full CPU backlogs",
            softnet().map(|text| column(&text, 1)),
        ),
        softnet_squeezed: known("exhausted softirq budgets", softnet().map(|text| column(&text, 2))),
        load: known(
            "load",
            softnet().and_then(|cpus| {
                let load = LoadAverage::from_file(root.join("proc/loadavg")).context("cannot read the load")?;
                Ok(((load.one * 100.0).round() as u64, cpus.lines().count() as u32))
            }),
        ),
        sysctls: Known::Known(read_files(
            &root.join("proc/sys"),
            SYSCTLS.iter().map(|name| (*name).to_owned()),
        )),
        files: known(
            "open files",
            procfs::sys::fs::file_nr()
                .map(|files| (files.allocated, files.max))
                .context("cannot read file-nr"),
        ),
    }
}

fn known<T>(what: &str, outcome: anyhow::Result<T>) -> Known<T> {
    outcome
        .map_err(|error| Missing::new(format!("{what} of the node"), format!("{error:#}")))
        .into()
}

/// The sum of a hexadecimal column over all online CPUs, one line each: processed, dropped, out of budget...
fn column(softnet: &str, number: usize) -> u64 {
    softnet
        .lines()
        .filter_map(|line| u64::from_str_radix(line.split_whitespace().nth(number)?, 16).ok())
        .sum()
}

#[cfg(test)]
mod tests {
    use super::column;

    #[test]
    fn softnet_columns_are_hexadecimal_and_summed_over_cpus() {
        let text = "000a1b2c 00000010 00000002 00000000\n00000001 00000001 0000000a 00000000\n";
        assert_eq!((column(text, 1), column(text, 2)), (17, 12));
    }
}
