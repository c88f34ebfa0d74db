//! One place with its numbers of a window: what lives there, what counters grew by, what levels are.

use crate::conversation::numbers::{BucketGrowth, Movement, Since};
use crate::conversation::state::ConversationState;
use diagnoses::kernel::drops::{self, Class};
use model::event::{Seen, TcpState};
use model::evidence::NetnsEvidence;
use model::inventory::{Inventory, Pod};
use model::numbers;
use model::owner::Owner;
use model::protocol::Total;
use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::ops::Range;
use std::rc::Rc;

/// What places are called.
#[derive(Debug, Default)]
pub struct PlaceNames {
    /// Pods by their uid: namespace, name, and the node they run on.
    pods: BTreeMap<String, (String, String, String)>,
    /// What lives at which address.
    addresses: BTreeMap<IpAddr, String>,
    /// The pods that were asked for, by uid; all where none is named.
    asked: BTreeSet<String>,
    /// Without a cluster there are no pods but those whose containers run here.
    of_cluster: bool,
}

/// A place.
#[derive(Debug, Default)]
pub struct NumbersPlace<'a> {
    /// Its namespace of Kubernetes; empty outside of it.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// The node it is on.
    pub node: String,
    /// Its network namespace; 0 for the node as a whole.
    pub netns: u32,
    /// It is the node, or its own namespace.
    pub is_node: bool,
    /// It is a pod that shares the node's own namespace: only what its cgroup and its sockets tell is its own.
    pub shares_node: bool,
    /// The window in which its counters grew, as it was measured.
    pub seconds: f64,
    /// The probes that were read.
    pub probes: Vec<&'a str>,
    /// Its numbers.
    pub movements: Vec<Movement<'a>>,
    /// Its histograms.
    pub histograms: Vec<BucketGrowth<'a>>,
    /// Packets that the kernel dropped there as a loss, by why; none where that was not looked at.
    pub drops: BTreeMap<String, u64>,
    /// How long answers to DNS queries took, and `None` for each that did not come.
    pub lookups_ns: Vec<Option<u64>>,
    /// What lives at which address, of all that is known.
    pub known: Rc<BTreeMap<IpAddr, String>>,
}

impl PlaceNames {
    /// As the cluster's API has them.
    pub fn of(inventory: Option<&Inventory>) -> Self {
        let pods = inventory.into_iter().flat_map(|inventory| &inventory.pods);
        Self {
            pods: pods
                .map(|pod| {
                    let names = (pod.namespace.clone(), pod.name.clone(), pod.node.clone());
                    (pod.uid.clone(), names)
                })
                .collect(),
            addresses: inventory.map(Inventory::address_names).unwrap_or_default(),
            of_cluster: inventory.is_some(),
            asked: BTreeSet::new(),
        }
    }

    /// Limits pods that share their node's network to these, which were asked for: the others are not told.
    #[must_use]
    pub fn only(mut self, uids: impl IntoIterator<Item = String>) -> Self {
        self.asked.extend(uids);
        self
    }

    /// Namespace and name of a pod, by its uid.
    pub fn pod(&self, uid: &str) -> Option<(&str, &str)> {
        let (namespace, name, _) = self.pods.get(uid)?;
        Some((namespace, name))
    }

    /// Pods that have come since.
    pub fn meet(&mut self, pods: &[Pod]) {
        for pod in pods {
            let names = (pod.namespace.clone(), pod.name.clone(), pod.node.clone());
            self.pods.insert(pod.uid.clone(), names);
        }
    }
}

impl<'a> NumbersPlace<'a> {
    /// All places that were read and are the node's own, in no order.
    pub fn all(state: &'a ConversationState, names: &PlaceNames, since: Since) -> Vec<Self> {
        let place = |(node, netns, numbers): (usize, u32, &'a crate::conversation::numbers::PlaceNumbers)| {
            let brought = state.evidence.nodes.get(node)?;
            let known = match &numbers.whose.owner {
                Owner::Pod { uid, .. } => names.pods.get(uid),
                _ => None,
            };
            let is_node = netns == 0 || netns == brought.host_netns;
            // Nodes that share a kernel see each other's namespaces.
            let is_foreign = match known {
                Some((_, _, on)) => !on.is_empty() && *on != brought.name,
                None => names.of_cluster && !is_node && state.kernels.shared(node),
            };
            if is_foreign {
                return None;
            }
            let (namespace, name) = match known {
                Some((namespace, name, _)) => (namespace.clone(), name.clone()),
                None if is_node => (String::new(), brought.name.clone()),
                None => (String::new(), outside_name(&numbers.whose.name, &numbers.whose.owner)),
            };
            let mut drops = BTreeMap::new();
            let dropped = |total: &&Total| total.netns == netns && total.probe == "drop";
            for total in brought.totals.iter().filter(dropped) {
                if let Some(why) = lost_because(&total.what) {
                    *drops.entry(why).or_default() += total.count;
                }
            }
            Some(Self {
                namespace,
                name,
                node: brought.name.clone(),
                netns,
                is_node,
                shares_node: false,
                lookups_ns: lookups(state, netns, numbers.window_ns(since)).collect(),
                seconds: numbers.seconds(since),
                probes: brought
                    .probes
                    .iter()
                    .filter(|status| status.unsupported.is_none())
                    .map(|status| status.name.as_str())
                    .collect(),
                movements: state.numbers.movements(node, netns, since).collect(),
                histograms: state.numbers.histograms(node, netns, since).collect(),
                drops,
                known: Rc::default(),
            })
        };
        let mut known = names.addresses.clone();
        let mut all = Vec::new();
        for told in state.numbers.places(since) {
            let (_, _, numbers) = told;
            if let Some(mut place) = place(told) {
                // What the cluster's API says goes before.
                for address in &numbers.whose.addresses {
                    known.entry(*address).or_insert_with(|| place.full_name());
                }
                let within = place.take_pods(names);
                all.push(place);
                all.extend(within);
            }
        }
        let known = Rc::new(known);
        for place in &mut all {
            place.known = Rc::clone(&known);
        }
        all
    }

    /// The pods that share the node's own namespace, each with its numbers: what its cgroup and its sockets tell. The node keeps the
    /// rest.
    fn take_pods(&mut self, names: &PlaceNames) -> Vec<Self> {
        let mut pods: BTreeMap<&str, Vec<Movement<'a>>> = BTreeMap::new();
        self.movements.retain(|moved| match moved.series.labels.get(POD) {
            Some(uid) => {
                pods.entry(uid).or_default().push(*moved);
                false
            }
            None => true,
        });
        let place = |(uid, movements): (&str, Vec<Movement<'a>>)| {
            if !names.asked.is_empty() && !names.asked.contains(uid) {
                return None;
            }
            let (namespace, name) = match names.pod(uid) {
                Some((namespace, name)) => (namespace.to_owned(), name.to_owned()),
                None if names.of_cluster => return None,
                None => (String::new(), format!("pod/{uid}")),
            };
            let told = |probe: &&&str| movements.iter().any(|moved| moved.series.probe == **probe);
            Some(Self {
                namespace,
                name,
                is_node: false,
                shares_node: true,
                probes: self.probes.iter().filter(told).copied().collect(),
                ..self.narrowed(movements)
            })
        };
        pods.into_iter().filter_map(place).collect()
    }

    /// Who lives at an address, where that is known.
    pub fn who(&self, address: &str) -> Option<&str> {
        self.known.get(&address.parse().ok()?).map(String::as_str)
    }

    /// An address, behind the name of who lives there.
    pub fn named(&self, address: &str) -> String {
        match self.who(address) {
            Some(name) => format!("{name} ({address})"),
            None => address.to_owned(),
        }
    }

    /// The same place with only some of its numbers.
    pub fn narrowed(&self, movements: Vec<Movement<'a>>) -> Self {
        Self {
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            node: self.node.clone(),
            netns: self.netns,
            is_node: self.is_node,
            shares_node: self.shares_node,
            lookups_ns: Vec::new(),
            seconds: self.seconds,
            probes: self.probes.clone(),
            movements,
            histograms: Vec::new(),
            drops: BTreeMap::new(),
            known: Rc::clone(&self.known),
        }
    }

    /// A place of which facts alone were read, owned by this one as far as that is known.
    pub fn without_numbers(netns: &NetnsEvidence, owner: &Owner, names: &PlaceNames, is_node: bool) -> Self {
        let pod = match owner {
            Owner::Pod { uid, .. } => names.pod(uid),
            _ => None,
        };
        let (namespace, name) = pod.map_or_else(
            || (String::new(), outside_name(&netns.name, owner)),
            |(namespace, name)| (namespace.to_owned(), name.to_owned()),
        );
        Self {
            namespace,
            name,
            node: netns.node.clone(),
            netns: netns.id,
            is_node,
            ..Self::default()
        }
    }

    /// Namespace and name, as one.
    pub fn full_name(&self) -> String {
        if self.namespace.is_empty() {
            self.name.clone()
        } else {
            format!("{}/{}", self.namespace, self.name)
        }
    }

    /// The probe that reads this number was read.
    pub fn reads(&self, name: &str) -> bool {
        self.probes.contains(&numbers::probe_of(name))
    }

    /// All numbers of that name.
    pub fn of<'b>(&'b self, name: &'b str) -> impl Iterator<Item = &'b Movement<'a>> {
        self.movements.iter().filter(move |moved| moved.series.name == name)
    }

    /// What they grew by, together.
    pub fn growth(&self, name: &str) -> u64 {
        self.of(name).fold(0, |sum, moved| sum.saturating_add(moved.growth))
    }

    /// By how much all numbers of this name grew, together.
    pub fn rise(&self, name: &str) -> u64 {
        self.of(name).fold(0, |sum, moved| {
            sum.saturating_add(moved.now.saturating_sub(moved.then.unwrap_or_default()))
        })
    }

    /// What they are now, together.
    pub fn now(&self, name: &str) -> u64 {
        self.of(name).fold(0, |sum, moved| sum.saturating_add(moved.now))
    }

    /// A second's part of what they grew by.
    pub fn per_second(&self, name: &str) -> f64 {
        if self.seconds > 0.0 {
            self.growth(name) as f64 / self.seconds
        } else {
            0.0
        }
    }

    /// Numbers of this name, each with the value of that label.
    pub fn by<'b>(&'b self, name: &'b str, label: &'b str) -> impl Iterator<Item = (&'b str, &'b Movement<'a>)> {
        self.of(name)
            .map(move |moved| (moved.series.labels.get(label).map_or("", String::as_str), moved))
    }

    /// Interfaces that lead out of it, so that each packet is counted once: of a pod all but loopback, of a node its devices. What
    /// passes a node's bridges, veths, bonds and tunnels passes a device, too.
    pub fn outer_interfaces(&self) -> BTreeSet<&'a str> {
        let of_interfaces = self
            .movements
            .iter()
            .filter(|moved| moved.series.name.starts_with("netdev."));
        let told: BTreeSet<(&'a str, bool)> = of_interfaces
            .filter_map(|moved| {
                let labels = &moved.series.labels;
                Some((labels.get("interface")?.as_str(), !labels.contains_key("kind")))
            })
            .filter(|(interface, _)| *interface != "lo")
            .collect();
        let has_devices = told.iter().any(|(_, is_device)| *is_device);
        let leads_out = |(interface, is_device): &(&str, bool)| match (self.is_node, has_devices) {
            (false, _) => true,
            (true, true) => *is_device,
            // A node that is a container itself: only names tell what leads out.
            (true, false) => !INNER.iter().any(|inner| interface.starts_with(inner)),
        };
        let outer = told.into_iter().filter(leads_out);
        outer.map(|(interface, _)| interface).collect()
    }
}

/// How names of interfaces begin that lead from a node to its pods.
const INNER: [&str; 8] = ["veth", "cali", "lxc", "cni", "docker", "br", "flannel", "cilium"];

/// The label of numbers of a pod that shares the node's own namespace: its uid.
pub const POD: &str = "pod";

/// A query that was waited for less when the window closed may be answered yet.
const UNANSWERED_NS: u64 = 1_000_000_000;

/// How long answers to DNS queries took in a namespace in this time, and `None` for each that did not come.
fn lookups(state: &ConversationState, netns: u32, window_ns: Range<u64>) -> impl Iterator<Item = Option<u64>> {
    let events = state.evidence.events.iter();
    let own = events.filter(move |event| event.netns == netns && window_ns.contains(&event.at_ns));
    own.filter_map(|event| match &event.seen {
        Seen::DnsAnswer { latency_ns, .. } if *latency_ns > 0 => Some(Some(*latency_ns)),
        Seen::DnsUnanswered { waited_ns, .. } if *waited_ns >= UNANSWERED_NS => Some(None),
        _ => None,
    })
}

/// Why packets of a total were lost; nothing for those that were of no further use, that nobody waited for, or of which nobody can
/// say that they were needed. A total is called `drop REASON LOCATION`.
fn lost_because(what: &str) -> Option<String> {
    let mut words = what.split_whitespace().skip(1);
    let reason = words.next()?;
    let class = drops::class(reason, words.next(), TcpState::Unknown);
    let is_loss = !matches!(
        class,
        Class::Benign | Class::Other | Class::NoSocket | Class::UnknownConnection | Class::OtherHost
    );
    is_loss.then(|| format!("{} ({reason})", drops::meaning(class)))
}

/// What has no pod's name: a container by its short id beside the process, a namespace by its own name.
pub fn outside_name(name: &str, owner: &Owner) -> String {
    match owner {
        Owner::Container { id } => format!("container/{}", id.get(..12).unwrap_or(id)),
        Owner::Pod { uid, .. } => format!("pod/{uid}"),
        _ => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::{NumbersPlace, PlaceNames, lost_because};
    use crate::conversation::numbers::Movement;
    use model::inventory::{Inventory, Pod};
    use model::series::Series;

    #[test]
    fn a_pod_that_shares_its_nodes_network_has_what_its_cgroup_and_sockets_tell_and_the_rest_is_the_nodes() {
        let series = |name: &str, pod: &[(&str, &str)]| Series {
            name: name.to_owned(),
            probe: name.split_once('.').unwrap().0.to_lowercase(),
            labels: pod
                .iter()
                .map(|(label, value)| ((*label).to_owned(), (*value).to_owned()))
                .collect(),
            ..Series::default()
        };
        let all = [
            series("cpu.used", &[("pod", "u1")]),
            series("cpu.used", &[("pod", "u2")]),
            series("tcpsummary.unread", &[("pod", "u1")]),
            series("tcpsummary.unread", &[]),
            series("Tcp.AttemptFails", &[]),
        ];
        let moved = |(at, series)| Movement {
            series,
            now: at as u64 + 1,
            then: None,
            growth: 0,
        };
        let node = || NumbersPlace {
            name: "n1".to_owned(),
            is_node: true,
            probes: vec!["cpu", "tcpsummary", "tcp", "io"],
            movements: all.iter().enumerate().map(moved).collect(),
            ..NumbersPlace::default()
        };
        let inventory = Inventory {
            pods: vec![Pod {
                namespace: "kube-system".to_owned(),
                name: "proxy".to_owned(),
                uid: "u1".to_owned(),
                ..Pod::default()
            }],
            ..Inventory::default()
        };
        let names = PlaceNames::of(Some(&inventory));
        let mut left = node();
        let pods = left.take_pods(&names);
        let [proxy] = &pods[..] else { panic!("{pods:?}") };
        assert_eq!(proxy.full_name(), "kube-system/proxy");
        assert!(proxy.shares_node && !proxy.is_node);
        assert_eq!((proxy.now("cpu.used"), proxy.now("tcpsummary.unread")), (1, 3));
        assert!(
            proxy.reads("cpu.used") && !proxy.reads("Tcp.AttemptFails"),
            "that is the node's"
        );
        assert_eq!((left.now("cpu.used"), left.now("tcpsummary.unread")), (0, 4));
        let asked = PlaceNames::of(Some(&inventory)).only(["u9".to_owned()]);
        assert!(node().take_pods(&asked).is_empty(), "nobody asked for it");
    }

    #[test]
    fn packets_of_no_further_use_are_no_loss() {
        assert_eq!(
            lost_because("drop NETFILTER_DROP nft_do_chain").as_deref(),
            Some("netfilter said so (NETFILTER_DROP)")
        );
        for innocent in [
            "drop QUEUE_PURGE sk_stream_kill_queues",
            "drop NOT_SPECIFIED ip6_mc_input",
            "drop NO_SOCKET tcp_v4_rcv",
            "drop SOMETHING_NEW some_function",
            "reset-sent",
        ] {
            assert_eq!(lost_because(innocent), None, "{innocent}");
        }
    }

    #[test]
    fn each_packet_of_a_node_is_counted_at_its_devices_alone_and_of_a_pod_at_all_its_interfaces() {
        let series = |interface: &str, kind: &str| {
            let labels = [("interface", interface), ("kind", kind)];
            let told = labels.into_iter().filter(|(_, value)| !value.is_empty());
            Series {
                name: "netdev.rx_bytes".to_owned(),
                labels: told
                    .map(|(label, value)| (label.to_owned(), value.to_owned()))
                    .collect(),
                ..Series::default()
            }
        };
        let outer = |is_node: bool, all: &[(&str, &str)]| -> Vec<String> {
            let all: Vec<Series> = all.iter().map(|(interface, kind)| series(interface, kind)).collect();
            let movements = all.iter().map(|series| Movement {
                series,
                now: 1,
                then: None,
                growth: 1,
            });
            let place = NumbersPlace {
                is_node,
                movements: movements.collect(),
                ..NumbersPlace::default()
            };
            place.outer_interfaces().into_iter().map(str::to_owned).collect()
        };
        let of_a_node = [
            ("lo", ""),
            ("ens3", ""),
            ("eth1", ""),
            ("bond0", "bond"),
            ("eth0", "lower"),
            ("gke12ab", "veth"),
            ("cni0", "bridge"),
            ("vlan7", "vlan"),
            ("flannel.1", "vxlan"),
        ];
        assert_eq!(outer(true, &of_a_node), ["ens3", "eth1"]);
        let of_a_container = [("lo", ""), ("eth0", "veth"), ("veth12ab", "veth"), ("cni0", "bridge")];
        assert_eq!(outer(true, &of_a_container), ["eth0"]);
        let of_a_pod = [("lo", ""), ("eth0", "veth"), ("net1", "macvlan")];
        assert_eq!(outer(false, &of_a_pod), ["eth0", "net1"]);
    }
}
