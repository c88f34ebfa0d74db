//! One entry of a table's block: a rule's matches, and where it leads.

use super::super::clause::{Clause, Opt};
use super::super::xt::{self, ALIGNMENT, Blob, XtContext, XtStruct, interface, network, protocol};
use crate::system::netlink::text;
use anyhow::{Context as _, bail};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

/// Where a family keeps things in `struct ipt_entry`, `struct ip6t_entry`.
#[derive(Clone, Copy)]
struct Places {
    address_bytes: usize,
    interfaces: usize,
    protocol: usize,
    flags: usize,
    inverted: usize,
    target: usize,
    counters: usize,
    bytes: usize,
    /// The bit of a rule that goes to a chain and does not come back.
    goto: u8,
}

const V4: Places = Places {
    address_bytes: 4,
    interfaces: 16,
    protocol: 80,
    flags: 82,
    inverted: 83,
    target: 88,
    counters: 96,
    bytes: 112,
    goto: 2,
};
const V6: Places = Places {
    address_bytes: 16,
    interfaces: 64,
    protocol: 128,
    flags: 131,
    inverted: 132,
    target: 140,
    counters: 152,
    bytes: 168,
    goto: 4,
};
/// `struct xt_entry_match`, `struct xt_entry_target`: size, name, revision.
const HEAD_BYTES: usize = 32;
const NAME_BYTES: usize = 29;
/// A second fragment is asked for (IPv4), or a type of service (IPv6, by nobody).
const FRAGMENT: u8 = 1;
const TYPE_OF_SERVICE: u8 = 2;

// `IPT_INV_*`
const NOT_IN: u8 = 0x01;
const NOT_OUT: u8 = 0x02;
const NOT_SOURCE: u8 = 0x08;
const NOT_DESTINATION: u8 = 0x10;
const NOT_FRAGMENT: u8 = 0x20;
const NOT_PROTOCOL: u8 = 0x40;

/// Where an entry leads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Leads {
    /// A chain of one's own begins behind it.
    Head(String),
    /// A verdict.
    Verdict(&'static str),
    /// The entry at this offset.
    To { offset: usize, goto: bool },
    /// A target.
    Target(Clause),
}

/// An entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Entry {
    /// Where it begins.
    pub(super) offset: usize,
    /// Where the next one does.
    pub(super) next: usize,
    /// What it tests.
    pub(super) tests: Vec<Clause>,
    /// Where it leads.
    pub(super) leads: Leads,
    /// Packets it has counted.
    pub(super) packets: u64,
}

/// The entry at an offset.
///
/// # Errors
/// A size or an offset in it leads out of it.
pub(super) fn entry(entries: &[u8], offset: usize, context: XtContext<'_>) -> anyhow::Result<Entry> {
    let places = if context.v6 { V6 } else { V4 };
    let rest = entries.get(offset..).context("an entry begins behind the end")?;
    let own = XtStruct(rest);
    let (Some(target), Some(length)) = (own.u16(places.target), own.u16(places.target + 2)) else {
        bail!("the entry at {offset} is cut short");
    };
    let (target, length) = (usize::from(target), usize::from(length));
    if target < places.bytes || target % ALIGNMENT != 0 || length % ALIGNMENT != 0 || length < target + HEAD_BYTES {
        bail!("the entry at {offset} has impossible sizes");
    }
    let whole = rest
        .get(..length)
        .with_context(|| format!("the entry at {offset} is cut short"))?;
    let mut tests = plain(XtStruct(whole), places, context.v6).context("an entry is cut short")?;
    let mut place = places.bytes;
    while place < target {
        let (blob, size) =
            blob(&whole[..target], place).with_context(|| format!("a match of the entry at {offset}"))?;
        tests.push(xt::matched(blob.as_blob(), context));
        place += size;
    }
    let (blob, size) = blob(whole, target).with_context(|| format!("the target of the entry at {offset}"))?;
    if target + size != length {
        bail!("the target of the entry at {offset} does not fill it");
    }
    let flags = own.u8(places.flags).unwrap_or_default();
    Ok(Entry {
        offset,
        next: offset + length,
        tests,
        leads: leads(&blob, flags & places.goto != 0, context)?,
        packets: own.u64(places.counters).unwrap_or_default(),
    })
}

fn leads(blob: &Named<'_>, goto: bool, context: XtContext<'_>) -> anyhow::Result<Leads> {
    match blob.name.as_str() {
        // `XT_STANDARD_TARGET`; verdicts are `-NF_... - 1`, and `XT_RETURN`
        "" => {
            let verdict = XtStruct(blob.data).u32(0).context("a verdict is cut short")? as i32;
            Ok(match verdict {
                -1 => Leads::Verdict("DROP"),
                -2 => Leads::Verdict("ACCEPT"),
                -4 => Leads::Verdict("QUEUE"),
                -5 => Leads::Verdict("RETURN"),
                other => Leads::To {
                    offset: usize::try_from(other).ok().context("a verdict is unknown")?,
                    goto,
                },
            })
        }
        // `XT_ERROR_TARGET`
        "ERROR" => Ok(Leads::Head(text(blob.data))),
        _ => Ok(Leads::Target(xt::target(blob.as_blob(), context))),
    }
}

struct Named<'a> {
    name: String,
    revision: u8,
    data: &'a [u8],
}

impl Named<'_> {
    fn as_blob(&self) -> Blob<'_> {
        Blob {
            name: &self.name,
            revision: u32::from(self.revision),
            data: self.data,
        }
    }
}

/// A match or target with its header, and how many bytes it takes.
fn blob(bytes: &[u8], offset: usize) -> anyhow::Result<(Named<'_>, usize)> {
    let own = XtStruct(bytes.get(offset..).context("begins behind the end")?);
    let size = usize::from(own.u16(0).context("is cut short")?);
    if size < HEAD_BYTES || size % ALIGNMENT != 0 {
        bail!("has an impossible size");
    }
    let whole = own.bytes(0, size).context("is cut short")?;
    let named = Named {
        name: text(&whole[2..2 + NAME_BYTES]),
        revision: whole[2 + NAME_BYTES],
        data: &whole[HEAD_BYTES..],
    };
    Ok((named, size))
}

/// Addresses, interfaces, protocol, fragments.
fn plain(own: XtStruct<'_>, places: Places, v6: bool) -> Option<Vec<Clause>> {
    let (flags, inverted) = (own.u8(places.flags)?, own.u8(places.inverted)?);
    let mut tests = Vec::new();
    let mut say = |option: Opt, bit: u8| tests.push(Clause::Plain(option.inverted(inverted & bit != 0)));
    for (place, name, bit) in [(0, "-s", NOT_SOURCE), (1, "-d", NOT_DESTINATION)] {
        let address = own.address(place * places.address_bytes, v6)?;
        let mask = own.address((2 + place) * places.address_bytes, v6)?;
        let any = mask == IpAddr::V4(Ipv4Addr::UNSPECIFIED) || mask == IpAddr::V6(Ipv6Addr::UNSPECIFIED);
        if !any || inverted & bit != 0 {
            say(Opt::new(name, network(address, mask)), bit);
        }
    }
    for (place, name, bit) in [(0, "-i", NOT_IN), (1, "-o", NOT_OUT)] {
        let is = own.bytes(places.interfaces + 16 * place, 16)?;
        let mask = own.bytes(places.interfaces + 32 + 16 * place, 16)?;
        match interface(is, mask) {
            Some(is) => say(Opt::new(name, is), bit),
            None if inverted & bit != 0 => say(Opt::new(name, "+"), bit),
            None => {}
        }
    }
    let number = own.u16(places.protocol)?;
    if number != 0 || inverted & NOT_PROTOCOL != 0 {
        say(Opt::new("-p", protocol(number)), NOT_PROTOCOL);
    }
    if !v6 && flags & FRAGMENT != 0 {
        say(Opt::flag("-f"), NOT_FRAGMENT);
    }
    if v6 && flags & TYPE_OF_SERVICE != 0 {
        tests.push(Clause::UnreadMatch("tos".to_owned()));
    }
    Some(tests)
}
