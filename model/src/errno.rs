//! An error number of the kernel, with its name.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// An error number with its name.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Errno {
    /// The number.
    pub number: i32,
    /// Its name, e.g. `ECONNREFUSED`.
    pub name: String,
}

impl Errno {
    /// This number, with its name where networking gives it.
    #[must_use]
    pub fn of(number: u16) -> Self {
        Self {
            number: number.into(),
            name: name_of(number).unwrap_or("another error").to_owned(),
        }
    }
}

/// Linux's name of an error number (`include/uapi/asm-generic/errno.h`), of those that networking gives.
#[must_use]
pub const fn name_of(number: u16) -> Option<&'static str> {
    Some(match number {
        1 => "EPERM",
        4 => "EINTR",
        11 => "EAGAIN",
        12 => "ENOMEM",
        13 => "EACCES",
        16 => "EBUSY",
        22 => "EINVAL",
        32 => "EPIPE",
        71 => "EPROTO",
        90 => "EMSGSIZE",
        92 => "ENOPROTOOPT",
        97 => "EAFNOSUPPORT",
        99 => "EADDRNOTAVAIL",
        100 => "ENETDOWN",
        101 => "ENETUNREACH",
        103 => "ECONNABORTED",
        104 => "ECONNRESET",
        105 => "ENOBUFS",
        110 => "ETIMEDOUT",
        111 => "ECONNREFUSED",
        112 => "EHOSTDOWN",
        113 => "EHOSTUNREACH",
        _ => return None,
    })
}
