//! How a command with a scope begins: what is wanted, helpers that have greeted, and a window that is open at all of them.

use super::CommandContext;
use super::scope_options::ScopeOptions;
use super::site_options::{SiteOptions, check};
use crate::capture::filter::{CaptureFilter, ResolvedEndpoint};
use crate::capture::window::CaptureWindow;
use crate::conversation::session::Session;
use crate::conversation::state::ConversationState;
use crate::inquiry::known_ends::KnownEnds;
use crate::recording::OpenRecording;
use crate::render;
use crate::site::Site;
use anyhow::{Result, anyhow};
use model::missing::Missing;
use model::protocol::Hello;
use std::time::Duration;

/// What is wanted of a site, before anything is started there.
pub struct PlannedLook<'a> {
    place: &'a SiteOptions,
    wanted: CaptureFilter,
    ends: KnownEnds,
    longest: Duration,
}

/// Helpers that have greeted.
pub struct GreetedLook {
    session: Session,
    recording: OpenRecording,
    wanted: CaptureFilter,
    /// What the first of them can do: all are of one build.
    pub hello: Hello,
}

/// Helpers that look.
pub struct OpenLook {
    /// The conversation with them.
    pub session: Session,
    /// What they say, where it is kept.
    pub recording: OpenRecording,
    /// What is let through.
    pub wanted: CaptureFilter,
    /// The places that are wanted, as the kernels know them.
    pub endpoints: Vec<ResolvedEndpoint>,
    /// What was opened at them.
    pub window: CaptureWindow,
}

impl<'a> PlannedLook<'a> {
    /// What of a site is wanted, for at most so long. With --dry-run it prints what would be started, and there is nothing more to do.
    pub async fn of(
        site: &Site,
        scope: &ScopeOptions,
        place: &'a SiteOptions,
        fixed: CaptureFilter,
        further: &[String],
        longest: Duration,
    ) -> Result<Option<Self>> {
        let (wanted, ends) = scope.of(site, fixed, further).await?;
        if let Some(jobs) = place.dry_run(site, &ends, longest)? {
            render::manifests(&jobs)?;
            return Ok(None);
        }
        Ok(Some(Self {
            place,
            wanted,
            ends,
            longest,
        }))
    }

    /// Starts the helpers, and asks each for what is wanted of it.
    pub async fn begin(self, context: &CommandContext, site: &Site) -> Result<GreetedLook> {
        let (mut session, recording) = self.place.begin(context, site, &self.ends, self.longest)?;
        self.wanted.ask(&mut session);
        session.hello().await?;
        let hello = session.state.nodes.iter().find_map(|node| node.hello.clone());
        Ok(GreetedLook {
            session,
            recording,
            wanted: self.wanted,
            hello: hello.unwrap_or_default(),
        })
    }
}

impl GreetedLook {
    /// Opens a window of these probes at every node that has a wanted place; an error where helpers may not look into the kernel.
    pub async fn open(mut self, context: &CommandContext, site: &Site, probes: &[String]) -> Result<OpenLook> {
        check(context, site, &self.session)?;
        let endpoints = self.wanted.resolved(&mut self.session).await?;
        let window = CaptureWindow::open(&mut self.session, &self.wanted, &endpoints, probes).await?;
        Ok(OpenLook {
            session: self.session,
            recording: self.recording,
            wanted: self.wanted,
            endpoints,
            window,
        })
    }
}

/// An error where something of what was asked for was not seen.
pub fn check_whole(state: &ConversationState, what: &str) -> Result<()> {
    let several = state.nodes.len() > 1;
    let gaps: Vec<String> = state.gaps().map(|missing| of_node(missing, several)).collect();
    match gaps.as_slice() {
        [] => Ok(()),
        gaps => Err(anyhow!("{what} is not whole: {}", gaps.join("; "))),
    }
}

/// What was not seen, where, and why.
fn of_node(missing: &Missing, several: bool) -> String {
    let node = missing.node.as_ref().filter(|_| several);
    let on = node.map_or_else(String::new, |node| format!(" on {node}"));
    format!("{}{on}: {}", missing.what, missing.reason())
}
