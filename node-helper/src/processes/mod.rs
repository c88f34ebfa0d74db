//! What each of our processes may do: the table of roles, the system calls and capabilities that a role keeps, and how one
//! process of ours asks another that holds a right it has given up.
//!
//! It uses `system` alone. What is asked of such a process, and what it does, stands in `servants`.

pub mod capabilities;
pub mod privileges;
pub mod seccomp;
pub mod servant;
