//! A session with the helpers of all nodes: requests go to one or all, then replies are applied until a condition holds.

use super::helper_conversation::HelperConversation;
use super::link::{HelperLink, LinkEvent};
use super::looks::Looks;
use super::state::ConversationState;
use crate::interrupt::Interrupt;
use crate::render::progress::ProgressLine;
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
/// How long all that is read after a window may take, whatever helpers say meanwhile.
const AFTERWARDS: Duration = Duration::from_secs(12);

/// Why waiting ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WaitEnd {
    /// What was waited for holds.
    Met,
    /// Time is up.
    Bound,
    /// The user wants it to end.
    Interrupted,
    /// No further reply will come from any helper.
    Cut,
}

/// What is waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Waiting {
    /// Replies, unless the user wants it to end.
    ForReplies,
    /// Replies, whatever the user wants.
    Whatever,
    /// The next look.
    ForLook,
}

/// A conversation.
#[derive(Debug)]
pub struct Session {
    /// One for each node of the state, in its order.
    links: Vec<HelperLink>,
    interrupt: Interrupt,
    /// What is shown while it goes on.
    pub progress: ProgressLine,
    /// What all replies have come to.
    pub state: ConversationState,
    /// When it is looked at that while more comes.
    pub looks: Looks,
    numbers: u32,
    /// When waiting ends at the latest, of what is read after a window.
    deadline: Option<Instant>,
    /// The node that is polled first next time: one that sends much delays no other.
    turn: usize,
}

impl Session {
    /// Begins one with the helpers of these nodes. A node without a name gets the one that its helper gives.
    pub fn begin(links: Vec<(String, HelperLink)>, interrupt: Interrupt, progress: ProgressLine) -> Self {
        let (names, links): (Vec<String>, Vec<HelperLink>) = links.into_iter().unzip();
        let mut state = ConversationState::of(names);
        for (node, link) in state.nodes.iter_mut().zip(&links) {
            node.dismissed = link.is_recorded();
        }
        let mut session = Self {
            links,
            interrupt,
            progress,
            state,
            looks: Looks::Now(None),
            numbers: 0,
            deadline: None,
            turn: 0,
        };
        session.ask_all(&Request::Hello { version: VERSION });
        session
    }

    /// Takes in helpers of further nodes while the others go on. The places of those nodes among all.
    pub fn join(&mut self, links: Vec<(String, HelperLink)>) -> Vec<usize> {
        let mut joined = Vec::new();
        // Those that were started only now have their time.
        if self.deadline.is_some() {
            self.end_window();
        }
        for (name, link) in links {
            let node = self.state.join(name);
            self.state.nodes[node].dismissed = link.is_recorded();
            self.links.push(link);
            self.ask_at(node, Request::Hello { version: VERSION });
            joined.push(node);
        }
        joined
    }

    /// Asks the helper of one node.
    pub fn ask_at(&mut self, node: usize, request: Request) {
        if let (Some(link), Some(helper)) = (self.links.get(node), self.state.nodes.get_mut(node)) {
            helper.dismissed |= request == Request::Bye;
            link.ask(self.state.kernels.outward(node, request));
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

    /// What tells that the user wants it to end.
    pub fn interrupt(&self) -> Interrupt {
        self.interrupt.clone()
    }

    /// The window that the user wanted to end has ended: what is read after it is read in order. A second wish ends the program.
    pub fn go_on(&mut self) {
        self.interrupt = Interrupt::never();
        self.end_window();
    }

    /// A window is about to be opened: what is waited for has its own bounds.
    pub fn begin_window(&mut self) {
        self.deadline = None;
    }

    /// The window was closed: all that is read after it comes soon, or is missing.
    pub fn end_window(&mut self) {
        self.deadline = Some(Instant::now() + AFTERWARDS);
    }

    /// The user wants it to end.
    pub fn interrupted(&self) -> bool {
        self.interrupt.asked()
    }

    /// Nodes whose helper answered and has not gone.
    pub fn living(&self) -> Vec<usize> {
        let living = |node: &HelperConversation| node.hello.is_some() && !node.over();
        let nodes = self.state.nodes.iter().enumerate();
        nodes.filter(|(_, node)| living(node)).map(|(at, _)| at).collect()
    }

    /// The living nodes but one.
    pub fn living_besides(&self, node: usize) -> Vec<usize> {
        self.living().into_iter().filter(|other| *other != node).collect()
    }

    /// Waits for the tuples of what was planned at a node under this number.
    pub async fn planned(&mut self, node: usize, id: u32) {
        let holds = |state: &mut ConversationState| {
            let node = &state.nodes[node];
            node.planned.contains(&id) || node.has_failed("plan") || node.over()
        };
        self.until(Some(Instant::now() + STEP), holds).await;
    }

    /// Waits until every helper has greeted or is over. A helper of another version counts as none.
    pub async fn hello(&mut self) -> Result<()> {
        let ended = self.until(None, |state| state.all(|node| node.hello.is_some())).await;
        for node in 0..self.links.len() {
            let other = match &self.state.nodes[node].hello {
                Some(hello) if hello.version != VERSION => hello.version,
                _ => continue,
            };
            let why = format!("the helper speaks version {other} of the protocol and this client version {VERSION}");
            let missing = Missing::new("what the helper sees", why).remedy("use the helper built with this client");
            self.state.cut(node, missing);
        }
        if ended == WaitEnd::Interrupted {
            return Err(anyhow!("waiting for the helper was ended by Ctrl-C"));
        }
        if !self.links.is_empty() && self.living().is_empty() {
            let missing = self.state.why_cut().cloned().unwrap_or_default();
            let remedy = if missing.remedy.is_empty() {
                "run it again with -v to see its own messages"
            } else {
                &missing.remedy
            };
            return Err(anyhow!("the helper could not be spoken to: {}; {remedy}", missing.why));
        }
        Ok(())
    }

    /// Applies replies until `holds`, or waiting ends for another reason. `holds` is asked again at least every tick.
    pub async fn until(
        &mut self,
        bound: Option<Instant>,
        holds: impl FnMut(&mut ConversationState) -> bool,
    ) -> WaitEnd {
        self.listen(bound, Waiting::ForReplies, holds).await
    }

    /// Waits for the next look: until that time; in a replay, until all is taken in that had been taken in at that look.
    pub async fn until_look(&mut self, then: Instant) -> WaitEnd {
        // In a replay the time does not decide.
        let bound = self.looks.next().is_none().then_some(then);
        self.listen(bound, Waiting::ForLook, |_| false).await
    }

    /// Looks, this long after the window was opened. Returns how long it was in the run itself: in a replay, what was recorded.
    pub fn look(&mut self, elapsed: Duration) -> Duration {
        self.looks.look(&self.state, elapsed)
    }

    /// Waits like `until`, whatever the user presses and for a bounded time: to put things in order.
    pub async fn finish(&mut self, holds: impl FnMut(&mut ConversationState) -> bool) -> WaitEnd {
        self.listen(Some(Instant::now() + ORDER), Waiting::Whatever, holds)
            .await
    }

    /// Closes a window at all nodes. Where one does not report what it came to, that is missing.
    pub async fn close(&mut self, id: u32) {
        self.ask_all(&Request::Stop { id });
        let closed = |node: &HelperConversation| node.stopped == Some(id) || node.has_failed("stop");
        self.finish(|state| state.all(closed)).await;
        for node in 0..self.state.nodes.len() {
            let helper = &self.state.nodes[node];
            // That one is gone is noted already.
            if !helper.open.is_empty() && !closed(helper) && !helper.over() {
                self.state.not_closed(node);
            }
        }
    }

    /// Closes windows that are open at one node each.
    pub async fn close_each(&mut self, windows: &[(usize, u32)]) {
        for (node, id) in windows {
            self.ask_at(*node, Request::Stop { id: *id });
        }
        let closed = |state: &ConversationState, (node, id): &(usize, u32)| {
            let helper = &state.nodes[*node];
            !helper.open.contains(id) || helper.has_failed("stop")
        };
        let gone = |state: &ConversationState, (node, _): &(usize, u32)| state.nodes[*node].over();
        self.finish(|state| {
            windows
                .iter()
                .all(|window| closed(state, window) || gone(state, window))
        })
        .await;
        for window in windows {
            if !closed(&self.state, window) && !gone(&self.state, window) {
                self.state.not_closed(window.0);
            }
        }
    }

    /// Tells all helpers to go, and waits for their last words. One that does not say it has not told that this was all.
    pub async fn dismiss(&mut self) {
        self.ask_all(&Request::Bye);
        self.deadline = None;
        self.finish(|state| state.all(|node| node.done)).await;
        for node in self.living() {
            self.state.not_ended(node, ORDER);
        }
    }

    /// Waits for an answer without which there is nothing to look at.
    pub async fn need(&mut self, what: &str, holds: impl Fn(&ConversationState) -> bool) -> Result<()> {
        match self.until(Some(Instant::now() + STEP), |state| holds(state)).await {
            WaitEnd::Met => Ok(()),
            WaitEnd::Bound => Err(anyhow!(
                "{what} took more than {} s; run it again with -v",
                STEP.as_secs()
            )),
            WaitEnd::Interrupted => Err(anyhow!("{what} was ended by Ctrl-C")),
            WaitEnd::Cut => {
                let why = self
                    .state
                    .why_cut()
                    .map_or("it ended early", |missing| missing.why.as_str());
                Err(anyhow!("{what} failed: {why}"))
            }
        }
    }

    async fn listen(
        &mut self,
        bound: Option<Instant>,
        waiting: Waiting,
        mut holds: impl FnMut(&mut ConversationState) -> bool,
    ) -> WaitEnd {
        let bound = bound.map(|bound| self.deadline.map_or(bound, |deadline| bound.min(deadline)));
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            if holds(&mut self.state) {
                return WaitEnd::Met;
            }
            if self.state.over() {
                return WaitEnd::Cut;
            }
            if self.looks.is_reached(&self.state) {
                if waiting == Waiting::ForLook {
                    return WaitEnd::Bound;
                }
                self.looks.pass_by();
                continue;
            }
            if bound.is_some_and(|bound| Instant::now() >= bound) {
                return WaitEnd::Bound;
            }
            if waiting != Waiting::Whatever && self.interrupt.asked() {
                return WaitEnd::Interrupted;
            }
            tokio::select! {
                (node, received) = next(&mut self.links, &self.state, &self.looks, self.turn) => {
                    self.turn = (node + 1) % self.links.len();
                    match received {
                        LinkEvent::Reply(reply, room) => self.state.take(node, reply, room.bytes),
                        LinkEvent::Reached => {}
                        LinkEvent::Stage(stage) => self.progress.node(&self.state.evidence.nodes[node].name, stage),
                        LinkEvent::Cut(missing) => self.state.cut(node, missing),
                    }
                }
                // The user's wish and the bound are looked at with every tick, too.
                _ = tick.tick() => self.progress.redraw(),
            }
        }
    }
}

/// The next event of any node's link. Until all have greeted, those that have are not polled any further: their replies can be
/// translated only when all kernels are known.
async fn next(links: &mut [HelperLink], state: &ConversationState, looks: &Looks, turn: usize) -> (usize, LinkEvent) {
    let greeted = |node: &HelperConversation| node.hello.is_some();
    let all_greeted = state
        .nodes
        .iter()
        .all(|node| greeted(node) || node.over() || node.joined);
    std::future::poll_fn(|task| {
        let count = links.len();
        for at in (0..count).map(|step| (turn + step) % count) {
            let node = &state.nodes[at];
            if node.over() || (!all_greeted && greeted(node)) || looks.holds_back(state, at) {
                continue;
            }
            if let Poll::Ready(received) = links[at].poll_next(task) {
                return Poll::Ready((at, received));
            }
        }
        Poll::Pending
    })
    .await
}
