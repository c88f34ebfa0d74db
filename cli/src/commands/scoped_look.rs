//! How a command with a scope begins: what is wanted, helpers that have greeted, and the places as their kernels know them.

use super::CommandContext;
use super::scope_options::ScopeOptions;
use super::site_options::{SiteOptions, check};
use crate::capture::filter::{CaptureFilter, ResolvedEndpoint};
use crate::conversation::session::Session;
use crate::inquiry::known_ends::KnownEnds;
use crate::recording::OpenRecording;
use crate::render;
use crate::site::Site;
use anyhow::Result;
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
pub struct ScopedLook {
    /// The conversation with them.
    pub session: Session,
    /// What they say, where it is kept.
    pub recording: OpenRecording,
    /// What is let through.
    pub wanted: CaptureFilter,
    /// What the first of them can do: all are of one build.
    pub hello: Hello,
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
    pub async fn begin(self, context: &CommandContext, site: &Site) -> Result<ScopedLook> {
        let (mut session, recording) = self.place.begin(context, site, &self.ends, self.longest)?;
        self.wanted.ask(&mut session);
        session.hello().await?;
        let hello = session.state.nodes.iter().find_map(|node| node.hello.clone());
        Ok(ScopedLook {
            session,
            recording,
            wanted: self.wanted,
            hello: hello.unwrap_or_default(),
        })
    }
}

impl ScopedLook {
    /// The places that are wanted, as the kernels know them; an error where helpers may not look into the kernel.
    pub async fn endpoints(&mut self, context: &CommandContext, site: &Site) -> Result<Vec<ResolvedEndpoint>> {
        check(context, site, &self.session)?;
        self.wanted.resolved(&mut self.session).await
    }
}
