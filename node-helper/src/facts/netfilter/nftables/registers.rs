//! What a register holds while a rule is read: a field of the packet, something known about it, or bytes of the rule's own.

use super::datatypes::{Datatype, InterfaceNames, number};
use super::elements::KeyPart;
use super::expressions::{Base, REGISTER_BYTES, REGISTERS, Register};
use super::fields::Field;
use serde_json::{Value, json};

/// What is in a register, and in those behind it that it fills.
#[derive(Clone, Debug)]
pub(super) enum Term {
    /// Something of the packet.
    Of(Subject),
    /// Fields that lie beside each other, loaded at once.
    Fields(Vec<Subject>),
    /// Bytes that the rule itself brings along.
    Bytes(Vec<u8>),
    /// A value of a map: its words, and the parts it has.
    Mapped { words: Value, bytes: usize },
}

/// Something of the packet that can be compared.
#[derive(Clone, Debug)]
pub(super) struct Subject {
    /// In nft's JSON.
    pub(super) words: Value,
    pub(super) kind: Datatype,
    /// Bytes that were loaded.
    pub(super) bytes: usize,
    /// Bytes it has as a whole; more than were loaded where only a beginning is compared.
    pub(super) whole: usize,
    /// In network order.
    pub(super) big: bool,
    /// `(value & mask) ^ xor` is what is compared.
    pub(super) mask: Option<(Vec<u8>, Vec<u8>)>,
    /// It lies so many bits to the left of where its number would.
    pub(super) right: u32,
    /// Bytes of a header of which only some bits may be a field.
    pub(super) raw: Option<(Base, u32)>,
    /// What an equal comparison tells of the packet.
    pub(super) tells: Option<Tells>,
}

/// What a comparison tells about the headers that follow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Tells {
    /// The link, by `ARPHRD_*`.
    Link,
    /// The network, by `NFPROTO_*`.
    Family,
    /// The network, by its Ethernet type.
    EtherType,
    /// The transport; `true` where only the network header itself tells it.
    Transport { by_field: bool },
}

impl Subject {
    /// Something of a kind in its own order.
    pub(super) const fn new(words: Value, kind: Datatype, bytes: usize) -> Self {
        Self {
            words,
            kind,
            bytes,
            whole: bytes,
            big: !kind.in_own_order(),
            mask: None,
            right: 0,
            raw: None,
            tells: None,
        }
    }

    /// The first `bytes` bytes of a field of a header.
    pub(super) fn of_field(field: &Field, bytes: usize) -> Self {
        let tells = match (field.protocol, field.name) {
            ("ether" | "vlan", "type") => Some(Tells::EtherType),
            ("ip", "protocol") | ("ip6", "nexthdr") => Some(Tells::Transport { by_field: true }),
            _ => None,
        };
        let words = json!({"payload": {"protocol": field.protocol, "field": field.name}});
        Self {
            whole: (field.bits as usize / 8).max(bytes),
            tells,
            ..Self::new(words, field.kind, bytes)
        }
    }

    /// As it is compared: with its mask.
    pub(super) fn masked(&self) -> Value {
        let Some((mask, xor)) = &self.mask else {
            return self.words.clone();
        };
        let (Some(mask), Some(xor)) = (number(mask, self.big), number(xor, self.big)) else {
            return json!({"undecoded": "mask"});
        };
        calculated(&self.words, mask, xor, self.bytes)
    }

    /// As a part of a key.
    pub(super) const fn part(&self) -> KeyPart {
        KeyPart {
            kind: self.kind,
            bytes: self.bytes,
            big: self.big,
        }
    }
}

/// `words & mask ^ xor` as nft puts it.
fn calculated(words: &Value, mask: u64, xor: u64, bytes: usize) -> Value {
    let all = if bytes >= 8 { u64::MAX } else { (1 << (bytes * 8)) - 1 };
    let and = |mask: u64| {
        if mask == all {
            words.clone()
        } else {
            json!({"&": [words, mask]})
        }
    };
    match xor {
        0 => and(mask),
        bits if mask & bits == 0 => json!({"|": [and(mask | bits), bits]}),
        bits => json!({"^": [and(mask), bits]}),
    }
}

impl Term {
    fn bytes(&self) -> usize {
        match self {
            Self::Of(subject) => subject.bytes,
            Self::Fields(subjects) => subjects.iter().map(|subject| subject.bytes).sum(),
            Self::Bytes(bytes) => bytes.len(),
            Self::Mapped { bytes, .. } => *bytes,
        }
    }

    fn slots(&self) -> usize {
        self.bytes().div_ceil(REGISTER_BYTES).max(1)
    }

    /// As a value of this kind.
    pub(super) fn value(&self, kind: Datatype, names: InterfaceNames<'_>) -> Option<Value> {
        match self {
            Self::Of(subject) => Some(subject.masked()),
            Self::Mapped { words, .. } => Some(words.clone()),
            Self::Bytes(bytes) => kind.word(bytes, !kind.in_own_order(), names),
            Self::Fields(_) => None,
        }
    }
}

/// The registers.
#[derive(Clone, Debug, Default)]
pub(super) struct Registers([Option<Term>; REGISTERS]);

impl Registers {
    /// Loads a term; what it covers is gone.
    pub(super) fn load(&mut self, into: Register, term: Term) {
        self.clear(into, term.slots());
        if let Some(slot) = self.0.get_mut(usize::from(into)) {
            *slot = Some(term);
        }
    }

    /// Nothing is known of any of them.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }

    /// Nothing is known of this one.
    pub(super) fn forget_one(&mut self, register: Register) {
        self.clear(register, 1);
    }

    fn clear(&mut self, from: Register, slots: usize) {
        let from = usize::from(from);
        for (place, slot) in self.0.iter_mut().enumerate().take(from + slots) {
            if slot.as_ref().is_some_and(|term| place + term.slots() > from) {
                *slot = None;
            }
        }
    }

    pub(super) fn get(&self, register: Register) -> Option<&Term> {
        self.0.get(usize::from(register))?.as_ref()
    }

    /// It lies within the term of another register: its second part.
    pub(super) fn within(&self, first: Register, register: Register) -> bool {
        let (first_place, place) = (usize::from(first), usize::from(register));
        self.get(first)
            .is_some_and(|term| place > first_place && place < first_place + term.slots())
    }

    /// The subjects of a key of so many bytes, part by part.
    pub(super) fn key(&self, from: Register, bytes: usize) -> Option<Vec<Subject>> {
        let mut subjects = Vec::new();
        let (mut at, mut left) = (usize::from(from), bytes);
        while left > 0 {
            let term = self.0.get(at)?.as_ref()?;
            match term {
                Term::Of(subject) => subjects.push(subject.clone()),
                Term::Fields(fields) if fields.iter().all(|field| field.bytes % REGISTER_BYTES == 0) => {
                    subjects.extend_from_slice(fields);
                }
                _ => return None,
            }
            at += term.slots();
            left = left.saturating_sub(term.slots() * REGISTER_BYTES);
        }
        (!subjects.is_empty()).then_some(subjects)
    }
}
