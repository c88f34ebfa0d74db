//! Does something inside a network namespace, as a pod would.

#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use nix::sched::{CloneFlags, setns};
use node_helper::identity::namespaces::NetworkNamespace;

/// Runs `f` there, on a thread of its own: no other thread ever changes place.
pub fn within<T: Send>(ns: &NetworkNamespace, f: impl FnOnce() -> T + Send) -> T {
    std::thread::scope(|scope| {
        let inside = scope.spawn(|| {
            setns(ns.open().unwrap(), CloneFlags::CLONE_NEWNET).unwrap();
            f()
        });
        inside.join().unwrap()
    })
}
