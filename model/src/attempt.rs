//! Packets we send ourselves: what to send, and what each met.

use crate::errno::Errno;
use crate::flow::Flow;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use std::net::IpAddr;

/// One thing to send, from inside a namespace.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AttemptSpec {
    /// Its number in this run; results carry it.
    pub id: u32,
    /// Namespace to send from, by inode.
    pub netns: u32,
    /// Process whose cgroup to send from, where the source is a process or a container: policies bound to cgroups then apply.
    #[serde(default)]
    pub pid: Option<u32>,
    /// Milliseconds after the start of the window.
    pub start_ms: u64,
    /// Milliseconds until it is given up.
    pub timeout_ms: u64,
    /// What to send.
    pub send: Sending,
}

/// What an attempt sends.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Sending {
    /// A TCP connection.
    Tcp {
        /// Where to.
        to: IpAddr,
        /// Port.
        port: u16,
        /// Milliseconds it is held open to see whether the peer speaks or resets.
        hold_ms: u64,
        /// What to exchange on it.
        exchange: Exchange,
    },
    /// A datagram.
    Udp {
        /// Where to.
        to: IpAddr,
        /// Port.
        port: u16,
        /// Its content.
        #[serde(default)]
        payload: Vec<u8>,
    },
    /// A train of ICMP echo requests.
    Echo {
        /// Where to.
        to: IpAddr,
        /// How many.
        count: u32,
        /// Milliseconds between them.
        interval_ms: u64,
        /// Size of the IP packet, in bytes; `None` for small ones, `Some(0)` for the MTU of the route.
        packet_bytes: Option<u32>,
        /// Forbid fragmentation (DF).
        dont_fragment: bool,
    },
    /// A DNS lookup as glibc does it, search list, ndots, timeouts and all.
    Dns {
        /// The name as the user wrote it.
        name: String,
        /// The resolv.conf to follow.
        resolv: crate::facts::ResolvConf,
        /// Record types, e.g. `A`, `AAAA`.
        types: Vec<String>,
    },
    /// One DNS query to one server.
    DnsQuery {
        /// The server.
        server: IpAddr,
        /// Port, usually 53.
        port: u16,
        /// Name, taken as it is.
        name: String,
        /// Record type.
        qtype: String,
    },
}

/// What is exchanged on a connection.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Exchange {
    /// Nothing: connect, hold, close.
    #[default]
    None,
    /// Send this text, read to the end of the answer.
    Text(Vec<u8>),
    /// `GET` this path (HTTP/1.1, `Connection: close`), read to the end.
    Http {
        /// Path.
        path: String,
        /// `Host:` header.
        host: String,
    },
    /// Send this many bytes, to a server that takes them.
    Bytes(u64),
}

/// What an attempt met. Times are nanoseconds since its start.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Attempt {
    /// Its number.
    pub id: u32,
    /// `tcp`, `udp`, `echo`, `echo-full-size`, `dns`, `dns-query`.
    pub kind: String,
    /// Its tuple as the sender knows it.
    pub flow: Flow,
    /// When it started, `CLOCK_MONOTONIC` nanoseconds.
    pub started_ns: u64,
    /// How long it took.
    pub took_ns: u64,
    /// How it ended.
    pub outcome: Outcome,
    /// TCP: the handshake was done after this long.
    pub connected_ns: Option<u64>,
    /// The first byte, datagram or echo came back after this long.
    pub first_answer_ns: Option<u64>,
    /// Application bytes handed to the kernel.
    pub sent_bytes: u64,
    /// Of them acknowledged or answered, where the protocol tells.
    pub acknowledged_bytes: Option<u64>,
    /// Application bytes read.
    pub received_bytes: u64,
    /// The peer closed its side (FIN).
    pub closed_by_peer: bool,
    /// ICMP errors that came back for it (`IP_RECVERR`).
    pub icmp: Vec<IcmpError>,
    /// TCP details at its end.
    pub tcp: Option<crate::facts::TcpInfo>,
    /// Echo trains.
    pub echo: Option<EchoTrain>,
    /// DNS lookups.
    pub dns: Option<DnsLookup>,
    /// First line of an HTTP answer.
    pub http_status: Option<String>,
}

/// How an attempt ended.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Outcome {
    /// As wished: connected and exchanged, sent (UDP), answered (echo, one DNS query), found (a DNS lookup).
    Ok,
    /// The kernel said no, or the name servers did.
    Error {
        /// While doing what: `socket`, `connect`, `send`, `read`, or `lookup` for what name servers say.
        during: String,
        /// The error. Of a `lookup` the number is 0 and the name `NXDOMAIN`, `NODATA`, `SERVFAIL`, `REFUSED`...
        errno: Errno,
    },
    /// Time ran out.
    TimedOut {
        /// While doing what: `connect`, `send`, `read`.
        during: String,
    },
    /// The run ended before it was answered; it is neither good nor bad.
    #[default]
    Cancelled,
    /// It could not be tried, for this reason.
    NotTried {
        /// Why.
        why: String,
    },
}

/// An ICMP error that reached the sender's socket.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct IcmpError {
    /// Who sent it.
    pub from: Option<IpAddr>,
    /// Type; 0 with `local` for errors made here.
    pub kind: u8,
    /// Code.
    pub code: u8,
    /// MTU for "too big".
    pub info: u32,
    /// The error it stands for.
    pub errno: Errno,
    /// Made by this kernel, not by a packet.
    pub local: bool,
}

/// What a train of echo requests met.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct EchoTrain {
    /// Size of each IP packet, in bytes.
    pub packet_bytes: u32,
    /// Per request, numbered from 0: round trip in nanoseconds, `None` when no answer came.
    pub rtt_ns: Vec<Option<u64>>,
    /// The sequence numbers in the order in which answers came.
    pub order: Vec<u16>,
}

/// What a lookup met.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DnsLookup {
    /// The name as asked for.
    pub name: String,
    /// Every query in order.
    pub queries: Vec<DnsExchange>,
    /// Addresses found.
    pub addresses: Vec<IpAddr>,
    /// The name that was found.
    pub found: Option<String>,
    /// The hosts file that knew the name; then no name server did.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hosts_file: Option<String>,
    /// A query was repeated over TCP because the answer was truncated.
    #[serde(default)]
    pub used_tcp: bool,
    /// The name itself, asked for once more where a domain of the search list had answered for it. It is no part of the lookup.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub absolute: Option<AbsoluteName>,
}

/// What a name is without the search list.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct AbsoluteName {
    /// Every query in order.
    pub queries: Vec<DnsExchange>,
    /// Addresses found.
    pub addresses: Vec<IpAddr>,
}

/// One query and its answer.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct DnsExchange {
    /// Its tuple.
    pub flow: Flow,
    /// Message id.
    pub id: u16,
    /// Name sent.
    pub name: String,
    /// Record type.
    pub qtype: String,
    /// When it was sent, nanoseconds since the lookup began.
    pub sent_ns: u64,
    /// Until the answer.
    pub latency_ns: Option<u64>,
    /// Response code of the answer.
    pub rcode: Option<String>,
    /// Number of answer records.
    pub answers: u16,
    /// The answer was truncated.
    pub truncated: bool,
    /// The socket's error, where it failed (ECONNREFUSED for a port that is shut).
    pub errno: Option<Errno>,
    /// An answer came after it had been given up, this long after the query.
    pub late_ns: Option<u64>,
}

/// A tuple to follow, known before its first packet leaves.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct WatchedFlow {
    /// The attempt it belongs to.
    pub attempt: u32,
    /// Namespace it starts in: only there is it met first, so that the same addresses elsewhere are another's flow. 0 on a
    /// machine where it does not start.
    pub netns: u32,
    /// The tuple as it will leave.
    pub flow: Flow,
}
