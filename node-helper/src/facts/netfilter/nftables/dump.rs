//! Dumps `nf_tables` of the namespace the thread is in: all of it, or a stated reason why not.
//!
//! The ruleset has a generation, which is looked at before and after: what was read is one ruleset, never parts of two.

use super::attributes::Attributes;
use super::decode;
use super::tables::{ChainHook, Element, NftChain, NftRule, NftSet, NftTable, StatefulObject};
use crate::system::netlink::{Budget, Netlink, NetlinkAnswer, attribute, each_of};
use anyhow::{Context as _, bail};
use std::collections::BTreeMap;
use std::time::Duration;

/// A ruleset that changes while it is read is read again, this often.
const READINGS: u32 = 4;
/// Bytes that are read, at most: a namespace may hold millions of rules and elements.
const BYTES_MAX: usize = 64 << 20;
/// Elements that are kept of one set, and of all.
const SET_MAX: usize = 1 << 16;
const ELEMENTS_MAX: usize = 1 << 18;
/// How long it is read, at most.
const PATIENCE: Duration = Duration::from_secs(5);

// linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
const NFGENMSG_BYTES: usize = 4;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const GET_TABLE: u16 = of(1);
const GET_CHAIN: u16 = of(4);
const GET_RULE: u16 = of(7);
const GET_SET: u16 = of(10);
const GET_SETELEM: u16 = of(13);
const GET_GEN: u16 = of(16);
const GET_OBJ: u16 = of(19);
const TABLE: u16 = of(0);
const CHAIN: u16 = of(3);
const RULE: u16 = of(6);
const SET: u16 = of(9);
const SETELEM: u16 = of(12);
const OBJ: u16 = of(18);

/// A message of nftables (`NFT_MSG_*`).
const fn of(message: u16) -> u16 {
    NFNL_SUBSYS_NFTABLES << 8 | message
}

/// Families by number (`NFPROTO_*`).
const FAMILIES: [(u8, &str); 6] = [
    (1, "inet"),
    (2, "ip"),
    (3, "arp"),
    (5, "netdev"),
    (7, "bridge"),
    (10, "ip6"),
];

/// Reads every table.
///
/// # Errors
/// The kernel did not answer, told too much, or never stood still. A kernel without `nf_tables` has no tables.
pub fn read() -> anyhow::Result<Vec<NftTable>> {
    read_within(Budget::new(BYTES_MAX, PATIENCE))
}

fn read_within(budget: Budget) -> anyhow::Result<Vec<NftTable>> {
    let mut dump = Dump {
        netlink: Netlink::open(libc::NETLINK_NETFILTER)?.within(budget),
    };
    for _ in 0..READINGS {
        let Some(before) = dump.generation()? else {
            return Ok(Vec::new());
        };
        if let Some(tables) = dump.ruleset()?
            && dump.generation()? == Some(before)
        {
            return Ok(tables);
        }
    }
    bail!("the rules changed each of the {READINGS} times they were read")
}

/// The tables that these messages tell, which come one after another as the kernel sends them.
pub fn told(messages: &[u8]) -> anyhow::Result<Vec<NftTable>> {
    let mut all = Tables::default();
    let mut outcome = Ok(());
    each_of(messages, |kind, message| {
        if outcome.is_ok() {
            outcome = inner(message).and_then(|(family, attributes)| all.take(kind, family, attributes));
        }
    })?;
    outcome?;
    Ok(all.list)
}

struct Dump {
    netlink: Netlink,
}

/// Tables while they are filled, and where each lies.
#[derive(Default)]
struct Tables {
    list: Vec<NftTable>,
    places: BTreeMap<(u8, String), usize>,
    chains: BTreeMap<(usize, String), usize>,
}

impl Dump {
    /// The ruleset's generation; `None` where the kernel knows no `nf_tables`.
    fn generation(&mut self) -> anyhow::Result<Option<u32>> {
        let answer = self.netlink.ask(GET_GEN, &[0; NFGENMSG_BYTES]);
        match answer.context("cannot ask for the generation of nftables")? {
            NetlinkAnswer::Messages(messages) => {
                let (_, body) = messages.first().context("nftables told no generation")?;
                Ok(Some(inner(body)?.1.u32(1)?))
            }
            NetlinkAnswer::Refused(error)
                if matches!(error.number, libc::EINVAL | libc::EOPNOTSUPP | libc::EPROTONOSUPPORT) =>
            {
                Ok(None)
            }
            NetlinkAnswer::Refused(error) => bail!("the kernel refused to tell of nftables: {}", error.name),
        }
    }

    /// All tables; `None` when they changed meanwhile.
    fn ruleset(&mut self) -> anyhow::Result<Option<Vec<NftTable>>> {
        let mut all = Tables::default();
        let whole = [0; NFGENMSG_BYTES];
        let still = self.each(GET_TABLE, &whole, &mut |family, attributes| {
            all.table(family, attributes)
        })? && self.each(GET_CHAIN, &whole, &mut |family, attributes| {
            all.chain(family, attributes)
        })? && self.each(GET_SET, &whole, &mut |family, attributes| all.set(family, attributes))?
            && self.each(GET_OBJ, &whole, &mut |family, attributes| {
                all.object(family, attributes)
            })?
            && self.each(GET_RULE, &whole, &mut |family, attributes| all.rule(family, attributes))?;
        if !still {
            return Ok(None);
        }
        let mut left = ELEMENTS_MAX;
        for table in &mut all.list {
            for set in &mut table.sets {
                let mut elements = Vec::new();
                let mut unread = None;
                let asked = elements_of(table.family, &table.name, &set.name);
                let most = left.min(SET_MAX);
                let mut too_many = false;
                let still = self.each(GET_SETELEM, &asked, &mut |_, attributes| {
                    too_many |= elements.len() > most;
                    if too_many {
                        elements = Vec::new();
                    } else if let Err(error) = add_elements(&mut elements, attributes) {
                        unread = Some(format!("set {}: {error:#}", set.name));
                    }
                    Ok(())
                })?;
                if !still {
                    return Ok(None);
                }
                left = left.saturating_sub(elements.len());
                (set.elements, set.too_many) = (elements, too_many);
                table.unread = table.unread.take().or(unread);
            }
        }
        Ok(Some(all.list))
    }

    /// Every message of a dump: family and attributes. False when the ruleset changed meanwhile.
    fn each(
        &mut self,
        kind: u16,
        body: &[u8],
        take: &mut dyn FnMut(u8, Attributes<'_>) -> anyhow::Result<()>,
    ) -> anyhow::Result<bool> {
        let mut outcome = Ok(());
        let still = self.netlink.dump_once(kind, body, |_, message| {
            if outcome.is_ok() {
                outcome = inner(message).and_then(|(family, attributes)| take(family, attributes));
            }
        })?;
        outcome?;
        Ok(still)
    }
}

/// Behind netlink's own head: the family and the attributes.
fn inner(message: &[u8]) -> anyhow::Result<(u8, Attributes<'_>)> {
    let (head, attributes) = message
        .split_at_checked(NFGENMSG_BYTES)
        .context("a message of nftables is cut short")?;
    Ok((head[0], Attributes::of(attributes)?))
}

/// Asks for the elements of one set.
fn elements_of(family: &str, table: &str, set: &str) -> Vec<u8> {
    let number = FAMILIES
        .iter()
        .find(|(_, name)| *name == family)
        .map_or(0, |(number, _)| *number);
    let mut body = vec![number, 0, 0, 0];
    attribute(&mut body, 1, &[table.as_bytes(), &[0]].concat());
    attribute(&mut body, 2, &[set.as_bytes(), &[0]].concat());
    body
}

impl Tables {
    /// A message of any kind; of one that is not known, nothing.
    fn take(&mut self, kind: u16, family: u8, attributes: Attributes<'_>) -> anyhow::Result<()> {
        match kind {
            TABLE => self.table(family, attributes),
            CHAIN => self.chain(family, attributes),
            SET => self.set(family, attributes),
            SETELEM => self.elements(family, attributes),
            OBJ => self.object(family, attributes),
            RULE => self.rule(family, attributes),
            _ => Ok(()),
        }
    }

    fn table(&mut self, family: u8, attributes: Attributes<'_>) -> anyhow::Result<()> {
        let name = attributes.name(1)?;
        // A family of a newer kernel, which no hook of ours meets.
        let Some((_, family_name)) = FAMILIES.iter().find(|(number, _)| *number == family) else {
            return Ok(());
        };
        self.places.insert((family, name.clone()), self.list.len());
        self.list.push(NftTable {
            family: family_name,
            name,
            dormant: attributes.u32_if(2)?.unwrap_or(0) & 1 != 0,
            ..NftTable::default()
        });
        Ok(())
    }

    /// Hands a message to the table it belongs to; one that makes no sense makes its table unread.
    fn within(
        &mut self,
        family: u8,
        attributes: Attributes<'_>,
        fill: impl FnOnce(&mut Self, usize) -> anyhow::Result<()>,
    ) -> anyhow::Result<()> {
        let name = attributes.name(1)?;
        let Some(place) = self.places.get(&(family, name)).copied() else {
            return Ok(());
        };
        if let Err(error) = fill(self, place)
            && let Some(table) = self.list.get_mut(place)
        {
            table.unread.get_or_insert(format!("{error:#}"));
        }
        Ok(())
    }

    fn chain(&mut self, family: u8, attributes: Attributes<'_>) -> anyhow::Result<()> {
        self.within(family, attributes, |all, place| {
            let table = &mut all.list[place];
            let chain = chain(table.family, attributes)?;
            all.chains.insert((place, chain.name.clone()), table.chains.len());
            table.chains.push(chain);
            Ok(())
        })
    }

    fn set(&mut self, family: u8, attributes: Attributes<'_>) -> anyhow::Result<()> {
        self.within(family, attributes, |all, place| {
            all.list[place].sets.push(set(attributes)?);
            Ok(())
        })
    }

    fn elements(&mut self, family: u8, attributes: Attributes<'_>) -> anyhow::Result<()> {
        self.within(family, attributes, |all, place| {
            let name = attributes.name(2)?;
            let set = all.list[place].sets.iter_mut().find(|set| set.name == name);
            let set = set.context("an element is in a set that is not there")?;
            add_elements(&mut set.elements, attributes).with_context(|| format!("set {name}"))
        })
    }

    fn object(&mut self, family: u8, attributes: Attributes<'_>) -> anyhow::Result<()> {
        self.within(family, attributes, |all, place| {
            let kind = attributes.u32(3)?;
            all.list[place].objects.push(StatefulObject {
                name: attributes.name(2)?,
                kind,
                expr: attributes
                    .find(4)
                    .map(|data| decode::of_object(kind, data))
                    .transpose()?
                    .flatten(),
            });
            Ok(())
        })
    }

    fn rule(&mut self, family: u8, attributes: Attributes<'_>) -> anyhow::Result<()> {
        self.within(family, attributes, |all, place| {
            let name = attributes.name(2)?;
            let chain = all
                .chains
                .get(&(place, name))
                .context("a rule is in a chain that is not there")?;
            let rule = rule(attributes)?;
            all.list[place].chains[*chain].rules.push(rule);
            Ok(())
        })
    }
}

fn chain(family: &str, attributes: Attributes<'_>) -> anyhow::Result<NftChain> {
    Ok(NftChain {
        name: attributes.name(3)?,
        handle: attributes.u64(2)?,
        hook: attributes
            .nested_if(4)?
            .map(|hook| self::hook(family, hook))
            .transpose()?,
        drops: attributes.u32_if(5)? == Some(0),
        kind: attributes.name_if(7)?.unwrap_or_default(),
        policy_packets: attributes.nested_if(8)?.map(|counter| counter.u64(2)).transpose()?,
        rules: Vec::new(),
    })
}

fn hook(family: &str, attributes: Attributes<'_>) -> anyhow::Result<ChainHook> {
    let number = attributes.u32(1)?;
    let name = match (family, number) {
        ("netdev", 0) | ("inet", 5) => "ingress",
        ("netdev", 1) => "egress",
        // ARP has three hooks of its own (linux/netfilter_arp.h).
        ("arp", 0) | (_, 1) if (family, number) != ("arp", 1) => "input",
        (_, 0) => "prerouting",
        ("arp", 1) | (_, 3) => "output",
        (_, 2) => "forward",
        (_, 4) => "postrouting",
        _ => bail!("hook {number} of family {family} is unknown"),
    };
    let mut devices: Vec<String> = attributes.name_if(3)?.into_iter().collect();
    if let Some(list) = attributes.nested_if(4)? {
        for (_, device) in list.each() {
            devices.push(String::from_utf8_lossy(device).trim_end_matches('\0').to_owned());
        }
    }
    Ok(ChainHook {
        name,
        priority: attributes.u32(2)?.cast_signed(),
        devices,
    })
}

fn rule(attributes: Attributes<'_>) -> anyhow::Result<NftRule> {
    let handle = attributes.u64(3)?;
    let compat = attributes.nested_if(5)?;
    let compat = compat.map(|compat| anyhow::Ok((compat.u32(1)?, compat.u32(2)? & 2 != 0)));
    Ok(NftRule {
        handle,
        exprs: attributes
            .find(4)
            .map(decode::list)
            .transpose()
            .with_context(|| format!("rule with handle {handle}"))?
            .unwrap_or_default(),
        userdata: attributes.find(7).unwrap_or_default().to_vec(),
        compat: compat.transpose()?,
    })
}

fn set(attributes: Attributes<'_>) -> anyhow::Result<NftSet> {
    let mut fields = Vec::new();
    if let Some(list) = attributes.nested_if(9)?.and_then(|description| description.find(2)) {
        for (_, field) in Attributes::of(list)?.each() {
            fields.push(Attributes::of(field)?.u32(1)?);
        }
    }
    Ok(NftSet {
        name: attributes.name(2)?,
        flags: attributes.u32_if(3)?.unwrap_or(0),
        key_type: attributes.u32_if(4)?.unwrap_or(0),
        key_bytes: attributes.u32_if(5)?.unwrap_or(0),
        data_type: attributes.u32_if(6)?.unwrap_or(0),
        data_bytes: attributes.u32_if(7)?.unwrap_or(0),
        object_type: attributes.u32_if(15)?.unwrap_or(0),
        fields,
        elements: Vec::new(),
        too_many: false,
    })
}

fn add_elements(elements: &mut Vec<Element>, attributes: Attributes<'_>) -> anyhow::Result<()> {
    let Some(list) = attributes.nested_if(3)? else {
        return Ok(());
    };
    for (_, element) in list.each() {
        elements.push(self::element(Attributes::of(element)?)?);
    }
    Ok(())
}

fn element(attributes: Attributes<'_>) -> anyhow::Result<Element> {
    let flags = attributes.u32_if(3)?.unwrap_or(0);
    Ok(Element {
        key: attributes.find(1).map(decode::value).transpose()?.unwrap_or_default(),
        key_end: attributes.find(10).map(decode::value).transpose()?,
        ends: flags & 1 != 0,
        catch_all: flags & 2 != 0,
        data: attributes.find(2).map(decode::data).transpose()?,
        object: attributes.name_if(9)?,
        exprs: match (attributes.find(7), attributes.find(11)) {
            (Some(expr), _) => vec![decode::one(expr)?],
            (None, Some(list)) => decode::list(list)?,
            (None, None) => Vec::new(),
        },
    })
}

#[cfg(test)]
mod tests;
