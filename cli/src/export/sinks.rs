//! The registry of sinks: what each is called in `--to`, what it takes, and how it is started; and all sinks of a run.

pub use super::elasticsearch::INDEX as ELASTICSEARCH_INDEX;
use super::elasticsearch::{self, Elasticsearch};
use super::exported_event::ExportedEvent;
use super::http_push::{PushCredentials, PushServer, check_url};
use super::lines_file::{LinesFile, LinesKept};
use super::loki::{self, Loki};
use super::metric_names::{MetricName, MetricScale};
use super::metric_set::MetricSet;
use super::openmetrics_file::OpenMetricsFile;
use super::otlp::{self, Otlp};
use super::prometheus_server::{PrometheusServer, listen_addresses};
use super::remote_write::{self, RemoteWrite};
use super::sink_queue::{SinkAppetite, SinkQueue};
use super::sink_runner::{self, ExportSink};
use super::stdout_lines::StdoutLines;
use crate::exit::WrongUsage;
use crate::names;
use crate::render::note;
use anyhow::Result;
use model::evidence::NodeEvidence;
use model::series::SeriesKind;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio::task::JoinHandle;

/// After the window sinks may finish for so long.
const GRACE: Duration = Duration::from_secs(10);

/// One line of the registry.
#[derive(Debug)]
struct SinkEntry {
    /// Its word in `--to`.
    name: &'static str,
    /// What stands behind the equals sign.
    place: &'static str,
    /// What it does, in a few words.
    about: &'static str,
    /// What is wrong with a place, before anything is started.
    check: fn(&str) -> Result<(), String>,
    start: fn(&SinkSetup<'_>) -> Result<StartedSink>,
}

/// Every sink.
const SINKS: &[SinkEntry] = &[
    SinkEntry {
        name: "openmetrics",
        about: "the last reading as OpenMetrics text",
        place: "FILE",
        check: |_| Ok(()),
        start: |setup| {
            let sink = OpenMetricsFile::at(Path::new(setup.place))?;
            Ok(setup.spawn(sink, LATEST))
        },
    },
    SinkEntry {
        name: "prometheus",
        about: "served at /metrics, to this machine alone unless an address is named (0.0.0.0:9464)",
        place: "PORT",
        check: |place| listen_addresses(place).map(drop),
        start: |setup| {
            let addresses = listen_addresses(setup.place).map_err(WrongUsage::error)?;
            Ok(setup.spawn(PrometheusServer::listen(&addresses)?, LATEST))
        },
    },
    SinkEntry {
        name: "file",
        about: "events and numbers as JSON lines, in files that are rotated by size",
        place: "FILE",
        check: |_| Ok(()),
        start: |setup| {
            let sink = LinesFile::at(Path::new(setup.place), setup.options.kept)?;
            Ok(setup.spawn(sink, LINES))
        },
    },
    SinkEntry {
        name: "stdout",
        about: "events and numbers as JSON lines",
        place: "",
        check: |_| Ok(()),
        start: |setup| Ok(setup.spawn(StdoutLines, LINES)),
    },
    SinkEntry {
        name: "loki",
        place: "URL",
        about: "events by Loki's push API",
        check: check_url,
        start: |setup| {
            let sink = Loki::new(setup.server(loki::PATH)?, setup.options.cluster.clone());
            Ok(setup.spawn(sink, PUSHED_EVENTS))
        },
    },
    SinkEntry {
        name: "elasticsearch",
        place: "URL",
        about: "events by the bulk API of Elasticsearch and OpenSearch",
        check: check_url,
        start: |setup| {
            let options = setup.options;
            let server = setup.server(elasticsearch::PATH)?;
            let sink = Elasticsearch::new(server, options.index.clone(), options.cluster.clone());
            Ok(setup.spawn(sink, PUSHED_EVENTS))
        },
    },
    SinkEntry {
        name: "remote-write",
        place: "URL",
        about: "numbers by Prometheus' remote write (version 1)",
        check: check_url,
        start: |setup| {
            let server = setup.server(remote_write::PATH)?;
            Ok(setup.spawn(RemoteWrite::new(server), PUSHED_NUMBERS))
        },
    },
    SinkEntry {
        name: "otlp",
        place: "URL",
        about: "numbers and events by OpenTelemetry's protocol over HTTP",
        check: check_url,
        start: |setup| {
            let (metrics, logs) = (setup.server(otlp::METRICS)?, setup.server(otlp::LOGS)?);
            Ok(setup.spawn(Otlp::new(metrics, logs, setup.options.cluster.clone()), PUSHED_BOTH))
        },
    },
];

const LATEST: SinkAppetite = SinkAppetite {
    events: 0,
    readings: 1,
    only_latest: true,
    linger: Duration::ZERO,
};

/// What may wait for a server that takes events.
const PUSHED_EVENTS: SinkAppetite = SinkAppetite {
    events: 50_000,
    readings: 0,
    only_latest: false,
    linger: Duration::from_millis(250),
};

/// What may wait for a server that takes numbers.
const PUSHED_NUMBERS: SinkAppetite = SinkAppetite {
    events: 0,
    readings: 64,
    only_latest: false,
    linger: Duration::ZERO,
};

/// What may wait for a server that takes both.
const PUSHED_BOTH: SinkAppetite = SinkAppetite {
    readings: 64,
    ..PUSHED_EVENTS
};

/// What may wait for a sink that writes both to a file or a stream.
const LINES: SinkAppetite = SinkAppetite {
    events: 50_000,
    readings: 64,
    only_latest: false,
    linger: Duration::ZERO,
};

/// The help of `--to`.
pub fn help() -> String {
    let all: Vec<String> = SINKS
        .iter()
        .map(|entry| format!("{}: {}", entry.form(), entry.about))
        .collect();
    format!("Where to; may be repeated. {}", all.join(". "))
}

/// Where something is to go, as it was asked for.
#[derive(Clone, Debug)]
pub struct ExportDestination {
    sink: &'static str,
    place: String,
}

impl ExportDestination {
    /// Parses `SINK=PLACE`.
    pub fn parse(text: &str) -> Result<Self, String> {
        let (name, place) = text.split_once('=').unwrap_or((text, ""));
        let Some(entry) = SINKS.iter().find(|entry| entry.name == name) else {
            let hint = names::hint(name, SINKS.iter().map(|entry| entry.name));
            let all: Vec<String> = SINKS.iter().map(SinkEntry::form).collect();
            return Err(format!("there is no sink `{name}`{hint}; use {}", all.join(", ")));
        };
        if place.is_empty() != entry.place.is_empty() {
            return Err(format!("write it as {}", entry.form()));
        }
        (entry.check)(place)?;
        Ok(Self {
            sink: entry.name,
            place: place.to_owned(),
        })
    }
}

impl ExportDestination {
    /// The sink, as it stands in `--to`.
    pub const fn sink(&self) -> &'static str {
        self.sink
    }
}

impl SinkEntry {
    fn form(&self) -> String {
        match self.place {
            "" => self.name.to_owned(),
            place => format!("{}={place}", self.name),
        }
    }
}

/// What a sink is started with.
struct SinkSetup<'a> {
    /// Its name in messages.
    name: String,
    /// The word for it in `--to`.
    kind: &'static str,
    place: &'a str,
    options: &'a SinkOptions,
}

/// What sinks have in common.
#[derive(Clone, Debug)]
pub struct SinkOptions {
    /// How much files of lines keep.
    pub kept: LinesKept,
    /// Who sends to servers.
    pub who: PushCredentials,
    /// Where Elasticsearch puts documents.
    pub index: String,
    /// The cluster's name; empty where there is none.
    pub cluster: String,
}

impl SinkSetup<'_> {
    /// The server at this place; `path` is the sink's own.
    fn server(&self, path: &str) -> Result<PushServer> {
        PushServer::new(self.kind, self.place, path, &self.options.who)
    }

    fn spawn(&self, sink: impl ExportSink, appetite: SinkAppetite) -> StartedSink {
        let queue = SinkQueue::new(self.name.clone(), appetite);
        let task = tokio::spawn(sink_runner::run(sink, Arc::clone(&queue)));
        StartedSink { queue, task }
    }
}

#[derive(Debug)]
struct StartedSink {
    queue: Arc<SinkQueue>,
    task: JoinHandle<()>,
}

/// All sinks of a run.
#[derive(Debug)]
pub struct ExportSinks {
    sinks: Vec<StartedSink>,
}

impl ExportSinks {
    /// Starts them.
    pub fn start(destinations: &[ExportDestination], options: &SinkOptions) -> Result<Self> {
        let mut sinks: Vec<StartedSink> = Vec::new();
        for (at, destination) in destinations.iter().enumerate() {
            let before = destinations.iter().take(at);
            let name = match before.filter(|other| other.sink == destination.sink).count() {
                0 => destination.sink.to_owned(),
                same => format!("{}-{}", destination.sink, same + 1),
            };
            let entry = SINKS.iter().find(|entry| entry.name == destination.sink);
            let entry = entry.ok_or_else(|| WrongUsage::error(format!("there is no sink `{name}`")))?;
            sinks.push((entry.start)(&SinkSetup {
                name,
                kind: entry.name,
                place: &destination.place,
                options,
            })?);
        }
        Ok(Self { sinks })
    }

    /// What came of all so far, as metrics themselves.
    pub fn add_counts(&self, set: &mut MetricSet) {
        const ABOUT: [(&str, &str); 3] = [
            ("skoop_export_written", "readings and events that a sink has taken"),
            (
                "skoop_export_dropped",
                "readings and events that a sink did not take in time, or there was no room for",
            ),
            ("skoop_export_failures", "times a sink failed to take something"),
        ];
        for sink in &self.sinks {
            let counts = &sink.queue.counts;
            for ((family, help), count) in ABOUT
                .into_iter()
                .zip([&counts.written, &counts.dropped, &counts.failures])
            {
                let labels = vec![("sink".to_owned(), sink.queue.name.clone())];
                let count = count.load(Ordering::Relaxed);
                set.add_own(&own(family, help, SeriesKind::Counter), labels, count);
            }
        }
        let read_at = MetricName {
            unit: "seconds",
            scale: MetricScale::Billionth,
            ..own(
                "skoop_export_read_timestamp_seconds",
                "when this was read, Unix time by the clock of who exports",
                SeriesKind::Gauge,
            )
        };
        set.add_own(&read_at, Vec::new(), set.at_ns);
        let left_out = set.left_out;
        let help = "samples left out of this reading: more than --max-series, or two for one name";
        set.add_own(
            &own("skoop_export_left_out", help, SeriesKind::Gauge),
            Vec::new(),
            left_out,
        );
    }

    /// Events that no sink can have: their nodes did not tell them one by one, as they say when the window closes.
    pub fn add_untold(set: &mut MetricSet, nodes: &[NodeEvidence]) {
        let name = own(
            "skoop_export_untold_events",
            "events that a node did not tell one by one: more came than there was room for",
            SeriesKind::Counter,
        );
        for node in nodes {
            for lost in node.lost.iter().filter(|lost| lost.untold() > 0) {
                let labels = [("node", &node.name), ("probe", &lost.probe)];
                let labels = labels.map(|(name, value)| (name.to_owned(), value.clone()));
                set.add_own(&name, labels.to_vec(), lost.untold());
            }
        }
    }

    /// Gives an event to all.
    pub fn event(&self, event: &Arc<ExportedEvent>) {
        for sink in &self.sinks {
            sink.queue.event(event);
        }
    }

    /// No sink takes anything any more.
    pub fn are_over(&self) -> bool {
        self.sinks.iter().all(|sink| sink.queue.is_over())
    }

    /// Gives a reading to all.
    pub fn reading(&self, set: &Arc<MetricSet>) {
        for sink in &self.sinks {
            sink.queue.reading(set);
        }
    }

    /// Lets all finish, and says what did not go out. So much was dropped.
    pub async fn finish(self) -> u64 {
        for sink in &self.sinks {
            sink.queue.close();
        }
        let until = tokio::time::Instant::now() + GRACE;
        let mut all = 0;
        for mut sink in self.sinks {
            let ended = tokio::time::timeout_at(until, &mut sink.task).await;
            if ended.is_err() {
                sink.task.abort();
                sink.queue.give_up();
            }
            let dropped = sink.queue.counts.dropped.load(Ordering::Relaxed);
            if dropped > 0 {
                note(&format!(
                    "{}: {dropped} readings or events did not go out: it was refused, too late, or the sink was away; see what it said, and run it again",
                    sink.queue.name
                ));
            }
            all += dropped;
        }
        all
    }
}

fn own(family: &str, help: &str, kind: SeriesKind) -> MetricName {
    MetricName {
        family: family.to_owned(),
        unit: "",
        scale: MetricScale::One,
        kind,
        help: help.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::ExportDestination;

    #[test]
    fn a_destination_is_a_sink_and_its_place() {
        let parsed = ExportDestination::parse("openmetrics=/tmp/a=b").unwrap();
        assert_eq!((parsed.sink, parsed.place.as_str()), ("openmetrics", "/tmp/a=b"));
        let misspelt = ExportDestination::parse("openmetric=x").unwrap_err();
        assert!(misspelt.contains("did you mean `openmetrics`"), "{misspelt}");
        assert!(
            ExportDestination::parse("openmetrics")
                .unwrap_err()
                .contains("openmetrics=FILE")
        );
    }
}
