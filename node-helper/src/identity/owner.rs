//! To whom a process or a network namespace belongs, from cgroup paths and namespaces alone: never a guess.

use super::namespaces::NetworkNamespace;
use crate::system::door;
use model::owner::Owner;

/// The owner of a process, by its cgroup.
pub fn of_pid(pid: u32) -> Owner {
    match door::text(format!("/proc/{pid}/cgroup"), door::FEW_LINES) {
        Ok(text) => match of_cgroups(&text) {
            Owner::Unknown => Owner::Host,
            owner => owner,
        },
        Err(_) => Owner::Unknown,
    }
}

/// The owner that the text of a `/proc/PID/cgroup` tells; `Unknown` for a process in no container.
pub fn of_cgroups(text: &str) -> Owner {
    let owners: Vec<Owner> = text
        .lines()
        .filter_map(|line| line.splitn(3, ':').nth(2))
        .map(of_path)
        .collect();
    let pod = |owner: &&Owner| matches!(owner, Owner::Pod { .. });
    let container = |owner: &&Owner| matches!(owner, Owner::Container { .. });
    owners
        .iter()
        .find(pod)
        .or_else(|| owners.iter().find(container))
        .cloned()
        .unwrap_or_default()
}

/// The owner that one cgroup path tells. The innermost one counts: a node may be a container itself.
pub fn of_path(path: &str) -> Owner {
    // A runtime that takes a systemd name for a path writes `kubepods-podUID.slice:cri-containerd:ID`.
    let parts: Vec<&str> = path.split(['/', ':']).filter(|part| !part.is_empty()).collect();
    let pod = parts
        .iter()
        .enumerate()
        .rev()
        .find_map(|(at, part)| Some((at, pod_uid(part)?)));
    let within = pod.as_ref().map_or(0, |(at, _)| at + 1);
    let container = parts[within..].iter().rev().find_map(|part| container_id(part));
    match (pod, container) {
        (Some((_, uid)), container) => Owner::Pod { uid, container },
        (None, Some(id)) => Owner::Container { id },
        (None, None) => Owner::Unknown,
    }
}

/// `pod1234...` (cgroupfs) or `kubepods-burstable-pod1234_...slice` (systemd). A static pod has 32 digits, no dashes.
fn pod_uid(part: &str) -> Option<String> {
    let part = part.strip_suffix(".slice").unwrap_or(part);
    let uid = match part.rsplit_once("-pod") {
        Some((_, uid)) => uid,
        None => part.strip_prefix("pod")?,
    }
    .replace('_', "-");
    let groups: Vec<usize> = uid.split('-').map(str::len).collect();
    let digits = uid.bytes().all(|byte| byte == b'-' || byte.is_ascii_hexdigit());
    (digits && matches!(groups.as_slice(), [8, 4, 4, 4, 12] | [32])).then_some(uid)
}

/// `ID`, `cri-containerd-ID.scope`, `docker-ID.scope`, `crio-ID.scope`, `libpod-ID.scope`, `nerdctl-ID.scope`...
fn container_id(part: &str) -> Option<String> {
    let part = part.strip_suffix(".scope").unwrap_or(part);
    let (runtime, id) = part.rsplit_once('-').unwrap_or(("", part));
    let is_id = id.len() == 64 && id.bytes().all(|byte| byte.is_ascii_hexdigit());
    // The runtime's monitor stands beside the container, not in it.
    (is_id && !runtime.ends_with("conmon")).then(|| id.to_owned())
}

/// A pod or a container, and not the node itself or nobody known.
pub fn is_contained(owner: &Owner) -> bool {
    matches!(owner, Owner::Pod { .. } | Owner::Container { .. })
}

/// The host's is the host's, whoever else lives there; a pod or container counts before a name, which its runtime chose.
pub fn of_namespace(namespace: &NetworkNamespace, of_pid: impl Fn(u32) -> Owner) -> Owner {
    if namespace.name == "host" {
        return Owner::Host;
    }
    let mut contained = namespace.pids.iter().map(|pid| of_pid(*pid)).filter(is_contained);
    let first = contained.next();
    match (first, namespace.name.strip_prefix("netns/")) {
        // A pod's containers share the namespace, the sandbox among them: which one it was, it does not tell.
        (Some(Owner::Pod { uid, container }), _) => Owner::Pod {
            container: container.filter(|id| {
                contained.all(|other| matches!(other, Owner::Pod { container: Some(other), .. } if other == *id))
            }),
            uid,
        },
        (Some(owner), _) => owner,
        (None, Some(name)) => Owner::Netns { name: name.into() },
        (None, None) => Owner::Unknown,
    }
}

#[cfg(test)]
mod tests {
    use super::{of_cgroups, of_namespace};
    use crate::identity::namespaces::NetworkNamespace;
    use model::owner::Owner;

    const ID: &str = "0f3bd1c6a1f04f0d9a7e6b5c4d3e2f100f3bd1c6a1f04f0d9a7e6b5c4d3e2f10";
    const UID: &str = "8d8a6a2e-1c2b-4c3d-9e4f-5a6b7c8d9e0f";

    fn pod(container: Option<&str>) -> Owner {
        Owner::Pod {
            uid: UID.into(),
            container: container.map(Into::into),
        }
    }

    #[test]
    fn each_runtime_and_driver_is_read() {
        let under = UID.replace('-', "_");
        let container = Owner::Container { id: ID.into() };
        let cases = [
            (
                format!(
                    "0::/kubepods.slice/kubepods-burstable.slice/kubepods-burstable-pod{under}.slice/cri-containerd-{ID}.scope"
                ),
                pod(Some(ID)),
            ),
            (
                format!("0::/kubepods.slice/kubepods-pod{under}.slice/crio-{ID}.scope/container"),
                pod(Some(ID)),
            ),
            (format!("0::/kubepods/besteffort/pod{UID}/{ID}"), pod(Some(ID))),
            (format!("0::/kubelet/kubepods/pod{UID}/{ID}"), pod(Some(ID))),
            (
                format!(
                    "0::/kubelet.slice/kubelet-kubepods.slice/kubelet-kubepods-pod{under}.slice/cri-containerd-{ID}.scope"
                ),
                pod(Some(ID)),
            ),
            // As seen from another cgroup namespace.
            (
                format!("0::/../kubepods-besteffort-pod{under}.slice/cri-containerd-{ID}.scope"),
                pod(Some(ID)),
            ),
            (format!("0::/../../pod{UID}"), pod(None)),
            (
                format!(
                    "1:name=systemd:/system.slice/containerd.service/kubepods-burstable-pod{under}.slice:cri-containerd:{ID}"
                ),
                pod(Some(ID)),
            ),
            // A node that is itself a container, and the pod in it.
            (
                format!("0::/docker/{}/kubelet/kubepods/pod{UID}/{ID}", "a".repeat(64)),
                pod(Some(ID)),
            ),
            // The monitor of a container is not in it.
            (
                format!("0::/kubepods.slice/kubepods-pod{under}.slice/crio-conmon-{ID}.scope"),
                pod(None),
            ),
            (format!("0::/system.slice/docker-{ID}.scope"), container.clone()),
            (format!("12:memory:/docker/{ID}\n0::/"), container.clone()),
            (
                format!("0::/machine.slice/libpod-{ID}.scope/container"),
                container.clone(),
            ),
            (
                format!("0::/user.slice/user-1000.slice/user@1000.service/user.slice/nerdctl-{ID}.scope"),
                container,
            ),
            (
                "0::/kubepods/burstable/pod0123456789abcdef0123456789abcdef".into(),
                Owner::Pod {
                    uid: "0123456789abcdef0123456789abcdef".into(),
                    container: None,
                },
            ),
            ("0::/system.slice/podman.service".into(), Owner::Unknown),
            ("0::/system.slice/sshd.service".into(), Owner::Unknown),
            ("0::/".into(), Owner::Unknown),
            (String::new(), Owner::Unknown),
            ("garbage".into(), Owner::Unknown),
        ];
        for (text, owner) in cases {
            assert_eq!(of_cgroups(&text), owner, "{text}");
        }
    }

    #[test]
    fn a_namespace_belongs_to_whom_lives_in_it() {
        let namespace = |name: &str, pids: &[u32]| NetworkNamespace {
            inode: 1,
            name: name.into(),
            pids: pids.into(),
            ..NetworkNamespace::default()
        };
        let of_pid = |pid| if pid == 7 { pod(None) } else { Owner::Host };
        let named = |name: &str| Owner::Netns { name: name.into() };
        assert_eq!(of_namespace(&namespace("host", &[1, 7]), of_pid), Owner::Host);
        assert_eq!(of_namespace(&namespace("netns/cni-1", &[6, 7]), of_pid), pod(None));
        assert_eq!(of_namespace(&namespace("netns/web", &[6]), of_pid), named("web"));
        assert_eq!(of_namespace(&namespace("netns/web", &[]), of_pid), named("web"));
        assert_eq!(
            of_namespace(&namespace("pid/6 (netns/web)", &[6]), of_pid),
            Owner::Unknown
        );
    }
}
