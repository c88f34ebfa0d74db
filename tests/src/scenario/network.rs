//! On which networks of a cluster a scenario makes sense, and what a step calls alike on all of them. Pure.
use std::str::FromStr;
use std::sync::LazyLock;

use anyhow::{Error, Result, ensure};
use regex::Regex;

use super::Scenario;

/// What can give pods their network.
pub const NETWORKS: [&str; 5] = ["bridge", "flannel", "calico", "cilium", "cilium-kpr"];
/// Who can enforce policies beside a network that does not.
pub const ENGINES: [&str; 3] = ["none", "kube-network-policies", "kube-router"];
/// Those of the networks that have a bridge of this name on each node.
const WITH_CNI0: [&str; 2] = ["bridge", "flannel"];

/// What a step says for something that each network, or each run, calls otherwise.
static PLACEHOLDER: LazyLock<Option<Regex>> = LazyLock::new(|| Regex::new(r"\{tunnel\}|\{pod-veth ([^{}]+)\}").ok());

/// The network that a cluster has.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterNetwork {
    /// Who gives pods their network.
    pub name: String,
    /// Who enforces policies beside it, or `none`.
    pub engine: String,
}

impl FromStr for ClusterNetwork {
    type Err = Error;

    /// Reads what `cluster network` prints.
    fn from_str(text: &str) -> Result<Self> {
        let words: Vec<_> = text.split_whitespace().collect();
        ensure!(words.len() == 2, "`{}` is no network and policy engine", text.trim());
        Ok(Self {
            name: words[0].to_owned(),
            engine: words[1].to_owned(),
        })
    }
}

impl ClusterNetwork {
    /// Its device through which a node reaches the pods of others.
    pub fn tunnel(&self) -> Option<&'static str> {
        match self.name.as_str() {
            "flannel" => Some("flannel.1"),
            "calico" => Some("vxlan.calico"),
            "cilium" | "cilium-kpr" => Some("cilium_vxlan"),
            _ => None,
        }
    }
}

/// A placeholder of a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Placeholder {
    /// The network's tunnel device.
    Tunnel,
    /// The end on the node of a pod's interface.
    PodVeth(String),
}

/// The placeholders of a command, each as it stands there.
pub fn placeholders(command: &str) -> Vec<(String, Placeholder)> {
    let all = PLACEHOLDER.iter().flat_map(|regex| regex.captures_iter(command));
    all.map(|found| {
        let kind = found
            .get(1)
            .map_or(Placeholder::Tunnel, |pod| Placeholder::PodVeth(pod.as_str().to_owned()));
        (found[0].to_owned(), kind)
    })
    .collect()
}

/// Whether a scenario is for this network or this policy engine, and not for the bridge where nobody enforces policies.
pub fn is_own(scenario: &Scenario, name: &str) -> bool {
    [(&scenario.networks, "bridge"), (&scenario.policies, "none")]
        .iter()
        .any(|(list, plain)| {
            let names = |name: &str| list.iter().any(|one| one == name);
            names(name) && !names(plain)
        })
}

/// Why a scenario makes no sense on a cluster; of somebody else's cluster it is not known which network it has.
pub fn unfit(scenario: &Scenario, cluster: Option<&ClusterNetwork>) -> Option<String> {
    let all = scenario.all_steps();
    let mut names = scenario.networks.clone();
    if names.is_empty() && all.clone().any(|step| step.command.contains("cni0")) {
        names = WITH_CNI0.map(str::to_owned).into();
    }
    let Some(cluster) = cluster else {
        let restricted = !(scenario.networks.is_empty() && scenario.policies.is_empty());
        return restricted.then(|| "which network this cluster has is not known".to_owned());
    };
    if !names.is_empty() && !names.contains(&cluster.name) {
        return Some(format!(
            "is for the network {}, and this cluster has {}",
            names.join(" or "),
            cluster.name
        ));
    }
    if !scenario.policies.is_empty() && !scenario.policies.contains(&cluster.engine) {
        return Some(format!(
            "is for the policy engine {}, and this cluster has {}",
            scenario.policies.join(" or "),
            cluster.engine
        ));
    }
    let tunnel = all
        .flat_map(|step| placeholders(&step.command))
        .any(|(_, kind)| kind == Placeholder::Tunnel);
    (tunnel && cluster.tunnel().is_none()).then(|| format!("needs a tunnel, and {} has none", cluster.name))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn why(more: &str, cluster: Option<&str>) -> Option<String> {
        let text = format!("site: kubernetes\nrun: diagnose pod-to-pod a b:80\nexpect: {{outcome: healthy}}\n{more}");
        let cluster = cluster.map(|words| words.parse().unwrap());
        unfit(&Scenario::parse(&text).unwrap(), cluster.as_ref())
    }

    #[test]
    fn a_scenario_is_for_all_networks_unless_it_says_otherwise() {
        for network in NETWORKS {
            assert_eq!(why("", Some(&format!("{network} none"))), None);
        }
        assert_eq!(why("", None), None);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        for (more, cluster, says) in [
            ("networks: [flannel, calico]", "bridge none", "flannel or calico"),
            ("networks: bridge", "flannel none", "this cluster has flannel"),
            ("policies: none", "bridge kube-router", "this cluster has kube-router"),
            (
                "break: ['node/n1: ip link set cni0 down']",
                "calico none",
                "bridge or flannel",
            ),
            (
                "break: ['node/n1: ip link set {tunnel} down']",
                "bridge none",
                "needs a tunnel",
            ),
        ] {
            let why = why(more, Some(cluster)).unwrap();
            assert!(why.contains(says), "{why}");
        }
        assert_eq!(why("networks: [flannel]", Some("flannel none")), None);
        assert_eq!(why("policies: [none]", Some("flannel none")), None);
        assert_eq!(
            why("break: ['node/n1: ip link set {tunnel} down']", Some("flannel none")),
            None
        );
    }

    #[test]
    fn what_a_network_alone_can_show_is_its_own() {
        let own = |more: &str, name: &str| {
            let text = format!("site: kubernetes\nrun: diagnose pod a\nexpect: {{outcome: healthy}}\n{more}\n");
            is_own(&Scenario::parse(&text).unwrap(), name)
        };
        assert!(own("networks: [flannel, calico]", "calico"));
        assert!(!own("networks: [flannel, bridge]", "flannel"));
        assert!(!own("networks: [calico]", "flannel"));
        assert!(!own("", "flannel"));
        assert!(own("policies: kube-router", "kube-router"));
        assert!(!own("policies: [none, kube-router]", "kube-router"));
    }

    #[test]
    fn a_cluster_whose_network_is_not_known_gets_what_is_for_all() {
        assert!(why("networks: [bridge]", None).unwrap().contains("not known"));
        assert!(why("policies: [none]", None).is_some());
    }

    #[test]
    fn networks_and_engines_that_nobody_knows_are_errors() {
        for (more, says) in [("networks: [flanel]", "flanel"), ("policies: [all]", "`all`")] {
            let text = format!("site: kubernetes\nrun: diagnose pod a\nexpect: {{outcome: healthy}}\n{more}\n");
            let error = Scenario::parse(&text).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn placeholders_are_found_where_a_step_has_them() {
        assert_eq!(
            placeholders("ip link set {tunnel} down; tc qdisc add dev {pod-veth web} root"),
            [
                ("{tunnel}".to_owned(), Placeholder::Tunnel),
                ("{pod-veth web}".to_owned(), Placeholder::PodVeth("web".to_owned())),
            ]
        );
        assert!(placeholders("nft 'table ip t { chain c { counter; }; }'").is_empty());
    }
}
