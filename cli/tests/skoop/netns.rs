//! Network namespaces of a test's own.

use std::process::Command;

/// A network namespace; it goes with this.
pub struct Netns {
    pub name: String,
}

impl Netns {
    pub fn new(name: &str) -> Self {
        let name = format!("sk-{name}-{}", std::process::id());
        ip(&["netns", "add", &name]);
        Self { name }
    }

    pub fn inside(&self, script: &str) {
        ip(&["netns", "exec", &self.name, "bash", "-c", script]);
    }
}

impl Drop for Netns {
    fn drop(&mut self) {
        let _ = Command::new("ip").args(["netns", "del", &self.name]).status();
    }
}

#[track_caller]
fn ip(arguments: &[&str]) {
    let done = Command::new("ip").args(arguments).status().unwrap();
    assert!(done.success(), "ip {arguments:?}");
}
