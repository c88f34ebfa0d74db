//! A conversation with one helper: ask, then take in what it says until something holds.

use crate::interrupt::Interrupt;
use crate::look::Look;
use crate::render::progress::Progress;
use crate::site::{Heard, Link};
use anyhow::{Result, anyhow};
use model::protocol::{Hello, Request, VERSION};
use std::time::Duration;
use tokio::time::{Instant, MissedTickBehavior};

/// A helper that is there answers its first question within this time.
const HELLO: Duration = Duration::from_secs(10);
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
    /// The helper will say nothing more.
    Cut,
}

/// A conversation.
#[derive(Debug)]
pub struct Session {
    link: Link,
    interrupt: Interrupt,
    /// What is shown while it goes on.
    pub progress: Progress,
    /// What was said.
    pub look: Look,
    numbers: u32,
}

impl Session {
    /// Begins one.
    pub fn begin(link: Link, interrupt: Interrupt, progress: Progress) -> Self {
        let session = Self {
            link,
            interrupt,
            progress,
            look: Look::default(),
            numbers: 0,
        };
        session.ask(Request::Hello { version: VERSION });
        session
    }

    /// Asks.
    pub fn ask(&self, request: Request) {
        self.link.ask(request);
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

    /// Who the helper is.
    pub async fn hello(&mut self) -> Result<Hello> {
        self.until(Some(Instant::now() + HELLO), |look| look.hello.is_some())
            .await;
        let Some(hello) = self.look.hello.clone() else {
            let why = self
                .look
                .node()
                .truncated
                .as_ref()
                .map_or("it did not answer", |missing| missing.why.as_str());
            return Err(anyhow!(
                "the helper could not be spoken to: {why}; run it again with -v to see its own messages"
            ));
        };
        if hello.version != VERSION {
            return Err(anyhow!(
                "the helper speaks version {} of the protocol and this client version {VERSION}; use the helper built with this client",
                hello.version
            ));
        }
        Ok(hello)
    }

    /// Takes in what is said until `holds`, or waiting ends for another reason. It is asked again at least every tick.
    pub async fn until(&mut self, bound: Option<Instant>, holds: impl FnMut(&mut Look) -> bool) -> Ended {
        self.listen(bound, true, holds).await
    }

    /// The same, whatever the user presses: for putting things in order.
    pub async fn finish(&mut self, holds: impl FnMut(&mut Look) -> bool) -> Ended {
        self.listen(Some(Instant::now() + ORDER), false, holds).await
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
                let truncated = self.look.node().truncated.as_ref();
                let why = truncated.map_or("it ended early", |missing| missing.why.as_str());
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
            if self.look.cut || self.look.done {
                return Ended::Cut;
            }
            if bound.is_some_and(|bound| Instant::now() >= bound) {
                return Ended::Bound;
            }
            if mind_user && self.interrupt.asked() {
                return Ended::Interrupted;
            }
            tokio::select! {
                heard = self.link.next() => match heard {
                    Heard::Said(reply) => self.look.take(reply),
                    Heard::Cut(missing) => self.look.cut(missing),
                },
                // The user's wish and the bound are looked at with every tick, too.
                _ = tick.tick() => self.progress.redraw(),
            }
        }
    }
}
