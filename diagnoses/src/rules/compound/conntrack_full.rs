//! The connection tracking table is full: new connections are dropped.
//!
//! Why it happens: there are too many connections, or their time-outs are too long, for `net.netfilter.nf_conntrack_max`. A
//! flood of datagrams fills the table too. Connections that are already tracked keep working.
//!
//! How it knows: netfilter dropped the watched packets in a namespace whose table is at its limit, and its `drop` statistic grew
//! in the window.
//!
//! Remedy: raise `net.netfilter.nf_conntrack_max` (on the node), find the program that opens the connections, or shorten the
//! time-outs.
//!
//! Silent on: tables with room, drops by a rule (then its counter grows and the statistic does not), and drops of other flows.

use crate::case::Case;
use crate::kernel::drops::Class;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::words::{at, count};

pub const NEEDS: &[Need] = &[Need::Probe("drop"), Need::Probe("path"), Need::Fact("conntrack")];

pub fn check(case: &Case<'_>) -> Checked {
    let drops = case.drops(Class::Netfilter);
    for first in &drops {
        let event = first.event;
        let Ok(table) = case.after(event.netns, "connection tracking", |facts| &facts.conntrack) else {
            continue;
        };
        let dropped = case.conntrack_growth(event.netns, "drop").unwrap_or(0)
            + case.conntrack_growth(event.netns, "early_drop").unwrap_or(0);
        // The last entries come and go between the drop and the reading.
        let full = table.max > 0 && table.count.saturating_mul(100) >= table.max.saturating_mul(98);
        if !full || dropped == 0 {
            continue;
        }
        let (netns, interface) = (case.name(event.netns), case.interface(event));
        let here: Vec<_> = drops.iter().filter(|drop| drop.event.netns == event.netns).collect();
        return Ok(vec![
            fatal(
                "conntrack-full",
                format!(
                    "the connection tracking table of {netns} is full ({} of {})",
                    table.count, table.max
                ),
            )
            .at(case.node(event.netns), &netns)
            .interface(interface.clone())
            .of(here.iter().map(|drop| drop.attempt))
            .remedy(
                "raise net.netfilter.nf_conntrack_max on the node, and find who opens the connections (conntrack -L)",
            )
            .because(format!("{} entries, the most is {}", table.count, table.max))
            .and(format!(
                "connection tracking dropped {} in the window",
                count(dropped as usize, "packet")
            ))
            .and(format!(
                "{} of {} among them, at {} ({})",
                count(here.len(), "packet"),
                event.flow,
                at(&netns, Some(&interface)),
                first.words()
            )),
        ]);
    }
    Ok(Vec::new())
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::missing::Known;

    fn table(scene: &mut Scene, entries: u64, dropped: u64) {
        scene.facts(scenes::X, |facts| {
            if let Known::Known(table) = &mut facts.conntrack {
                table.count = entries;
                table.max = 1000;
            }
        });
        scene.after(scenes::X, |facts| {
            if let Known::Known(table) = &mut facts.conntrack {
                table.stats.insert("drop".to_owned(), dropped);
            }
        });
    }

    #[test]
    fn a_full_table_that_drops_is_the_cause() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        table(&mut scene, 1000, 3);
        assert_eq!(scenes::cause(&judge(&scene.evidence)), "conntrack-full");
    }

    #[test]
    fn a_table_with_room_or_without_drops_is_not() {
        for (entries, dropped) in [(500, 3), (1000, 0)] {
            let mut scene = Scene::two_nodes();
            scene.dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
            table(&mut scene, entries, dropped);
            assert_ne!(scenes::cause(&judge(&scene.evidence)), "conntrack-full");
        }
    }
}
