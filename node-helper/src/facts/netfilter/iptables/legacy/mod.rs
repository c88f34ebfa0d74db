//! The tables of iptables-legacy, which the kernel hands out as one block of rules: chains have no names there but by what
//! leads to them, and a jump is an offset (`linux/netfilter_ipv4/ip_tables.h`, `linux/netfilter_ipv6/ip6_tables.h`). What its matches
//! and targets mean is in `xt`, which iptables-nft has as well.

mod block;
mod entry;
pub mod names;

use super::xt::SetNames;
use crate::system::netlink::text;
use crate::system::sockopt;
use anyhow::{Context as _, bail};
use block::{Block, INFO_BYTES};
use model::facts::Chain;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::os::fd::OwnedFd;

/// One of the two families.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct LegacyFamily {
    /// `ip`, `ip6`.
    pub name: &'static str,
    /// The file of `/proc/net` that lists its tables.
    pub names: &'static str,
    address: AddressFamily,
    level: i32,
    v6: bool,
}

pub const FAMILIES: [LegacyFamily; 2] = [
    LegacyFamily {
        name: "ip",
        names: "ip_tables_names",
        address: AddressFamily::Inet,
        level: libc::SOL_IP,
        v6: false,
    },
    LegacyFamily {
        name: "ip6",
        names: "ip6_tables_names",
        address: AddressFamily::Inet6,
        level: libc::SOL_IPV6,
        v6: true,
    },
];

// `IPT_SO_GET_INFO`, `IPT_SO_GET_ENTRIES`; those of IPv6 are the same
const GET_INFO: i32 = 64;
const GET_ENTRIES: i32 = 65;
const NAME_BYTES: usize = 32;
/// `struct ipt_get_entries` without its rules.
const HEAD_BYTES: usize = 40;
/// A table that is larger is not read.
const TABLE_BYTES_MAX: usize = 48 << 20;
/// A table that is replaced between the two questions is asked for again, this often.
const TRIES: u32 = 5;

/// Reads one table in the namespace of this thread. Ask only for tables that are listed: a kernel would load others.
///
/// # Errors
/// The kernel refuses, or what it hands out makes no sense: then the table is unread as a whole.
pub fn read(family: LegacyFamily, table: &str, sets: &SetNames) -> anyhow::Result<Vec<Chain>> {
    // Any socket of the family will do.
    let socket = socket(family.address, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None)
        .with_context(|| format!("cannot open a socket to ask for table {table}"))?;
    for _ in 0..TRIES {
        if let Some(block) = ask(&socket, family, table)? {
            return block
                .chains(family, sets)
                .with_context(|| format!("cannot make sense of table {table}"));
        }
    }
    bail!("table {table} was replaced again and again while it was read; try again")
}

/// The table as it is now; `None` where it changed between two questions.
fn ask(socket: &OwnedFd, family: LegacyFamily, table: &str) -> anyhow::Result<Option<Block>> {
    if table.len() >= NAME_BYTES {
        bail!("`{table}` is no name of a table");
    }
    let mut info = vec![0; INFO_BYTES];
    info[..table.len()].copy_from_slice(table.as_bytes());
    let length = sockopt::get(socket, family.level, GET_INFO, &mut info)
        .with_context(|| format!("the kernel does not describe table {table}"))?;
    if length != INFO_BYTES {
        bail!("the kernel describes table {table} in {length} bytes, not {INFO_BYTES}");
    }
    let size = Block::size(&info);
    if size > TABLE_BYTES_MAX {
        bail!("table {table} is too large to be read ({} MiB)", size >> 20);
    }
    let mut entries = vec![0; HEAD_BYTES + size];
    entries[..table.len()].copy_from_slice(table.as_bytes());
    entries[NAME_BYTES..NAME_BYTES + 4].copy_from_slice(&(size as u32).to_ne_bytes());
    match sockopt::get(socket, family.level, GET_ENTRIES, &mut entries) {
        Ok(length) if length == HEAD_BYTES + size => {}
        Ok(length) => bail!(
            "the kernel gave {length} bytes of table {table}, not {}",
            HEAD_BYTES + size
        ),
        Err(error) if error.raw_os_error() == Some(libc::EAGAIN) => return Ok(None),
        Err(error) => return Err(error).with_context(|| format!("the kernel does not hand out table {table}")),
    }
    if text(&entries[..NAME_BYTES]) != table {
        bail!("the kernel gave another table than {table}");
    }
    Ok(Some(Block::new(&info, entries.split_off(HEAD_BYTES))))
}

/// Whether these bytes are a table as the kernel hands one out, of either family: what is said of it, and its entries.
pub fn reads(bytes: &[u8]) -> bool {
    bytes.split_at_checked(INFO_BYTES).is_some_and(|(info, entries)| {
        let block = Block::new(info, entries.to_vec());
        let [v4, v6] = FAMILIES.map(|family| block.chains(family, &SetNames::new()).is_ok());
        v4 || v6
    })
}

#[cfg(test)]
mod tests;
