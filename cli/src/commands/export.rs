//! `export`: numbers and events to where people keep them, for as long as the window is open.

use super::numbers_look::{check_interval, interval_ms, known_probes, late, late_reading, rounds};
use super::probe_costs::{ONLY_WHEN_ASKED, say_costs};
use super::scope_options::{OPEN_ENDED, ScopeOptions};
use super::scoped_look::{OpenLook, PlannedLook, check_whole};
use super::sink_options::SinkArguments;
use super::site_options::{SiteOptions, block_on};
use super::{CliCommand, CommandContext};
use crate::capture::event_order::EventOrder;
use crate::capture::filter::CaptureFilter;
use crate::conversation::numbers::Since;
use crate::exit::Exit;
use crate::export::feed::ExportFeed;
use crate::export::metric_names::MetricNaming;
use crate::inquiry::durations;
use crate::kubernetes::new_pods::NewPods;
use crate::numbers::PlaceNames;
use crate::render::{EventJson, note};
use anyhow::Result;
use clap::Args;
use diagnoses::words;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;
use tokio::time::Instant;

/// Give numbers and events to monitoring while the window is open
///
/// Without a target, it reads the pods of the current namespace. With --local, it reads every network namespace of the machine. Nothing is installed, and nothing keeps running when the window ends.
#[derive(Debug, Args)]
#[command(
    name = "export",
    after_help = "Examples:
  # All numbers of this machine into a file, written again every 5 s, for the textfile collector of an agent
  sudo kubectl-skoop export --local --for 5m --interval 5s --to openmetrics=skoop.prom
  # Served at http://localhost:9464/metrics for ten minutes
  kubectl skoop export -n shop --for 10m --to prometheus=9464
  # Resets and drops of this machine as JSON lines, in files of 10 MB
  sudo kubectl-skoop export --local --probe tcpreset,drop --to file=events.jsonl --max-size 10M --keep 3
  # All nodes for an hour: events to Loki and Elasticsearch, with credentials from files
  kubectl skoop export --all-nodes --for 1h --to loki=https://loki.example --bearer-from loki=token --to elasticsearch=https://es.example:9200 --basic-from elasticsearch=env:ES_LOGIN
  # For dashboards of KubeSkoop: its names, as far as both have the number
  kubectl skoop export -n shop --to prometheus=9464 --names kubeskoop
  # The pods of a namespace to Prometheus' own store, and to a collector
  kubectl skoop export -n shop --for 1h --to remote-write=https://prometheus.example/api/v1/write --to otlp=http://collector:4318"
)]
pub struct ExportCommand {
    #[command(flatten)]
    scope: ScopeOptions,
    /// Look for this time, such as 5m or 1h [default: until Ctrl-C]
    #[arg(long = "for", value_name = "TIME", value_parser = durations::parse)]
    length: Option<Duration>,
    /// How often numbers are read
    #[arg(long, value_name = "TIME", value_parser = durations::parse, default_value = "10s")]
    interval: Duration,
    /// Use only these probes, separated by commas (`probes` lists them) [default: all but those that report each packet or connection, measure times, or read entry by entry]
    #[arg(long = "probe", value_name = "LIST", value_delimiter = ',')]
    probes: Vec<String>,
    /// Names of the metrics
    #[arg(long, value_enum, default_value_t, value_name = "WHOSE")]
    names: MetricNaming,
    /// Most samples of one reading; the rest is counted, not sent
    #[arg(long, value_name = "N", default_value_t = 200_000)]
    max_series: usize,
    #[command(flatten)]
    sinks: SinkArguments,
    #[command(flatten)]
    place: SiteOptions,
}

impl CliCommand for ExportCommand {
    const NAME: &'static str = "export";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        check_interval(self.interval)?;
        block_on(self.export(context))
    }
}

impl ExportCommand {
    async fn export(&self, context: &CommandContext) -> Result<Exit> {
        let site = self.place.site(context).await?;
        let filter = CaptureFilter {
            interval_ms: interval_ms(self.interval),
            ..CaptureFilter::default()
        };
        let longest = self.length.unwrap_or(OPEN_ENDED);
        let Some(planned) = PlannedLook::of(&site, &self.scope, &self.place, filter, &[], longest).await? else {
            return Ok(Exit::Fine);
        };
        let cluster = site.cluster_of().map_or("", |cluster| cluster.context.as_str());
        let sinks = self.sinks.start(cluster)?;
        let greeted = planned.begin(context, &site).await?;
        let hello = greeted.hello.clone();
        let mut probes = self.probes.clone();
        if probes.is_empty() {
            let all = hello.probes.iter().map(|probe| probe.name.clone());
            probes = all.filter(|name| !ONLY_WHEN_ASKED.contains(&name.as_str())).collect();
        }
        known_probes(&probes, &hello)?;
        say_costs(&hello, &probes);
        let OpenLook {
            mut session,
            recording,
            wanted,
            endpoints,
            window,
        } = greeted.open(context, &site, &probes).await?;
        let json = EventJson::new(wanted.names(&session, endpoints), &hello);
        let names = PlaceNames::of(wanted.inventory.as_ref());
        let mut feed = ExportFeed::new(sinks, (names, json), self.names, self.max_series);
        let mut new_pods = site.cluster_of().cloned().map(NewPods::of);
        let mut order = EventOrder::default();
        let mut delays: BTreeMap<String, Duration> = BTreeMap::new();
        let bound = self.length.map(|length| Instant::now() + length);
        session
            .until(bound, |state| {
                for event in order.ready(state) {
                    feed.event(state, event);
                }
                feed.reading(state, rounds(state));
                for (node, late) in late(state, self.interval) {
                    let most = delays.entry(node.to_owned()).or_default();
                    *most = late.max(*most);
                }
                let strangers = std::mem::take(&mut feed.strangers);
                if let Some(new_pods) = &mut new_pods {
                    for node in &strangers {
                        new_pods.ask(node);
                    }
                    feed.meet(&new_pods.arrived());
                }
                feed.is_over()
            })
            .await;
        // What was on its way when the window closed goes out, too.
        for event in window.close(&mut session).await {
            feed.event(&session.state, event);
        }
        feed.reading(&session.state, rounds(&session.state));
        session.dismiss().await;
        let left_out = feed.left_out;
        feed.finish().await;
        if left_out > 0 {
            note(&format!(
                "left out of a reading: up to {}; there were more than --max-series {}, or two of one name: make it more, or name fewer targets",
                words::count(left_out as usize, "sample"),
                self.max_series
            ));
        }
        for (node, late) in &delays {
            let missing = late_reading(node, *late);
            note(&format!("{}: {}", missing.what, missing.reason()));
        }
        for node in &session.state.evidence.nodes {
            for lost in node.lost.iter().filter(|lost| lost.untold() > 0) {
                note(&format!(
                    "{} events of probe {} on {} were not told one by one: more came than there was room for; counters of the kernel have them all",
                    lost.untold(),
                    lost.probe,
                    node.name
                ));
            }
        }
        let places = session.state.numbers.places(Since::Opening);
        let unread = places.flat_map(|(_, _, place)| &place.missing);
        let unread: BTreeSet<String> = unread
            .map(|missing| format!("not read: {}: {}", missing.what, missing.reason()))
            .collect();
        for line in &unread {
            note(line);
        }
        check_whole(&session.state, "the export")?;
        Ok(recording.end(Exit::Fine))
    }
}
