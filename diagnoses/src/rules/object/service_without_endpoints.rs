//! A service has no ready endpoint that a connection could be sent to.
//!
//! Why it happens: the service's selector matches no pod (a typing error, another label). Or its pods are not ready (they do
//! not start, or their readiness probe fails), or are scaled to zero. Or its traffic policy is `Local`, and no ready pod is on
//! the node.
//!
//! How it knows: from the cluster's API. The `EndpointSlices` of the service list no ready address for the port, and none that
//! still serves while it ends. The service's selector is compared with the pods of its namespace, and their state says the
//! rest. Nothing that was sent to the service worked. How it ends depends on who programs services: kube-proxy's rules reject it,
//! an eBPF datapath drops it, answers with an ICMP error (which the source's kernel may throw away), or refuses it in `connect()`
//! so that no packet leaves; what was seen of that is said.
//!
//! Remedy: correct the selector or the labels, or repair or start the pods.
//!
//! Silent on: services with a ready endpoint, ports that the service does not have (`service-not-found`), target ports that no
//! pod names (`service-port-mismatch`), services that are only a name (`ExternalName`), and services that answered.

use crate::case::firewall_drops::blocked;
use crate::case::node_agents::serving;
use crate::case::observations;
use crate::case::services::{AskedService, services};
use crate::case::{Case, Failure};
use crate::kernel::drops::Class;
use crate::kubernetes::pods::{not_ready, target_numbers};
use crate::kubernetes::selector::{self, label_words};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::shell::command;
use crate::words::{at, count, list};
use model::inventory::{Node, Pod};
use model::report::Direction;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("netfilter"),
    Need::Fact("bpf"),
];

/// Labels at least so near to those wanted are named.
const NEAR: f64 = 0.65;

pub fn check(case: &Case<'_>) -> Checked {
    let mut findings = Vec::new();
    if !case.worked().is_empty() {
        return Ok(findings);
    }
    for asked in services(case) {
        let is_name = asked.service.kind == "ExternalName";
        if asked.port.is_none() || is_name {
            continue;
        }
        let usable = asked.usable();
        let none_here =
            local_only(case, &asked).filter(|node| usable.iter().all(|backend| backend.endpoint.node != *node));
        if !usable.is_empty() && none_here.is_none() {
            continue;
        }
        if let Some(lack) = asked.inventory.unread(&["endpoints of"]) {
            return Err(lack);
        }
        let why = match none_here {
            Some(node) if !usable.is_empty() => elsewhere(&asked, node),
            _ => match nobody(&asked) {
                Some(why) => why,
                None => continue,
            },
        };
        findings.push(finding(case, &asked, why));
    }
    Ok(findings)
}

/// Why there is none, what shows it, and what to do.
struct Why {
    says: String,
    because: Vec<String>,
    remedy: Remedy,
}

fn finding(case: &Case<'_>, asked: &AskedService<'_>, why: Why) -> Finding {
    let listed = asked.backends();
    let mut finding = fatal(
        "service-without-endpoints",
        format!("{} has no ready endpoint: {}", asked.words(), why.says),
    )
    .object(asked.service.object())
    .of(case.failed_ids())
    .remedy(why.remedy)
    .because(match listed.len() {
        0 => "its EndpointSlices list no address".to_owned(),
        many => format!(
            "its EndpointSlices list {}",
            count(many, "address").replace("addresss", "addresses")
        ),
    });
    for fact in why.because {
        finding = finding.and(fact);
    }
    finding
        .and_if(ending(case))
        .and_if(case.failed().first().map(|tried| observations::met(tried)))
}

/// How it ends for who asks: kube-proxy's rules reject it, an eBPF program drops it, or refuses it in `connect()` already.
fn ending(case: &Case<'_>) -> Option<String> {
    let blocked = blocked(case);
    if let Some(blocked) = blocked.first() {
        let who = blocked.owner().map_or("a firewall", |agent| agent.name);
        let how = if blocked.answered(case) { "rejects" } else { "drops" };
        return Some(format!(
            "{who} {how} what is sent to it on {}",
            case.name(blocked.netns)
        ));
    }
    if let Some(drop) = case.drops(Class::Bpf).first() {
        let node = case.node(drop.event.netns);
        let served = serving(case, &node);
        let who = served.first().map_or_else(
            || "an eBPF program drops".to_owned(),
            |agent| {
                format!(
                    "an eBPF program (services are programmed there by {}) drops",
                    agent.name
                )
            },
        );
        let place = at(&case.name(drop.event.netns), Some(&case.interface(drop.event)));
        return Some(format!("{who} what is sent to it at {place}: {}", drop.words()));
    }
    let failed = case.failed();
    let first = failed.first()?;
    if let Some(thrown) = answer_thrown_away(case, first.attempt.id) {
        return Some(thrown);
    }
    let at_once = matches!(
        first.failure(),
        Some(Failure::HostUnreachable | Failure::NetUnreachable | Failure::Refused | Failure::Forbidden)
    );
    let left = case.leg(first.attempt.id, Direction::Request).is_some();
    let source = case.evidence.source.netns?;
    let programs = case.before(source, "attached eBPF programs", |facts| &facts.bpf).ok()?;
    let kind = if first.attempt.flow.dst().is_ipv6() {
        "cgroup-connect6"
    } else {
        "cgroup-connect4"
    };
    let program = programs.iter().find(|program| program.kind == kind)?;
    let proven = at_once && !left && case.watched_by("path") && case.saw_all();
    proven.then(|| {
        format!(
            "connect() itself failed and no packet left: eBPF program {} ({kind}, id {}) is asked there",
            program.name, program.id
        )
    })
}

/// An ICMP error answers for the service, and the source's own kernel takes it for no valid packet: who asks waits in vain.
fn answer_thrown_away(case: &Case<'_>, attempt: u32) -> Option<String> {
    let source = case.evidence.source.netns?;
    let request = case.leg(attempt, Direction::Request)?;
    let error = request.lost_errors.iter().find(|lost| lost.event.netns == source)?;
    let served = serving(case, &case.evidence.source.node);
    let by: Vec<String> = served.iter().map(|agent| agent.name.to_owned()).collect();
    let by = match by.as_slice() {
        [] => String::new(),
        by => format!(" (services are programmed on the node by {})", list(by)),
    };
    Some(format!(
        "an ICMP error from {} answers it{by}, and the kernel of {} throws that away: {}",
        error.event.flow.src(),
        at(&case.name(source), Some(&case.interface(error.event))),
        error.words()
    ))
}

/// The node whose own endpoints alone may be used: the source's, or the one whose address was asked. For the latter pods are
/// often excepted, so that only a failure tells.
fn local_only<'a>(case: &Case<'a>, asked: &AskedService<'a>) -> Option<&'a str> {
    let service = asked.service;
    if asked.by_node {
        let local = service.external_traffic_policy == "Local" && !case.failed().is_empty();
        let addressed = |node: &&Node| {
            node.addresses
                .iter()
                .any(|own| case.evidence.destination.addresses.contains(own))
        };
        let node = asked.inventory.nodes.iter().find(addressed).filter(|_| local)?;
        return Some(&node.name);
    }
    let node = case.evidence.source.node.as_str();
    let local = service.internal_traffic_policy == "Local" && !service.headless;
    (local && !node.is_empty()).then_some(node)
}

/// There are some, on other nodes only.
fn elsewhere(asked: &AskedService<'_>, node: &str) -> Why {
    let (namespace, name) = (&asked.service.namespace, &asked.service.name);
    let mut nodes: Vec<&str> = asked
        .usable()
        .iter()
        .map(|backend| backend.endpoint.node.as_str())
        .collect();
    nodes.sort_unstable();
    nodes.dedup();
    let policy = if asked.by_node {
        "externalTrafficPolicy"
    } else {
        "internalTrafficPolicy"
    };
    Why {
        says: format!("its {policy} is Local, and none is on node {node}"),
        because: vec![format!("ready endpoints are on {}", nodes.join(", "))],
        remedy: Remedy::from(format!("run a pod of it on {node}, or let any node answer")).run(
            ": ",
            command(
                "kubectl -n {} patch service {} -p {}",
                &[namespace, name, &serde_json::json!({"spec": {policy: "Cluster"}})],
            ),
        ),
    }
}

/// There is none at all; `None` where its pods are ready and only its target port is wrong.
fn nobody(asked: &AskedService<'_>) -> Option<Why> {
    let service = asked.service;
    let selected = asked.selected();
    if service.selector.is_empty() {
        return Some(Why {
            says: "it has no selector, and nobody made an EndpointSlice with a ready address".to_owned(),
            because: vec![],
            remedy: format!(
                "make an EndpointSlice labelled kubernetes.io/service-name={} in {}, or give the service a selector",
                service.name, service.namespace
            )
            .into(),
        });
    }
    if selected.is_empty() {
        return Some(unselected(asked));
    }
    let unready: Vec<(&Pod, String)> = selected
        .iter()
        .filter_map(|pod| Some((*pod, not_ready(asked.inventory, pod)?)))
        .collect();
    let named_by_none = asked
        .port
        .is_some_and(|port| selected.iter().all(|pod| target_numbers(pod, port).is_empty()));
    if unready.is_empty() && named_by_none {
        return None;
    }
    let Some((pod, first)) = unready.first() else {
        return Some(Why {
            says: "its pods are ready, and no EndpointSlice lists them as such".to_owned(),
            because: vec![format!(
                "{} with {} ready",
                count(selected.len(), "pod"),
                label_words(&service.selector)
            )],
            remedy: Remedy::from("see whether the controller manager runs")
                .run(": ", command("kubectl -n kube-system get pods", &[])),
        });
    };
    let others = if unready.len() > 1 {
        format!(" ({} pods are not)", unready.len())
    } else {
        String::new()
    };
    Some(Why {
        says: format!("pod {} is not ready: {first}{others}", pod.full_name()),
        because: unready
            .iter()
            .take(4)
            .map(|(pod, why)| format!("{} (node {}) is not ready: {why}", pod.full_name(), pod.node))
            .collect(),
        remedy: Remedy::from("see why").run(
            ": ",
            command("kubectl -n {} describe pod {}", &[&pod.namespace, &pod.name]),
        ),
    })
}

/// No pod has the labels; perhaps one has nearly them.
fn unselected(asked: &AskedService<'_>) -> Why {
    let service = asked.service;
    let (namespace, name) = (&service.namespace, &service.name);
    let wanted = label_words(&service.selector);
    let near = asked
        .inventory
        .pods
        .iter()
        .filter(|pod| pod.namespace == *namespace)
        .map(|pod| (selector::nearness(&service.selector, &pod.labels), pod))
        .filter(|(nearness, _)| *nearness >= NEAR)
        .max_by(|one, other| one.0.total_cmp(&other.0));
    let remedy = match near {
        Some((_, pod)) => {
            let right: serde_json::Map<String, serde_json::Value> = service
                .selector
                .keys()
                .filter_map(|key| Some((key.clone(), pod.labels.get(key)?.clone().into())))
                .collect();
            let patch = serde_json::json!({"spec": {"selector": right}});
            Remedy::from("correct the selector").run(
                ": ",
                command("kubectl -n {} patch service {} -p {}", &[namespace, name, &patch]),
            )
        }
        None => Remedy::from(format!("start the pods, label them {wanted}, or correct the selector"))
            .run(": ", command("kubectl -n {} edit service {}", &[namespace, name])),
    };
    Why {
        says: format!("its selector {wanted} matches no pod of namespace {namespace}"),
        because: near
            .map(|(_, pod)| format!("{} is near: it has {}", pod.full_name(), label_words(&pod.labels)))
            .into_iter()
            .collect(),
        remedy,
    }
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::cluster::{Cluster, labels};
    use model::facts::Action;
    use model::missing::Known;
    use model::report::Conclusion;

    #[test]
    fn a_selector_with_a_typo_names_the_near_pod() {
        let mut cluster = Cluster::web();
        "wbe".clone_into(cluster.service("web").selector.get_mut("app").unwrap());
        cluster.no_endpoints("web");
        cluster.scene.refused(3);
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["service-without-endpoints"]);
        let verdict = &judgement.verdicts[0];
        assert_eq!(verdict.place.object.as_ref().unwrap().name, "web");
        assert!(verdict.says.contains("app=wbe"), "{}", verdict.says);
        assert!(
            verdict
                .because
                .iter()
                .any(|fact| fact.contains("shop/web-1 is near: it has app=web")),
            "{verdict:?}"
        );
        assert!(
            verdict
                .remedy
                .contains(r#"kubectl -n shop patch service web -p '{"spec":{"selector":{"app":"web"}}}'"#)
        );
    }

    #[test]
    fn the_api_alone_proves_it() {
        let mut cluster = Cluster::web();
        cluster.service("web").selector = labels("app=gone");
        cluster.no_endpoints("web").without_helpers();
        let judgement = judge(cluster.evidence());
        assert_eq!(judgement.outcome, Conclusion::Fault);
        assert_eq!(scenes::causes(&judgement), ["service-without-endpoints"]);
        assert!(judgement.verdicts[0].remedy.contains("label them app=gone"));
    }

    #[test]
    fn pods_that_are_not_ready_say_why() {
        let mut cluster = Cluster::web();
        cluster.unready("shop/web-1", "waiting", "CrashLoopBackOff");
        cluster.scene.refused(3);
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["service-without-endpoints"]);
        assert!(
            judgement.verdicts[0]
                .says
                .contains("shop/web-1 is not ready: container main waits: CrashLoopBackOff")
        );
    }

    #[test]
    fn pods_on_other_nodes_do_not_serve_where_only_local_ones_may() {
        let mut cluster = Cluster::web();
        "Local".clone_into(&mut cluster.service("web").internal_traffic_policy);
        cluster.scene.fails(3, 110, "ETIMEDOUT");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["service-without-endpoints"]);
        assert!(
            judgement.verdicts[0].says.contains("none is on node x"),
            "{}",
            judgement.verdicts[0].says
        );
    }

    #[test]
    fn a_node_that_was_asked_from_outside_must_have_one_of_its_own() {
        let mut cluster = Cluster::web();
        "Local".clone_into(&mut cluster.service("web").external_traffic_policy);
        cluster.service("web").ports[0].node_port = Some(30_080);
        cluster.scene.aim("172.31.90.1");
        cluster.scene.evidence.destination.port = Some(30_080);
        cluster.scene.fails(3, 110, "ETIMEDOUT");
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["service-without-endpoints"]);
        assert!(
            judgement.verdicts[0]
                .says
                .contains("externalTrafficPolicy is Local, and none is on node x")
        );
    }

    #[test]
    fn a_name_server_without_pods_is_it_and_the_lookup_its_symptom() {
        let mut cluster = Cluster::dns_scaled_to_zero();
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["service-without-endpoints"]);
        assert_eq!(judgement.verdicts[0].place.object.as_ref().unwrap().name, "kube-dns");
        let symptoms: Vec<&str> = judgement.verdicts[1..]
            .iter()
            .map(|verdict| verdict.rule.as_str())
            .collect();
        assert_eq!(symptoms, ["dns-server-unreachable"]);
    }

    #[test]
    fn a_service_with_a_ready_endpoint_or_one_that_answers_is_not_it() {
        let mut cluster = Cluster::web();
        cluster.scene.refused(3);
        assert!(!scenes::causes(&judge(cluster.evidence())).contains(&"service-without-endpoints".to_owned()));
        let mut cluster = Cluster::web();
        cluster.no_endpoints("web");
        cluster.scene.connects(3);
        assert_eq!(scenes::causes(&judge(cluster.evidence())), Vec::<String>::new());
    }

    #[test]
    fn pods_that_serve_while_they_end_are_used_when_no_other_is_left() {
        let mut cluster = Cluster::web();
        let endpoint = &mut cluster.slice("web").endpoints[0];
        (endpoint.ready, endpoint.serving, endpoint.terminating) = (false, true, true);
        cluster.scene.refused(3);
        assert!(!scenes::causes(&judge(cluster.evidence())).contains(&"service-without-endpoints".to_owned()));
    }

    #[test]
    fn how_it_ends_is_said_as_each_datapath_does_it() {
        let proof = |cluster: &mut Cluster| {
            let judgement = judge(cluster.evidence());
            assert_eq!(scenes::causes(&judgement), ["service-without-endpoints"]);
            judgement.verdicts[0].because.join("\n")
        };
        let empty = || {
            let mut cluster = Cluster::web();
            cluster.unready("shop/web-1", "waiting", "CrashLoopBackOff");
            cluster
        };
        let mut cluster = empty();
        let with = "icmp-port-unreachable".to_owned();
        let scene = &mut cluster.scene;
        scene.agents_rule(scenes::X, "KUBE-SERVICES", "-j REJECT", &Action::Reject { with }, 3);
        scene.dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        let said = proof(&mut cluster);
        assert!(said.contains("kube-proxy rejects what is sent to it on x"), "{said}");
        let mut cluster = empty();
        let program = |kind: &str, name: &str| model::facts::BpfAttachment {
            kind: kind.to_owned(),
            name: name.to_owned(),
            on: "/".to_owned(),
            ifindex: 0,
            id: 7,
        };
        let tc = program("tcx-ingress", "cil_from_contai");
        let scene = &mut cluster.scene;
        scene.facts(scenes::X, |facts| facts.bpf = Known::Known(vec![tc.clone()]));
        scene.dropped(3, scenes::X, "vetha", "TC_INGRESS", "__netif_receive_skb_core");
        let said = proof(&mut cluster);
        assert!(
            said.contains("programmed there by Cilium) drops what is sent to it at x vetha"),
            "{said}"
        );
        let mut cluster = empty();
        let scene = &mut cluster.scene;
        scene.facts(scenes::X, |facts| facts.bpf = Known::Known(vec![tc.clone()]));
        let sent = scene.flow(0);
        let error = scenes::icmp("10.96.0.20", "10.90.1.2");
        scene.vanishes(1, scenes::X, "vetha");
        scene.drop(scenes::A, "eth0", error, "NOT_SPECIFIED", "ip_rcv_core");
        if let Some(event) = scene.evidence.events.last_mut() {
            event.quoted = Some(sent);
        }
        let said = proof(&mut cluster);
        assert!(
            said.contains("an ICMP error from 10.96.0.20 answers it (services are programmed on the node by Cilium)"),
            "{said}"
        );
        assert!(
            said.contains("throws that away: NOT_SPECIFIED in ip_rcv_core"),
            "{said}"
        );
        let mut cluster = empty();
        let connect = program("cgroup-connect4", "cil_sock4_conne");
        let scene = &mut cluster.scene;
        scene.facts(scenes::A, |facts| facts.bpf = Known::Known(vec![connect.clone()]));
        scene.fails(3, 113, "EHOSTUNREACH");
        let said = proof(&mut cluster);
        assert!(
            said.contains("connect() itself failed and no packet left: eBPF program cil_sock4_conne"),
            "{said}"
        );
    }
}
