//! Matches on ipset's sets, and targets that change them: which set a rule means, and what it does with it.

use super::{In, Layout, Said, XtContext, XtStruct, layout};
use crate::facts::netfilter::iptables::clause::Opt;
use crate::system::netlink::text;
use crate::system::sockopt;
use nix::sys::socket::{AddressFamily, SockFlag, SockType, socket};
use std::cell::{OnceCell, RefCell};
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;

// linux/netfilter/xt_set.h
pub(super) const MATCHES: &[Layout] = &[
    layout("set", 1, In::Both, 4, |own, context| matched(own, context, None)),
    layout("set", 2, In::Both, 4, |own, context| matched(own, context, None)),
    layout("set", 3, In::Both, 40, |own, context| {
        matched(own, context, Some(COUNTERS_3))
    }),
    layout("set", 4, In::Both, 44, |own, context| {
        matched(own, context, Some(COUNTERS_4))
    }),
];
pub(super) const TARGETS: &[Layout] = &[
    layout("SET", 1, In::Both, 8, |own, context| changed(own, context, None, None)),
    layout("SET", 2, In::Both, 16, |own, context| {
        changed(own, context, None, Some(8))
    }),
    layout("SET", 3, In::Both, 20, |own, context| {
        changed(own, context, Some(8), Some(12))
    }),
];

/// Names of sets by index. They are asked for in the namespace of the thread that opened it, each once.
pub struct SetNames {
    socket: OnceCell<Option<(OwnedFd, u32)>>,
    known: RefCell<BTreeMap<u16, Option<String>>>,
}

// linux/netfilter/ipset/ip_set.h
const SO_IP_SET: i32 = 83;
const OP_VERSION: u32 = 0x100;
const OP_GET_BYINDEX: u32 = 7;
const NAME_BYTES: usize = 32;
const NO_SET: u16 = u16::MAX;

impl SetNames {
    /// Asks nobody yet.
    pub fn new() -> Self {
        Self {
            socket: OnceCell::new(),
            known: RefCell::new(BTreeMap::new()),
        }
    }

    /// Knows these, and asks nobody.
    pub fn of(names: &[(u16, &str)]) -> Self {
        let own = Self::new();
        let _ = own.socket.set(None);
        own.known
            .borrow_mut()
            .extend(names.iter().map(|(index, name)| (*index, Some((*name).to_owned()))));
        own
    }

    /// The name of the set that has this index now.
    pub fn name(&self, index: u16) -> Option<String> {
        if let Some(known) = self.known.borrow().get(&index) {
            return known.clone();
        }
        let name = self.ask(index);
        self.known.borrow_mut().insert(index, name.clone());
        name
    }

    fn ask(&self, index: u16) -> Option<String> {
        let (socket, version) = self.socket.get_or_init(open).as_ref()?;
        let mut request = [0; 8 + NAME_BYTES];
        request[..4].copy_from_slice(&OP_GET_BYINDEX.to_ne_bytes());
        request[4..8].copy_from_slice(&version.to_ne_bytes());
        request[8..10].copy_from_slice(&index.to_ne_bytes());
        sockopt::get(socket, libc::SOL_IP, SO_IP_SET, &mut request).ok()?;
        Some(text(&request[8..])).filter(|name| !name.is_empty())
    }
}

/// A socket, and the protocol that this kernel speaks.
fn open() -> Option<(OwnedFd, u32)> {
    let socket = socket(AddressFamily::Inet, SockType::Datagram, SockFlag::SOCK_CLOEXEC, None).ok()?;
    let mut request = [0; 8];
    request[..4].copy_from_slice(&OP_VERSION.to_ne_bytes());
    sockopt::get(&socket, libc::SOL_IP, SO_IP_SET, &mut request).ok()?;
    let version = XtStruct(&request).u32(4)?;
    Some((socket, version))
}

/// `NAME src,dst` by `struct xt_set_info`: index, dimensions, and a bit for each that is the source's.
fn set(own: XtStruct<'_>, offset: usize, context: XtContext<'_>) -> Option<Vec<String>> {
    let (index, dimensions, flags) = (own.u16(offset)?, own.u8(offset + 2)?, own.u8(offset + 3)?);
    let ends: Vec<&str> = (1..=dimensions.min(6))
        .map(|dimension| if flags & (1 << dimension) != 0 { "src" } else { "dst" })
        .collect();
    Some(vec![context.sets.name(index)?, ends.join(",")])
}

/// Where a match has what its counters are compared with: operator and value, for packets and bytes; and its flags.
struct Counters {
    packets: (usize, usize),
    bytes: (usize, usize),
    flags: usize,
}

const COUNTERS_3: Counters = Counters {
    packets: (8, 16),
    bytes: (24, 32),
    flags: 40,
};
const COUNTERS_4: Counters = Counters {
    packets: (16, 8),
    bytes: (32, 24),
    flags: 40,
};

// `IPSET_FLAG_*`
const SKIP_COUNTER_UPDATE: u32 = 1 << 3;
const SKIP_SUBCOUNTER_UPDATE: u32 = 1 << 4;
const RETURN_NOMATCH: u32 = 1 << 7;
/// `RETURN_NOMATCH` in the flags of `struct xt_set_info`.
const INFO_RETURN_NOMATCH: u8 = 1 << 7;

fn matched(own: XtStruct<'_>, context: XtContext<'_>, counters: Option<Counters>) -> Option<Said> {
    let info_flags = own.u8(3)?;
    let mut options = vec![Opt {
        not: info_flags & 1 != 0,
        name: "--match-set".into(),
        values: set(own, 0, context)?,
    }];
    let flags = counters.as_ref().map_or(Some(0), |counters| own.u32(counters.flags))?;
    if info_flags & INFO_RETURN_NOMATCH != 0 || flags & RETURN_NOMATCH != 0 {
        options.push(Opt::flag("--return-nomatch"));
    }
    if flags & SKIP_COUNTER_UPDATE != 0 {
        options.push(Opt::flag("--update-counters").inverted(true));
    }
    if flags & SKIP_SUBCOUNTER_UPDATE != 0 {
        options.push(Opt::flag("--update-subcounters").inverted(true));
    }
    if let Some(counters) = counters {
        let compared = |(operator, value): (usize, usize), [equal, below, above]: [&'static str; 3]| {
            let value = own.u64(value)?;
            Some(match own.u8(operator)? {
                0 => None,
                1 => Some(Opt::new(equal, value)),
                2 => Some(Opt::new(equal, value).inverted(true)),
                3 => Some(Opt::new(below, value)),
                4 => Some(Opt::new(above, value)),
                _ => return None,
            })
        };
        options.extend(compared(
            counters.packets,
            ["--packets-eq", "--packets-lt", "--packets-gt"],
        )?);
        options.extend(compared(counters.bytes, ["--bytes-eq", "--bytes-lt", "--bytes-gt"])?);
    }
    Some(options.into())
}

// `IPSET_FLAG_EXIST`, and those of a map
const EXIST: u32 = 1;
const MAPS: [(u32, &str); 3] = [(1 << 8, "--map-mark"), (1 << 9, "--map-prio"), (1 << 10, "--map-queue")];

fn changed(own: XtStruct<'_>, context: XtContext<'_>, map: Option<usize>, flags: Option<usize>) -> Option<Said> {
    let mut options = Vec::new();
    let mut named = |name: &'static str, offset: usize| {
        if own.u16(offset)? != NO_SET {
            options.push(Opt {
                values: set(own, offset, context)?,
                ..Opt::flag(name)
            });
        }
        Some(())
    };
    named("--add-set", 0)?;
    named("--del-set", 4)?;
    if let Some(map) = map {
        named("--map-set", map)?;
    }
    if let Some(offset) = flags {
        let (flags, timeout) = (own.u32(offset)?, own.u32(offset + 4)?);
        options.extend(super::packet::flagged(flags, &[(EXIST, "--exist")]));
        if timeout != u32::MAX {
            options.push(Opt::new("--timeout", timeout));
        }
        options.extend(super::packet::flagged(flags, &MAPS));
    }
    Some(options.into())
}
