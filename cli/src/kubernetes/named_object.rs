//! The object that a name stands for: asked of the API, with one call where one will do.

use super::cluster::ClusterApi;
use super::refusal::{Refusal, RefusalKind};
use super::resource::resource;
use super::similar_names;
use crate::exit::{NotThere, WrongUsage};
use crate::inquiry::named_end::NamedPlace;
use crate::inquiry::object_name::{ObjectKind, ObjectName};
use anyhow::Result;
use model::inventory::{EndpointSlice, Node, Pod, Service};
use model::object_ref::ObjectRef;
use std::net::IpAddr;

/// What an end is.
#[derive(Clone, Debug, PartialEq)]
pub enum NamedObject {
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
        slices: Result<Vec<EndpointSlice>, Refusal>,
    },
    /// A service that is not there.
    NoService {
        /// What was asked for.
        object: ObjectRef,
        /// Services that are there instead of it.
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
pub enum BareName {
    /// A pod, else a service.
    PodElseService,
    /// A pod.
    Pod,
    /// A service.
    Service,
    /// A node.
    Node,
}

impl ClusterApi {
    /// What is named.
    pub async fn find(&self, place: &NamedPlace, bare: BareName) -> Result<NamedObject> {
        match place {
            NamedPlace::Object(object) => self.object(object, bare).await,
            NamedPlace::Address(address) => self.address(*address).await,
            NamedPlace::Name(name) => self.name(name).await,
            NamedPlace::Site(text) => Err(WrongUsage::error(format!(
                "{text} is an endpoint of one machine; in a cluster name a pod, a workload, a service or a node, or look at this machine with --local"
            ))),
        }
    }

    async fn object(&self, object: &ObjectName, bare: BareName) -> Result<NamedObject> {
        let namespace = object.namespace.as_deref().unwrap_or(&self.namespace);
        let name = object.name.as_str();
        match (object.kind, bare) {
            (Some(ObjectKind::Pod), _) | (None, BareName::Pod) => match self.named_pod(namespace, name).await? {
                Some(thing) => Ok(thing),
                None => Err(similar_names::pod(self, namespace, name).await),
            },
            (Some(ObjectKind::Service), _) | (None, BareName::Service) => {
                match self.named_service(namespace, name).await? {
                    Some(thing) => Ok(thing),
                    None => self.no_service(namespace, name).await,
                }
            }
            (None, BareName::Node) if object.namespace.is_none() => self.named_node(name).await,
            (Some(ObjectKind::Node), _) => self.named_node(name).await,
            (None, BareName::PodElseService | BareName::Node) => {
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

    async fn named_pod(&self, namespace: &str, name: &str) -> Result<Option<NamedObject>> {
        let pod = self.pod(namespace, name).await;
        let pod = pod.map_err(|refused| refused.fatal(&format!("reading pod {namespace}/{name}")))?;
        Ok(pod.map(|pod| NamedObject::Pod { pod, chosen: None }))
    }

    async fn named_service(&self, namespace: &str, name: &str) -> Result<Option<NamedObject>> {
        let (service, slices) = tokio::join!(self.service(namespace, name), self.slices(namespace, name));
        let service = service.map_err(|refused| refused.fatal(&format!("reading service {namespace}/{name}")))?;
        Ok(service.map(|service| NamedObject::Service { service, slices }))
    }

    async fn named_node(&self, name: &str) -> Result<NamedObject> {
        match self.node(name).await {
            Ok(Some(node)) => Ok(NamedObject::Node(node)),
            Ok(None) => Err(similar_names::node(self, name).await),
            Err(refused) => Err(refused.fatal(&format!("reading node {name}"))),
        }
    }

    /// A service that is not there is an answer, where its namespace is.
    async fn no_service(&self, namespace: &str, name: &str) -> Result<NamedObject> {
        let others = self.services(namespace, None).await.unwrap_or_default();
        if others.is_empty() {
            similar_names::namespace(self, namespace).await?;
        }
        Ok(NamedObject::NoService {
            object: ObjectRef {
                kind: "Service".into(),
                namespace: namespace.to_owned(),
                name: name.to_owned(),
            },
            others,
        })
    }

    /// A pod of a workload: a ready one where there is one.
    async fn workload(&self, kind: ObjectKind, namespace: &str, name: &str) -> Result<NamedObject> {
        let asked = called(kind, name);
        let pods = self.pods_of(kind, namespace, name).await?;
        let (all, ready) = (pods.len(), pods.iter().filter(|pod| usable(pod)).count());
        let Some(pod) = best(pods) else {
            return Err(NotThere::error(format!("{asked} has no pods in namespace {namespace}")));
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
        Ok(NamedObject::Pod {
            pod,
            chosen: Some(chosen),
        })
    }

    /// All pods of a workload; at least one.
    pub async fn pods_of(&self, kind: ObjectKind, namespace: &str, name: &str) -> Result<Vec<Pod>> {
        let asked = called(kind, name);
        let doing = format!("reading {asked} of namespace {namespace}");
        let selector = if kind == ObjectKind::Selector {
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
            Err(refused) if refused.kind == RefusalKind::Other => {
                return Err(NotThere::error(format!(
                    "{asked}: {}; write selector/app=web",
                    refused.says
                )));
            }
            Err(refused) => return Err(refused.fatal(&doing)),
        };
        if pods.is_empty() {
            similar_names::namespace(self, namespace).await?;
            return Err(NotThere::error(format!(
                "{asked} has no pods in namespace {namespace} (selector {selector}); scale it up, or name another namespace with -n"
            )));
        }
        Ok(pods)
    }

    /// Whose address it is: a service's, a pod's, a node's; two calls, since addresses are no names.
    async fn address(&self, address: IpAddr) -> Result<NamedObject> {
        if address.is_loopback() {
            return Ok(NamedObject::Address(address));
        }
        let (service, pods) = tokio::join!(self.service_at(address), self.pods_at(address));
        if let Ok(Some(service)) = service {
            let slices = self.slices(&service.namespace, &service.name).await;
            return Ok(NamedObject::Service { service, slices });
        }
        let mut pods = pods.unwrap_or_default();
        // A pod on its node's network has the node's address.
        if let Some(pod) = pods.iter().find(|pod| pod.host_network)
            && let Ok(Some(node)) = self.node(&pod.node).await
        {
            return Ok(NamedObject::Node(node));
        }
        // The address of a pod that has ended may be another's by now.
        pods.retain(|pod| !ended(pod));
        Ok(match best(pods) {
            Some(pod) => NamedObject::Pod { pod, chosen: None },
            None => NamedObject::Address(address),
        })
    }

    /// A name with dots: that of a service where it is written like one, and there is one; else a name outside.
    async fn name(&self, name: &str) -> Result<NamedObject> {
        let labels: Vec<&str> = name.trim_end_matches('.').split('.').collect();
        let ([service, namespace] | [service, namespace, "svc", ..]) = labels[..] else {
            return Ok(NamedObject::Name(name.to_owned()));
        };
        let (found, slices) = tokio::join!(self.service(namespace, service), self.slices(namespace, service));
        Ok(match found {
            Ok(Some(service)) => NamedObject::Service { service, slices },
            _ => NamedObject::Name(name.to_owned()),
        })
    }
}

/// A workload as people speak of it.
fn called(kind: ObjectKind, name: &str) -> String {
    if kind == ObjectKind::Selector {
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
