//! Matches and targets of xtables as the kernel hands them out (a name, a revision and a C struct), in iptables' own words.
//!
//! Each module is one line in a registry: what it is called, which revision, how large its struct is, who reads it. One that is
//! in no registry, or whose struct has another size, stays undecoded and is said to be.

mod address;
mod connection;
mod limits;
mod mangle;
mod nat;
mod packet;
mod ports;
mod sets;
mod struct_bytes;
mod verdicts;

pub use address::{interface, network, protocol};
pub use limits::native_limit;
pub use packet::masked;
pub use ports::{span, tcp_flags};
pub use sets::SetNames;
pub use struct_bytes::XtStruct;

use super::clause::{Clause, Opt};

/// A match or target as the kernel has it.
#[derive(Clone, Copy, Debug)]
pub struct Blob<'a> {
    /// What registers it in the kernel.
    pub name: &'a str,
    /// Revision of its struct.
    pub revision: u32,
    /// Its struct, with the padding behind it.
    pub data: &'a [u8],
}

/// What a struct alone does not tell.
#[derive(Clone, Copy)]
pub struct XtContext<'a> {
    /// The rule is one of IPv6.
    pub v6: bool,
    /// Names of address sets by index.
    pub sets: &'a SetNames,
}

/// What a module says: its name for people, where that is another one than the kernel's, and its options.
struct Said {
    alias: Option<&'static str>,
    options: Vec<Opt>,
}

impl From<Vec<Opt>> for Said {
    fn from(options: Vec<Opt>) -> Self {
        Self { alias: None, options }
    }
}

/// Families in which a layout is valid.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum In {
    Both,
    V4,
    V6,
}

/// A layout that is known.
struct Layout {
    name: &'static str,
    revision: u32,
    family: In,
    /// Bytes of the struct, without padding at its end.
    bytes: usize,
    /// `None` where its content makes no sense.
    read: fn(XtStruct<'_>, XtContext<'_>) -> Option<Said>,
}

const fn layout(
    name: &'static str,
    revision: u32,
    family: In,
    bytes: usize,
    read: fn(XtStruct<'_>, XtContext<'_>) -> Option<Said>,
) -> Layout {
    Layout {
        name,
        revision,
        family,
        bytes,
        read,
    }
}

const MATCHES: [&[Layout]; 6] = [
    ports::MATCHES,
    connection::MATCHES,
    address::MATCHES,
    packet::MATCHES,
    limits::MATCHES,
    sets::MATCHES,
];
const TARGETS: [&[Layout]; 4] = [verdicts::TARGETS, nat::TARGETS, mangle::TARGETS, sets::TARGETS];

/// Structs end at a multiple of this (`XT_ALIGN`).
pub const ALIGNMENT: usize = 8;

fn read(registry: &[&[Layout]], blob: Blob<'_>, context: XtContext<'_>) -> Option<Said> {
    let family = if context.v6 { In::V6 } else { In::V4 };
    let layout = registry.iter().copied().flatten().find(|layout| {
        layout.name == blob.name
            && layout.revision == blob.revision
            && (layout.family == In::Both || layout.family == family)
            // Whoever hands it out may have left the padding away.
            && (layout.bytes..=layout.bytes.next_multiple_of(ALIGNMENT)).contains(&blob.data.len())
    })?;
    (layout.read)(XtStruct(blob.data), context)
}

/// A match in words.
pub fn matched(blob: Blob<'_>, context: XtContext<'_>) -> Clause {
    match read(&MATCHES, blob, context) {
        Some(said) => Clause::Match {
            module: said.alias.unwrap_or(blob.name).to_owned(),
            options: said.options,
        },
        None => Clause::UnreadMatch(blob.name.to_owned()),
    }
}

/// A target in words.
pub fn target(blob: Blob<'_>, context: XtContext<'_>) -> Clause {
    match read(&TARGETS, blob, context) {
        Some(said) => Clause::Target {
            name: said.alias.unwrap_or(blob.name).to_owned(),
            options: said.options,
        },
        None => Clause::UnreadTarget(blob.name.to_owned()),
    }
}

#[cfg(test)]
mod tests;
