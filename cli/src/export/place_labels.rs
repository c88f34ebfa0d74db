//! Whose a number or an event is, as the labels by which it is known outside. Pure.

use crate::numbers::NumbersPlace;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

/// Whose a number is, as labels: none stand for nobody in particular.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PlaceLabels {
    /// The node.
    pub node: String,
    /// The namespace of Kubernetes.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// What is no pod and not the node itself: a namespace, a container.
    pub place: String,
    /// The network namespace, where the others fit several.
    pub netns: Option<u32>,
}

/// The labels of places: those that would be alike have the network namespace, too.
pub fn labels_of(places: &[NumbersPlace]) -> Vec<Arc<PlaceLabels>> {
    let mut labels: Vec<PlaceLabels> = places.iter().map(PlaceLabels::of).collect();
    let mut met: BTreeMap<PlaceLabels, BTreeSet<u32>> = BTreeMap::new();
    for (place, labels) in places.iter().zip(&labels).filter(|(place, _)| !place.is_node) {
        met.entry(labels.clone()).or_default().insert(place.netns);
    }
    for (place, labels) in places.iter().zip(&mut labels) {
        if met.get(labels).is_some_and(|all| all.len() > 1) {
            labels.netns = Some(place.netns);
        }
    }
    labels.into_iter().map(Arc::new).collect()
}

impl PlaceLabels {
    /// The labels of a place.
    fn of(place: &NumbersPlace) -> Self {
        let mut labels = Self {
            node: place.node.clone(),
            ..Self::default()
        };
        if !place.namespace.is_empty() {
            labels.namespace.clone_from(&place.namespace);
            labels.pod.clone_from(&place.name);
        } else if !place.is_node {
            labels.place.clone_from(&place.name);
        }
        labels
    }

    /// Those that say something, by name.
    pub fn pairs(&self) -> impl Iterator<Item = (&'static str, String)> {
        let netns = self.netns.map(|netns| netns.to_string()).unwrap_or_default();
        let all = [
            ("node", self.node.clone()),
            ("namespace", self.namespace.clone()),
            ("pod", self.pod.clone()),
            ("place", self.place.clone()),
            ("netns", netns),
        ];
        all.into_iter().filter(|(_, value)| !value.is_empty())
    }
}
