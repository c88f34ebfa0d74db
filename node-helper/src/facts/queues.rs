//! Queues of packets that programs read (NFQUEUE): how many wait in each, and which program has to answer.

use super::{Fact, Look, sockets};
use crate::system::door;
use model::facts::{NetnsFacts, PacketQueue};
use std::io::ErrorKind;

pub(super) const FACT: Fact = Fact {
    name: "queues",
    moves: true,
    read: |look, facts: &mut NetnsFacts| facts.queues = look.known("queues of packets", read(look)),
};

/// The protocol of netlink sockets that queues are read by (linux/netlink.h).
const NETLINK_NETFILTER: &str = "12";

fn read(look: &Look) -> anyhow::Result<Vec<PacketQueue>> {
    let text = match look.proc_net("netfilter/nfnetlink_queue") {
        Ok(text) => text,
        // Without the module there is none.
        Err(error) if is_absent(&error) => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let found = parse(&text);
    let sockets = if found.is_empty() {
        String::new()
    } else {
        look.proc_net("netlink")?
    };
    let queues = found.into_iter().map(|(queue, port)| {
        let pid = inode(&sockets, port).and_then(|inode| holder(look, port, inode));
        PacketQueue {
            pid,
            program: pid.and_then(name),
            ..queue
        }
    });
    Ok(queues.collect())
}

fn is_absent(error: &anyhow::Error) -> bool {
    let source = error.root_cause().downcast_ref::<std::io::Error>();
    source.is_some_and(|error| error.kind() == ErrorKind::NotFound)
}

/// Each line: number, port id of the reader's netlink socket, packets that wait, copy mode and range, packets dropped because the
/// queue was full, and because the socket was, the last packet's id, and a 1.
fn parse(text: &str) -> Vec<(PacketQueue, u32)> {
    let line = |line: &str| {
        let columns: Vec<u32> = line.split_whitespace().map_while(|word| word.parse().ok()).collect();
        let [number, port, waiting, _, _, overflowed, undelivered, taken, ..] = columns[..] else {
            return None;
        };
        let queue = PacketQueue {
            number: u16::try_from(number).ok()?,
            waiting,
            overflowed,
            undelivered,
            taken,
            ..PacketQueue::default()
        };
        Some((queue, port))
    };
    text.lines().filter_map(line).collect()
}

/// The inode of the netlink socket with this port id: the last column of its line, where the second is the protocol and the third
/// the port id.
fn inode(sockets: &str, port: u32) -> Option<u64> {
    sockets.lines().find_map(|line| {
        let columns: Vec<&str> = line.split_whitespace().collect();
        let is_it = columns.get(1) == Some(&NETLINK_NETFILTER) && columns.get(2)?.parse() == Ok(port);
        columns.last().filter(|_| is_it)?.parse().ok()
    })
}

/// The process that holds the socket. Most often the port id is its own number, as it counts itself.
fn holder(look: &Look, port: u32, inode: u64) -> Option<u32> {
    let here = &look.namespace.pids;
    let likely = here.iter().filter(|pid| **pid == port);
    let others = here.iter().filter(|pid| **pid != port);
    let mut all = likely.chain(others);
    all.find(|pid| sockets::held(**pid).contains(&inode)).copied()
}

fn name(pid: u32) -> Option<String> {
    let name = door::text(format!("/proc/{pid}/comm"), door::FEW_LINES).ok()?;
    Some(name.trim_end().to_owned())
}

#[cfg(test)]
mod tests {
    use super::{inode, parse};

    #[test]
    fn a_queue_tells_how_many_wait_and_who_reads_it() {
        // As 6.18 writes them.
        let queues = "   98  31337     3 2 65531     1     2        5  1\n    7 4294963161     0 1     0     0     0        0  1\n";
        let [(first, port), (second, far)] = &parse(queues)[..] else {
            panic!("{:?}", parse(queues))
        };
        assert_eq!((first.number, *port), (98, 31_337));
        assert_eq!(
            (first.waiting, first.overflowed, first.undelivered, first.taken),
            (3, 1, 2, 5)
        );
        assert_eq!((second.number, second.waiting, *far), (7, 0, 4_294_963_161));
        assert!(parse("nothing of this kind\n").is_empty());
    }

    #[test]
    fn a_socket_is_found_by_its_protocol_and_port() {
        let sockets = "sk               Eth Pid        Groups   Rmem     Wmem     Dump  Locks    Drops    Inode\n\
            0000000000000000 0   31337      00000000 0        0        0     2        0        11\n\
            0000000000000000 12  31337      00000000 0        0        0     2        0        22\n\
            0000000000000000 12  0          00000000 0        0        0     2        0        33\n";
        assert_eq!(inode(sockets, 31_337), Some(22));
        assert_eq!(inode(sockets, 4_711), None);
    }
}
