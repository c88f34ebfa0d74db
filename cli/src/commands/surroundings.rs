//! What surrounds the end that a question is about, by the site: its peers by the cluster's API or the machine, and helpers on
//! further nodes.

use crate::conversation::link::HelperLink;
use crate::inquiry::known_ends::KnownEnds;
use crate::interrupt::Interrupt;
use crate::kubernetes::conversation_ends;
use crate::one_end::Surroundings;
use crate::recording::{Note, Recorder};
use crate::site::{Beginning, Site};
use anyhow::{Context as _, Result};
use diagnoses::conversations::{Key, TargetRole};
use model::endpoint::{Endpoint, EndpointKind};
use std::cell::RefCell;
use std::collections::VecDeque;
use std::time::Duration;

/// A site, and what its helpers are started with.
#[derive(Debug)]
pub struct SiteSurroundings<'a> {
    site: &'a Site,
    /// The user's wish to end it.
    interrupt: Interrupt,
    /// Keeps the helpers' lines, and what the API says.
    recorder: Option<Recorder>,
    /// What a recording has of what the API said, as it was asked; nothing where that failed.
    recorded: RefCell<VecDeque<Option<KnownEnds>>>,
}

impl<'a> SiteSurroundings<'a> {
    /// The surroundings that this site has.
    pub fn of(site: &'a Site, interrupt: Interrupt, recorder: Option<Recorder>) -> Result<Self> {
        Ok(Self {
            site,
            interrupt,
            recorder,
            recorded: RefCell::new(site.notes(Note::Ends)?.unwrap_or_default()),
        })
    }
}

impl Surroundings for SiteSurroundings<'_> {
    async fn ends(&self, target: &Endpoint, key: &Key) -> Result<KnownEnds> {
        if let Some(cluster) = self.site.cluster_of() {
            let ends = conversation_ends::of(cluster, target, key).await;
            if let Some(recorder) = &self.recorder {
                recorder.note(Note::Ends, &ends.as_ref().ok());
            }
            return ends;
        }
        if let Some(recorded) = self.recorded.borrow_mut().pop_front() {
            return recorded.context("the API did not answer when this was recorded");
        }
        let peer = |address: std::net::IpAddr| Endpoint {
            asked: address.to_string(),
            kind: EndpointKind::Address,
            addresses: vec![address],
            ..Endpoint::default()
        };
        let (source, destination) = match key.role {
            TargetRole::Client => (target.clone(), peer(key.server)),
            TargetRole::Server => (peer(key.client), target.clone()),
        };
        Ok(KnownEnds {
            source,
            destination,
            ..KnownEnds::default()
        })
    }

    fn helpers(&self, ends: &KnownEnds, nodes: Vec<String>, left: Duration) -> Result<Vec<(String, HelperLink)>> {
        let ends = KnownEnds {
            nodes,
            inventory: ends.inventory.clone(),
            ..KnownEnds::default()
        };
        self.site.helpers(&Beginning {
            ends: &ends,
            window: left,
            recorder: self.recorder.as_ref(),
            interrupt: &self.interrupt,
        })
    }
}
