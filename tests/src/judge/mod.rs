//! The judge: what a scenario expects against what the report says. Pure.
//!
//! Here is what of a report is judged, whether a cause is the one that was meant and cost what it should, which of several is
//! which, and what is a false accusation. What a scenario may expect is said in `scenario/`; nothing is run here.
use std::collections::BTreeMap;

use serde_json::Value;

use self::differences::differences;
use self::pairing::paired;
pub use self::printed::{PrintedConversation, PrintedReport, PrintedVerdict};
use crate::scenario::{Expect, ExpectedOutcome, Scenario};

mod differences;
mod pairing;
mod printed;

/// What the judge found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScenarioJudgement {
    /// Why it is not right; empty when it is.
    pub wrong: Vec<String>,
    /// Causes named that are none, and rules that must not appear.
    pub false_accusations: usize,
}

/// Judges a report and the exit code it came with; `real` maps the scenario's names of namespaces to the kernel's.
pub fn judge(
    scenario: &Scenario,
    report: &PrintedReport,
    exit_code: Option<i32>,
    real: &BTreeMap<String, String>,
) -> ScenarioJudgement {
    let mut judgement = ScenarioJudgement::default();
    let mut wrong = |text: String| judgement.wrong.push(text);
    let expect = &scenario.expect;
    if report.outcome != expect.outcome {
        wrong(format!("the outcome is {}, not {}", report.outcome, expect.outcome));
    }
    if exit_code != Some(report.outcome.exit_code()) {
        let code = exit_code.map_or_else(|| "none".to_owned(), |code| code.to_string());
        wrong(format!(
            "the exit code is {code}, and {} is {}",
            report.outcome,
            report.outcome.exit_code()
        ));
    }
    let causes: Vec<_> = report.causes().collect();
    if let Some(expected) = expect.first_cause() {
        match causes.first() {
            None => wrong(format!("no cause is named, where {expected} was expected")),
            Some(cause) => {
                if !expected.rules.contains(&cause.rule) {
                    wrong(format!("the first cause is {}, not {expected}", cause.rule));
                }
                differences(&expected, cause, real).into_iter().for_each(&mut wrong);
            }
        }
    }
    let paired = paired(&expect.causes, &causes, real);
    paired.wrong.into_iter().for_each(&mut wrong);
    seen(expect, report).into_iter().for_each(&mut wrong);
    for rule in expect
        .also
        .iter()
        .filter(|rule| !report.verdicts.iter().any(|verdict| verdict.rule == **rule))
    {
        wrong(format!("{rule} is not in the report"));
    }
    for rule in paired.further {
        judgement.false_accusations += 1;
        judgement
            .wrong
            .push(format!("{rule} is named as a cause once more than expected"));
    }
    for verdict in &report.verdicts {
        let rule = &verdict.rule;
        let forbidden = scenario.never.contains(rule);
        if forbidden || (verdict.cause && falsely_accused(scenario, rule)) {
            judgement.false_accusations += 1;
            let why = if forbidden {
                "must not be in the report"
            } else {
                "is named as a cause, and is none"
            };
            judgement.wrong.push(format!("{rule} {why}"));
        }
    }
    judgement
}

/// What a report did not see as often as it should have.
fn seen(expect: &Expect, report: &PrintedReport) -> Vec<String> {
    let unlike = expect.seen.iter().filter_map(|(key, range)| {
        let found = report.seen.get(key).unwrap_or(&Value::Null);
        let right = found.as_f64().is_some_and(|number| range.contains(number));
        (!right).then(|| format!("seen.{key} is {found}, not {range}"))
    });
    unlike.collect()
}

/// A cause is a false accusation on a healthy path, and where it is not among those expected. (A fault of which the
/// scenario names no cause accuses nobody falsely.)
fn falsely_accused(scenario: &Scenario, rule: &str) -> bool {
    let expect = &scenario.expect;
    let any = expect.outcome == ExpectedOutcome::Fault && !expect.names_causes();
    !any && (expect.outcome == ExpectedOutcome::Healthy || !expect.admits(rule))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn scenario(expect: &str, never: &str) -> Scenario {
        Scenario::parse(&format!(
            "topology: two-nodes\nrun: diagnose\nexpect: {expect}\nnever: {never}\n"
        ))
        .unwrap()
    }

    fn report(outcome: &str, verdicts: &Value) -> PrintedReport {
        serde_json::from_value(json!({"outcome": outcome, "verdicts": verdicts})).unwrap()
    }

    fn dropped() -> Value {
        json!([
            {"rule": "netfilter-drop", "severity": "fatal", "cause": true, "says": "a rule on x drops it", "because": ["3 SYNs met filter FORWARD"],
             "where": {"netns": "lab-1-0-x", "interface": "cbr0", "rule": {"backend": "legacy", "chain": "FORWARD", "handle": 3, "text": "-A FORWARD -p tcp -j DROP"}}},
            {"rule": "dns-server-unreachable", "cause": false, "where": {"object": {"kind": "Service", "name": "dns"}}},
        ])
    }

    /// The number of reasons why it is wrong, and of false accusations.
    fn judged(expect: &str, never: &str, report: &PrintedReport, exit_code: i32) -> (usize, usize) {
        let real = ["a", "b", "c", "x", "y"].map(|name| (name.to_owned(), format!("lab-1-0-{name}")));
        let real = BTreeMap::from(real);
        let judgement = judge(&scenario(expect, never), report, Some(exit_code), &real);
        (judgement.wrong.len(), judgement.false_accusations)
    }

    #[test]
    fn a_fault_is_right_when_all_that_is_expected_is_there() {
        let report = report("fault", &dropped());
        for expect in [
            "{outcome: fault, cause: netfilter-drop}",
            "{outcome: fault, cause: [bpf-drop, netfilter-drop]}",
            "{outcome: fault, cause: netfilter-drop, where: {netns: x}}",
            "{outcome: fault, cause: netfilter-drop, where: {netns: lab-1-0-x, interface: cbr0, rule: {chain: FORWARD, handle: 3}}}",
            "{outcome: fault, cause: netfilter-drop, where: {rule: FORWARD}}",
            "{outcome: fault, cause: netfilter-drop, where: {rule: {text: '-p tcp'}}}",
            "{outcome: fault, cause: netfilter-drop, because: [FORWARD, drops it]}",
            "{outcome: fault, cause: netfilter-drop, also: [dns-server-unreachable]}",
            "{outcome: fault}",
        ] {
            assert_eq!(judged(expect, "[port-closed]", &report, 1), (0, 0), "{expect}");
        }
    }

    #[test]
    fn each_thing_that_differs_is_said() {
        let report = report("fault", &dropped());
        for (expect, never, exit_code, wrong) in [
            ("{outcome: fault, cause: bpf-drop}", "[]", 1, (2, 1)),
            ("{outcome: fault, cause: netfilter-drop}", "[]", 0, (1, 0)),
            (
                "{outcome: fault, cause: netfilter-drop, where: {netns: y}}",
                "[]",
                1,
                (1, 0),
            ),
            (
                "{outcome: fault, cause: netfilter-drop, where: {rule: {chain: INPUT}}}",
                "[]",
                1,
                (1, 0),
            ),
            (
                "{outcome: fault, cause: netfilter-drop, where: {pod: a}}",
                "[]",
                1,
                (1, 0),
            ),
            (
                "{outcome: fault, cause: netfilter-drop, because: [INPUT]}",
                "[]",
                1,
                (1, 0),
            ),
            (
                "{outcome: fault, cause: netfilter-drop, also: [packet-loss]}",
                "[]",
                1,
                (1, 0),
            ),
            (
                "{outcome: fault, cause: netfilter-drop}",
                "[dns-server-unreachable]",
                1,
                (1, 1),
            ),
            ("{outcome: healthy}", "[]", 1, (2, 1)),
            ("{outcome: inconclusive}", "[]", 1, (2, 1)),
        ] {
            assert_eq!(
                judged(expect, never, &report, exit_code),
                wrong,
                "{expect} never {never}"
            );
        }
    }

    #[test]
    fn a_healthy_path_bears_findings_but_no_cause() {
        let expect = "{outcome: healthy, also: [dns-search-amplification]}";
        let info = |cause: bool| {
            report(
                "healthy",
                &json!([{"rule": "dns-search-amplification", "severity": "info", "cause": cause}]),
            )
        };
        assert_eq!(judged(expect, "[]", &info(false), 0), (0, 0));
        assert_eq!(judged(expect, "[]", &info(true), 0), (1, 1));
        assert_eq!(
            judged("{outcome: healthy}", "[]", &report("healthy", &json!([])), 0),
            (0, 0)
        );
    }

    #[test]
    fn a_fault_without_its_cause_is_not_right() {
        let none = report("fault", &json!([]));
        assert_eq!(judged("{outcome: fault, cause: no-route}", "[]", &none, 1), (1, 0));
        assert_eq!(
            judged(
                "{outcome: fault, cause: no-route}",
                "[]",
                &report("inconclusive", &json!([])),
                3
            ),
            (2, 0)
        );
    }

    #[test]
    fn a_pod_may_be_named_without_its_namespace() {
        let verdicts = json!([{"rule": "port-closed", "cause": true, "where": {"pod": "scenario-1-0/web"}}]);
        let report = report("fault", &verdicts);
        let judged = |pod: &str| {
            let expect = format!("{{outcome: fault, cause: port-closed, where: {{pod: {pod}}}}}");
            judged(&expect, "[]", &report, 1)
        };
        assert_eq!(judged("web"), (0, 0));
        assert_eq!(judged("eb"), (1, 0));
    }

    #[test]
    fn an_object_may_be_named_by_its_name() {
        let verdicts = json!([{"rule": "service-without-endpoints", "cause": true, "where": {"object": {"kind": "Service", "namespace": "t", "name": "web"}}}]);
        let report = report("fault", &verdicts);
        assert_eq!(
            judged(
                "{outcome: fault, cause: service-without-endpoints, where: {object: web}}",
                "[]",
                &report,
                1
            ),
            (0, 0)
        );
        assert_eq!(
            judged(
                "{outcome: fault, cause: service-without-endpoints, where: {object: api}}",
                "[]",
                &report,
                1
            ),
            (1, 0)
        );
    }

    const X_DROPS: &str =
        "{cause: netfilter-drop, where: {netns: x}, conversations: [{to: 'c:80', tried: 38, failed: '14..16'}]}";
    const Y_DROPS: &str = "{cause: netfilter-drop, where: {netns: y}}";
    const NOBODY_LISTENS: &str = "{cause: [port-closed, listener-on-other-address], conversations: [{to: '10.96.0.10:80', from: b, protocol: tcp, failed: '>=3'}]}";

    /// What `diagnose pod netns/lab-1-0-a` prints: neither destination, nor path, nor attempts.
    fn one_end() -> PrintedReport {
        serde_json::from_str(
            r#"{"apiVersion": "skoop/v1", "kind": "Diagnosis", "intent": "pod", "source": {"netns": "lab-1-0-a"}, "outcome": "fault",
                "headline": "three things are wrong", "verdicts": [
                {"rule": "netfilter-drop", "severity": "fatal", "cause": true, "says": "a rule drops it", "because": ["FORWARD"], "where": {"netns": "lab-1-0-y"},
                 "conversations": [{"source": "netns/lab-1-0-a", "destination": "netns/lab-1-0-c", "port": 81, "protocol": "tcp", "tried": 4, "failed": 4, "lost": 8, "waited_ms": 4000}]},
                {"rule": "netfilter-drop", "severity": "fatal", "cause": true, "says": "a rule drops it", "because": ["FORWARD"], "where": {"netns": "lab-1-0-x"},
                 "conversations": [{"source": "netns/lab-1-0-a", "destination": "netns/lab-1-0-b", "port": 80, "protocol": "tcp", "tried": 38, "failed": 15, "lost": 0, "waited_ms": 0.5},
                                   {"source": "netns/lab-1-0-a", "destination": "netns/lab-1-0-c", "port": 80, "protocol": "tcp", "tried": 38, "failed": 14, "lost": 28, "waited_ms": 14000}]},
                {"rule": "port-closed", "severity": "fatal", "cause": true, "where": {"netns": "lab-1-0-b"},
                 "conversations": [{"source": "netns/lab-1-0-b", "destination": "10.96.0.10", "port": 80, "protocol": "tcp", "tried": 3, "failed": 3}]}],
                "seen": {"connections": 312, "lookups": 0, "datagrams": 0, "peers": 2, "connect_p99_ms": 1.2}, "missing": [], "nodes": ["local"], "timing": {}}"#,
        )
        .unwrap()
    }

    #[test]
    fn several_causes_are_right_in_any_order() {
        for causes in [
            [X_DROPS, Y_DROPS, NOBODY_LISTENS].join(", "),
            [NOBODY_LISTENS, Y_DROPS, X_DROPS].join(", "),
            // One that any of two would fit must not take the other's.
            ["netfilter-drop", X_DROPS, "port-closed"].join(", "),
            ["netfilter-drop", "netfilter-drop", "port-closed"].join(", "),
        ] {
            let expect = format!(
                "{{outcome: fault, causes: [{causes}], seen: {{connections: '>=300', lookups: 0, connect_p99_ms: '<=2'}}}}"
            );
            assert_eq!(judged(&expect, "[]", &one_end(), 1), (0, 0), "{causes}");
        }
    }

    #[test]
    fn a_cause_too_many_is_a_false_accusation_and_one_too_few_is_wrong() {
        for (causes, expected) in [
            ([X_DROPS, Y_DROPS].join(", "), (1, 1)),
            ([X_DROPS, NOBODY_LISTENS].join(", "), (1, 1)),
            ([X_DROPS, Y_DROPS, NOBODY_LISTENS, "no-route"].join(", "), (1, 0)),
            ([X_DROPS, Y_DROPS, Y_DROPS, NOBODY_LISTENS].join(", "), (1, 0)),
            (["no-route"].join(", "), (4, 3)),
        ] {
            let expect = format!("{{outcome: fault, causes: [{causes}]}}");
            assert_eq!(judged(&expect, "[]", &one_end(), 1), expected, "{causes}");
        }
    }

    #[test]
    fn what_a_cause_cost_is_compared() {
        let wrong = |conversation: &str| {
            let causes = format!(
                "{{cause: netfilter-drop, where: {{netns: x}}, conversations: [{conversation}]}}, {Y_DROPS}, port-closed"
            );
            let expect = format!("{{outcome: fault, causes: [{causes}]}}");
            judged(&expect, "[]", &one_end(), 1).0
        };
        for right in [
            "{to: 'c:80'}",
            "{to: 'c:80', from: a, protocol: tcp, tried: 38, failed: 14, lost: '>=28', waited_ms: '<=14000'}",
            "{to: 'b:80', waited_ms: '0.4..0.6'}",
        ] {
            assert_eq!(wrong(right), 0, "{right}");
        }
        for differs in [
            "{to: 'c:81'}",
            "{to: 'x:80'}",
            "{to: '10.90.2.2:80'}",
            "{to: 'c:80', from: b}",
            "{to: 'c:80', protocol: udp}",
            "{to: 'c:80', failed: 15}",
            "{to: 'c:80', tried: '>=39'}",
            "{to: 'c:80', lost: 0}",
        ] {
            assert_eq!(wrong(differs), 1, "{differs}");
        }
    }

    #[test]
    fn what_was_seen_is_compared() {
        let healthy: PrintedReport =
            serde_json::from_str(r#"{"outcome": "healthy", "seen": {"connections": 12}}"#).unwrap();
        for (seen, wrong) in [
            ("{connections: 12}", 0),
            ("{connections: '>=13'}", 1),
            ("{lookups: 0}", 1),
        ] {
            let expect = format!("{{outcome: healthy, seen: {seen}}}");
            assert_eq!(judged(&expect, "[]", &healthy, 0), (wrong, 0), "{seen}");
        }
    }
}
