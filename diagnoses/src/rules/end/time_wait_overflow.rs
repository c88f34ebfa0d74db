//! `TIME_WAIT` buckets overflow: closed connections are forgotten too early.
//!
//! Why it happens: there are very many short connections, and `net.ipv4.tcp_max_tw_buckets` is too small for them. A late
//! segment of a forgotten connection may then be answered with a reset.
//!
//! How it knows: `TcpExt.TCPTimeWaitOverflow` of an end's namespace grew in the window. This is only worth knowing, never a
//! cause.
//!
//! Remedy: keep connections alive, or raise `net.ipv4.tcp_max_tw_buckets`.
//!
//! Silent on: namespaces whose counter did not grow.

use crate::case::Case;
use crate::rules::{Checked, Need};
use crate::verdict::finding::info;

pub const NEEDS: &[Need] = &[Need::Fact("counters")];

pub fn check(case: &Case<'_>) -> Checked {
    let mut ends: Vec<u32> = [case.evidence.source.netns, case.evidence.destination.netns]
        .into_iter()
        .flatten()
        .collect();
    ends.dedup();
    let mut findings = Vec::new();
    for netns in ends {
        // Counters that were not read decide nothing here.
        let grew = case.growth(netns, "TcpExt.TCPTimeWaitOverflow").unwrap_or(0);
        if grew > 0 {
            let name = case.name(netns);
            findings.push(
                info(
                    "time-wait-overflow",
                    format!("{name} forgets closed connections before their time"),
                )
                .at(case.node(netns), &name)
                .remedy("keep connections alive, or raise net.ipv4.tcp_max_tw_buckets")
                .because(format!("TCPTimeWaitOverflow of {name} grew by {grew} in the window")),
            );
        }
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::report::{Conclusion, Severity};

    #[test]
    fn it_is_worth_knowing_and_changes_no_outcome() {
        let mut scene = Scene::two_nodes();
        scene.connects(3).grew(scenes::C, "TcpExt.TCPTimeWaitOverflow", 6);
        let judgement = judge(&scene.evidence);
        assert_eq!(judgement.outcome, Conclusion::Healthy);
        assert_eq!(judgement.verdicts[0].severity, Severity::Info);
        assert_eq!(judgement.verdicts[0].rule, "time-wait-overflow");
    }
}
