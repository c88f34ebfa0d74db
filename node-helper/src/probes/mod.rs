//! The registry of probes: one file each, with its hooks, what it sees and costs, and what it can do without; and what this kernel
//! has of all that they name.
//!
//! It uses `kernel` alone, and no probe names another. Attaching them is the armer's, whether they can be is told by
//! `capture::armed`.

use crate::kernel::btf::{self, DROP_REASONS, Layout, RESET_REASONS, Wanted};
use crate::kernel::load::{self, ProgramHook};
use crate::kernel::probe::Probe;
use anyhow::bail;
use std::sync::OnceLock;
use strsim::levenshtein;

/// How long block devices take.
pub mod biolatency;
/// DNS over UDP.
pub mod dns;
/// Packets that the kernel frees as a loss.
pub mod drop;
/// ICMP errors sent, socket errors.
pub mod icmp;
/// Where packets spend their time inside the kernel.
pub mod kernellatency;
/// Neighbours that do not answer.
pub mod neigh;
/// The hop trail.
pub mod path;
/// How long data waits in sockets.
pub mod socketlatency;
/// Resets sent and accepted.
pub mod tcpreset;
/// Segments sent again.
pub mod tcpretrans;
/// State changes of sockets.
pub mod tcpstate;
/// How long packets wait in a device's queue.
pub mod transmit;
/// Datagrams refused by a full buffer.
pub mod udpbuf;

/// Every probe. Help, `skoop probes` and the tests derive from this list.
pub const PROBES: &[&Probe] = &[
    &drop::PROBE,
    &tcpreset::PROBE,
    &tcpretrans::PROBE,
    &tcpstate::PROBE,
    &icmp::PROBE,
    &neigh::PROBE,
    &udpbuf::PROBE,
    &dns::PROBE,
    &path::PROBE,
    &transmit::PROBE,
    &socketlatency::PROBE,
    &kernellatency::PROBE,
    &biolatency::PROBE,
];

/// What this kernel has of what all probes want; read once.
pub fn layout() -> Result<&'static Layout, &'static str> {
    static LAYOUT: OnceLock<Result<Layout, String>> = OnceLock::new();
    LAYOUT
        .get_or_init(|| {
            wanted()
                .and_then(|wanted| btf::of_this_kernel(&wanted))
                .map_err(|error| format!("{error:#}"))
        })
        .as_ref()
        .map_err(String::as_str)
}

/// All that the probes' programs and hooks name.
fn wanted() -> anyhow::Result<Wanted> {
    let mut wanted = Wanted {
        enums: [DROP_REASONS.to_owned(), RESET_REASONS.to_owned()].into(),
        ..Wanted::default()
    };
    for probe in PROBES {
        for global in load::globals(probe.elf)? {
            wanted.fields.extend(load::as_field(&global.name));
            wanted
                .tracepoints
                .extend(load::as_arguments(&global.name).map(str::to_owned));
        }
        let stand_ins = probe.details.iter().flat_map(|detail| detail.stand_ins);
        for hook in probe.places.iter().copied().flatten().chain(stand_ins) {
            match hook {
                ProgramHook::Raw { at, .. } | ProgramHook::Typed { at, .. } => {
                    wanted.tracepoints.insert((*at).to_owned())
                }
                ProgramHook::Function { at, .. } | ProgramHook::Kprobe { at, .. } => {
                    wanted.functions.insert((*at).to_owned())
                }
            };
        }
    }
    Ok(wanted)
}

/// The probe of that name, or the nearest name.
pub fn find(name: &str) -> anyhow::Result<&'static Probe> {
    if let Some(probe) = PROBES.iter().find(|probe| probe.name == name) {
        return Ok(probe);
    }
    let nearest = PROBES.iter().min_by_key(|probe| levenshtein(probe.name, name));
    match nearest {
        Some(nearest) if levenshtein(nearest.name, name) <= 3 => {
            bail!("there is no probe `{name}`; did you mean `{}`?", nearest.name)
        }
        _ => {
            let names: Vec<&str> = PROBES.iter().map(|probe| probe.name).collect();
            bail!("there is no probe `{name}`; there are {}", names.join(", "))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{PROBES, find, layout};

    #[test]
    fn every_program_of_the_kernel_side_is_a_probe() {
        let probes: Vec<&str> = PROBES.iter().map(|probe| probe.name).collect();
        for (name, _) in crate::kernel::programs::ALL {
            assert!(probes.contains(name), "{name} is in no registry");
        }
        assert_eq!(probes.len(), crate::kernel::programs::ALL.len());
    }

    #[test]
    fn a_misspelt_probe_is_told_its_nearest() {
        let error = find("drops").unwrap_err().to_string();
        assert_eq!(error, "there is no probe `drops`; did you mean `drop`?");
        assert!(find("xyzzyxyzzy").unwrap_err().to_string().contains("there are drop"));
    }

    #[test]
    fn every_hook_names_a_program_of_its_elf() {
        for probe in PROBES {
            let object = aya_obj::Object::parse(probe.elf).unwrap();
            let stand_ins = probe.details.iter().flat_map(|detail| detail.stand_ins);
            for hook in probe.places.iter().copied().flatten().chain(stand_ins) {
                assert!(object.programs.contains_key(hook.program()), "{}: {hook:?}", probe.name);
            }
        }
    }

    #[test]
    fn this_kernel_has_what_the_probes_want() {
        let layout = layout().unwrap();
        for probe in PROBES {
            assert_eq!(probe.hooks(layout).err(), None, "{}", probe.name);
        }
    }
}
