//! The results of checks: what is fine and what is not, each fault with what mends it.

use super::paper::{Ink, Paper, TextLine, TextPage, paragraph};
use model::missing::Missing;

/// Something that was looked at.
#[derive(Clone, Debug)]
pub struct CheckResult {
    /// What it is.
    pub what: String,
    /// What is wrong with it.
    pub missing: Option<Missing>,
    /// What is worth knowing about it, under one word.
    pub beside: Option<(&'static str, Vec<String>)>,
}

impl CheckResult {
    /// A check that found everything as it should be.
    pub fn fine(what: impl Into<String>) -> Self {
        Self {
            what: what.into(),
            missing: None,
            beside: None,
        }
    }

    /// With something that is worth knowing about it.
    #[must_use]
    pub fn beside(self, label: &'static str, lines: Vec<String>) -> Self {
        Self {
            beside: Some((label, lines)).filter(|(_, lines)| !lines.is_empty()),
            ..self
        }
    }

    /// A check that failed, or that could not be made.
    pub fn missing(what: impl Into<String>, missing: Missing) -> Self {
        Self {
            what: what.into(),
            missing: Some(missing),
            beside: None,
        }
    }
}

/// One line for what is fine, three for what is not, and what is worth knowing.
pub fn findings(findings: &[CheckResult], paper: Paper) -> TextPage {
    let mut page = TextPage::new();
    for CheckResult { what, missing, beside } in findings {
        let (mark, ink) = match missing {
            None => ("✓", Ink::Good),
            Some(_) => ("✗", Ink::Bad),
        };
        let begins = TextLine::default().ink(ink, mark).plain(" ");
        page.append(
            paragraph(begins, what, paper.width.saturating_sub(4))
                .into_iter()
                .collect(),
        );
        if let Some(missing) = missing {
            page.append(paper.labelled("why", std::slice::from_ref(&missing.why)));
            if !missing.remedy.is_empty() {
                page.append(paper.labelled("remedy", std::slice::from_ref(&missing.remedy)));
            }
        }
        if let Some((label, lines)) = beside {
            page.append(paper.labelled(label, lines));
        }
    }
    page
}
