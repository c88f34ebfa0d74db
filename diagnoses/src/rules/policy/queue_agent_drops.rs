//! A user space program behind NFQUEUE drops the packets, or does not run.
//!
//! Why it happens: an intrusion prevention system, mesh or policy agent died, hangs, or decided to drop. Or a rule sends
//! packets to a queue that nobody reads (and has no `--queue-bypass`).
//!
//! How it knows: the kernel freed the watched packets in the code of NFQUEUE. Either before they reached a program (nobody
//! listens, or its queue is full), or after its answer (the answer was to drop). The rules that lead to a queue are listed.
//!
//! Remedy: start or repair the program, or let packets pass without it (`--queue-bypass`).
//!
//! Silent on: queues that let the watched packets pass or only delay them, and programs that drop only some of many packets
//! (`packet-loss`).

use crate::case::Case;
use crate::kernel::drops::Class;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use crate::words::{at, count};
use model::facts::Action;

pub const NEEDS: &[Need] = &[Need::Probe("drop"), Need::Probe("path"), Need::Fact("netfilter")];

pub fn check(case: &Case<'_>) -> Checked {
    let drops = case.drops(Class::Queue);
    let Some(first) = drops.first() else {
        return Ok(Vec::new());
    };
    let target = case.attempt(first.attempt).map(|tried| tried.attempt.flow.dst());
    if case
        .worked()
        .iter()
        .any(|tried| Some(tried.attempt.flow.dst()) == target)
    {
        return Ok(Vec::new());
    }
    let netns = first.event.netns;
    let (name, interface) = (case.name(netns), case.interface(first.event));
    let location = first.location();
    let how = if location.contains("reinject") || location.contains("verdict") {
        "the program behind the queue says drop"
    } else if location.contains("enqueue") {
        "the program behind the queue does not keep up, or has just gone"
    } else if location.starts_with("nf_queue") {
        "no program listens on the queue"
    } else {
        "the program behind the queue dropped it or is not there"
    };
    let mut finding = fatal("queue-agent-drops", format!("packets are lost in an NFQUEUE of {name}: {how}"))
        .at(case.node(netns), &name)
        .interface(&interface)
        .of(drops.iter().map(|drop| drop.attempt))
        .remedy("start or mend the program that reads the queue, or add --queue-bypass to the rule so that packets pass without it")
        .because(format!(
            "{} freed in {}: {}",
            count(drops.len(), "watched packet"),
            at(&name, Some(&interface)),
            first.words()
        ));
    if let Ok(netfilter) = case.after(netns, "netfilter rules", |facts| &facts.netfilter) {
        for chain in &netfilter.chains {
            for rule in &chain.rules {
                if let Action::Queue { number, bypass } = rule.action {
                    let bypass = if bypass { ", with bypass" } else { ", without bypass" };
                    finding = finding.and(format!(
                        "rule {} of chain {} ({}) sends packets to queue {number}{bypass}: {}",
                        rule.handle, chain.name, chain.backend, rule.text
                    ));
                }
            }
        }
    }
    Ok(vec![finding])
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};

    #[test]
    fn nobody_reads_the_queue() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "cbr0", "NOT_SPECIFIED", "nf_queue");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["queue-agent-drops"]);
        assert!(judgement.verdicts[0].says.contains("no program listens"));
    }

    #[test]
    fn the_program_says_drop() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "cbr0", "NOT_SPECIFIED", "nfqnl_reinject");
        let judgement = judge(&scene.evidence);
        assert!(judgement.verdicts[0].says.contains("says drop"));
    }
}
