//! Who talks to whom, how that is known, and where it is lost: from events and sockets to ends and edges. Pure.
//!
//! It may use the model, the rules' conversations and policies, and names of the inventory; it neither asks nor prints.

mod edges;
mod ends;
mod fold;
mod permitted;
mod rulings;
#[cfg(test)]
mod tests;

pub use edges::{TrafficSeen, traffic_map};
pub use ends::{MapEnds, endpoint_of};
pub use fold::TrafficFold;
pub use permitted::permitted;
