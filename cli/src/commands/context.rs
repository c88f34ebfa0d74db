//! What a command is given besides its own options.

use crate::kubernetes::cluster::Access;
use crate::render::Colour;

/// What a command is given besides its own options.
#[derive(Clone, Debug)]
pub struct CommandContext {
    /// As the user calls this program: `kubectl skoop` or `kubectl-skoop`.
    pub program: &'static str,
    /// When to colour.
    pub colour: Colour,
    /// Which cluster, and as whom.
    pub access: Access,
    /// The arguments, without the program's own name.
    pub arguments: Vec<String>,
}
