//! Names of kernel addresses (`/proc/kallsyms`), read once in the background while probes are already attached.

use crate::system::door;
use std::borrow::Cow;
use std::io::{BufRead, BufReader};
use std::sync::OnceLock;

/// The kernel's functions, sorted by address.
#[derive(Debug, Default)]
pub struct Symbols {
    addresses: Vec<u64>,
    /// Start of each name in `names`.
    starts: Vec<u32>,
    names: String,
}

impl Symbols {
    /// Those of the running kernel. Empty where it hides its addresses.
    pub fn of_this_kernel() -> &'static Self {
        static SYMBOLS: OnceLock<Symbols> = OnceLock::new();
        SYMBOLS.get_or_init(|| {
            door::file("/proc/kallsyms").map_or_else(
                |_| Self::default(),
                |file| Self::parse(BufReader::with_capacity(1 << 16, file)),
            )
        })
    }

    /// Reads lines of `address type name`. Only code counts.
    pub fn parse(mut lines: impl BufRead) -> Self {
        let mut symbols = Self::default();
        let mut line = Vec::with_capacity(256);
        let mut sorted = true;
        loop {
            line.clear();
            if !matches!(lines.read_until(b'\n', &mut line), Ok(read) if read > 0) {
                break;
            }
            let Some((address, name)) = code(&line) else { continue };
            sorted &= symbols.addresses.last().is_none_or(|last| *last <= address);
            symbols.addresses.push(address);
            symbols.starts.push(symbols.names.len() as u32);
            symbols.names.push_str(name);
        }
        if !sorted {
            symbols.sort();
        }
        symbols.addresses.shrink_to_fit();
        symbols.starts.shrink_to_fit();
        symbols.names.shrink_to_fit();
        symbols
    }

    fn sort(&mut self) {
        let mut order: Vec<usize> = (0..self.addresses.len()).collect();
        order.sort_by_key(|index| self.addresses[*index]);
        let mut sorted = Self::default();
        for index in order {
            sorted.addresses.push(self.addresses[index]);
            sorted.starts.push(sorted.names.len() as u32);
            sorted.names.push_str(self.name(index));
        }
        *self = sorted;
    }

    fn name(&self, index: usize) -> &str {
        let from = self.starts[index] as usize;
        let to = self
            .starts
            .get(index + 1)
            .map_or(self.names.len(), |next| *next as usize);
        &self.names[from..to]
    }

    /// The function that holds an address, without the suffixes that compilers add. `None` where the kernel hides its symbols.
    pub fn function(&self, address: u64) -> Option<Cow<'_, str>> {
        let index = self
            .addresses
            .partition_point(|start| *start <= address)
            .checked_sub(1)?;
        Some(plain(self.name(index)).into())
    }
}

/// A line about code, with an address that is not hidden.
fn code(line: &[u8]) -> Option<(u64, &str)> {
    let text = std::str::from_utf8(line).ok()?;
    let (address, rest) = text.split_once(' ')?;
    let (kind, name) = rest.split_once(' ')?;
    if !matches!(kind, "t" | "T" | "w" | "W") {
        return None;
    }
    let address = u64::from_str_radix(address, 16).ok().filter(|address| *address != 0)?;
    // Modules follow in brackets.
    let name = name.split(['\t', '\n', ' ']).next()?;
    Some((address, name))
}

/// `__netif_receive_skb_core.constprop.0` is `__netif_receive_skb_core`.
fn plain(name: &str) -> &str {
    name.split('.').next().unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::Symbols;

    const KERNEL: &str = "ffffffff81000000 T _text\nffffffff81000100 t nft_do_chain\nffffffff81000180 d some_data\n\
        ffffffff81000200 t tcp_v4_rcv.part.0\nffffffffc0000000 t ipt_do_table\t[ip_tables]\n";

    #[test]
    fn an_address_belongs_to_the_function_before_it() {
        let symbols = Symbols::parse(KERNEL.as_bytes());
        let function = |address| symbols.function(address).map(std::borrow::Cow::into_owned);
        assert_eq!(function(0xffff_ffff_8100_01ff).as_deref(), Some("nft_do_chain"));
        assert_eq!(function(0xffff_ffff_8100_0200).as_deref(), Some("tcp_v4_rcv"));
        assert_eq!(function(0xffff_ffff_c000_0010).as_deref(), Some("ipt_do_table"));
        assert_eq!(function(0x1000), None);
    }

    #[test]
    fn hidden_addresses_have_no_names() {
        let symbols = Symbols::parse("0000000000000000 T tcp_v4_rcv\n".as_bytes());
        assert_eq!(symbols.function(0xffff_ffff_8100_0000), None);
    }
}
