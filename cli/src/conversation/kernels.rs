//! Nodes that share a kernel, and nodes that have their own. Pure.
//!
//! Kernels of their own number namespaces, packets and sockets alike (the first network namespace has the same inode on every
//! machine) and count time from their own boot: their replies are translated into the numbers of the first kernel as they come
//! in, and requests are translated back. The first kernel's numbers stay as they are.
//!
//! Nodes that share a kernel (kind, k3d) each see all of its events. An event is kept by the node whose namespace it
//! happened in, so that it is counted once; one in a namespace between them is nobody's, as on a real network.

use model::event::Event;
use model::facts::NetnsFacts;
use model::owner::Owner;
use model::protocol::{Hello, Reply, Request};
use std::collections::{BTreeSet, HashMap};

/// Namespace inodes begin at `0xf000_0000` and grow from there (`PROC_DYNAMIC_FIRST`): the upper bits are free to tell kernels apart.
const NETNS_SHIFT: u32 = 20;
/// Kernel addresses begin with 16 equal bits.
const ADDRESS_SHIFT: u32 = 48;
/// Packets whose place is remembered, at most.
const PACKETS_MAX: usize = 65_536;

/// What is known of the kernels of all nodes.
#[derive(Debug, Default)]
pub struct Kernels {
    nodes: Vec<Node>,
    /// Identities of the kernels of all nodes that the site knows of, looked at or not.
    boots: Vec<String>,
}

#[derive(Debug, Default)]
struct Node {
    boot_id: String,
    /// Number of its kernel among those seen.
    kernel: u32,
    /// Added to its `CLOCK_MONOTONIC`, it is that of the first node.
    ahead_ns: i64,
    /// Others run on the same kernel.
    shared: bool,
    /// Whether it is the one node of its kernel that reports what happens in no namespace at all.
    first: bool,
    /// Namespaces that are its own: its node's, those it was asked to find, those it has read.
    own: BTreeSet<u32>,
    /// Packets it reported, and whether their last place was its own.
    packets: HashMap<u64, bool>,
}

impl Kernels {
    /// This many nodes, of which nothing is known yet.
    pub fn of(count: usize) -> Self {
        Self {
            nodes: (0..count).map(|_| Node::default()).collect(),
            boots: Vec::new(),
        }
    }

    /// One more node, nothing known yet. What is known of the others stays.
    pub fn join(&mut self) {
        self.nodes.push(Node::default());
    }

    /// The site knows nodes with these boot ids: one that is not looked at may share a kernel, too.
    pub fn beside(&mut self, boots: impl IntoIterator<Item = String>) {
        self.boots = boots.into_iter().filter(|boot| !boot.is_empty()).collect();
    }

    /// Takes in who the helpers are, as far as they have greeted: in the order of nodes, `None` where one has not.
    pub fn settle(&mut self, hellos: &[Option<&Hello>]) {
        let clock = |hello: &Hello| hello.wall_ns as i64 - hello.monotonic_ns as i64;
        let mut boots: Vec<(&str, i64)> = Vec::new();
        for hello in hellos.iter().flatten() {
            if !boots.iter().any(|(boot, _)| *boot == hello.boot_id) {
                boots.push((&hello.boot_id, clock(hello)));
            }
        }
        let start = boots.first().map_or(0, |(_, clock)| *clock);
        let mut met: BTreeSet<&str> = BTreeSet::new();
        for (node, hello) in self.nodes.iter_mut().zip(hellos) {
            let Some(hello) = hello else { continue };
            let same = hellos.iter().flatten().filter(|other| other.boot_id == hello.boot_id);
            let kernel = boots
                .iter()
                .position(|(boot, _)| *boot == hello.boot_id)
                .unwrap_or_default();
            let host = netns(kernel as u32, hello.netns);
            let is_known = node.boot_id == hello.boot_id && node.kernel == kernel as u32;
            if !is_known {
                node.own.clear();
            }
            node.own.insert(host);
            node.boot_id.clone_from(&hello.boot_id);
            node.kernel = kernel as u32;
            node.ahead_ns = boots.get(kernel).map_or(0, |(_, clock)| clock - start);
            let known = self.boots.iter().filter(|boot| **boot == hello.boot_id);
            node.shared = same.count() > 1 || known.count() > 1;
            node.first = met.insert(&hello.boot_id);
        }
    }

    /// The namespace by a number that no other kernel's has.
    pub fn netns(&self, node: usize, inode: u32) -> u32 {
        self.nodes.get(node).map_or(inode, |node| netns(node.kernel, inode))
    }

    /// This namespace is the node's, where it is nobody else's.
    pub fn claim(&mut self, node: usize, netns: u32) {
        let owned = self.nodes.iter().any(|other| other.own.contains(&netns));
        if let Some(node) = self.nodes.get_mut(node)
            && !owned
        {
            node.own.insert(netns);
        }
    }

    /// The node that a namespace was claimed for.
    pub fn owner(&self, netns: u32) -> Option<usize> {
        self.nodes.iter().position(|node| node.own.contains(&netns))
    }

    /// The total of this namespace is counted by this node.
    pub fn reports(&self, node: usize, netns: u32) -> bool {
        match self.owner(netns) {
            Some(owner) => owner == node,
            None if netns == 0 => self.nodes.get(node).is_some_and(|node| node.first),
            None => !self.shared(node),
        }
    }

    /// Other nodes run on this one's kernel.
    pub fn shared(&self, node: usize) -> bool {
        self.nodes.get(node).is_some_and(|node| node.shared)
    }

    /// The event is counted for this node. Where a kernel is one node's alone, all are.
    pub fn keeps(&mut self, node: usize, event: &Event) -> bool {
        if !self.shared(node) {
            return node < self.nodes.len();
        }
        // A helper sees whose a namespace is only where somebody of its own node lives in it. What is followed is looked for
        // on its way alone: a bridge may flood it to whoever else lives there.
        let seen = !matches!(event.owner, Owner::Unknown | Owner::Netns { .. });
        if event.netns != 0 && seen && event.attempt.is_none() {
            self.claim(node, event.netns);
        }
        let Some(node) = self.nodes.get_mut(node) else {
            return false;
        };
        let own = match event.netns {
            // In no namespace: where its packet was last, else reported by one of the nodes.
            0 => node.packets.get(&event.skb).copied().unwrap_or(node.first),
            netns => node.own.contains(&netns),
        };
        if event.skb != 0 {
            if node.packets.len() >= PACKETS_MAX {
                node.packets.clear();
            }
            node.packets.insert(event.skb, own);
        }
        own
    }

    /// Brings a reply to the one form.
    pub fn inward(&self, node: usize, mut reply: Reply) -> Reply {
        let Some(node) = self.nodes.get(node).filter(|node| node.kernel != 0) else {
            return reply;
        };
        let translate = |inode: &mut u32| *inode = netns(node.kernel, *inode);
        let time = |at_ns: &mut u64| {
            if *at_ns != 0 {
                *at_ns = at_ns.saturating_add_signed(node.ahead_ns);
            }
        };
        match &mut reply {
            Reply::Resolved(model::missing::Known::Known(endpoint)) => endpoint.netns.iter_mut().for_each(translate),
            Reply::Facts { facts, .. } => {
                time(&mut facts.at_ns);
                within(facts, translate);
            }
            Reply::Process { facts, .. } => translate(&mut facts.netns),
            Reply::Planned { flows, .. } => flows.iter_mut().for_each(|flow| translate(&mut flow.netns)),
            Reply::Going { at_ns, .. } => time(at_ns),
            Reply::Event(event) => {
                time(&mut event.at_ns);
                translate(&mut event.netns);
                event.skb = address(node.kernel, event.skb);
                event.sk = address(node.kernel, event.sk);
            }
            Reply::Attempt(attempt) => time(&mut attempt.started_ns),
            Reply::Series(sample) => {
                time(&mut sample.at_ns);
                translate(&mut sample.netns);
            }
            Reply::Round(round) => time(&mut round.at_ns),
            Reply::Stopped { at_ns, totals, .. } => {
                time(at_ns);
                for total in totals {
                    translate(&mut total.netns);
                }
            }
            Reply::Resolved(_)
            | Reply::Hello(_)
            | Reply::Node { .. }
            | Reply::Read { .. }
            | Reply::Armed { .. }
            | Reply::Describe(_)
            | Reply::Alive
            | Reply::Failed { .. }
            | Reply::Done { .. } => {}
        }
        reply
    }

    /// Brings a request to the form of the node it is for.
    pub fn outward(&self, node: usize, mut request: Request) -> Request {
        let Some(node) = self.nodes.get(node).filter(|node| node.kernel != 0) else {
            return request;
        };
        // The same bits turn it back.
        let asked = |inode: &mut u32| *inode = netns(node.kernel, *inode);
        match &mut request {
            Request::Read(ask) => ask.netns.iter_mut().for_each(asked),
            Request::Plan { attempts, .. } => attempts.iter_mut().for_each(|spec| asked(&mut spec.netns)),
            Request::Arm { filter, .. } => {
                filter.netns.iter_mut().for_each(asked);
                filter.flows.iter_mut().for_each(|flow| asked(&mut flow.netns));
            }
            Request::Watch { flows, .. } => flows.iter_mut().for_each(|flow| asked(&mut flow.netns)),
            Request::Hello { .. }
            | Request::Resolve { .. }
            | Request::Go { .. }
            | Request::Stop { .. }
            | Request::Alive
            | Request::Bye => {}
        }
        request
    }
}

fn within(facts: &mut NetnsFacts, translate: impl Fn(&mut u32)) {
    translate(&mut facts.netns);
    if let model::missing::Known::Known(links) = &mut facts.links {
        let peers = links.iter_mut().filter_map(|link| link.peer.as_mut()?.netns.as_mut());
        peers.for_each(translate);
    }
}

/// 0 stands for unknown, and stays 0.
const fn netns(kernel: u32, inode: u32) -> u32 {
    if inode == 0 { 0 } else { inode ^ (kernel << NETNS_SHIFT) }
}

const fn address(kernel: u32, address: u64) -> u64 {
    if address == 0 {
        0
    } else {
        address ^ ((kernel as u64) << ADDRESS_SHIFT)
    }
}

#[cfg(test)]
mod tests {
    use super::Kernels;
    use model::event::Event;
    use model::owner::Owner;
    use model::protocol::{Ask, Hello, Reply, Request};

    const HOST: u32 = 0xf000_0000 + 26;

    fn hello(boot_id: &str, netns: u32, monotonic_ns: u64) -> Hello {
        Hello {
            boot_id: boot_id.into(),
            netns,
            monotonic_ns,
            wall_ns: 1_000_000,
            ..Hello::default()
        }
    }

    fn kernels(hellos: &[Hello]) -> Kernels {
        let mut kernels = Kernels::of(hellos.len());
        kernels.settle(&hellos.iter().map(Some).collect::<Vec<_>>());
        kernels
    }

    fn event(netns: u32, skb: u64) -> Event {
        let said = format!(
            r#"{{"at_ns":500,"probe":"path","netns":{netns},"skb":{skb},"seen":{{"what":"hop","hook":"queue"}},
                "flow":{{"src":"10.0.0.1","sport":1,"dst":"10.0.0.2","dport":2,"protocol":"tcp"}}}}"#
        );
        serde_json::from_str(&said).unwrap()
    }

    fn inward(kernels: &Kernels, node: usize, event: Event) -> Event {
        match kernels.inward(node, Reply::Event(event)) {
            Reply::Event(event) => event,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn two_kernels_with_the_same_inodes_and_addresses_are_told_apart_and_asked_in_their_own_form() {
        let kernels = kernels(&[hello("a", HOST, 1_000), hello("b", HOST, 400)]);
        let [one, other] = [0, 1].map(|node| inward(&kernels, node, event(HOST, 0xffff_8881_0000_1000)));
        assert_eq!(one, event(HOST, 0xffff_8881_0000_1000), "the first stays as it is");
        assert_ne!(one.netns, other.netns);
        assert_ne!(one.skb, other.skb);
        assert_eq!(other.at_ns, 1_100, "its clock began 600 ns later");
        let ask = Request::Read(Ask {
            netns: vec![other.netns],
            ..Ask::default()
        });
        let Request::Read(asked) = kernels.outward(1, ask) else {
            panic!("another request")
        };
        assert_eq!(asked.netns, [HOST]);
        assert_eq!((kernels.owner(HOST), kernels.owner(other.netns)), (Some(0), Some(1)));
    }

    #[test]
    fn what_is_unknown_stays_unknown() {
        let kernels = kernels(&[hello("a", HOST, 0), hello("b", HOST, 0)]);
        let translate = inward(&kernels, 1, event(0, 0));
        assert_eq!((translate.netns, translate.skb, translate.sk), (0, 0, 0));
    }

    #[test]
    fn an_event_of_a_shared_kernel_is_kept_once_by_the_node_it_happened_at() {
        let (one, other, between) = (HOST + 1, HOST + 2, HOST + 3);
        let mut kernels = kernels(&[hello("a", one, 0), hello("a", other, 0)]);
        let pod = HOST + 9;
        kernels.claim(1, pod);
        let mut kept = |event: &Event| [0, 1].map(|node| kernels.keeps(node, event));
        assert_eq!(kept(&event(one, 7)), [true, false]);
        assert_eq!(kept(&event(between, 7)), [false, false], "nobody looks there");
        assert_eq!(kept(&event(other, 7)), [false, true]);
        assert_eq!(kept(&event(0, 7)), [false, true], "its packet was there last");
        assert_eq!(kept(&event(pod, 8)), [false, true]);
        assert_eq!(kept(&event(0, 0)), [true, false], "told once");
        let other_pod = Event {
            owner: Owner::Pod {
                uid: "1".into(),
                container: None,
            },
            ..event(HOST + 10, 9)
        };
        assert!(
            !kernels.keeps(0, &event(HOST + 10, 9)),
            "it does not see who lives there"
        );
        assert!(kernels.keeps(1, &other_pod));
        assert!(!kernels.keeps(0, &other_pod), "told by the other already");
        let flooded = Event {
            attempt: Some(1),
            netns: HOST + 11,
            ..other_pod
        };
        assert!(!kernels.keeps(1, &flooded), "a copy for another pod is not on the way");
        let translate = |netns| [0, 1].map(|node| kernels.reports(node, netns));
        assert_eq!(
            (translate(one), translate(between), translate(0)),
            ([true, false], [false; 2], [true, false])
        );
    }

    #[test]
    fn what_a_node_tells_of_one_that_is_not_looked_at_is_left_out() {
        let mut kernels = Kernels::of(1);
        kernels.beside(["a", "a"].map(str::to_owned));
        kernels.settle(&[Some(&hello("a", HOST, 0))]);
        assert!(kernels.keeps(0, &event(HOST, 7)));
        assert!(!kernels.keeps(0, &event(HOST + 1, 7)));
    }

    #[test]
    fn a_kernel_of_its_own_keeps_everything() {
        let mut kernels = kernels(&[hello("a", HOST, 0), hello("b", HOST, 0)]);
        assert!(kernels.keeps(1, &event(HOST + 77, 0)));
    }

    #[test]
    fn a_namespace_belongs_to_the_first_that_claims_it() {
        let mut kernels = kernels(&[hello("a", HOST + 1, 0), hello("a", HOST + 2, 0)]);
        kernels.claim(1, HOST + 1);
        assert_eq!(kernels.owner(HOST + 1), Some(0));
    }
}
