//! From netlink attributes to typed expressions: what each kind of expression carries, by the numbers of its attributes.

use super::attributes::Attributes;
use super::expressions::{Base, Bits, Data, Destination, Expr, NatRegisters, NftVerdict, Op, Register, Spread};
use crate::system::netlink::text;
use anyhow::{Context as _, bail};

/// The expressions of a list of `NFTA_LIST_ELEM`.
pub fn list(bytes: &[u8]) -> anyhow::Result<Vec<Expr>> {
    Attributes::of(bytes)?
        .each()
        .filter(|(kind, _)| *kind == 1)
        .map(|(_, element)| one(element))
        .collect()
}

/// One expression: its name and what it carries.
pub fn one(bytes: &[u8]) -> anyhow::Result<Expr> {
    let attributes = Attributes::of(bytes)?;
    let name = attributes.name(1)?;
    let data = attributes.nested_if(2)?.unwrap_or(Attributes::of(&[])?);
    parse(&name, data).with_context(|| format!("cannot make sense of an expression `{name}`"))
}

/// What an object of this kind holds, as the expression that does the same.
pub fn of_object(kind: u32, bytes: &[u8]) -> anyhow::Result<Option<Expr>> {
    let name = match kind {
        1 => "counter",
        2 => "quota",
        4 => "limit",
        5 => "connlimit",
        _ => return Ok(None),
    };
    parse(name, Attributes::of(bytes)?).map(Some)
}

fn parse(name: &str, data: Attributes<'_>) -> anyhow::Result<Expr> {
    let into = |kind| register(data.u32(kind)?);
    let maybe = |kind| data.u32_if(kind)?.map(register).transpose();
    let flag = |kind, bit: u32| anyhow::Ok(data.u32_if(kind)?.unwrap_or(0) & bit != 0);
    Ok(match name {
        "payload" => {
            let (base, offset, len) = (base(data.u32(2)?)?, data.u32(3)?, data.u32(4)?);
            match maybe(5)? {
                Some(from) => Expr::PayloadSet {
                    base,
                    offset,
                    len,
                    from,
                },
                None => Expr::Payload {
                    base,
                    offset,
                    len,
                    into: into(1)?,
                },
            }
        }
        "meta" => match (data.u32(2)?, maybe(3)?) {
            (key, Some(from)) => Expr::MetaSet { key, from },
            (key, None) => Expr::Meta { key, into: into(1)? },
        },
        "ct" => {
            let (key, direction) = (data.u32(2)?, data.u8_if(3)?);
            match maybe(4)? {
                Some(from) => Expr::CtSet { key, direction, from },
                None => Expr::Ct {
                    key,
                    direction,
                    into: into(1)?,
                },
            }
        }
        "cmp" => Expr::Cmp {
            from: into(1)?,
            op: match data.u32(2)? {
                0 => Op::Eq,
                1 => Op::Neq,
                2 => Op::Lt,
                3 => Op::Lte,
                4 => Op::Gt,
                5 => Op::Gte,
                other => bail!("comparison {other} is unknown"),
            },
            data: value(data.get(3)?)?,
        },
        "range" => Expr::Range {
            from: into(1)?,
            inverted: data.u32(2)? != 0,
            low: value(data.get(3)?)?,
            high: value(data.get(4)?)?,
        },
        "lookup" => Expr::Lookup {
            set: data.name(1)?,
            from: into(2)?,
            into: match data.u32_if(3)? {
                None => None,
                Some(0) => Some(Destination::Verdict),
                Some(number) => Some(Destination::Register(register(number)?)),
            },
            inverted: flag(5, 1)?,
        },
        "immediate" => match (data.u32(1)?, self::data(data.get(2)?)?) {
            (_, Data::Verdict(verdict)) => Expr::Verdict(verdict),
            (number, Data::Value(data)) => Expr::Immediate {
                into: register(number)?,
                data,
            },
        },
        "bitwise" => Expr::Bitwise {
            from: into(1)?,
            into: into(2)?,
            len: data.u32(3)?,
            bits: bits(data)?,
        },
        "byteorder" => Expr::Byteorder {
            from: into(1)?,
            into: into(2)?,
            len: data.u32(4)?,
            size: data.u32(5)?,
        },
        "counter" => Expr::Counter {
            bytes: data.u64(1)?,
            packets: data.u64(2)?,
        },
        "limit" => Expr::Limit {
            rate: data.u64(1)?,
            per_s: data.u64(2)?,
            burst: data.u32_if(3)?.unwrap_or(0),
            bytes: data.u32_if(4)?.unwrap_or(0) != 0,
            inverted: flag(5, 1)?,
        },
        "quota" => Expr::Quota {
            bytes: data.u64(1)?,
            used: data.u64_if(4)?.unwrap_or(0),
            inverted: flag(2, 1)?,
        },
        "connlimit" => Expr::Connlimit {
            count: data.u32(1)?,
            inverted: flag(2, 1)?,
        },
        "last" => Expr::Last,
        "numgen" => Expr::Numgen {
            random: data.u32(3)? != 0,
            spread: Spread {
                modulus: data.u32(2)?,
                offset: data.u32_if(4)?.unwrap_or(0),
            },
            into: into(1)?,
        },
        "hash" => Expr::Hash {
            from: maybe(1)?.map(|from| anyhow::Ok((from, data.u32(3)?))).transpose()?,
            seed: data.u32_if(5)?,
            spread: Spread {
                modulus: data.u32(4)?,
                offset: data.u32_if(6)?.unwrap_or(0),
            },
            into: into(2)?,
        },
        "fib" => Expr::Fib {
            into: into(1)?,
            result: data.u32(2)?,
            flags: data.u32(3)?,
        },
        "rt" => Expr::Rt {
            into: into(1)?,
            key: data.u32(2)?,
        },
        "socket" => Expr::Socket {
            key: data.u32(1)?,
            into: into(2)?,
            level: data.u32_if(3)?.unwrap_or(0),
        },
        "exthdr" => {
            let (op, kind) = (data.u32_if(6)?.unwrap_or(0), data.u8(2)?);
            let (offset, len) = (data.u32_if(3)?.unwrap_or(0), data.u32_if(4)?.unwrap_or(0));
            match maybe(1)? {
                Some(into) => Expr::Exthdr {
                    op,
                    kind,
                    offset,
                    len,
                    present: flag(5, 1)?,
                    into,
                },
                None => Expr::ExthdrSet {
                    op,
                    kind,
                    offset,
                    len,
                    from: maybe(7)?,
                },
            }
        }
        "nat" => Expr::Nat {
            source: data.u32(1)? == 0,
            family: data.u32(2)?,
            target: NatRegisters {
                address: maybe(3)?,
                address_last: maybe(4)?,
                port: maybe(5)?,
                port_last: maybe(6)?,
                flags: data.u32_if(7)?.unwrap_or(0),
            },
        },
        "masq" => Expr::Masq {
            target: NatRegisters {
                port: maybe(2)?,
                port_last: maybe(3)?,
                flags: data.u32_if(1)?.unwrap_or(0),
                ..NatRegisters::default()
            },
        },
        "redir" => Expr::Redir {
            target: NatRegisters {
                port: maybe(1)?,
                port_last: maybe(2)?,
                flags: data.u32_if(3)?.unwrap_or(0),
                ..NatRegisters::default()
            },
        },
        "reject" => Expr::Reject {
            kind: data.u32(1)?,
            code: data.u8_if(2)?.unwrap_or(0),
        },
        "queue" => Expr::Queue {
            number: data.u16_if(1)?.unwrap_or(0),
            total: data.u16_if(2)?.unwrap_or(1),
            flags: data.u16_if(3)?.unwrap_or(0),
            from: maybe(4)?,
        },
        "log" => Expr::Log {
            // Free text: it names nothing.
            prefix: data.find(2).map(text).unwrap_or_default(),
            group: data.u16_if(1)?,
            snaplen: data.u32_if(3)?,
            threshold: data.u16_if(4)?,
        },
        "objref" => match data.name_if(4)? {
            Some(set) => Expr::ObjrefMap { set, from: into(3)? },
            None => Expr::Objref {
                kind: data.u32(1)?,
                name: data.name(2)?,
            },
        },
        "dynset" => Expr::Dynset {
            set: data.name(1)?,
            op: data.u32(3)?,
            key: into(4)?,
            data: maybe(5)?,
            exprs: match (data.find(7), data.find(10)) {
                (Some(expr), _) => vec![one(expr)?],
                (None, Some(exprs)) => list(exprs)?,
                (None, None) => Vec::new(),
            },
            inverted: flag(9, 1)?,
        },
        "tproxy" => Expr::Tproxy {
            family: data.u32(1)?,
            address: maybe(2)?,
            port: maybe(3)?,
        },
        "synproxy" => Expr::Synproxy,
        "fwd" => Expr::Fwd,
        "dup" => Expr::Dup,
        "notrack" => Expr::Notrack,
        "flow_offload" => Expr::FlowOffload { table: data.name(1)? },
        "match" => Expr::XtMatch {
            name: data.name(1)?,
            revision: data.u32(2)?,
            info: data.get(3)?.to_vec(),
        },
        "target" => Expr::XtTarget {
            name: data.name(1)?,
            revision: data.u32(2)?,
            info: data.get(3)?.to_vec(),
        },
        other => Expr::Unknown { name: other.to_owned() },
    })
}

fn bits(data: Attributes<'_>) -> anyhow::Result<Bits> {
    let shift = || {
        let bytes = value(data.get(7)?)?;
        // A register's worth, in the machine's own order.
        let bits: [u8; 4] = bytes.as_slice().try_into().context("a shift is no number")?;
        anyhow::Ok(u32::from_ne_bytes(bits))
    };
    let with = |op| {
        anyhow::Ok(Bits::With {
            op,
            other: data.u32_if(8)?.map(register).transpose()?,
        })
    };
    match data.u32_if(6)?.unwrap_or(0) {
        0 => Ok(Bits::Mask {
            mask: value(data.get(4)?)?,
            xor: value(data.get(5)?)?,
        }),
        1 => Ok(Bits::Left(shift()?)),
        2 => Ok(Bits::Right(shift()?)),
        3 => with("&"),
        4 => with("|"),
        5 => with("^"),
        other => bail!("calculation {other} is unknown"),
    }
}

/// Registers go by two numberings: four of 16 bytes (1..=4), and sixteen of 4 bytes (8..=23).
fn register(number: u32) -> anyhow::Result<Register> {
    match number {
        1..=4 => Ok((number as u8 - 1) * 4),
        8..=23 => Ok(number as u8 - 8),
        other => bail!("register {other} is unknown"),
    }
}

fn base(number: u32) -> anyhow::Result<Base> {
    Ok(match number {
        0 => Base::Link,
        1 => Base::Network,
        2 => Base::Transport,
        3 => Base::Inner,
        other => bail!("header {other} is unknown"),
    })
}

/// A value or verdict (`NFTA_DATA_*`).
pub fn data(bytes: &[u8]) -> anyhow::Result<Data> {
    let attributes = Attributes::of(bytes)?;
    match attributes.nested_if(2)? {
        Some(verdict) => Ok(Data::Verdict(self::verdict(verdict)?)),
        None => Ok(Data::Value(attributes.get(1)?.to_vec())),
    }
}

/// Bytes where no verdict can stand.
pub fn value(bytes: &[u8]) -> anyhow::Result<Vec<u8>> {
    Ok(Attributes::of(bytes)?.get(1)?.to_vec())
}

fn verdict(attributes: Attributes<'_>) -> anyhow::Result<NftVerdict> {
    let code = attributes.u32(1)?.cast_signed();
    Ok(match code {
        -1 => NftVerdict::Continue,
        -2 => NftVerdict::Break,
        -3 => NftVerdict::Jump(attributes.name(2)?),
        -4 => NftVerdict::Goto(attributes.name(2)?),
        -5 => NftVerdict::Return,
        // The verdict is in the low byte, a queue's number in the upper half.
        _ => match code & 0xff {
            0 => NftVerdict::Drop,
            1 => NftVerdict::Accept,
            3 => NftVerdict::Queue((code.cast_unsigned() >> 16) as u16),
            _ => NftVerdict::Other(code),
        },
    })
}
