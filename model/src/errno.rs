//! An error number of the kernel, with its name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An error number with its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Errno {
    /// The number.
    pub number: i32,
    /// Its name, e.g. `ECONNREFUSED`.
    pub name: String,
}
