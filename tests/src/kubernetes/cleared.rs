//! Whether a namespace that was deleted is gone: from the API, and from the rules of the nodes, which would answer for its
//! services a little longer. A scenario that began earlier would meet the one before it.
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};

use super::cluster::TestCluster;
use super::settled::RULES;

const WITHIN: Duration = Duration::from_mins(1);
const LOOK_EVERY: Duration = Duration::from_millis(200);

/// Waits until nothing of the namespace is left. Of the nodes of a cluster that is not the project's own nothing can be seen: there
/// the API alone is asked.
pub fn wait(cluster: &TestCluster, namespace: &str) -> Result<()> {
    let started = Instant::now();
    loop {
        let mut left = Vec::new();
        let arguments = ["get", "namespace", namespace, "--ignore-not-found", "-o", "name"];
        if !cluster.ask(&arguments)?.trim().is_empty() {
            left.push("the API".to_owned());
        } else if cluster.own().is_some() {
            for node in cluster.nodes().values() {
                if names(&cluster.on_node(node, RULES)?, namespace) {
                    left.push(format!("the rules of {node}"));
                }
            }
        }
        if left.is_empty() {
            return Ok(());
        }
        if started.elapsed() > WITHIN {
            bail!(
                "{namespace} was deleted, and is still in {} after {WITHIN:?}",
                left.join(" and ")
            );
        }
        sleep(LOOK_EVERY);
    }
}

/// Whether rules name a service of the namespace: kube-proxy calls each by `namespace/name`, in comments and in names of chains.
fn names(rules: &str, namespace: &str) -> bool {
    rules.match_indices(&format!("{namespace}/")).any(|(at, _)| {
        let before = rules[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn rules_of_both_modes_are_searched_for_the_namespace() {
        let iptables = r#"-A KUBE-SERVICES -d 203.0.113.7/32 -m comment --comment "scenario-1-2/web:http external IP" -j KUBE-EXT-X"#;
        let nftables = "chain external-GL6-scenario-1-2/web/tcp/http {\n}";
        for rules in [iptables, nftables] {
            assert!(names(rules, "scenario-1-2"), "{rules}");
            assert!(!names(rules, "scenario-1-20"), "{rules}");
            assert!(!names(rules, "scenario-1"), "{rules}");
        }
        assert!(!names(r#"--comment "ascenario-1-2/web""#, "scenario-1-2"));
    }
}
