//! What an attempt is to the loop that runs all of one source: it starts, does what it can, says what it waits for.

use super::WorkerReport;
use crate::system::clock::monotonic_ns;
use model::attempt::{Attempt, Outcome};
use model::flow::Flow;
use nix::poll::PollFlags;
use std::os::fd::BorrowedFd;

/// Where attempts say what they met.
pub type Say<'a> = &'a mut dyn FnMut(WorkerReport);

/// An attempt under way. Its sockets do not block.
pub trait Task {
    /// The tuples it will use, known since it was made.
    fn flows(&self) -> Vec<Flow>;
    /// Its time has come. `now_ns` here and below is `CLOCK_MONOTONIC`.
    fn start(&mut self, now_ns: u64, say: Say);
    /// Does all it can without waiting. Called after every wait of the loop, whoever was meant.
    fn advance(&mut self, now_ns: u64, say: Say);
    /// What it waits for now.
    fn waits_for(&self) -> Wait<'_>;
    /// The window closes: reports what is unfinished.
    fn cancel(&mut self, now_ns: u64, say: Say);
    /// A tuple that it announced is watched now.
    fn watched(&mut self, _flow: &Flow) {}
}

/// What an attempt waits for: any of these sockets, or a moment of `CLOCK_MONOTONIC`.
#[derive(Default)]
pub struct Wait<'a> {
    /// Sockets, and for what.
    pub sockets: Vec<(BorrowedFd<'a>, PollFlags)>,
    /// The moment; `None` for none.
    pub until_ns: Option<u64>,
}

impl<'a> Wait<'a> {
    /// For one socket, or a moment.
    pub fn socket(fd: BorrowedFd<'a>, flags: PollFlags, until_ns: Option<u64>) -> Self {
        Self {
            sockets: vec![(fd, flags)],
            until_ns,
        }
    }
}

/// The result of an attempt while it grows.
pub struct Course {
    /// What is known so far.
    pub attempt: Attempt,
    stage: Stage,
}

#[derive(Clone, Copy, PartialEq)]
enum Stage {
    Planned,
    Running,
    Over,
}

impl Course {
    /// An attempt that is planned and has not begun.
    pub fn new(id: u32, kind: &str) -> Self {
        Self {
            attempt: Attempt {
                id,
                kind: kind.into(),
                ..Attempt::default()
            },
            stage: Stage::Planned,
        }
    }

    /// Begins the attempt at this time.
    pub fn start(&mut self, now_ns: u64) {
        self.attempt.started_ns = now_ns;
        self.stage = Stage::Running;
    }

    /// Whether it has begun and not ended.
    pub fn runs(&self) -> bool {
        self.stage == Stage::Running
    }

    /// Whether it has ended.
    pub fn is_over(&self) -> bool {
        self.stage == Stage::Over
    }

    /// Nanoseconds since it began, by the clock: on one machine an answer is there before the round of the loop ends
    /// in which the question was sent.
    pub fn elapsed_ns(&self) -> u64 {
        monotonic_ns().saturating_sub(self.attempt.started_ns)
    }

    /// Ends it with an outcome, and reports it.
    pub fn finish(&mut self, outcome: Outcome, say: Say) {
        self.finish_after(self.elapsed_ns(), outcome, say);
    }

    /// Ends it with an outcome that came after `took_ns` nanoseconds, and reports it.
    pub fn finish_after(&mut self, took_ns: u64, outcome: Outcome, say: Say) {
        self.stage = Stage::Over;
        self.attempt.took_ns = took_ns;
        self.attempt.outcome = outcome;
        say(WorkerReport::Attempt(self.attempt.clone()));
    }

    /// The window closes: what runs ends with `outcome`, what has not begun never will.
    pub fn cancel(&mut self, now_ns: u64, outcome: Outcome, say: Say) {
        match self.stage {
            Stage::Planned => {
                self.start(now_ns);
                self.finish(Outcome::Cancelled, say);
            }
            Stage::Running => self.finish(outcome, say),
            Stage::Over => {}
        }
    }
}
