//! The agents that program the nodes of a cluster: what in a node's tables is theirs, and what it shows that they do.
//!
//! One line of [`AGENTS`] is one agent, as data. What an agent wrote is written by it again, so nobody is told to delete it.

use model::facts::{Chain, Netfilter, NetnsFacts};
use model::inventory::{Inventory, Pod};
use model::report::RulePlace;

/// The API group of `NetworkPolicy`.
pub const NETWORK_POLICIES: &str = "networking.k8s.io";
/// The API group of the policies of a cluster's admins.
pub const ADMIN_POLICIES: &str = "policy.networking.k8s.io";

/// Whether an agent makes something of policies of a kind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKnowledge {
    /// All of its releases do, however they are set up.
    Yes,
    /// It depends on its release or on how it is set up.
    Maybe,
    /// It does not know the kind.
    No,
}

/// An agent, with one instance on each node.
#[derive(Debug)]
pub struct Agent {
    /// As people call what it belongs to.
    pub name: &'static str,
    /// Its process on each node, which is most often what its service is called, too.
    pub process: &'static str,
    /// The daemon sets that it runs as: its pods are `SET-xxxxx`, a static one is `SET-NODE`.
    sets: &'static [&'static str],
    /// API groups that are its own.
    groups: &'static [&'static str],
    /// Whether it heeds the policies of a cluster's admins.
    admins: PolicyKnowledge,
    /// How the reasons begin that it gives for a node's condition `NetworkUnavailable`; empty where it gives none.
    condition: &'static str,
    /// What is its own.
    owns: Marks,
    /// What shows that it enforces network policies. A drop in one of these chains is what it makes of a policy.
    enforces: Marks,
    /// What shows that it programs services.
    serves: Marks,
    /// What it does wherever it runs, so that its pod shows it, too.
    always: &'static [Duty],
}

/// What an agent is there for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Duty {
    Policies,
    Services,
}

/// How what an agent makes begins: each word is a prefix.
#[derive(Debug)]
struct Marks {
    /// Chains, of whatever backend.
    chains: &'static [&'static str],
    /// Tables of nftables.
    tables: &'static [&'static str],
    /// Comments of its rules in chains of others.
    comments: &'static [&'static str],
    /// Interfaces.
    links: &'static [&'static str],
    /// eBPF programs; the kernel keeps 15 letters of a name.
    programs: &'static [&'static str],
}

const NONE: Marks = Marks {
    chains: &[],
    tables: &[],
    comments: &[],
    links: &[],
    programs: &[],
};

/// What an agent does not say of itself.
const NO_AGENT: Agent = Agent {
    name: "",
    process: "",
    sets: &[],
    groups: &[],
    admins: PolicyKnowledge::No,
    condition: "",
    owns: NONE,
    enforces: NONE,
    serves: NONE,
    always: &[],
};

/// Every agent that is known. Where two fit a chain, the one that stands higher owns it.
const AGENTS: &[Agent] = &[
    Agent {
        name: "Calico",
        process: "calico-node",
        sets: &["calico-node", "canal", "rke2-canal"],
        groups: &["projectcalico.org", "crd.projectcalico.org"],
        admins: PolicyKnowledge::Maybe,
        condition: "CalicoIs",
        owns: Marks {
            chains: &["cali-"],
            tables: &["calico"],
            comments: &["cali:"],
            ..NONE
        },
        enforces: Marks {
            chains: &[
                "cali-tw-",
                "cali-fw-",
                "cali-pi-",
                "cali-po-",
                "filter-cali-tw-",
                "filter-cali-fw-",
                "filter-cali-pi-",
                "filter-cali-po-",
            ],
            ..NONE
        },
        serves: Marks {
            links: &["bpfin.cali", "bpfout.cali"],
            ..NONE
        },
        always: &[Duty::Policies],
    },
    Agent {
        name: "Cilium",
        process: "cilium-agent",
        sets: &["cilium", "anetd"],
        groups: &["cilium.io"],
        admins: PolicyKnowledge::Maybe,
        condition: "CiliumIs",
        owns: Marks {
            chains: &["CILIUM_", "OLD_CILIUM_"],
            comments: &["cilium-feeder:", "cilium:"],
            ..NONE
        },
        enforces: Marks {
            programs: &["cil_from_contai", "cil_to_containe"],
            ..NONE
        },
        serves: Marks {
            programs: &["cil_sock4_conne", "cil_sock6_conne", "cil_from_contai"],
            ..NONE
        },
        always: &[Duty::Policies],
    },
    Agent {
        name: "kube-router",
        process: "kube-router",
        sets: &["kube-router"],
        owns: Marks {
            chains: &["KUBE-ROUTER-", "KUBE-NWPLCY-", "KUBE-POD-FW-"],
            ..NONE
        },
        enforces: Marks {
            chains: &["KUBE-POD-FW-", "KUBE-NWPLCY-"],
            ..NONE
        },
        serves: Marks {
            chains: &["KUBE-ROUTER-SERVICES"],
            links: &["kube-dummy-if"],
            ..NONE
        },
        ..NO_AGENT
    },
    Agent {
        name: "kube-network-policies",
        process: "kube-network-policies",
        sets: &["kube-network-policies"],
        // Only with `--admin-network-policy` and `--baseline-admin-network-policy`.
        admins: PolicyKnowledge::Maybe,
        owns: Marks {
            tables: &["kube-network-policies"],
            ..NONE
        },
        enforces: Marks {
            tables: &["kube-network-policies"],
            ..NONE
        },
        always: &[Duty::Policies],
        ..NO_AGENT
    },
    Agent {
        name: "kindnet",
        process: "kindnetd",
        sets: &["kindnet"],
        admins: PolicyKnowledge::Maybe,
        owns: Marks {
            chains: &["KIND-MASQ-AGENT"],
            tables: &["kindnet-"],
            ..NONE
        },
        enforces: Marks {
            tables: &["kindnet-network-policies"],
            ..NONE
        },
        ..NO_AGENT
    },
    Agent {
        name: "flannel",
        process: "flanneld",
        sets: &[
            "kube-flannel-ds",
            "kube-flannel-ds-amd64",
            "kube-flannel-ds-arm64",
            "canal",
            "rke2-canal",
        ],
        condition: "FlannelIs",
        owns: Marks {
            chains: &["FLANNEL-"],
            tables: &["flannel-"],
            comments: &["flanneld "],
            ..NONE
        },
        ..NO_AGENT
    },
    Agent {
        name: "Weave Net",
        process: "weaver",
        sets: &["weave-net"],
        condition: "WeaveIs",
        owns: Marks {
            chains: &["WEAVE"],
            ..NONE
        },
        enforces: Marks {
            chains: &["WEAVE-NPC"],
            ..NONE
        },
        ..NO_AGENT
    },
    Agent {
        name: "Antrea",
        process: "antrea-agent",
        sets: &["antrea-agent"],
        groups: &["crd.antrea.io"],
        admins: PolicyKnowledge::Maybe,
        owns: Marks {
            chains: &["ANTREA-"],
            comments: &["Antrea:"],
            ..NONE
        },
        enforces: Marks {
            links: &["antrea-gw"],
            ..NONE
        },
        ..NO_AGENT
    },
    Agent {
        name: "the kubelet",
        process: "kubelet",
        owns: Marks {
            chains: &["KUBE-FIREWALL", "KUBE-KUBELET-CANARY", "KUBE-IPTABLES-HINT"],
            ..NONE
        },
        ..NO_AGENT
    },
    Agent {
        name: "kube-proxy",
        process: "kube-proxy",
        sets: &["kube-proxy"],
        owns: Marks {
            chains: &["KUBE-"],
            tables: &["kube-proxy"],
            ..NONE
        },
        serves: Marks {
            chains: &["KUBE-SERVICES", "KUBE-SVC-"],
            tables: &["kube-proxy"],
            links: &["kube-ipvs0"],
            ..NONE
        },
        always: &[Duty::Services],
        ..NO_AGENT
    },
    Agent {
        name: "the CNI plug-ins bridge and portmap",
        process: "kubelet",
        owns: Marks {
            chains: &["CNI-"],
            ..NONE
        },
        ..NO_AGENT
    },
];

/// Whose rule it is; `None` where nothing tells that an agent wrote it.
#[must_use]
pub fn owner(place: &RulePlace, comment: Option<&str>) -> Option<&'static Agent> {
    let by_chain = |agent: &&Agent| agent.owns.chain(&place.backend, &place.table, &place.chain);
    // Of several comments a rule's text has all.
    let commented = |start: &str| {
        comment.is_some_and(|comment| comment.starts_with(start))
            || [
                format!("--comment {start}"),
                format!("--comment \"{start}"),
                format!("comment \"{start}"),
            ]
            .iter()
            .any(|words| place.text.contains(words))
    };
    let by_comment = |agent: &&Agent| agent.owns.comments.iter().any(|start| commented(start));
    AGENTS.iter().find(by_chain).or_else(|| AGENTS.iter().find(by_comment))
}

/// The agent that this process is, by the 15 letters of a name that the kernel keeps.
#[must_use]
pub fn of_process(comm: &str) -> Option<&'static Agent> {
    AGENTS
        .iter()
        .find(|agent| agent.process.get(..15).unwrap_or(agent.process) == comm)
}

/// The agents that this daemon set runs: by its name, or by that of a container, which is most often that of the process.
#[must_use]
pub fn of_daemon_set(name: &str, containers: &[String]) -> Vec<&'static Agent> {
    let runs = |agent: &&Agent| {
        !agent.sets.is_empty()
            && (agent.sets.contains(&name) || containers.iter().any(|container| container == agent.process))
    };
    AGENTS.iter().filter(runs).collect()
}

/// The agent whose API group this is.
#[must_use]
pub fn of_group(group: &str) -> Option<&'static Agent> {
    AGENTS.iter().find(|agent| agent.groups.contains(&group))
}

/// The agent that gives this reason for a node's condition `NetworkUnavailable`.
#[must_use]
pub fn of_condition(reason: &str) -> Option<&'static Agent> {
    AGENTS
        .iter()
        .find(|agent| !agent.condition.is_empty() && reason.starts_with(agent.condition))
}

/// A drop by this rule is what its agent makes of a network policy.
#[must_use]
pub fn of_policy(place: &RulePlace) -> Option<&'static Agent> {
    let agent = owner(place, None)?;
    agent
        .enforces
        .chain(&place.backend, &place.table, &place.chain)
        .then_some(agent)
}

/// The agents that enforce network policies on a node, by its own facts and by its pods.
#[must_use]
pub fn enforcing(facts: &NetnsFacts, inventory: Option<&Inventory>, node: &str) -> Vec<&'static Agent> {
    with_duty(Duty::Policies, facts, inventory, node)
}

/// The agents that program services on a node, by its own facts and by its pods.
#[must_use]
pub fn serving(facts: &NetnsFacts, inventory: Option<&Inventory>, node: &str) -> Vec<&'static Agent> {
    with_duty(Duty::Services, facts, inventory, node)
}

fn with_duty(duty: Duty, facts: &NetnsFacts, inventory: Option<&Inventory>, node: &str) -> Vec<&'static Agent> {
    let runs = |agent: &Agent| inventory.is_some_and(|inventory| agent.pod(inventory, node).is_some());
    let fits = |agent: &&Agent| {
        let marks = match duty {
            Duty::Policies => &agent.enforces,
            Duty::Services => &agent.serves,
        };
        marks.are_in(facts) || (agent.always.contains(&duty) && runs(agent))
    };
    AGENTS.iter().filter(fits).collect()
}

impl Agent {
    /// It enforces network policies wherever it runs.
    #[must_use]
    pub fn always_enforces(&self) -> bool {
        self.always.contains(&Duty::Policies)
    }

    /// Whether it makes something of policies of this API group, where it enforces any.
    #[must_use]
    pub fn knows(&self, group: &str) -> PolicyKnowledge {
        match group {
            NETWORK_POLICIES => PolicyKnowledge::Yes,
            ADMIN_POLICIES => self.admins,
            _ if self.groups.contains(&group) => PolicyKnowledge::Yes,
            _ => PolicyKnowledge::No,
        }
    }

    /// It programs services, and is no network plug-in.
    #[must_use]
    pub fn only_serves(&self) -> bool {
        self.always == [Duty::Services]
    }

    /// It judges connections by a program behind NFQUEUE, which rules in its own table lead to.
    #[must_use]
    pub const fn judges_in_queue(&self) -> bool {
        !self.enforces.tables.is_empty()
    }

    /// It judges connections in eBPF programs at the pods' interfaces.
    #[must_use]
    pub const fn judges_in_programs(&self) -> bool {
        !self.enforces.programs.is_empty()
    }

    /// Its pod on a node, where it runs as one and that was read.
    #[must_use]
    pub fn pod<'a>(&self, inventory: &'a Inventory, node: &str) -> Option<&'a Pod> {
        let own = |pod: &&Pod| {
            // A pod of an agent is its node's; one that a user has called so is not.
            let named = self.sets.iter().any(|set| {
                let rest = pod.name.strip_prefix(set).and_then(|rest| rest.strip_prefix('-'));
                // Beside `cilium-x2x4z` there are `cilium-envoy-x2x4z` and `cilium-operator-5d4f-x2x4z`.
                rest.is_some_and(|rest| rest == node || !rest.contains('-'))
            });
            pod.host_network && pod.node == node && named
        };
        inventory.pods.iter().find(own)
    }
}

impl Marks {
    /// A chain, by its own name or by that of its table.
    fn chain(&self, backend: &str, table: &str, chain: &str) -> bool {
        let begins = |starts: &[&str], name: &str| starts.iter().any(|start| name.starts_with(start));
        begins(self.chains, chain) || (backend == "nftables" && begins(self.tables, table))
    }

    /// A namespace has some of it.
    fn are_in(&self, facts: &NetnsFacts) -> bool {
        let begins = |starts: &[&str], name: &str| starts.iter().any(|start| name.starts_with(start));
        let of_chain = |chain: &Chain| self.chain(&chain.backend, &chain.table, &chain.name);
        let chains = |netfilter: &Netfilter| netfilter.chains.iter().any(of_chain);
        facts.netfilter.ok().is_some_and(chains)
            || facts
                .links
                .ok()
                .is_some_and(|all| all.iter().any(|link| begins(self.links, &link.name)))
            || facts
                .bpf
                .ok()
                .is_some_and(|all| all.iter().any(|program| begins(self.programs, &program.name)))
    }
}

#[cfg(test)]
mod tests {
    use super::{
        ADMIN_POLICIES, NETWORK_POLICIES, PolicyKnowledge, of_condition, of_daemon_set, of_policy, of_process, owner,
    };
    use model::inventory::{Inventory, Pod};
    use model::report::RulePlace;

    fn place(backend: &str, table: &str, chain: &str) -> RulePlace {
        RulePlace {
            backend: backend.to_owned(),
            table: table.to_owned(),
            chain: chain.to_owned(),
            ..RulePlace::default()
        }
    }

    #[test]
    fn each_agent_is_known_by_its_own_chains_tables_and_comments() {
        for (backend, table, chain, name) in [
            ("iptables-nft", "filter", "cali-tw-cali1234", Some("Calico")),
            ("iptables-legacy", "filter", "CILIUM_FORWARD", Some("Cilium")),
            ("iptables-nft", "filter", "KUBE-POD-FW-ABC", Some("kube-router")),
            ("iptables-nft", "filter", "KUBE-NWPLCY-DEFAULT", Some("kube-router")),
            ("iptables-nft", "filter", "KUBE-ROUTER-FORWARD", Some("kube-router")),
            ("iptables-nft", "filter", "KUBE-FIREWALL", Some("the kubelet")),
            ("iptables-nft", "filter", "KUBE-SERVICES", Some("kube-proxy")),
            ("iptables-nft", "filter", "FLANNEL-FWD", Some("flannel")),
            ("nftables", "kube-proxy", "reject-chain", Some("kube-proxy")),
            ("nftables", "kindnet-network-policies", "postrouting", Some("kindnet")),
            ("nftables", "filter", "forward", None),
            ("iptables-legacy", "filter", "FORWARD", None),
        ] {
            let found = owner(&place(backend, table, chain), None).map(|agent| agent.name);
            assert_eq!(found, name, "{backend} {table} {chain}");
        }
        let forward = place("iptables-nft", "filter", "FORWARD");
        assert_eq!(owner(&forward, Some("cali:wUHhoiAYhphO9Mso")).unwrap().name, "Calico");
        let second = RulePlace {
            text: "-A FORWARD -m comment --comment own -m comment --comment \"cali:x\" -j DROP".to_owned(),
            ..forward
        };
        assert_eq!(owner(&second, Some("own")).unwrap().name, "Calico");
    }

    #[test]
    fn what_an_agent_drops_for_other_reasons_is_no_policy() {
        assert!(of_policy(&place("iptables-nft", "filter", "cali-fw-cali12")).is_some());
        assert!(of_policy(&place("iptables-nft", "raw", "cali-rpf-skip")).is_none());
        assert!(of_policy(&place("iptables-nft", "filter", "KUBE-FIREWALL")).is_none());
    }

    #[test]
    fn an_agent_knows_the_kinds_of_its_own_groups_and_those_of_admins_where_it_may() {
        let knows = |process: &str, group: &str| of_process(process).unwrap().knows(group);
        for (process, group, known) in [
            ("kube-router", NETWORK_POLICIES, PolicyKnowledge::Yes),
            ("kube-router", ADMIN_POLICIES, PolicyKnowledge::No),
            ("kube-router", "cilium.io", PolicyKnowledge::No),
            ("calico-node", "crd.projectcalico.org", PolicyKnowledge::Yes),
            ("calico-node", "cilium.io", PolicyKnowledge::No),
            ("calico-node", ADMIN_POLICIES, PolicyKnowledge::Maybe),
            ("cilium-agent", "cilium.io", PolicyKnowledge::Yes),
            ("kube-network-po", ADMIN_POLICIES, PolicyKnowledge::Maybe),
        ] {
            assert_eq!(knows(process, group), known, "{process} {group}");
        }
    }

    #[test]
    fn an_agents_pod_is_not_its_operators_nor_its_proxys() {
        let pod = |name: &str| Pod {
            name: name.to_owned(),
            node: "worker-1".to_owned(),
            host_network: true,
            ..Pod::default()
        };
        let cilium = of_process("cilium-agent").unwrap();
        for (name, own) in [
            ("cilium-x2x4z", true),
            ("cilium-worker-1", true),
            ("cilium-envoy-x2x4z", false),
            ("cilium-operator-5d4f-x2x4z", false),
            ("ciliumx-x2x4z", false),
        ] {
            let inventory = Inventory {
                pods: vec![pod(name)],
                ..Inventory::default()
            };
            assert_eq!(cilium.pod(&inventory, "worker-1").is_some(), own, "{name}");
        }
    }

    #[test]
    fn a_daemon_set_is_an_agents_by_its_name_or_a_container() {
        let names = |set: &str, containers: &[&str]| -> Vec<&str> {
            let containers: Vec<String> = containers.iter().map(|one| (*one).to_owned()).collect();
            of_daemon_set(set, &containers)
                .into_iter()
                .map(|agent| agent.name)
                .collect()
        };
        assert_eq!(names("cilium", &[]), ["Cilium"]);
        assert_eq!(names("dataplane", &["cilium-agent"]), ["Cilium"]);
        assert_eq!(names("canal", &["calico-node", "kube-flannel"]), ["Calico", "flannel"]);
        assert!(names("cilium-envoy", &["cilium-envoy"]).is_empty());
        assert!(names("kubelet", &["kubelet"]).is_empty(), "no set runs it");
        assert_eq!(of_condition("FlannelIsUp").unwrap().name, "flannel");
        assert!(of_condition("RouteCreated").is_none() && of_condition("").is_none());
    }
}
