//! helper

fn main() {}
