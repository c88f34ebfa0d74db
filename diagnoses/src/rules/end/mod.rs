//! Causes at the far or the near end: sockets, their queues, the processes that hold them.
//!
//! They read sockets, processes and what the end's own kernel sent or dropped. What was lost on the way there is another layer's.

pub mod accept_queue_full;
pub mod application_stalled;
pub mod disk_slow;
pub mod file_descriptors_exhausted;
pub mod listener_on_other_address;
pub mod port_closed;
pub mod receiver_window_closed;
pub mod reset_by_application;
pub mod reset_by_middlebox;
pub mod socket_memory_exhausted;
pub mod syn_queue_full;
pub mod time_wait_overflow;
pub mod udp_buffer_overflow;
