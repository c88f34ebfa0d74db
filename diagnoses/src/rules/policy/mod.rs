//! Causes that somebody decided on: netfilter rules, network policies, eBPF programs, NFQUEUE agents, `IPsec`, TCP signatures.
//!
//! They name the rule or program that refused the packet. Address translation is `translation/`, limits by rate are `compound/`.

pub mod bpf_drop;
pub mod enforcement_differs;
pub mod ipsec_mismatch;
pub mod netfilter_drop;
pub mod netfilter_reject;
pub mod network_policy_denies;
pub mod queue_agent_drops;
pub mod tcp_signature_mismatch;
