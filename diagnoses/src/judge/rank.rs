//! Which finding is the cause: the deepest one that is proven. What it explains too becomes a symptom.

use crate::rules::{Layer, RULES};
use crate::verdict::finding::Finding;
use model::report::{Severity, Verdict};

/// Findings as verdicts: causes first (deepest first), then symptoms, then what is only worth knowing.
pub fn rank(mut findings: Vec<Finding>) -> Vec<Verdict> {
    findings.sort_by_key(|finding| {
        (
            finding.severity() == Severity::Info,
            finding.is_symptom(),
            depth(finding),
        )
    });
    let explained = explained_by_more_than_objects(&findings);
    let mut causes: Vec<Finding> = Vec::new();
    let mut symptoms: Vec<Finding> = Vec::new();
    let mut infos: Vec<Finding> = Vec::new();
    for (finding, explained) in findings.into_iter().zip(explained) {
        let second_fault = finding.is_beside_objects() && !explained;
        if finding.severity() == Severity::Info {
            infos.push(finding);
        } else if let Some(cause) = causes
            .iter_mut()
            .find(|cause| !finding.is_symptom() && cause.is_twin_of(&finding))
        {
            cause.absorb(finding);
        } else if finding.is_symptom() || (!second_fault && causes.iter().any(|cause| cause.overlaps(&finding))) {
            // What its reader sees of a deeper fault is a symptom; a shallower reading of the same packets is none.
            if finding.is_symptom() || layer(&finding) == Layer::Names {
                symptoms.push(finding);
            }
        } else {
            causes.push(finding);
        }
    }
    let verdicts = causes.into_iter().map(|finding| finding.into_verdict(true));
    let symptoms = symptoms.into_iter().map(|finding| finding.into_verdict(false));
    let infos = infos.into_iter().map(|finding| finding.into_verdict(false));
    verdicts.chain(symptoms).chain(infos).collect()
}

/// For each finding, whether a deeper one that was seen in packets or kernels speaks of the same attempts.
fn explained_by_more_than_objects(findings: &[Finding]) -> Vec<bool> {
    let explains = |finding: &Finding, other: &Finding| {
        layer(other) != Layer::Object && depth(other) < depth(finding) && other.overlaps(finding)
    };
    let others = |finding| findings.iter().any(|other| explains(finding, other));
    findings.iter().map(others).collect()
}

fn depth(finding: &Finding) -> usize {
    RULES
        .iter()
        .position(|rule| rule.id == finding.rule())
        .unwrap_or(RULES.len())
}

fn layer(finding: &Finding) -> Layer {
    RULES.get(depth(finding)).map_or(Layer::Unexplained, |rule| rule.layer)
}

#[cfg(test)]
mod tests {
    use super::rank;
    use crate::rules::RULES;
    use crate::verdict::finding::{fatal, info};

    #[test]
    fn the_registry_is_sorted_by_layer() {
        assert!(RULES.windows(2).all(|pair| pair[0].layer <= pair[1].layer));
    }

    #[test]
    fn what_the_cause_explains_is_no_second_cause() {
        let deep = fatal("netfilter-drop", "a rule drops it").of([1, 2]).because("seen");
        let shallow = fatal("unexplained-timeout", "no answer").of([2]).because("seen");
        let verdicts = rank(vec![shallow, deep]);
        assert_eq!(verdicts.len(), 1);
        assert_eq!((verdicts[0].rule.as_str(), verdicts[0].cause), ("netfilter-drop", true));
    }

    #[test]
    fn a_loss_that_only_an_objects_fault_stands_before_is_a_second_fault() {
        let object = || fatal("service-without-endpoints", "nobody is listed").because("seen");
        let lost = || {
            fatal("unexplained-drop", "a drop")
                .of([1])
                .because("seen")
                .beside_objects()
        };
        let timeout = || fatal("unexplained-timeout", "no answer").of([1]).because("seen");
        let causes = |findings: Vec<crate::verdict::finding::Finding>| {
            let verdicts = rank(findings).into_iter().filter(|verdict| verdict.cause);
            verdicts.map(|verdict| verdict.rule).collect::<Vec<_>>()
        };
        assert_eq!(
            causes(vec![timeout(), lost(), object()]),
            ["service-without-endpoints", "unexplained-drop"]
        );
        let rule = fatal("netfilter-drop", "a rule drops it").of([1]).because("seen");
        assert_eq!(causes(vec![lost(), object(), rule]), ["service-without-endpoints"]);
    }

    #[test]
    fn a_lookup_that_fails_for_it_is_a_symptom() {
        let deep = fatal("netfilter-drop", "a rule drops it").of([1]).because("seen");
        let seen = fatal("dns-server-unreachable", "no answer").of([1]).because("seen");
        let verdicts = rank(vec![seen, deep]);
        assert_eq!(
            (verdicts[1].rule.as_str(), verdicts[1].cause),
            ("dns-server-unreachable", false)
        );
    }

    #[test]
    fn faults_of_different_attempts_are_different_causes() {
        let one = fatal("netfilter-drop", "a rule drops it").of([1]).because("seen");
        let other = fatal("unexplained-timeout", "no answer").of([2]).because("seen");
        assert!(rank(vec![one, other]).iter().all(|verdict| verdict.cause));
    }

    #[test]
    fn the_same_rule_in_both_families_is_one_cause() {
        let drop = |id| {
            fatal("netfilter-drop", "a rule drops it")
                .at("n", "netns/x")
                .of([id])
                .because(format!("seen {id}"))
        };
        let verdicts = rank(vec![drop(1), drop(2)]);
        assert_eq!(verdicts.len(), 1);
        assert_eq!(verdicts[0].because, ["seen 1", "seen 2"]);
    }

    #[test]
    fn an_info_is_never_a_cause() {
        let verdicts = rank(vec![info("netfilter-drop", "worth knowing").because("seen")]);
        assert!(!verdicts[0].cause);
    }
}
