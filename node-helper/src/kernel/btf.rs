//! The kernel's own description of its structures (BTF), read by one scan for the names that are wanted.

use crate::system::door;
use crate::system::mapped::Mapped;
use anyhow::{Context, bail};
use std::collections::{HashMap, HashSet};
use std::io::Read;

/// The enumeration of drop reasons.
pub const DROP_REASONS: &str = "skb_drop_reason";
/// The enumeration of reset reasons.
pub const RESET_REASONS: &str = "sk_rst_reason";

/// Where the kernel keeps it.
pub const PATH: &str = "/sys/kernel/btf/vmlinux";

/// What to look for.
#[derive(Debug, Default)]
pub struct Wanted {
    /// Fields, as (structure, field).
    pub fields: HashSet<(String, String)>,
    /// Tracepoints.
    pub tracepoints: HashSet<String>,
    /// Functions.
    pub functions: HashSet<String>,
    /// Enumerations.
    pub enums: HashSet<String>,
}

/// A tracepoint of this kernel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tracepoint {
    /// The type a program is attached to.
    pub id: u32,
    /// How many arguments it has.
    pub arguments: u32,
}

/// What this kernel has.
#[derive(Debug, Default)]
pub struct Layout {
    /// Offsets of fields, in bytes.
    pub fields: HashMap<(String, String), u32>,
    /// Tracepoints.
    pub tracepoints: HashMap<String, Tracepoint>,
    /// Functions, by the id of their type.
    pub functions: HashMap<String, u32>,
    /// Enumerators by number.
    pub enums: HashMap<String, HashMap<u32, String>>,
}

/// Reads the running kernel's.
pub fn of_this_kernel(wanted: &Wanted) -> anyhow::Result<Layout> {
    let mut file = door::file(PATH).with_context(|| {
        format!("cannot open {PATH}: this kernel was built without CONFIG_DEBUG_INFO_BTF, or /sys is not mounted")
    })?;
    let length = file.metadata().map_or(0, |metadata| metadata.len() as usize);
    if length > 0
        && let Ok(mapped) = Mapped::read_only(&file, length)
    {
        return scan(mapped.bytes(), wanted);
    }
    // Before 6.16 it cannot be mapped.
    let mut bytes = Vec::with_capacity(length);
    file.read_to_end(&mut bytes)
        .with_context(|| format!("cannot read {PATH}"))?;
    scan(&bytes, wanted)
}

const ENUM: u32 = 6;
const STRUCT: u32 = 4;
const UNION: u32 = 5;
const PTR: u32 = 2;
const TYPEDEF: u32 = 8;
const FUNC: u32 = 12;
const FUNC_PROTO: u32 = 13;
const ENUM64: u32 = 19;

struct Btf<'a> {
    types: &'a [u8],
    strings: &'a [u8],
    /// Offset of each type; ids start at 1.
    offsets: Vec<u32>,
}

#[derive(Clone, Copy)]
struct Type {
    name: u32,
    kind: u32,
    length: usize,
    flag: bool,
    other: u32,
    at: usize,
}

fn number(bytes: &[u8], at: usize) -> u32 {
    bytes
        .get(at..at + 4)
        .and_then(|four| four.try_into().ok())
        .map_or(0, u32::from_ne_bytes)
}

/// No structure of a kernel has nearly as many anonymous members, nested ones included.
const ANONYMOUS_MOST: u32 = 256;

impl<'a> Btf<'a> {
    fn type_at(&self, at: usize) -> Type {
        let info = number(self.types, at + 4);
        Type {
            name: number(self.types, at),
            kind: (info >> 24) & 0x1f,
            length: (info & 0xffff) as usize,
            flag: info >> 31 == 1,
            other: number(self.types, at + 8),
            at: at + 12,
        }
    }

    fn get(&self, id: u32) -> Option<Type> {
        let at = *self.offsets.get(id.checked_sub(1)? as usize)?;
        Some(self.type_at(at as usize))
    }

    fn text(&self, at: u32) -> &'a [u8] {
        let rest = self.strings.get(at as usize..).unwrap_or(&[]);
        let end = rest.iter().position(|byte| *byte == 0).unwrap_or(rest.len());
        &rest[..end]
    }

    /// Byte offset of a field, also inside anonymous members. Bit fields have none.
    fn field(&self, of: Type, name: &[u8]) -> Option<u32> {
        self.field_within(of, name, &mut { ANONYMOUS_MOST })
    }

    /// Byte offset of a field, looking into at most `left` anonymous members: what claims to contain itself has no end.
    fn field_within(&self, of: Type, name: &[u8], left: &mut u32) -> Option<u32> {
        (0..of.length).find_map(|index| {
            let at = of.at + index * 12;
            let member = self.text(number(self.types, at));
            let place = number(self.types, at + 8);
            let (bits, width) = if of.flag {
                (place & 0xff_ffff, place >> 24)
            } else {
                (place, 0)
            };
            if member == name {
                return (width == 0).then_some(bits / 8);
            }
            if !member.is_empty() {
                return None;
            }
            let inner = self.get(number(self.types, at + 4))?;
            let inner = (inner.kind == STRUCT || inner.kind == UNION).then_some(inner)?;
            *left = left.checked_sub(1)?;
            Some((bits / 8).wrapping_add(self.field_within(inner, name, left)?))
        })
    }

    fn arguments(&self, of: Type) -> Option<u32> {
        let pointer = self.get(of.other).filter(|pointer| pointer.kind == PTR)?;
        let function = self.get(pointer.other).filter(|function| function.kind == FUNC_PROTO)?;
        // The first is the tracepoint's own data.
        (function.length as u32).checked_sub(1)
    }
}

/// Bytes behind a type's head.
fn more(kind: u32, length: usize) -> Option<usize> {
    Some(match kind {
        1 | 14 | 17 => 4,
        3 => 12,
        STRUCT | UNION | 15 | ENUM64 => 12 * length,
        ENUM | FUNC_PROTO => 8 * length,
        PTR | 7..=12 | 16 | 18 => 0,
        _ => return None,
    })
}

/// The first eight bytes of a name, to tell most others from it at once.
fn start(text: &[u8]) -> u64 {
    let mut start = [0; 8];
    for (to, from) in start.iter_mut().zip(text.iter().take_while(|byte| **byte != 0)) {
        *to = *from;
    }
    u64::from_ne_bytes(start)
}

/// Looks for what is wanted. What is not there is not in the answer.
pub fn scan(bytes: &[u8], wanted: &Wanted) -> anyhow::Result<Layout> {
    const MAGIC: u32 = 0xeb9f;
    if bytes.len() < 24 || number(bytes, 0) & 0xffff != MAGIC {
        bail!("{PATH} is not BTF of this machine's byte order");
    }
    let header = number(bytes, 4) as usize;
    let part = |at: usize| -> anyhow::Result<&[u8]> {
        let from = header + number(bytes, at) as usize;
        bytes
            .get(from..from + number(bytes, at + 4) as usize)
            .context("BTF ends before its end")
    };
    let mut btf = Btf {
        types: part(8)?,
        strings: part(16)?,
        offsets: Vec::with_capacity(200_000),
    };

    let structs: HashSet<&str> = wanted.fields.iter().map(|(of, _)| of.as_str()).collect();
    let tracepoints: HashMap<String, &str> = wanted
        .tracepoints
        .iter()
        .map(|name| (format!("btf_trace_{name}"), name.as_str()))
        .collect();
    let mut starts: Vec<u64> = structs
        .iter()
        .copied()
        .chain(wanted.enums.iter().map(String::as_str))
        .chain(wanted.functions.iter().map(String::as_str))
        .chain(tracepoints.keys().map(String::as_str))
        .map(|name| start(name.as_bytes()))
        .collect();
    starts.sort_unstable();
    starts.dedup();

    let mut candidates = Vec::new();
    let mut at = 0;
    while at < btf.types.len() {
        let found = btf.type_at(at);
        btf.offsets.push(at as u32);
        if matches!(found.kind, STRUCT | ENUM | ENUM64 | TYPEDEF | FUNC)
            && found.name != 0
            && let Some(name) = btf.strings.get(found.name as usize..)
            && starts.binary_search(&start(&name[..name.len().min(8)])).is_ok()
        {
            candidates.push(btf.offsets.len() as u32);
        }
        at = found.at + more(found.kind, found.length).context("BTF has a type this version does not know")?;
    }

    let mut layout = Layout::default();
    for id in candidates {
        let Some(found) = btf.get(id) else { continue };
        let Ok(name) = std::str::from_utf8(btf.text(found.name)) else {
            continue;
        };
        match found.kind {
            STRUCT if structs.contains(name) => {
                for key in wanted.fields.iter().filter(|(of, _)| of == name) {
                    if let Some(offset) = btf.field(found, key.1.as_bytes()) {
                        layout.fields.entry(key.clone()).or_insert(offset);
                    }
                }
            }
            TYPEDEF => {
                if let Some(tracepoint) = tracepoints.get(name)
                    && let Some(arguments) = btf.arguments(found)
                {
                    let here = Tracepoint { id, arguments };
                    layout.tracepoints.entry((*tracepoint).to_owned()).or_insert(here);
                }
            }
            FUNC if wanted.functions.contains(name) => {
                layout.functions.entry(name.to_owned()).or_insert(id);
            }
            ENUM | ENUM64 if wanted.enums.contains(name) => {
                let size = if found.kind == ENUM { 8 } else { 12 };
                let entries = (0..found.length).map(|index| {
                    let entry = found.at + index * size;
                    let text = String::from_utf8_lossy(btf.text(number(btf.types, entry))).into_owned();
                    (number(btf.types, entry + 4), text)
                });
                layout.enums.entry(name.to_owned()).or_default().extend(entries);
            }
            _ => {}
        }
    }
    Ok(layout)
}

#[cfg(test)]
mod tests {
    use super::{Wanted, scan};

    /// Two anonymous levels: `struct outer { int a; union { struct { int b; int c; }; }; }`, and one tracepoint.
    fn sample() -> Vec<u8> {
        let strings = b"\0int\0outer\0a\0b\0c\0btf_trace_met\0reason\0R_ZERO\0R_SEVEN\0";
        let offset = |name: &str| {
            let with_zero = [name.as_bytes(), b"\0"].concat();
            let at = strings.windows(with_zero.len()).position(|window| window == with_zero);
            at.unwrap() as u32
        };
        let head = |name: u32, kind: u32, length: u32, other: u32| [name, (kind << 24) | length, other];
        let mut types: Vec<u32> = Vec::new();
        types.extend(head(offset("int"), 1, 0, 4)); // 1
        types.push(32);
        types.extend(head(0, 4, 2, 8)); // 2: struct { b, c }
        types.extend([offset("b"), 1, 0, offset("c"), 1, 32]);
        types.extend(head(0, 5, 1, 8)); // 3: union { 2 }
        types.extend([0, 2, 0]);
        types.extend(head(offset("outer"), 4, 2, 12)); // 4
        types.extend([offset("a"), 1, 0, 0, 3, 32]);
        types.extend(head(0, 13, 3, 0)); // 5: void (void *, int, int)
        types.extend([0, 0, 0, 1, 0, 1]);
        types.extend(head(0, 2, 0, 5)); // 6: pointer to it
        types.extend(head(offset("btf_trace_met"), 8, 0, 6)); // 7
        types.extend(head(offset("reason"), 6, 2, 4)); // 8
        types.extend([offset("R_ZERO"), 0, offset("R_SEVEN"), 7]);
        let types: Vec<u8> = types.iter().flat_map(|word| word.to_ne_bytes()).collect();
        let mut bytes = Vec::new();
        bytes.extend(0xeb9fu16.to_ne_bytes());
        bytes.extend([1, 0]);
        for word in [24, 0, types.len() as u32, types.len() as u32, strings.len() as u32] {
            bytes.extend(word.to_ne_bytes());
        }
        bytes.extend(types);
        bytes.extend(strings);
        bytes
    }

    fn wanted() -> Wanted {
        let field = |name: &str| ("outer".to_owned(), name.to_owned());
        Wanted {
            fields: [field("a"), field("c"), field("gone")].into(),
            tracepoints: ["met".to_owned()].into(),
            functions: [].into(),
            enums: ["reason".to_owned()].into(),
        }
    }

    #[test]
    fn fields_of_anonymous_members_are_found_and_absent_ones_are_absent() {
        let layout = scan(&sample(), &wanted()).unwrap();
        let offset = |name: &str| layout.fields.get(&("outer".to_owned(), name.to_owned())).copied();
        assert_eq!(offset("a"), Some(0));
        assert_eq!(offset("c"), Some(8));
        assert_eq!(offset("gone"), None);
    }

    #[test]
    fn a_tracepoint_tells_how_many_arguments_it_has_here() {
        let layout = scan(&sample(), &wanted()).unwrap();
        assert_eq!(layout.tracepoints["met"].arguments, 2);
        assert_eq!(layout.tracepoints["met"].id, 7);
    }

    #[test]
    fn reasons_are_named_by_this_kernel() {
        let layout = scan(&sample(), &wanted()).unwrap();
        assert_eq!(layout.enums["reason"][&7], "R_SEVEN");
    }

    #[test]
    fn what_is_cut_short_or_something_else_is_refused() {
        assert!(scan(b"ELF", &wanted()).is_err());
        let whole = sample();
        for length in 0..whole.len() {
            // No panic, whatever the length.
            let _ = scan(&whole[..length], &wanted());
        }
    }
}
