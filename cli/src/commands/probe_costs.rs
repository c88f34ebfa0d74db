//! What probes cost that run for each packet or read, said before they are attached.

use crate::render;
use model::numbers;
use model::protocol::Hello;

/// Of those of these probes that measure times.
pub fn say_costs(hello: &Hello, probes: &[String]) {
    for name in probes.iter().filter(|name| numbers::measures_times(name)) {
        if let Some(status) = hello.probes.iter().find(|status| status.name == *name) {
            render::note(&format!("probe {name} costs {}", status.cost));
        }
    }
}
