//! The target port of a service leads to a port of its pods on which nothing listens, while another port is open.
//!
//! Why it happens: `targetPort` was left out (then it is the service's own port), or it names a port that no container has, or
//! the program's port was changed.
//!
//! How it knows: the connection was translated to a pod of the service at the target port. The pod's own kernel found no socket
//! for it, while other ports are open there. Or `targetPort` is a name, the pods are ready, and none of their containers has a
//! port of that name, so the slices list no address for it.
//!
//! Remedy: set `targetPort` to the port that the program listens on.
//!
//! Silent on: closed ports in a pod that was asked directly, or in a pod without any open port (`port-closed`), programs that
//! listen on another address (`listener-on-other-address`), and pods that are not ready (`service-without-endpoints`).

use crate::case::Case;
use crate::case::far_end::{FarEnd, listeners, refused};
use crate::case::observations;
use crate::case::services::{AskedService, services};
use crate::kubernetes::pods::{not_ready, target_numbers};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::list;
use crate::words::shell::command;
use model::inventory::{Pod, Port, ServicePort};

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Probe("tcpreset"),
    Need::Fact("sockets"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let mut findings = Vec::new();
    if !case.worked().is_empty() {
        return Ok(findings);
    }
    for asked in services(case) {
        let Some(port) = asked.port else { continue };
        findings.extend(unnamed(case, &asked, port));
        findings.extend(closed(case, &asked, port));
    }
    Ok(findings)
}

/// The name of the target port is one that no pod gives.
fn unnamed(case: &Case<'_>, asked: &AskedService<'_>, port: &ServicePort) -> Option<Finding> {
    let Port::Name(name) = &port.target else {
        return None;
    };
    let pods = asked.selected();
    let ready = |pod: &&&Pod| not_ready(asked.inventory, pod).is_none();
    let named = pods.iter().any(|pod| !target_numbers(pod, port).is_empty());
    if named || !asked.backends().is_empty() || pods.iter().filter(ready).count() == 0 {
        return None;
    }
    let pod = pods[0];
    let declared: Vec<String> = pod
        .containers
        .iter()
        .flat_map(|container| &container.ports)
        .map(|own| {
            format!("{} {}/{}", own.name, own.port, own.protocol)
                .trim_start()
                .to_owned()
        })
        .collect();
    let right = pod.containers.iter().flat_map(|container| &container.ports).next();
    Some(
        fatal(
            "service-port-mismatch",
            format!(
                "the target port {name} of {} is a name that no container of its pods has",
                asked.words()
            ),
        )
        .object(asked.service.object())
        .of(case.failed_ids())
        .remedy(remedy(asked, port, right.map(|own| own.port)))
        .because(if declared.is_empty() {
            format!("containers of {} declare no port", pod.full_name())
        } else {
            format!("containers of {} declare {}", pod.full_name(), list(&declared))
        })
        .and("the EndpointSlices list no address for that port".to_owned())
        .and_if(case.failed().first().map(|tried| observations::met(tried))),
    )
}

/// The target port is closed, and others of the pod are open.
fn closed(case: &Case<'_>, asked: &AskedService<'_>, port: &ServicePort) -> Option<Finding> {
    let backends = asked.backends();
    let mut ids = Vec::new();
    let mut proof: Option<(FarEnd, &Pod)> = None;
    for (id, end) in refused(case) {
        let sent_to = case.attempt(id).map(|tried| tried.attempt.flow.dst());
        let behind = backends.iter().find(|backend| {
            (backend.address, backend.port) == (end.flow.dst(), end.flow.dport)
                && (sent_to != Some(backend.address) || asked.service.headless)
        });
        let pod = behind.and_then(|backend| backend.pod).filter(|pod| !pod.host_network);
        if let Some(pod) = pod
            && listeners(case, end).map_or(true, |found| found.is_empty())
        {
            ids.push(id);
            proof.get_or_insert((end, pod));
        }
    }
    let (end, pod) = proof?;
    let looked = listeners(case, end).is_ok();
    // What its containers declare is what they mean to listen on; it stands in where nobody looked.
    let open = if looked {
        open_ports(case, end)
    } else {
        declared(pod, port, end.flow.dport)
    };
    let one = match open.as_slice() {
        [] => return None,
        [one] => Some(*one),
        _ => None,
    };
    let numbers: Vec<String> = open.iter().map(u16::to_string).collect();
    let verb = if looked {
        "it listens on"
    } else {
        "its containers declare"
    };
    Some(
        fatal(
            "service-port-mismatch",
            format!(
                "{} sends port {} to {} of pod {}, where nothing listens; {verb} {}",
                asked.words(),
                port.port,
                end.flow.dport,
                pod.full_name(),
                list(&numbers)
            ),
        )
        .pod(pod)
        .object(asked.service.object())
        .of(ids)
        .remedy(remedy(asked, port, one))
        .because(format!(
            "the kernel of {} found no socket for {}",
            pod.full_name(),
            end.flow
        ))
        .and(if looked {
            format!("ports that are open there: {}", numbers.join(", "))
        } else {
            format!("ports that its containers declare: {}", numbers.join(", "))
        })
        .and_if(case.failed().first().map(|tried| observations::met(tried))),
    )
}

/// The ports that the pod's containers declare for the protocol, where the target port is none of them.
fn declared(pod: &Pod, port: &ServicePort, target: u16) -> Vec<u16> {
    let own = pod.containers.iter().flat_map(|container| &container.ports);
    let ports: Vec<u16> = own
        .filter(|own| own.protocol.eq_ignore_ascii_case(&port.protocol))
        .map(|own| own.port)
        .collect();
    if ports.contains(&target) { Vec::new() } else { ports }
}

/// Ports of the same protocol that are open to others.
fn open_ports(case: &Case<'_>, end: FarEnd) -> Vec<u16> {
    let Ok(sockets) = case.after(end.netns, "sockets", |facts| &facts.sockets) else {
        return Vec::new();
    };
    let open = sockets
        .iter()
        .filter(|socket| socket.flow.protocol == end.flow.protocol && !socket.flow.src().is_loopback())
        .filter(|socket| socket.state == "LISTEN" || (socket.state == "UNCONN" && socket.flow.sport != 0));
    let mut ports: Vec<u16> = open.map(|socket| socket.flow.sport).collect();
    ports.sort_unstable();
    ports.dedup();
    ports.truncate(8);
    ports
}

fn remedy(asked: &AskedService<'_>, port: &ServicePort, right: Option<u16>) -> Remedy {
    let (namespace, name) = (&asked.service.namespace, &asked.service.name);
    let index = asked
        .service
        .ports
        .iter()
        .position(|own| own == port)
        .unwrap_or_default();
    let command = match right {
        Some(right) => {
            let patch = format!(r#"[{{"op":"replace","path":"/spec/ports/{index}/targetPort","value":{right}}}]"#);
            command(
                "kubectl -n {} patch service {} --type=json -p {}",
                &[namespace, name, &patch],
            )
        }
        None => command("kubectl -n {} edit service {}", &[namespace, name]),
    };
    Remedy::from("correct the target port").run(": ", command)
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::cluster::{Cluster, WEB_IP};
    use crate::scenes::{self, tcp};
    use model::attempt::Outcome;
    use model::errno::Errno;
    use model::inventory::Port;
    use model::missing::Known;

    /// shop/web leads to port 8080 of its pod, which listens on 80 alone.
    fn wrong_port() -> Cluster {
        let mut cluster = Cluster::web();
        cluster.service("web").ports[0].target = Port::Number(8080);
        cluster.slice("web").ports[0].port = 8080;
        let asked = tcp("10.90.1.2:40000", &format!("{WEB_IP}:80"));
        let real = tcp("10.90.1.2:40000", "10.90.2.2:8080");
        let scene = &mut cluster.scene;
        scene
            .watch(0, asked)
            .hop(scenes::A, "eth0", asked, 7)
            .hop_learned(scenes::X, "up0", real, 7);
        scene.hop(scenes::C, "eth0", real, 7);
        scene.drop(scenes::C, "eth0", real, "NO_SOCKET", "tcp_v4_rcv");
        scene.evidence.events.last_mut().unwrap().skb = 7;
        let (during, errno) = (
            "connect".to_owned(),
            Errno {
                number: 111,
                name: "ECONNREFUSED".to_owned(),
            },
        );
        scene.attempt(0, asked, Outcome::Error { during, errno });
        cluster
    }

    #[test]
    fn a_target_port_that_is_closed_beside_one_that_is_open_is_it() {
        let mut cluster = wrong_port();
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["service-port-mismatch"]);
        let verdict = &judgement.verdicts[0];
        assert!(
            verdict.says.contains("sends port 80 to 8080 of pod shop/web-1"),
            "{}",
            verdict.says
        );
        assert!(
            verdict
                .remedy
                .contains(r#""path":"/spec/ports/0/targetPort","value":80"#),
            "{}",
            verdict.remedy
        );
    }

    #[test]
    fn where_nobody_looked_the_declared_ports_stand_in() {
        let mut cluster = wrong_port();
        cluster.scene.evidence.netns.retain(|netns| netns.id != scenes::C);
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["service-port-mismatch"]);
        assert!(
            judgement.verdicts[0].says.contains("its containers declare 80"),
            "{}",
            judgement.verdicts[0].says
        );
        cluster.pod("shop/web-1").containers[0].ports.clear();
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["port-closed"]);
    }

    #[test]
    fn a_name_that_no_container_has_is_proven_by_the_api_alone() {
        let mut cluster = Cluster::web();
        cluster.service("web").ports[0].target = Port::Name("htpp".to_owned());
        cluster.slice("web").ports.clear();
        cluster.without_helpers();
        let judgement = judge(cluster.evidence());
        assert_eq!(scenes::causes(&judgement), ["service-port-mismatch"]);
        assert!(judgement.verdicts[0].because[0].contains("http 80/TCP"));
    }

    #[test]
    fn a_pod_on_which_no_port_is_open_has_a_closed_port() {
        let mut cluster = wrong_port();
        cluster
            .scene
            .facts(scenes::C, |facts| facts.sockets = Known::Known(vec![]));
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["port-closed"]);
    }

    #[test]
    fn a_pod_that_was_asked_directly_has_a_closed_port() {
        let mut cluster = Cluster::pods();
        cluster.scene.evidence.destination.port = Some(8080);
        cluster.scene.refused(3);
        for watched in cluster.scene.evidence.watched.clone() {
            cluster.scene.walk_to(watched.attempt, watched.flow, scenes::C, "eth0");
            cluster
                .scene
                .drop(scenes::C, "eth0", watched.flow, "NO_SOCKET", "tcp_v4_rcv");
        }
        assert_eq!(scenes::causes(&judge(cluster.evidence())), ["port-closed"]);
    }
}
