//! The conversation with the client: its lines come in, numbered lines go out, and windows are planned, armed, opened and
//! closed as it says.
//!
//! The top: it uses every other room, and none of them knows it.

pub mod input;
pub mod senders;
pub mod session;
pub mod window;
pub mod writer;
