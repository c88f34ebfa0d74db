//! eBPF programs that can drop packets here: XDP, tc (clsact, tcx, netkit), and those of the cgroups of processes.

use super::links::{self, LinkBrief};
use super::{Fact, Look, qdiscs};
use crate::identity::cgroups;
use crate::identity::namespaces::NetworkNamespace;
use crate::system::bpf;
use crate::system::door;
use crate::system::netlink::{Netlink, attributes, text, u32_at};
use anyhow::Context as _;
use model::facts::{BpfAttachment, NetnsFacts};
use procfs::ProcessCGroups;
use procfs::process::Process;
use std::collections::BTreeSet;
use std::os::fd::AsRawFd as _;
use std::path::{Component, Path, PathBuf};

pub(super) const FACT: Fact = Fact {
    name: "bpf",
    moves: false,
    read: |look, facts: &mut NetnsFacts| facts.bpf = look.known("attached eBPF programs", read(look)),
};

/// Cgroups that are looked at, at most: those of the processes asked for first.
const CGROUPS_MAX: usize = 16;
/// Processes whose cgroups are looked for, at most.
const PROCESSES_MAX: usize = 256;

fn read(look: &Look) -> anyhow::Result<Vec<BpfAttachment>> {
    let mut found = of_interfaces(look)?;
    found.extend(of_cgroups(look.namespace, &look.ask.pids)?);
    Ok(found)
}

/// The eBPF programs that hang on interfaces.
pub(super) fn of_interfaces(look: &Look) -> anyhow::Result<Vec<BpfAttachment>> {
    let interfaces: Vec<LinkBrief> = look.links(|messages| {
        messages
            .iter()
            .map(|body| links::brief(body))
            .collect::<anyhow::Result<_>>()
    })??;
    let mut found = Vec::new();
    for interface in &interfaces {
        found.extend(interface.xdp.map(|id| attachment("xdp", interface, id)));
        for (attach_type, kind) in DIRECT {
            // Older kernels know none of these.
            let ids = bpf::attached_programs(interface.index, *attach_type, false).unwrap_or_default();
            found.extend(ids.into_iter().map(|id| attachment(kind, interface, id)));
        }
    }
    look.route(|route| {
        let classful: BTreeSet<u32> = qdiscs::read(route)?
            .into_iter()
            .filter(|(_, qdisc)| matches!(qdisc.kind.as_str(), "clsact" | "ingress"))
            .map(|(ifindex, _)| ifindex)
            .collect();
        for interface in interfaces
            .iter()
            .filter(|interface| classful.contains(&interface.index))
        {
            for (parent, kind) in PARENTS {
                found.extend(filters(route, interface, *parent, kind)?);
            }
        }
        Ok(())
    })?;
    Ok(found)
}

fn attachment(kind: &str, interface: &LinkBrief, id: u32) -> BpfAttachment {
    BpfAttachment {
        kind: kind.to_owned(),
        on: interface.name.clone(),
        ifindex: interface.index,
        id,
        name: String::new(),
    }
}

/// `enum bpf_attach_type` of programs that hang on an interface itself.
const DIRECT: &[(u32, &str)] = &[
    (46, "tcx-ingress"),
    (47, "tcx-egress"),
    (54, "tc-netkit-primary"),
    (55, "tc-netkit-peer"),
];

/// `enum bpf_attach_type` of programs that hang on a cgroup and can refuse packets or system calls.
const OF_CGROUP: &[(u32, &str)] = &[
    (0, "cgroup-skb-ingress"),
    (1, "cgroup-skb-egress"),
    (2, "cgroup-sock-create"),
    (8, "cgroup-bind4"),
    (9, "cgroup-bind6"),
    (10, "cgroup-connect4"),
    (11, "cgroup-connect6"),
    (14, "cgroup-sendmsg4"),
    (15, "cgroup-sendmsg6"),
];

/// Where filters hang: clsact's two ends, and the older ingress qdisc.
const PARENTS: &[(u32, &str)] = &[
    (0xffff_fff2, "tc-ingress"),
    (0xffff_fff3, "tc-egress"),
    (0xffff_0000, "tc-ingress"),
];

// linux/pkt_cls.h
const TCMSG_BYTES: usize = 20;
const TCA_BPF_ID: u16 = 11;

/// Filters of one end. One that is no eBPF program has no id; its kind is its name.
fn filters(route: &mut Netlink, interface: &LinkBrief, parent: u32, kind: &str) -> anyhow::Result<Vec<BpfAttachment>> {
    let mut request = [0; TCMSG_BYTES];
    request[4..8].copy_from_slice(&interface.index.to_ne_bytes());
    request[12..16].copy_from_slice(&parent.to_ne_bytes());
    let filters = route.dump(libc::RTM_GETTFILTER, &request, |_, body| parse_filter(body));
    let mut filters: Vec<(u32, String)> = match filters {
        // The qdisc has no such end, or is gone.
        Err(error) if refused(&error) => Vec::new(),
        other => other.context("cannot list filters")?,
    };
    filters.sort();
    filters.dedup();
    Ok(filters
        .into_iter()
        .map(|(id, name)| BpfAttachment {
            name,
            ..attachment(kind, interface, id)
        })
        .collect())
}

fn refused(error: &anyhow::Error) -> bool {
    let number = error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::raw_os_error);
    matches!(
        number,
        Some(libc::EINVAL | libc::ENOENT | libc::ENODEV | libc::EOPNOTSUPP)
    )
}

/// Id and name. Every filter is preceded by a message for its chain, which has no options.
fn parse_filter(message: &[u8]) -> Option<(u32, String)> {
    let (mut kind, mut options) = (String::new(), None);
    for (number, value) in attributes(message.get(TCMSG_BYTES..)?) {
        match number {
            libc::TCA_KIND => kind = text(value),
            libc::TCA_OPTIONS => options = Some(value),
            _ => {}
        }
    }
    let options = options?;
    let id = attributes(options).find_map(|(number, value)| (number == TCA_BPF_ID).then(|| u32_at(value, 0)));
    match (kind.as_str(), id) {
        ("bpf", Some(id)) => Some((id, String::new())),
        _ => Some((0, format!("{kind} filter, not eBPF"))),
    }
}

/// Programs in force for the cgroups of processes here, inherited ones too.
fn of_cgroups(namespace: &NetworkNamespace, asked: &[u32]) -> anyhow::Result<Vec<BpfAttachment>> {
    let (root, mounts) = cgroups::mounts().context("cannot read our own mounts")?;
    let Some(mount) = cgroups::whole(&mounts, |mount| mount.fs_type == "cgroup2") else {
        return Ok(Vec::new());
    };
    let top = cgroups::below(root, &mount.mount_point);
    let here = |pid: &&u32| namespace.pids.contains(pid);
    let first = asked.iter().filter(here);
    let mut seen = BTreeSet::new();
    let paths: Vec<PathBuf> = first
        .chain(&namespace.pids)
        .take(PROCESSES_MAX)
        .filter_map(|pid| unified_path(&Process::new(i32::try_from(*pid).ok()?).ok()?.cgroups().ok()?))
        .filter(|path| seen.insert(path.clone()))
        .take(CGROUPS_MAX)
        .collect();
    let mut found = Vec::new();
    for path in paths {
        found.extend(of_cgroup(&top, &path));
    }
    found.sort_by(|a: &BpfAttachment, b| (&a.kind, a.id, &a.on).cmp(&(&b.kind, b.id, &b.on)));
    found.dedup_by(|a, b| a.kind == b.kind && a.id == b.id);
    Ok(found)
}

fn of_cgroup(top: &Path, path: &Path) -> Vec<BpfAttachment> {
    let Ok(folder) = door::folder(top.join(path)) else {
        return Vec::new();
    };
    OF_CGROUP
        .iter()
        .flat_map(|(attach_type, kind)| {
            let ids = bpf::attached_programs(folder.as_raw_fd() as u32, *attach_type, true).unwrap_or_default();
            ids.into_iter().map(|id| BpfAttachment {
                kind: (*kind).to_owned(),
                on: Path::new("/").join(path).display().to_string(),
                ifindex: 0,
                id,
                name: String::new(),
            })
        })
        .collect()
}

/// A process's cgroup in the unified hierarchy, relative to its top. Of one that is told from within another cgroup namespace it is
/// not known where it is: it stands for the top, whose programs are in force for all.
fn unified_path(cgroups: &ProcessCGroups) -> Option<PathBuf> {
    let own = cgroups.0.iter().find(|cgroup| cgroup.hierarchy == 0)?;
    let path = Path::new(own.pathname.trim_start_matches('/'));
    let outside = path.components().any(|part| part == Component::ParentDir);
    Some(if outside { PathBuf::new() } else { path.to_path_buf() })
}

#[cfg(test)]
mod tests {
    use super::{TCA_BPF_ID, TCMSG_BYTES, parse_filter, unified_path};
    use crate::system::netlink::attribute;
    use procfs::{FromBufRead as _, ProcessCGroups};
    use std::path::PathBuf;

    fn filter(kind: &[u8], options: Option<&[u8]>) -> Vec<u8> {
        let mut message = vec![0; TCMSG_BYTES];
        attribute(&mut message, libc::TCA_KIND, kind);
        if let Some(options) = options {
            attribute(&mut message, libc::TCA_OPTIONS, options);
        }
        message
    }

    #[test]
    fn a_filter_is_a_program_with_an_id_or_another_kind_with_a_name() {
        let mut id = Vec::new();
        attribute(&mut id, TCA_BPF_ID, &7_u32.to_ne_bytes());
        assert_eq!(parse_filter(&filter(b"bpf\0", Some(&id))), Some((7, String::new())));
        assert_eq!(
            parse_filter(&filter(b"bpf\0", None)),
            None,
            "the message before a filter"
        );
        assert_eq!(
            parse_filter(&filter(b"matchall\0", Some(&[]))),
            Some((0, "matchall filter, not eBPF".to_owned()))
        );
    }

    #[test]
    fn the_unified_hierarchy_is_found_beside_older_ones() {
        let cgroups = ProcessCGroups::from_buf_read("1:cpu:/x\n0::/a/b\n".as_bytes()).unwrap();
        assert_eq!(unified_path(&cgroups), Some(PathBuf::from("a/b")));
        let elsewhere = ProcessCGroups::from_buf_read("0::/../../kubepods/b\n".as_bytes()).unwrap();
        assert_eq!(unified_path(&elsewhere), Some(PathBuf::new()));
    }
}
