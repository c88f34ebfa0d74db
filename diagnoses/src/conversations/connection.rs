//! One connection (or the datagrams between two ports) as the kernel at one end of it saw it, and what became of it.

use super::key::TargetRole;
use super::unread::Unread;
use model::attempt::{Attempt, Outcome};
use model::errno::Errno;
use model::event::Exchanged;
use model::flow::{Flow, TCP};

/// Whoever waits for longer has lost a packet: the first segment is sent again after a second (RFC 6298, 2.1), or what asks
/// has its own limit.
const PATIENCE_NS: u64 = 900_000_000;
/// Two programs that tell of the same drop run one after the other.
const SAME_DROP_NS: u64 = 500_000;
/// Within this a refusal comes from the sender's own kernel, or from next to it.
const AT_ONCE_NS: u64 = 20_000_000;
/// Whoever waits for an answer waits for at least so long.
const IN_VAIN_NS: u64 = 400_000_000;
/// A segment that was sent again so often in vain does not get through; it takes more than a second.
const STUCK: u32 = 3;
const ECONNREFUSED: u16 = 111;
const ECONNRESET: u16 = 104;
const EPIPE: u16 = 32;
/// The kernel's word (`enum sk_rst_reason`, Linux 6.10) for a socket that was closed with data in it that nobody had read.
const UNREAD: &str = "TCP_ABORT_ON_CLOSE";

/// A reset of a connection.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reset {
    /// When, `CLOCK_MONOTONIC` nanoseconds.
    pub at_ns: u64,
    /// The client sent it; else the server, or whoever speaks for it.
    pub by_client: bool,
    /// Why, in the kernel's word; `None` where it was not told.
    pub reason: Option<String>,
}

/// One connection, or the datagrams between two ports.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ObservedConnection {
    /// From client to server, as the target's namespace knows it.
    pub flow: Flow,
    /// When it was begun; where that was not seen, when it was met first.
    pub started_ns: u64,
    /// Which end the target is.
    pub role: TargetRole,
    /// It was made, and when was not told: mostly before the window.
    pub existed: bool,
    /// When it was made.
    pub connected_ns: Option<u64>,
    /// When its socket was closed.
    pub ended_ns: Option<u64>,
    /// The socket's error, where it got one before it was made, or by which it ended.
    pub errno: Option<u16>,
    /// How it was reset.
    pub reset: Option<Reset>,
    /// A reset that came when its own end had closed it, or nothing but data that came too late: the kernel tells of both alike.
    pub late_reset: Option<Reset>,
    /// What it had exchanged when one end closed it, where the kernel told; and when that was.
    pub exchanged: Option<(Exchanged, u64)>,
    /// Segments that were sent again.
    pub resent: u32,
    /// The sequence number of the last of them, and how often in a row it was that one.
    pub again: (u32, u32),
    /// The most often that one segment was sent again.
    pub stuck: u32,
    /// When one was sent again last.
    pub last_resent_ns: u64,
    /// Its packets that were dropped.
    pub dropped: u32,
    /// The last of them: its skb, and when it was dropped. Two programs may tell of one.
    pub last_dropped: (u64, u64),
    /// Nobody knows whether it was made: not all changes of sockets were told.
    pub is_unsure: bool,
    /// Datagrams for which a socket had no room; newer kernels tell of each as dropped, too.
    pub overflowed: u32,
    /// What the target's program left unread.
    pub unread: Unread,
}

impl ObservedConnection {
    /// It was reset. The first reset ended it; another tells at most why.
    pub fn end_by(&mut self, reset: Reset) {
        let explains = |first: &Reset| first.by_client == reset.by_client && first.reason.is_none();
        if self.reset.as_ref().is_none_or(explains) {
            self.reset = Some(reset);
        }
    }

    /// It was reset after its own end had closed it. Only a program that still reads is told of an error, and only then was it a reset.
    pub fn end_late_by(&mut self, reset: Reset) {
        self.late_reset.get_or_insert(reset);
        self.settle_late_reset();
    }

    /// Its socket got an error that its program is told of.
    pub fn fail(&mut self, errno: u16) {
        self.errno.get_or_insert(errno);
        self.settle_late_reset();
    }

    fn settle_late_reset(&mut self) {
        if matches!(self.errno, Some(ECONNRESET | EPIPE))
            && let Some(reset) = self.late_reset.take()
        {
            self.end_by(reset);
        }
    }

    /// A segment was sent again.
    pub fn resend(&mut self, seq: u32, at_ns: u64) {
        self.resent += 1;
        self.last_resent_ns = at_ns;
        self.again = if self.again.0 == seq {
            (seq, self.again.1 + 1)
        } else {
            (seq, 1)
        };
        self.stuck = self.stuck.max(self.again.1);
    }

    /// One of its packets was dropped.
    pub fn lose(&mut self, skb: u64, at_ns: u64) {
        if !self.has_lost(skb, at_ns) {
            self.dropped += 1;
        }
        self.last_dropped = (skb, at_ns);
    }

    /// Its first packet was lost each time it was sent, as far as that was told: whatever its socket came to, it was not made.
    #[must_use]
    pub fn is_lost_to_the_last(&self) -> bool {
        let (_, dropped_ns) = self.last_dropped;
        self.dropped > 0 && dropped_ns.saturating_add(AT_ONCE_NS) >= self.last_resent_ns
    }

    /// This drop was told already.
    #[must_use]
    pub fn has_lost(&self, skb: u64, at_ns: u64) -> bool {
        let (known, known_at_ns) = self.last_dropped;
        skb != 0 && known == skb && at_ns.abs_diff(known_at_ns) <= SAME_DROP_NS
    }

    /// What became of it until now.
    #[must_use]
    pub fn outcome(&self, now_ns: u64) -> Outcome {
        if self.flow.protocol != TCP {
            return match self.errno {
                Some(number) => error("send", number),
                None => Outcome::Ok,
            };
        }
        if self.connected_ns.is_none() && !self.existed {
            return self.not_made(now_ns);
        }
        match &self.reset {
            Some(reset)
                if !reset.by_client
                    && (reset.reason.as_deref() == Some(UNREAD)
                        || self.is_unanswered()
                        || self.is_turned_away(reset)) =>
            {
                reset_outcome()
            }
            _ if self.stuck >= STUCK => Outcome::TimedOut { during: "send".into() },
            // Whether a request was lost by it, its packets alone tell.
            Some(_) => Outcome::Cancelled,
            None => Outcome::Ok,
        }
    }

    fn not_made(&self, now_ns: u64) -> Outcome {
        if let Some(number) = self.errno {
            return error("connect", number);
        }
        if self.is_unsure {
            return Outcome::Cancelled;
        }
        if self.reset.is_some() {
            return error("connect", ECONNREFUSED);
        }
        // This kernel's own rules refuse at once, and nothing else ends an attempt whose first packet was lost as soon.
        if self.is_refused_at_once() {
            return error("connect", ECONNREFUSED);
        }
        if self.waited_ns(now_ns) >= PATIENCE_NS {
            return Outcome::TimedOut {
                during: "connect".into(),
            };
        }
        Outcome::Cancelled
    }

    /// One end sent something and closed the connection later on, and the other one said nothing. That may be all that they have to
    /// say to each other; or somebody waited in vain.
    #[must_use]
    pub fn is_one_sided(&self) -> bool {
        let (Some((_, at_ns)), Some(connected_ns)) = (self.exchanged, self.connected_ns) else {
            return false;
        };
        self.is_unanswered() && at_ns.saturating_sub(connected_ns) >= IN_VAIN_NS
    }

    /// The client sent something, and nothing came back.
    fn is_unanswered(&self) -> bool {
        let (asked, answered) = self.bytes();
        asked > 0 && answered == 0
    }

    /// The client was reset as soon as it had its connection, before it had anything to say or wanted it closed.
    fn is_turned_away(&self, reset: &Reset) -> bool {
        let (Some((_, closing_ns)), Some(connected_ns)) = (self.exchanged, self.connected_ns) else {
            return false;
        };
        self.role == TargetRole::Client
            && self.bytes() == (0, 0)
            && closing_ns >= reset.at_ns
            && reset.at_ns.saturating_sub(connected_ns) < PATIENCE_NS
    }

    /// The server has said nothing on it.
    #[must_use]
    pub fn is_unserved(&self) -> bool {
        self.bytes().1 == 0
    }

    /// Bytes from the client, and from the server.
    fn bytes(&self) -> (u32, u32) {
        let exchanged = self.exchanged.map(|(exchanged, _)| exchanged).unwrap_or_default();
        match self.role {
            TargetRole::Client => (exchanged.sent_bytes, exchanged.received_bytes),
            TargetRole::Server => (exchanged.received_bytes, exchanged.sent_bytes),
        }
    }

    /// It did not do what it was made for.
    #[must_use]
    pub fn failed(&self, now_ns: u64) -> bool {
        matches!(self.outcome(now_ns), Outcome::Error { .. } | Outcome::TimedOut { .. })
    }

    /// Refused before it was made.
    #[must_use]
    pub fn refused(&self) -> bool {
        if self.flow.protocol != TCP {
            return self.errno == Some(ECONNREFUSED);
        }
        let told = self.errno == Some(ECONNREFUSED) || self.reset.is_some();
        self.connected_ns.is_none() && !self.existed && (told || self.is_refused_at_once())
    }

    /// Its first packet was dropped, and its socket closed at once.
    fn is_refused_at_once(&self) -> bool {
        let ended_ns = self.ended_ns.unwrap_or(u64::MAX);
        self.dropped > 0 && self.errno.is_none() && ended_ns.saturating_sub(self.started_ns) < AT_ONCE_NS
    }

    /// How long it took to be made, or was waited for in vain.
    #[must_use]
    pub fn waited_ns(&self, now_ns: u64) -> u64 {
        let until_ns = self.connected_ns.or(self.ended_ns).unwrap_or(now_ns);
        until_ns.saturating_sub(self.started_ns)
    }

    /// Nothing more is to be expected of it.
    #[must_use]
    pub fn is_over(&self) -> bool {
        self.ended_ns.is_some()
    }

    /// It as an attempt, as if it had been made to find out.
    #[must_use]
    pub fn attempt(&self, id: u32, now_ns: u64) -> Attempt {
        let (sent, received) = self.bytes();
        Attempt {
            sent_bytes: sent.into(),
            received_bytes: received.into(),
            acknowledged_bytes: (self.exchanged.is_some() && self.resent == 0).then_some(sent.into()),
            id,
            kind: if self.flow.protocol == TCP { "tcp" } else { "udp" }.to_owned(),
            flow: self.flow,
            started_ns: self.started_ns,
            took_ns: self.ended_ns.unwrap_or(now_ns).saturating_sub(self.started_ns),
            outcome: self.outcome(now_ns),
            connected_ns: match self.connected_ns {
                Some(at_ns) => Some(at_ns.saturating_sub(self.started_ns)),
                None => self.existed.then_some(0),
            },
            ..Attempt::default()
        }
    }
}

/// It was reset while somebody had use for it.
pub fn reset_outcome() -> Outcome {
    error("read", ECONNRESET)
}

fn error(during: &str, number: u16) -> Outcome {
    Outcome::Error {
        during: during.into(),
        errno: Errno::of(number),
    }
}
