//! A question about one end: its own traffic is watched, and what suffers is followed to the other end, in one window.
//!
//! It may use a conversation with helpers, the order of events, and how facts of a path are read. Which conversations suffer and
//! what that means is decided elsewhere (`diagnoses`); it knows neither where helpers are nor a cluster's API.

mod answer;
mod arming;
mod by_api;
mod follow;
mod kept_events;
mod onlooker;
mod overflow_watch;
mod own_place;
mod question;
mod surroundings;
mod triage;

pub use answer::{answer, questions};
pub use by_api::by_api;
pub use onlooker::Onlooker;
pub use question::OneEndQuestion;
pub use surroundings::Surroundings;
pub use triage::{watch, with_neighbours};
