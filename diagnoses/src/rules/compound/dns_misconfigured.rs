//! The resolver configuration of the source names no name server that can answer.
//!
//! Why it happens: resolv.conf is empty or broken. Or a `dnsPolicy` copies the node's file into a pod: it names a stub resolver
//! on loopback, and the pod has none. Or a name server line is not an address.
//!
//! How it knows: the lookup failed, and the source's resolv.conf names no server, or only addresses that cannot be one: the
//! unspecified address, a multicast or broadcast address, or loopback where nothing listens on port 53. Or the name of a
//! service was asked for (`.svc`) and nobody knows it, and the pod's `dnsPolicy` sends it to the name servers of the node, not
//! of the cluster.
//!
//! Remedy: correct resolv.conf, or the pod's `dnsPolicy` and `dnsConfig`.
//!
//! Silent on: name servers that could be right but do not answer (`dns-server-unreachable`), lookups that work, and names that
//! the cluster's own servers do not know (`dns-name-not-found`).

use crate::case::Case;
use crate::case::far_end::{FarEnd, listener};
use crate::case::lookups::{lookups, server_words};
use crate::kubernetes::pods;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::words::list;
use model::attempt::DnsExchange;
use model::evidence::Intent;
use model::flow::{Flow, UDP};
use model::inventory::Service;
use std::net::{IpAddr, SocketAddr};

pub const NEEDS: &[Need] = &[Need::Fact("sockets")];

pub fn check(case: &Case<'_>) -> Checked {
    let (Intent::Dns, true) = (case.evidence.intent, case.worked().is_empty()) else {
        return Ok(Vec::new());
    };
    let Some(resolv) = case.evidence.source.resolv.ok() else {
        return Ok(Vec::new());
    };
    let path = if resolv.path.is_empty() {
        "resolv.conf"
    } else {
        &resolv.path
    };
    let wrong: Vec<String> = resolv
        .nameservers
        .iter()
        .take(3)
        .filter_map(|server| why_wrong(case, *server).map(|why| format!("{server} ({why})")))
        .collect();
    let asked = resolv.nameservers.len().min(3);
    if wrong.len() < asked {
        return Ok(nodes_servers(case).into_iter().collect());
    }
    let says = if asked == 0 {
        format!("{path} of {} names no name server", case.source())
    } else {
        format!(
            "{path} of {} names {}, which cannot be a name server",
            case.source(),
            list(&wrong)
        )
    };
    let source = case.evidence.source.netns.unwrap_or(0);
    Ok(vec![
        fatal("dns-misconfigured", says)
            .at(case.node(source), case.name(source))
            .remedy(format!("correct {path}, or the pod's dnsPolicy and dnsConfig"))
            .because(if asked == 0 {
                format!("{path} has no nameserver line")
            } else {
                format!("nameserver lines of {path}: {}", list(&wrong))
            })
            .and_if(
                (!resolv.garbage.is_empty())
                    .then(|| format!("lines that could not be read: {}", list(&resolv.garbage))),
            ),
    ])
}

/// A service's name was asked of servers that know none, since the pod's policy says so.
fn nodes_servers(case: &Case<'_>) -> Option<Finding> {
    let pod = pods::pod_of(case.evidence, &case.evidence.source)?;
    let by_policy = match pod.dns_policy.as_str() {
        "Default" => "its dnsPolicy is Default".to_owned(),
        "ClusterFirst" if pod.host_network => {
            "it is on its node's network, where dnsPolicy ClusterFirst means Default".to_owned()
        }
        _ => return None,
    };
    let inventory = case.inventory()?;
    let serves_names = |service: &&Service| service.ports.iter().any(|port| port.port == 53);
    let clusters: Vec<IpAddr> = inventory
        .services
        .iter()
        .filter(serves_names)
        .flat_map(|service| service.cluster_ips.iter().copied())
        .collect();
    let lookup = lookups(case).into_iter().find(|lookup| {
        let of_service = lookup
            .dns
            .name
            .trim_end_matches('.')
            .split('.')
            .any(|label| label == "svc");
        let unknown = |query: &DnsExchange| query.rcode.as_deref() == Some("NXDOMAIN");
        of_service && !lookup.found() && !lookup.dns.queries.is_empty() && lookup.dns.queries.iter().all(unknown)
    })?;
    let servers = lookup.servers();
    if clusters.is_empty() || servers.iter().any(|server| clusters.contains(server)) {
        return None;
    }
    let cluster_first = if pod.host_network {
        "ClusterFirstWithHostNet"
    } else {
        "ClusterFirst"
    };
    Some(
        fatal(
            "dns-misconfigured",
            format!(
                "pod {} asks its node's name servers ({}), which know no services: {by_policy}",
                pod.full_name(),
                server_words(&servers)
            ),
        )
        .pod(pod)
        .of([lookup.id()])
        .remedy(format!(
            "set dnsPolicy: {cluster_first} where pod {} is made from",
            pod.full_name()
        ))
        .because(format!(
            "{} answered NXDOMAIN for {}",
            server_words(&servers),
            lookup.dns.name
        ))
        .and(format!("the cluster's own name server is {}", server_words(&clusters))),
    )
}

/// Why this address cannot be a name server for the source.
fn why_wrong(case: &Case<'_>, server: IpAddr) -> Option<&'static str> {
    let broadcast = matches!(server, IpAddr::V4(v4) if v4.is_broadcast());
    if server.is_unspecified() {
        // glibc takes 0.0.0.0 for this host.
        return nothing_listens(case, server).then_some("this host, where nothing listens on port 53");
    }
    if server.is_multicast() || broadcast {
        return Some("not a unicast address");
    }
    (server.is_loopback() && nothing_listens(case, server)).then_some("loopback, where nothing listens on port 53")
}

fn nothing_listens(case: &Case<'_>, server: IpAddr) -> bool {
    let Some(netns) = case.evidence.source.netns else {
        return false;
    };
    let address = SocketAddr::new(server, 53);
    let flow = Flow::new(UDP, address, address);
    listener(case, FarEnd { netns, flow }).is_ok_and(|found| found.is_none())
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::cluster::Cluster;
    use crate::scenes::dns::LookupScene;
    use model::missing::Known;

    fn servers(addresses: &[&str]) -> scenes::Scene {
        let mut scene = LookupScene::of("web").silence("web").scene();
        if let Known::Known(resolv) = &mut scene.evidence.source.resolv {
            resolv.nameservers = addresses.iter().map(|address| scenes::ip(address)).collect();
        }
        scene
    }

    #[test]
    fn no_server_or_one_on_an_empty_loopback_is_it() {
        for addresses in [&[][..], &["127.0.0.53"], &["255.255.255.255", "127.0.0.1"]] {
            let causes = scenes::causes(&judge(&servers(addresses).evidence));
            assert_eq!(causes, ["dns-misconfigured"], "{addresses:?}");
        }
    }

    #[test]
    fn a_pod_that_asks_its_nodes_servers_for_a_service_has_the_wrong_policy() {
        let name = "web.shop.svc.cluster.local";
        let mut cluster = Cluster::asks_its_node(LookupScene::of(name).says(name, "NXDOMAIN", 0));
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["dns-misconfigured"]);
        "ClusterFirst".clone_into(&mut cluster.pod("shop/a").dns_policy);
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["dns-name-not-found"]);
        let other = "www.outside.example";
        let mut cluster = Cluster::asks_its_node(LookupScene::of(other).says(other, "NXDOMAIN", 0));
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["dns-name-not-found"]);
    }

    #[test]
    fn a_server_that_could_be_right_is_not() {
        let causes = scenes::causes(&judge(&servers(&["127.0.0.53", "10.90.2.2"]).evidence));
        assert_eq!(causes, ["dns-server-unreachable"]);
    }
}
