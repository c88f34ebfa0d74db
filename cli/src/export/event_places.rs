//! Whose an event is, in the labels by which numbers are known. Pure.

use super::place_labels::{PlaceLabels, labels_of};
use crate::numbers::place::outside_name;
use crate::numbers::{NumbersPlace, PlaceNames};
use model::event::Event;
use model::owner::Owner;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Whose namespaces are, by node and inode.
#[derive(Debug, Default)]
pub struct EventPlaces {
    by_netns: BTreeMap<(String, u32), Arc<PlaceLabels>>,
    /// One for all that have the same.
    met: BTreeSet<Arc<PlaceLabels>>,
}

/// No more are kept; then all are met anew.
const MET_MAX: usize = 100_000;

impl EventPlaces {
    /// What numbers say of whose namespaces are.
    pub fn learn(&mut self, places: &[NumbersPlace]) {
        for (place, labels) in places
            .iter()
            .zip(labels_of(places))
            .filter(|(place, _)| place.netns != 0)
        {
            self.by_netns.insert((place.node.clone(), place.netns), labels);
        }
    }

    /// Whose an event of this node is.
    pub fn of(&mut self, event: &Event, node: &str, names: &PlaceNames) -> Arc<PlaceLabels> {
        let known = self.by_netns.get(&(node.to_owned(), event.netns));
        let mut labels = PlaceLabels {
            node: node.to_owned(),
            ..PlaceLabels::default()
        };
        match &event.owner {
            Owner::Pod { uid, .. } => match names.pod(uid) {
                Some((namespace, name)) => {
                    namespace.clone_into(&mut labels.namespace);
                    name.clone_into(&mut labels.pod);
                }
                None => labels.place = outside_name("", &event.owner),
            },
            _ if known.is_some() => return known.map(Arc::clone).unwrap_or_default(),
            Owner::Container { .. } => labels.place = outside_name("", &event.owner),
            Owner::Netns { name } => {
                labels.place = format!("netns/{}", name.strip_prefix("netns/").unwrap_or(name));
            }
            Owner::Unknown if event.netns != 0 => labels.netns = Some(event.netns),
            Owner::Unknown | Owner::Host => {}
        }
        if let Some(met) = self.met.get(&labels) {
            return Arc::clone(met);
        }
        if self.met.len() >= MET_MAX {
            self.met.clear();
        }
        let labels = Arc::new(labels);
        self.met.insert(Arc::clone(&labels));
        labels
    }
}

#[cfg(test)]
mod tests {
    use super::EventPlaces;
    use crate::export::exported_event::tests::{RESET, event};
    use crate::export::metric_set::tests::place;
    use crate::numbers::PlaceNames;
    use model::inventory::{Inventory, Pod};
    use model::owner::Owner;

    #[test]
    fn an_event_is_its_pods_else_that_of_its_network_namespace() {
        let inventory = Inventory {
            pods: vec![Pod {
                uid: "u1".to_owned(),
                namespace: "shop".to_owned(),
                name: "web-1".to_owned(),
                ..Pod::default()
            }],
            ..Inventory::default()
        };
        let names = PlaceNames::of(Some(&inventory));
        let mut places = EventPlaces::default();
        places.learn(&[place(("", "netns/a", 7), &[])]);
        let mut of = |owner: Owner, netns: u32| -> Vec<String> {
            let mut event = event(RESET).event;
            (event.owner, event.netns) = (owner, netns);
            let labels = places.of(&event, "n1", &names);
            labels
                .pairs()
                .skip(1)
                .map(|(name, value)| format!("{name}={value}"))
                .collect()
        };
        let pod = |uid: &str| Owner::Pod {
            uid: uid.to_owned(),
            container: None,
        };
        assert_eq!(of(pod("u1"), 9), ["namespace=shop", "pod=web-1"]);
        assert_eq!(of(pod("u2"), 9), ["place=pod/u2"]);
        assert_eq!(of(Owner::Unknown, 7), ["place=netns/a"]);
        assert_eq!(of(Owner::Unknown, 8), ["netns=8"]);
        let outside = Owner::Netns { name: "b".to_owned() };
        assert_eq!(of(outside, 9), ["place=netns/b"]);
        assert!(of(Owner::Host, 0).is_empty());
    }
}
