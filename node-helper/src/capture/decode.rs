//! From the kernel's record to an event that people read: numbers become names.

use super::symbols::Symbols;
use crate::kernel::btf::{DROP_REASONS, Layout, RESET_REASONS};
use crate::system::block_device;
use model::event::{Event, Exchanged, Packet, Seen, SlowStage, TcpState};
use model::flow::Flow;
use model::histogram::Measure;
use model::owner::Owner;
use model::record::{PacketTail, Record};
use model::word::{Hook, What};
use std::collections::HashMap;

const HEAD: usize = size_of::<Record>();
const TAIL: usize = size_of::<PacketTail>();
const TUPLE: usize = size_of::<Flow>();

const NOT_TOLD: u16 = 0xffff;

/// The names of this kernel.
#[derive(Debug)]
pub struct KernelNames {
    drops: HashMap<u32, String>,
    resets: HashMap<u32, String>,
    locations: HashMap<u64, Option<String>>,
}

impl KernelNames {
    /// Those that BTF tells; functions are looked up when they are met.
    pub fn new(layout: &Layout) -> Self {
        let named = |which: &str, prefix: &str| {
            let entries = layout.enums.get(which).into_iter().flatten();
            entries
                .map(|(number, name)| (*number, name.strip_prefix(prefix).unwrap_or(name).to_owned()))
                .collect()
        };
        Self {
            drops: named(DROP_REASONS, "SKB_DROP_REASON_"),
            resets: named(RESET_REASONS, "SK_RST_REASON_"),
            locations: HashMap::new(),
        }
    }

    /// The name of a drop reason of this kernel.
    pub fn drop_reason(&self, reason: u16) -> String {
        if reason == 0 {
            return "NOT_SPECIFIED".to_owned();
        }
        if let Some(name) = self.drops.get(&u32::from(reason)) {
            return name.clone();
        }
        if reason & 0x8000 != 0 {
            // The number of a subsystem, whose names are in its module.
            return format!("SUBSYSTEM_{}_REASON_{}", (reason >> 8) & 0x7f, reason & 0xff);
        }
        format!("REASON_{reason}")
    }

    fn location(&mut self, address: u64) -> Option<String> {
        self.locations
            .entry(address)
            .or_insert_with(|| {
                Symbols::of_this_kernel()
                    .function(address)
                    .map(std::borrow::Cow::into_owned)
            })
            .clone()
    }

    /// What a word says, where it needs no tail. `None` for words whose content is in the tail, or unknown ones.
    pub fn seen(&mut self, what: What) -> Option<Seen> {
        Some(match what {
            What::Drop {
                reason,
                state,
                location,
            } => Seen::Drop {
                reason: self.drop_reason(reason),
                location: self.location(location),
                state: TcpState::from_number(state),
            },
            What::ResetSent { reason, state, active } => Seen::ResetSent {
                reason: (reason != NOT_TOLD).then(|| {
                    self.resets
                        .get(&u32::from(reason))
                        .cloned()
                        .unwrap_or_else(|| format!("REASON_{reason}"))
                }),
                state: TcpState::from_number(state),
                active,
            },
            What::ResetReceived { state } => Seen::ResetReceived {
                state: TcpState::from_number(state),
            },
            What::Retransmit { state, errno } => Seen::Retransmit {
                state: TcpState::from_number(state),
                errno,
            },
            What::RetransmitSynAck => Seen::RetransmitSynAck,
            What::StateChange { old, new, since_ns } => Seen::StateChange {
                old: TcpState::from_number(old),
                new: TcpState::from_number(new),
                since_ns,
            },
            What::IcmpSent { kind, code, info } => Seen::IcmpSent { kind, code, info },
            What::SocketError { errno, soft } => Seen::SocketError { errno, soft },
            What::NeighbourFailed { state, probes } => Seen::NeighbourFailed { state, probes },
            What::Hop { hook, learned } => Seen::Hop {
                hook: Hook::from_number(hook)?,
                learned,
            },
            What::ReceiveBufferFull { errno } => Seen::ReceiveBufferFull { errno },
            What::Slow {
                measure,
                took_ns,
                before,
                before_ns,
            } => slow([(before, before_ns), (measure, took_ns)])?,
            What::DnsQuery | What::DnsAnswer { .. } => return None,
        })
    }

    /// The event of a record without its place's names. `None` when this version does not know the word.
    pub fn event(&mut self, probe: &str, record: &Record, tail: &[u8]) -> Option<Event> {
        let what = What::decode(record.tag, record.a, record.b)?;
        let mut event = bare(probe, record, self.seen(what)?);
        if let Seen::Slow { device, .. } = &mut event.seen
            && is_of_device(what)
        {
            // Where packets have an interface.
            *device = Some(block_device::name(record.ifindex));
            event.ifindex = 0;
        }
        event.packet = packet(tail);
        event.exchanged = exchanged(tail);
        event.quoted = tail.get(TAIL..TAIL + TUPLE).map(flow);
        Some(event)
    }
}

/// A wait that went through these stages, of which only the last is known for certain.
fn slow(stages: [(u16, u64); 2]) -> Option<Seen> {
    let [_, (last, _)] = stages;
    Measure::decode(last)?;
    let known = stages.into_iter().filter_map(|(measure, took_ns)| {
        let stage = Measure::decode(measure)?.name().to_owned();
        Some(SlowStage { stage, took_ns })
    });
    let stages: Vec<SlowStage> = known.collect();
    Some(Seen::Slow {
        took_ns: stages.iter().map(|stage| stage.took_ns).sum(),
        stages,
        device: None,
    })
}

/// What it tells of waited for a block device.
fn is_of_device(what: What) -> bool {
    let What::Slow { measure, .. } = what else { return false };
    Measure::decode(measure).is_some_and(Measure::is_of_device)
}

/// An event about a record, without what its tail tells.
pub fn bare(probe: &str, record: &Record, seen: Seen) -> Event {
    Event {
        node: String::new(),
        at_ns: record.at_ns,
        probe: probe.to_owned(),
        netns: record.netns,
        ifindex: record.ifindex,
        interface: None,
        pid: record.pid,
        process: None,
        owner: Owner::Unknown,
        flow: Flow {
            zero: [0; 3],
            ..record.flow
        },
        skb: record.skb,
        sk: record.sk,
        packet: None,
        exchanged: None,
        quoted: None,
        attempt: whose(record),
        seen,
    }
}

/// The attempt whose flow a record is about.
fn whose(record: &Record) -> Option<u32> {
    let [bits, low, high] = record.flow.zero;
    (bits & 1 == 1).then(|| u32::from(u16::from_le_bytes([low, high])))
}

/// The head of a record and its tail.
pub fn split(bytes: &[u8]) -> Option<(Record, &[u8])> {
    let head = bytes.get(..HEAD)?;
    let record = Record {
        at_ns: long(head, 0),
        cgroup: long(head, 8),
        skb: long(head, 16),
        sk: long(head, 24),
        a: long(head, 32),
        b: long(head, 40),
        netns: word(head, 48),
        ifindex: word(head, 52),
        pid: word(head, 56),
        tag: short(head, 60),
        tail_len: short(head, 62),
        flow: Flow {
            zero: [head[101], head[102], head[103]],
            ..flow(&head[64..HEAD])
        },
    };
    let tail = bytes.get(HEAD..HEAD + usize::from(record.tail_len))?;
    Some((record, tail))
}

/// Whether a record carries a DNS message.
pub fn is_dns(record: &Record) -> bool {
    matches!(
        What::decode(record.tag, record.a, record.b),
        Some(What::DnsQuery | What::DnsAnswer { .. })
    )
}

/// What a connection has exchanged: no other tail is as short.
fn exchanged(tail: &[u8]) -> Option<Exchanged> {
    const BYTES: usize = 8;
    (tail.len() == BYTES).then(|| Exchanged {
        sent_bytes: word(tail, 0),
        received_bytes: word(tail, 4),
    })
}

fn packet(tail: &[u8]) -> Option<Packet> {
    let tail = tail.get(..TAIL)?;
    Some(Packet {
        seq: word(tail, 0),
        ack: word(tail, 4),
        len: word(tail, 8),
        ip_id: short(tail, 12),
        window: short(tail, 14),
        tcp_flags: tail[16],
        ttl: tail[17],
        inner: tail[18] != 0,
        fragment: tail[19],
    })
}

/// A tuple as it lies in memory.
pub fn flow(bytes: &[u8]) -> Flow {
    let mut flow = Flow::default();
    flow.saddr.copy_from_slice(&bytes[..16]);
    flow.daddr.copy_from_slice(&bytes[16..32]);
    flow.sport = short(bytes, 32);
    flow.dport = short(bytes, 34);
    flow.protocol = bytes[36];
    flow
}

fn long(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_ne_bytes(number)
}

fn word(bytes: &[u8], at: usize) -> u32 {
    let mut number = [0; 4];
    number.copy_from_slice(&bytes[at..at + 4]);
    u32::from_ne_bytes(number)
}

fn short(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

/// What a total counted, in words: the word, then its particulars.
pub fn particulars(seen: &Seen) -> String {
    let state = |state: &TcpState| serde_json::to_string(state).unwrap_or_default().replace('"', "");
    match seen {
        Seen::Drop { reason, location, .. } => match location {
            Some(location) => format!("drop {reason} {location}"),
            None => format!("drop {reason}"),
        },
        Seen::ResetSent { reason, state: of, .. } => match reason {
            Some(reason) => format!("reset-sent {reason}"),
            None => format!("reset-sent {}", state(of)),
        },
        Seen::ResetReceived { state: of } => format!("reset-received {}", state(of)),
        Seen::Retransmit { state: of, errno: 0 } => format!("retransmit {}", state(of)),
        Seen::Retransmit { state: of, errno } => format!("retransmit {} failed with error {errno}", state(of)),
        Seen::RetransmitSynAck => "retransmit-syn-ack".to_owned(),
        Seen::StateChange { old, new, .. } => format!("state {} to {}", state(old), state(new)),
        Seen::IcmpSent { kind, code, .. } => format!("icmp-sent type {kind} code {code}"),
        Seen::SocketError { errno, soft: true } => format!("socket-error {errno} (soft)"),
        Seen::SocketError { errno, .. } => format!("socket-error {errno}"),
        Seen::NeighbourFailed { .. } => "neighbour-failed".to_owned(),
        Seen::DnsQuery { .. } => "dns-query".to_owned(),
        Seen::DnsAnswer { rcode, .. } => format!("dns-answer {rcode}"),
        Seen::DnsUnanswered { .. } => "dns-unanswered".to_owned(),
        Seen::Hop { hook, .. } => format!("hop {hook:?}").to_lowercase(),
        Seen::ReceiveBufferFull { errno } => format!("receive-buffer-full error {errno}"),
        Seen::Slow { .. } => "slow".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{KernelNames, split};
    use crate::kernel::btf::{DROP_REASONS, Layout};

    #[test]
    fn a_reason_is_called_as_the_node_calls_it() {
        let mut layout = Layout::default();
        let names = [(77, "SKB_DROP_REASON_NETFILTER_DROP".to_owned())];
        layout.enums.insert(DROP_REASONS.to_owned(), names.into());
        let names = KernelNames::new(&layout);
        assert_eq!(names.drop_reason(77), "NETFILTER_DROP");
        assert_eq!(names.drop_reason(0), "NOT_SPECIFIED");
        assert_eq!(names.drop_reason(0x8203), "SUBSYSTEM_2_REASON_3");
        assert_eq!(names.drop_reason(900), "REASON_900");
    }

    #[test]
    fn a_record_that_is_cut_is_none() {
        let mut bytes = vec![0u8; 104];
        assert!(split(&bytes).is_some());
        assert!(split(&bytes[..103]).is_none());
        bytes[62] = 20;
        assert!(split(&bytes).is_none(), "its tail is missing");
    }
}
