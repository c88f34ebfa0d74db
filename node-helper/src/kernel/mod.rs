//! Programs on their way into the kernel: the ELFs, what this kernel's BTF says of its structures, the constants and maps that
//! are made of both, loading and attaching.
//!
//! It uses `system` alone. Which probes there are stands in `probes`, who loads them in `servants`, and what comes out of the
//! kernel is read in `capture`, but for times that were counted there, which are read here and told by `readings`.

pub mod btf;
pub mod filter;
/// Constants of this kernel, written into programs.
pub mod fold;
/// Times that were counted in the kernel.
pub mod histograms;
pub mod load;
pub mod probe;
pub mod programs;
