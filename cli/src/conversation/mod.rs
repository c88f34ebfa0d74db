//! The conversation with the helpers of all nodes: the pipes to them, the lines that come in and how large they may be, and
//! the state that all replies have come to so far.
//!
//! It may use recordings, what shows progress, and interrupts. It knows neither how a helper is started (`site`) nor what is
//! asked in which order (`evidence`, `capture`).

mod event_buffer;
pub mod helper_conversation;
pub mod kernels;
pub mod line_weight;
pub mod link;
pub mod looks;
pub mod numbers;
pub mod reply_stream;
mod retention;
pub mod session;
pub mod state;
