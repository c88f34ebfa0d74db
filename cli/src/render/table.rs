//! The one screen: the answer first, then what proves it.

use model::report::Report;

/// A sheet of paper.
#[derive(Clone, Copy, Debug)]
pub struct Sheet {
    /// With colour.
    pub colour: bool,
    /// Columns.
    pub width: usize,
    /// With every attempt and hop.
    pub wide: bool,
}

impl Sheet {
    /// The report as text.
    pub fn report(&self, report: &Report) -> String {
        format!("{}\n", report.headline)
    }
}
