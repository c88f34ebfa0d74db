//! Which tables of iptables-legacy a namespace has, as the kernel lists them.

use crate::facts::Look;
use std::io::ErrorKind;

/// Their names; the kernel lists them in a file that exists where it knows them.
pub fn tables(look: &Look, file: &str) -> anyhow::Result<Vec<String>> {
    match look.proc_net(file) {
        Ok(names) => Ok(names.lines().map(str::to_owned).collect()),
        Err(error) if kind(&error) == Some(ErrorKind::NotFound) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

fn kind(error: &anyhow::Error) -> Option<ErrorKind> {
    error.downcast_ref::<std::io::Error>().map(std::io::Error::kind)
}
