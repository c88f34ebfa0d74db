//! helper
mod programs;

fn main() {}
