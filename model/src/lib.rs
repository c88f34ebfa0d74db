//! The words all parts of kubectl-skoop share.
//!
//! The kernel side uses the first three modules without `std`; everything above them is plain data that
//! crosses a pipe as JSON: facts, attempts, evidence, the protocol and the report.
#![cfg_attr(not(feature = "std"), no_std)]

/// The tuple of a packet or socket; IPv4 is mapped into IPv6, so there are no twins.
pub mod flow;
/// The one record the kernel writes.
pub mod record;
/// The vocabulary: what a probe can say, as it crosses the kernel border.
pub mod word;

/// Packets we send ourselves, and what they met.
#[cfg(feature = "std")]
pub mod attempt;
/// The two ends of a path.
#[cfg(feature = "std")]
pub mod endpoint;
/// An event as people and rules read it.
#[cfg(feature = "std")]
pub mod event;
/// All that was seen in one run.
#[cfg(feature = "std")]
pub mod evidence;
/// State at a moment: one plain struct per fact.
#[cfg(feature = "std")]
pub mod facts;
/// What was missing and why; `Known` wraps a fact that may be missing.
#[cfg(feature = "std")]
pub mod missing;
/// To whom an event or address belongs.
#[cfg(feature = "std")]
pub mod owner;
/// Client and helper: JSON lines.
#[cfg(feature = "std")]
pub mod protocol;
/// The answer, as `-o json` prints it.
#[cfg(feature = "std")]
pub mod report;
