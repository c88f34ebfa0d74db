//! A rule in iptables' own words, each word kept apart: a comment that holds quotes, options or newlines stays one word.

use std::borrow::Cow;
use std::fmt::Write as _;

/// An option with its values: `! --dport 80`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Opt {
    /// Inverted.
    pub not: bool,
    /// With its dashes.
    pub name: Cow<'static, str>,
    /// In order.
    pub values: Vec<String>,
}

/// A part of a rule.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Clause {
    /// One of iptables' own tests: `-s 10.0.0.0/8`.
    Plain(Opt),
    /// `-m MODULE OPTIONS`.
    Match {
        /// Its name.
        module: String,
        /// Its tests.
        options: Vec<Opt>,
    },
    /// `-j TARGET OPTIONS`.
    Target {
        /// Its name.
        name: String,
        /// What it is told.
        options: Vec<Opt>,
    },
    /// `-j CHAIN`, or `-g CHAIN`.
    Call {
        /// Its name.
        chain: String,
        /// It does not come back to this chain.
        goto: bool,
    },
    /// A module whose content has no known layout.
    UnreadMatch(String),
    /// A target whose content has no known layout.
    UnreadTarget(String),
}

/// Options whose value is anybody's text; iptables quotes it unless it is a plain name.
const TEXTS: &[&str] = &[
    "--comment",
    "--helper",
    "--hex-string",
    "--log-prefix",
    "--nflog-prefix",
    "--string",
    "--u32",
];

impl Opt {
    /// An option without a value.
    pub fn flag(name: &'static str) -> Self {
        Self {
            not: false,
            name: Cow::Borrowed(name),
            values: Vec::new(),
        }
    }

    /// An option with one value.
    #[expect(
        clippy::needless_pass_by_value,
        reason = "numbers, names and addresses are told as they are"
    )]
    pub fn new(name: &'static str, value: impl ToString) -> Self {
        Self {
            values: vec![value.to_string()],
            ..Self::flag(name)
        }
    }

    /// The clause, inverted if `not`.
    pub fn inverted(self, not: bool) -> Self {
        Self { not, ..self }
    }

    /// The first value, empty where there is none.
    pub fn value(&self) -> String {
        self.values.first().cloned().unwrap_or_default()
    }

    /// As iptables prints it.
    pub fn text(&self) -> String {
        let mut text = format!("{}{}", if self.not { "! " } else { "" }, self.name);
        let foreign = TEXTS.contains(&self.name.as_ref());
        for value in &self.values {
            let _ = write!(text, " {}", quoted(value, foreign));
        }
        text
    }
}

impl Clause {
    /// As iptables prints it.
    pub fn text(&self) -> String {
        let with = |head: String, options: &[Opt]| {
            options.iter().fold(head, |mut text, option| {
                let _ = write!(text, " {}", option.text());
                text
            })
        };
        match self {
            Self::Plain(option) => option.text(),
            Self::Match { module, options } => with(format!("-m {module}"), options),
            Self::Target { name, options } => with(format!("-j {name}"), options),
            Self::Call { chain, goto } => format!("-{} {}", if *goto { 'g' } else { 'j' }, quoted(chain, false)),
            Self::UnreadMatch(name) => format!("-m {} (not decoded)", quoted(name, false)),
            Self::UnreadTarget(name) => format!("-j {} (not decoded)", quoted(name, false)),
        }
    }
}

/// A whole rule as `iptables-save` prints it.
pub fn text(chain: &str, clauses: &[Clause]) -> String {
    clauses
        .iter()
        .fold(format!("-A {}", quoted(chain, false)), |mut text, clause| {
            let _ = write!(text, " {}", clause.text());
            text
        })
}

/// A value as iptables quotes it. What is `foreign` is quoted unless it is a plain name; other values only where they could
/// be taken for more than one word.
fn quoted(value: &str, foreign: bool) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let one_word = |c: char| !c.is_whitespace() && !c.is_control() && !matches!(c, '"' | '\'' | '\\');
    let as_it_is = !value.is_empty() && value.chars().all(|c| if foreign { plain(c) } else { one_word(c) });
    if as_it_is {
        return value.to_owned();
    }
    let mut quoted = String::from('"');
    for character in value.chars() {
        if matches!(character, '"' | '\'' | '\\') {
            quoted.push('\\');
        }
        quoted.push(character);
    }
    quoted.push('"');
    quoted
}

#[cfg(test)]
mod tests {
    use super::{Clause, Opt, text};

    #[test]
    fn a_rule_reads_as_iptables_prints_it_and_a_comment_stays_one_word() {
        let clauses = [
            Clause::Plain(Opt::new("-s", "10.0.0.0/8").inverted(true)),
            Clause::Match {
                module: "comment".to_owned(),
                options: vec![Opt::new("--comment", "x\" -j ACCEPT")],
            },
            Clause::Match {
                module: "comment".to_owned(),
                options: vec![Opt::new("--comment", "plain-name")],
            },
            Clause::UnreadMatch("bpf".to_owned()),
            Clause::Call {
                chain: "CNI".to_owned(),
                goto: false,
            },
        ];
        assert_eq!(
            text("FORWARD", &clauses),
            r#"-A FORWARD ! -s 10.0.0.0/8 -m comment --comment "x\" -j ACCEPT" -m comment --comment plain-name -m bpf (not decoded) -j CNI"#
        );
    }
}
