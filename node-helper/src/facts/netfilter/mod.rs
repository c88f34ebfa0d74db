//! Netfilter rules of a namespace, from every backend, read by the node's own tools.
//!
//! The kernel says which tables there are, so a tool is only started where it has something to read. Tools start first
//! and are heard last: they work while the other facts are read. `nft` sees the tables of `iptables-nft` too, but cannot
//! word all their matches; each table is taken from the tool that made it.

#[allow(dead_code, reason = "the reader is joined to the facts in the next step")]
mod attributes;
mod bound;
mod clause;
#[allow(dead_code, reason = "the reader is joined to the facts in the next step")]
mod compat;
#[allow(dead_code, reason = "the reader is joined to the facts in the next step")]
mod dump;
#[allow(dead_code, reason = "the reader is joined to the facts in the next step")]
mod expr;
#[allow(dead_code, reason = "the reader is joined to the facts in the next step")]
mod fields;
#[allow(dead_code, reason = "the reader is joined to the facts in the next step")]
mod ipset;
mod iptables;
mod iptables_match;
#[allow(dead_code, reason = "the reader is joined to the facts in the next step")]
mod kinds;
#[allow(dead_code, reason = "the reader is joined to the facts in the next step")]
mod legacy;
mod nft;
mod nft_match;
mod nft_text;
#[allow(dead_code, reason = "the reader is joined to the facts in the next step")]
mod raw;
mod tables;
mod tools;
mod words;
#[allow(dead_code, reason = "the reader is joined to the facts in the next step")]
mod xt;

use super::{Fact, Look};
use model::facts::{Netfilter, NetnsFacts};
use model::missing::{Known, Missing};
use tables::{Tables, is_compatible, legacy};
use tools::Running;

pub(super) use tools::Tools;

pub(super) const FACT: Fact = Fact {
    name: "netfilter",
    moves: true,
    read: |look, facts: &mut NetnsFacts| facts.netfilter = read(look),
};

/// A tool of the iptables family: what it reads, and where the kernel says whether there is anything.
struct Save {
    tool: &'static str,
    backend: &'static str,
    family: &'static str,
    /// The file that lists legacy tables; nftables are asked for by netlink.
    names: Option<&'static str>,
}

const SAVES: [Save; 4] = [
    Save {
        tool: "iptables-legacy-save",
        backend: "iptables-legacy",
        family: "ip",
        names: Some("ip_tables_names"),
    },
    Save {
        tool: "ip6tables-legacy-save",
        backend: "iptables-legacy",
        family: "ip6",
        names: Some("ip6_tables_names"),
    },
    Save {
        tool: "iptables-nft-save",
        backend: "iptables-nft",
        family: "ip",
        names: None,
    },
    Save {
        tool: "ip6tables-nft-save",
        backend: "iptables-nft",
        family: "ip6",
        names: None,
    },
];

/// How nft is asked.
const LIST: [&str; 3] = ["-j", "list", "ruleset"];

/// Tools at work.
pub(super) struct Started {
    saves: Vec<(&'static Save, anyhow::Result<Running>)>,
    nft: Option<anyhow::Result<Running>>,
    /// Families whose iptables-nft tables nft must show, for want of the tool that made them.
    by_nft: Vec<&'static str>,
    unread: Vec<Missing>,
}

/// Starts what there is to read.
pub(super) fn start(look: &Look) -> Started {
    let mut started = Started {
        saves: Vec::new(),
        nft: None,
        by_nft: Vec::new(),
        unread: Vec::new(),
    };
    let tables = Tables::read().unwrap_or_else(|error| {
        started.unread.push(unread(look, "nftables", &format!("{error:#}")));
        Tables::default()
    });
    for save in &SAVES {
        let any = match save.names {
            Some(file) => legacy(look, file),
            None => Ok(tables.compatible(save.family)),
        };
        match any {
            Ok(false) => {}
            Ok(true) => match look.tools.start(save.tool, &["-c"]) {
                Some(running) => started.saves.push((save, running)),
                None if save.names.is_none() => started.by_nft.push(save.family),
                None => started.unread.push(without(look, save.backend, save.tool)),
            },
            Err(error) => started.unread.push(unread(look, save.backend, &format!("{error:#}"))),
        }
    }
    if tables.native() || !started.by_nft.is_empty() {
        started.nft = look.tools.start("nft", &LIST);
        if started.nft.is_none() {
            started.unread.push(without(look, "nftables", "nft"));
        }
    }
    started
}

fn read(look: &Look) -> Known<Netfilter> {
    let started = look.started.borrow_mut().take().unwrap_or_else(|| start(look));
    let mut netfilter = Netfilter {
        unread: started.unread,
        ..Netfilter::default()
    };
    let mut refused = Vec::new();
    for (save, running) in started.saves {
        match running.and_then(Running::output) {
            Ok(text) => {
                let saved = iptables::parse(&text, save.backend, save.family);
                netfilter.chains.extend(saved.chains);
                refused.extend(saved.refused.into_iter().map(|table| (save.family, table)));
            }
            Err(error) => netfilter.unread.push(unread(look, save.backend, &format!("{error:#}"))),
        }
    }
    // A table that only looks like one of iptables-nft is nft's own.
    let nft = started
        .nft
        .or_else(|| (!refused.is_empty()).then(|| look.tools.start("nft", &LIST))?);
    if let Some(running) = nft {
        let wanted = |family: &str, table: &str| {
            !is_compatible(family, table)
                || started.by_nft.contains(&family)
                || refused.iter().any(|(own, name)| *own == family && name == table)
        };
        match running
            .and_then(Running::output)
            .and_then(|json| nft::parse(&json, wanted))
        {
            Ok(ruleset) => {
                netfilter.chains.extend(ruleset.chains);
                netfilter.sets.extend(ruleset.sets);
            }
            Err(error) => netfilter.unread.push(unread(look, "nftables", &format!("{error:#}"))),
        }
    }
    for table in bound::keep_within(bound::RULES_MAX, &mut netfilter.chains, &look.addresses()) {
        let why = format!(
            "table {table} is too large to be carried ({} rules are)",
            bound::RULES_MAX
        );
        netfilter
            .unread
            .push(Missing::new(format!("netfilter rules of {}", look.namespace.name), why));
    }
    match netfilter.unread.first() {
        Some(first) if netfilter.chains.is_empty() => Known::Missing(Missing {
            what: format!("netfilter rules of {}", look.namespace.name),
            ..first.clone()
        }),
        _ => Known::Known(netfilter),
    }
}

fn unread(look: &Look, backend: &str, why: &str) -> Missing {
    Missing::new(format!("{backend} rules of {}", look.namespace.name), why)
        .remedy("run the helper as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN")
}

fn without(look: &Look, backend: &str, tool: &str) -> Missing {
    Missing::new(
        format!("{backend} rules of {}", look.namespace.name),
        format!("there are some, and {tool} is not on this node, in none of its containers either"),
    )
    .remedy(format!("install {tool} on the node"))
}

#[cfg(test)]
mod nft_tests;
#[cfg(test)]
mod real;
