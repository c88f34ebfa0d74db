//! The options of a diagnosis of one end: which, how long, and how many of the conversations that suffer are followed.

use super::site_options::SiteOptions;
use crate::exit::WrongUsage;
use crate::inquiry::durations;
use crate::inquiry::known_ends::KnownEnds;
use crate::inquiry::named_end::{NamedEnd, NamedPlace};
use crate::kubernetes::capture_scope::NODES_MAX;
use crate::one_end::OneEndQuestion;
use crate::render::Format;
use crate::site::Site;
use anyhow::Result;
use clap::Args;
use model::evidence::{Intent, Limits};
use std::path::PathBuf;
use std::time::Duration;

/// How long it watches, unless `--for` says.
const LENGTH: Duration = Duration::from_secs(10);
/// How long it waits for a fault, unless `--for` says.
const UNTIL_FAULT: Duration = Duration::from_mins(10);
/// How long events of healthy conversations are kept.
const KEPT: Duration = Duration::from_secs(30);
/// How long they are kept while it waits for a fault: hardly anything else is kept then.
const KEPT_WAITING: Duration = Duration::from_secs(2);
/// Conversations that are followed, unless more are asked for.
const WORST: usize = 5;
/// The most that can be asked for: each costs some time for every packet of the node.
const WORST_MAX: usize = 50;

/// One end, and how to look at it.
#[derive(Debug, Args)]
pub struct OneEndOptions {
    /// What to look at.
    #[arg(help = "What to look at: [KIND/][NAMESPACE/]NAME. With --local: netns/NAME, pid/N, container/ID or host")]
    target: String,
    #[command(flatten)]
    how: OneEndLook,
}

/// A namespace, and how to look at it.
#[derive(Debug, Args)]
pub struct NamespaceOptions {
    /// The namespace [default: the one of the context, or of -n]
    target: Option<String>,
    #[command(flatten)]
    how: OneEndLook,
}

/// How to look at one end, and how to print the answer.
#[derive(Debug, Args)]
struct OneEndLook {
    /// Watch for this time, such as 30s or 10m [default: 10s]
    #[arg(long = "for", value_name = "TIME", value_parser = durations::parse)]
    length: Option<Duration>,
    /// Wait for the first fault, then say why. Without --for it waits 10m
    #[arg(long)]
    until_fault: bool,
    /// Keep all events of this time before a fault as evidence, also those of other conversations
    #[arg(long, value_name = "TIME", value_parser = durations::parse, requires = "until_fault")]
    keep_last: Option<Duration>,
    /// Follow this many conversations to their other end: those that suffer most
    #[arg(long, value_name = "N", default_value_t = WORST)]
    worst: usize,
    /// Show every cause in full, not the first three
    #[arg(long)]
    all: bool,
    /// Call a connection slow if it takes longer than this, and a lookup if it takes longer than ten times this [default: 100ms]
    #[arg(long, value_name = "TIME", value_parser = durations::limit)]
    slow: Option<Duration>,
    /// Refuse to look at more nodes than this
    #[arg(long, value_name = "N", default_value_t = NODES_MAX)]
    max_nodes: usize,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// Keep what the rules were given in a file, as JSON: one question for each conversation
    #[arg(long, value_name = "FILE", hide = true)]
    evidence: Option<PathBuf>,
    #[command(flatten)]
    place: SiteOptions,
}

/// The options after they were checked, with defaults filled in.
#[derive(Debug)]
pub struct OneEndAsked {
    target: NamedEnd,
    text: String,
    intent: Option<Intent>,
    length: Duration,
    until_fault: bool,
    keep_last: Duration,
    worst: usize,
    limits: Limits,
    max_nodes: usize,
    /// Every cause in full.
    pub all: bool,
    /// How to print the answer.
    pub output: Format,
    /// Where to keep what the rules were given.
    pub evidence: Option<PathBuf>,
    /// Where to look.
    pub place: SiteOptions,
}

impl OneEndOptions {
    /// Checks the options. Without an intent, the intent follows from what the target is.
    pub fn asked(self, intent: Option<Intent>) -> Result<OneEndAsked> {
        let target = self.how.place.grammar().source(&self.target)?;
        self.how.asked(target, self.target, intent)
    }
}

impl NamespaceOptions {
    /// Checks the options.
    pub fn asked(self) -> Result<OneEndAsked> {
        // A namespace is written by its name alone.
        let text = self.target.unwrap_or_default();
        let target = NamedEnd {
            place: NamedPlace::Name(text.clone()),
            port: None,
            port_name: None,
        };
        self.how.asked(target, text, Some(Intent::Namespace))
    }
}

impl OneEndLook {
    fn asked(self, target: NamedEnd, text: String, intent: Option<Intent>) -> Result<OneEndAsked> {
        if self.worst == 0 || self.worst > WORST_MAX {
            return Err(WrongUsage::error(format!(
                "--worst {} cannot be meant; use 1 to {WORST_MAX}",
                self.worst
            )));
        }
        let limits = self.slow.map_or_else(Limits::default, |slow| {
            let slow_ms = slow.as_millis() as u64;
            Limits {
                slow_ms,
                dns_slow_ms: slow_ms * 10,
            }
        });
        Ok(OneEndAsked {
            target,
            text,
            intent,
            length: self
                .length
                .unwrap_or(if self.until_fault { UNTIL_FAULT } else { LENGTH }),
            until_fault: self.until_fault,
            keep_last: self
                .keep_last
                .unwrap_or(if self.until_fault { KEPT_WAITING } else { KEPT }),
            worst: self.worst,
            limits,
            max_nodes: self.max_nodes,
            all: self.all,
            output: self.output,
            evidence: self.evidence,
            place: self.place,
        })
    }
}

impl OneEndAsked {
    /// What the site knows of the target, and the question, in which nothing is open any more.
    pub async fn ends(&self, site: &Site) -> Result<(OneEndQuestion, KnownEnds)> {
        let (intent, ends) = site
            .one_end(&self.target, &self.text, self.intent, self.max_nodes)
            .await?;
        let question = OneEndQuestion {
            intent,
            length: self.length,
            until_fault: self.until_fault,
            keep_last: self.keep_last,
            worst: self.worst,
            limits: self.limits,
        };
        Ok((question, ends))
    }
}
