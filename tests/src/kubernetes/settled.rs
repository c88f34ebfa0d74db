//! Whether a node's kube-proxy, or Cilium in its place, has written what the services of a namespace ask for. A service is not
//! ready with its pods: rules follow up to a second later, and a run in between would see a fault that nobody made.
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::cilium_services;
use super::cluster::TestCluster;

const WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// What a node's service rules are in, whichever mode its kube-proxy has.
pub const RULES: &str =
    "for family in ip ip6; do ${family}tables-save; nft list table $family kube-proxy; done 2>/dev/null; true";

/// Of another cluster's nodes nothing can be seen: it gets the second that kube-proxy gathers changes for
/// (`iptables.minSyncPeriod`), and one to write them.
const UNSEEN: Duration = Duration::from_secs(2);

/// Waits until the slices of the namespace's services name their ready pods, and every node of the project's own cluster
/// has rules for both. Services without a cluster address need no rules.
pub fn wait(cluster: &TestCluster, namespace: &str) -> Result<()> {
    let list = |kind: &str| cluster.json(&["-n", namespace, "get", kind]);
    let services = list("services")?;
    if items(&services).next().is_none() {
        return Ok(());
    }
    if cluster.own().is_none() {
        sleep(UNSEEN);
        return Ok(());
    }
    let network = cluster.network().map_or("", |network| network.name.as_str());
    let (by_proxy, by_cilium) = (network != "cilium-kpr", network.starts_with("cilium"));
    let started = Instant::now();
    loop {
        let (pods, slices) = (list("pods")?, list("endpointslices.discovery.k8s.io")?);
        let mut lacking = unlisted(&services, &pods, &slices);
        for node in cluster.nodes().values() {
            let mut missing = wanted(&services, &slices, node);
            let rules = if by_proxy {
                cluster.on_node(node, RULES)?
            } else {
                String::new()
            };
            let told = if by_cilium {
                cilium_services::read(cluster, node)?
            } else {
                Vec::new()
            };
            missing.retain(|rule| {
                let lacks_proxys = by_proxy && !rule.is_in(&rules, namespace);
                lacks_proxys || (by_cilium && !told.contains(&rule.address))
            });
            let missing = missing.into_iter();
            lacking.extend(missing.map(|rule| format!("a rule for {} of {} on {node}", rule.address, rule.service)));
        }
        if lacking.is_empty() {
            return Ok(());
        }
        if started.elapsed() > WITHIN {
            bail!("not there within {WITHIN:?}: {}", lacking.join(", "));
        }
        sleep(LOOK_EVERY);
    }
}

/// What a node's rules must name together, on one line or in a chain called after the service: a service, and its own address
/// or that of an endpoint it may send to.
#[derive(Debug, PartialEq, Eq)]
struct Rule {
    service: String,
    address: String,
}

impl Rule {
    fn is_in(&self, rules: &str, namespace: &str) -> bool {
        let service = format!("{namespace}/{}", self.service);
        let mut chain = "";
        rules.lines().any(|line| {
            if line.ends_with('{') {
                chain = line;
            }
            mentions(line, &self.address) && (mentions(line, &service) || mentions(chain, &service))
        })
    }
}

/// Ready pods that a service selects, and no slice of it names yet.
fn unlisted(services: &Value, pods: &Value, slices: &Value) -> Vec<String> {
    let mut lacking = Vec::new();
    for service in items(services) {
        let Some(selector) = service["spec"]["selector"]
            .as_object()
            .filter(|labels| !labels.is_empty())
        else {
            continue;
        };
        for pod in items(pods).filter(|pod| is_ready(pod)) {
            let selected = selector
                .iter()
                .all(|(key, value)| pod["metadata"]["labels"][key] == *value);
            let name = &pod["metadata"]["name"];
            let listed = || {
                slices_of(service, slices)
                    .flat_map(endpoints)
                    .any(|endpoint| endpoint["targetRef"]["name"] == *name && endpoint["conditions"]["ready"] != false)
            };
            if selected && !listed() {
                lacking.push(format!(
                    "an endpoint of {} for the pod {name}",
                    service["metadata"]["name"]
                ));
            }
        }
    }
    lacking
}

/// What the rules of a node must name of the services: their own addresses, and those of the endpoints that it may use.
fn wanted(services: &Value, slices: &Value, node: &str) -> Vec<Rule> {
    let mut wanted = Vec::new();
    for service in items(services) {
        let spec = &service["spec"];
        let own = spec["clusterIPs"].as_array().into_iter().flatten();
        let own: Vec<_> = own
            .filter_map(Value::as_str)
            .filter(|address| *address != "None")
            .collect();
        if own.is_empty() {
            continue;
        }
        let near_alone = spec["internalTrafficPolicy"] == "Local";
        // A slice without ports leads nowhere (a port name that no container has).
        let far = slices_of(service, slices)
            .filter(|slice| slice["ports"].as_array().is_some_and(|ports| !ports.is_empty()))
            .flat_map(endpoints)
            .filter(|endpoint| endpoint["conditions"]["ready"] != false)
            .filter(|endpoint| !near_alone || endpoint["nodeName"] == node)
            .filter_map(|endpoint| endpoint["addresses"][0].as_str());
        wanted.extend(own.into_iter().chain(far).map(|address| Rule {
            service: service["metadata"]["name"].as_str().unwrap_or_default().to_owned(),
            address: address.to_owned(),
        }));
    }
    wanted
}

fn slices_of<'list>(service: &'list Value, slices: &'list Value) -> impl Iterator<Item = &'list Value> {
    let name = &service["metadata"]["name"];
    items(slices).filter(move |slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == *name)
}

fn endpoints(slice: &Value) -> impl Iterator<Item = &Value> {
    slice["endpoints"].as_array().into_iter().flatten()
}

fn is_ready(pod: &Value) -> bool {
    let conditions = pod["status"]["conditions"].as_array().into_iter().flatten();
    pod["metadata"]["deletionTimestamp"].is_null()
        && conditions
            .filter(|condition| condition["type"] == "Ready")
            .any(|condition| condition["status"] == "True")
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

/// Whether a text has this name or address, and not only one that begins or ends like it.
fn mentions(text: &str, name: &str) -> bool {
    text.match_indices(name).any(|(at, _)| {
        let after = text[at + name.len()..].chars().next();
        let before = text[..at].chars().next_back();
        // Names of chains have a hash and a hyphen before the service.
        !after.is_some_and(|letter| letter.is_ascii_alphanumeric() || letter == '-')
            && !before.is_some_and(|letter| letter.is_ascii_alphanumeric())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn service(more: &Value) -> Value {
        let mut spec = json!({"clusterIPs": ["10.96.0.7"], "selector": {"app": "web"}});
        spec.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        json!({"items": [{"metadata": {"name": "web"}, "spec": spec}]})
    }

    fn slices() -> Value {
        let endpoint = |address: &str, node: &str, ready: bool| {
            json!({"addresses": [address], "nodeName": node, "conditions": {"ready": ready},
                "targetRef": {"name": format!("web-{node}")}})
        };
        json!({"items": [{
            "metadata": {"labels": {"kubernetes.io/service-name": "web"}},
            "ports": [{"port": 80}],
            "endpoints": [
                endpoint("10.244.1.2", "n1", true),
                endpoint("10.244.1.3", "n1", false),
                endpoint("10.244.2.2", "n2", true),
            ],
        }]})
    }

    #[test]
    fn services_and_the_ready_endpoints_a_node_may_use_must_be_named() {
        let addresses = |more: &Value, slices: &Value| -> Vec<String> {
            let wanted = wanted(&service(more), slices, "n1");
            wanted.into_iter().map(|rule| rule.address).collect()
        };
        assert_eq!(
            addresses(&json!({}), &slices()),
            ["10.96.0.7", "10.244.1.2", "10.244.2.2"]
        );
        assert_eq!(
            addresses(&json!({"internalTrafficPolicy": "Local"}), &slices()),
            ["10.96.0.7", "10.244.1.2"]
        );
        assert_eq!(addresses(&json!({}), &json!({"items": []})), ["10.96.0.7"]);
        assert!(addresses(&json!({"clusterIPs": ["None"]}), &slices()).is_empty());
    }

    #[test]
    fn a_ready_pod_that_no_slice_names_yet_is_lacking() {
        let pod = |name: &str, label: &str, ready: &str| {
            json!({"metadata": {"name": name, "labels": {"app": label}},
                "status": {"conditions": [{"type": "Ready", "status": ready}]}})
        };
        let lacking = |pod: Value| unlisted(&service(&json!({})), &json!({"items": [pod]}), &slices()).len();
        assert_eq!(lacking(pod("web-n2", "web", "True")), 0);
        assert_eq!(lacking(pod("web-n3", "web", "True")), 1);
        assert_eq!(lacking(pod("web-n3", "web", "False")), 0);
        assert_eq!(lacking(pod("web-n3", "api", "True")), 0);
    }

    #[test]
    fn rules_of_both_modes_name_service_and_endpoint_together() {
        let rule = |service: &str, address: &str| Rule {
            service: service.into(),
            address: address.into(),
        };
        let iptables = r#"-A KUBE-SVC-X -m comment --comment "lab/web -> 10.244.1.2:8080" -j KUBE-SEP-Y"#;
        let nftables = "chain service-GL6-lab/web/tcp/ {\n dnat ip to numgen random mod 1 map { 0 : 10.244.1.2 . 8080 }\n}\n\
            chain service-GL7-lab/api/tcp/ {\n}";
        for rules in [iptables, nftables] {
            assert!(rule("web", "10.244.1.2").is_in(rules, "lab"), "{rules}");
            assert!(!rule("api", "10.244.1.2").is_in(rules, "lab"), "{rules}");
            assert!(!rule("web", "10.244.1.20").is_in(rules, "lab"), "{rules}");
        }
    }

    #[test]
    fn an_address_is_not_the_beginning_of_another() {
        assert!(mentions("-d 10.96.0.1/32", "10.96.0.1"));
        assert!(!mentions("-d 10.96.0.10/32", "10.96.0.1"));
        assert!(!mentions("-d 110.96.0.1", "10.96.0.1"));
        assert!(mentions("-d fd00:96::2/128", "fd00:96::2"));
        assert!(!mentions("-d fd00:96::2a/128", "fd00:96::2"));
        assert!(!mentions("lab/web-2", "lab/web"));
    }
}
