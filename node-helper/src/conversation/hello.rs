//! What the helper says of itself and its node before anything else.

use crate::capture::armed;
use crate::identity::namespaces;
use crate::processes::capabilities;
use crate::readings::READINGS;
use crate::system::{clock, door};
use model::protocol::{Hello, VERSION};

/// The greeting, with what each probe can do here.
pub fn hello() -> Hello {
    let kernel = nix::sys::utsname::uname().ok();
    let text = |field: fn(&nix::sys::utsname::UtsName) -> &std::ffi::OsStr| {
        kernel
            .as_ref()
            .map(|uname| field(uname).to_string_lossy().into_owned())
            .unwrap_or_default()
    };
    Hello {
        version: VERSION,
        node: text(|uname| uname.nodename()),
        kernel: text(|uname| uname.release()),
        arch: text(|uname| uname.machine()),
        boot_id: door::text("/proc/sys/kernel/random/boot_id", door::FEW_LINES)
            .map(|id| id.trim().to_owned())
            .unwrap_or_default(),
        netns: namespaces::own(),
        monotonic_ns: clock::monotonic_ns(),
        boottime_ns: clock::boottime_ns(),
        wall_ns: clock::wall_ns(),
        capabilities: capabilities::given().to_vec(),
        probes: armed::statuses()
            .into_iter()
            .chain(READINGS.iter().map(|probe| probe.status()))
            .collect(),
    }
}
