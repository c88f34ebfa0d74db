//! The tables of iptables-nft: what it wrote as expressions of `nf_tables`, told back in iptables' words.
//!
//! Such a table is known by its family, name, built-in chains, and by holding nothing that iptables would not write. With
//! anything else in it the table is nft's own, as the tool itself says, and is told in nft's words.

use super::clause::{self, Clause, Opt};
use super::matches::{priority, rule};
use super::xt::{self, Blob, SetNames, XtContext, interface, network, protocol};
use crate::facts::netfilter::nftables::expressions::{Base, Bits, Expr, NftVerdict, Op, Register};
use crate::facts::netfilter::nftables::tables::{NftChain, NftRule, NftTable};
use crate::system::netlink::{at, text};
use model::facts::{Chain, NetfilterRule};
use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Built-in chains of each table with the hooks they are named after, and what kind they are at a hook.
const TABLES: [(&str, &[&str]); 5] = [
    ("filter", &["input", "forward", "output"]),
    ("nat", &["prerouting", "input", "output", "postrouting"]),
    ("mangle", &["prerouting", "input", "forward", "output", "postrouting"]),
    ("raw", &["prerouting", "output"]),
    ("security", &["input", "forward", "output"]),
];

/// The chains of a table of iptables-nft; `None` for one that is nft's own.
pub fn chains(table: &NftTable, sets: &SetNames) -> Option<Vec<Chain>> {
    let v6 = match table.family {
        "ip" => false,
        "ip6" => true,
        _ => return None,
    };
    // One that is switched off was not switched off by iptables.
    if table.dormant {
        return None;
    }
    let (_, hooks) = TABLES.iter().find(|(name, _)| *name == table.name)?;
    let context = XtContext { v6, sets };
    table
        .chains
        .iter()
        .map(|own| {
            if let Some(hook) = &own.hook
                && !(hooks.contains(&hook.name)
                    && own.name == hook.name.to_uppercase()
                    && hook.priority == priority(&table.name, hook.name)
                    && own.kind == kind(&table.name, hook.name))
            {
                return None;
            }
            chain(table, own, context)
        })
        .collect()
}

fn kind(table: &str, hook: &str) -> &'static str {
    match (table, hook) {
        ("nat", _) => "nat",
        ("mangle", "output") => "route",
        _ => "filter",
    }
}

fn chain(table: &NftTable, own: &NftChain, context: XtContext<'_>) -> Option<Chain> {
    let rules: Option<Vec<NetfilterRule>> = own
        .rules
        .iter()
        .zip(1..)
        .map(|(raw, position)| {
            let (clauses, packets) = words(raw, context)?;
            Some(NetfilterRule {
                handle: position,
                text: clause::text(&own.name, &clauses),
                packets,
                ..rule(&clauses)
            })
        })
        .collect();
    Some(Chain {
        backend: "iptables-nft".to_owned(),
        family: table.family.to_owned(),
        table: table.name.clone(),
        name: own.name.clone(),
        hook: own.hook.as_ref().map(|hook| hook.name.to_owned()),
        priority: own.hook.as_ref().map_or(0, |hook| hook.priority),
        policy: own
            .hook
            .as_ref()
            .map(|_| if own.drops { "DROP" } else { "ACCEPT" }.to_owned()),
        // Such a policy counts nothing.
        policy_packets: None,
        rules: rules?,
    })
}

/// What a register holds, and the bits of it that are looked at.
#[derive(Clone, Debug)]
struct Loaded {
    what: What,
    mask: Option<Vec<u8>>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum What {
    Source(usize),
    Destination(usize),
    Fragment,
    Protocol,
    In,
    Out,
    Mark,
    SourcePort,
    DestinationPort,
    TcpFlags,
}

/// A rule while its expressions are read: iptables' own tests by their place in a line, then modules, then the target.
#[derive(Default)]
struct Words {
    plain: BTreeMap<u8, Opt>,
    modules: Vec<Clause>,
    target: Option<Clause>,
    packets: Option<u64>,
    registers: BTreeMap<Register, Loaded>,
    ones: Vec<Register>,
    /// The protocol that the rule asks for.
    protocol: Option<u16>,
}

// `NFT_META_*`
const META_MARK: u32 = 3;
const META_IIFNAME: u32 = 6;
const META_OIFNAME: u32 = 7;
const META_NFTRACE: u32 = 12;
const META_L4PROTO: u32 = 16;
/// `NFTNL_UDATA_RULE_COMMENT`.
const COMMENT: u8 = 0;

fn words(raw: &NftRule, context: XtContext<'_>) -> Option<(Vec<Clause>, Option<u64>)> {
    let mut words = Words::default();
    for expr in &raw.exprs {
        words.expr(expr, context)?;
    }
    let commented = words
        .modules
        .iter()
        .any(|module| matches!(module, Clause::Match { module, .. } if module == "comment"));
    if let Some(comment) = comment(&raw.userdata).filter(|_| !commented) {
        words.modules.push(Clause::Match {
            module: "comment".to_owned(),
            options: vec![Opt::new("--comment", comment)],
        });
    }
    let plain = words.plain.into_values().map(Clause::Plain);
    Some((plain.chain(words.modules).chain(words.target).collect(), words.packets))
}

fn comment(userdata: &[u8]) -> Option<String> {
    let mut rest = userdata;
    while let [kind, length, after @ ..] = rest {
        let value = after.get(..usize::from(*length))?;
        if *kind == COMMENT {
            return Some(text(value));
        }
        rest = &after[value.len()..];
    }
    None
}

impl Words {
    /// Takes one expression in; `None` for one that iptables would not write there.
    fn expr(&mut self, expr: &Expr, context: XtContext<'_>) -> Option<()> {
        let ends = matches!(
            expr,
            Expr::Verdict(_) | Expr::XtTarget { .. } | Expr::Log { .. } | Expr::Immediate { .. } | Expr::MetaSet { .. }
        );
        // Nothing follows a target, and a counter stands right before it.
        if self.target.is_some() || (self.packets.is_some() && !ends) {
            return None;
        }
        match expr {
            Expr::Payload {
                base,
                offset,
                len,
                into,
            } => {
                let what = payload(*base, *offset, *len, context.v6)?;
                self.registers.insert(*into, Loaded { what, mask: None });
            }
            Expr::Meta { key, into } => {
                let what = match *key {
                    META_MARK => What::Mark,
                    META_IIFNAME => What::In,
                    META_OIFNAME => What::Out,
                    META_L4PROTO => What::Protocol,
                    _ => return None,
                };
                self.registers.insert(*into, Loaded { what, mask: None });
            }
            Expr::Bitwise {
                from,
                into,
                bits: Bits::Mask { mask, xor },
                ..
            } if xor.iter().all(|byte| *byte == 0) => {
                let loaded = self.registers.remove(from).filter(|loaded| loaded.mask.is_none())?;
                let mask = Some(mask.clone());
                self.registers.insert(*into, Loaded { mask, ..loaded });
            }
            Expr::Cmp { from, op, data } => {
                let loaded = self.registers.get(from)?.clone();
                self.compared(&loaded, *op, data)?;
            }
            Expr::Range {
                from,
                inverted,
                low,
                high,
            } => {
                let loaded = self.registers.get(from).filter(|loaded| loaded.mask.is_none())?.clone();
                let (low, high) = (be16(low)?, be16(high)?);
                self.ports(&loaded, low, high, *inverted)?;
            }
            Expr::Limit {
                rate,
                per_s,
                burst,
                bytes: false,
                inverted: false,
            } => self.modules.push(Clause::Match {
                module: "limit".to_owned(),
                options: xt::native_limit(*rate, *per_s, *burst)?,
            }),
            Expr::Counter { packets, .. } => self.packets = Some(*packets),
            Expr::XtMatch { name, revision, info } => {
                self.modules.push(xt::matched(blob(name, *revision, info), context));
            }
            Expr::XtTarget { name, revision, info } => {
                self.target = Some(xt::target(blob(name, *revision, info), context));
            }
            Expr::Log {
                prefix,
                group: Some(group),
                snaplen,
                threshold,
            } => self.target = Some(log(prefix, *group, *snaplen, *threshold)),
            Expr::Immediate { into, data } if data.first() == Some(&1) => self.ones.push(*into),
            Expr::MetaSet {
                key: META_NFTRACE,
                from,
            } if self.ones.contains(from) => {
                self.target = Some(Clause::Target {
                    name: "TRACE".to_owned(),
                    options: Vec::new(),
                });
            }
            Expr::Verdict(verdict) => self.target = Some(verdict_words(verdict)?),
            _ => return None,
        }
        Some(())
    }

    fn compared(&mut self, loaded: &Loaded, op: Op, data: &[u8]) -> Option<()> {
        let not = match op {
            Op::Eq => Some(false),
            Op::Neq => Some(true),
            _ => None,
        };
        match loaded.what {
            What::Source(bytes) => self.address(0, "-s", bytes, loaded, data, not?),
            What::Destination(bytes) => self.address(1, "-d", bytes, loaded, data, not?),
            What::In | What::Out if loaded.mask.is_none() => {
                let is = interface(data, &vec![0xff; data.len()])?;
                let (place, name) = if loaded.what == What::In { (2, "-i") } else { (3, "-o") };
                self.say(place, Opt::new(name, is).inverted(not?))
            }
            What::Protocol if loaded.mask.is_none() => {
                let number = u16::from(*data.first()?);
                let not = not?;
                self.protocol = Some(number).filter(|_| !not);
                self.say(4, Opt::new("-p", protocol(number)).inverted(not))
            }
            What::Fragment => {
                let asked = loaded.mask.as_deref() == Some(&[0x1f, 0xff]) && data.iter().all(|byte| *byte == 0);
                let first = op == Op::Eq;
                let option = Opt::flag("-f").inverted(first);
                (asked && matches!(op, Op::Eq | Op::Neq | Op::Gt))
                    .then_some(())
                    .and_then(|()| self.say(5, option))
            }
            What::Mark => {
                let number = |bytes: &[u8]| at(bytes, 0).map(u32::from_ne_bytes);
                let mask = loaded.mask.as_deref().map_or(Some(u32::MAX), number)?;
                self.modules.push(Clause::Match {
                    module: "mark".to_owned(),
                    options: vec![Opt::new("--mark", xt::masked(number(data)?, mask)).inverted(not?)],
                });
                Some(())
            }
            What::SourcePort | What::DestinationPort if loaded.mask.is_none() => {
                let port = be16(data)?;
                let (low, high) = match op {
                    Op::Eq | Op::Neq => (port, port),
                    Op::Lte => (0, port),
                    Op::Lt => (0, port.checked_sub(1)?),
                    Op::Gte => (port, u16::MAX),
                    Op::Gt => (port.checked_add(1)?, u16::MAX),
                };
                self.ports(loaded, low, high, not == Some(true))
            }
            What::TcpFlags if self.protocol == Some(6) => {
                let mask = loaded
                    .mask
                    .as_deref()
                    .map_or(Some(0xff), |mask| mask.first().copied())?;
                let set = *data.first()?;
                // Bits that have no name in iptables.
                if (mask | set) & 0xc0 != 0 {
                    return None;
                }
                self.of_protocol("tcp", xt::tcp_flags(mask, set).inverted(not?));
                Some(())
            }
            _ => None,
        }
    }

    fn address(
        &mut self,
        place: u8,
        name: &'static str,
        bytes: usize,
        loaded: &Loaded,
        data: &[u8],
        not: bool,
    ) -> Option<()> {
        // A prefix of whole bytes is written by loading no more than these.
        let full = vec![0xff; data.len()];
        let mask = loaded.mask.as_deref().unwrap_or(&full);
        let (address, mask) = (padded(data, bytes)?, padded(mask, bytes)?);
        self.say(place, Opt::new(name, network(address, mask)).inverted(not))
    }

    fn ports(&mut self, loaded: &Loaded, low: u16, high: u16, not: bool) -> Option<()> {
        let name = match loaded.what {
            What::SourcePort => "--sport",
            What::DestinationPort => "--dport",
            _ => return None,
        };
        let module = match self.protocol? {
            6 => "tcp",
            17 => "udp",
            _ => return None,
        };
        self.of_protocol(module, Opt::new(name, xt::span(low, high)).inverted(not));
        Some(())
    }

    /// Tests of one protocol stand together.
    fn of_protocol(&mut self, of: &str, option: Opt) {
        match self.modules.last_mut() {
            Some(Clause::Match { module, options })
                if module == of && !options.iter().any(|own| own.name == option.name) =>
            {
                options.push(option);
            }
            _ => self.modules.push(Clause::Match {
                module: of.to_owned(),
                options: vec![option],
            }),
        }
    }

    /// One of iptables' own tests, of which there is one each.
    fn say(&mut self, place: u8, option: Opt) -> Option<()> {
        self.plain.insert(place, option).is_none().then_some(())
    }
}

fn payload(base: Base, offset: u32, len: u32, v6: bool) -> Option<What> {
    let whole = if v6 { 16 } else { 4 };
    match (base, v6, offset, len as usize) {
        (Base::Network, false, 12, bytes) | (Base::Network, true, 8, bytes) if bytes <= whole => {
            Some(What::Source(whole))
        }
        (Base::Network, false, 16, bytes) | (Base::Network, true, 24, bytes) if bytes <= whole => {
            Some(What::Destination(whole))
        }
        (Base::Network, false, 6, 2) => Some(What::Fragment),
        (Base::Network, false, 9, 1) | (Base::Network, true, 6, 1) => Some(What::Protocol),
        (Base::Transport, _, 0, 2) => Some(What::SourcePort),
        (Base::Transport, _, 2, 2) => Some(What::DestinationPort),
        (Base::Transport, _, 13, 1) => Some(What::TcpFlags),
        _ => None,
    }
}

/// An address whose first bytes these are.
fn padded(bytes: &[u8], whole: usize) -> Option<IpAddr> {
    let mut padded = [0; 16];
    padded
        .get_mut(..bytes.len().min(whole))?
        .copy_from_slice(bytes.get(..bytes.len().min(whole))?);
    if whole == 4 {
        at::<4>(&padded, 0).map(|octets| Ipv4Addr::from(octets).into())
    } else {
        Some(Ipv6Addr::from(padded).into())
    }
}

fn be16(bytes: &[u8]) -> Option<u16> {
    at(bytes, 0).map(u16::from_be_bytes)
}

fn blob<'a>(name: &'a str, revision: u32, data: &'a [u8]) -> Blob<'a> {
    Blob { name, revision, data }
}

fn log(prefix: &str, group: u16, snaplen: Option<u32>, threshold: Option<u16>) -> Clause {
    let mut options = Vec::new();
    if !prefix.is_empty() {
        options.push(Opt::new("--nflog-prefix", prefix));
    }
    if group != 0 {
        options.push(Opt::new("--nflog-group", group));
    }
    if let Some(snaplen) = snaplen.filter(|snaplen| *snaplen != 0) {
        options.push(Opt::new("--nflog-size", snaplen));
    }
    if let Some(threshold) = threshold.filter(|threshold| *threshold != 0) {
        options.push(Opt::new("--nflog-threshold", threshold));
    }
    Clause::Target {
        name: "NFLOG".to_owned(),
        options,
    }
}

fn verdict_words(verdict: &NftVerdict) -> Option<Clause> {
    let name = match verdict {
        NftVerdict::Accept => "ACCEPT",
        NftVerdict::Drop => "DROP",
        NftVerdict::Return => "RETURN",
        NftVerdict::Queue(0) => "QUEUE",
        NftVerdict::Jump(chain) => {
            return Some(Clause::Call {
                chain: chain.clone(),
                goto: false,
            });
        }
        NftVerdict::Goto(chain) => {
            return Some(Clause::Call {
                chain: chain.clone(),
                goto: true,
            });
        }
        _ => return None,
    };
    Some(Clause::Target {
        name: name.to_owned(),
        options: Vec::new(),
    })
}
