//! Names become objects: what each end is, asked of the API with one call where one will do.

use super::cluster::Cluster;
use super::refusal::{self, Refused};
use super::resource::resource;
use super::similar_names;
use crate::exit::Usage;
use crate::inquiry::object_name::{Kind, Object};
use crate::inquiry::target::Place;
use anyhow::Result;
use model::inventory::{EndpointSlice, Node, ObjectRef, Pod, Service};
use std::net::IpAddr;

/// What an end is.
#[derive(Clone, Debug, PartialEq)]
pub enum Thing {
    /// A pod.
    Pod {
        /// It.
        pod: Pod,
        /// Why it was taken, where a workload was named.
        chosen: Option<String>,
    },
    /// A service.
    Service {
        /// It.
        service: Service,
        /// Its slices, or why they could not be read.
        slices: Result<Vec<EndpointSlice>, Refused>,
    },
    /// A service that is not there.
    NoService {
        /// What was asked for.
        object: ObjectRef,
        /// Those that are there in its place.
        others: Vec<Service>,
    },
    /// A node.
    Node(Node),
    /// An address that belongs to nothing in the cluster, as far as could be seen.
    Address(IpAddr),
    /// A name to be looked up from the source.
    Name(String),
}

/// What a bare name is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Bare {
    /// A pod, else a service.
    PodElseService,
    /// A pod.
    Pod,
    /// A service.
    Service,
    /// A node.
    Node,
}

impl Cluster {
    /// What is named.
    pub async fn find(&self, place: &Place, bare: Bare) -> Result<Thing> {
        match place {
            Place::Object(object) => self.object(object, bare).await,
            Place::Address(address) => self.address(*address).await,
            Place::Name(name) => self.name(name).await,
            Place::Site(text) => Err(Usage::error(format!(
                "{text} is an endpoint of one machine; in a cluster name a pod, a workload, a service or a node, or look at this machine with --local"
            ))),
        }
    }

    async fn object(&self, object: &Object, bare: Bare) -> Result<Thing> {
        let namespace = object.namespace.as_deref().unwrap_or(&self.namespace);
        let name = object.name.as_str();
        match (object.kind, bare) {
            (Some(Kind::Pod), _) | (None, Bare::Pod) => match self.named_pod(namespace, name).await? {
                Some(thing) => Ok(thing),
                None => Err(similar_names::pod(self, namespace, name).await),
            },
            (Some(Kind::Service), _) | (None, Bare::Service) => match self.named_service(namespace, name).await? {
                Some(thing) => Ok(thing),
                None => self.no_service(namespace, name).await,
            },
            (None, Bare::Node) if object.namespace.is_none() => self.named_node(name).await,
            (Some(Kind::Node), _) => self.named_node(name).await,
            (None, Bare::PodElseService | Bare::Node) => {
                if let Some(thing) = self.named_pod(namespace, name).await? {
                    return Ok(thing);
                }
                match self.named_service(namespace, name).await? {
                    Some(thing) => Ok(thing),
                    None => Err(similar_names::pod_or_service(self, namespace, name).await),
                }
            }
            (Some(kind), _) => self.workload(kind, namespace, name).await,
        }
    }

    async fn named_pod(&self, namespace: &str, name: &str) -> Result<Option<Thing>> {
        let pod = self.pod(namespace, name).await;
        let pod = pod.map_err(|refused| refused.fatal(&format!("reading pod {namespace}/{name}")))?;
        Ok(pod.map(|pod| Thing::Pod { pod, chosen: None }))
    }

    async fn named_service(&self, namespace: &str, name: &str) -> Result<Option<Thing>> {
        let (service, slices) = tokio::join!(self.service(namespace, name), self.slices(namespace, name));
        let service = service.map_err(|refused| refused.fatal(&format!("reading service {namespace}/{name}")))?;
        Ok(service.map(|service| Thing::Service { service, slices }))
    }

    async fn named_node(&self, name: &str) -> Result<Thing> {
        match self.node(name).await {
            Ok(Some(node)) => Ok(Thing::Node(node)),
            Ok(None) => Err(similar_names::node(self, name).await),
            Err(refused) => Err(refused.fatal(&format!("reading node {name}"))),
        }
    }

    /// A service that is not there is an answer, where its namespace is.
    async fn no_service(&self, namespace: &str, name: &str) -> Result<Thing> {
        let others = self.services(namespace, None).await.unwrap_or_default();
        if others.is_empty() {
            similar_names::namespace(self, namespace).await?;
        }
        Ok(Thing::NoService {
            object: ObjectRef {
                kind: "Service".into(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            },
            others,
        })
    }

    /// A pod of a workload: a ready one where there is one.
    async fn workload(&self, kind: Kind, namespace: &str, name: &str) -> Result<Thing> {
        let asked = called(kind, name);
        let pods = self.pods_of(kind, namespace, name).await?;
        let (all, ready) = (pods.len(), pods.iter().filter(|pod| usable(pod)).count());
        let Some(pod) = best(pods) else {
            return Err(Usage::error(format!("{asked} has no pods in namespace {namespace}")));
        };
        let chosen = format!(
            "{asked}: looking at pod {}{} ({ready} of {all} ready)",
            pod.full_name(),
            if pod.node.is_empty() {
                String::new()
            } else {
                format!(" on {}", pod.node)
            }
        );
        Ok(Thing::Pod {
            pod,
            chosen: Some(chosen),
        })
    }

    /// All pods of a workload; at least one.
    pub async fn pods_of(&self, kind: Kind, namespace: &str, name: &str) -> Result<Vec<Pod>> {
        let asked = called(kind, name);
        let doing = format!("reading {asked} of namespace {namespace}");
        let selector = if kind == Kind::Selector {
            name.to_owned()
        } else {
            let resource = resource(kind);
            let selector = self.selector_of(&resource, namespace, name).await;
            match selector.map_err(|refused| refused.fatal(&doing))? {
                Some(selector) => selector,
                None => return Err(similar_names::workload(self, kind, namespace, name).await),
            }
        };
        let pods = match self.pods(namespace, Some(&selector)).await {
            Ok(pods) => pods,
            // The API server refuses what is no selector.
            Err(refused) if refused.kind == refusal::Kind::Other => {
                return Err(Usage::error(format!(
                    "{asked}: {}; write selector/app=web",
                    refused.says
                )));
            }
            Err(refused) => return Err(refused.fatal(&doing)),
        };
        if pods.is_empty() {
            similar_names::namespace(self, namespace).await?;
            return Err(Usage::error(format!(
                "{asked} has no pods in namespace {namespace} (selector {selector}); scale it up, or name another namespace with -n"
            )));
        }
        Ok(pods)
    }

    /// Whose address it is: a service's, a pod's, a node's; two calls, since addresses are no names.
    async fn address(&self, address: IpAddr) -> Result<Thing> {
        if address.is_loopback() {
            return Ok(Thing::Address(address));
        }
        let (service, pods) = tokio::join!(self.service_at(address), self.pods_at(address));
        if let Ok(Some(service)) = service {
            let slices = self.slices(&service.namespace, &service.name).await;
            return Ok(Thing::Service { service, slices });
        }
        let mut pods = pods.unwrap_or_default();
        // A pod on its node's network has the node's address.
        if let Some(pod) = pods.iter().find(|pod| pod.host_network)
            && let Ok(Some(node)) = self.node(&pod.node).await
        {
            return Ok(Thing::Node(node));
        }
        // The address of a pod that has ended may be another's by now.
        pods.retain(|pod| !ended(pod));
        Ok(match best(pods) {
            Some(pod) => Thing::Pod { pod, chosen: None },
            None => Thing::Address(address),
        })
    }

    /// A name with dots: that of a service where it is written like one, and there is one; else a name outside.
    async fn name(&self, name: &str) -> Result<Thing> {
        let labels: Vec<&str> = name.trim_end_matches('.').split('.').collect();
        let ([service, namespace] | [service, namespace, "svc", ..]) = labels[..] else {
            return Ok(Thing::Name(name.to_owned()));
        };
        let (found, slices) = tokio::join!(self.service(namespace, service), self.slices(namespace, service));
        Ok(match found {
            Ok(Some(service)) => Thing::Service { service, slices },
            _ => Thing::Name(name.to_owned()),
        })
    }
}

/// A workload as people speak of it.
fn called(kind: Kind, name: &str) -> String {
    if kind == Kind::Selector {
        format!("selector {name}")
    } else {
        format!("{}/{name}", kind.short())
    }
}

/// It has ended for good.
#[must_use]
pub fn ended(pod: &Pod) -> bool {
    matches!(pod.phase.as_str(), "Succeeded" | "Failed")
}

/// It can be sent from and to.
#[must_use]
pub fn has_network(pod: &Pod) -> bool {
    !ended(pod) && !pod.node.is_empty() && !pod.addresses.is_empty()
}

fn usable(pod: &Pod) -> bool {
    pod.ready && !pod.terminating && has_network(pod)
}

/// Ready ones first, then those that run at all; by name, so that a second run takes the same.
fn best(pods: Vec<Pod>) -> Option<Pod> {
    pods.into_iter()
        .min_by_key(|pod| (!usable(pod), !has_network(pod), pod.terminating, pod.name.clone()))
}

#[cfg(test)]
mod tests {
    use super::best;
    use model::inventory::Pod;

    #[test]
    fn of_a_workload_a_ready_pod_is_taken_and_the_same_one_again() {
        let pod = |name: &str, phase: &str, ready| Pod {
            name: name.into(),
            node: "n1".into(),
            phase: phase.into(),
            addresses: vec!["10.244.1.2".parse().unwrap()],
            ready,
            ..Pod::default()
        };
        let pods = vec![
            pod("a", "Succeeded", false),
            pod("b", "Running", false),
            pod("d", "Running", true),
            pod("c", "Running", true),
            Pod {
                terminating: true,
                ..pod("0", "Running", true)
            },
        ];
        assert_eq!(best(pods.clone()).unwrap().name, "c");
        assert_eq!(best(pods[..2].to_vec()).unwrap().name, "b");
        assert_eq!(best(pods[..1].to_vec()).unwrap().name, "a", "it is shown as what it is");
    }
}
