//! Sockets: what listens, what is bound, and the watched flows' own (`SOCK_DIAG`).

use super::{Fact, Look};
use crate::system::door;
use crate::system::netlink::{Netlink, NetlinkAnswer, at, attributes, u32_at, u64_at};
use anyhow::Context as _;
use model::facts::{NetnsFacts, Socket, TcpInfo};
use model::flow::{Flow, TCP, UDP, mapped};
use model::protocol::Ask;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

pub(super) const FACT: Fact = Fact {
    name: "sockets",
    moves: true,
    read: |look, facts: &mut NetnsFacts| facts.sockets = look.known("sockets", read(look)),
};

const FAMILIES: [i32; 2] = [libc::AF_INET, libc::AF_INET6];
const ANY_STATE: u32 = u32::MAX;
const LISTEN: u8 = 10;
const ESTABLISHED: u8 = 1;

fn read(look: &Look) -> anyhow::Result<Vec<Socket>> {
    let mut diag = Netlink::open(libc::NETLINK_SOCK_DIAG)?;
    let mut sockets = Vec::new();
    for family in FAMILIES {
        sockets.extend(dump(&mut diag, family, TCP, 1 << LISTEN, DETAILS)?);
        let udp = dump(&mut diag, family, UDP, ANY_STATE, DETAILS)?;
        sockets.extend(
            udp.into_iter()
                .filter(|socket| listens(socket) || is_wanted(look.ask, socket)),
        );
    }
    for flow in &look.ask.flows {
        for flow in [*flow, flow.reversed()] {
            sockets.extend(one(&mut diag, flow)?);
        }
    }
    sockets.sort_by_key(|socket| (socket.inode, socket.flow));
    sockets.dedup_by(|a, b| a.inode == b.inode && a.flow == b.flow && a.state == b.state);
    let holders = holders(look, &sockets);
    for socket in &mut sockets {
        socket.pids = holders.get(&socket.inode).cloned().unwrap_or_default();
    }
    Ok(sockets)
}

/// All sockets of a protocol, without details: tuples and states.
pub fn brief(diag: &mut Netlink, protocol: u8) -> anyhow::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for family in FAMILIES {
        sockets.extend(dump(diag, family, protocol, ANY_STATE, 0)?);
    }
    Ok(sockets)
}

/// All UDP sockets that are connected.
pub(crate) fn connected_udp(diag: &mut Netlink) -> anyhow::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for family in FAMILIES {
        sockets.extend(dump(diag, family, UDP, 1 << ESTABLISHED, 0)?);
    }
    Ok(sockets)
}

/// All TCP sockets, with TCP's details.
pub(crate) fn tcp(diag: &mut Netlink) -> anyhow::Result<Vec<Socket>> {
    let mut sockets = Vec::new();
    for family in FAMILIES {
        sockets.extend(dump(diag, family, TCP, ANY_STATE, 1 << (INET_DIAG_INFO - 1))?);
    }
    Ok(sockets)
}

fn dump(diag: &mut Netlink, family: i32, protocol: u8, states: u32, details: u8) -> anyhow::Result<Vec<Socket>> {
    diag.dump(
        SOCK_DIAG_BY_FAMILY,
        &request(family, protocol, states, details, None),
        |_, body| parse(body, protocol),
    )
    .with_context(|| format!("cannot list {} sockets", model::flow::protocol_name(protocol)))
}

/// The socket of exactly this flow, seen from its local end. The kernel may answer with a listener that would take it.
fn one(diag: &mut Netlink, flow: Flow) -> anyhow::Result<Option<Socket>> {
    if flow.protocol != TCP || flow.sport == 0 || flow.dport == 0 {
        return Ok(None);
    }
    let family = if flow.src().is_ipv4() {
        libc::AF_INET
    } else {
        libc::AF_INET6
    };
    Ok(
        match diag.ask(
            SOCK_DIAG_BY_FAMILY,
            &request(family, flow.protocol, ANY_STATE, DETAILS, Some(flow)),
        )? {
            NetlinkAnswer::Refused(_) => None,
            NetlinkAnswer::Messages(messages) => messages
                .iter()
                .find_map(|(_, body)| parse(body, flow.protocol))
                .filter(|socket| socket.state != "LISTEN"),
        },
    )
}

// linux/sock_diag.h, linux/inet_diag.h
const SOCK_DIAG_BY_FAMILY: u16 = 20;
const INET_DIAG_INFO: u16 = 2;
const INET_DIAG_SKMEMINFO: u16 = 7;
const INET_DIAG_SKV6ONLY: u16 = 11;
/// Extensions to ask for, as bits: TCP's details, and memory with drops.
const DETAILS: u8 = 1 << (INET_DIAG_INFO - 1) | 1 << (INET_DIAG_SKMEMINFO - 1);
/// `struct inet_diag_msg`: family, state at 1, socket id at 4, queues at 56 and 60, inode at 68.
const INET_DIAG_MSG_BYTES: usize = 72;
/// No cookie: any socket of the tuple will do.
const NO_COOKIE: [u8; 8] = [0xff; 8];

/// `struct inet_diag_req_v2`. The id's source is the local end.
fn request(family: i32, protocol: u8, states: u32, details: u8, flow: Option<Flow>) -> Vec<u8> {
    let mut request = vec![family as u8, protocol, details, 0];
    request.extend(states.to_ne_bytes());
    let flow = flow.unwrap_or_default();
    request.extend(flow.sport.to_be_bytes());
    request.extend(flow.dport.to_be_bytes());
    for end in [flow.saddr, flow.daddr] {
        // An IPv4 address stands in the first four bytes.
        match model::flow::address(end) {
            IpAddr::V4(v4) if family == libc::AF_INET => {
                request.extend(v4.octets());
                request.extend([0; 12]);
            }
            _ => request.extend(end),
        }
    }
    request.extend(0_u32.to_ne_bytes());
    request.extend(NO_COOKIE);
    request
}

fn parse(message: &[u8], protocol: u8) -> Option<Socket> {
    let body = message.get(INET_DIAG_MSG_BYTES..)?;
    let v4 = i32::from(message[0]) == libc::AF_INET;
    let end = |offset: usize| -> Option<[u8; 16]> {
        if v4 {
            at(message, offset).map(mapped)
        } else {
            at(message, offset)
        }
    };
    let port = |offset: usize| at(message, offset).map_or(0, u16::from_be_bytes);
    let mut socket = Socket {
        flow: Flow {
            sport: port(4),
            dport: port(6),
            saddr: end(8)?,
            daddr: end(24)?,
            protocol,
            zero: [0; 3],
        },
        state: state(message[1], protocol).to_owned(),
        bound_ifindex: u32_at(message, 40),
        rx_queue: u32_at(message, 56),
        tx_queue: u32_at(message, 60),
        inode: u64::from(u32_at(message, 68)),
        ..Socket::default()
    };
    for (kind, value) in attributes(body) {
        match kind {
            INET_DIAG_SKMEMINFO => {
                socket.rcvbuf_bytes = u32_at(value, libc::SK_MEMINFO_RCVBUF as usize * 4);
                socket.drops = u32_at(value, libc::SK_MEMINFO_DROPS as usize * 4);
            }
            INET_DIAG_SKV6ONLY => socket.v6only = value.first().is_some_and(|only| *only != 0),
            INET_DIAG_INFO if protocol == TCP && message[1] != LISTEN => socket.tcp = Some(tcp_info(value)),
            _ => {}
        }
    }
    Some(socket)
}

/// `struct tcp_info` only ever grows at its end.
pub fn tcp_info(info: &[u8]) -> TcpInfo {
    TcpInfo {
        snd_mss: u32_at(info, 16),
        unacked: u32_at(info, 24),
        pmtu: u32_at(info, 60),
        rtt_us: u32_at(info, 68),
        cwnd: u32_at(info, 80),
        total_retrans: u32_at(info, 100),
        acknowledged_bytes: u64_at(info, 120),
        received_bytes: u64_at(info, 128),
        not_sent_bytes: u32_at(info, 144),
        rwnd_limited_us: u64_at(info, 176),
        reord_seen: u32_at(info, 220),
        peer_window_bytes: u32_at(info, 228),
    }
}

/// TCP states in the kernel's numbers (`net/tcp_states.h`). UDP uses two of them.
fn state(number: u8, protocol: u8) -> &'static str {
    match number {
        1 => "ESTABLISHED",
        7 if protocol == UDP => "UNCONN",
        2 => "SYN_SENT",
        3 | 12 => "SYN_RECV",
        4 => "FIN_WAIT1",
        5 => "FIN_WAIT2",
        6 => "TIME_WAIT",
        7 => "CLOSE",
        8 => "CLOSE_WAIT",
        9 => "LAST_ACK",
        10 => "LISTEN",
        11 => "CLOSING",
        _ => "UNKNOWN",
    }
}

/// A connected socket of a watched flow, or at a port in question.
fn is_wanted(ask: &Ask, socket: &Socket) -> bool {
    let watched = |flow: &Flow| [flow.sport, flow.dport].contains(&socket.flow.sport);
    ask.ports.contains(&socket.flow.sport) || ask.flows.iter().any(watched)
}

/// Waits for whoever comes: a TCP listener, or a UDP socket that is bound and not connected.
pub fn listens(socket: &Socket) -> bool {
    matches!(&*socket.state, "LISTEN" | "UNCONN")
}

/// In a namespace with more processes than this (a node's own), one holder of a listener is enough.
const CROWD: usize = 300;

/// Which processes hold which of these sockets: those in question everything, and for listeners on the ports in question
/// all that live here; a listener that none of them holds was handed in from outside, so everybody is asked.
fn holders(look: &Look, sockets: &[Socket]) -> BTreeMap<u64, Vec<u32>> {
    let mut holders: BTreeMap<u64, Vec<u32>> = BTreeMap::new();
    let listeners: BTreeSet<u64> = sockets
        .iter()
        .filter(|socket| listens(socket) && look.ask.ports.contains(&socket.flow.sport))
        .map(|socket| socket.inode)
        .collect();
    let crowded = look.namespace.pids.len() > CROWD;
    for pid in &look.namespace.pids {
        let asked = look.ask.pids.contains(pid);
        let found = listeners.iter().all(|inode| holders.contains_key(inode));
        if asked || !(found && (crowded || listeners.is_empty())) {
            note(&mut holders, *pid, |inode| asked || listeners.contains(&inode));
        }
    }
    let orphans: BTreeSet<u64> = listeners
        .into_iter()
        .filter(|inode| !holders.contains_key(inode))
        .collect();
    if !orphans.is_empty() {
        let elsewhere = look
            .namespaces
            .all()
            .filter(|other| other.inode != look.namespace.inode);
        for pid in elsewhere.flat_map(|other| &other.pids) {
            note(&mut holders, *pid, |inode| orphans.contains(&inode));
        }
    }
    holders
}

fn note(holders: &mut BTreeMap<u64, Vec<u32>>, pid: u32, wanted: impl Fn(u64) -> bool) {
    for inode in held(pid).into_iter().filter(|inode| wanted(*inode)) {
        let pids = holders.entry(inode).or_default();
        if !pids.contains(&pid) {
            pids.push(pid);
        }
    }
}

/// Inodes of the sockets a process holds.
pub fn held(pid: u32) -> Vec<u64> {
    held_among(pid, usize::MAX)
}

/// Inodes of the sockets among the first `files` open files of a process.
pub fn held_among(pid: u32, files: usize) -> Vec<u64> {
    let Ok(entries) = door::entries(format!("/proc/{pid}/fd")) else {
        return Vec::new();
    };
    entries
        .into_iter()
        .take(files)
        .filter_map(|entry| {
            let target = door::link(entry.path()).ok()?;
            target
                .to_str()?
                .strip_prefix("socket:[")?
                .strip_suffix(']')?
                .parse()
                .ok()
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{INET_DIAG_INFO, INET_DIAG_MSG_BYTES, INET_DIAG_SKMEMINFO, parse, request};
    use crate::system::netlink::attribute;
    use model::flow::{Flow, TCP, UDP};

    fn message(family: i32, state: u8, sport: u16, rx_queue: u32, tx_queue: u32) -> Vec<u8> {
        let mut message = vec![0; INET_DIAG_MSG_BYTES];
        (message[0], message[1]) = (family as u8, state);
        message[4..6].copy_from_slice(&sport.to_be_bytes());
        message[8..12].copy_from_slice(&[10, 90, 2, 2]);
        message[56..60].copy_from_slice(&rx_queue.to_ne_bytes());
        message[60..64].copy_from_slice(&tx_queue.to_ne_bytes());
        message[68..72].copy_from_slice(&4711_u32.to_ne_bytes());
        message
    }

    #[test]
    fn a_listener_tells_how_many_wait_and_how_many_may() {
        let socket = parse(&message(libc::AF_INET, 10, 80, 2, 1), TCP).unwrap();
        assert_eq!(
            (socket.state.as_str(), socket.rx_queue, socket.tx_queue),
            ("LISTEN", 2, 1)
        );
        assert_eq!(
            (socket.flow.src().to_string().as_str(), socket.flow.sport),
            ("10.90.2.2", 80)
        );
        assert_eq!((socket.inode, socket.tcp), (4711, None));
    }

    #[test]
    fn drops_and_buffers_of_a_datagram_socket() {
        let mut message = message(libc::AF_INET, 7, 53, 0, 0);
        let memory: Vec<u8> = [9_u32, 2304, 0, 0, 0, 0, 0, 0, 27]
            .iter()
            .flat_map(|word| word.to_ne_bytes())
            .collect();
        attribute(&mut message, INET_DIAG_SKMEMINFO, &memory);
        let socket = parse(&message, UDP).unwrap();
        assert_eq!(
            (socket.state.as_str(), socket.rcvbuf_bytes, socket.drops),
            ("UNCONN", 2304, 27)
        );
    }

    #[test]
    fn details_of_an_older_kernel_end_early_and_read_as_zero() {
        let mut message = message(libc::AF_INET, 1, 80, 0, 0);
        let mut info = [0_u8; 104];
        info[68..72].copy_from_slice(&1500_u32.to_ne_bytes());
        info[100..104].copy_from_slice(&3_u32.to_ne_bytes());
        attribute(&mut message, INET_DIAG_INFO, &info);
        let tcp = parse(&message, TCP).unwrap().tcp.unwrap();
        assert_eq!((tcp.rtt_us, tcp.total_retrans, tcp.peer_window_bytes), (1500, 3, 0));
    }

    #[test]
    fn an_ipv4_socket_is_asked_for_by_its_four_bytes() {
        let flow = Flow::new(TCP, "10.90.1.2:40000".parse().unwrap(), "10.90.2.2:80".parse().unwrap());
        let request = request(libc::AF_INET, TCP, u32::MAX, 0, Some(flow));
        assert_eq!(request.len(), 56, "struct inet_diag_req_v2");
        assert_eq!(request[8..12], [0x9c, 0x40, 0, 80]);
        assert_eq!(request[12..16], [10, 90, 1, 2]);
        assert_eq!(request[28..32], [10, 90, 2, 2]);
    }
}
