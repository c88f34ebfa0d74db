//! A limiter lets the first packets or connections pass and refuses the rest.
//!
//! Why it happens: `limit`, `hashlimit`, `connlimit` or a quota in a firewall is set for a smaller load than there is (queries
//! per second to a DNS server, connections of one client).
//!
//! How it knows: netfilter dropped or rejected watched packets, and the rule that decides about them lets them pass by rate or
//! count. Either it has the limiter itself, or it stands behind an accepting rule that has one.
//!
//! Remedy: raise the limit, or spread the load.
//!
//! Silent on: rules that drop everything (`netfilter-drop`) or at random (`packet-loss`).

use crate::case::Case;
use crate::case::firewall_drops::blocked_at_all;
use crate::kernel::firewall::culprit::Culprit;
use crate::kernel::firewall::{Doubt, NetfilterStop};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{fatal, warning};

pub const NEEDS: &[Need] = &[Need::Probe("drop"), Need::Probe("path"), Need::Fact("netfilter")];

pub fn check(case: &Case<'_>) -> Checked {
    let mut findings = Vec::new();
    for blocked in blocked_at_all(case) {
        if !blocked.all(NetfilterStop::limited) {
            continue;
        }
        let limit = blocked
            .culprit
            .iter()
            .flat_map(Culprit::suspects)
            .flat_map(|suspect| suspect.stop.own.iter().chain(&suspect.stop.before))
            .find_map(|doubt| match doubt {
                Doubt::Limit(text) => Some(text.clone()),
                _ => None,
            })
            .unwrap_or_default();
        let name = case.name(blocked.netns);
        let (passed, refused) = (case.worked().len(), case.failed().len());
        let says = format!("a limit in {name} refuses what exceeds it: {limit}{}", blocked.named());
        let claim = if refused > 0 {
            fatal("rate-limited", says)
        } else {
            warning("rate-limited", says)
        };
        let mut claim = claim
            .at(case.node(blocked.netns), &name)
            .interface(case.interface(blocked.first().event))
            .of(blocked.attempts())
            .remedy(format!("raise the limit ({limit}) in {name}, or send less at a time"));
        if let Some(place) = blocked.place() {
            claim = claim.rule(place);
        }
        let finding = claim
            .because(blocked.seen(case))
            .and_if(blocked.rule_words())
            .and_if(blocked.counted())
            .and_if(blocked.comment())
            .and(format!(
                "of {} attempts {passed} worked and {refused} failed",
                case.asked().count()
            ));
        findings.push(finding);
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::facts::{Action, Match};

    #[test]
    fn the_first_pass_and_the_rest_is_refused() {
        let mut scene = Scene::two_nodes();
        let limit = vec![Match::Limit {
            text: "connlimit above 2".to_owned(),
        }];
        scene.filter(
            scenes::X,
            "FORWARD",
            "-m connlimit --connlimit-above 2 -j DROP",
            &limit,
            &Action::Drop,
            3,
        );
        scene.dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["rate-limited"]);
        assert!(judgement.verdicts[0].says.contains("connlimit above 2"));
    }
}
