//! Which object of the API is meant.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Which object.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct ObjectRef {
    /// Its kind, as the API writes it (`Pod`, `Service`).
    pub kind: String,
    /// Its namespace; empty for objects of the cluster.
    #[serde(skip_serializing_if = "String::is_empty")]
    pub namespace: String,
    /// Its name.
    pub name: String,
}
