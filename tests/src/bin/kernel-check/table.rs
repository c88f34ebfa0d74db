//! Results of several kernels side by side.

use crate::checks::Check;
use anyhow::{Context, Result};
use std::fmt;
use std::path::Path;

/// What one kernel answered.
pub struct Column {
    kernel: String,
    checks: Vec<Check>,
}

impl Column {
    /// Reads the lines of `kernel-check run`. A file that ends early is a column with fewer checks, and those fail.
    pub fn read(file: &Path) -> Result<Self> {
        let text = std::fs::read_to_string(file).with_context(|| format!("cannot read {}", file.display()))?;
        let mut checks: Vec<Check> = text
            .lines()
            .filter_map(|line| serde_json::from_str(line.trim()).ok())
            .collect();
        let kernel = checks
            .iter()
            .position(|check| check.name == "kernel")
            .map_or_else(|| file.display().to_string(), |at| checks.remove(at).says);
        Ok(Self { kernel, checks })
    }

    fn cell(&self, row: &str) -> Option<&Check> {
        self.checks.iter().find(|check| check.name == row)
    }
}

/// Check by kernel.
pub struct Table<'a> {
    columns: &'a [Column],
    rows: Vec<&'a str>,
}

impl<'a> Table<'a> {
    /// One row for every check that any kernel ran, in the order of the fullest column.
    pub fn of(columns: &'a [Column]) -> Self {
        let mut rows: Vec<&str> = Vec::new();
        let mut fullest: Vec<&Column> = columns.iter().collect();
        fullest.sort_by_key(|column| std::cmp::Reverse(column.checks.len()));
        for check in fullest.iter().flat_map(|column| &column.checks) {
            if !rows.contains(&check.name.as_str()) {
                rows.push(&check.name);
            }
        }
        Self { columns, rows }
    }

    fn count(&self, holds: bool) -> usize {
        self.rows
            .iter()
            .flat_map(|row| self.columns.iter().map(|column| column.cell(row)))
            .filter(|cell| cell.is_some_and(|check| check.holds) == holds)
            .count()
    }

    /// Cells that do not hold, or that a kernel never came to. No cell at all is a failure too.
    pub fn failed(&self) -> usize {
        self.count(false) + usize::from(self.rows.is_empty())
    }
}

impl fmt::Display for Table<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut table = comfy_table::Table::new();
        table.load_style(comfy_table::presets::NOTHING);
        table.set_header(std::iter::once("check").chain(self.columns.iter().map(|column| column.kernel.as_str())));
        for row in &self.rows {
            let cells = self.columns.iter().map(|column| match column.cell(row) {
                Some(check) if check.holds && check.says.starts_with("cannot") => "says why not",
                Some(check) if check.holds => "yes",
                Some(_) => "NO",
                None => "NOT RUN",
            });
            table.add_row(std::iter::once(*row).chain(cells));
        }
        writeln!(f, "{table}\n")?;
        for row in &self.rows {
            for column in self.columns {
                if let Some(check) = column.cell(row) {
                    writeln!(f, "{:16} {row}: {}", column.kernel, check.says)?;
                }
            }
        }
        write!(f, "\n{} passed, {} failed", self.count(true), self.failed())
    }
}

#[cfg(test)]
mod tests {
    use super::{Column, Table};
    use crate::checks::Check;

    fn column(kernel: &str, checks: &[(&str, bool)]) -> Column {
        Column {
            kernel: kernel.to_owned(),
            checks: checks
                .iter()
                .map(|&(name, holds)| Check {
                    name: name.to_owned(),
                    holds,
                    says: String::new(),
                })
                .collect(),
        }
    }

    #[test]
    fn a_kernel_that_never_came_to_a_check_fails_it() {
        let columns = [
            column("6.18", &[("a drop", true), ("a reset", true)]),
            column("6.1", &[("a drop", true)]),
        ];
        let table = Table::of(&columns);
        assert_eq!(table.failed(), 1);
        assert!(table.to_string().ends_with("3 passed, 1 failed"));
    }

    #[test]
    fn no_result_at_all_is_a_failure() {
        assert_eq!(Table::of(&[column("6.1", &[])]).failed(), 1);
    }
}
