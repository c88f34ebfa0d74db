//! Leads into a network namespace, checked: who enters by it comes to the one that was meant.

use super::namespaces::NetworkNamespace;
use crate::system::door;
use anyhow::{Context as _, bail};
use std::fs::File;
use std::os::unix::fs::MetadataExt as _;

/// Opens a namespace, which must still be the one that was found under its path.
pub fn open(ns: &NetworkNamespace) -> anyhow::Result<File> {
    let path = ns.path.display();
    let file = door::namespace(&ns.path)
        .with_context(|| format!("cannot open network namespace {} ({path}); is it gone?", ns.name))?;
    let inode = file.metadata().with_context(|| format!("cannot look at {path}"))?.ino();
    if inode != u64::from(ns.inode) {
        bail!(
            "{path} is no longer network namespace {} (inode {inode}, not {}); ask again",
            ns.name,
            ns.inode
        );
    }
    Ok(file)
}
