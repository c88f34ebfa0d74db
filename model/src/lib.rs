//! The words all parts of kubectl-skoop share.
//!
//! The kernel side uses the first four modules without `std`; everything above them is plain data that
//! crosses a pipe as JSON: facts, attempts, evidence, the protocol and the report.
#![cfg_attr(not(feature = "std"), no_std)]

pub mod flow;
pub mod histogram;
pub mod record;
pub mod word;

#[cfg(feature = "std")]
pub mod attempt;
#[cfg(feature = "std")]
pub mod endpoint;
#[cfg(feature = "std")]
pub mod errno;
#[cfg(feature = "std")]
pub mod event;
#[cfg(feature = "std")]
pub mod evidence;
#[cfg(feature = "std")]
pub mod facts;
#[cfg(feature = "std")]
pub mod inventory;
#[cfg(feature = "std")]
pub mod kernel_counters;
#[cfg(feature = "std")]
pub mod letter;
#[cfg(feature = "std")]
pub mod missing;
#[cfg(feature = "std")]
pub mod numbers;
#[cfg(feature = "std")]
pub mod object_ref;
#[cfg(feature = "std")]
pub mod owner;
#[cfg(feature = "std")]
pub mod policy_objects;
#[cfg(feature = "std")]
pub mod predecessor;
#[cfg(feature = "std")]
pub mod protocol;
#[cfg(feature = "std")]
pub mod report;
#[cfg(feature = "std")]
pub mod series;
#[cfg(feature = "std")]
pub mod stages;
#[cfg(feature = "std")]
pub mod traffic_map;
#[cfg(feature = "std")]
pub mod views;
