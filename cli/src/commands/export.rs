//! `export`: numbers to where people keep them, for as long as the window is open.

use super::numbers_look::{READING_PROBES, known_probes, rounds};
use super::scope_options::ScopeOptions;
use super::site_options::{SiteOptions, block_on, check};
use super::{CliCommand, CommandContext};
use crate::capture::filter::CaptureFilter;
use crate::capture::window::CaptureWindow;
use crate::conversation::numbers::Since;
use crate::conversation::state::ConversationState;
use crate::exit::{Exit, WrongUsage};
use crate::export::metric_set::MetricSet;
use crate::export::sinks::{Destination, ExportSinks};
use crate::inquiry::durations;
use crate::numbers::{NumbersPlace, PlaceNames};
use crate::render::{self, note};
use anyhow::{Result, anyhow};
use clap::Args;
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::time::Instant;

/// Give numbers to monitoring while the window is open
///
/// Without a target, it reads the pods of the current namespace. With --local, it reads every network namespace of the machine. Nothing is installed: when the window ends, all is gone.
#[derive(Debug, Args)]
#[command(
    name = "export",
    after_help = "Examples:
  # All numbers of this machine into a file, anew every 5 s, for the textfile collector of an agent
  sudo kubectl-skoop export --local --for 5m --interval 5s --to openmetrics=skoop.prom"
)]
pub struct ExportCommand {
    #[command(flatten)]
    scope: ScopeOptions,
    /// Where to; may be repeated. openmetrics=FILE: the last reading as OpenMetrics text
    #[arg(id = "sinks", long = "to", value_name = "SINK=PLACE", value_parser = Destination::parse, required = true)]
    to: Vec<Destination>,
    /// Look for this time, such as 5m or 1h [default: until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = durations::parse)]
    length: Option<Duration>,
    /// How often numbers are read
    #[arg(long, value_name = "TIME", value_parser = durations::parse, default_value = "10s")]
    interval: Duration,
    /// Use only these probes, separated by commas (`probes` lists them) [default: all that read]
    #[arg(long = "probe", value_name = "LIST", value_delimiter = ',')]
    probes: Vec<String>,
    /// Let no more samples out of one reading than this; what is left out is counted
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    max_series: usize,
    #[command(flatten)]
    place: SiteOptions,
}

/// Without an end in sight, helpers go after this.
const OPEN_ENDED: Duration = Duration::from_hours(1);
/// More often nothing could be read off.
const SHORTEST: Duration = Duration::from_millis(500);

impl CliCommand for ExportCommand {
    const NAME: &'static str = "export";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        if self.interval < SHORTEST {
            return Err(WrongUsage::error(
                "--interval is shorter than 500ms, in which little can be seen; make it longer",
            ));
        }
        block_on(self.export(context))
    }
}

impl ExportCommand {
    async fn export(&self, context: &CommandContext) -> Result<Exit> {
        let site = self.place.site(context).await?;
        let filter = CaptureFilter {
            interval_ms: u32::try_from(self.interval.as_millis()).unwrap_or(u32::MAX),
            ..CaptureFilter::default()
        };
        let (wanted, ends) = self.scope.of(&site, filter, &[]).await?;
        let longest = self.length.unwrap_or(OPEN_ENDED);
        if let Some(jobs) = self.place.dry_run(&site, &ends, longest)? {
            render::manifests(&jobs)?;
            return Ok(Exit::Fine);
        }
        let sinks = ExportSinks::start(&self.to)?;
        let (mut session, recording) = self.place.begin(context, &site, &ends, longest)?;
        wanted.ask(&mut session);
        session.hello().await?;
        let hello = session.state.nodes.iter().find_map(|node| node.hello.clone());
        let mut probes = self.probes.clone();
        if probes.is_empty() {
            probes = READING_PROBES.iter().map(|probe| (*probe).to_owned()).collect();
        }
        known_probes(&probes, &hello.unwrap_or_default())?;
        check(context, &site, &session)?;
        let endpoints = wanted.resolved(&mut session).await?;
        let names = PlaceNames::of(wanted.inventory.as_ref());
        let window = CaptureWindow::open(&mut session, &wanted, &endpoints, &probes).await?;
        let bound = self.length.map(|length| Instant::now() + length);
        let mut told = 0;
        session
            .until(bound, |state| {
                told = self.tell(state, &names, &sinks, told);
                false
            })
            .await;
        window.close(&mut session).await;
        self.tell(&session.state, &names, &sinks, told);
        session.dismiss().await;
        sinks.finish().await;
        let places = session.state.numbers.places();
        let unread = places.flat_map(|(_, _, place)| &place.missing);
        let unread: BTreeSet<String> = unread
            .map(|missing| format!("not read: {}: {}", missing.what, missing.reason()))
            .collect();
        unread.iter().for_each(|line| note(line));
        let cuts: Vec<String> = session
            .state
            .gaps()
            .map(|missing| format!("{}: {}", missing.what, missing.reason()))
            .collect();
        if !cuts.is_empty() {
            return Err(anyhow!("the export is not whole: {}", cuts.join("; ")));
        }
        Ok(recording.end(Exit::Fine))
    }

    /// Gives all sinks the last reading, unless it is this one, which they have. The number of the one they have then.
    fn tell(&self, state: &ConversationState, names: &PlaceNames, sinks: &ExportSinks, told: u64) -> u64 {
        let complete = rounds(state);
        if complete <= told {
            return told;
        }
        let mut places = NumbersPlace::all(state, names, Since::Previous);
        // What a node said before it went is not what it is now.
        let gone = |name: &str| {
            let node = state.named(name).and_then(|node| state.nodes.get(node));
            node.is_none_or(|node| node.cut)
        };
        places.retain(|place| !gone(&place.node));
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        let now = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        let mut set = MetricSet::with_room(now, self.max_series);
        set.add_places(&places);
        set.settle();
        sinks.add_counts(&mut set);
        sinks.reading(&Arc::new(set));
        complete
    }
}
