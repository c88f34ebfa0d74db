//! What is asked, as pure data and pure text: both ends as people write them, what to send and for how long, and what a site
//! knows of the ends before any helper is asked.
//!
//! It may use the model, exit codes and names that are alike. Nothing here asks, waits or prints, or knows of a cluster's API.

pub mod attempt_plan;
pub mod durations;
pub mod known_ends;
pub mod named_end;
pub mod object_name;
pub mod question;
