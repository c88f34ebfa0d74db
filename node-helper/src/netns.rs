//! Does something inside a network namespace, on a thread of its own.

use crate::namespaces::Namespace;
use anyhow::{Context as _, anyhow, bail};
use nix::sched::{CloneFlags, setns};
use std::fs::File;
use std::marker::PhantomData;
use std::os::unix::fs::MetadataExt as _;
use std::thread;

/// Proof that this thread is inside a namespace. It cannot be sent to another thread, which would not be.
struct Inside(PhantomData<*const ()>);

/// Runs `f` inside a namespace, on its own thread, which ends with it: no other thread ever changes place.
pub fn within<T: Send>(ns: &Namespace, f: impl FnOnce() -> T + Send) -> anyhow::Result<T> {
    thread::scope(|scope| {
        let inside = thread::Builder::new()
            .name("inside".to_owned())
            .spawn_scoped(scope, || {
                let _inside = enter(ns)?;
                Ok(f())
            })
            .with_context(|| format!("cannot start a thread for network namespace {}", ns.name))?;
        inside
            .join()
            .map_err(|_| anyhow!("a thread inside network namespace {} ended in a panic", ns.name))?
    })
}

fn enter(ns: &Namespace) -> anyhow::Result<Inside> {
    let path = ns.path.display();
    let file = File::open(&ns.path)
        .with_context(|| format!("cannot open network namespace {} ({path}); is it gone?", ns.name))?;
    let inode = file.metadata().with_context(|| format!("cannot look at {path}"))?.ino();
    if inode != u64::from(ns.inode) {
        bail!(
            "{path} is no longer network namespace {} (inode {inode}, not {}); ask again",
            ns.name,
            ns.inode
        );
    }
    setns(&file, CloneFlags::CLONE_NEWNET)
        .with_context(|| format!("cannot enter network namespace {}; this needs CAP_SYS_ADMIN", ns.name))?;
    Ok(Inside(PhantomData))
}
