//! The part of a report (`skoop/v1`, `Diagnosis`) that is judged. What a question about one end has not (`destination`, `path`,
//! `attempts`) is not asked for.
use std::fmt;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::scenario::ExpectedOutcome;

/// A report as the program prints it.
#[derive(Debug, Clone, Deserialize)]
pub struct PrintedReport {
    /// How the diagnosis ended.
    pub outcome: ExpectedOutcome,
    /// Its verdicts, causes ranked first.
    #[serde(default)]
    pub verdicts: Vec<PrintedVerdict>,
    /// How much a question about one end saw.
    #[serde(default)]
    pub seen: Map<String, Value>,
    /// What could not be seen.
    #[serde(default)]
    pub missing: Vec<Value>,
}

/// One verdict of a report.
#[derive(Debug, Clone, Deserialize)]
pub struct PrintedVerdict {
    /// The rule's id.
    pub rule: String,
    /// Whether it is a root cause (else a symptom, or only worth knowing).
    #[serde(default)]
    pub cause: bool,
    /// Where.
    #[serde(default, rename = "where")]
    pub place: Map<String, Value>,
    /// The cause in a sentence.
    #[serde(default)]
    pub says: String,
    /// The proof.
    #[serde(default)]
    pub because: Vec<String>,
    /// The conversations that it explains.
    #[serde(default)]
    pub conversations: Vec<PrintedConversation>,
}

/// What a client and a server met.
#[derive(Debug, Clone, Deserialize)]
pub struct PrintedConversation {
    /// The client.
    #[serde(default)]
    pub source: String,
    /// The server, as the client sees it.
    #[serde(default)]
    pub destination: String,
    /// Its port.
    #[serde(default)]
    pub port: Option<u16>,
    /// `tcp`, `udp`.
    #[serde(default)]
    pub protocol: String,
    /// What was begun in the window.
    #[serde(default)]
    pub tried: Option<f64>,
    /// What of that failed.
    #[serde(default)]
    pub failed: Option<f64>,
    /// Segments sent again, or datagrams dropped.
    #[serde(default)]
    pub lost: Option<f64>,
    /// How long was waited in vain.
    #[serde(default)]
    pub waited_ms: Option<f64>,
}

impl PrintedReport {
    /// Its causes, in their order.
    pub fn causes(&self) -> impl Iterator<Item = &PrintedVerdict> {
        self.verdicts.iter().filter(|verdict| verdict.cause)
    }
}

impl fmt::Display for PrintedConversation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let number = |number: Option<f64>| number.map_or_else(|| "?".to_owned(), |number| number.to_string());
        write!(
            f,
            "{} -> {}:{} {} (tried {}, failed {}, lost {}, waited {} ms)",
            self.source,
            self.destination,
            self.port.map_or_else(|| "?".to_owned(), |port| port.to_string()),
            self.protocol,
            number(self.tried),
            number(self.failed),
            number(self.lost),
            number(self.waited_ms),
        )
    }
}
