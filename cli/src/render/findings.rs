//! A list of what is fine and what is not, each fault with what mends it.

use super::paper::{Ink, Paper};
use model::missing::Missing;

/// Something that was looked at.
#[derive(Clone, Debug)]
pub struct Finding {
    /// What it is.
    pub what: String,
    /// What is wrong with it.
    pub missing: Option<Missing>,
}

impl Finding {
    /// It is as it should be.
    pub fn fine(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            missing: None,
        }
    }

    /// It is not.
    pub fn missing(what: impl Into<String>, missing: Missing) -> Self {
        Self {
            what: what.into(),
            missing: Some(missing),
        }
    }
}

/// One line for what is fine, three for what is not.
pub fn findings(findings: &[Finding], paper: Paper) -> String {
    let mut text = String::new();
    for Finding { what, missing } in findings {
        let (mark, ink) = match missing {
            None => ("✓", Ink::Good),
            Some(_) => ("✗", Ink::Bad),
        };
        text += &format!("{} {what}\n", paper.ink(ink, mark));
        if let Some(missing) = missing {
            text += &paper.labelled("why", std::slice::from_ref(&missing.why));
            if !missing.remedy.is_empty() {
                text += &paper.labelled("remedy", std::slice::from_ref(&missing.remedy));
            }
        }
    }
    text
}
