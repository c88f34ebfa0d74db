//! Real servers that are exported to, on loopback. `make observability` builds them; each ends with its test.

use super::skoop::{asked, soon};
use serde_json::Value;
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::fs::File;
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command};
use tempfile::TempDir;

const BUILT: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../target/observability");

/// A server that runs, and what it keeps.
pub struct RealServer {
    child: Child,
    folder: TempDir,
    /// Its address and port.
    pub address: String,
}

/// Samples by their names and labels, as [`samples_of`] writes them.
pub type Samples = BTreeMap<String, f64>;

/// A port of loopback that nobody listens at.
pub fn free_port() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().port()
}

impl RealServer {
    /// Prometheus, which scrapes this port as one does by default (job `skoop`), with native histograms (job `native`), and by
    /// Protocol Buffers (job `protobuf`).
    pub fn prometheus(scraped: u16) -> Option<Self> {
        let targets = format!("static_configs: [{{targets: ['127.0.0.1:{scraped}']}}]");
        let config = format!(
            "global: {{scrape_interval: 500ms}}
scrape_configs:
- {{job_name: skoop, {targets}}}
- {{job_name: native, convert_classic_histograms_to_nhcb: true, {targets}}}
- {{job_name: protobuf, scrape_protocols: [PrometheusProto], {targets}}}
"
        );
        Self::start("prometheus", |folder, address| {
            std::fs::write(folder.join("prometheus.yml"), config).unwrap();
            vec![
                format!("--config.file={}", folder.join("prometheus.yml").display()),
                format!("--storage.tsdb.path={}", folder.join("data").display()),
                format!("--web.listen-address={address}"),
                "--web.enable-remote-write-receiver".to_owned(),
                "--web.enable-otlp-receiver".to_owned(),
            ]
        })
    }

    /// `VictoriaLogs`.
    pub fn victoria_logs() -> Option<Self> {
        Self::start("victoria-logs", |folder, address| {
            vec![
                format!("-storageDataPath={}", folder.join("data").display()),
                format!("-httpListenAddr={address}"),
            ]
        })
    }

    /// OpenTelemetry's collector, which gives numbers on to this Prometheus and logs to this `VictoriaLogs`.
    pub fn collector(numbers: &Self, logs: &Self) -> Option<Self> {
        Self::start("collector", |_, address| {
            let config = format!(
                "receivers: {{otlp: {{protocols: {{http: {{endpoint: '{address}'}}}}}}}}
exporters:
  otlp_http/numbers: {{endpoint: 'http://{}/api/v1/otlp'}}
  otlp_http/logs: {{endpoint: 'http://{}/insert/opentelemetry'}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [otlp_http/numbers]}}
    logs: {{receivers: [otlp], exporters: [otlp_http/logs]}}
",
                numbers.address, logs.address
            );
            vec![format!("--config=yaml:{config}")]
        })
    }

    /// Starts one and waits until it answers; `None` after saying that it is not there.
    fn start(name: &str, arguments: impl FnOnce(&Path, &str) -> Vec<String>) -> Option<Self> {
        let program = Path::new(BUILT).join(name);
        if !program.is_file() {
            println!("skipped: no {name}: run `make observability`");
            return None;
        }
        let folder = TempDir::new().unwrap();
        let address = format!("127.0.0.1:{}", free_port());
        let log = File::create(folder.path().join("log")).unwrap();
        // It ends with the thread of the test, whatever becomes of that.
        let child = Command::new("setpriv")
            .args(["--pdeathsig", "KILL", "--"])
            .arg(program)
            .args(arguments(folder.path(), &address))
            .stdout(log.try_clone().unwrap())
            .stderr(log)
            .spawn()
            .unwrap();
        let mut server = Self { child, folder, address };
        soon(name, || server.answers().then_some(()));
        Some(server)
    }

    /// Whether it is ready for a first request. One that has ended never will be.
    fn answers(&mut self) -> bool {
        let ended = self.child.try_wait().unwrap();
        assert!(ended.is_none(), "it ended: {}", self.log());
        // A collector answers nothing at this path, but it answers.
        TcpStream::connect(&self.address).is_ok() && !asked(&self.address, "GET /-/ready", "").contains(" 503 ")
    }

    /// What it says.
    pub fn log(&self) -> String {
        std::fs::read_to_string(self.folder.path().join("log")).unwrap_or_default()
    }

    /// The body of what it answers to a question at this path.
    fn asked(&self, path: &str, question: &str) -> String {
        let mut query = String::new();
        for byte in question.bytes() {
            let _ = write!(query, "%{byte:02x}");
        }
        let answer = asked(&self.address, &format!("GET {path}?query={query}"), "");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.contains(" 200 "), "{question}: {answer}");
        body.to_owned()
    }

    /// What Prometheus answers to a query: all series of a vector.
    pub fn queried(&self, query: &str) -> Vec<Value> {
        let answer: Value = serde_json::from_str(&self.asked("/api/v1/query", query)).unwrap();
        answer["data"]["result"].as_array().unwrap().clone()
    }

    /// The same as samples; whom Prometheus asked is left out.
    pub fn samples(&self, query: &str) -> Samples {
        let mut samples = Samples::new();
        for series in self.queried(query) {
            let labels = series["metric"].as_object().unwrap();
            let value = series["value"][1].as_str().unwrap().parse().unwrap();
            let own = labels
                .iter()
                .filter(|(name, _)| !matches!(name.as_str(), "__name__" | "job" | "instance"))
                .map(|(name, value)| format!("{name}={}", value.as_str().unwrap()));
            let name = labels["__name__"].as_str().unwrap();
            samples.insert(named(name, own.collect()), value);
        }
        samples
    }

    /// All that `VictoriaLogs` finds by a query.
    pub fn logs(&self, query: &str) -> Vec<Value> {
        let found = self.asked("/select/logsql/query", query);
        found.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    }
}

impl Drop for RealServer {
    fn drop(&mut self) {
        if std::thread::panicking() {
            println!("{} said: {}", self.address, self.log());
        }
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn named(name: &str, mut labels: Vec<String>) -> String {
    labels.sort();
    format!("{name} {}", labels.join(" "))
}

/// The samples of an export's text. No value of a label there has a comma and a quotation mark side by side.
pub fn samples_of(text: &str) -> Samples {
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            let (name, labels) = series.split_once('{').unwrap_or((series, ""));
            let labels = labels
                .trim_end_matches("\"}")
                .split("\",")
                .filter(|label| !label.is_empty());
            let labels = labels.map(|label| label.replacen("=\"", "=", 1));
            (named(name, labels.collect()), value.parse().unwrap())
        })
        .collect()
}
