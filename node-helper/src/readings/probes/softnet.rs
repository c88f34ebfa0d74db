//! `softnet`: each CPU's work on packets. It is the node's: no pod has a part of it.

use crate::readings::ReadingProbe;
use crate::servants::usher::KernelFile;

/// See [`crate::readings::READINGS`].
pub const SOFTNET: ReadingProbe = ReadingProbe {
    name: "softnet",
    about: "each CPU's work on packets: taken, dropped at a full backlog, left for want of time",
    cost: "some 20 us a round",
    sources: &["/proc/net/softnet_stat"],
    lacking: None,
    of_node: true,
    read: |place, sink| {
        for row in parse(&place.need(KernelFile::SoftnetStat)?) {
            let cpu = row.cpu.to_string();
            let of = [("cpu", cpu.as_str())];
            for (name, value) in [
                ("softnet.processed", row.processed),
                ("softnet.dropped", row.dropped),
                ("softnet.squeezed", row.squeezed),
                ("softnet.steered", row.steered),
                ("softnet.flow_limited", row.flow_limited),
                ("softnet.backlog", row.backlog),
            ] {
                sink.set(name, &of, value);
            }
        }
        Ok(())
    },
};

/// A line of `softnet_stat` (net/core/net-procfs.c).
#[derive(Debug, Default, PartialEq, Eq)]
struct Row {
    cpu: u64,
    processed: u64,
    dropped: u64,
    squeezed: u64,
    steered: u64,
    flow_limited: u64,
    backlog: u64,
}

/// One line each online CPU, in hexadecimal. Its number is the 13th column since 5.14, the backlog the 12th; before that lines are
/// counted.
fn parse(text: &str) -> Vec<Row> {
    let row = |(line, text): (usize, &str)| {
        let columns: Vec<u64> = text
            .split_whitespace()
            .map_while(|word| u64::from_str_radix(word, 16).ok())
            .collect();
        let column = |at: usize| columns.get(at).copied().unwrap_or_default();
        (columns.len() >= 3).then(|| Row {
            cpu: columns.get(12).copied().unwrap_or(line as u64),
            processed: column(0),
            dropped: column(1),
            squeezed: column(2),
            steered: column(9),
            flow_limited: column(10),
            backlog: column(11),
        })
    };
    text.lines().enumerate().filter_map(row).collect()
}

#[cfg(test)]
mod tests {
    use super::{Row, parse};

    #[test]
    fn a_line_is_a_cpu_by_its_own_number_where_it_is_told() {
        let zeros = "00000000 ".repeat(6);
        let new = format!("0000001a 00000002 00000003 {zeros}00000004 00000005 00000006 00000003 00000000 00000000\n");
        let old = format!("0000001a 00000002 00000003 {zeros}\n00000001 00000000 00000000 {zeros}\n");
        assert_eq!(
            parse(&new),
            [Row {
                cpu: 3,
                processed: 26,
                dropped: 2,
                squeezed: 3,
                steered: 4,
                flow_limited: 5,
                backlog: 6
            }]
        );
        let cpus: Vec<u64> = parse(&old).iter().map(|row| row.cpu).collect();
        assert_eq!(cpus, [0, 1]);
        assert!(parse("nothing of this kind").is_empty());
    }
}
