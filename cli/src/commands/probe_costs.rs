//! What probes cost that run for each packet or read, said before they are attached; and which run only when asked for.

use crate::render;
use model::numbers;
use model::protocol::Hello;

/// Left out unless asked for: they follow every packet of a flow, report every connection, measure every packet or request, or read one by
/// one what others read as a whole.
pub const ONLY_WHEN_ASKED: [&str; 9] = [
    "path",
    "tcpstate",
    "transmit",
    "socketlatency",
    "kernellatency",
    "biolatency",
    "holders",
    "process",
    "peers",
];

/// Says what those of these probes cost that measure times.
pub fn say_costs(hello: &Hello, probes: &[String]) {
    for name in probes.iter().filter(|name| numbers::measures_times(name)) {
        if let Some(status) = hello.probes.iter().find(|status| status.name == *name) {
            render::note(&format!("probe {name} costs {}", status.cost));
        }
    }
}
