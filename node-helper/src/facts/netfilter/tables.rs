//! Which netfilter tables a namespace has, asked of the kernel itself: cheap, and without any tool.

use super::super::Look;
use crate::netlink::{Netlink, attributes, text};
use anyhow::Context as _;
use std::io::ErrorKind;

/// Tables that iptables-nft makes.
const COMPATIBLE: [&str; 5] = ["filter", "nat", "mangle", "raw", "security"];

/// What there is to read.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Tables {
    /// nftables' tables: family and name.
    pub(super) nft: Vec<(String, String)>,
}

impl Tables {
    /// Asks nftables; a kernel without it has no tables.
    pub(super) fn read() -> anyhow::Result<Self> {
        let mut netlink = Netlink::open(libc::NETLINK_NETFILTER)?;
        let dumped = netlink.dump(GET_TABLE, &[0; NFGENMSG_BYTES], |_, body| parse(body));
        let nft = match dumped {
            Err(error) if unknown(&error) => Vec::new(),
            other => other.context("cannot list nftables' tables")?,
        };
        Ok(Self { nft })
    }

    /// Whether tables of this family look like those of iptables-nft.
    pub(super) fn compatible(&self, family: &str) -> bool {
        self.nft
            .iter()
            .any(|(own, name)| own == family && is_compatible(own, name))
    }

    /// Whether there are tables that iptables-nft does not make.
    pub(super) fn native(&self) -> bool {
        self.nft.iter().any(|(family, name)| !is_compatible(family, name))
    }
}

/// A table as iptables-nft and ip6tables-nft name them.
pub(super) fn is_compatible(family: &str, name: &str) -> bool {
    matches!(family, "ip" | "ip6") && COMPATIBLE.contains(&name)
}

/// Whether this namespace has tables of iptables-legacy; the kernel lists them in a file that exists where it knows them.
pub(super) fn legacy(look: &Look, file: &str) -> anyhow::Result<bool> {
    match look.proc_net(file) {
        Ok(names) => Ok(!names.trim().is_empty()),
        Err(error) if kind(&error) == Some(ErrorKind::NotFound) => Ok(false),
        Err(error) => Err(error),
    }
}

fn kind(error: &anyhow::Error) -> Option<ErrorKind> {
    error.downcast_ref::<std::io::Error>().map(std::io::Error::kind)
}

fn unknown(error: &anyhow::Error) -> bool {
    let number = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::raw_os_error);
    matches!(number, Some(libc::EINVAL | libc::EOPNOTSUPP | libc::EPROTONOSUPPORT))
}

// linux/netfilter/nfnetlink.h, linux/netfilter/nf_tables.h
const NFGENMSG_BYTES: usize = 4;
const NFNL_SUBSYS_NFTABLES: u16 = 10;
const NFT_MSG_GETTABLE: u16 = 1;
const GET_TABLE: u16 = NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE;
const NFTA_TABLE_NAME: u16 = 1;

fn parse(message: &[u8]) -> Option<(String, String)> {
    let family = match message.first()? {
        1 => "inet",
        2 => "ip",
        3 => "arp",
        5 => "netdev",
        7 => "bridge",
        10 => "ip6",
        _ => return None,
    };
    let name = attributes(message.get(NFGENMSG_BYTES..)?).find(|(kind, _)| *kind == NFTA_TABLE_NAME)?;
    Some((family.to_owned(), text(name.1)))
}

#[cfg(test)]
mod tests {
    use super::Tables;

    fn tables(names: &[(&str, &str)]) -> Tables {
        Tables {
            nft: names
                .iter()
                .map(|(family, name)| ((*family).to_owned(), (*name).to_owned()))
                .collect(),
        }
    }

    #[test]
    fn a_table_of_iptables_is_known_by_family_and_name() {
        let both = tables(&[("ip", "filter"), ("inet", "filter")]);
        assert!(both.compatible("ip") && !both.compatible("ip6") && both.native());
        assert!(!tables(&[("ip", "nat"), ("ip6", "raw")]).native());
        assert!(tables(&[("ip", "kube-proxy")]).native());
    }
}
