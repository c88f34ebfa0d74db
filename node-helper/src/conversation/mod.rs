//! The conversation with the client: its lines come in, numbered lines go out, and windows are planned, armed, opened and
//! closed as it says.
//!
//! The top: it uses every other room, and none of them knows it.

mod hello;
pub mod input;
mod request_line;
pub mod session;
pub mod window;
pub mod workers;
pub mod writer;
