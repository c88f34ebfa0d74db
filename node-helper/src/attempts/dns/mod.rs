//! Looking up a name as glibc's resolver does: which names it tries, whom it asks and in which order, what comes back.
//!
//! It uses the sockets and the task of `attempts`, and knows no other kind of attempt.

pub mod lookup;
pub mod message;
mod resolver;
mod search;
mod server;
mod stream;
