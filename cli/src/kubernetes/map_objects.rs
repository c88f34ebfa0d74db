//! The objects of a map: services and policies of the namespaces that are looked at, and whose the other ends' addresses are.

use super::calls::ApiGroups;
use super::cluster::ClusterApi;
use super::list::few_at_once;
use super::other_policies;
use super::refusal::Refusal;
use futures_util::future::join_all;
use model::inventory::Inventory;
use model::missing::Missing;
use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

/// Namespaces of which policies and services are read, at most.
const NAMESPACES_MAX: usize = 64;
/// Addresses whose owners are asked for, at most.
const OWNERS_MAX: usize = 64;

impl ClusterApi {
    /// Adds services, policies and what these select by, of the namespaces of these pods.
    pub async fn add_map_objects(&self, inventory: &mut Inventory, namespaces: BTreeSet<String>) {
        let all = namespaces.len();
        let namespaces: BTreeSet<String> = namespaces.into_iter().take(NAMESPACES_MAX).collect();
        if all > namespaces.len() {
            let what = format!("services and policies of {} namespaces", all - namespaces.len());
            let missing = Missing::new(what, format!("no more than {NAMESPACES_MAX} are read"));
            inventory.missing.push(missing);
        }
        let groups = self.groups().await.unwrap_or_else(|refused| {
            inventory.policy_objects.unread.push(other_policies::unread(&refused));
            ApiGroups::default()
        });
        let (services, policies, labels, foreign) = tokio::join!(
            join_all(namespaces.iter().map(|namespace| self.services(namespace, None))),
            join_all(namespaces.iter().map(|namespace| self.policies(namespace))),
            join_all(namespaces.iter().map(|namespace| self.namespace(namespace))),
            other_policies::policies(self, &groups, &namespaces),
        );
        let known: HashSet<String> = inventory
            .services
            .iter()
            .map(model::inventory::Service::full_name)
            .collect();
        for services in services {
            match services {
                Ok(services) => inventory.services.extend(
                    services
                        .into_iter()
                        .filter(|service| !known.contains(&service.full_name())),
                ),
                Err(refused) => inventory.missing.push(refused.missing("services")),
            }
        }
        foreign.keep(policies, inventory);
        let together = labels.into_iter().collect::<Result<Vec<_>, Refusal>>();
        inventory.namespaces = together
            .map(|found| found.into_iter().flatten().collect())
            .map_err(|refused| refused.missing("labels of the namespaces"))
            .into();
    }

    /// The pods and services that have these addresses. What cannot be asked stays an address.
    pub async fn owners_of(&self, addresses: Vec<IpAddr>) -> Inventory {
        let mut found = Inventory::default();
        let left = addresses.len().saturating_sub(OWNERS_MAX);
        if left > 0 {
            let missing = Missing::new(format!("whose {left} addresses are"), "no more are asked for");
            found.missing.push(missing);
        }
        let asked: Vec<IpAddr> = addresses.into_iter().take(OWNERS_MAX).collect();
        let pods = few_at_once(asked.iter().map(|address| self.pods_at(*address))).await;
        for pods in pods {
            match pods {
                Ok(pods) => found.pods.extend(pods),
                Err(refused) => found.missing.push(refused.missing("whose addresses are: pods")),
            }
        }
        let rest: Vec<IpAddr> = asked
            .into_iter()
            .filter(|address| found.pods_at(*address).next().is_none())
            .collect();
        let services = few_at_once(rest.iter().map(|address| self.service_at(*address))).await;
        for service in services {
            match service {
                Ok(service) => found.services.extend(service),
                Err(refused) => found.missing.push(refused.missing("whose addresses are: services")),
            }
        }
        found.missing.dedup();
        found
    }
}
