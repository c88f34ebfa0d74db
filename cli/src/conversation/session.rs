//! A conversation with the helpers of all nodes: ask one or all, then take in what they say until something holds.

use super::link::{Heard, Link};
use super::state::{Look, Talk};
use crate::interrupt::Interrupt;
use crate::render::progress::Progress;
use anyhow::{Result, anyhow};
use model::missing::Missing;
use model::protocol::{Request, VERSION};
use std::task::Poll;
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// A helper that reads facts or attaches probes for longer than this is stuck.
pub const STEP: Duration = Duration::from_secs(20);
/// How long waiting goes on, at most, without looking at the clock and at the user.
const TICK: Duration = Duration::from_millis(20);
/// How long putting things in order may take.
const ORDER: Duration = Duration::from_secs(5);

/// Why waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ended {
    /// What was waited for holds.
    Met,
    /// Time is up.
    Bound,
    /// The user wants it to end.
    Interrupted,
    /// No helper will say anything more.
    Cut,
}

/// A conversation.
#[derive(Debug)]
pub struct Session {
    /// One for each node of the look, in its order.
    links: Vec<Link>,
    interrupt: Interrupt,
    /// What is shown while it goes on.
    pub progress: Progress,
    /// What was said.
    pub look: Look,
    numbers: u32,
    /// The node that is listened to first next time: a talkative one silences no other.
    turn: usize,
}

impl Session {
    /// Begins one with the helpers of these nodes. A node without a name gets the one its helper tells.
    pub fn begin(links: Vec<(String, Link)>, interrupt: Interrupt, progress: Progress) -> Self {
        let (names, links): (Vec<String>, Vec<Link>) = links.into_iter().unzip();
        let mut look = Look::of(names);
        for (node, link) in look.nodes.iter_mut().zip(&links) {
            node.dismissed = link.is_recorded();
        }
        let mut session = Self {
            links,
            interrupt,
            progress,
            look,
            numbers: 0,
            turn: 0,
        };
        session.ask_all(&Request::Hello { version: VERSION });
        session
    }

    /// Asks the helper of one node.
    pub fn ask_at(&mut self, node: usize, request: Request) {
        if let (Some(link), Some(talk)) = (self.links.get(node), self.look.nodes.get_mut(node)) {
            talk.dismissed |= request == Request::Bye;
            link.ask(self.look.kernels.outward(node, request));
        }
    }

    /// Asks every helper.
    pub fn ask_all(&mut self, request: &Request) {
        for node in 0..self.links.len() {
            self.ask_at(node, request.clone());
        }
    }

    /// A number no other request of this conversation has.
    pub fn number(&mut self) -> u32 {
        self.numbers += 1;
        self.numbers
    }

    /// The user wants it to end.
    pub fn interrupted(&self) -> bool {
        self.interrupt.asked()
    }

    /// Nodes whose helper answered and has not gone.
    pub fn living(&self) -> Vec<usize> {
        let living = |node: &Talk| node.hello.is_some() && !node.over();
        let nodes = self.look.nodes.iter().enumerate();
        nodes.filter(|(_, node)| living(node)).map(|(at, _)| at).collect()
    }

    /// Waits until every helper has said who it is, or that it cannot. A helper of another version is no helper.
    pub async fn hello(&mut self) -> Result<()> {
        let ended = self.until(None, |look| look.all(|node| node.hello.is_some())).await;
        for node in 0..self.links.len() {
            let other = match &self.look.nodes[node].hello {
                Some(hello) if hello.version != VERSION => hello.version,
                _ => continue,
            };
            let why = format!("the helper speaks version {other} of the protocol and this client version {VERSION}");
            let missing = Missing::new("what the helper sees", why).remedy("use the helper built with this client");
            self.look.cut(node, missing);
        }
        if ended == Ended::Interrupted {
            return Err(anyhow!("waiting for the helper was ended by Ctrl-C"));
        }
        if !self.links.is_empty() && self.living().is_empty() {
            let missing = self.look.why_cut().cloned().unwrap_or_default();
            let remedy = if missing.remedy.is_empty() {
                "run it again with -v to see its own messages"
            } else {
                &missing.remedy
            };
            return Err(anyhow!("the helper could not be spoken to: {}; {remedy}", missing.why));
        }
        Ok(())
    }

    /// Takes in what is said until `holds`, or waiting ends for another reason. It is asked again at least every tick.
    pub async fn until(&mut self, bound: Option<Instant>, holds: impl FnMut(&mut Look) -> bool) -> Ended {
        self.listen(bound, true, holds).await
    }

    /// The same, whatever the user presses: for putting things in order.
    pub async fn finish(&mut self, holds: impl FnMut(&mut Look) -> bool) -> Ended {
        self.listen(Some(Instant::now() + ORDER), false, holds).await
    }

    /// Closes a window at all nodes. Where one does not say what it came to, that is missing.
    pub async fn close(&mut self, id: u32) {
        self.ask_all(&Request::Stop { id });
        let closed = |node: &Talk| node.stopped == Some(id) || node.has_failed("stop");
        self.finish(|look| look.all(closed)).await;
        for node in 0..self.look.nodes.len() {
            let talk = &self.look.nodes[node];
            // One that is gone has said so itself.
            if !talk.open.is_empty() && !closed(talk) && !talk.over() {
                self.look.not_closed(node);
            }
        }
    }

    /// Tells all helpers to go, and waits for their last words. One that does not say it has not told that this was all.
    pub async fn dismiss(&mut self) {
        self.ask_all(&Request::Bye);
        self.finish(|look| look.all(|node| node.done)).await;
        for node in self.living() {
            self.look.not_ended(node, ORDER);
        }
    }

    /// Waits for an answer without which there is nothing to look at.
    pub async fn need(&mut self, what: &str, holds: impl Fn(&Look) -> bool) -> Result<()> {
        match self.until(Some(Instant::now() + STEP), |look| holds(look)).await {
            Ended::Met => Ok(()),
            Ended::Bound => Err(anyhow!(
                "{what} took more than {} s; run it again with -v",
                STEP.as_secs()
            )),
            Ended::Interrupted => Err(anyhow!("{what} was ended by Ctrl-C")),
            Ended::Cut => {
                let why = self
                    .look
                    .why_cut()
                    .map_or("it ended early", |missing| missing.why.as_str());
                Err(anyhow!("{what} failed: {why}"))
            }
        }
    }

    async fn listen(
        &mut self,
        bound: Option<Instant>,
        mind_user: bool,
        mut holds: impl FnMut(&mut Look) -> bool,
    ) -> Ended {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if holds(&mut self.look) {
                return Ended::Met;
            }
            if self.look.over() {
                return Ended::Cut;
            }
            if bound.is_some_and(|bound| Instant::now() >= bound) {
                return Ended::Bound;
            }
            if mind_user && self.interrupt.asked() {
                return Ended::Interrupted;
            }
            tokio::select! {
                (node, heard) = next(&mut self.links, &self.look, self.turn) => {
                    self.turn = (node + 1) % self.links.len();
                    match heard {
                        Heard::Said(reply, room) => self.look.take(node, reply, room.bytes),
                        Heard::Reached => {}
                        Heard::Stage(stage) => self.progress.node(&self.look.evidence.nodes[node].name, stage),
                        Heard::Cut(missing) => self.look.cut(node, missing),
                    }
                }
                // The user's wish and the bound are looked at with every tick, too.
                _ = tick.tick() => self.progress.redraw(),
            }
        }
    }
}

/// The next word of any node. Until all have said who they are, those that have are not listened to any further: what they
/// say is understood only beside the others.
async fn next(links: &mut [Link], look: &Look, turn: usize) -> (usize, Heard) {
    let greeted = |node: &Talk| node.hello.is_some();
    let all_greeted = look.nodes.iter().all(|node| greeted(node) || node.over());
    std::future::poll_fn(|task| {
        let count = links.len();
        for at in (0..count).map(|step| (turn + step) % count) {
            let node = &look.nodes[at];
            if node.over() || (!all_greeted && greeted(node)) {
                continue;
            }
            if let Poll::Ready(heard) = links[at].poll_next(task) {
                return Poll::Ready((at, heard));
            }
        }
        Poll::Pending
    })
    .await
}
