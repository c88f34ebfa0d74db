//! What a rule does with a packet or beside it, as statements: all expressions that load no register and compare none.

use super::Program;
use crate::facts::netfilter::nftables::datatypes::Datatype;
use crate::facts::netfilter::nftables::elements::{self, one_or_joined};
use crate::facts::netfilter::nftables::expressions::{Expr, NatRegisters, Register};
use crate::facts::netfilter::nftables::registers::{Subject, Term};
use crate::facts::netfilter::nftables::{keys, statements};
use serde_json::json;

impl Program<'_> {
    /// What does something.
    pub(super) fn act(&mut self, expr: &Expr) {
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
                self.say(statements::stateful(expr));
            }
            Expr::Nat { source, family, target } => {
                let v6 = *family == 10;
                let kind = if *source { "snat" } else { "dnat" };
                let to = statements::target(&self.registers, target, v6, self.around.names);
                self.say(json!({ kind: to }));
            }
            Expr::Masq { target } => {
                let to = statements::target(&self.registers, target, false, self.around.names);
                self.say(json!({ "masquerade": to }));
            }
            Expr::Redir { target } => {
                let to = statements::target(&self.registers, target, false, self.around.names);
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
            } => {
                let number = match (from, total) {
                    (Some(from), _) => self
                        .registers
                        .get(*from)
                        .and_then(|term| term.value(Datatype::Number, self.around.names))
                        .unwrap_or_default(),
                    (None, 0 | 1) => json!(number),
                    (None, total) => json!({"range": [number, number.saturating_add(total - 1)]}),
                };
                self.say(statements::queue(&number, *flags));
            }
            Expr::Log { prefix, group, .. } => self.say(statements::log(prefix, *group)),
            Expr::Objref { kind, name } => match statements::object(*kind) {
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
                    words["stmt"] = exprs.iter().map(statements::stateful).collect();
                }
                self.say(json!({ "set": words }));
            }
            Expr::Tproxy { address, port, family } => {
                let target = NatRegisters {
                    address: *address,
                    port: *port,
                    ..NatRegisters::default()
                };
                let to = statements::target(&self.registers, &target, *family == 10, self.around.names);
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

    fn object_map(&mut self, name: &str, from: Register) {
        let found = self.found(name, from);
        let word = self
            .around
            .sets
            .get(name)
            .and_then(|(set, _)| statements::object(set.object_type));
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
}
