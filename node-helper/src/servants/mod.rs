//! The two processes of ours that hold rights which the session gave up: the armer, which loads and attaches programs, and the
//! usher, which enters network namespaces. Each file holds both sides: what the session asks, and what the process does.
//!
//! They use all that they carry out (`kernel` and `probes`; `facts` and `attempts`). Whoever asks them stands above:
//! `discovery`, `capture`, `conversation`.

pub mod armer;
pub mod usher;
