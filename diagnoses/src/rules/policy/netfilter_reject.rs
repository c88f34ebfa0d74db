//! A netfilter rule answers for the target: with an ICMP error, or with a TCP reset.
//!
//! Why it happens: a `REJECT` in a firewall or network policy, a service without endpoints (kube-proxy rejects it), or a
//! middlebox that resets idle connections.
//!
//! How it knows: netfilter freed the watched packet, and the same host sent an ICMP error about it at that moment. Or a reset
//! came back that no TCP of a watched kernel had sent. And the rule that matches rejects.
//!
//! Remedy: delete the rule, or accept the flow before it. The rules of an agent (of kube-proxy or of a network plug-in) are never
//! deleted: the agent is named instead.
//!
//! Silent on: closed ports (there the target's own TCP sends the reset), resets that no visible rule sent
//! (`reset-by-middlebox`), and limiters (`rate-limited`).

use crate::case::Case;
use crate::case::firewall_drops::blocked;
use crate::case::observations;
use crate::kernel::firewall::culprit::Culprit;
use crate::kernel::firewall::{NetfilterStop, NetfilterVerdict};
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use model::event::Seen;
use model::facts::Action;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Probe("icmp"),
    Need::Probe("tcpreset"),
    Need::Fact("netfilter"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let mut findings = Vec::new();
    for blocked in blocked(case) {
        if !blocked.answered(case) || blocked.all(NetfilterStop::limited) || blocked.all(NetfilterStop::random) {
            continue;
        }
        let name = case.name(blocked.netns);
        let with = blocked.culprit.iter().flat_map(Culprit::suspects).find_map(|suspect| {
            match (&suspect.stop.verdict, suspect.stop.rule.map(|rule| &rule.action)) {
                (NetfilterVerdict::Reject, Some(Action::Reject { with })) if !with.is_empty() => {
                    Some(format!(" with {with}"))
                }
                _ => None,
            }
        });
        let mut claim = fatal(
            "netfilter-reject",
            format!(
                "a firewall rule in {name} rejects {}{}{}",
                blocked.what(),
                with.unwrap_or_default(),
                blocked.named()
            ),
        )
        .at(case.node(blocked.netns), &name)
        .interface(case.interface(blocked.first().event))
        .of(blocked.attempts())
        .remedy(blocked.remedy(case));
        if let Some(place) = blocked.place() {
            claim = claim.rule(place);
        }
        let mut finding = claim
            .because(blocked.seen(case))
            .and_if(blocked.rule_words())
            .and_if(blocked.rewritten(case))
            .and_if(blocked.counted())
            .and_if(blocked.comment())
            .and_if(blocked.owned());
        for event in case.about(blocked.first().attempt) {
            finding = match &event.seen {
                Seen::IcmpSent { kind, code, .. } => finding.and(format!(
                    "{} answered it with ICMP type {kind} code {code}",
                    case.name(event.netns)
                )),
                Seen::ResetReceived { .. } => finding.and(format!(
                    "a reset arrived in {}, and no TCP that was watched had sent one",
                    case.name(event.netns)
                )),
                _ => finding,
            };
        }
        let met = case.attempt(blocked.first().attempt).map(observations::met);
        findings.push(finding.and_if(met));
    }
    Ok(findings)
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::event::Seen;
    use model::facts::{Action, Netfilter};
    use model::missing::Known;

    #[test]
    fn an_icmp_answer_of_the_firewall() {
        let mut scene = Scene::two_nodes();
        scene.dropped(1, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        let flow = scene.evidence.watched[0].flow;
        let sent = Seen::IcmpSent {
            kind: 3,
            code: 3,
            info: 0,
        };
        scene.saw(scenes::X, "cbr0", flow, sent);
        let with = "icmp-port-unreachable".to_owned();
        scene.filter(scenes::X, "FORWARD", "-j REJECT", &[], &Action::Reject { with }, 1);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["netfilter-reject"]);
        assert!(judgement.verdicts[0].says.contains("with icmp-port-unreachable"));
    }

    #[test]
    fn rules_that_were_rewritten_meanwhile_are_said_to_be() {
        let mut scene = Scene::two_nodes();
        scene.dropped(1, scenes::X, "cbr0", "NETFILTER_DROP", "nft_do_chain");
        let flow = scene.evidence.watched[0].flow;
        let (kind, code, info) = (3, 3, 0);
        scene.saw(scenes::X, "cbr0", flow, Seen::IcmpSent { kind, code, info });
        scene.filter(scenes::X, "FORWARD", "-j ACCEPT", &[], &Action::Accept, 1);
        let alike = judge(&scene.evidence);
        assert!(
            !alike.verdicts[0].remedy.contains("run again"),
            "{}",
            alike.verdicts[0].remedy
        );
        scene.after(scenes::X, |facts| facts.netfilter = Known::Known(Netfilter::default()));
        let rewritten = judge(&scene.evidence);
        assert_eq!(scenes::causes(&rewritten), ["netfilter-reject"]);
        assert!(
            rewritten.verdicts[0].remedy.contains("run again"),
            "{}",
            rewritten.verdicts[0].remedy
        );
    }

    #[test]
    fn a_rule_that_only_drops_is_not_this() {
        let mut scene = Scene::two_nodes();
        scene.filter(scenes::X, "FORWARD", "-j DROP", &[], &Action::Drop, 3);
        scene.dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["netfilter-drop"]);
    }
}
