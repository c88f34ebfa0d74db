//! diagnoses
