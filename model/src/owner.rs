//! To whom an event or a process belongs: never a guess.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The owner of a namespace, socket or process, as the node alone can tell it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum Owner {
    /// A pod, by the UID in its cgroup path; the container id where the cgroup tells it.
    Pod {
        /// The pod's UID, with dashes.
        uid: String,
        /// The container's id (64 hex digits).
        #[serde(default, skip_serializing_if = "Option::is_none")]
        container: Option<String>,
    },
    /// A container outside Kubernetes, by the id in its cgroup path.
    Container {
        /// The container's id (64 hex digits).
        id: String,
    },
    /// A named network namespace (`ip netns`).
    Netns {
        /// Its name.
        name: String,
    },
    /// The host itself.
    Host,
    /// Nothing tells.
    #[default]
    Unknown,
}
