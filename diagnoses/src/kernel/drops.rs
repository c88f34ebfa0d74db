//! What a freed packet's reason and location mean.
//!
//! Reasons are names of `enum skb_drop_reason` (they were renumbered in every release, and kernels before 5.17 know none);
//! locations are function names. A class is found by the reason, else by the location alone.

use model::event::{Event, Seen, TcpState};

/// A family of drops.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Class {
    /// Part of healthy traffic: duplicates, probes, what is left at close.
    Benign,
    /// A netfilter rule, or connection tracking.
    Netfilter,
    /// NFQUEUE: its program dropped it or is not there.
    Queue,
    /// A tc, XDP, socket or cgroup eBPF program.
    Bpf,
    /// `IPsec` policy or state.
    Ipsec,
    /// TCP MD5 or AO.
    TcpSignature,
    /// Nothing listens.
    NoSocket,
    /// A listener that cannot take one more connection.
    ListenOverflow,
    /// A segment of an unknown connection met a listener.
    UnknownConnection,
    /// A neighbour does not answer.
    Neighbour,
    /// Too much waits for a neighbour.
    NeighbourQueue,
    /// A bridge has no port for the target.
    BridgeNoPort,
    /// A bridge does not forward between these ports.
    BridgeRefuses,
    /// Larger than the next device of the same link takes.
    LinkMtu,
    /// Larger than the next link's MTU, with DF.
    PathMtu,
    /// The hardware address is not this interface's.
    OtherHost,
    /// No route, or one that rejects.
    Route,
    /// Not for this host, and it does not forward.
    NotForwarding,
    /// Reverse path filter.
    ReversePath,
    /// It comes from an address of this very host.
    OwnSource,
    /// It came in from outside and is for a loopback address.
    Loopback,
    /// Its TTL or hop limit is used up.
    Ttl,
    /// A queueing discipline's limit, or a device that is down.
    Qdisc,
    /// A CPU's backlog is full.
    Backlog,
    /// A wrong checksum.
    Checksum,
    /// A socket's receive buffer is full.
    ReceiveBuffer,
    /// TCP or cgroup memory is used up.
    Memory,
    /// A tunnel device has no place to send it to, or does not know its network.
    Overlay,
    /// Fragments are missing.
    Fragments,
    /// A user space tunnel does not read.
    TunFull,
    /// None of these.
    Other,
}

/// The class of a drop.
#[must_use]
pub fn class(reason: &str, location: Option<&str>, state: TcpState) -> Class {
    let at = location.map_or("", bare);
    by_reason(reason, at)
        .or_else(|| by_location(at, state))
        .unwrap_or(Class::Other)
}

/// The class of a drop event; `None` for other events.
#[must_use]
pub fn class_of(event: &Event) -> Option<Class> {
    match &event.seen {
        Seen::Drop {
            reason,
            location,
            state,
        } => Some(class(reason, location.as_deref(), *state)),
        _ => None,
    }
}

/// A function without what the compiler adds to its name.
fn bare(location: &str) -> &str {
    location.split(['.', '+']).next().unwrap_or(location)
}

fn by_reason(reason: &str, at: &str) -> Option<Class> {
    Some(match reason {
        "NETFILTER_DROP" => Class::Netfilter,
        "TC_INGRESS" | "TC_EGRESS" | "XDP" | "BPF_CGROUP_EGRESS" | "SOCKET_FILTER" | "BPF_DROP" => Class::Bpf,
        "XFRM_POLICY" => Class::Ipsec,
        "TCP_MD5FAILURE" | "TCP_MD5NOTFOUND" | "TCP_MD5UNEXPECTED" | "TCP_AOFAILURE" | "TCP_AONOTFOUND"
        | "TCP_AOUNEXPECTED" | "TCP_AOKEYNOTFOUND" => Class::TcpSignature,
        "NO_SOCKET" if at == "cookie_v4_check" || at == "cookie_v6_check" => Class::ListenOverflow,
        "NO_SOCKET" => Class::NoSocket,
        "TCP_LISTEN_OVERFLOW" => Class::ListenOverflow,
        "TCP_FLAGS" => Class::UnknownConnection,
        "NEIGH_FAILED" | "NEIGH_CREATEFAIL" | "NEIGH_DEAD" => Class::Neighbour,
        "NEIGH_QUEUEFULL" => Class::NeighbourQueue,
        "NO_TX_TARGET" | "IP_OUTNOROUTES" if at.starts_with("vxlan") => Class::Overlay,
        "NO_TX_TARGET" | "BRIDGE_NO_EGRESS_PORT" => Class::BridgeNoPort,
        "BRIDGE_INGRESS_STP_STATE" => Class::BridgeRefuses,
        "PKT_TOO_BIG" => Class::PathMtu,
        "OTHERHOST" => Class::OtherHost,
        "IP_INNOROUTES" | "IP_OUTNOROUTES" => Class::Route,
        "IP_INADDRERRORS" => Class::NotForwarding,
        "IP_RPFILTER" => Class::ReversePath,
        "IP_LOCAL_SOURCE" => Class::OwnSource,
        "IP_LOCALNET" => Class::Loopback,
        "IP_INHDR" if at.starts_with("ip_forward") || at.starts_with("ip6_forward") => Class::Ttl,
        "QDISC_DROP" | "QDISC_OVERLIMIT" | "QDISC_CONGESTED" | "FQ_BAND_LIMIT" | "FQ_HORIZON_LIMIT"
        | "FQ_FLOW_LIMIT" | "DEV_READY" => Class::Qdisc,
        "CPU_BACKLOG" => Class::Backlog,
        "TCP_CSUM" | "UDP_CSUM" | "IP_CSUM" | "ICMP_CSUM" | "SKB_CSUM" => Class::Checksum,
        "SOCKET_RCVBUFF" => Class::ReceiveBuffer,
        "PROTO_MEM" | "SOCKET_BACKLOG" => Class::Memory,
        "VXLAN_VNI_NOT_FOUND" | "VXLAN_INVALID_HDR" | "VXLAN_ENTRY_EXISTS" | "VXLAN_NO_REMOTE" | "TUNNEL_TXINFO" => {
            Class::Overlay
        }
        "FRAG_REASM_TIMEOUT" | "FRAG_TOO_FAR" | "DUP_FRAG" => Class::Fragments,
        "FULL_RING" => Class::TunFull,
        "QUEUE_PURGE"
        | "SOCKET_CLOSE"
        | "TCP_CLOSE"
        | "TCP_OLD_SEQUENCE"
        | "TCP_OLD_DATA"
        | "TCP_OFOMERGE"
        | "TCP_OFO_QUEUE_PRUNE"
        | "TCP_OFO_DROP"
        | "TCP_RFC7323_PAWS"
        | "TCP_RFC7323_PAWS_ACK"
        | "TCP_RFC7323_TSECR"
        | "TCP_RFC7323_TW_PAWS"
        | "TCP_ACK_UNSENT_DATA"
        | "TCP_TOO_OLD_ACK"
        | "TCP_OLD_ACK"
        | "TCP_INVALID_SYN"
        | "TCP_INVALID_SEQUENCE"
        | "TCP_INVALID_END_SEQUENCE"
        | "TCP_INVALID_ACK_SEQUENCE"
        | "TCP_RESET"
        | "TCP_OVERWINDOW"
        | "TCP_ZEROWINDOW"
        | "TCP_ABORT_ON_DATA"
        | "UNICAST_IN_L2_MULTICAST"
        | "IPV6DISABLED"
        | "CONSUMED"
        | "PACKET_SOCK_ERROR" => Class::Benign,
        _ => return None,
    })
}

fn by_location(at: &str, state: TcpState) -> Option<Class> {
    Some(match at {
        "nft_do_chain" | "ipt_do_table" | "ip6t_do_table" | "nf_hook_slow" => Class::Netfilter,
        _ if at.starts_with("nf_queue") || at.starts_with("nfqnl") || at.starts_with("nf_reinject") => Class::Queue,
        _ if at.starts_with("do_xdp_generic") || at.starts_with("veth_xdp") || at.ends_with("_xdp_rcv_skb") => {
            Class::Bpf
        }
        "tcf_classify" | "cls_bpf_classify" | "sch_handle_ingress" | "sch_handle_egress" => Class::Bpf,
        "xfrm_input" | "xfrm_output_resume" | "__xfrm_policy_check" => Class::Ipsec,
        "neigh_invalidate" | "neigh_timer_handler" | "arp_error_report" | "ndisc_error_report" => Class::Neighbour,
        "__neigh_event_send" | "neigh_resolve_output" => Class::NeighbourQueue,
        "br_handle_frame_finish" | "br_handle_frame" | "br_forward" | "__br_forward" => Class::BridgeRefuses,
        "br_dev_xmit" | "br_flood" => Class::BridgeNoPort,
        "br_dev_queue_push_xmit"
        | "br_nf_dev_queue_xmit"
        | "__dev_forward_skb2"
        | "____dev_forward_skb"
        | "veth_xmit" => Class::LinkMtu,
        _ if at.starts_with("vxlan") || at.starts_with("geneve") || at.starts_with("ip_tunnel") => Class::Overlay,
        "ip_error"
        | "ip6_pkt_drop"
        | "ip6_pkt_discard"
        | "ip6_pkt_prohibit"
        | "dst_discard"
        | "dst_discard_out"
        | "dst_blackhole_input" => Class::Route,
        "ip_forward" | "ip6_forward" => Class::Other,
        "__dev_queue_xmit" | "dev_qdisc_enqueue" | "noop_enqueue" | "noqueue_enqueue" => Class::Qdisc,
        "enqueue_to_backlog" => Class::Backlog,
        "tun_net_xmit" => Class::TunFull,
        "ip_expire" | "ip_frag_reasm" | "ip6frag_expire_frag_queue" => Class::Fragments,
        "udp_queue_rcv_one_skb" | "udpv6_queue_rcv_one_skb" | "__udp_enqueue_schedule_skb" => Class::ReceiveBuffer,
        // A repeated SYN for a half-open connection, a segment for TIME_WAIT, a reset for a half-open one.
        "tcp_v4_rcv" | "tcp_v6_rcv" if state != TcpState::Unknown && state != TcpState::Listen => Class::Benign,
        "sk_stream_kill_queues"
        | "tcp_validate_incoming"
        | "tcp_data_queue"
        | "tcp_rcv_established"
        | "ip6_mc_input"
        | "unix_release_sock"
        | "tun_queue_purge"
        | "inet_csk_destroy_sock"
        | "tcp_rcv_state_process" => Class::Benign,
        _ => return None,
    })
}

/// A packet that was freed in this function of NFQUEUE was freed after its program had answered, and the answer was to drop it.
#[must_use]
pub fn was_answered(location: &str) -> bool {
    let at = bare(location);
    at.contains("reinject") || at.contains("verdict")
}

/// What a class means, as the end of the sentence "the packet was dropped because".
#[must_use]
pub fn meaning(class: Class) -> &'static str {
    match class {
        Class::Benign => "it was of no further use",
        Class::Netfilter => "netfilter said so",
        Class::Queue => "an NFQUEUE program said so or is not there",
        Class::Bpf => "an eBPF program said so",
        Class::Ipsec => "an IPsec policy asks for something else",
        Class::TcpSignature => "its TCP signature is wrong or missing",
        Class::NoSocket => "nothing listens there",
        Class::ListenOverflow => "the listener cannot take one more connection",
        Class::UnknownConnection => "it belongs to no connection known there",
        Class::Neighbour => "the next hop does not answer",
        Class::NeighbourQueue => "too much waits for the next hop to answer",
        Class::BridgeNoPort => "the bridge has no port for it",
        Class::BridgeRefuses => "the bridge does not forward between these ports",
        Class::LinkMtu => "it is larger than the next device takes",
        Class::PathMtu => "it is larger than the next link takes",
        Class::OtherHost => "it carries another host's hardware address",
        Class::Route => "no route leads on",
        Class::NotForwarding => "this host does not forward",
        Class::ReversePath => "the reverse path filter rejects its source",
        Class::OwnSource => "it comes from an address of this very host",
        Class::Loopback => "it came in from outside and is for a loopback address",
        Class::Ttl => "its time to live is used up",
        Class::Qdisc => "the device's queue takes no more",
        Class::Backlog => "a CPU's backlog is full",
        Class::Checksum => "its checksum is wrong",
        Class::ReceiveBuffer => "the socket's receive buffer is full",
        Class::Memory => "socket memory is used up",
        Class::Overlay => "the tunnel has no place for it",
        Class::Fragments => "some of its fragments are missing",
        Class::TunFull => "the tunnel's program does not read",
        Class::Other => "the kernel freed it",
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, class};
    use model::event::TcpState;

    #[test]
    fn a_class_is_found_by_reason_and_else_by_location() {
        let cases = [
            ("NETFILTER_DROP", "nft_do_chain", TcpState::Unknown, Class::Netfilter),
            ("NOT_SPECIFIED", "nf_hook_slow", TcpState::Unknown, Class::Netfilter),
            ("NOT_SPECIFIED", "nfqnl_reinject", TcpState::Unknown, Class::Queue),
            (
                "NOT_SPECIFIED",
                "veth_xdp_rcv_skb.constprop.0",
                TcpState::Unknown,
                Class::Bpf,
            ),
            (
                "NO_TX_TARGET",
                "br_handle_frame_finish",
                TcpState::Unknown,
                Class::BridgeNoPort,
            ),
            ("NO_TX_TARGET", "vxlan_xmit", TcpState::Unknown, Class::Overlay),
            ("IP_OUTNOROUTES", "vxlan_xmit_one", TcpState::Unknown, Class::Overlay),
            (
                "NOT_SPECIFIED",
                "br_handle_frame_finish",
                TcpState::Unknown,
                Class::BridgeRefuses,
            ),
            ("NOT_SPECIFIED", "ip_error", TcpState::Unknown, Class::Route),
            ("NOT_SPECIFIED", "tcp_v4_rcv", TcpState::NewSynRecv, Class::Benign),
            ("NO_SOCKET", "tcp_v4_rcv", TcpState::Unknown, Class::NoSocket),
            ("NO_SOCKET", "cookie_v4_check", TcpState::Listen, Class::ListenOverflow),
            ("QUEUE_PURGE", "sk_stream_kill_queues", TcpState::Unknown, Class::Benign),
            ("SOMETHING_NEW", "some_function", TcpState::Unknown, Class::Other),
        ];
        for (reason, location, state, expected) in cases {
            assert_eq!(class(reason, Some(location), state), expected, "{reason} in {location}");
        }
        assert_eq!(class("NOT_SPECIFIED", None, TcpState::Unknown), Class::Other);
    }
}
