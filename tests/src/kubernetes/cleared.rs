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

/// Whether rules still lead to a service of the namespace: kube-proxy calls each by `namespace/name`, in comments and in names of
/// chains. A service's own chains may stay a while longer, where nothing leads to them any more.
fn names(rules: &str, namespace: &str) -> bool {
    let prefix = format!("{namespace}/");
    let mut chain_of_service = false;
    rules.lines().any(|line| {
        let text = line.trim_start();
        if let Some(chain) = text.strip_prefix("chain ") {
            chain_of_service = mentions(chain, &prefix);
        } else if text.starts_with('}') {
            chain_of_service = false;
        }
        let of_service = chain_of_service || OF_SERVICES.iter().any(|start| text.starts_with(start));
        !of_service && mentions(text, &prefix)
    })
}

/// Rules of chains that kube-proxy makes for one service or endpoint.
const OF_SERVICES: [&str; 6] = [
    "-A KUBE-SVC-",
    "-A KUBE-SVL-",
    "-A KUBE-EXT-",
    "-A KUBE-FW-",
    "-A KUBE-SEP-",
    "-A KUBE-XLB-",
];

/// Whether a text has this beginning of a name, and not only the end of one.
fn mentions(text: &str, prefix: &str) -> bool {
    text.match_indices(prefix).any(|(at, _)| {
        let before = text[..at].chars().next_back();
        !before.is_some_and(|letter| letter.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use super::names;

    #[test]
    fn rules_of_both_modes_are_searched_for_the_namespace() {
        let iptables = r#"-A KUBE-SERVICES -d 203.0.113.7/32 -m comment --comment "scenario-1-2/web:http external IP" -j KUBE-EXT-X"#;
        let nftables =
            "map service-ips {\n elements = { 10.96.0.7 . tcp . 80 : goto service-X-scenario-1-2/web/tcp/http }\n}";
        for rules in [iptables, nftables] {
            assert!(names(rules, "scenario-1-2"), "{rules}");
            assert!(!names(rules, "scenario-1-20"), "{rules}");
            assert!(!names(rules, "scenario-1"), "{rules}");
        }
        assert!(!names(r#"--comment "ascenario-1-2/web""#, "scenario-1-2"));
    }

    #[test]
    fn chains_to_which_nothing_leads_any_more_do_no_harm() {
        let iptables = r#"-A KUBE-SVC-X -m comment --comment "scenario-1-2/web:http -> 10.244.1.2:80" -j KUBE-SEP-Y"#;
        let nftables =
            "chain service-X-scenario-1-2/web/tcp/http {\n ip daddr 10.96.0.7 jump endpoint-Y-scenario-1-2/web\n}";
        for rules in [iptables, nftables] {
            assert!(!names(rules, "scenario-1-2"), "{rules}");
        }
        assert!(names(
            &format!("{nftables}\nmap m {{ goto service-X-scenario-1-2/web }}"),
            "scenario-1-2"
        ));
    }
}
