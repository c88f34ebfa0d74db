//! What each kind of event tells of the connection that it belongs to.

use super::{ConversationTable, key};
use crate::conversations::connection::Reset;
use crate::conversations::key::TargetRole;
use crate::conversations::lookup::ObservedLookup;
use crate::kernel::drops::{Class, class_of};
use model::event::{Event, Seen, TcpState};
use model::flow::{ACK, SYN, TCP, UDP};
use model::report::Direction;
use std::net::{IpAddr, Ipv4Addr};

/// Times that are kept for a percentile.
const TIMES_MAX: usize = 10_000;
/// No port is left for a connection, or the address is not the machine's.
const EADDRNOTAVAIL: u16 = 99;
/// The port of name servers, whose messages are read one by one.
const DNS: u16 = 53;

impl ConversationTable {
    pub(super) fn changed(&mut self, event: &Event, old: TcpState, new: TcpState) {
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

    pub(super) fn resent(&mut self, event: &Event, state: TcpState) {
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

    pub(super) fn reset(&mut self, event: &Event, reason: Option<String>, is_late: bool) {
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

    pub(super) fn dropped(&mut self, event: &Event) {
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

    /// A request for a connection arrived at a target whose listener is watched.
    pub(super) fn knocked(&mut self, event: &Event) {
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
    pub(super) fn unanswered(&mut self, event: &Event) {
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
    pub(super) fn lost_datagram(&mut self, event: &Event) {
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

    pub(super) fn asked(&mut self, event: &Event) {
        if self.target_in(event.netns).is_none() {
            return;
        }
        for (target, lookup) in self.lookups.take(event) {
            self.looked_up(target, &lookup);
        }
    }

    pub(super) fn looked_up(&mut self, target: usize, lookup: &ObservedLookup) {
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
}
