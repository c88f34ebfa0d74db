//! The conversation with the helpers of all nodes: the pipes to them, the lines that come in and what they may weigh, and the
//! state that all of them have brought about so far.
//!
//! It may use recordings, what shows progress, and interrupts. It knows neither how a helper is started (`site`) nor what is
//! asked in which order (`evidence`, `capture`).

mod event_buffer;
pub mod kernels;
pub mod line_weight;
pub mod link;
pub mod reply_stream;
mod retention;
pub mod session;
pub mod state;
