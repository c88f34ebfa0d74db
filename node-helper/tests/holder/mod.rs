//! A program that holds packets of a network namespace as long as the test says.
#![allow(dead_code, reason = "each test file uses what it needs")]
#![allow(clippy::unwrap_used, reason = "a test that cannot be set up has failed")]

use crate::bed::NetnsBed;
use crate::counted::{Waited, now_ns, timed, until_ns};
use nfq::{Message, Queue, Verdict};
use std::io::ErrorKind;

/// How long each is held.
pub const HELD_NS: u64 = 60_000_000;
/// How often it is looked for a packet, and for how long.
const TICK_NS: u64 = 100_000;
pub const PATIENCE_NS: u64 = 5_000_000_000;

/// A program that holds packets of a chain of a namespace until it is dropped.
pub struct Holder<'a> {
    lab: &'a NetnsBed,
    name: &'static str,
    rule: String,
    queue: Queue,
}

impl<'a> Holder<'a> {
    pub fn new(lab: &'a NetnsBed, name: &'static str, chain_and_match: &str) -> Self {
        let queue = lab.inside(name, || {
            let mut queue = Queue::open().unwrap();
            queue.bind(7).unwrap();
            queue.set_copy_range(7, 0).unwrap();
            queue.set_nonblocking(true);
            queue
        });
        let rule = format!("{chain_and_match} -j NFQUEUE --queue-num 7");
        lab.run(name, &format!("iptables-legacy -w -t mangle -A {rule}"));
        Self { lab, name, rule, queue }
    }

    /// The next packet, if one comes until then.
    pub fn next(&mut self, until: u64) -> Option<Message> {
        loop {
            match self.queue.recv() {
                Ok(message) => return Some(message),
                Err(error) if error.kind() == ErrorKind::WouldBlock && now_ns() < until => {
                    until_ns(now_ns() + TICK_NS);
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => return None,
                Err(error) => panic!("{error}"),
            }
        }
    }

    pub fn let_go(&mut self, mut message: Message) {
        message.set_verdict(Verdict::Accept);
        self.queue.verdict(message).unwrap();
    }

    /// Takes the next packet, which was sent then or later, and lets it go when it has been held.
    pub fn hold(&mut self, sent_ns: u64) -> Waited {
        let message = self.next(now_ns() + PATIENCE_NS).expect("a packet");
        let taken_ns = now_ns();
        until_ns(taken_ns + HELD_NS);
        let (read, ()) = timed(|| self.let_go(message));
        Waited {
            sent: (sent_ns, taken_ns),
            read,
        }
    }

    /// Takes no more.
    pub fn end(self) {
        self.lab
            .run(self.name, &format!("iptables-legacy -w -t mangle -D {}", self.rule));
    }
}
