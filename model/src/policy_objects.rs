//! Policies of other kinds than `NetworkPolicy`, as the API has them: a network plug-in's own, and those of the cluster's admins.
//!
//! Nothing is made of them here: their kinds differ in all but their names, and what evaluates them says which fields it knows.

use crate::missing::Missing;
use crate::object_ref::ObjectRef;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::collections::BTreeMap;

/// What was read of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PolicyObjects {
    /// API groups with kinds of policies that the cluster serves (`cilium.io`).
    pub groups: Vec<String>,
    /// Those of the namespaces of either end and of the whole cluster, with what they refer to (`Tier`, `NetworkSet`).
    pub objects: Vec<PolicyObject>,
    /// Lists of them that could not be read, and why.
    pub unread: Vec<Missing>,
}

/// One of them.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct PolicyObject {
    /// Group and version by which it was read (`cilium.io/v2`).
    pub api_version: String,
    /// Which object. Where several groups have the kind, it is followed by the group (`NetworkPolicy.projectcalico.org`).
    pub object: ObjectRef,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its `spec`; null where it has none.
    pub spec: Value,
    /// Its `specs`, where its kind has several.
    pub specs: Vec<Value>,
}

impl PolicyObject {
    /// The group of its kind.
    #[must_use]
    pub fn group(&self) -> &str {
        self.api_version.split_once('/').map_or("", |(group, _)| group)
    }

    /// Its kind without a group.
    #[must_use]
    pub fn kind(&self) -> &str {
        let kind = self.object.kind.as_str();
        kind.split_once('.').map_or(kind, |(kind, _)| kind)
    }
}

impl PolicyObjects {
    /// The cluster serves kinds of this group.
    #[must_use]
    pub fn serves(&self, group: &str) -> bool {
        self.groups.iter().any(|served| served == group)
    }

    /// The objects of a kind of a group.
    pub fn of<'a>(&'a self, group: &'a str, kind: &'a str) -> impl Iterator<Item = &'a PolicyObject> {
        self.objects
            .iter()
            .filter(move |object| object.group() == group && object.kind() == kind)
    }
}
