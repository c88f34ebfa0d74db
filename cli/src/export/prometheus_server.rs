//! The sink `prometheus=PORT`: serves the last reading at `/metrics` in the format that the asker likes best, until the window ends.

use super::metric_set::MetricSet;
use super::metrics_protobuf;
use super::openmetrics_text::{MetricsDialect, text};
use super::sink_queue::SinkBatch;
use super::sink_runner::{DeliveryError, ExportSink};
use crate::render::note;
use anyhow::{Context as _, Result, anyhow};
use http::header::{ACCEPT, ALLOW, CONTENT_TYPE};
use http::{HeaderMap, Method, Request, Response, StatusCode};
use http_body_util::Full;
use hyper::body::{Bytes, Incoming};
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use std::convert::Infallible;
use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;

/// Who has not asked within this time is not served.
const HEADER: Duration = Duration::from_secs(10);
/// No connection lasts longer.
const CONNECTION: Duration = Duration::from_mins(5);
/// Connections at once; more wait.
const CONNECTIONS: usize = 32;

/// The last reading; none before the first.
type LatestReading = watch::Receiver<Option<Arc<MetricSet>>>;

/// A server of the last reading. Dropping it ends it.
#[derive(Debug)]
pub struct PrometheusServer {
    latest: watch::Sender<Option<Arc<MetricSet>>>,
    _listeners: JoinSet<()>,
}

/// Where to listen: this machine alone, by both families, unless an address is named.
pub fn listen_addresses(place: &str) -> Result<Vec<SocketAddr>, String> {
    if let Ok(port) = place.strip_prefix(':').unwrap_or(place).parse::<u16>() {
        let loopback = [IpAddr::from(Ipv4Addr::LOCALHOST), Ipv6Addr::LOCALHOST.into()];
        return Ok(loopback.map(|address| SocketAddr::new(address, port)).to_vec());
    }
    place.parse().map(|address| vec![address]).map_err(|_| {
        format!("`{place}` is no place to listen at; write a port (9464), or an address and a port (0.0.0.0:9464)")
    })
}

impl PrometheusServer {
    /// Listens there.
    pub fn listen(addresses: &[SocketAddr]) -> Result<Self> {
        let (latest, seen) = watch::channel(None);
        let mut listeners = JoinSet::new();
        let mut port = 0;
        let mut bound: Vec<SocketAddr> = Vec::new();
        for address in addresses {
            let mut address = *address;
            if address.port() == 0 {
                // Any free one, the same by both families.
                address.set_port(port);
            }
            let listener = match TcpListener::bind(address) {
                Ok(listener) => listener,
                // A machine may have one family alone.
                Err(error)
                    if !bound.is_empty()
                        && matches!(error.kind(), ErrorKind::AddrNotAvailable | ErrorKind::Unsupported) =>
                {
                    continue;
                }
                Err(error) => {
                    return Err(anyhow!(
                        "listening at {address} for Prometheus failed: {error}; name another with --to prometheus=ADDRESS:PORT"
                    ));
                }
            };
            let own = listener.local_addr().context("asking where it is listened at")?;
            port = own.port();
            bound.push(own);
            listener.set_nonblocking(true).context("preparing to listen")?;
            let listener = tokio::net::TcpListener::from_std(listener).context("preparing to listen")?;
            listeners.spawn(serve(listener, seen.clone()));
        }
        let served: Vec<String> = bound.iter().map(|own| format!("http://{own}/metrics")).collect();
        note(&format!("serving {}", served.join(" and ")));
        Ok(Self {
            latest,
            _listeners: listeners,
        })
    }
}

impl ExportSink for PrometheusServer {
    async fn deliver(&mut self, batch: &SinkBatch) -> Result<u64, DeliveryError> {
        if let Some(latest) = batch.readings.last() {
            self.latest.send_replace(Some(Arc::clone(latest)));
        }
        Ok(0)
    }
}

async fn serve(listener: tokio::net::TcpListener, latest: LatestReading) {
    let room = Arc::new(Semaphore::new(CONNECTIONS));
    let mut connections = JoinSet::new();
    loop {
        let Ok(permit) = Arc::clone(&room).acquire_owned().await else {
            return;
        };
        while connections.try_join_next().is_some() {}
        let Ok((stream, _)) = listener.accept().await else {
            // Too many open files, say: it passes.
            tokio::time::sleep(Duration::from_millis(100)).await;
            continue;
        };
        let latest = latest.clone();
        connections.spawn(async move {
            let answer = service_fn(|request| answer(request, latest.clone()));
            let mut builder = http1::Builder::new();
            builder.timer(TokioTimer::new()).header_read_timeout(HEADER);
            let served = builder.serve_connection(TokioIo::new(stream), answer);
            // Who breaks off has what he wanted.
            let _ = tokio::time::timeout(CONNECTION, served).await;
            drop(permit);
        });
    }
}

async fn answer(request: Request<Incoming>, latest: LatestReading) -> Result<Response<Full<Bytes>>, Infallible> {
    let plain = |status: StatusCode, says: &'static str| said(status, "text/plain; charset=utf-8", says.into());
    if !matches!(*request.method(), Method::GET | Method::HEAD) {
        let mut refused = plain(StatusCode::METHOD_NOT_ALLOWED, "only GET is answered here\n");
        refused
            .headers_mut()
            .insert(ALLOW, http::HeaderValue::from_static("GET, HEAD"));
        return Ok(refused);
    }
    if request.uri().path() != "/metrics" {
        return Ok(plain(StatusCode::NOT_FOUND, "the numbers are at /metrics\n"));
    }
    let Some(set) = latest.borrow().clone() else {
        let says = "nothing has been read yet; ask again\n";
        return Ok(plain(StatusCode::SERVICE_UNAVAILABLE, says));
    };
    let format = format_for(request.headers());
    // Of many pods it is long, and others are served meanwhile.
    let body = tokio::task::spawn_blocking(move || format.body(&set)).await;
    Ok(match body {
        Ok(body) => said(StatusCode::OK, format.content_type(), body),
        Err(_) => plain(StatusCode::INTERNAL_SERVER_ERROR, "the numbers could not be written\n"),
    })
}

fn said(status: StatusCode, content_type: &'static str, body: Bytes) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::new(body));
    *response.status_mut() = status;
    let content_type = http::HeaderValue::from_static(content_type);
    response.headers_mut().insert(CONTENT_TYPE, content_type);
    response
}

/// How metrics are served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum MetricsFormat {
    Text(MetricsDialect),
    Protobuf,
}

impl MetricsFormat {
    const fn content_type(self) -> &'static str {
        match self {
            Self::Text(dialect) => dialect.content_type(),
            Self::Protobuf => metrics_protobuf::CONTENT_TYPE,
        }
    }

    fn body(self, set: &MetricSet) -> Bytes {
        match self {
            Self::Text(dialect) => text(set, dialect).into(),
            Self::Protobuf => metrics_protobuf::encoded(set).into(),
        }
    }

    /// The format of a media range with its parameters (RFC 9110, 12.5.1), if it is one of ours.
    fn of(range: &str) -> Option<Self> {
        let mut parts = range.split(';').map(str::trim);
        match parts.next()? {
            "application/openmetrics-text" => Some(Self::Text(MetricsDialect::OpenMetrics)),
            "text/plain" => Some(Self::Text(MetricsDialect::Classic)),
            "application/vnd.google.protobuf" => {
                parts.any(|part| part == "encoding=delimited").then_some(Self::Protobuf)
            }
            _ => None,
        }
    }
}

/// What the asker likes best of what he names; else `OpenMetrics`.
fn format_for(headers: &HeaderMap) -> MetricsFormat {
    let accepted = headers
        .get_all(ACCEPT)
        .iter()
        .filter_map(|accepted| accepted.to_str().ok());
    let weight = |range: &str| {
        let mut parts = range.split(';').filter_map(|part| part.trim().strip_prefix("q="));
        parts.next().and_then(|q| q.parse::<f32>().ok()).unwrap_or(1.0)
    };
    let known = accepted
        .flat_map(|accepted| accepted.split(','))
        .filter_map(|range| Some((MetricsFormat::of(range)?, weight(range))));
    // Of several that are liked equally well, the first.
    let best = known.reduce(|best, next| if next.1 > best.1 { next } else { best });
    best.map_or(MetricsFormat::Text(MetricsDialect::OpenMetrics), |(format, _)| format)
}

#[cfg(test)]
mod tests {
    use super::{MetricsFormat, format_for, listen_addresses};
    use crate::export::openmetrics_text::MetricsDialect;
    use http::header::ACCEPT;
    use http::{HeaderMap, HeaderValue};

    #[test]
    fn without_an_address_only_this_machine_is_listened_to() {
        let listened = |place| -> Vec<String> {
            let addresses = listen_addresses(place).unwrap();
            addresses.iter().map(ToString::to_string).collect()
        };
        assert_eq!(listened("9464"), ["127.0.0.1:9464", "[::1]:9464"]);
        assert_eq!(listened(":9464"), ["127.0.0.1:9464", "[::1]:9464"]);
        assert_eq!(listened("0.0.0.0:9464"), ["0.0.0.0:9464"]);
        assert_eq!(listened("[::]:9464"), ["[::]:9464"]);
        for place in ["65536", "example.org:80", "10.0.0.1", "::"] {
            assert!(listen_addresses(place).unwrap_err().contains("9464"), "{place}");
        }
    }

    #[test]
    fn who_asks_gets_what_he_likes_best() {
        let open = MetricsFormat::Text(MetricsDialect::OpenMetrics);
        let classic = MetricsFormat::Text(MetricsDialect::Classic);
        // What Prometheus 3 and 2, one that wants native histograms, curl, and promtool's users send.
        for (accepted, format) in [
            (
                "application/openmetrics-text;version=1.0.0;q=0.6,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
                open,
            ),
            (
                "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;encoding=delimited;q=0.6,application/openmetrics-text;version=1.0.0;q=0.5,*/*;q=0.2",
                MetricsFormat::Protobuf,
            ),
            (
                "application/vnd.google.protobuf;encoding=text, text/plain;q=0.1",
                classic,
            ),
            ("*/*", open),
            ("text/plain;version=0.0.4", classic),
        ] {
            let mut headers = HeaderMap::new();
            headers.insert(ACCEPT, HeaderValue::from_static(accepted));
            assert_eq!(format_for(&headers), format, "{accepted}");
        }
        assert_eq!(format_for(&HeaderMap::new()), open);
    }
}
