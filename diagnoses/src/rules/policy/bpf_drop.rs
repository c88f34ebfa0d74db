//! An eBPF program drops the packets (tc, XDP, a socket filter, or a program of a cgroup), or a plain filter of tc does.
//!
//! Why it happens: an eBPF datapath (of a CNI) enforces a policy or does not know the target, a security agent drops, or
//! somebody left a program behind.
//!
//! How it knows: the kernel freed the watched packets with a reason, or in a function, that only eBPF programs lead to
//! (`TC_INGRESS`, `TC_EGRESS`, `XDP`, `BPF_CGROUP_EGRESS`, `SOCKET_FILTER`). The programs attached to that interface are
//! listed, and where they are Cilium's, the reasons that Cilium counted in the window, for which its agent is not needed. Or
//! packets left through a veth whose other end has an XDP program, and were never seen behind it.
//!
//! Remedy: ask the tool of that program for the reason (`cilium monitor`, `bpftool prog show id N`). Detach the program if it
//! is left over.
//!
//! Silent on: attached programs that let the watched packets pass.

use crate::case::{Case, cilium_reasons, observations};
use crate::kernel::drops::Class;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::shell::command;
use crate::words::{at, count, the};
use model::report::{Direction, Happened};

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("bpf"),
    Need::Fact("cilium_metrics"),
    Need::Fact("links"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let drops = case.drops(Class::Bpf);
    let Some(first) = drops.first() else {
        return Ok(swallowed(case).into_iter().collect());
    };
    let netns = first.event.netns;
    let (name, interface) = (case.name(netns), case.interface(first.event));
    let kind = kind(first.reason(), first.location());
    let programs = programs(case, netns, first.event.ifindex, kind);
    let what = the(first.direction);
    let plain = !programs.is_empty() && programs.iter().all(|(_, id)| *id == 0);
    let who = if plain { "a tc filter".to_owned() } else { article(kind) };
    let finding = fatal(
        "bpf-drop",
        format!("{who} at {} drops {what}", at(&name, Some(&interface))),
    )
    .at(case.node(netns), &name)
    .interface(&interface)
    .of(drops.iter().map(|drop| drop.attempt))
    .remedy(remedy(case, netns, &programs))
    .because(format!(
        "{} freed in {}: {}",
        count(drops.len(), "watched packet"),
        at(&name, Some(&interface)),
        first.words()
    ))
    .and_if(cilium_reasons::said(case, netns));
    Ok(vec![
        programs.iter().fold(finding, |finding, (text, _)| finding.and(text)),
    ])
}

/// A program before the first hook leaves no trace but the absence behind it.
fn swallowed(case: &Case<'_>) -> Option<Finding> {
    let failed = case.failed();
    let tried = failed.first().filter(|_| case.saw_all())?;
    for direction in [Direction::Answer, Direction::Request] {
        let Some(leg) = case.leg(tried.attempt.id, direction) else {
            continue;
        };
        let stop = leg.farthest()?;
        if stop.happened != Happened::Left || !leg.drops.is_empty() {
            return None;
        }
        let link = case.link(stop.netns, stop.ifindex)?;
        let (far, peer) = case.peer(stop.netns, link)?;
        let id = peer.xdp?;
        let name = case.name(far);
        let programs = programs(case, far, peer.index, "XDP");
        let finding = fatal(
            "bpf-drop",
            format!("an XDP program on {} swallows the packets", at(&name, Some(&peer.name))),
        )
        .at(case.node(far), &name)
        .interface(&peer.name)
        .of(case.failed_ids())
        .remedy(remedy(case, far, &programs))
        .because(format!(
            "packets left through {} and were never seen at its other end, {}, where XDP program {id} is attached",
            at(&case.name(stop.netns), stop.interface.as_deref()),
            at(&name, Some(&peer.name))
        ));
        return Some(observations::last_seen(case, finding, tried.attempt.id));
    }
    None
}

fn kind(reason: &str, location: &str) -> &'static str {
    match reason {
        "TC_INGRESS" => "tc ingress",
        "TC_EGRESS" => "tc egress",
        "BPF_CGROUP_EGRESS" => "cgroup egress",
        "SOCKET_FILTER" => "socket or cgroup ingress",
        _ if location.contains("xdp") || reason == "XDP" => "XDP",
        _ => "",
    }
}

fn article(kind: &str) -> String {
    match kind {
        "" => "an eBPF program".to_owned(),
        "XDP" => "an XDP program".to_owned(),
        kind => format!("an eBPF program ({kind})"),
    }
}

/// The programs that can have done it, in words, with their ids.
fn programs(case: &Case<'_>, netns: u32, ifindex: u32, kind: &str) -> Vec<(String, u32)> {
    let word = kind.split(' ').next().unwrap_or("").to_lowercase();
    let cgroup = matches!(word.as_str(), "cgroup" | "socket");
    let attached = case.after(netns, "attached eBPF programs", |facts| &facts.bpf);
    attached.map_or_else(
        |_| Vec::new(),
        |attached| {
            attached
                .iter()
                .filter(|program| {
                    if cgroup {
                        program.kind.starts_with("cgroup")
                    } else {
                        program.kind.starts_with(&word) && (ifindex == 0 || program.ifindex == ifindex)
                    }
                })
                .map(|program| {
                    let name = if program.name.is_empty() {
                        "without a name"
                    } else {
                        &program.name
                    };
                    if program.id == 0 {
                        return (format!("attached there: {} on {}: {name}", program.kind, program.on), 0);
                    }
                    let text = format!(
                        "program {} ({name}) is attached there: {} on {}",
                        program.id, program.kind, program.on
                    );
                    (text, program.id)
                })
                .collect()
        },
    )
}

fn remedy(case: &Case<'_>, netns: u32, programs: &[(String, u32)]) -> Remedy {
    match programs.first() {
        Some((_, 0)) => Remedy::from("delete the filter of the interface, for ingress or egress, that drops")
            .run(", of those shown by ", case.command(netns, "tc -s filter show", &[])),
        Some((_, id)) => Remedy::from("ask the tool that attached it why (an eBPF CNI has its own monitor)")
            .run(", named by ", command("bpftool prog show id {}", &[id])),
        None => Remedy::from("ask the tool that attached it why")
            .run(", of those shown by ", case.command(netns, "bpftool net show", &[])),
    }
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};

    #[test]
    fn a_tc_program_drops_at_the_hosts_veth() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "vetha", "TC_INGRESS", "__netif_receive_skb_core");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["bpf-drop"]);
        assert!(judgement.verdicts[0].says.contains("tc ingress"));
    }

    #[test]
    fn an_xdp_program_swallows_what_was_sent_to_it() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(3, scenes::Y, "vethc");
        scene.link(scenes::C, "eth0", |link| link.xdp = Some(7));
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["bpf-drop"]);
    }

    #[test]
    fn an_attached_program_that_lets_pass_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        scene.link(scenes::C, "eth0", |link| link.xdp = Some(7)).connects(3);
        assert!(scenes::causes(&judge(&scene.evidence)).is_empty());
    }
}
