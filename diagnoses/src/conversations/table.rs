//! Conversations of targets, folded from events one by one: how many connections each tried and made, and what became of them.
//!
//! A table of a busy pod has to stay small: of connections that ended well their number is kept, and of the others some.

use super::connection::{ObservedConnection, Reset};
use super::connection_index::ConnectionIndex;
use super::conversation::Conversation;
use super::key::{Key, TargetRole};
use super::lookup::{Lookups, ObservedLookup};
use crate::case::far_end::takes;
use crate::kernel::drops::{Class, class_of};
use model::endpoint::Endpoint;
use model::event::{Event, Seen, TcpState};
use model::facts::Socket;
use model::flow::{ACK, Flow, SYN, TCP, UDP};
use model::report::Direction;
use model::word::Hook;
use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

/// Conversations that are kept; beyond them new ones are only counted.
const CONVERSATIONS_MAX: usize = 4_096;
/// Times that are kept for a percentile.
const TIMES_MAX: usize = 10_000;
/// Ports from here on are clients', unless somebody changed the range (`net.ipv4.ip_local_port_range`).
const EPHEMERAL: u16 = 32_768;
/// Events of one probe may come so much later than those of another.
const OUT_OF_ORDER_NS: u64 = 500_000_000;
/// A socket sends its first packet within this time.
const FIRST_PACKET_NS: u64 = 20_000_000;
/// No port is left for a connection, or the address is not the machine's.
const EADDRNOTAVAIL: u16 = 99;
/// The port of name servers, whose messages are read one by one.
const DNS: u16 = 53;

/// All conversations of all targets.
#[derive(Debug, Default)]
pub struct ConversationTable {
    targets: Vec<TargetEnd>,
    places: BTreeSet<u32>,
    /// By what tells them apart.
    pub conversations: BTreeMap<Key, Conversation>,
    index: ConnectionIndex,
    lookups: Lookups,
    next: u64,
    /// Connect times in nanoseconds, of connections that targets made.
    pub connect_ns: Vec<u64>,
    /// Answer times in nanoseconds, of lookups of targets.
    pub lookup_ns: Vec<u64>,
    /// Conversations that found no room.
    pub left_out: u64,
    /// What is told of sockets.
    told: Told,
}

/// What is told of sockets: where less is, less is known of connections.
#[derive(Clone, Copy, Debug)]
struct Told {
    /// Each change of their state.
    changes: bool,
    /// Each segment that is sent again.
    resent: bool,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            changes: true,
            resent: true,
        }
    }
}

#[derive(Debug)]
struct TargetEnd {
    netns: u32,
    addresses: Vec<IpAddr>,
    sockets: Vec<Socket>,
    /// Until when it was looked at, by the clock of its node.
    until_ns: Option<u64>,
}

impl ConversationTable {
    /// Of these targets, whose sockets were read before the window.
    #[must_use]
    pub fn of(targets: &[Endpoint], sockets: impl Fn(u32) -> Vec<Socket>) -> Self {
        let target = |end: &Endpoint| TargetEnd {
            netns: end.netns.unwrap_or_default(),
            addresses: end.addresses.clone(),
            sockets: end.netns.map(&sockets).unwrap_or_default(),
            until_ns: None,
        };
        Self {
            targets: targets.iter().map(target).collect(),
            lookups: Lookups::of(targets),
            ..Self::default()
        }
    }

    /// The same, told by these probes alone.
    #[must_use]
    pub fn told_by(mut self, probes: &[String]) -> Self {
        let tells = |name: &str| probes.iter().any(|probe| probe == name);
        self.told = Told {
            changes: tells("tcpstate"),
            resent: tells("tcpretrans"),
        };
        self
    }

    /// Takes in an event; those of a node in time order.
    pub fn take(&mut self, event: &Event) {
        let is_ours = event.netns == 0 || self.places.contains(&event.netns) || self.target_in(event.netns).is_some();
        if !is_ours {
            return;
        }
        self.learn_port(event);
        self.learn_made(event);
        match &event.seen {
            Seen::StateChange { old, new, .. } => self.changed(event, *old, *new),
            Seen::SocketError { errno, soft: false } => {
                if let Some(connection) = self.met(event) {
                    connection.fail(*errno);
                }
            }
            Seen::Retransmit { state, .. } => self.resent(event, *state),
            Seen::Hop {
                hook: Hook::Receive, ..
            } => self.knocked(event),
            Seen::RetransmitSynAck => self.unanswered(event),
            Seen::ResetReceived { state } => self.reset(event, None, state.has_closed()),
            Seen::ResetSent { reason, .. } => self.reset(event, reason.clone(), false),
            Seen::Drop { .. } if class_of(event) != Some(Class::Benign) => self.dropped(event),
            Seen::ReceiveBufferFull { .. } => self.lost_datagram(event),
            Seen::DnsQuery { .. } | Seen::DnsAnswer { .. } | Seen::DnsUnanswered { .. } => self.asked(event),
            _ => {}
        }
    }

    /// Besides the targets' own namespaces, these are on the way of their packets. What happens elsewhere to the same tuples is
    /// another's.
    pub fn look_at(&mut self, places: impl IntoIterator<Item = u32>) {
        self.places.extend(places);
    }

    /// The conversation and connection of an event, and which way it goes.
    #[must_use]
    pub fn whose(&self, event: &Event) -> Option<(Key, u64, Direction)> {
        self.index.whose(event)
    }

    /// Conversations with name servers that keep somebody waiting, and for how long at least.
    pub fn waiting(&self, now_ns: u64) -> impl Iterator<Item = (Key, u64)> + '_ {
        let waiting = self.lookups.waiting_long(move |target| self.until_ns(target, now_ns));
        waiting.map(|(target, role, flow, waited_ns)| (key(target, role, flow), waited_ns))
    }

    /// Another target is its client, and tells more of it.
    #[must_use]
    pub fn is_twin(&self, key: &Key) -> bool {
        key.role == TargetRole::Server && self.target_at(key.client).is_some()
    }

    /// So many changes of sockets were not told: where they can explain every connection of which nothing tells that it was made,
    /// nobody knows whether one was not.
    pub fn doubt(&mut self, lost: u64) {
        let connections = self
            .conversations
            .values_mut()
            .flat_map(|own| own.connections.values_mut());
        let untold = |connection: &ObservedConnection| {
            let told = connection.dropped > 0 || connection.resent > 0 || connection.errno.is_some();
            !told && connection.connected_ns.is_none() && !connection.existed
        };
        let untold: Vec<&mut ObservedConnection> = connections.filter(|connection| untold(connection)).collect();
        if untold.len() as u64 <= lost {
            for connection in untold {
                connection.is_unsure = true;
            }
        }
    }

    /// So many messages of lookups were not told: where they can be all that would have ended well those that did not, nobody knows
    /// whether a later name was found, or an answer came.
    pub fn doubt_lookups(&mut self, lost: u64) {
        let open = |lookup: &ObservedLookup| !lookup.found();
        let conversations = self.conversations.values_mut();
        let failed: usize = conversations
            .map(|own| own.lookups.iter().filter(|own| open(own)).count())
            .sum();
        if failed as u64 > lost {
            return;
        }
        for conversation in self.conversations.values_mut() {
            let all = conversation.lookups.len();
            conversation.lookups.retain(|lookup| !open(lookup));
            let doubted = all - conversation.lookups.len();
            conversation.tried = conversation.tried.saturating_sub(doubted as u32);
        }
    }

    /// Where changes of sockets are not told, a connection was certainly not made only where its first packet was lost to the last.
    /// So many that were sent again were not told.
    pub fn doubt_untold(&mut self, lost_resent: u64) {
        if self.told.changes {
            return;
        }
        let is_whole = self.told.resent && lost_resent == 0;
        let connections = self
            .conversations
            .values_mut()
            .flat_map(|own| own.connections.values_mut());
        for connection in connections {
            connection.is_unsure = !(is_whole && connection.is_lost_to_the_last());
        }
    }

    /// A target was looked at until now, by the clock of its node: that of another may be ahead.
    pub fn look_until(&mut self, target: usize, at_ns: u64) {
        if let Some(end) = self.targets.get_mut(target) {
            end.until_ns = Some(at_ns);
        }
    }

    /// Until when a target was looked at, by the clock of its node; `now_ns` where that is not known.
    #[must_use]
    pub fn until_ns(&self, target: usize, now_ns: u64) -> u64 {
        until_ns(&self.targets, target, now_ns)
    }

    /// Lookups that are still waited for when the window closes have come to their end.
    pub fn close(&mut self, now_ns: u64) {
        let targets = &self.targets;
        let left = self.lookups.close(|target| until_ns(targets, target, now_ns));
        for (target, lookup) in left {
            if lookup.has_waited_long(self.until_ns(target, now_ns)) || !self.answers(target, &lookup) {
                self.looked_up(target, &lookup);
            }
        }
    }

    /// Other lookups were answered by the server of this one.
    fn answers(&self, target: usize, lookup: &ObservedLookup) -> bool {
        let conversation = lookup
            .flow()
            .and_then(|flow| self.conversations.get(&key(target, lookup.role, flow)));
        conversation.is_some_and(|conversation| conversation.made > 0)
    }

    /// A socket leaves CLOSE before it has a port; the next that is told of its connection, or of a packet of it, has one.
    fn learn_port(&mut self, event: &Event) {
        let flow = event.flow;
        if flow.protocol != TCP || flow.sport == 0 || flow.dport == 0 {
            return;
        }
        let own = self.index.of_socket(event);
        let known = self.index.of_flow(flow).or_else(|| self.index.of_flow(flow.reversed()));
        // A client may use its port again.
        if let Some(known) = known.filter(|(key, id)| !self.has_ended(*key, *id, event.at_ns)) {
            if let Some(own) = own {
                self.unite(own, known);
            }
            return;
        }
        if own.is_none() && event.sk != 0 && self.target_in(event.netns).is_some() {
            // A socket of a connection that was there before the window; no other has its port.
            return;
        }
        let found = own
            .map(|(key, id)| (key, id, flow))
            .or_else(|| self.portless(event.at_ns, flow))
            .or_else(|| self.portless(event.at_ns, flow.reversed()));
        let Some((key, id, flow)) = found else { return };
        // The socket's own view, or the packet's.
        let flow = if flow.dst() == key.server && flow.dport == key.port {
            flow
        } else {
            flow.reversed()
        };
        if let Some(connection) = self.connection(key, id).filter(|connection| connection.flow.sport == 0) {
            connection.flow = flow;
            self.index.learn_flow(flow, (key, id));
        }
    }

    /// What a target's socket is in the midst of tells that its connection was made, where that itself was not told.
    fn learn_made(&mut self, event: &Event) {
        let state = match event.seen {
            Seen::StateChange { old, .. } => old,
            Seen::Retransmit { state, .. } | Seen::ResetReceived { state } | Seen::ResetSent { state, .. } => state,
            _ => return,
        };
        let Some((key, id)) = self.index.of_socket(event).filter(|_| state.is_synchronized()) else {
            return;
        };
        let Some(conversation) = self.conversations.get_mut(&key) else {
            return;
        };
        let made = &mut conversation.made;
        if let Some(connection) = conversation.connections.get_mut(&id)
            && connection.connected_ns.is_none()
            && !connection.existed
        {
            connection.existed = true;
            *made += 1;
        }
    }

    /// Events of different probes come in no common order: what was told of a connection before its beginning was seemed to be of one
    /// that had been there before the window.
    fn unite(&mut self, (key, id): (Key, u64), (of, early): (Key, u64)) {
        let Some(conversation) = self.conversations.get_mut(&key).filter(|_| of == key && early != id) else {
            return;
        };
        let Some(own) = conversation.connections.get(&id).filter(|own| own.flow.sport == 0) else {
            return;
        };
        let just_began = own.started_ns..own.started_ns.saturating_add(OUT_OF_ORDER_NS);
        let is_early = |other: &ObservedConnection| other.existed && just_began.contains(&other.started_ns);
        if !conversation.connections.get(&early).is_some_and(is_early) {
            return;
        }
        let told = conversation.connections.remove(&early);
        if let Some((told, own)) = told.zip(conversation.connections.get_mut(&id)) {
            *own = ObservedConnection {
                started_ns: own.started_ns,
                existed: false,
                ..told
            };
            self.index.learn_flow(own.flow, (key, id));
        }
    }

    /// The latest connection of this tuple that was begun just before, and whose port is not known: its first packet. Later ones may
    /// be another's, that was begun before the window.
    fn portless(&self, at_ns: u64, flow: Flow) -> Option<(Key, u64, Flow)> {
        let target = self.target_at(flow.src())?;
        let key = key(target, TargetRole::Client, flow);
        let connections = &self.conversations.get(&key)?.connections;
        let mut waiting = connections.iter().rev().filter(|(_, connection)| {
            let began = connection.started_ns..connection.started_ns.saturating_add(FIRST_PACKET_NS);
            connection.flow.sport == 0 && began.contains(&at_ns)
        });
        waiting.next().map(|(id, _)| (key, *id, flow))
    }

    fn changed(&mut self, event: &Event, old: TcpState, new: TcpState) {
        let Some(target) = self.target_in(event.netns) else {
            return;
        };
        match (old, new) {
            (TcpState::Close, TcpState::SynSent) => {
                let key = key(target, TargetRole::Client, event.flow);
                if let Some(id) = self.begin(key, event.flow, event.at_ns) {
                    self.index.learn_socket(event, (key, id));
                }
            }
            (TcpState::SynSent, TcpState::Established) => self.made(event),
            (TcpState::SynRecv | TcpState::NewSynRecv, TcpState::Established) => self.accepted(event, target),
            (TcpState::Established, TcpState::FinWait1 | TcpState::CloseWait) => self.closing(event),
            (_, TcpState::Close | TcpState::TimeWait) => {
                self.closing(event);
                // Whatever was sent, was sent from a port.
                let had_no_port = old == TcpState::SynSent && event.flow.sport == 0;
                if let Some(connection) = self.met(event) {
                    connection.ended_ns = Some(event.at_ns);
                    if had_no_port && connection.flow.sport == 0 {
                        connection.errno.get_or_insert(EADDRNOTAVAIL);
                    }
                }
                self.index.forget_socket(event);
            }
            _ => {}
        }
    }

    /// One end closes a connection; what was exchanged until then is told.
    fn closing(&mut self, event: &Event) {
        if let Some(exchanged) = event.exchanged
            && let Some(connection) = self.met(event)
        {
            connection.exchanged.get_or_insert((exchanged, event.at_ns));
        }
    }

    fn resent(&mut self, event: &Event, state: TcpState) {
        let opening = matches!(state, TcpState::SynSent | TcpState::SynRecv | TcpState::NewSynRecv);
        if opening && self.whose(event).is_none() {
            // Another end asks a target, again.
            self.called(event);
        }
        let seq = event.packet.map_or(0, |packet| packet.seq);
        // Nothing else tells that it was made, nor when.
        let is_made = !opening && !self.told.changes;
        if let Some(connection) = self.met(event) {
            connection.resend(seq, event.at_ns);
            connection.existed |= is_made;
        }
    }

    fn made(&mut self, event: &Event) {
        let Some((key, id)) = self.index.of_socket(event) else {
            return;
        };
        let Some(conversation) = self.conversations.get_mut(&key) else {
            return;
        };
        conversation.made += 1;
        if let Some(connection) = conversation.connections.get_mut(&id) {
            connection.connected_ns = Some(event.at_ns);
            if self.connect_ns.len() < TIMES_MAX {
                self.connect_ns.push(event.at_ns.saturating_sub(connection.started_ns));
            }
        }
    }

    /// A target's kernel has made a connection that another end asked for.
    fn accepted(&mut self, event: &Event, target: usize) {
        let flow = event.flow.reversed();
        let key = key(target, TargetRole::Server, flow);
        // Both ends may be the target's own; then the client's view tells more. Or its first SYN was seen to be lost.
        let known = self.index.of_flow(flow);
        if known.is_some_and(|(own, _)| own.role == TargetRole::Client) {
            return;
        }
        let id = match known {
            Some((own, id)) if own == key && self.is_open(key, id) => Some(id),
            _ => self.begin(key, flow, event.at_ns),
        };
        let Some(id) = id else { return };
        self.index.learn_socket(event, (key, id));
        if let Some(conversation) = self.conversations.get_mut(&key) {
            conversation.made += 1;
            if let Some(connection) = conversation.connections.get_mut(&id) {
                connection.connected_ns = Some(event.at_ns);
            }
        }
    }

    /// It was there at that time, or began soon after: events of different probes come in no common order.
    fn is_of(&self, key: Key, id: u64, at_ns: u64) -> bool {
        let connection = self.conversations.get(&key).and_then(|own| own.connections.get(&id));
        connection.is_some_and(|connection| {
            let until_ns = connection.ended_ns.unwrap_or(u64::MAX);
            (connection.started_ns.saturating_sub(OUT_OF_ORDER_NS)..until_ns).contains(&at_ns)
        })
    }

    fn has_ended(&self, key: Key, id: u64, at_ns: u64) -> bool {
        let connection = self.conversations.get(&key).and_then(|own| own.connections.get(&id));
        connection.is_none_or(|connection| connection.ended_ns.is_some_and(|ended_ns| ended_ns < at_ns))
    }

    fn is_open(&self, key: Key, id: u64) -> bool {
        let connection = self.conversations.get(&key).and_then(|own| own.connections.get(&id));
        connection.is_some_and(|connection| connection.connected_ns.is_none() && connection.ended_ns.is_none())
    }

    fn reset(&mut self, event: &Event, reason: Option<String>, is_late: bool) {
        // One that was there before the window has a socket; of a port that nobody listens on the dropped packet tells.
        let found = match self.whose(event) {
            None if event.sk != 0 => self.older(event),
            found => found,
        };
        let Some((key, id, direction)) = found else { return };
        let by_client = direction == Direction::Request;
        if let Some(connection) = self.connection(key, id) {
            let reset = Reset {
                at_ns: event.at_ns,
                by_client,
                reason,
            };
            if is_late {
                connection.end_late_by(reset);
            } else {
                connection.end_by(reset);
            }
        }
    }

    fn dropped(&mut self, event: &Event) {
        let flags = event.packet.map_or(0, |packet| packet.tcp_flags & (SYN | ACK));
        let opens = flags == SYN && event.flow.protocol == TCP;
        if flags == SYN | ACK && event.flow.protocol == TCP {
            return self.unanswered(event);
        }
        if event.flow.protocol == UDP {
            return self.lost_datagram(event);
        }
        let known = self.whose(event);
        let class = class_of(event);
        // Segments that arrive after a connection's end find no socket, or are called invalid; nobody waits for them.
        let over = known.is_some_and(|(key, id, _)| self.connection(key, id).is_some_and(|known| known.is_over()));
        if !opens && (over || class == Some(Class::NoSocket)) {
            return;
        }
        let told =
            known.and_then(|(key, id, _)| self.connection(key, id).map(|own| own.has_lost(event.skb, event.at_ns)));
        if told == Some(true) {
            return;
        }
        let is_of_older = known.is_none_or(|(key, id, _)| !self.is_open(key, id) && key.role == TargetRole::Server);
        let found = match known {
            // A client that uses its port again begins anew.
            _ if opens && is_of_older => self.called(event),
            Some((key, id, _)) => Some((key, id)),
            None => self.older(event).map(|(key, id, _)| (key, id)),
        };
        let Some((key, id)) = found else { return };
        let refused = opens && class == Some(Class::NoSocket);
        if let Some(connection) = self.connection(key, id) {
            connection.lose(event.skb, event.at_ns);
            if refused {
                connection.errno = Some(111);
            }
            // When a client's socket was closed its own kernel tells: the clock of the server's node may be another.
            if refused && key.role == TargetRole::Server {
                connection.ended_ns = Some(event.at_ns);
            }
        }
    }

    /// Somebody asked a target for a connection, and the packet that did was lost or refused.
    fn called(&mut self, event: &Event) -> Option<(Key, u64)> {
        self.called_by(event.flow, event.at_ns)
    }

    fn called_by(&mut self, request: Flow, at_ns: u64) -> Option<(Key, u64)> {
        // Of what a target asks for its socket tells, where anything is told of sockets.
        let asks = self.target_at(request.src()).filter(|_| !self.told.changes);
        let (target, role) = match asks {
            Some(target) => (target, TargetRole::Client),
            None => (self.target_at(request.dst())?, TargetRole::Server),
        };
        let key = key(target, role, request);
        let id = self.begin(key, request, at_ns)?;
        Some((key, id))
    }

    /// A request for a connection arrived at a target whose listener is watched.
    fn knocked(&mut self, event: &Event) {
        let flags = event.packet.map_or(0, |packet| packet.tcp_flags & (SYN | ACK));
        let arrived = flags == SYN && event.flow.protocol == TCP && self.target_in(event.netns).is_some();
        let known = self
            .whose(event)
            .filter(|(key, id, _)| key.role == TargetRole::Client || self.is_of(*key, *id, event.at_ns));
        if arrived && known.is_none() {
            self.called(event);
        }
    }

    /// A target's answer to a connection that is asked for was lost, or had to be sent again.
    fn unanswered(&mut self, event: &Event) {
        let request = event.flow.reversed();
        let known = self.whose(event).filter(|(key, id, _)| self.is_open(*key, *id));
        let is_own = self.target_at(event.flow.src()).is_some();
        let found = match known {
            Some((key, id, _)) => Some((key, id)),
            None if is_own => self.called_by(request, event.at_ns),
            None => None,
        };
        if let Some((key, id)) = found
            && let Some(connection) = self.connection(key, id)
        {
            if let Seen::Drop { .. } = event.seen {
                connection.lose(event.skb, event.at_ns);
            } else {
                connection.resent += 1;
                connection.last_resent_ns = event.at_ns;
            }
        }
    }

    /// A datagram was dropped, or found no room.
    fn lost_datagram(&mut self, event: &Event) {
        let to = event.flow.dst();
        let of_many = to.is_multicast() || to == IpAddr::V4(Ipv4Addr::BROADCAST);
        if event.flow.protocol != UDP || of_many {
            return;
        }
        if event.flow.sport == DNS || event.flow.dport == DNS {
            let nobody = class_of(event) == Some(Class::NoSocket);
            return self.lookups.lose(event, nobody);
        }
        let found = self.whose(event).or_else(|| self.older(event));
        // What comes after the asker has gone.
        let late = class_of(event) == Some(Class::NoSocket);
        if let Some((key, id, direction)) = found
            && !(late && direction == Direction::Answer)
            && let Some(connection) = self.connection(key, id)
        {
            match event.seen {
                Seen::ReceiveBufferFull { .. } => connection.overflowed += 1,
                _ => connection.lose(event.skb, event.at_ns),
            }
        }
    }

    /// A connection of a target that began before the window: which end the target is, its listeners tell.
    fn older(&mut self, event: &Event) -> Option<(Key, u64, Direction)> {
        let flow = event.flow;
        let (target, local) = match (self.target_at(flow.src()), self.target_at(flow.dst())) {
            (Some(target), _) => (target, flow),
            (None, Some(target)) => (target, flow.reversed()),
            (None, None) => return None,
        };
        if flow.sport == 0 || flow.dport == 0 {
            return None;
        }
        let end = &self.targets[target];
        let listens = end.sockets.iter().any(|socket| {
            let is_bound = socket.state == "LISTEN" || socket.state == "UNCONN";
            is_bound
                && socket.flow.protocol == flow.protocol
                && socket.flow.sport == local.sport
                && takes(socket, local.src())
        });
        let is_high = |port: u16| port >= EPHEMERAL;
        let serves = match flow.protocol {
            // Whoever sends without connecting is bound to his port as well; where ports do not tell, he who sends first asks.
            UDP if is_high(local.sport) == is_high(local.dport) => flow != local,
            UDP => is_high(local.dport),
            // A port that nobody listens on is a client's, unless the other end's is as high and this one is not.
            _ => listens || local.sport < local.dport.min(1_024),
        };
        let (role, from_client) = if serves {
            (TargetRole::Server, local.reversed())
        } else {
            (TargetRole::Client, local)
        };
        let key = key(target, role, from_client);
        let id = self.begin(key, from_client, event.at_ns)?;
        let conversation = self.conversations.get_mut(&key)?;
        conversation.tried = conversation.tried.saturating_sub(u32::from(flow.protocol == TCP));
        conversation.connections.get_mut(&id)?.existed = true;
        let direction = if flow == from_client {
            Direction::Request
        } else {
            Direction::Answer
        };
        Some((key, id, direction))
    }

    fn asked(&mut self, event: &Event) {
        if self.target_in(event.netns).is_none() {
            return;
        }
        for (target, lookup) in self.lookups.take(event) {
            self.looked_up(target, &lookup);
        }
    }

    fn looked_up(&mut self, target: usize, lookup: &ObservedLookup) {
        let Some(flow) = lookup.flow() else { return };
        let key = key(target, lookup.role, flow);
        let Some(conversation) = self.room_for(key) else {
            return;
        };
        conversation.look_up(lookup);
        if lookup.role == TargetRole::Client && self.lookup_ns.len() < TIMES_MAX {
            self.lookup_ns.extend(lookup.answered_after_ns());
        }
    }

    /// A new connection of a conversation; `None` where there is no room.
    fn begin(&mut self, key: Key, flow: Flow, at_ns: u64) -> Option<u64> {
        self.next += 1;
        let id = self.next;
        let conversation = self.room_for(key)?;
        conversation.tried += 1;
        let connection = ObservedConnection {
            flow,
            role: key.role,
            started_ns: at_ns,
            ..ObservedConnection::default()
        };
        conversation.connections.insert(id, connection);
        for gone in conversation.make_room(at_ns) {
            self.index.forget_flow(gone.flow);
        }
        if flow.sport != 0 {
            self.index.learn_flow(flow, (key, id));
        }
        Some(id)
    }

    fn room_for(&mut self, key: Key) -> Option<&mut Conversation> {
        if self.conversations.len() >= CONVERSATIONS_MAX && !self.conversations.contains_key(&key) {
            self.left_out += 1;
            return None;
        }
        Some(self.conversations.entry(key).or_default())
    }

    fn connection(&mut self, key: Key, id: u64) -> Option<&mut ObservedConnection> {
        self.conversations.get_mut(&key)?.connections.get_mut(&id)
    }

    /// The connection of an event at a socket, in the target's own namespace or elsewhere on its way.
    fn met(&mut self, event: &Event) -> Option<&mut ObservedConnection> {
        let (key, id, _) = self.whose(event).or_else(|| self.older(event))?;
        self.connection(key, id)
    }

    fn target_in(&self, netns: u32) -> Option<usize> {
        self.targets.iter().position(|target| target.netns == netns)
    }

    fn target_at(&self, address: IpAddr) -> Option<usize> {
        self.targets
            .iter()
            .position(|target| target.addresses.contains(&address))
    }
}

fn key(target: usize, role: TargetRole, flow: Flow) -> Key {
    Key {
        target,
        role,
        client: flow.src(),
        server: flow.dst(),
        port: flow.dport,
        protocol: flow.protocol,
    }
}

fn until_ns(targets: &[TargetEnd], target: usize, now_ns: u64) -> u64 {
    let end = targets.get(target);
    end.and_then(|end| end.until_ns).unwrap_or(now_ns)
}
