//! What is found out about this node by going and looking: the facts that were asked for, what an endpoint is, whose a packet
//! is, and how the place where it was met is called.
//!
//! It uses the usher to look into namespaces, `facts` to read what is there, and `identity` to know whose it is. It does not
//! know the client: answers are handed back, or said to a closure.

pub mod host_sockets;
pub mod islands;
mod owner_memory;
pub mod owners;
/// Names for the places where events happen.
pub mod places;
pub mod resolve;
pub mod survey;
