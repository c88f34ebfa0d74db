//! Absence with its reason: what could not be seen, why, and how to see it.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that was not seen.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Missing {
    /// What is missing, e.g. "netfilter rules of netns/x".
    pub what: String,
    /// On which node, where that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub node: Option<String>,
    /// Why it could not be seen.
    pub why: String,
    /// What the reader can do to see it; empty when nothing can be done.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub remedy: String,
}

impl Missing {
    /// What and why.
    pub fn new(what: impl Into<String>, why: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            node: None,
            why: why.into(),
            remedy: String::new(),
        }
    }

    /// Adds what the reader can do.
    #[must_use]
    pub fn remedy(mut self, remedy: impl Into<String>) -> Self {
        self.remedy = remedy.into();
        self
    }

    /// Why, and what the reader can do where something can be done: `no such file; run it as root`.
    #[must_use]
    pub fn reason(&self) -> String {
        if self.remedy.is_empty() {
            self.why.clone()
        } else {
            format!("{}; {}", self.why, self.remedy)
        }
    }

    /// A fact nobody asked for.
    #[must_use]
    pub fn not_asked(what: impl Into<String>) -> Self {
        Self::new(what, "not asked for in this run")
    }
}

/// A fact: known, or missing for a stated reason.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Known<T> {
    /// It was read.
    Known(T),
    /// It was not, and this is why.
    Missing(Missing),
}

impl<T> Default for Known<T> {
    fn default() -> Self {
        Self::Missing(Missing::not_asked(""))
    }
}

impl<T> Known<T> {
    /// The fact, or why it is missing.
    pub fn get(&self) -> Result<&T, &Missing> {
        match self {
            Self::Known(value) => Ok(value),
            Self::Missing(missing) => Err(missing),
        }
    }

    /// Where it is missing, what was known before takes its place.
    pub fn or(&mut self, earlier: Self) {
        if matches!((&*self, &earlier), (Self::Missing(_), Self::Known(_))) {
            *self = earlier;
        }
    }

    /// The fact, where absence means nothing to the asker.
    pub fn ok(&self) -> Option<&T> {
        self.get().ok()
    }
}

impl<T> From<Result<T, Missing>> for Known<T> {
    fn from(result: Result<T, Missing>) -> Self {
        match result {
            Ok(value) => Self::Known(value),
            Err(missing) => Self::Missing(missing),
        }
    }
}
