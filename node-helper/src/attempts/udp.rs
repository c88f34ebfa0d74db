//! A datagram: sent, and then waited for an answer or for the ICMP error that refuses it.

use super::socket::{self, Reserved};
use super::task::{Course, Say, Task, Wait};
use model::attempt::Outcome;
use model::flow::{Flow, UDP};
use nix::poll::PollFlags;
use std::io::{self, Read as _};
use std::net::SocketAddr;
use std::os::fd::AsFd as _;

/// A datagram under way.
pub struct Udp {
    to: SocketAddr,
    payload: Vec<u8>,
    timeout_ns: u64,
    reserved: io::Result<Reserved>,
    course: Course,
}

impl Udp {
    /// Reserves its source port.
    pub fn new(mut course: Course, to: SocketAddr, payload: Vec<u8>, timeout_ns: u64) -> Self {
        let reserved = socket::reserve(socket2::Type::DGRAM, to);
        if let Ok(Reserved { source, .. }) = &reserved {
            course.attempt.flow = Flow::new(UDP, *source, to);
        }
        Self {
            to,
            payload,
            timeout_ns,
            reserved,
            course,
        }
    }

    fn send(&mut self) -> Result<(), Outcome> {
        let Reserved { socket, .. } = self
            .reserved
            .as_ref()
            .map_err(|error| socket::refused("socket", error))?;
        socket::connect(socket, self.to).map_err(|error| socket::refused("connect", &error))?;
        if let Ok(source) = socket::local(socket) {
            self.course.attempt.flow = Flow::new(UDP, source, self.to);
        }
        socket
            .send(&self.payload)
            .map_err(|error| socket::refused("send", &error))?;
        self.course.attempt.sent_bytes = self.payload.len() as u64;
        Ok(())
    }

    /// The answer or the refusal, where one has come.
    fn receive(&mut self) -> Option<Outcome> {
        let Ok(Reserved { socket, .. }) = &self.reserved else {
            return None;
        };
        let since = self.course.elapsed_ns();
        let attempt = &mut self.course.attempt;
        let mut answer = vec![0; 65_536];
        match (&mut &*socket).read(&mut answer) {
            Ok(bytes) => {
                attempt.received_bytes = bytes as u64;
                attempt.first_answer_ns = Some(since);
                Some(Outcome::Ok)
            }
            Err(error) if socket::not_yet(&error) => {
                socket::queued_refusal(socket, &mut attempt.icmp).map(|error| socket::refused("read", &error))
            }
            Err(error) => {
                // Only now: to drain the queue also clears the socket's error.
                socket::drain_icmp(socket, &mut attempt.icmp);
                Some(socket::refused("read", &error))
            }
        }
    }

    fn ends_ns(&self) -> u64 {
        self.course.attempt.started_ns + self.timeout_ns
    }
}

impl Task for Udp {
    fn flows(&self) -> Vec<Flow> {
        self.reserved.iter().map(|_| self.course.attempt.flow).collect()
    }

    fn start(&mut self, now_ns: u64, say: Say) {
        self.course.start(now_ns);
        if let Err(outcome) = self.send() {
            self.course.finish(outcome, say);
        }
    }

    fn advance(&mut self, now_ns: u64, say: Say) {
        if !self.course.runs() {
            return;
        }
        if let Some(outcome) = self.receive() {
            self.course.finish(outcome, say);
        } else if now_ns >= self.ends_ns() {
            // A datagram needs no answer: it was sent, and nobody refused it.
            self.course.finish(Outcome::Ok, say);
        }
    }

    fn waits_for(&self) -> Wait<'_> {
        match &self.reserved {
            Ok(Reserved { socket, .. }) if self.course.runs() => {
                Wait::socket(socket.as_fd(), PollFlags::POLLIN, Some(self.ends_ns()))
            }
            _ => Wait::default(),
        }
    }

    fn cancel(&mut self, now_ns: u64, say: Say) {
        self.course.cancel(now_ns, Outcome::Ok, say);
    }
}
