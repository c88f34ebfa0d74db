//! The registry of rules: one file each, one entry in [`RULES`] each. Help, `explain` and documentation are derived from it.
//!
//! A rule reads a [`Case`] and concludes findings, or says which fact it lacked. Each lies in the folder of its [`Layer`] and
//! knows no other rule; what several need belongs into `case/`, `kernel/` or `kubernetes/`.
#![allow(clippy::unnecessary_wraps, reason = "every rule's check has one signature")]

mod compound;
mod end;
mod link;
mod names;
mod neighbour;
mod object;
mod policy;
mod quality;
mod routing;
mod translation;
mod unexplained;

use crate::case::Case;
use crate::verdict::finding::Finding;
use model::evidence::Intent;
use model::missing::Missing;

/// What a rule must be given.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Need {
    /// A probe by name.
    Probe(&'static str),
    /// A fact of each namespace on the path, by its field's name in [`model::facts::NetnsFacts`].
    Fact(&'static str),
}

/// How deep a cause lies. Where findings explain the same attempts, the deepest is the cause and the others are its symptoms;
/// within one layer the order of [`RULES`] decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// What the cluster's API says of the objects themselves: it needs no packet to be proven.
    Object,
    /// Made of several lower facts, and to be named instead of them (a limiter, a lost return route).
    Compound,
    /// Interfaces, bridges, tunnels.
    Link,
    /// ARP and ND.
    Neighbour,
    /// Routes.
    Routing,
    /// Netfilter, eBPF, `IPsec`.
    Policy,
    /// Services, NAT, connection tracking.
    Translation,
    /// Sockets and processes.
    End,
    /// Loss, delay, order.
    Quality,
    /// DNS.
    Names,
    /// Nothing names it.
    Unexplained,
}

/// A rule.
#[derive(Debug)]
pub struct Rule {
    /// Its permanent id.
    pub id: &'static str,
    /// Its source, whose `//!` head is what `explain` prints.
    source: &'static str,
    /// How deep its cause lies.
    pub layer: Layer,
    /// What it must be given.
    pub needs: &'static [Need],
    /// Reads a case. `Err` when a fact that would decide is missing.
    pub check: fn(&Case<'_>) -> Checked,
}

/// What a rule concludes, or the fact it lacked.
pub type Checked = Result<Vec<Finding>, Missing>;

impl Rule {
    /// What it is, why it happens, how it is known, what to do, and on what it stays silent.
    pub fn head(&self) -> String {
        let lines = self.source.lines().take_while(|line| line.starts_with("//!"));
        let text: Vec<&str> = lines.map(|line| line.trim_start_matches("//!").trim_start()).collect();
        text.join("\n")
    }

    /// The first sentence of its head.
    pub fn summary(&self) -> String {
        let head = self.head();
        head.split("\n\n").next().unwrap_or("").replace('\n', " ")
    }
}

/// The registry from one list: the source of a rule, what it needs and its check are found by its folder and its id.
macro_rules! rules {
    ($($folder:ident $layer:ident { $($module:ident $id:literal)* })*) => {
        /// Every rule, deepest layer first.
        pub const RULES: &[Rule] = &[
            $($(Rule {
                id: $id,
                source: include_str!(concat!(stringify!($folder), "/", stringify!($module), ".rs")),
                layer: Layer::$layer,
                needs: $folder::$module::NEEDS,
                check: $folder::$module::check,
            },)*)*
        ];
    };
}

rules! {
    object Object {
        pod_not_running "pod-not-running"
        node_not_ready "node-not-ready"
        service_not_found "service-not-found"
        service_without_endpoints "service-without-endpoints"
        service_port_mismatch "service-port-mismatch"
        endpoint_dead "endpoint-dead"
    }
    compound Compound {
        service_not_programmed "service-not-programmed"
        service_rules_stale "service-rules-stale"
        dns_misconfigured "dns-misconfigured"
        dns_search_captures_name "dns-search-captures-name"
        conntrack_full "conntrack-full"
        nat_ports_exhausted "nat-ports-exhausted"
        conntrack_stale "conntrack-stale"
        conntrack_lost "conntrack-lost"
        packet_loss "packet-loss"
        hairpin_broken "hairpin-broken"
        reply_bypasses_nat "reply-bypasses-nat"
        rate_limited "rate-limited"
        no_return_route "no-return-route"
        transparent_proxy_broken "transparent-proxy-broken"
        path_mtu_blackhole "path-mtu-blackhole"
    }
    link Link {
        interface_down "interface-down"
        interface_detached "interface-detached"
        bridge_blocked "bridge-blocked"
        overlay_broken "overlay-broken"
    }
    neighbour Neighbour {
        neighbour_stale "neighbour-stale"
        address_conflict "address-conflict"
        neighbour_unreachable "neighbour-unreachable"
    }
    routing Routing {
        route_rejects "route-rejects"
        forwarding_disabled "forwarding-disabled"
        reverse_path_filtered "reverse-path-filtered"
        martian_source "martian-source"
        no_route "no-route"
        routing_loop "routing-loop"
        ttl_too_small "ttl-too-small"
    }
    policy Policy {
        network_policy_denies "network-policy-denies"
        enforcement_differs "enforcement-differs"
        netfilter_reject "netfilter-reject"
        netfilter_drop "netfilter-drop"
        bpf_drop "bpf-drop"
        queue_agent_drops "queue-agent-drops"
        ipsec_mismatch "ipsec-mismatch"
        tcp_signature_mismatch "tcp-signature-mismatch"
    }
    translation Translation {
        tuple_still_open "tuple-still-open"
        node_port_not_served_here "node-port-not-served-here"
        local_ports_exhausted "local-ports-exhausted"
    }
    end End {
        file_descriptors_exhausted "file-descriptors-exhausted"
        disk_slow "disk-slow"
        application_stalled "application-stalled"
        accept_queue_full "accept-queue-full"
        syn_queue_full "syn-queue-full"
        listener_on_other_address "listener-on-other-address"
        port_closed "port-closed"
        reset_by_application "reset-by-application"
        reset_by_middlebox "reset-by-middlebox"
        socket_memory_exhausted "socket-memory-exhausted"
        receiver_window_closed "receiver-window-closed"
        udp_buffer_overflow "udp-buffer-overflow"
        time_wait_overflow "time-wait-overflow"
    }
    quality Quality {
        mtu_mismatch "mtu-mismatch"
        node_overloaded "node-overloaded"
        checksum_broken "checksum-broken"
        bandwidth_limited "bandwidth-limited"
        packet_reordering "packet-reordering"
        path_slow "path-slow"
    }
    names Names {
        dns_tcp_blocked "dns-tcp-blocked"
        dns_answer_lost "dns-answer-lost"
        dns_upstream_slow "dns-upstream-slow"
        dns_server_unreachable "dns-server-unreachable"
        dns_server_error "dns-server-error"
        dns_name_not_found "dns-name-not-found"
        dns_search_amplification "dns-search-amplification"
    }
    unexplained Unexplained {
        unexplained_drop "unexplained-drop"
        unexplained_reset "unexplained-reset"
        unexplained_timeout "unexplained-timeout"
    }
}

/// A rule by id.
#[must_use]
pub fn rule(id: &str) -> Option<&'static Rule> {
    RULES.iter().find(|rule| rule.id == id)
}

/// The id nearest to a misspelt one, where one is near.
#[must_use]
pub fn nearest(id: &str) -> Option<&'static str> {
    RULES
        .iter()
        .map(|rule| (strsim::jaro_winkler(id, rule.id), rule.id))
        .filter(|(likeness, _)| *likeness > 0.75)
        .max_by(|one, other| one.0.total_cmp(&other.0))
        .map(|(_, id)| id)
}

/// The rules for which a run of this intent brings what they need. Those about names read what DNS attempts met, which other
/// runs may bring too, but only a question about a name has the probe for it armed.
pub fn of(intent: Intent) -> impl Iterator<Item = &'static Rule> {
    RULES
        .iter()
        .filter(move |rule| intent == Intent::Dns || rule.layer != Layer::Names)
}

#[cfg(test)]
mod tests {
    use super::{Need, RULES, nearest};
    use model::facts::NetnsFacts;
    use std::collections::BTreeSet;

    #[test]
    fn every_file_of_the_folders_is_in_the_registry_under_its_layer() {
        let names = |folder: &str| -> Vec<String> {
            std::fs::read_dir(folder)
                .unwrap()
                .map(|entry| entry.unwrap().file_name().to_string_lossy().into_owned())
                .collect()
        };
        let rules = concat!(env!("CARGO_MANIFEST_DIR"), "/src/rules");
        let folders: Vec<String> = names(rules).into_iter().filter(|name| name != "mod.rs").collect();
        let mut files = BTreeSet::new();
        for folder in &folders {
            let sources = names(&format!("{rules}/{folder}")).into_iter();
            let modules = sources.filter_map(|name| Some(name.strip_suffix(".rs")?.replace('_', "-")));
            files.extend(modules.filter(|name| name != "mod").map(|id| (folder.clone(), id)));
        }
        let listed = RULES
            .iter()
            .map(|rule| (format!("{:?}", rule.layer).to_lowercase(), rule.id.to_owned()));
        assert_eq!(files, listed.collect());
    }

    #[test]
    fn every_rule_explains_itself() {
        for rule in RULES {
            let head = rule.head();
            assert!(head.len() > 150, "{} has no head worth reading", rule.id);
            assert!(rule.summary().len() > 20, "{} has no summary", rule.id);
            for part in ["How it knows", "Remedy", "Silent on"] {
                assert!(head.contains(part), "{}: its head lacks `{part}`", rule.id);
            }
        }
    }

    #[test]
    fn needs_name_fields_of_the_facts() {
        let facts = serde_json::to_value(NetnsFacts::default()).unwrap();
        for rule in RULES {
            for need in rule.needs {
                if let Need::Fact(name) = need {
                    assert!(facts.get(*name).is_some(), "{}: no fact `{name}`", rule.id);
                }
            }
        }
    }

    #[test]
    fn a_misspelt_id_finds_its_neighbour() {
        assert_eq!(nearest("netfliter-drop"), Some("netfilter-drop"));
        assert_eq!(nearest("xyzzy"), None);
    }
}
