//! Facts of a run's namespaces, known or missing for a reason, and how much they grew in the window.

use super::Case;
use model::evidence::NetnsEvidence;
use model::facts::{Link, NetnsFacts};
use model::missing::{Known, Missing};
use std::collections::BTreeMap;

impl<'a> Case<'a> {
    /// A fact of a namespace as it was before the window, or why it is missing.
    pub fn before<T>(
        &self,
        netns: u32,
        what: &str,
        pick: impl Fn(&'a NetnsFacts) -> &'a Known<T>,
    ) -> Result<&'a T, Missing> {
        let of = self.look(netns, what)?;
        pick(&of.before)
            .get()
            .map_err(|missing| named(missing, what, of, &self.name(of.id)))
    }

    /// A fact of a namespace as it was after the window; as it was before where it was not read again.
    pub fn after<T>(
        &self,
        netns: u32,
        what: &str,
        pick: impl Fn(&'a NetnsFacts) -> &'a Known<T>,
    ) -> Result<&'a T, Missing> {
        let of = self.look(netns, what)?;
        pick(&of.after)
            .get()
            .or_else(|_| pick(&of.before).get())
            .map_err(|missing| named(missing, what, of, &self.name(of.id)))
    }

    fn look(&self, netns: u32, what: &str) -> Result<&'a NetnsEvidence, Missing> {
        self.evidence
            .netns(netns)
            .ok_or_else(|| Missing::new(format!("{what} of netns {netns}"), "this namespace was not looked into"))
    }

    /// How much a `snmp`, `netstat` or `snmp6` counter grew in the window.
    pub fn growth(&self, netns: u32, counter: &str) -> Result<u64, Missing> {
        let of = self.look(netns, "counters")?;
        let before = of
            .before
            .counters
            .get()
            .map_err(|missing| named(missing, "counters", of, &self.name(of.id)))?;
        let after = of
            .after
            .counters
            .get()
            .map_err(|missing| named(missing, "counters after the window", of, &self.name(of.id)))?;
        let of_both = |counters: &BTreeMap<String, u64>| counters.get(counter).copied().unwrap_or(0);
        Ok(of_both(after).saturating_sub(of_both(before)))
    }

    /// How much a connection tracking statistic (`drop`, `insert_failed`, `invalid`...) grew in the window.
    pub fn conntrack_growth(&self, netns: u32, stat: &str) -> Result<u64, Missing> {
        let of = self.look(netns, "connection tracking")?;
        let name = "connection tracking";
        let before = of
            .before
            .conntrack
            .get()
            .map_err(|missing| named(missing, name, of, &self.name(of.id)))?;
        let after = of
            .after
            .conntrack
            .get()
            .map_err(|missing| named(missing, name, of, &self.name(of.id)))?;
        let value = |stats: &BTreeMap<String, u64>| stats.get(stat).copied().unwrap_or(0);
        Ok(value(&after.stats).saturating_sub(value(&before.stats)))
    }

    /// A sysctl of a namespace; `None` where this kernel has none of that name.
    pub fn sysctl(&self, netns: u32, name: &str) -> Result<Option<&'a str>, Missing> {
        Ok(self
            .before(netns, "sysctls", |facts| &facts.sysctls)?
            .get(name)
            .map(String::as_str))
    }

    /// An interface by index.
    pub fn link(&self, netns: u32, ifindex: u32) -> Option<&'a Link> {
        let facts = self.evidence.netns(netns)?;
        let of = |known: &'a Known<Vec<Link>>| known.ok()?.iter().find(|link| link.index == ifindex);
        of(&facts.after.links).or_else(|| of(&facts.before.links))
    }
}

fn named(missing: &Missing, what: &str, of: &NetnsEvidence, of_name: &str) -> Missing {
    let mut missing = missing.clone();
    if missing.what.is_empty() {
        missing.what = format!("{what} of {of_name}");
    }
    if missing.node.is_none() && !of.node.is_empty() {
        missing.node = Some(of.node.clone());
    }
    missing
}
