//! Calico's selector language: `role == 'db' && !has(old)`, `tier in {'a', 'b'}`, `all()`, `global()`.

use crate::kubernetes::policy::fits::PolicyFit;

/// A selector that is nested deeper, or longer, is not read.
const DEEPEST: usize = 64;

/// A selector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Expression {
    /// `all()`, and the empty one.
    All,
    /// `global()`.
    Global,
    /// `has(label)`.
    Has(String),
    /// A label's value: none where the label is not there.
    Compare(String, Comparison),
    /// `!`.
    Not(Box<Self>),
    /// `&&`.
    And(Vec<Self>),
    /// `||`.
    Or(Vec<Self>),
}

/// What is asked of a value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Comparison {
    /// `==` and `in`.
    In(Vec<String>),
    /// `!=` and `not in`; it holds for a label that is not there.
    NotIn(Vec<String>),
    /// `contains`.
    Contains(String),
    /// `starts with`.
    StartsWith(String),
    /// `ends with`.
    EndsWith(String),
}

/// What is known of a label: its value if it is there, or why that is not known.
pub type LabelLookup<'a> = dyn Fn(&str) -> Result<Option<String>, String> + 'a;

/// What the words without labels mean for somebody.
#[derive(Clone, Copy, Debug)]
pub struct Words {
    /// `all()`.
    pub all: bool,
    /// `global()`.
    pub global: bool,
}

impl Expression {
    /// Reads it.
    pub fn parse(text: &str) -> Result<Self, String> {
        let whole = || format!("selector `{text}` is not understood");
        let tokens = tokens(text).ok_or_else(whole)?;
        if tokens.is_empty() {
            return Ok(Self::All);
        }
        let mut parser = Parser { tokens: &tokens };
        let read = parser.or(0).ok_or_else(whole)?;
        if parser.tokens.is_empty() {
            Ok(read)
        } else {
            Err(whole())
        }
    }

    /// It holds for somebody with these labels.
    pub fn holds(&self, words: Words, label: &LabelLookup<'_>) -> PolicyFit {
        let when = |fits| PolicyFit::when(fits, "");
        match self {
            Self::All => when(words.all),
            Self::Global => when(words.global),
            Self::Has(key) => label(key).map_or_else(PolicyFit::Maybe, |value| when(value.is_some())),
            Self::Compare(key, comparison) => {
                label(key).map_or_else(PolicyFit::Maybe, |value| when(comparison.holds(value.as_deref())))
            }
            Self::Not(inner) => inner.holds(words, label).not(""),
            Self::And(parts) => PolicyFit::all(parts.iter().map(|part| part.holds(words, label))),
            Self::Or(parts) => PolicyFit::any(parts.iter().map(|part| part.holds(words, label)), String::new),
        }
    }
}

impl Comparison {
    fn holds(&self, value: Option<&str>) -> bool {
        match self {
            Self::In(values) => value.is_some_and(|value| values.iter().any(|one| one == value)),
            Self::NotIn(values) => value.is_none_or(|value| values.iter().all(|one| one != value)),
            Self::Contains(part) => value.is_some_and(|value| value.contains(part)),
            Self::StartsWith(part) => value.is_some_and(|value| value.starts_with(part)),
            Self::EndsWith(part) => value.is_some_and(|value| value.ends_with(part)),
        }
    }
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    /// A sign, by its letters.
    Sign(&'static str),
    /// In quotes.
    Text(String),
    /// A label, or one of the language's words.
    Word(String),
}

const SIGNS: [&str; 10] = ["==", "!=", "&&", "||", "!", "(", ")", "{", "}", ","];

fn tokens(text: &str) -> Option<Vec<Token>> {
    let mut tokens = Vec::new();
    let mut rest = text.trim_start();
    while let Some(first) = rest.chars().next() {
        if let Some(sign) = SIGNS.into_iter().find(|sign| rest.starts_with(sign)) {
            tokens.push(Token::Sign(sign));
            rest = &rest[sign.len()..];
        } else if first == '\'' || first == '"' {
            let (inner, behind) = rest[1..].split_once(first)?;
            tokens.push(Token::Text(inner.to_owned()));
            rest = behind;
        } else {
            let letter = |one: char| one.is_ascii_alphanumeric() || "_./-".contains(one);
            let end = rest.find(|one| !letter(one)).unwrap_or(rest.len());
            let (word, behind) = rest.split_at(end);
            if word.is_empty() {
                return None;
            }
            tokens.push(Token::Word(word.to_owned()));
            rest = behind;
        }
        rest = rest.trim_start();
    }
    Some(tokens)
}

struct Parser<'a> {
    tokens: &'a [Token],
}

impl Parser<'_> {
    fn or(&mut self, depth: usize) -> Option<Expression> {
        let mut parts = vec![self.and(depth)?];
        while self.sign("||") {
            parts.push(self.and(depth)?);
        }
        Some(single(parts, Expression::Or))
    }

    fn and(&mut self, depth: usize) -> Option<Expression> {
        let mut parts = vec![self.operation(depth)?];
        while self.sign("&&") {
            parts.push(self.operation(depth)?);
        }
        Some(single(parts, Expression::And))
    }

    fn operation(&mut self, depth: usize) -> Option<Expression> {
        if depth > DEEPEST {
            return None;
        }
        if self.sign("!") {
            return Some(Expression::Not(Box::new(self.operation(depth + 1)?)));
        }
        if self.sign("(") {
            let inner = self.or(depth + 1)?;
            return self.sign(")").then_some(inner);
        }
        let word = self.word()?;
        if self.sign("(") {
            let called = match word.as_str() {
                "all" => Expression::All,
                "global" => Expression::Global,
                "has" => Expression::Has(self.word()?),
                _ => return None,
            };
            return self.sign(")").then_some(called);
        }
        let comparison = self.comparison()?;
        Some(Expression::Compare(word, comparison))
    }

    fn comparison(&mut self) -> Option<Comparison> {
        if self.sign("==") {
            return Some(Comparison::In(vec![self.text()?]));
        }
        if self.sign("!=") {
            return Some(Comparison::NotIn(vec![self.text()?]));
        }
        match self.word()?.as_str() {
            "in" => Some(Comparison::In(self.set()?)),
            "notin" => Some(Comparison::NotIn(self.set()?)),
            "not" if self.word()? == "in" => Some(Comparison::NotIn(self.set()?)),
            "contains" => Some(Comparison::Contains(self.text()?)),
            "starts" if self.word()? == "with" => Some(Comparison::StartsWith(self.text()?)),
            "ends" if self.word()? == "with" => Some(Comparison::EndsWith(self.text()?)),
            "startswith" => Some(Comparison::StartsWith(self.text()?)),
            "endswith" => Some(Comparison::EndsWith(self.text()?)),
            _ => None,
        }
    }

    fn set(&mut self) -> Option<Vec<String>> {
        let mut values = Vec::new();
        if !self.sign("{") {
            return None;
        }
        while !self.sign("}") {
            values.push(self.text()?);
            if !self.sign(",") {
                return self.sign("}").then_some(values);
            }
        }
        Some(values)
    }

    fn next(&mut self) -> Option<Token> {
        let (first, rest) = self.tokens.split_first()?;
        self.tokens = rest;
        Some(first.clone())
    }

    fn sign(&mut self, wanted: &str) -> bool {
        let is = matches!(self.tokens.first(), Some(Token::Sign(sign)) if *sign == wanted);
        if is {
            self.tokens = &self.tokens[1..];
        }
        is
    }

    fn word(&mut self) -> Option<String> {
        match self.next()? {
            Token::Word(word) => Some(word),
            _ => None,
        }
    }

    fn text(&mut self) -> Option<String> {
        match self.next()? {
            Token::Text(text) => Some(text),
            _ => None,
        }
    }
}

fn single(mut parts: Vec<Expression>, many: fn(Vec<Expression>) -> Expression) -> Expression {
    if parts.len() == 1 { parts.remove(0) } else { many(parts) }
}

#[cfg(test)]
mod tests {
    use super::{Expression, Words};
    use crate::kubernetes::policy::fits::PolicyFit;

    fn holds(text: &str, labels: &str) -> PolicyFit {
        let label = |key: &str| {
            let mut pairs = labels.split(',').filter_map(|pair| pair.split_once('='));
            let found = pairs.find(|(own, _)| *own == key).map(|(_, value)| value.to_owned());
            if found.as_deref() == Some("?") {
                Err("not read".to_owned())
            } else {
                Ok(found)
            }
        };
        let words = Words {
            all: true,
            global: false,
        };
        Expression::parse(text).unwrap().holds(words, &label)
    }

    #[test]
    fn the_language_means_what_its_documentation_says() {
        let cases = [
            ("", "", true),
            ("all()", "", true),
            ("global()", "a=1", false),
            ("role == 'db'", "role=db", true),
            ("role == \"db\"", "role=web", false),
            ("role == 'db'", "", false),
            ("role != 'db'", "role=web", true),
            ("role != 'db'", "", true),
            ("role in {'db', 'web'}", "role=web", true),
            ("role in { 'db' }", "", false),
            ("role not in {'db'}", "", true),
            ("role not in {'db', 'web'}", "role=web", false),
            ("role notin {'db'}", "role=web", true),
            ("has(role)", "role=", true),
            ("!has(role)", "role=db", false),
            ("role contains 'b'", "role=db", true),
            ("role starts with 'd'", "role=db", true),
            ("role ends with 'd'", "role=db", false),
            ("a == '1' && b == '2'", "a=1,b=2", true),
            ("a == '1' && b == '2'", "a=1", false),
            // `&&` binds closer than `||`.
            ("a == '1' || b == '2' && c == '3'", "a=1", true),
            ("(a == '1' || b == '2') && c == '3'", "a=1", false),
            ("!(a == '1' || b == '2')", "c=3", true),
            ("! ! has(a)", "a=1", true),
            ("in == 'x'", "in=x", true),
            ("app.kubernetes.io/name == 'web'", "app.kubernetes.io/name=web", true),
        ];
        for (text, labels, expected) in cases {
            let fits = holds(text, labels) == PolicyFit::Yes;
            assert_eq!(fits, expected, "{text} on {labels}");
        }
    }

    #[test]
    fn what_is_not_known_matters_only_where_it_decides() {
        assert!(matches!(holds("a == '1'", "a=?"), PolicyFit::Maybe(_)));
        assert!(matches!(holds("a == '1' && b == '2'", "a=?,b=3"), PolicyFit::No(_)));
        assert_eq!(holds("a == '1' || b == '2'", "a=?,b=2"), PolicyFit::Yes);
    }

    #[test]
    fn what_is_no_selector_is_refused() {
        let deep = format!("{}has(a){}", "(".repeat(500), ")".repeat(500));
        for text in [
            "role = 'db'",
            "role == db",
            "role == 'db",
            "has(role",
            "role in 'db'",
            "role 'db'",
            "&& a == '1'",
            "a == '1' b == '2'",
            "ever()",
            "rolé == 'a'",
            &deep,
        ] {
            assert!(Expression::parse(text).is_err(), "{text}");
        }
    }
}
