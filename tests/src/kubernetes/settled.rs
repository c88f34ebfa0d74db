//! Whether kube-proxy has written what the services of a namespace ask for. A service is not ready with its pods: rules
//! follow up to a second later, and a run in between would see a fault that nobody made.
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Result, bail};
use serde_json::Value;

use super::cluster::Cluster;

const WITHIN: Duration = Duration::from_secs(15);
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// What a node's service rules are in, whichever mode its kube-proxy has.
const RULES: &str =
    "for family in ip ip6; do ${family}tables-save; nft list table $family kube-proxy; done 2>/dev/null; true";

/// Of another cluster's nodes nothing can be seen: it gets the second that kube-proxy gathers changes for
/// (`iptables.minSyncPeriod`), and one to write them.
const UNSEEN: Duration = Duration::from_secs(2);

/// Waits until every node of the project's own cluster has rules for the namespace's services. Services without a selector
/// or a cluster address have nothing to wait for.
pub fn wait(cluster: &Cluster, namespace: &str) -> Result<()> {
    let list = |kind: &str| cluster.json(&["-n", namespace, "get", kind]);
    let services = list("services")?;
    if items(&services).next().is_none() {
        return Ok(());
    }
    if cluster.own().is_none() {
        sleep(UNSEEN);
        return Ok(());
    }
    let started = Instant::now();
    loop {
        let wanted = addresses(&services, &list("endpointslices.discovery.k8s.io")?);
        let mut lacking = Vec::new();
        for node in cluster.nodes().values() {
            let rules = cluster.on_node(node, RULES)?;
            let missing = wanted.iter().filter(|address| !mentions(&rules, address));
            lacking.extend(missing.map(|address| format!("{address} on {node}")));
        }
        if lacking.is_empty() {
            return Ok(());
        }
        if started.elapsed() > WITHIN {
            bail!(
                "kube-proxy has written no rule within {WITHIN:?} for {}",
                lacking.join(", ")
            );
        }
        sleep(LOOK_EVERY);
    }
}

/// Addresses that the rules of every node must name: of services, and of endpoints that every node may use.
fn addresses(services: &Value, slices: &Value) -> Vec<String> {
    let mut wanted = Vec::new();
    for service in items(services) {
        let spec = &service["spec"];
        let own = spec["clusterIPs"].as_array().into_iter().flatten();
        let mut own = own
            .filter_map(Value::as_str)
            .filter(|address| *address != "None")
            .peekable();
        if own.peek().is_none() {
            continue;
        }
        wanted.extend(own.map(str::to_owned));
        if spec["internalTrafficPolicy"] == "Local" {
            continue;
        }
        let name = &service["metadata"]["name"];
        for slice in items(slices).filter(|slice| slice["metadata"]["labels"]["kubernetes.io/service-name"] == *name) {
            let ready = slice["endpoints"]
                .as_array()
                .into_iter()
                .flatten()
                .filter(|endpoint| endpoint["conditions"]["ready"] != false);
            // A slice without ports leads nowhere (a port name that no container has).
            if slice["ports"].as_array().is_some_and(|ports| !ports.is_empty()) {
                let each = ready.filter_map(|endpoint| endpoint["addresses"][0].as_str());
                wanted.extend(each.map(str::to_owned));
            }
        }
    }
    wanted
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list["items"].as_array().into_iter().flatten()
}

/// Whether a text has this address, and not only one that begins like it.
fn mentions(text: &str, address: &str) -> bool {
    text.match_indices(address).any(|(at, _)| {
        let after = text[at + address.len()..].chars().next();
        let before = text[..at].chars().next_back();
        ![before, after]
            .into_iter()
            .flatten()
            .any(|letter| letter.is_ascii_hexdigit())
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn services_and_their_ready_endpoints_must_be_named() {
        let service = |name: &str, more: Value| {
            let mut service = json!({"metadata": {"name": name}, "spec": {"clusterIPs": ["10.96.0.7"]}});
            for (key, value) in more.as_object().unwrap() {
                service["spec"][key] = value.clone();
            }
            json!({"items": [service]})
        };
        let slices = json!({"items": [{
            "metadata": {"labels": {"kubernetes.io/service-name": "web"}},
            "ports": [{"port": 80}],
            "endpoints": [
                {"addresses": ["10.244.1.2"], "conditions": {"ready": true}},
                {"addresses": ["10.244.1.3"], "conditions": {"ready": false}},
            ],
        }]});
        assert_eq!(
            addresses(&service("web", json!({})), &slices),
            ["10.96.0.7", "10.244.1.2"]
        );
        assert_eq!(addresses(&service("api", json!({})), &slices), ["10.96.0.7"]);
        assert_eq!(
            addresses(&service("web", json!({"internalTrafficPolicy": "Local"})), &slices),
            ["10.96.0.7"]
        );
        assert!(addresses(&service("web", json!({"clusterIPs": ["None"]})), &slices).is_empty());
    }

    #[test]
    fn an_address_is_not_the_beginning_of_another() {
        assert!(mentions("-d 10.96.0.1/32", "10.96.0.1"));
        assert!(!mentions("-d 10.96.0.10/32", "10.96.0.1"));
        assert!(!mentions("-d 110.96.0.1", "10.96.0.1"));
        assert!(mentions("-d fd00:96::2/128", "fd00:96::2"));
        assert!(!mentions("-d fd00:96::2a/128", "fd00:96::2"));
    }
}
