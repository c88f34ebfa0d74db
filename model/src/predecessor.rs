//! The probes of `KubeSkoop`, the predecessor, by its names: what each is here, or why it is not.
//!
//! `explain`, `probes`, the errors of `--probe` and the names of exported numbers derive from it.

/// One of its probes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PredecessorProbe {
    /// Its names: that of its code first, then those of its documentation.
    pub names: &'static [&'static str],
    /// Our probes that tell the same; none where there is no such probe.
    pub ours: &'static [&'static str],
    /// What became of it, in one sentence without a full stop.
    pub says: &'static str,
}

const fn same(names: &'static [&'static str], ours: &'static [&'static str], says: &'static str) -> PredecessorProbe {
    PredecessorProbe { names, ours, says }
}

/// It is not here, and why.
const fn not_built(names: &'static [&'static str], why: &'static str) -> PredecessorProbe {
    PredecessorProbe {
        names,
        ours: &[],
        says: why,
    }
}

/// All of them.
pub const PREDECESSOR_PROBES: &[PredecessorProbe] = &[
    same(
        &["packetloss"],
        &["drop"],
        "every drop with its reason and where it happened, counted in the kernel",
    ),
    same(
        &["tcpretrans"],
        &["tcpretrans"],
        "the same; segments sent again are also counted by probe tcp",
    ),
    same(
        &["tcpreset"],
        &["tcpreset"],
        "the same, with who sent the reset and why",
    ),
    same(
        &["socketlatency"],
        &["socketlatency"],
        "the same as a distribution; `latency` shows it",
    ),
    same(
        &["kernellatency"],
        &["kernellatency"],
        "the same as distributions by stage; `latency` shows them",
    ),
    same(
        &["netiftxlat", "netiftxlatency"],
        &["kernellatency"],
        "a stage of it: from the queue of a device to its driver (kernellatency.queue)",
    ),
    same(
        &["softirq", "net_softirq"],
        &["kernellatency"],
        "a stage of it: from a softirq being raised to its run (kernellatency.softirq)",
    ),
    same(
        &["biolatency"],
        &["biolatency"],
        "the same as distributions by device; `latency` shows them",
    ),
    same(
        &["flow"],
        &["peers"],
        "`map` shows who talks to whom and how much; `top --by peer` shows it for the sockets of a pod",
    ),
    same(
        &["sock"],
        &["sock", "sockmem"],
        "sockets of each pod, and the memory of all of a node's beside its limit",
    ),
    same(&["tcp"], &["tcp"], "every counter of the table, as growth"),
    same(
        &["udp"],
        &["udp"],
        "every counter of the table, over IPv6, too, as growth",
    ),
    same(&["tcpext"], &["tcpext"], "every counter of the table, as growth"),
    same(
        &["ip"],
        &["ip"],
        "every counter of the table, with ICMP and IPv6, as growth",
    ),
    same(
        &["tcpsummary"],
        &["tcpsummary"],
        "the same, with the queues of listeners and round trip times",
    ),
    same(
        &["netdev"],
        &["netdev"],
        "the same by interface, with what the device itself missed",
    ),
    same(
        &["softnet"],
        &["softnet"],
        "the same by CPU; it is the node's, and no pod is said to have a part of it",
    ),
    same(
        &["qdisc"],
        &["qdisc"],
        "the same for every interface of the pod's own network",
    ),
    same(
        &["conntrack"],
        &["conntrack", "holders"],
        "how full the table is, what could not be tracked, and who holds it",
    ),
    same(&["fd"], &["fd"], "the same by process, beside its limit"),
    same(&["io"], &["io"], "by device and cgroup, with the time stalled for it"),
    not_built(
        &["ipvs"],
        "not built: it counts packets by virtual service, and none of its counters says why one fails; what is lost on the way shows probe drop",
    ),
    not_built(
        &["rdma"],
        "not built: it reads counters of RDMA devices, and there was none to prove it on",
    ),
    not_built(
        &["virtcmdlatency"],
        "not built: it hooks a function inside the driver virtio_net, which many kernels have inlined or not at all; commands to such a device change its settings, and no packet waits for them",
    ),
];

/// The probe that it called so.
#[must_use]
pub fn find(name: &str) -> Option<&'static PredecessorProbe> {
    PREDECESSOR_PROBES.iter().find(|probe| probe.names.contains(&name))
}

impl PredecessorProbe {
    /// Its name in its code.
    #[must_use]
    pub fn name(&self) -> &'static str {
        self.names[0]
    }

    /// It has the same name here.
    #[must_use]
    pub fn has_same_name(&self) -> bool {
        self.ours.first() == self.names.first()
    }
}

#[cfg(test)]
mod tests {
    use super::{PREDECESSOR_PROBES, find};
    use std::collections::BTreeSet;

    #[test]
    fn a_probe_is_found_by_each_of_its_names_and_every_one_says_what_became_of_it() {
        let names: Vec<&str> = PREDECESSOR_PROBES
            .iter()
            .flat_map(|probe| probe.names)
            .copied()
            .collect();
        assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
        for probe in PREDECESSOR_PROBES {
            assert!(!probe.names.is_empty() && !probe.says.ends_with('.'), "{probe:?}");
            assert_eq!(probe.ours.is_empty(), probe.says.starts_with("not built"), "{probe:?}");
        }
        assert_eq!(find("net_softirq").map(super::PredecessorProbe::name), Some("softirq"));
        assert_eq!(find("packetloss").map(|probe| probe.ours), Some(&["drop"][..]));
        assert_eq!(find("weather"), None);
    }
}
