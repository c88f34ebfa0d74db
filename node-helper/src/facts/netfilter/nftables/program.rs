//! One rule of `nf_tables`, run in the mind: what its expressions compare and do becomes the statements that nft shows.
//!
//! Tests that only say which header comes next (`meta l4proto tcp` before `tcp dport`) are left out as nft leaves them out.

use super::datatypes::{Datatype, InterfaceNames, number, prefix_length};
use super::elements::{self, beginning, exact, one_or_joined};
use super::expressions::{Base, Bits, Destination, Expr, NatRegisters, Op, Register};
use super::fields;
use super::keys;
use super::tables::NftSet;
use super::terms::{Registers, Subject, Tells, Term};
use serde_json::{Map, Value, json};
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

    /// What does something.
    fn act(&mut self, expr: &Expr) {
        match expr {
            Expr::Verdict(verdict) => self.say(elements::verdict(verdict)),
            Expr::MetaSet { key, from } => self.set_key(*from, keys::meta(*key), "meta"),
            Expr::CtSet { key, direction, from } => {
                let v6 = self.network == Some("ip6");
                self.set_key(*from, keys::ct(*key, *direction, v6), "ct");
            }
            Expr::PayloadSet {
                base,
                offset,
                len,
                from,
            } => {
                let subject = match self.payload(*base, *offset, *len) {
                    Term::Of(subject) => Some(subject),
                    _ => None,
                };
                self.set_key(*from, subject, "payload");
            }
            Expr::ExthdrSet {
                op,
                kind,
                offset,
                len,
                from,
            } => {
                let option = keys::option(*op, *kind, *offset, *len, false);
                match (from, option) {
                    (Some(from), option) => self.set_key(*from, option, "exthdr"),
                    (None, _) => self.say(json!({"reset": "option"})),
                }
            }
            Expr::Counter { .. } | Expr::Limit { .. } | Expr::Quota { .. } | Expr::Connlimit { .. } | Expr::Last => {
                self.say(stateful(expr));
            }
            Expr::Nat { source, family, target } => {
                let v6 = *family == 10;
                let kind = if *source { "snat" } else { "dnat" };
                let to = self.target(target, v6);
                self.say(json!({ kind: to }));
            }
            Expr::Masq { target } => {
                let to = self.target(target, false);
                self.say(json!({ "masquerade": to }));
            }
            Expr::Redir { target } => {
                let to = self.target(target, false);
                self.say(json!({ "redirect": to }));
            }
            Expr::Reject { kind, code } => {
                let v6 = self.network == Some("ip6");
                if *kind == 0 && self.around.family != "bridge" {
                    self.hide_network();
                }
                self.say(json!({ "reject": keys::reject(*kind, *code, v6) }));
            }
            Expr::Queue {
                number,
                total,
                flags,
                from,
            } => self.queue(*number, *total, *flags, *from),
            Expr::Log { prefix, group, .. } => self.say(match (prefix.as_str(), group) {
                ("", None) => json!({ "log": null }),
                ("", Some(group)) => json!({"log": {"group": group}}),
                (prefix, None) => json!({"log": {"prefix": prefix}}),
                (prefix, Some(group)) => json!({"log": {"prefix": prefix, "group": group}}),
            }),
            Expr::Objref { kind, name } => match object(*kind) {
                Some(word) => self.say(json!({ word: name })),
                None => self.undecoded("object"),
            },
            Expr::ObjrefMap { set, from } => self.object_map(set, *from),
            Expr::Dynset {
                set, op, key, exprs, ..
            } => {
                let bytes = self.around.sets.get(set.as_str()).map_or(0, |(set, _)| set.key_bytes);
                let parts = self.registers.key(*key, bytes as usize).unwrap_or_default();
                let parts = parts.iter().map(Subject::masked).collect();
                let op = match op {
                    0 => "add",
                    1 => "update",
                    _ => "delete",
                };
                let mut words = json!({"op": op, "elem": one_or_joined(parts), "set": format!("@{set}")});
                if !exprs.is_empty() {
                    words["stmt"] = exprs.iter().map(stateful).collect();
                }
                self.say(json!({ "set": words }));
            }
            Expr::Tproxy { address, port, family } => {
                let target = NatRegisters {
                    address: *address,
                    port: *port,
                    ..NatRegisters::default()
                };
                let to = self.target(&target, *family == 10);
                self.say(json!({ "tproxy": to }));
            }
            Expr::Synproxy => self.say(json!({ "synproxy": null })),
            Expr::Fwd => self.say(json!({ "fwd": null })),
            Expr::Dup => self.say(json!({ "dup": null })),
            Expr::Notrack => self.say(json!({ "notrack": null })),
            Expr::FlowOffload { table } => self.say(json!({"flow": {"op": "add", "flowtable": format!("@{table}")}})),
            // A comment tests nothing.
            Expr::XtMatch { name, .. } if name == "comment" => {}
            Expr::XtMatch { name, .. } => self.say(json!({"xt": {"type": "match", "name": name}})),
            Expr::XtTarget { name, .. } => self.say(json!({"xt": {"type": "target", "name": name}})),
            Expr::Unknown { name } => {
                self.registers.forget();
                self.undecoded(name);
            }
            _ => self.undecoded("expression"),
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
        let mut subjects: Vec<Subject> = found.iter().map(|(field, bytes)| of_field(field, *bytes)).collect();
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
                    ..of_field(&field, mask.len())
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
        let Some((left, word, right)) = self.comparison(subject, op, data) else {
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

    /// Left side, operator, right side.
    fn comparison(&self, subject: &Subject, op: Op, data: &[u8]) -> Option<(Value, &'static str, Value)> {
        let names = self.around.names;
        let word = match op {
            Op::Eq => "==",
            Op::Neq => "!=",
            Op::Lt => "<",
            Op::Lte => "<=",
            Op::Gt => ">",
            Op::Gte => ">=",
        };
        let equals = matches!(op, Op::Eq | Op::Neq);
        if !equals && !subject.big {
            return None;
        }
        let words = subject.words.clone();
        if subject.right > 0 {
            let value = number(data, true).filter(|_| data.len() == subject.bytes)?;
            let fits = value >> subject.right << subject.right == value;
            return fits.then(|| (words, word, json!(value >> subject.right)));
        }
        let beginning_only = data.len() < subject.whole && equals;
        match (subject.kind, &subject.mask) {
            (Datatype::Interface, None) if beginning_only && !data.contains(&0) => {
                return Some((words, word, beginning(data)?));
            }
            (Datatype::Interface, None) if beginning_only && data.ends_with(&[0]) => {
                return Some((words, word, exact(subject.kind, data, true, names)?));
            }
            (kind, mask) if kind.has_prefixes() && equals => {
                if data.len() != subject.bytes {
                    return None;
                }
                let (mask, xor) = mask
                    .clone()
                    .unwrap_or_else(|| (vec![0xff; data.len()], vec![0; data.len()]));
                let length = prefix_length(&mask).filter(|_| xor.iter().all(|byte| *byte == 0));
                if let Some(length) = length {
                    let mut whole = data.to_vec();
                    whole.resize(subject.whole, 0);
                    let address = kind.word(&whole, true, names)?;
                    let right = if length as usize == subject.whole * 8 {
                        address
                    } else {
                        json!({"prefix": {"addr": address, "len": length}})
                    };
                    return Some((words, word, right));
                }
            }
            _ => {}
        }
        if data.len() != subject.bytes && subject.kind != Datatype::Boolean {
            return None;
        }
        if let Some((mask, xor)) = &subject.mask
            && !subject.kind.flags().is_empty()
            && xor.iter().all(|byte| *byte == 0)
        {
            let list = |number| {
                let mut names = subject.kind.flag_names(number);
                if names.len() == 1 {
                    names.remove(0)
                } else {
                    Value::Array(names)
                }
            };
            let (mask, value) = (number(mask, subject.big)?, number(data, subject.big)?);
            return Some(match (op, value) {
                (Op::Neq, 0) => (words, "in", list(mask)),
                (Op::Eq, 0) => (words, "!", list(mask)),
                (_, 0) => (json!({"&": [words, list(mask)]}), word, json!(0)),
                _ => (json!({"&": [words, list(mask)]}), word, list(value)),
            });
        }
        let right = match subject.mask {
            None => exact(subject.kind, data, subject.big, names)?,
            Some(_) => json!(number(data, subject.big)?),
        };
        Some((subject.masked(), word, right))
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
        let limit = limit.map(stateful);
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

    fn object_map(&mut self, name: &str, from: Register) {
        let found = self.found(name, from);
        let word = self.around.sets.get(name).and_then(|(set, _)| object(set.object_type));
        match (found, word) {
            (Some((_, key, data)), Some(word)) => {
                let statement = json!({word: {"map": {"key": key, "data": data}}});
                self.say(statement);
            }
            _ => self.undecoded("object"),
        }
    }

    fn set_key(&mut self, from: Register, subject: Option<Subject>, name: &str) {
        let value = subject
            .as_ref()
            .and_then(|subject| self.registers.get(from)?.value(subject.kind, self.around.names));
        match (subject, value) {
            (Some(subject), Some(value)) => {
                self.say(json!({"mangle": {"key": subject.words, "value": value}}));
            }
            // It changes something, and neither tests nor decides.
            (Some(subject), None) => {
                self.say(json!({"mangle": {"key": subject.words, "value": {"undecoded": name}}}));
            }
            (None, _) => self.undecoded(name),
        }
    }

    /// Where a translation leads, or nothing.
    fn target(&self, target: &NatRegisters, v6: bool) -> Value {
        let names = self.around.names;
        let kind = if v6 { Datatype::Ipv6 } else { Datatype::Ipv4 };
        let one = |register: Register, kind: Datatype| {
            let term = self.registers.get(register);
            term.and_then(|term| term.value(kind, names))
                .unwrap_or_else(|| json!({"undecoded": "register"}))
        };
        let both = |first: Option<Register>, last: Option<Register>, kind: Datatype| {
            let first = first?;
            Some(match last {
                Some(last) if last != first && !self.registers.within(first, last) => {
                    json!({"range": [one(first, kind), one(last, kind)]})
                }
                _ => one(first, kind),
            })
        };
        let mut words = Map::new();
        words.extend(both(target.address, target.address_last, kind).map(|to| ("addr".to_owned(), to)));
        // Address and port may be the two parts of one value of a map.
        let joined = target
            .address
            .zip(target.port)
            .is_some_and(|(address, port)| self.registers.within(address, port));
        if !joined {
            words.extend(both(target.port, target.port_last, Datatype::Port).map(|to| ("port".to_owned(), to)));
        }
        let flags = [(4, "random"), (8, "persistent"), (16, "fully-random")];
        let set = flags.iter().filter(|(bit, _)| target.flags & bit != 0);
        let mut flags: Vec<Value> = set.map(|(_, name)| json!(name)).collect();
        match flags.len() {
            0 => {}
            1 => words.extend([("flags".to_owned(), flags.remove(0))]),
            _ => words.extend([("flags".to_owned(), Value::Array(flags))]),
        }
        if words.is_empty() {
            Value::Null
        } else {
            Value::Object(words)
        }
    }

    fn queue(&mut self, number: u16, total: u16, flags: u16, from: Option<Register>) {
        let number = match (from, total) {
            (Some(from), _) => self
                .registers
                .get(from)
                .and_then(|term| term.value(Datatype::Number, self.around.names))
                .unwrap_or_default(),
            (None, 0 | 1) => json!(number),
            (None, total) => json!({"range": [number, number.saturating_add(total - 1)]}),
        };
        let mut words = json!({ "num": number });
        let set = [(1, "bypass"), (2, "fanout")]
            .iter()
            .filter(|(bit, _)| flags & bit != 0);
        let flags: Vec<&str> = set.map(|(_, name)| *name).collect();
        match flags.as_slice() {
            [] => {}
            [flag] => words["flags"] = json!(flag),
            flags => words["flags"] = json!(flags),
        }
        self.say(json!({ "queue": words }));
    }
}

fn of_field(field: &fields::Field, bytes: usize) -> Subject {
    let tells = match (field.protocol, field.name) {
        ("ether" | "vlan", "type") => Some(Tells::EtherType),
        ("ip", "protocol") | ("ip6", "nexthdr") => Some(Tells::Transport { by_field: true }),
        _ => None,
    };
    let words = json!({"payload": {"protocol": field.protocol, "field": field.name}});
    Subject {
        whole: (field.bits as usize / 8).max(bytes),
        tells,
        ..Subject::new(words, field.kind, bytes)
    }
}

/// What a kind of named object is called (`NFT_OBJECT_*`).
const fn object(kind: u32) -> Option<&'static str> {
    Some(match kind {
        1 => "counter",
        2 => "quota",
        3 => "ct helper",
        4 => "limit",
        5 => "ct count",
        7 => "ct timeout",
        8 => "secmark",
        9 => "ct expectation",
        10 => "synproxy",
        _ => return None,
    })
}

/// What keeps a state of its own.
pub fn stateful(expr: &Expr) -> Value {
    match expr {
        Expr::Counter { packets, bytes } => json!({"counter": {"packets": packets, "bytes": bytes}}),
        Expr::Limit {
            rate,
            per_s,
            burst,
            bytes,
            inverted,
        } => {
            let per = match per_s {
                1 => "second".to_owned(),
                60 => "minute".to_owned(),
                3600 => "hour".to_owned(),
                86400 => "day".to_owned(),
                604_800 => "week".to_owned(),
                other => format!("{other} s"),
            };
            let mut words = json!({"rate": rate, "burst": burst, "per": per});
            if *bytes {
                let (rate, unit) = in_units(*rate);
                let (burst, burst_unit) = in_units(u64::from(*burst));
                words = json!({"rate": rate, "burst": burst, "per": per, "rate_unit": unit, "burst_unit": burst_unit});
            }
            if *inverted {
                words["inv"] = json!(true);
            }
            json!({ "limit": words })
        }
        Expr::Quota { bytes, inverted, .. } => {
            let (value, unit) = in_units(*bytes);
            let mut words = json!({"val": value, "val_unit": unit});
            if *inverted {
                words["inv"] = json!(true);
            }
            json!({ "quota": words })
        }
        Expr::Connlimit { count, inverted } => {
            let mut words = json!({ "val": count });
            if *inverted {
                words["inv"] = json!(true);
            }
            json!({ "ct count": words })
        }
        Expr::Last => json!({ "last": null }),
        Expr::Unknown { name } => json!({ "undecoded": name }),
        _ => json!({ "undecoded": "expression" }),
    }
}

/// Bytes in the largest unit that leaves nothing over.
const fn in_units(bytes: u64) -> (u64, &'static str) {
    if bytes > 0 && bytes.is_multiple_of(1 << 20) {
        (bytes >> 20, "mbytes")
    } else if bytes > 0 && bytes.is_multiple_of(1 << 10) {
        (bytes >> 10, "kbytes")
    } else {
        (bytes, "bytes")
    }
}
