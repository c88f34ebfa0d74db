//! The derived view of one run that all rules share: attempts with what became of them, the trail, and facts that are
//! known or missing for a reason.
//!
//! What several rules ask of a run belongs here, one question a file. It uses `kernel/`, `kubernetes/`, `verdict/` and `words/`, and
//! knows no rule. What one rule alone asks stays in that rule.

pub(crate) mod attribution;
pub mod cilium_reasons;
pub mod clocks;
mod commands;
pub mod connect_translation;
pub mod echo_train;
mod facts;
pub mod far_end;
mod fate;
pub mod firewall_drops;
pub(crate) mod foreign_answers;
pub mod kept_connections;
pub mod late_answers;
pub(crate) mod lookups;
pub mod lost_between_nodes;
pub mod neighbours;
pub mod node_agents;
pub mod node_routes;
pub mod observations;
mod one_family;
pub(crate) mod policy_denials;
pub(crate) mod policy_rulings;
pub mod routing;
pub mod services;
mod strays;
pub mod trail;
pub(crate) mod tunnel_faults;
pub(crate) mod tunnel_way;
pub mod tunnels;
pub mod unheard_neighbours;
pub mod unseen_arrivals;

pub use fate::{Failure, Fate, Tried};
pub use strays::strays;

use crate::kernel::drops::Class;
use crate::kernel::interfaces;
use crate::kernel::walk::{self, WalkHop};
use crate::kubernetes::pods;
use core::cell::OnceCell;
use far_end::FarEnd;
use fate::{fate, is_asked, overran_us, runs_everywhere, unanswered};
use model::event::{Event, Seen};
use model::evidence::Evidence;
use model::facts::Link;
use model::inventory::Inventory;
use model::numbers;
use model::owner::Owner;
use model::report::Direction;
use neighbours::{Silent, silent};
use std::net::IpAddr;
use trail::{Dropped, Leg, Trail, is_reset};

/// One run, looked through.
#[derive(Debug)]
pub struct Case<'a> {
    /// All that was seen.
    pub evidence: &'a Evidence,
    /// Where the watched packets were.
    pub trail: Trail<'a>,
    /// The attempts, in order.
    pub tried: Vec<Tried<'a>>,
    /// Next hops on the way that answered no ARP or ND.
    pub silent: Vec<Silent>,
    /// Attempts over a family that nobody chose, and on which nothing listens while the other one is served. They count as not
    /// asked for.
    pub unserved: Vec<(u32, FarEnd)>,
    way: OnceCell<Vec<WalkHop>>,
}

impl<'a> Case<'a> {
    /// Looks through the evidence once.
    pub fn new(evidence: &'a Evidence) -> Self {
        let trail = Trail::follow(evidence);
        let silent = silent(evidence, &trail);
        let mut tried: Vec<Tried<'_>> = evidence
            .attempts
            .iter()
            .map(|attempt| Tried {
                attempt,
                asked: is_asked(evidence, attempt),
                fate: fate(evidence, attempt, &trail),
            })
            .collect();
        if !silent.is_empty() && !tried.iter().any(|tried| tried.asked && tried.fate == Fate::Worked) {
            // They were cut short because their next hop had been asked in vain.
            for tried in tried.iter_mut().filter(|tried| unanswered(tried.attempt)) {
                tried.fate = Fate::Failed;
            }
        }
        let mut case = Self {
            evidence,
            trail,
            tried,
            silent,
            unserved: Vec::new(),
            way: OnceCell::new(),
        };
        case.unserved = one_family::unserved(&case);
        for tried in &mut case.tried {
            tried.asked &= !case.unserved.iter().any(|(id, _)| *id == tried.attempt.id);
        }
        case
    }

    /// What the cluster's API said; `None` where the site has no API.
    pub fn inventory(&self) -> Option<&'a Inventory> {
        self.evidence.inventory.ok()
    }

    /// The way that packets and answers should take, walked from facts.
    pub fn way(&self) -> &[WalkHop] {
        self.way.get_or_init(|| walk::path(self.evidence))
    }

    /// The namespace and interface that own an address: where several do, one that watched packets met, then an end.
    pub fn owner(&self, address: IpAddr) -> Option<(u32, &'a Link)> {
        self.owners(address).into_iter().next()
    }

    /// Every namespace looked into that owns an address, those that watched packets met first, then the ends: what is private
    /// to a node (a bridge's address) may be there on each.
    pub fn owners(&self, address: IpAddr) -> Vec<(u32, &'a Link)> {
        let ends = [self.evidence.destination.netns, self.evidence.source.netns];
        let mut owners: Vec<(u32, &Link)> = self
            .evidence
            .netns
            .iter()
            .filter_map(|netns| {
                let own = netns.before.addresses.ok()?.iter().find(|own| own.address == address)?;
                Some((netns.id, interfaces::link(&netns.before, own.ifindex)?))
            })
            .collect();
        let met = |netns: u32| {
            let mut legs = self.trail.legs.iter();
            legs.any(|leg| leg.reached(netns) && leg.stops.iter().any(|stop| stop.flow.dst() == address))
        };
        owners.sort_by_key(|(netns, _)| (!met(*netns), !ends.contains(&Some(*netns))));
        owners
    }

    /// The other end of an interface, where it was looked into.
    pub fn peer(&self, netns: u32, link: &Link) -> Option<(u32, &'a Link)> {
        let peer = link.peer.as_ref()?;
        let netns = peer.netns.unwrap_or(netns);
        Some((netns, self.link(netns, peer.ifindex)?))
    }

    /// Attempts of the protocol asked for.
    pub fn asked(&self) -> impl Iterator<Item = &Tried<'a>> {
        self.tried.iter().filter(|tried| tried.asked)
    }

    /// Attempts of the protocol asked for that failed.
    pub fn failed(&self) -> Vec<&Tried<'a>> {
        self.asked().filter(|tried| tried.fate == Fate::Failed).collect()
    }

    /// Attempts of the protocol asked for that worked.
    pub fn worked(&self) -> Vec<&Tried<'a>> {
        self.asked().filter(|tried| tried.fate == Fate::Worked).collect()
    }

    /// The ids of the attempts that failed.
    pub fn failed_ids(&self) -> Vec<u32> {
        self.failed().iter().map(|tried| tried.attempt.id).collect()
    }

    /// At least one attempt was made and none that was asked for failed or is in doubt.
    pub fn all_worked(&self) -> bool {
        let mut asked = self.asked().peekable();
        asked.peek().is_some() && asked.all(|tried| tried.fate == Fate::Worked)
    }

    /// An attempt by its number.
    pub fn attempt(&self, id: u32) -> Option<&Tried<'a>> {
        self.tried.iter().find(|tried| tried.attempt.id == id)
    }

    /// The packets of an attempt in one direction.
    pub fn leg(&self, attempt: u32, direction: Direction) -> Option<&Leg<'a>> {
        self.trail.leg(attempt, direction)
    }

    /// Losses that accuse: on attempts that were asked for and did not work, or, when only packets were watched, on the user's own flow.
    pub fn drops(&self, class: Class) -> Vec<Dropped<'a>> {
        self.accusing().filter(|drop| drop.class == class).collect()
    }

    /// Losses of every class that accuse.
    pub fn accusing(&self) -> impl Iterator<Item = Dropped<'a>> + '_ {
        self.trail.drops().copied().filter(|drop| {
            // What comes after the asker has given up meets no socket; that follows from the failure and explains nothing.
            let late = drop.class == Class::NoSocket
                && drop.direction == Direction::Answer
                && self.evidence.source.netns == Some(drop.event.netns);
            if late || is_needless_reset(drop) || self.was_over(drop) || overran_us(self.evidence, drop) {
                return false;
            }
            // Where nothing is known of what became of connections, what they lose is all there is.
            let only_watched = self.evidence.passive && self.evidence.attempts.is_empty();
            only_watched
                || self
                    .attempt(drop.attempt)
                    .is_some_and(|tried| tried.asked && tried.fate == Fate::Failed)
        })
    }

    /// It was still under way when one end closed its socket with a reset: nobody waits for it.
    fn was_over(&self, drop: &Dropped<'_>) -> bool {
        let mut resets = self
            .about(drop.attempt)
            .filter(|event| matches!(event.seen, Seen::ResetSent { active: true, .. }));
        resets.any(|reset| reset.node == drop.event.node && reset.at_ns <= drop.event.at_ns)
    }

    /// Losses on any watched flow, also of attempts that worked in the end and of echo trains; not what our own sockets had no
    /// room for.
    pub fn all_drops(&self, class: Class) -> Vec<Dropped<'a>> {
        let of_others = self.trail.drops().filter(|drop| !overran_us(self.evidence, drop));
        of_others.copied().filter(|drop| drop.class == class).collect()
    }

    /// Answers that the sockets we send from had no room for: they accuse nobody.
    pub fn overruns(&self) -> Vec<Dropped<'a>> {
        let ours = self.trail.drops().filter(|drop| overran_us(self.evidence, drop));
        ours.copied().collect()
    }

    /// Whether some of these overruns were answers to this attempt.
    pub fn overran(&self, attempt: u32) -> bool {
        self.overruns().iter().any(|drop| drop.attempt == attempt)
    }

    /// Other events about an attempt's flow, both ways.
    pub fn about(&self, attempt: u32) -> impl Iterator<Item = &'a Event> + '_ {
        self.trail
            .legs
            .iter()
            .filter(move |leg| leg.attempt == attempt)
            .flat_map(|leg| leg.others.iter().copied())
    }

    /// Events about the flows of failed attempts that fit.
    pub fn about_failed<'b>(&'b self, wanted: impl Fn(&Seen) -> bool + 'b) -> impl Iterator<Item = &'a Event> + 'b {
        self.failed_ids()
            .into_iter()
            .flat_map(|id| self.about(id))
            .filter(move |event| wanted(&event.seen))
    }

    /// A probe by name could run on every node that was looked at.
    pub fn watched_by(&self, probe: &str) -> bool {
        runs_everywhere(self.evidence, probe)
    }

    /// Nothing of the watched flow was lost on its way here, or may have been: what was not seen did not happen where a
    /// probe looked.
    pub fn saw_all(&self) -> bool {
        let lost = self.evidence.nodes.iter().flat_map(|node| &node.lost);
        // What measures times tells of no packet.
        let mut of_packets = lost.filter(|lost| !numbers::measures_times(&lost.probe));
        of_packets.all(|lost| lost.of_watched_at_most() == 0)
    }

    /// Whether these probes lost nothing of the watched flow, nor may have: what the kernel left out of others does not matter.
    pub fn saw_all_by(&self, probes: &[&str]) -> bool {
        let mut lost = self.evidence.nodes.iter().flat_map(|node| &node.lost);
        lost.all(|lost| lost.of_watched == 0 && (lost.missed == 0 || !probes.contains(&lost.probe.as_str())))
    }

    /// The name of a namespace for people.
    pub fn name(&self, netns: u32) -> String {
        if netns == 0 {
            "a namespace that could not be told".to_owned()
        } else {
            self.told_name(netns)
                .unwrap_or_else(|| format!("a network namespace that nothing names ({netns})"))
        }
    }

    /// Whether anything tells what a namespace is called. Packets may pass some that neither a pod nor a file leads into.
    pub fn is_named(&self, netns: u32) -> bool {
        self.told_name(netns).is_some()
    }

    /// The name of a namespace by the cluster, by its facts, or by whose what happened there was.
    fn told_name(&self, netns: u32) -> Option<String> {
        let by_facts = || self.evidence.netns(netns).map(|netns| netns.name.clone());
        let by_events = || {
            let there = self.evidence.events.iter().filter(|event| event.netns == netns);
            there.into_iter().find_map(|event| match &event.owner {
                Owner::Netns { name } => Some(format!("netns/{name}")),
                Owner::Host => Some("host".to_owned()),
                Owner::Container { id } => Some(format!("container/{}", id.get(..12).unwrap_or(id))),
                Owner::Pod { uid, .. } => Some(format!("pod/{uid}")),
                Owner::Unknown => None,
            })
        };
        pods::name_of(self.evidence, netns).or_else(by_facts).or_else(by_events)
    }

    /// The node a namespace is on; empty where unknown.
    pub fn node(&self, netns: u32) -> String {
        self.evidence
            .netns(netns)
            .map_or_else(String::new, |netns| netns.node.clone())
    }

    /// The interface of an event: by its own name, else from the links of its namespace.
    pub fn interface(&self, event: &Event) -> String {
        event
            .interface
            .clone()
            .or_else(|| self.link(event.netns, event.ifindex).map(|link| link.name.clone()))
            .unwrap_or_default()
    }

    /// The source as people call it.
    pub fn source(&self) -> String {
        named_or(&self.evidence.source.name, &self.evidence.source.asked)
    }

    /// The destination as people call it.
    pub fn destination(&self) -> String {
        named_or(&self.evidence.destination.name, &self.evidence.destination.asked)
    }

    /// The destination with port and protocol: `netns/c:80/tcp`.
    pub fn target(&self) -> String {
        let end = &self.evidence.destination;
        match end.port {
            Some(port) => format!("{}:{port}/{}", self.destination(), self.evidence.protocol),
            None => match &end.port_name {
                Some(name) => format!("{}:{name}", self.destination()),
                None => self.destination(),
            },
        }
    }

    /// The addresses that attempts were sent to, in order, without repetition.
    pub fn targets(&self) -> Vec<IpAddr> {
        let mut targets = Vec::new();
        for tried in self.asked() {
            let to = tried.attempt.flow.dst();
            if !to.is_unspecified() && !targets.contains(&to) {
                targets.push(to);
            }
        }
        if targets.is_empty() {
            targets.extend(self.evidence.watched.iter().map(|watched| watched.flow.dst()));
            targets.dedup();
        }
        targets
    }
}

/// A reset that finds no connection to reset: what it was to end has ended already.
fn is_needless_reset(drop: &Dropped<'_>) -> bool {
    let finds_none = matches!(drop.class, Class::NoSocket | Class::UnknownConnection);
    finds_none && is_reset(drop.event)
}

fn named_or(name: &str, asked: &str) -> String {
    if name.is_empty() { asked } else { name }.to_owned()
}
