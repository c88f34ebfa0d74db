//! `process`: the processes of a place one by one: their sockets and what waits in them, open files, CPU, disks.

use crate::facts::process::{self, OpenFiles};
use crate::facts::{block_io, sockets};
use crate::readings::ReadingProbe;
use crate::system::door;
use model::facts::Socket;
use std::cmp::Reverse;
use std::collections::HashMap;

/// Processes that are looked at, at most: the oldest.
const LOOKED_AT: usize = 1_024;
/// Processes that are told one by one, at most: those with the most sockets, then those that ran longest.
const TOLD: usize = 128;

/// See [`crate::readings::READINGS`].
pub const PROCESS: ReadingProbe = ReadingProbe {
    name: "process",
    about: "each process: its connections and what waits in them, open files, time on a CPU and waited for one, bytes read and written",
    cost: "some 100 us a process and round, 1 us more a descriptor, and what tcpsummary costs",
    sources: &[
        "/proc/PID/fd",
        "/proc/PID/stat",
        "/proc/PID/schedstat",
        "/proc/PID/io",
        "SOCK_DIAG_BY_FAMILY",
    ],
    lacking: None,
    of_node: false,
    read: |place, sink| {
        let tcp = place.tcp_sockets()?;
        let connected = tcp
            .iter()
            .filter(|socket| socket.inode != 0 && socket.state != "LISTEN");
        let by_inode: HashMap<u64, &Socket> = connected.map(|socket| (socket.inode, socket)).collect();
        let pids = place.pids();
        let mut all: Vec<_> = pids
            .iter()
            .take(LOOKED_AT)
            .filter_map(|pid| look(*pid, &by_inode))
            .collect();
        all.sort_by_key(|process| Reverse((process.sockets, process.ran_us)));
        let left_out = pids.len().saturating_sub(LOOKED_AT) + all.len().saturating_sub(TOLD);
        sink.set("process.left_out", &[], left_out as u64);
        for process in all.iter().take(TOLD) {
            let name = format!("{} {}", process.files.pid, process.files.name);
            let of = [("process", name.as_str())];
            let (read_bytes, written_bytes) = block_io::of_process(process.files.pid);
            for (name, value) in [
                ("process.open", process.files.open),
                ("process.limit", process.files.limit),
                ("process.sockets", process.sockets),
                ("process.connections", process.connections),
                ("process.unread", process.unread),
                ("process.unacknowledged", process.unacknowledged),
                ("process.resent", process.resent),
                ("process.used", process.ran_us),
                ("process.waited", process::waited_us(process.files.pid)),
                ("process.read_bytes", read_bytes),
                ("process.written_bytes", written_bytes),
            ] {
                sink.set(name, &of, value);
            }
        }
        Ok(())
    },
};

/// A process, with what its sockets come to. One that several hold is each one's.
struct ReadProcess {
    files: OpenFiles,
    ran_us: u64,
    sockets: u64,
    connections: u64,
    unread: u64,
    unacknowledged: u64,
    resent: u64,
}

fn look(pid: u32, tcp: &HashMap<u64, &Socket>) -> Option<ReadProcess> {
    let held = sockets::held_among(pid, door::ENTRIES_MAX);
    let mut process = ReadProcess {
        files: process::files(pid)?,
        ran_us: process::ran_us(pid)?,
        sockets: held.len() as u64,
        connections: 0,
        unread: 0,
        unacknowledged: 0,
        resent: 0,
    };
    for socket in held.iter().filter_map(|inode| tcp.get(inode)) {
        process.connections += 1;
        process.unread += u64::from(socket.rx_queue);
        process.unacknowledged += u64::from(socket.tx_queue);
        process.resent += socket.tcp.map_or(0, |tcp| u64::from(tcp.total_retrans));
    }
    Some(process)
}
