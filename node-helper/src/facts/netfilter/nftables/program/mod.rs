//! Follows the expressions of one rule of `nf_tables` through the registers: what they load, compare and do becomes the
//! statements that nft shows.
//!
//! Tests that only say which header comes next (`meta l4proto tcp` before `tcp dport`) are left out as nft leaves them out.

mod actions;

use super::comparison::comparison;
use super::datatypes::{Datatype, InterfaceNames, number};
use super::elements::{self, one_or_joined};
use super::expressions::{Base, Bits, Destination, Expr, Op, Register};
use super::fields;
use super::registers::{Registers, Subject, Tells, Term};
use super::tables::NftSet;
use super::{keys, statements};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// What rules of a table refer to.
pub struct TableScope<'a> {
    pub family: &'static str,
    /// Sets by name, each with the parts of its keys where it can be told by its name.
    pub sets: BTreeMap<&'a str, (&'a NftSet, Option<Vec<elements::KeyPart>>)>,
    pub names: InterfaceNames<'a>,
}

/// The statements of a rule.
pub fn statements(around: &TableScope<'_>, exprs: &[Expr]) -> Vec<Value> {
    let mut program = Program {
        around,
        registers: Registers::default(),
        network: match around.family {
            family @ ("ip" | "ip6" | "arp") => Some(family),
            _ => None,
        },
        transport: None,
        link_by: None,
        network_by: None,
        transport_by: None,
        statements: Vec::new(),
    };
    for expr in exprs {
        program.step(expr);
    }
    program.statements.into_iter().flatten().collect()
}

struct Program<'a> {
    around: &'a TableScope<'a>,
    registers: Registers,
    /// The headers that tests so far have made certain.
    network: Option<&'static str>,
    transport: Option<u8>,
    /// The statements that did, as long as they may be left out.
    link_by: Option<usize>,
    network_by: Option<usize>,
    transport_by: Option<usize>,
    statements: Vec<Option<Value>>,
}

impl<'a> Program<'a> {
    fn step(&mut self, expr: &Expr) {
        match expr {
            Expr::Payload {
                base,
                offset,
                len,
                into,
            } => {
                let term = self.payload(*base, *offset, *len);
                self.registers.load(*into, term);
            }
            Expr::Meta { key, into } => self.load(*into, keys::meta(*key)),
            Expr::Ct { key, direction, into } => {
                let v6 = self.network == Some("ip6");
                self.load(*into, keys::ct(*key, *direction, v6));
            }
            Expr::Fib { result, flags, into } => self.load(*into, keys::fib(*result, *flags)),
            Expr::Rt { key, into } => self.load(*into, keys::rt(*key)),
            Expr::Socket { key, into, .. } => self.load(*into, keys::socket(*key)),
            Expr::Exthdr {
                op,
                kind,
                offset,
                len,
                present,
                into,
            } => {
                if *op == 0 && self.network == Some("ip6") {
                    self.hide_network();
                }
                self.load(*into, keys::option(*op, *kind, *offset, *len, *present));
            }
            Expr::Numgen { random, spread, into } => {
                let mode = if *random { "random" } else { "inc" };
                let words = json!({"numgen": {"mode": mode, "mod": spread.modulus, "offset": spread.offset}});
                self.load(*into, Some(Subject::new(words, Datatype::Number, 4)));
            }
            Expr::Hash { from, spread, into, .. } => {
                let words = match from {
                    None => Some(json!({"symhash": {"mod": spread.modulus, "offset": spread.offset}})),
                    Some((from, bytes)) => self.registers.key(*from, *bytes as usize).map(|parts| {
                        let parts = parts.iter().map(Subject::masked).collect();
                        json!({"jhash": {"mod": spread.modulus, "expr": one_or_joined(parts)}})
                    }),
                };
                self.load(*into, words.map(|words| Subject::new(words, Datatype::Number, 4)));
            }
            Expr::Immediate { into, data } => self.registers.load(*into, Term::Bytes(data.clone())),
            Expr::Bitwise { from, into, len, bits } => self.bitwise(*from, *into, *len as usize, bits),
            Expr::Byteorder { from, into, .. } => match self.registers.get(*from).cloned() {
                Some(Term::Of(subject)) => {
                    // A single byte has no order.
                    let big = subject.big != (subject.bytes > 1);
                    self.registers.load(*into, Term::Of(Subject { big, ..subject }));
                }
                _ => self.registers.forget_one(*into),
            },
            Expr::Cmp { from, op, data } => match self.registers.get(*from).cloned() {
                Some(Term::Of(subject)) => self.compare(&subject, *op, data),
                Some(Term::Fields(fields)) => self.compare_fields(&fields, *op, data),
                _ => self.undecoded_test("cmp"),
            },
            Expr::Range {
                from,
                inverted,
                low,
                high,
            } => self.range(*from, *inverted, low, high),
            Expr::Lookup {
                set,
                from,
                into,
                inverted,
            } => self.lookup(set, *from, *into, *inverted),
            other => self.act(other),
        }
    }

    fn say(&mut self, statement: Value) {
        self.statements.push(Some(statement));
    }

    /// Whether it tests or does something is unknown.
    fn undecoded(&mut self, name: &str) {
        self.say(json!({ "undecoded": name }));
    }

    /// It is a test, and no more is known.
    fn undecoded_test(&mut self, name: &str) {
        self.say(json!({"xt": {"type": "match", "name": name}}));
    }

    fn load(&mut self, into: Register, subject: Option<Subject>) {
        match subject {
            Some(subject) => self.registers.load(into, Term::Of(subject)),
            None => self.registers.forget_one(into),
        }
    }

    /// Fields of a header are named, so the test that made its protocol certain need not be.
    fn hide(&mut self, field: &fields::Field, base: Base) {
        let told_by = match (base, field.protocol) {
            (Base::Link, "vlan") | (Base::Network, _) => &mut self.network_by,
            (Base::Link, _) => &mut self.link_by,
            _ if self.transport.is_none() => return,
            _ => &mut self.transport_by,
        };
        if let Some(place) = told_by.take() {
            self.statements[place] = None;
        }
        // Either ICMP belongs to one family alone.
        if field.protocol.starts_with("icmp") {
            self.hide_network();
        }
    }

    fn hide_network(&mut self) {
        if let Some(place) = self.network_by.take() {
            self.statements[place] = None;
        }
    }

    fn payload(&mut self, base: Base, offset: u32, len: u32) -> Term {
        let known = fields::of(base, self.network, self.transport);
        let found = fields::split(known, offset, len);
        let Some(found) = found else {
            let base_word = match base {
                Base::Link => "ll",
                Base::Network => "nh",
                Base::Transport => "th",
                Base::Inner => "ih",
            };
            let words =
                json!({"payload": {"base": base_word, "offset": u64::from(offset) * 8, "len": u64::from(len) * 8}});
            return Term::Of(Subject {
                raw: Some((base, offset)),
                ..Subject::new(words, Datatype::Big, len as usize)
            });
        };
        if let Some((field, _)) = found.first() {
            self.hide(field, base);
        }
        let mut subjects: Vec<Subject> = found
            .iter()
            .map(|(field, bytes)| Subject::of_field(field, *bytes))
            .collect();
        if subjects.len() == 1 {
            Term::Of(subjects.remove(0))
        } else {
            Term::Fields(subjects)
        }
    }

    fn bitwise(&mut self, from: Register, into: Register, len: usize, bits: &Bits) {
        let term = self.registers.get(from).cloned();
        let calculated = match (term, bits) {
            (Some(Term::Of(subject)), Bits::Mask { mask, xor })
                if mask.len() == subject.bytes && xor.len() == mask.len() =>
            {
                Some(Term::Of(self.mask(subject, mask, xor)))
            }
            (Some(Term::Bytes(bytes)), Bits::Mask { mask, xor })
                if mask.len() == bytes.len() && xor.len() == mask.len() =>
            {
                let bytes = bytes
                    .iter()
                    .zip(mask)
                    .zip(xor)
                    .map(|((byte, mask), xor)| byte & mask ^ xor);
                Some(Term::Bytes(bytes.collect()))
            }
            // A field of a few bits is moved to where its number is.
            (Some(Term::Of(subject)), Bits::Right(bits)) if subject.right == *bits => {
                Some(Term::Of(Subject { right: 0, ..subject }))
            }
            (Some(Term::Of(subject)), Bits::Right(_) | Bits::Left(_)) => {
                let (word, by) = match bits {
                    Bits::Left(by) => ("<<", by),
                    Bits::Right(by) => (">>", by),
                    _ => ("", &0),
                };
                let words = json!({ word: [subject.masked(), by] });
                Some(Term::Of(Subject::new(words, Datatype::Number, len)))
            }
            (Some(Term::Of(subject)), Bits::With { op, other: Some(other) }) => {
                let other = self
                    .registers
                    .get(*other)
                    .and_then(|term| term.value(subject.kind, self.around.names));
                other.map(|other| {
                    Term::Of(Subject::new(
                        json!({ *op: [subject.masked(), other] }),
                        Datatype::Number,
                        len,
                    ))
                })
            }
            _ => None,
        };
        match calculated {
            Some(term) => self.registers.load(into, term),
            None => self.registers.forget_one(into),
        }
    }

    fn mask(&mut self, subject: Subject, mask: &[u8], xor: &[u8]) -> Subject {
        if let Some((base, offset)) = subject.raw
            && subject.mask.is_none()
            && xor.iter().all(|byte| *byte == 0)
        {
            let known = fields::of(base, self.network, self.transport);
            if let Some((field, right)) = fields::within(known, offset, mask) {
                self.hide(&field, base);
                return Subject {
                    right,
                    ..Subject::of_field(&field, mask.len())
                };
            }
        }
        let before = subject.mask.clone();
        let (first, turned) = before.unwrap_or_else(|| (vec![0xff; mask.len()], vec![0; mask.len()]));
        let and = |one: &[u8], other: &[u8]| {
            one.iter()
                .zip(other)
                .map(|(one, other)| one & other)
                .collect::<Vec<u8>>()
        };
        let turned = and(&turned, mask)
            .iter()
            .zip(xor)
            .map(|(one, other)| one ^ other)
            .collect();
        Subject {
            mask: Some((and(&first, mask), turned)),
            ..subject
        }
    }

    /// Several fields are only ever compared with all their bytes.
    fn compare_fields(&mut self, fields: &[Subject], op: Op, data: &[u8]) {
        let bytes: usize = fields.iter().map(|field| field.bytes).sum();
        if op != Op::Eq || bytes != data.len() {
            self.undecoded_test("payload");
            return;
        }
        let mut rest = data;
        for field in fields {
            let (own, behind) = rest.split_at(field.bytes);
            self.compare(field, op, own);
            rest = behind;
        }
    }

    fn compare(&mut self, subject: &Subject, op: Op, data: &[u8]) {
        let Some((left, word, right)) = comparison(subject, op, data, self.around.names) else {
            self.undecoded_test("cmp");
            return;
        };
        // `80-90` is two comparisons.
        if word == "<="
            && let Some(Some(before)) = self.statements.last_mut()
            && let Some(test) = before.get_mut("match")
            && test["op"] == ">="
            && test["left"] == left
        {
            let low = test["right"].take();
            *test = json!({"op": "==", "left": left, "right": {"range": [low, right]}});
            return;
        }
        self.say(json!({"match": {"op": word, "left": left, "right": right}}));
        let place = self.statements.len() - 1;
        if op == Op::Eq && subject.mask.is_none() && data.len() == subject.bytes {
            self.learn(subject, data, place);
        }
    }

    /// An equal comparison may say which header comes next.
    fn learn(&mut self, subject: &Subject, data: &[u8], place: usize) {
        let Some(value) = subject.tells.and(number(data, subject.big)) else {
            return;
        };
        match subject.tells {
            Some(Tells::Family) => {
                let families = [(2, "ip"), (10, "ip6")];
                self.network = families.iter().find(|(own, _)| *own == value).map(|(_, name)| *name);
            }
            Some(Tells::EtherType) => {
                let types = [(0x0800, "ip"), (0x86dd, "ip6"), (0x0806, "arp")];
                self.network = types.iter().find(|(own, _)| *own == value).map(|(_, name)| *name);
            }
            Some(Tells::Link) => {
                self.link_by = Some(place);
                return;
            }
            Some(Tells::Transport { by_field }) => {
                self.transport = u8::try_from(value).ok();
                // In a table of both families `ip protocol` also asks for the family.
                let says_more = by_field && !matches!(self.around.family, "ip" | "ip6");
                self.transport_by = (!says_more).then_some(place);
                return;
            }
            None => return,
        }
        self.network_by = Some(place);
    }

    fn range(&mut self, from: Register, inverted: bool, low: &[u8], high: &[u8]) {
        let Some(Term::Of(subject)) = self.registers.get(from) else {
            return self.undecoded_test("range");
        };
        let plain = subject.big && subject.mask.is_none() && subject.right == 0;
        let fits = low.len() == subject.bytes && high.len() == subject.bytes;
        let words = |bytes| subject.kind.word(bytes, true, self.around.names);
        let statement = match (words(low), words(high)) {
            (Some(low), Some(high)) if plain && fits => {
                let op = if inverted { "!=" } else { "==" };
                json!({"match": {"op": op, "left": subject.words, "right": {"range": [low, high]}}})
            }
            _ => return self.undecoded_test("range"),
        };
        self.say(statement);
    }

    fn lookup(&mut self, name: &str, from: Register, into: Option<Destination>, inverted: bool) {
        let found = self.found(name, from);
        let Some((set, left, right)) = found else {
            match into {
                None => self.undecoded_test("lookup"),
                Some(Destination::Verdict) => self.undecoded("vmap"),
                Some(Destination::Register(into)) => {
                    self.undecoded_test("map");
                    self.registers.forget_one(into);
                }
            }
            return;
        };
        // An element may itself pass only by rate.
        let limit = set
            .elements
            .iter()
            .flat_map(|element| &element.exprs)
            .find(|expr| matches!(expr, Expr::Limit { .. } | Expr::Quota { .. } | Expr::Connlimit { .. }));
        let limit = limit.map(statements::stateful);
        match into {
            None => {
                let op = if inverted { "!=" } else { "==" };
                self.say(json!({"match": {"op": op, "left": left, "right": right}}));
                self.statements.extend(limit.map(Some));
            }
            Some(Destination::Verdict) => {
                self.statements.extend(limit.map(Some));
                self.say(json!({"vmap": {"key": left, "data": right}}));
            }
            Some(Destination::Register(into)) => {
                let words = json!({"map": {"key": left, "data": right}});
                let bytes = set.data_bytes as usize;
                self.registers.load(into, Term::Mapped { words, bytes });
            }
        }
    }

    /// A set with the key that is looked up in it, and its name or elements.
    fn found(&self, name: &str, from: Register) -> Option<(&'a NftSet, Value, Value)> {
        let (set, told) = self.around.sets.get(name)?;
        if set.too_many {
            return None;
        }
        let subjects = self.registers.key(from, set.key_bytes as usize)?;
        if subjects
            .iter()
            .any(|subject| subject.right > 0 || subject.bytes != subject.whole)
        {
            return None;
        }
        let parts: Vec<elements::KeyPart> = subjects.iter().map(Subject::part).collect();
        let left = one_or_joined(subjects.iter().map(Subject::masked).collect());
        let right = if !set.anonymous() && told.as_ref() == Some(&parts) {
            json!(format!("@{name}"))
        } else {
            let data = elements::data_parts(set);
            json!({"set": elements::elements(set, &parts, data.as_deref(), self.around.names)?})
        };
        Some((set, left, right))
    }
}
