//! The judge: what a scenario expects against what the report says. Pure.
use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::scenario::{ExpectedOutcome, Scenario};

/// The part of a report (`skoop/v1`, `Diagnosis`) that is judged.
#[derive(Debug, Clone, Deserialize)]
pub struct PrintedReport {
    /// How the diagnosis ended.
    pub outcome: ExpectedOutcome,
    /// Its verdicts, causes ranked first.
    #[serde(default)]
    pub verdicts: Vec<PrintedVerdict>,
    /// What could not be seen.
    #[serde(default)]
    pub missing: Vec<Value>,
}

/// One verdict of a report.
#[derive(Debug, Clone, Deserialize)]
pub struct PrintedVerdict {
    /// The rule's id.
    pub rule: String,
    /// Whether it is a root cause (else a symptom, or only worth knowing).
    #[serde(default)]
    pub cause: bool,
    /// Where.
    #[serde(default, rename = "where")]
    pub place: Map<String, Value>,
    /// The cause in a sentence.
    #[serde(default)]
    pub says: String,
    /// The proof.
    #[serde(default)]
    pub because: Vec<String>,
}

/// What the judge found.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ScenarioJudgement {
    /// Why it is not right; empty when it is.
    pub wrong: Vec<String>,
    /// Causes named that are none, and rules that must not appear.
    pub false_accusations: usize,
}

impl PrintedReport {
    /// The first verdict that is a cause.
    pub fn cause(&self) -> Option<&PrintedVerdict> {
        self.verdicts.iter().find(|verdict| verdict.cause)
    }
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
    if !expect.cause.is_empty() {
        match report.cause() {
            None => wrong(format!(
                "no cause is named, where {} was expected",
                expect.cause.join(" or ")
            )),
            Some(cause) => {
                if !expect.cause.contains(&cause.rule) {
                    wrong(format!(
                        "the first cause is {}, not {}",
                        cause.rule,
                        expect.cause.join(" or ")
                    ));
                }
                for (key, expected) in &expect.place {
                    let found = cause.place.get(key).unwrap_or(&Value::Null);
                    if !matches(key, expected, found, real) {
                        wrong(format!("where.{key} is {found}, not {expected}"));
                    }
                }
                let proof = cause.because.iter().chain([&cause.says]);
                for text in expect
                    .because
                    .iter()
                    .filter(|text| !proof.clone().any(|line| line.contains(text.as_str())))
                {
                    wrong(format!(
                        "`{text}` occurs neither in what {} says nor in its proof",
                        cause.rule
                    ));
                }
            }
        }
    }
    for rule in expect
        .also
        .iter()
        .filter(|rule| !report.verdicts.iter().any(|verdict| verdict.rule == **rule))
    {
        wrong(format!("{rule} is not in the report"));
    }
    for verdict in &report.verdicts {
        let rule = &verdict.rule;
        let forbidden = scenario.never.contains(rule);
        if forbidden || falsely_accused(scenario, verdict) {
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

/// A cause is a false accusation on a healthy path, and where it is not among those expected. (A fault of which the
/// scenario names no cause accuses nobody falsely.)
fn falsely_accused(scenario: &Scenario, verdict: &PrintedVerdict) -> bool {
    let expect = &scenario.expect;
    let expected = || {
        expect
            .cause
            .iter()
            .chain(&expect.also)
            .any(|rule| *rule == verdict.rule)
    };
    let any = expect.outcome == ExpectedOutcome::Fault && expect.cause.is_empty();
    verdict.cause && !any && (expect.outcome == ExpectedOutcome::Healthy || !expected())
}

/// Whether `found` has the parts `expected` names. A namespace of the scenario is found by its real name, with or
/// without `netns/`; a text against an object is one of its values (`object: web`); a rule's text need only contain it,
/// a table may have its family before its name (`inet filter`), and a
/// pod its namespace.
fn matches(key: &str, expected: &Value, found: &Value, real: &BTreeMap<String, String>) -> bool {
    match (expected, found) {
        (Value::Object(expected), Value::Object(found)) => expected
            .iter()
            .all(|(key, value)| matches(key, value, found.get(key).unwrap_or(&Value::Null), real)),
        (Value::Array(any), _) => any.iter().any(|one| matches(key, one, found, real)),
        (_, Value::Object(found)) => found
            .iter()
            .any(|(key, value)| !value.is_object() && matches(key, expected, value, real)),
        _ => {
            let (expected, found) = (text(expected), text(found));
            let bare = found.strip_prefix("netns/").unwrap_or(&found);
            expected == found
                || real.get(&expected).is_some_and(|name| name == bare)
                || (key == "pod" && found.ends_with(&format!("/{expected}")))
                || (key == "text" && found.contains(&expected))
                || (key == "table" && found.ends_with(&format!(" {expected}")))
        }
    }
}

fn text(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Null => String::new(),
        other => other.to_string(),
    }
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
        let real = BTreeMap::from([
            ("x".to_owned(), "lab-1-0-x".to_owned()),
            ("y".to_owned(), "lab-1-0-y".to_owned()),
        ]);
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
}
