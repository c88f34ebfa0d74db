//! One event in words: what, which flow, why.

use diagnoses::words;
use model::errno::name_of;
use model::event::{Event, Packet, Seen, SlowStage, TcpState};
use model::flow::{self, protocol_name};
use model::inventory::{Container, Pod};
use model::owner::Owner;
use model::stages;
use model::word::Hook;
use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};

/// Names of addresses, where they are known.
pub type AddressNames = BTreeMap<IpAddr, String>;

/// TCP flags by bit, in the order in which they are written.
const FLAGS: [(u8, &str); 5] = [(2, "SYN"), (1, "FIN"), (4, "RST"), (8, "PSH"), (16, "ACK")];

/// Names by which an event's owner is known.
#[derive(Clone, Copy, Debug)]
pub struct OwnerNames<'a> {
    /// Names of namespaces, by node and inode.
    pub netns: &'a BTreeMap<(String, u32), String>,
    /// Names of pods, by UID.
    pub pods: &'a PodNamesByUid,
}

/// Names of pods, by UID.
pub type PodNamesByUid = BTreeMap<String, PodNames>;

/// What a pod and its containers are called.
#[derive(Clone, Debug, Default)]
pub struct PodNames {
    /// Namespace and name.
    pub name: String,
    /// Its containers' names, by their ids at the runtime.
    pub containers: BTreeMap<String, String>,
    /// It lives in its node's network namespace, which is not called after it.
    pub host_network: bool,
}

impl PodNames {
    /// As the cluster's API has them.
    pub fn of(pod: &Pod) -> Self {
        // An init container that has ended can have done nothing since.
        let lives =
            |container: &&Container| !container.id.is_empty() && (!container.init || container.state == "running");
        let made = pod.containers.iter().filter(lives);
        Self {
            name: pod.full_name(),
            containers: made
                .map(|container| (container.id.clone(), container.name.clone()))
                .collect(),
            host_network: pod.host_network,
        }
    }

    /// The container of that id, else the only one.
    pub fn container(&self, id: Option<&str>) -> Option<&String> {
        match id {
            Some(id) => self.containers.get(id),
            None if self.containers.len() == 1 => self.containers.values().next(),
            None => None,
        }
    }
}

/// Whose it is, and on which interface.
pub fn place(event: &Event, names: &OwnerNames<'_>) -> String {
    let whose = owner(event, names);
    match &event.interface {
        Some(interface) => format!("{whose} {interface}"),
        None => whose,
    }
}

/// Whose it is: by its owner, else by the namespaces whose names are known.
pub fn owner(event: &Event, names: &OwnerNames<'_>) -> String {
    let known = names.netns.get(&(event.node.clone(), event.netns)).cloned();
    match &event.owner {
        Owner::Pod { uid, container } => match names.pods.get(uid) {
            Some(pod) => match pod.container(container.as_deref()) {
                Some(container) if pod.containers.len() > 1 => format!("{}/{container}", pod.name),
                _ => pod.name.clone(),
            },
            None => format!("pod/{uid}"),
        },
        Owner::Container { id } => format!("container/{}", id.get(..12).unwrap_or(id)),
        Owner::Netns { name } => known.unwrap_or_else(|| {
            let bare = name.strip_prefix("netns/").unwrap_or(name);
            format!("netns/{bare}")
        }),
        Owner::Host => "host".to_owned(),
        Owner::Unknown if event.netns == 0 => "-".to_owned(),
        Owner::Unknown => known.unwrap_or_else(|| format!("netns:{}", event.netns)),
    }
}

/// What the namespace is called where this event was; `None` where its owner does not say.
pub fn netns(event: &Event, names: &OwnerNames<'_>) -> Option<String> {
    match &event.owner {
        Owner::Unknown => None,
        Owner::Pod { uid, .. } => {
            let pod = names.pods.get(uid)?;
            (!pod.host_network).then(|| pod.name.clone())
        }
        _ => Some(owner(event, names)),
    }
}

/// The flow, names before addresses: `netns/a:41234 -> 10.90.2.2:80 tcp SYN`.
pub fn flow(event: &Event, names: &AddressNames) -> String {
    let flow = event.flow;
    if matches!(event.seen, Seen::NeighbourFailed { .. }) {
        return end(flow.dst(), 0, names);
    }
    if flow.protocol == 0 && flow.src().is_unspecified() && flow.dst().is_unspecified() {
        return "-".to_owned();
    }
    let ports = !matches!(flow.protocol, flow::ICMP | flow::ICMPV6);
    let port = |port: u16| if ports { port } else { 0 };
    let flags = event
        .packet
        .as_ref()
        .filter(|_| flow.protocol == flow::TCP)
        .map(flags)
        .unwrap_or_default();
    format!(
        "{} -> {} {}{}{flags}",
        end(flow.src(), port(flow.sport), names),
        end(flow.dst(), port(flow.dport), names),
        protocol_name(flow.protocol),
        if flags.is_empty() { "" } else { " " },
    )
}

fn end(address: IpAddr, port: u16, names: &AddressNames) -> String {
    match (names.get(&address), port) {
        (Some(name), 0) => name.clone(),
        (Some(name), port) => format!("{name}:{port}"),
        (None, 0) => address.to_string(),
        (None, port) => SocketAddr::new(address, port).to_string(),
    }
}

fn flags(packet: &Packet) -> String {
    let set: Vec<&str> = FLAGS
        .into_iter()
        .filter(|(bit, _)| packet.tcp_flags & bit != 0)
        .map(|(_, name)| name)
        .collect();
    set.join(",")
}

/// What it is, in a word.
pub fn what(seen: &Seen) -> &'static str {
    match seen {
        Seen::Drop { .. } => "drop",
        Seen::ResetSent { .. } | Seen::ResetReceived { .. } => "reset",
        Seen::Retransmit { .. } | Seen::RetransmitSynAck => "retransmit",
        Seen::StateChange { .. } => "state",
        Seen::IcmpSent { .. } => "icmp",
        Seen::SocketError { .. } => "error",
        Seen::NeighbourFailed { .. } => "neighbour",
        Seen::DnsQuery { .. } | Seen::DnsAnswer { .. } | Seen::DnsUnanswered { .. } => "dns",
        Seen::Hop { .. } => "hop",
        Seen::ReceiveBufferFull { .. } => "buffer",
        Seen::Slow { .. } => "slow",
    }
}

/// Why, in one phrase.
pub fn why(event: &Event) -> String {
    match &event.seen {
        Seen::Drop {
            reason,
            location,
            state,
        } => {
            let location = location
                .as_deref()
                .map_or_else(String::new, |location| format!(" {location}"));
            format!("{reason}{location}{}", socket_state(*state))
        }
        Seen::ResetSent { reason, state, active } => {
            let reason = reason
                .as_deref()
                .map_or_else(String::new, |reason| format!(": {reason}"));
            let by = if *active { " by itself" } else { "" };
            format!("sent{by}{reason}{}", socket_state(*state))
        }
        Seen::ResetReceived { state } => format!("received{}", socket_state(*state)),
        Seen::Retransmit { state, errno: 0 } => format!("sent again{}", socket_state(*state)),
        Seen::Retransmit { state, errno: code } => {
            format!("could not be sent again: {}{}", errno(*code), socket_state(*state))
        }
        Seen::RetransmitSynAck => "SYN-ACK sent again".to_owned(),
        Seen::StateChange { old, new, since_ns } => {
            let since = match since_ns {
                0 => String::new(),
                since => format!(", {} since it was opened", super::phrases::time(*since)),
            };
            format!("{} to {}{since}", state_name(*old), state_name(*new))
        }
        Seen::IcmpSent { kind, code, info } => {
            format!("sent: {}", icmp(event.flow.dst().is_ipv6(), *kind, *code, *info))
        }
        Seen::SocketError { errno: code, soft } => {
            format!("{}{}", errno(*code), if *soft { ", goes on trying" } else { "" })
        }
        Seen::NeighbourFailed { probes, .. } => {
            let asked = super::phrases::count(u64::from(*probes), "solicitation");
            format!("did not answer {asked}")
        }
        Seen::DnsQuery { name, qtype, .. } => format!("{name} {qtype}?"),
        Seen::DnsAnswer {
            name,
            qtype,
            rcode,
            answers,
            truncated,
            latency_ns,
            ..
        } => {
            let after = if *latency_ns == 0 {
                String::new()
            } else {
                format!(" after {}", super::phrases::time(*latency_ns))
            };
            let records = super::phrases::count(u64::from(*answers), "record");
            let truncated = if *truncated { ", truncated" } else { "" };
            format!("{name} {qtype}: {rcode}, {records}{truncated}{after}")
        }
        Seen::DnsUnanswered {
            name, qtype, waited_ns, ..
        } => {
            format!("{name} {qtype}: no answer in {}", super::phrases::time(*waited_ns))
        }
        Seen::Hop { hook, learned } => {
            let hook = match hook {
                Hook::Queue => "queued",
                Hook::Transmit => "left",
                Hook::Receive => "came in",
                Hook::Delivered => "delivered",
            };
            format!("{hook}{}", if *learned { ", translated" } else { "" })
        }
        Seen::ReceiveBufferFull { errno: code } => format!("receive buffer full: {}", errno(*code)),
        Seen::Slow {
            took_ns,
            stages: parts,
            device,
        } => slow(*took_ns, parts, device.as_deref(), event),
    }
}

/// How long something took, and where: `21 ms: socket to queue 20 ms, queue to device 1.0 ms`.
fn slow(took_ns: u64, parts: &[SlowStage], device: Option<&str>, event: &Event) -> String {
    let says = |part: &SlowStage| stages::of(&part.stage).map_or(part.stage.clone(), |stage| stage.says.to_owned());
    let parts = match parts {
        [one] => says(one),
        several => {
            let each = several
                .iter()
                .map(|part| format!("{} {}", says(part), words::time(part.took_ns)));
            each.collect::<Vec<_>>().join(", ")
        }
    };
    let by = match (&event.process, event.pid) {
        (_, 0) => String::new(),
        (Some(process), pid) => format!(" {process} ({pid})"),
        (None, pid) => format!(" process {pid}"),
    };
    let on = device.map_or_else(String::new, |device| format!(" on {device}"));
    format!("{}: {parts}{by}{on}", words::time(took_ns))
}

fn socket_state(state: TcpState) -> String {
    match state {
        TcpState::Unknown => String::new(),
        state => format!(" (socket {})", state_name(state)),
    }
}

fn state_name(state: TcpState) -> &'static str {
    match state {
        TcpState::Established => "ESTABLISHED",
        TcpState::SynSent => "SYN_SENT",
        TcpState::SynRecv => "SYN_RECV",
        TcpState::FinWait1 => "FIN_WAIT1",
        TcpState::FinWait2 => "FIN_WAIT2",
        TcpState::TimeWait => "TIME_WAIT",
        TcpState::Close => "CLOSE",
        TcpState::CloseWait => "CLOSE_WAIT",
        TcpState::LastAck => "LAST_ACK",
        TcpState::Listen => "LISTEN",
        TcpState::Closing => "CLOSING",
        TcpState::NewSynRecv => "NEW_SYN_RECV",
        TcpState::Unknown => "unknown",
    }
}

/// An error number by its name.
fn errno(code: u16) -> String {
    name_of(code).map_or_else(|| format!("error {code}"), str::to_owned)
}

/// An ICMP (RFC 792) or `ICMPv6` (RFC 4443) error in words.
fn icmp(v6: bool, kind: u8, code: u8, info: u32) -> String {
    let words = match (v6, kind, code) {
        (false, 3, 0) | (true, 1, 0) => "no route",
        (false, 3, 1) | (true, 1, 3) => "host unreachable",
        (false, 3, 2) => "protocol unreachable",
        (false, 3, 3) | (true, 1, 4) => "port unreachable",
        (false, 3, 4) | (true, 2, _) => return format!("packet too big, MTU {info}"),
        (false, 3, 9 | 10 | 13) | (true, 1, 1) => "administratively prohibited",
        (true, 1, 5 | 6) => "rejected by policy or route",
        (false, 11, 0) | (true, 3, 0) => "TTL exceeded",
        (false, 11, 1) | (true, 3, 1) => "reassembly took too long",
        (false, 5, _) | (true, 137, _) => "redirect",
        (false, 12, _) | (true, 4, _) => "parameter problem",
        _ => return format!("type {kind} code {code}"),
    };
    words.to_owned()
}

#[cfg(test)]
mod tests {
    use super::{AddressNames, OwnerNames, PodNames, PodNamesByUid, flow, netns, place, what, why};
    use model::event::{Event, Seen};
    use model::owner::Owner;
    use std::collections::BTreeMap;

    fn drop() -> Event {
        let said = r#"{"at_ns":0, "probe":"drop", "netns":4026532000, "ifindex":2, "interface":"up0",
            "owner":{"netns":{"name":"x"}},
            "flow":{"src":"10.90.1.2","sport":41234,"dst":"fd90:2::2","dport":80,"protocol":"tcp"},
            "packet":{"seq":1,"ack":0,"len":60,"ip_id":0,"window":64240,"tcp_flags":2,"ttl":64},
            "seen":{"what":"drop","reason":"NETFILTER_DROP","location":"nft_do_chain","state":"UNKNOWN"}}"#;
        serde_json::from_str(said).unwrap()
    }

    #[test]
    fn a_drop_reads_as_time_place_flow_what_and_why() {
        let names = AddressNames::from([("10.90.1.2".parse().unwrap(), "netns/a".to_owned())]);
        let event = drop();
        let whose = OwnerNames {
            netns: &BTreeMap::new(),
            pods: &PodNamesByUid::new(),
        };
        assert_eq!(place(&event, &whose), "netns/x up0");
        assert_eq!(flow(&event, &names), "netns/a:41234 -> [fd90:2::2]:80 tcp SYN");
        assert_eq!(
            (what(&event.seen), why(&event).as_str()),
            ("drop", "NETFILTER_DROP nft_do_chain")
        );
    }

    fn pod(container: Option<&str>) -> Event {
        let owner = Owner::Pod {
            uid: "u".into(),
            container: container.map(Into::into),
        };
        Event { owner, ..drop() }
    }

    #[test]
    fn a_pods_container_is_told_where_it_is_known_and_not_the_only_one() {
        let named = |containers: &[(&str, &str)], host_network| PodNames {
            name: "shop/web".into(),
            containers: containers
                .iter()
                .map(|(id, name)| ((*id).into(), (*name).into()))
                .collect(),
            host_network,
        };
        let whose = |event: &Event, names: PodNames| {
            let whose = OwnerNames {
                netns: &BTreeMap::new(),
                pods: &PodNamesByUid::from([("u".into(), names)]),
            };
            (place(event, &whose), netns(event, &whose))
        };
        let web = || Some("shop/web".to_owned());
        let two = || named(&[("1", "nginx"), ("2", "log")], false);
        assert_eq!(whose(&pod(Some("2")), two()), ("shop/web/log up0".into(), web()));
        assert_eq!(whose(&pod(None), two()), ("shop/web up0".into(), web()));
        assert_eq!(
            whose(&pod(Some("1")), named(&[("1", "nginx")], false)),
            ("shop/web up0".into(), web())
        );
        let host = named(&[("1", "nginx")], true);
        assert_eq!(
            whose(&pod(None), host),
            ("shop/web up0".into(), None),
            "the node's namespace is not the pod's"
        );
    }

    #[test]
    fn an_icmp_error_is_said_in_words() {
        let seen = Seen::IcmpSent {
            kind: 2,
            code: 0,
            info: 1280,
        };
        assert_eq!(why(&Event { seen, ..drop() }), "sent: packet too big, MTU 1280");
    }
}
