//! What a scenario expects of the report: its outcome, its causes, and what each of them cost. Pure.
use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use anyhow::{Context as _, Error, Result, bail, ensure};
use serde::Deserialize;
use serde::de::{self, Deserializer};
use serde_json::Value;

use super::one_or_more;

/// What a report counts of all that it saw, under `seen`.
const SEEN: [&str; 6] = [
    "connections",
    "lookups",
    "datagrams",
    "peers",
    "connect_p99_ms",
    "lookup_p99_ms",
];

/// What the report must say.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expect {
    /// How it ends.
    pub outcome: ExpectedOutcome,
    /// The first cause; of several, any is right.
    #[serde(default, deserialize_with = "one_or_more")]
    pub cause: Vec<String>,
    /// Instead of it, where several faults go on at once: all causes there are, in any order.
    #[serde(default)]
    pub causes: Vec<ExpectedCause>,
    /// Of a question about one end: how much it saw.
    #[serde(default)]
    pub seen: BTreeMap<String, NumberRange>,
    /// Rules that must be in the report beside it.
    #[serde(default, deserialize_with = "one_or_more")]
    pub also: Vec<String>,
    /// Parts of the cause's place.
    #[serde(default, rename = "where")]
    pub place: BTreeMap<String, Value>,
    /// Texts that must occur in what the cause says or in its proof.
    #[serde(default, deserialize_with = "one_or_more")]
    pub because: Vec<String>,
}

/// How a diagnosis ends.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ExpectedOutcome {
    /// All was seen and all is well.
    #[default]
    Healthy,
    /// Something is broken.
    Fault,
    /// Not enough was seen to say.
    Inconclusive,
}

/// A cause that the report must name, and what it must say of it.
#[derive(Debug, Clone, Default)]
pub struct ExpectedCause {
    /// Its rule; of several, any is right.
    pub rules: Vec<String>,
    /// Parts of its place.
    pub place: BTreeMap<String, Value>,
    /// Texts that must occur in what it says or in its proof.
    pub because: Vec<String>,
    /// Conversations that it must explain.
    pub conversations: Vec<ExpectedConversation>,
}

/// A conversation that a cause must explain, and what it must have met.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ExpectedConversation {
    /// Its server.
    pub to: ServerPort,
    /// Its client.
    #[serde(default)]
    pub from: Option<String>,
    /// `tcp`, `udp`.
    #[serde(default)]
    pub protocol: Option<String>,
    /// What was begun in the window.
    #[serde(default)]
    pub tried: Option<NumberRange>,
    /// What of that failed.
    #[serde(default)]
    pub failed: Option<NumberRange>,
    /// Segments sent again, or datagrams dropped.
    #[serde(default)]
    pub lost: Option<NumberRange>,
    /// How long was waited in vain.
    #[serde(default)]
    pub waited_ms: Option<NumberRange>,
}

/// A server, as `NAME:PORT` or `ADDRESS:PORT`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServerPort {
    /// A name of the lab, or an address.
    pub name: String,
    /// Its port.
    pub port: u16,
}

/// A number that is expected: `N`, `>=N`, `<=N`, or `A..B` with both ends.
#[derive(Debug, Clone, PartialEq)]
pub struct NumberRange {
    text: String,
    least: f64,
    most: f64,
}

impl ExpectedOutcome {
    /// The exit code that belongs to it.
    pub fn exit_code(self) -> i32 {
        match self {
            Self::Healthy => 0,
            Self::Fault => 1,
            Self::Inconclusive => 3,
        }
    }
}

impl fmt::Display for ExpectedOutcome {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Healthy => "healthy",
            Self::Fault => "fault",
            Self::Inconclusive => "inconclusive",
        })
    }
}

impl Expect {
    /// What serde does not see: keys that exclude each other, or that do not exist.
    pub(super) fn check(&self) -> Result<()> {
        if !self.causes.is_empty() {
            for (key, given) in [
                ("cause", !self.cause.is_empty()),
                ("where", !self.place.is_empty()),
                ("because", !self.because.is_empty()),
            ] {
                ensure!(!given, "`{key}` does not stand beside `causes`, but in one of them");
            }
        }
        if let Some(key) = self.seen.keys().find(|key| !SEEN.contains(&key.as_str())) {
            bail!("nobody counts `{key}` under `seen` (they are {})", SEEN.join(", "));
        }
        Ok(())
    }

    /// The first cause, where the scenario names but that.
    pub fn first_cause(&self) -> Option<ExpectedCause> {
        (!self.cause.is_empty()).then(|| ExpectedCause {
            rules: self.cause.clone(),
            place: self.place.clone(),
            because: self.because.clone(),
            conversations: Vec::new(),
        })
    }

    /// Whether the scenario says which causes there are.
    pub fn names_causes(&self) -> bool {
        !self.cause.is_empty() || !self.causes.is_empty()
    }

    /// Whether a rule may be in the report as a cause.
    pub fn admits(&self, rule: &str) -> bool {
        let named = self.causes.iter().flat_map(|cause| &cause.rules);
        named
            .chain(&self.cause)
            .chain(&self.also)
            .any(|admitted| admitted == rule)
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if !self.causes.is_empty() {
            let causes: Vec<_> = self.causes.iter().map(ExpectedCause::to_string).collect();
            return f.write_str(&causes.join(" + "));
        }
        match self.cause.as_slice() {
            [] => self.outcome.fmt(f),
            causes => f.write_str(&causes.join(" | ")),
        }
    }
}

impl fmt::Display for ExpectedCause {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.rules.join(" | "))
    }
}

impl<'de> Deserialize<'de> for ExpectedCause {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(deny_unknown_fields)]
        struct Keys {
            #[serde(deserialize_with = "one_or_more")]
            cause: Vec<String>,
            #[serde(default, rename = "where")]
            place: BTreeMap<String, Value>,
            #[serde(default, deserialize_with = "one_or_more")]
            because: Vec<String>,
            #[serde(default)]
            conversations: Vec<ExpectedConversation>,
        }
        match Value::deserialize(deserializer)? {
            Value::String(rule) => Ok(Self {
                rules: vec![rule],
                ..Self::default()
            }),
            keys => {
                let keys: Keys = serde_json::from_value(keys)
                    .map_err(|error| de::Error::custom(format!("an item of `causes`: {error}")))?;
                Ok(Self {
                    rules: keys.cause,
                    place: keys.place,
                    because: keys.because,
                    conversations: keys.conversations,
                })
            }
        }
    }
}

impl FromStr for ServerPort {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let (name, port) = text
            .rsplit_once(':')
            .with_context(|| format!("`{text}` is no NAME:PORT"))?;
        let name = name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
            .unwrap_or(name);
        ensure!(!name.is_empty(), "`{text}` is no NAME:PORT");
        Ok(Self {
            name: name.to_owned(),
            port: port.parse().with_context(|| format!("`{port}` is no port"))?,
        })
    }
}

impl fmt::Display for ServerPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.name, self.port)
    }
}

impl<'de> Deserialize<'de> for ServerPort {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(de::Error::custom)
    }
}

impl NumberRange {
    /// Whether a number is one of these.
    pub fn contains(&self, number: f64) -> bool {
        (self.least..=self.most).contains(&number)
    }
}

impl FromStr for NumberRange {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let number = |text: &str| -> Result<f64> {
            let number: f64 = text.trim().parse().with_context(|| format!("`{text}` is no number"))?;
            ensure!(number.is_finite(), "`{text}` is no number");
            Ok(number)
        };
        let (least, most) = if let Some(least) = text.strip_prefix(">=") {
            (number(least)?, f64::INFINITY)
        } else if let Some(most) = text.strip_prefix("<=") {
            (f64::NEG_INFINITY, number(most)?)
        } else if let Some((least, most)) = text.split_once("..") {
            (number(least)?, number(most)?)
        } else {
            (number(text)?, number(text)?)
        };
        ensure!(least <= most, "no number is within `{text}`");
        Ok(Self {
            text: text.to_owned(),
            least,
            most,
        })
    }
}

impl fmt::Display for NumberRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for NumberRange {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = match Value::deserialize(deserializer)? {
            Value::String(text) => text,
            Value::Number(number) => number.to_string(),
            other => return Err(de::Error::custom(format!("`{other}` is no number"))),
        };
        text.parse().map_err(|error| de::Error::custom(format!("{error:#}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_may_be_one_or_lie_between_two() {
        for (text, right, wrong) in [
            ("3", 3.0, 4.0),
            (">=3", 3.0, 2.0),
            ("<=3", 0.0, 3.5),
            ("14..16", 16.0, 13.0),
            ("0.5..1", 0.7, 1.1),
        ] {
            let range: NumberRange = text.parse().unwrap();
            assert!(range.contains(right) && !range.contains(wrong), "{text}");
            assert_eq!(range.to_string(), text);
        }
        for text in ["", "many", "5..3", ">=", "1..", "nan"] {
            assert!(text.parse::<NumberRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn a_server_is_a_name_or_an_address_with_a_port() {
        for (text, name, port) in [
            ("c:80", "c", 80),
            ("10.96.0.10:53", "10.96.0.10", 53),
            ("[fd90:2::2]:80", "fd90:2::2", 80),
        ] {
            let server: ServerPort = text.parse().unwrap();
            assert_eq!((server.name.as_str(), server.port), (name, port));
        }
        for text in ["c", ":80", "c:http"] {
            assert!(text.parse::<ServerPort>().is_err(), "{text}");
        }
    }

    #[test]
    fn causes_are_ids_or_say_more() {
        let expect: Expect = serde_yaml::from_str(
            "outcome: fault\ncauses: [port-closed, {cause: [no-route, interface-down], where: {netns: x}, because: up0, conversations: [{to: 'c:80', tried: 38, failed: '14..16'}]}]\nseen: {connections: '>=300'}\n",
        )
        .unwrap();
        expect.check().unwrap();
        assert_eq!(expect.to_string(), "port-closed + no-route | interface-down");
        assert_eq!(expect.causes[1].because, ["up0"]);
        let conversation = &expect.causes[1].conversations[0];
        assert!(conversation.tried.as_ref().unwrap().contains(38.0));
        assert_eq!(conversation.to.to_string(), "c:80");
        assert!(expect.admits("no-route") && !expect.admits("packet-loss"));
    }

    #[test]
    fn what_cannot_be_meant_is_said() {
        for (text, says) in [
            ("{outcome: fault, cause: a, causes: [b]}", "does not stand beside"),
            (
                "{outcome: fault, causes: [b], where: {netns: x}}",
                "does not stand beside",
            ),
            ("{outcome: healthy, seen: {packets: 3}}", "nobody counts `packets`"),
            ("{outcome: fault, causes: [{rule: b}]}", "unknown field `rule`"),
            (
                "{outcome: fault, causes: [{cause: b, conversations: [{to: c}]}]}",
                "NAME:PORT",
            ),
            (
                "{outcome: fault, causes: [{cause: b, conversations: [{to: 'c:1', tried: few}]}]}",
                "`few` is no number",
            ),
        ] {
            let checked = serde_yaml::from_str::<Expect>(text)
                .map_err(Error::from)
                .and_then(|expect| expect.check());
            let error = format!("{:#}", checked.unwrap_err());
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
