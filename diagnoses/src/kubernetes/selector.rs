//! Label selectors: what they select, in words too, and which labels come near to one.

use model::inventory::{LabelExpression, LabelSelector, Pod, Service};
use std::collections::BTreeMap;

/// Labels of an object.
pub type Labels = BTreeMap<String, String>;

/// The selector selects an object with these labels (`metav1.LabelSelector`: all of it must hold, an empty one selects
/// everything).
#[must_use]
pub fn selects(selector: &LabelSelector, labels: &Labels) -> bool {
    has_all(&selector.match_labels, labels) && selector.match_expressions.iter().all(|wanted| holds(wanted, labels))
}

/// Every one of these labels is there, with this value.
#[must_use]
pub fn has_all(wanted: &Labels, labels: &Labels) -> bool {
    wanted.iter().all(|(key, value)| labels.get(key) == Some(value))
}

/// A service selects a pod: one of its own namespace, and none where it has no selector.
#[must_use]
pub fn service_selects(service: &Service, pod: &Pod) -> bool {
    let may = pod.namespace == service.namespace && !service.selector.is_empty();
    may && has_all(&service.selector, &pod.labels)
}

fn holds(wanted: &LabelExpression, labels: &Labels) -> bool {
    let value = labels.get(&wanted.key);
    match wanted.operator.as_str() {
        "In" => value.is_some_and(|value| wanted.values.contains(value)),
        "NotIn" => value.is_none_or(|value| !wanted.values.contains(value)),
        "Exists" => value.is_some(),
        "DoesNotExist" => value.is_none(),
        _ => false,
    }
}

/// Nothing is asked of the labels.
#[must_use]
pub fn is_empty(selector: &LabelSelector) -> bool {
    selector.match_labels.is_empty() && selector.match_expressions.is_empty()
}

/// The labels that it asks about.
pub fn keys(selector: &LabelSelector) -> impl Iterator<Item = &str> {
    let of_labels = selector.match_labels.keys().map(String::as_str);
    of_labels.chain(selector.match_expressions.iter().map(|wanted| wanted.key.as_str()))
}

/// As `kubectl -l` takes it: `app=web,tier in (a,b),!old`.
#[must_use]
pub fn words(selector: &LabelSelector) -> String {
    let mut parts: Vec<String> = pairs(&selector.match_labels);
    parts.extend(selector.match_expressions.iter().map(|wanted| {
        let (key, values) = (&wanted.key, wanted.values.join(","));
        match wanted.operator.as_str() {
            "In" => format!("{key} in ({values})"),
            "NotIn" => format!("{key} notin ({values})"),
            "DoesNotExist" => format!("!{key}"),
            _ => key.clone(),
        }
    }));
    parts.join(",")
}

/// `app=web,tier=front`; nothing for no labels.
#[must_use]
pub fn label_words(labels: &Labels) -> String {
    pairs(labels).join(",")
}

fn pairs(labels: &Labels) -> Vec<String> {
    labels.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// How near labels come to those wanted, from 0 to 1: the mean over the labels wanted, where a slip of the finger in the value
/// or another spelling of the key (`app`, `k8s-app`, `app.kubernetes.io/name`) counts as near.
#[must_use]
pub fn nearness(wanted: &Labels, labels: &Labels) -> f64 {
    if wanted.is_empty() {
        return 0.0;
    }
    let likeness = |key: &str, value: &str| {
        let akin = |own: &&String| own.contains(key) || key.contains(own.as_str()) || is_slip(own, key);
        match labels.get(key) {
            Some(own) if own == value => 1.0,
            Some(own) if is_slip(own, value) => 0.9,
            Some(_) => 0.3,
            None if labels.iter().any(|(own, its)| its == value && akin(&own)) => 0.8,
            None => 0.0,
        }
    };
    let sum: f64 = wanted.iter().map(|(key, value)| likeness(key, value)).sum();
    sum / wanted.len() as f64
}

/// One is the other with a letter or two wrong, missing, added or swapped.
fn is_slip(one: &str, other: &str) -> bool {
    let length = one.chars().count().min(other.chars().count());
    strsim::damerau_levenshtein(one, other) <= (length / 3).min(2)
}

#[cfg(test)]
mod tests {
    use super::{Labels, nearness, selects, words};
    use model::inventory::{LabelExpression, LabelSelector};

    fn labels(text: &str) -> Labels {
        let pairs = text.split(',').filter(|pair| !pair.is_empty());
        pairs
            .map(|pair| pair.split_once('=').unwrap())
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect()
    }

    fn expression(operator: &str, values: &[&str]) -> LabelSelector {
        LabelSelector {
            match_expressions: vec![LabelExpression {
                key: "tier".to_owned(),
                operator: operator.to_owned(),
                values: values.iter().map(|&value| value.to_owned()).collect(),
            }],
            ..LabelSelector::default()
        }
    }

    #[test]
    fn expressions_hold_as_the_api_defines_them() {
        let cases = [
            ("In", &["a", "b"][..], "tier=b", true),
            ("In", &["a", "b"], "tier=c", false),
            ("In", &["a", "b"], "", false),
            ("NotIn", &["a"], "tier=b", true),
            ("NotIn", &["a"], "tier=a", false),
            ("NotIn", &["a"], "", true),
            ("Exists", &[], "tier=", true),
            ("Exists", &[], "app=web", false),
            ("DoesNotExist", &[], "app=web", true),
            ("DoesNotExist", &[], "tier=a", false),
            ("Gt", &["1"], "tier=2", false),
        ];
        for (operator, values, own, expected) in cases {
            assert_eq!(
                selects(&expression(operator, values), &labels(own)),
                expected,
                "{operator} {values:?} on {own}"
            );
        }
    }

    #[test]
    fn an_empty_selector_selects_everything() {
        assert!(selects(&LabelSelector::default(), &labels("")));
    }

    #[test]
    fn a_selector_reads_as_kubectl_takes_it() {
        let mut selector = expression("NotIn", &["a", "b"]);
        selector.match_labels = labels("app=web");
        assert_eq!(words(&selector), "app=web,tier notin (a,b)");
    }

    #[test]
    fn a_typo_is_near_and_another_application_is_not() {
        let wanted = labels("app=wbe");
        assert!(nearness(&wanted, &labels("app=web")) > 0.8);
        assert!(nearness(&wanted, &labels("app=database")) < 0.6);
        assert!(nearness(&wanted, &labels("zone=wbe")) < 0.1);
        assert!(nearness(&wanted, &labels("app.kubernetes.io/name=wbe")) > 0.7);
    }
}
