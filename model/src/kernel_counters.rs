//! The kernel's own counters that matter when something is wrong: what each means, and under which word a reader looks for it.
//!
//! Names as in `/proc/net/snmp`, `netstat` and `snmp6` (linux/snmp.h of Linux 6.18); those that are not listed here are shown
//! by their name alone.

/// What a counter speaks of. Screens show them in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum CounterGroup {
    /// Segments lost and sent again.
    Loss,
    /// Queues and buffers that were full.
    Queues,
    /// Connections that failed or were broken off.
    Resets,
    /// Packets without a way.
    Routing,
    /// Packets that were broken.
    Checksums,
    /// ICMP.
    Icmp,
    /// Fragments.
    Fragments,
    /// How much there was.
    Traffic,
}

impl CounterGroup {
    /// The word above the group.
    #[must_use]
    pub const fn heading(self) -> &'static str {
        match self {
            Self::Loss => "loss",
            Self::Queues => "queues and buffers",
            Self::Resets => "failed and reset",
            Self::Routing => "routing",
            Self::Checksums => "broken packets",
            Self::Icmp => "ICMP",
            Self::Fragments => "fragments",
            Self::Traffic => "traffic",
        }
    }
}

/// One of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct KernelCounter {
    /// Its name.
    pub name: &'static str,
    /// What it speaks of.
    pub group: CounterGroup,
    /// It growing says that something was lost, refused or late.
    pub hurts: bool,
    /// What it means, in one sentence without a full stop.
    pub help: &'static str,
}

const fn bad(name: &'static str, group: CounterGroup, help: &'static str) -> KernelCounter {
    KernelCounter {
        name,
        group,
        hurts: true,
        help,
    }
}

const fn good(name: &'static str, group: CounterGroup, help: &'static str) -> KernelCounter {
    KernelCounter {
        name,
        group,
        hurts: false,
        help,
    }
}

use CounterGroup::{Checksums, Fragments, Icmp, Loss, Queues, Resets, Routing, Traffic};

/// All of them, each group together.
pub const COUNTERS: &[KernelCounter] = &[
    bad("Tcp.RetransSegs", Loss, "segments sent again"),
    bad(
        "TcpExt.TCPLostRetransmit",
        Loss,
        "segments sent again that were lost once more",
    ),
    bad(
        "TcpExt.TCPFastRetrans",
        Loss,
        "segments sent again because the far end said that later ones had come",
    ),
    bad(
        "TcpExt.TCPSlowStartRetrans",
        Loss,
        "segments sent again after a timeout, while the window grew anew",
    ),
    bad("TcpExt.TCPTimeouts", Loss, "times no acknowledgement came in time"),
    bad("TcpExt.TCPSynRetrans", Loss, "SYNs and answers to them sent again"),
    bad(
        "TcpExt.TCPRetransFail",
        Loss,
        "segments that could not be sent again at once",
    ),
    bad(
        "TcpExt.TCPSpuriousRTOs",
        Loss,
        "timeouts that turned out to be wrong: the answer was late, not lost",
    ),
    good(
        "TcpExt.TCPLossProbes",
        Loss,
        "last segments sent again early, to find out whether they were lost",
    ),
    good(
        "TcpExt.TCPDSACKRecv",
        Loss,
        "times the far end said that it had a segment twice",
    ),
    good("TcpExt.TCPSACKReorder", Loss, "segments that came in another order"),
    bad(
        "TcpExt.ListenOverflows",
        Queues,
        "connections that did not fit a listener's accept queue",
    ),
    bad(
        "TcpExt.ListenDrops",
        Queues,
        "SYNs and connections a listener dropped, for whatever reason",
    ),
    bad(
        "TcpExt.TCPReqQFullDrop",
        Queues,
        "SYNs dropped because a listener's SYN queue was full",
    ),
    bad(
        "TcpExt.TCPReqQFullDoCookies",
        Queues,
        "SYNs answered with a cookie because a listener's SYN queue was full",
    ),
    good("TcpExt.SyncookiesSent", Queues, "SYNs answered with a cookie"),
    bad(
        "TcpExt.SyncookiesFailed",
        Queues,
        "answers to cookies that were wrong or too old",
    ),
    bad(
        "TcpExt.TCPBacklogDrop",
        Queues,
        "segments dropped because a socket that was in use had too many waiting",
    ),
    bad(
        "TcpExt.TCPRcvQDrop",
        Queues,
        "segments dropped because a socket's receive buffer was full",
    ),
    bad(
        "TcpExt.TCPZeroWindowDrop",
        Queues,
        "segments dropped because the window was closed",
    ),
    bad(
        "TcpExt.TCPToZeroWindowAdv",
        Queues,
        "times a receiver closed its window: its program does not read",
    ),
    good(
        "TcpExt.TCPFromZeroWindowAdv",
        Queues,
        "times a receiver opened its window again",
    ),
    bad(
        "TcpExt.TCPWqueueTooBig",
        Queues,
        "writes refused because too much waited to be sent",
    ),
    bad(
        "TcpExt.PruneCalled",
        Queues,
        "times a receive buffer was tidied up because it was full",
    ),
    bad(
        "TcpExt.RcvPruned",
        Queues,
        "times that did not help and segments were dropped",
    ),
    bad(
        "TcpExt.OfoPruned",
        Queues,
        "segments that came out of order dropped for lack of room",
    ),
    bad(
        "TcpExt.TCPRcvCollapsed",
        Queues,
        "segments joined to save room in a receive buffer",
    ),
    bad(
        "TcpExt.TCPMemoryPressures",
        Queues,
        "times the memory of all TCP sockets came near its limit",
    ),
    bad(
        "TcpExt.TCPOFODrop",
        Queues,
        "segments that came out of order and did not fit",
    ),
    bad(
        "Udp.RcvbufErrors",
        Queues,
        "datagrams dropped because a socket's receive buffer was full: its program does not read fast enough",
    ),
    bad(
        "Udp.SndbufErrors",
        Queues,
        "datagrams not sent because a send buffer was full",
    ),
    bad(
        "Udp.MemErrors",
        Queues,
        "datagrams dropped because the memory of all UDP sockets was used up",
    ),
    bad(
        "Udp6.RcvbufErrors",
        Queues,
        "datagrams over IPv6 dropped because a socket's receive buffer was full",
    ),
    bad(
        "Udp6.SndbufErrors",
        Queues,
        "datagrams over IPv6 not sent because a send buffer was full",
    ),
    bad(
        "Tcp.AttemptFails",
        Resets,
        "connections that were never made: refused, or given up",
    ),
    bad(
        "Tcp.EstabResets",
        Resets,
        "connections broken off by a reset, by either end",
    ),
    good("Tcp.OutRsts", Resets, "resets sent"),
    bad(
        "TcpExt.TCPAbortOnTimeout",
        Resets,
        "connections given up because nothing was answered any more",
    ),
    bad(
        "TcpExt.TCPAbortOnData",
        Resets,
        "connections reset because data came that no program was going to read",
    ),
    bad(
        "TcpExt.TCPAbortOnClose",
        Resets,
        "connections reset because a program closed them with data unread",
    ),
    bad(
        "TcpExt.TCPAbortOnMemory",
        Resets,
        "connections reset for lack of memory",
    ),
    bad(
        "TcpExt.TCPAbortOnLinger",
        Resets,
        "connections reset because a program asked for it (SO_LINGER)",
    ),
    bad("TcpExt.TCPAbortFailed", Resets, "resets that could not be sent"),
    bad(
        "TcpExt.TCPTimeWaitOverflow",
        Resets,
        "connections that could not wait in TIME_WAIT: too many did",
    ),
    bad(
        "TcpExt.PAWSActive",
        Resets,
        "connects refused because of an old time stamp",
    ),
    bad(
        "TcpExt.PAWSEstab",
        Resets,
        "segments dropped because of an old time stamp",
    ),
    bad(
        "TcpExt.TCPACKSkippedChallenge",
        Resets,
        "answers to wrong segments held back: too many in a second",
    ),
    good(
        "TcpExt.TCPChallengeACK",
        Resets,
        "answers to segments that might be forged or stray",
    ),
    bad(
        "TcpExt.TCPSYNChallenge",
        Resets,
        "SYNs that met a connection that was still open",
    ),
    bad(
        "TcpExt.EmbryonicRsts",
        Resets,
        "connections reset by the client while they were being made",
    ),
    bad(
        "TcpExt.TCPDeferAcceptDrop",
        Resets,
        "connections dropped because no data came in time",
    ),
    bad("Udp.NoPorts", Resets, "datagrams to a port where nobody listens"),
    bad(
        "Udp6.NoPorts",
        Resets,
        "datagrams over IPv6 to a port where nobody listens",
    ),
    bad("Ip.OutNoRoutes", Routing, "packets not sent because there was no route"),
    bad("IpExt.InNoRoutes", Routing, "packets received that had no route"),
    bad(
        "Ip.InAddrErrors",
        Routing,
        "packets received for an address that is not here, and that were not forwarded",
    ),
    bad(
        "Ip.OutDiscards",
        Routing,
        "packets dropped while being sent, for lack of room or by a rule",
    ),
    bad(
        "Ip.InDiscards",
        Routing,
        "packets received whole and dropped for lack of room",
    ),
    bad(
        "Ip.InHdrErrors",
        Routing,
        "packets with a wrong header, or whose TTL ended here",
    ),
    bad(
        "TcpExt.IPReversePathFilter",
        Routing,
        "packets dropped because their source is not reached the way they came (rp_filter)",
    ),
    bad(
        "TcpExt.ArpFilter",
        Routing,
        "ARP requests not answered because of arp_filter",
    ),
    good("Ip.ForwDatagrams", Traffic, "packets forwarded"),
    bad(
        "Ip6.InNoRoutes",
        Routing,
        "packets over IPv6 received that had no route",
    ),
    bad(
        "Ip6.OutNoRoutes",
        Routing,
        "packets over IPv6 not sent because there was no route",
    ),
    bad(
        "Ip6.InAddrErrors",
        Routing,
        "packets over IPv6 for an address that is not here",
    ),
    bad(
        "Ip6.InHdrErrors",
        Routing,
        "packets over IPv6 with a wrong header, or whose hop limit ended here",
    ),
    bad(
        "Ip6.InTooBigErrors",
        Routing,
        "packets over IPv6 that were too large to be forwarded",
    ),
    bad(
        "Ip6.InDiscards",
        Routing,
        "packets over IPv6 received whole and dropped",
    ),
    bad("Ip6.OutDiscards", Routing, "packets over IPv6 dropped while being sent"),
    bad("Tcp.InErrs", Checksums, "segments received broken"),
    bad("Tcp.InCsumErrors", Checksums, "segments with a wrong checksum"),
    bad(
        "Udp.InErrors",
        Checksums,
        "datagrams that could not be delivered: checksum, room",
    ),
    bad("Udp.InCsumErrors", Checksums, "datagrams with a wrong checksum"),
    bad(
        "Udp6.InErrors",
        Checksums,
        "datagrams over IPv6 that could not be delivered",
    ),
    bad(
        "Udp6.InCsumErrors",
        Checksums,
        "datagrams over IPv6 with a wrong checksum",
    ),
    bad(
        "IpExt.InCsumErrors",
        Checksums,
        "packets whose header had a wrong checksum",
    ),
    bad("IpExt.InTruncatedPkts", Checksums, "packets shorter than they say"),
    bad(
        "Icmp.InDestUnreachs",
        Icmp,
        "errors received that say: cannot be reached",
    ),
    bad("Icmp.OutDestUnreachs", Icmp, "errors sent that say: cannot be reached"),
    bad(
        "Icmp.InTimeExcds",
        Icmp,
        "errors received that say: TTL ended, or fragments did not come",
    ),
    bad(
        "Icmp.OutTimeExcds",
        Icmp,
        "errors sent that say: TTL ended, or fragments did not come",
    ),
    bad("Icmp.InRedirects", Icmp, "redirects received"),
    bad("Icmp.OutRateLimitHost", Icmp, "errors not sent because too many were"),
    good("Icmp.InEchos", Icmp, "echo requests received"),
    bad(
        "Icmp6.InDestUnreachs",
        Icmp,
        "errors received over IPv6 that say: cannot be reached",
    ),
    bad(
        "Icmp6.OutDestUnreachs",
        Icmp,
        "errors sent over IPv6 that say: cannot be reached",
    ),
    bad(
        "Icmp6.InPktTooBigs",
        Icmp,
        "errors received over IPv6 that say: too large",
    ),
    bad(
        "Icmp6.InTimeExcds",
        Icmp,
        "errors received over IPv6 that say: hop limit ended",
    ),
    bad(
        "Ip.ReasmFails",
        Fragments,
        "datagrams that could not be put together: a fragment did not come, or there was no room",
    ),
    bad(
        "Ip.ReasmTimeout",
        Fragments,
        "datagrams given up because a fragment did not come in time",
    ),
    bad(
        "Ip.FragFails",
        Fragments,
        "packets too large to be sent on that might not be fragmented",
    ),
    good("Ip.FragCreates", Fragments, "fragments made"),
    bad(
        "Ip6.ReasmFails",
        Fragments,
        "datagrams over IPv6 that could not be put together",
    ),
    bad("Ip6.FragFails", Fragments, "packets over IPv6 that were too large"),
    good("Tcp.ActiveOpens", Traffic, "connects"),
    good("Tcp.PassiveOpens", Traffic, "connections accepted"),
    good("Tcp.InSegs", Traffic, "segments received"),
    good("Tcp.OutSegs", Traffic, "segments sent, without those sent again"),
    good("Udp.InDatagrams", Traffic, "datagrams delivered"),
    good("Udp.OutDatagrams", Traffic, "datagrams sent"),
    good("Udp6.InDatagrams", Traffic, "datagrams over IPv6 delivered"),
    good("Udp6.OutDatagrams", Traffic, "datagrams over IPv6 sent"),
    good("Ip.InReceives", Traffic, "packets received"),
    good("Ip.InDelivers", Traffic, "packets received that were for this place"),
    good("Ip.OutRequests", Traffic, "packets that programs and protocols sent"),
    good("Ip.OutTransmits", Traffic, "packets sent and forwarded"),
    good(
        "IpExt.InNoECTPkts",
        Traffic,
        "packets received whose sender knows no ECN",
    ),
    good("IpExt.InECT0Pkts", Traffic, "packets received whose sender knows ECN"),
    good("IpExt.InBcastPkts", Traffic, "packets received for all on the network"),
    good("IpExt.InMcastPkts", Traffic, "packets received for a group"),
    good("IpExt.OutMcastPkts", Traffic, "packets sent to a group"),
    good("Ip6.InReceives", Traffic, "packets over IPv6 received"),
    good(
        "Ip6.InDelivers",
        Traffic,
        "packets over IPv6 received that were for this place",
    ),
    good(
        "Ip6.OutRequests",
        Traffic,
        "packets over IPv6 that programs and protocols sent",
    ),
    good("Ip6.OutTransmits", Traffic, "packets over IPv6 sent and forwarded"),
    good(
        "Ip6.InNoECTPkts",
        Traffic,
        "packets over IPv6 received whose sender knows no ECN",
    ),
    good("Ip6.InMcastPkts", Traffic, "packets over IPv6 received for a group"),
    good("Ip6.OutMcastPkts", Traffic, "packets over IPv6 sent to a group"),
    good("TcpExt.TCPPureAcks", Traffic, "acknowledgements received without data"),
    good("TcpExt.TCPHPHits", Traffic, "segments received on the short way"),
    good(
        "TcpExt.TCPHPAcks",
        Traffic,
        "acknowledgements received on the short way",
    ),
    good(
        "TcpExt.TCPOrigDataSent",
        Traffic,
        "segments with data sent, without those sent again",
    ),
    good(
        "TcpExt.TCPDelivered",
        Traffic,
        "segments with data that were acknowledged",
    ),
    good("TcpExt.DelayedACKs", Traffic, "acknowledgements sent late on purpose"),
    good("TcpExt.TW", Traffic, "connections that ended in TIME_WAIT"),
    good(
        "TcpExt.TCPRcvCoalesce",
        Traffic,
        "segments received and joined to those before",
    ),
    good(
        "TcpExt.TCPAutoCorking",
        Traffic,
        "small segments held back to be sent together",
    ),
    good("IpExt.InOctets", Traffic, "bytes received"),
    good("IpExt.OutOctets", Traffic, "bytes sent"),
    good("Ip6.InOctets", Traffic, "bytes received over IPv6"),
    good("Ip6.OutOctets", Traffic, "bytes sent over IPv6"),
];

/// The counter of that name.
#[must_use]
pub fn of(name: &str) -> Option<&'static KernelCounter> {
    COUNTERS.iter().find(|counter| counter.name == name)
}

#[cfg(test)]
mod tests {
    use super::COUNTERS;
    use std::collections::BTreeSet;

    #[test]
    fn each_is_told_once_and_without_a_full_stop() {
        let names: BTreeSet<&str> = COUNTERS.iter().map(|counter| counter.name).collect();
        assert_eq!(names.len(), COUNTERS.len());
        assert!(COUNTERS.iter().all(|counter| !counter.help.ends_with('.')));
    }
}
