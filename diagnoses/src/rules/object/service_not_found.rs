//! There is no such service, or it has no such port.
//!
//! Why it happens: a name is misspelt or belongs to another namespace. Or the port is asked for by a name or number that the
//! service does not have, or with another protocol.
//!
//! How it knows: the cluster's API has no service of that name, or its `spec.ports` have no port with that number, name and
//! protocol. kube-proxy makes rules only for the ports of a service, so nothing answers for others. Nothing that was sent there
//! worked.
//!
//! Remedy: ask for one of the services or ports that exist, or add the port to the service.
//!
//! Silent on: services and ports that exist, whatever is behind them; headless services, whose pods are reached at any port; and
//! ports that answered all the same.

use crate::case::Case;
use crate::case::observations;
use crate::case::services::{AskedService, services};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::shell::command;
use model::endpoint::EndpointKind;
use model::inventory::{Inventory, ServicePort};
use model::object_ref::ObjectRef;

pub const NEEDS: &[Need] = &[];

pub fn check(case: &Case<'_>) -> Checked {
    let end = &case.evidence.destination;
    let Some(inventory) = case.inventory().filter(|_| case.worked().is_empty()) else {
        return Ok(Vec::new());
    };
    let named = end.object.as_ref().filter(|_| end.kind == EndpointKind::Service);
    if let Some(object) = named
        && inventory.service(&object.namespace, &object.name).is_none()
    {
        return Ok(vec![no_service(inventory, object)]);
    }
    let portless = |asked: &AskedService<'_>| {
        let wanted = end.port.is_some() || end.port_name.is_some();
        let by_number = !(asked.service.headless && end.port.is_some());
        asked.port.is_none() && wanted && by_number && asked.service.kind != "ExternalName"
    };
    // Echo requests have no port.
    let has_ports = !case.evidence.protocol.starts_with("icmp");
    Ok(services(case)
        .iter()
        .filter(|asked| has_ports && portless(asked))
        .map(|asked| no_port(case, asked))
        .collect())
}

fn no_service(inventory: &Inventory, object: &ObjectRef) -> Finding {
    let (namespace, name) = (&object.namespace, &object.name);
    let others: Vec<&str> = inventory
        .services
        .iter()
        .filter(|service| service.namespace == *namespace)
        .map(|service| service.name.as_str())
        .collect();
    let near = others
        .iter()
        .map(|other| (strsim::damerau_levenshtein(name, other), *other))
        .filter(|(distance, other)| *distance <= 2.max(other.len() / 3))
        .min();
    fatal(
        "service-not-found",
        format!("there is no service {name} in namespace {namespace}"),
    )
    .object(object.clone())
    .remedy(match near {
        Some((_, near)) => format!("ask for {namespace}/{near}, or make the service").into(),
        None => Remedy::from("see which there are").run(": ", command("kubectl -n {} get services", &[namespace])),
    })
    .because(format!("the API server knows no service {namespace}/{name}"))
    .and_if((!others.is_empty()).then(|| format!("services of {namespace}: {}", listed(&others))))
}

fn no_port(case: &Case<'_>, asked: &AskedService<'_>) -> Finding {
    let end = &case.evidence.destination;
    let service = asked.service;
    let wanted = match (&end.port_name, end.port) {
        (Some(name), None) => format!("port named {name}"),
        (_, Some(port)) if asked.by_node => format!("node port {port}/{}", case.evidence.protocol),
        (_, port) => format!("port {}/{}", port.unwrap_or_default(), case.evidence.protocol),
    };
    let ports: Vec<String> = service.ports.iter().map(port_words).collect();
    let instead = service.ports.first().map_or_else(String::new, |port| {
        let own = if asked.by_node {
            port.node_port.unwrap_or(port.port)
        } else {
            port.port
        };
        format!("ask for port {own}, or ")
    });
    let (namespace, name) = (&service.namespace, &service.name);
    fatal("service-not-found", format!("{} has no {wanted}", asked.words()))
        .object(service.object())
        .of(case.failed_ids())
        .remedy(
            Remedy::from(format!("{instead}add the port"))
                .run(": ", command("kubectl -n {} edit service {}", &[namespace, name])),
        )
        .because(if ports.is_empty() {
            format!("{} has no ports at all", asked.words())
        } else {
            format!("its ports are {}", ports.join(", "))
        })
        .and_if(case.failed().first().map(|tried| observations::met(tried)))
}

/// `http 80/TCP (node port 30080)`.
fn port_words(port: &ServicePort) -> String {
    let name = if port.name.is_empty() {
        String::new()
    } else {
        format!("{} ", port.name)
    };
    let node = port
        .node_port
        .map_or(String::new(), |number| format!(" (node port {number})"));
    format!("{name}{}/{}{node}", port.port, port.protocol)
}

fn listed(names: &[&str]) -> String {
    let shown = names.iter().take(8).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(8) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes;
    use crate::scenes::cluster::{Cluster, object};
    use model::report::Conclusion;

    #[test]
    fn a_service_that_does_not_exist_names_the_near_one() {
        let mut cluster = Cluster::web();
        cluster.without_helpers();
        cluster.scene.evidence.destination.object = Some(object("Service", "shop", "wbe"));
        cluster.scene.evidence.destination.addresses.clear();
        let judgement = judge(cluster.evidence());
        assert_eq!(judgement.outcome, Conclusion::Fault);
        assert_eq!(scenes::causes(&judgement), ["service-not-found"]);
        assert!(
            judgement.verdicts[0].remedy.contains("shop/web"),
            "{}",
            judgement.verdicts[0].remedy
        );
    }

    #[test]
    fn a_port_by_a_name_or_number_that_it_does_not_have_lists_those_it_has() {
        for (name, number) in [(Some("htpp"), None), (None, Some(81))] {
            let mut cluster = Cluster::web();
            cluster.scene.evidence.destination.port = number;
            cluster.scene.evidence.destination.port_name = name.map(str::to_owned);
            cluster.without_helpers();
            let judgement = judge(cluster.evidence());
            assert_eq!(scenes::causes(&judgement), ["service-not-found"], "{name:?} {number:?}");
            assert!(judgement.verdicts[0].because[0].contains("http 80/TCP"));
        }
    }

    #[test]
    fn a_service_that_exists_is_not_it_whatever_is_behind_it() {
        let mut cluster = Cluster::web();
        cluster.no_endpoints("web");
        cluster.scene.refused(3);
        assert!(!scenes::causes(&judge(cluster.evidence())).contains(&"service-not-found".to_owned()));
    }

    #[test]
    fn another_port_of_a_headless_service_reaches_its_pods() {
        let mut cluster = Cluster::web();
        cluster.scene.evidence.destination.port = Some(8080);
        cluster.service("web").headless = true;
        cluster.scene.refused(3);
        assert!(!scenes::causes(&judge(cluster.evidence())).contains(&"service-not-found".to_owned()));
    }
}
