//! A way to a server that takes what is pushed: its address, who sends, and what its answers mean. TLS is checked, always.

use super::credentials::{OfSink, SecretSource};
use super::sink_runner::DeliveryError;
use crate::exit::{NotThere, WrongUsage};
use anyhow::Result;
use flate2::Compression;
use flate2::write::GzEncoder;
use futures_util::StreamExt as _;
use http::header::{AUTHORIZATION, CONTENT_ENCODING, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, USER_AGENT};
use http::{Request, StatusCode, Uri};
use http_body_util::BodyExt as _;
use kube::client::Body;
use kube::{Client, Config};
use std::io::Write as _;
use std::path::PathBuf;
use std::time::Duration;

/// A server that is well answers within this time.
const PATIENCE: Duration = Duration::from_secs(30);
/// A server that takes no connection within this time is not there.
const CONNECT: Duration = Duration::from_secs(5);
/// Bytes of an answer that are read, at most.
const ANSWER_MAX: usize = 8 << 20;
/// Letters of a refusal that are told, at most.
const SAYS_MAX: usize = 300;

/// Who sends, to which sinks.
#[derive(Clone, Debug, Default)]
pub struct PushCredentials {
    /// Bearer tokens.
    pub bearer: Vec<OfSink<SecretSource>>,
    /// `USER:PASSWORD`.
    pub basic: Vec<OfSink<SecretSource>>,
    /// Lines of `Name: value`.
    pub headers: Vec<OfSink<SecretSource>>,
    /// The tenant.
    pub tenant: Vec<OfSink<String>>,
    /// Certificates that sign that of the server.
    pub ca: Vec<OfSink<PathBuf>>,
    /// Certificates of who sends, and their keys.
    pub client_cert: Vec<OfSink<PathBuf>>,
    /// The keys of those.
    pub client_key: Vec<OfSink<PathBuf>>,
}

/// A server that takes what is pushed.
pub struct PushServer {
    client: Client,
    /// Its address, as it is told of.
    shown: String,
    path: String,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// Where the token stands; it may be renewed meanwhile.
    bearer: Option<SecretSource>,
    /// What must not be told.
    secrets: Vec<String>,
}

/// What is wrong with an address, before anything is started.
pub fn check_url(text: &str) -> Result<(), String> {
    url(text).map(drop)
}

fn url(text: &str) -> Result<Uri, String> {
    // An address may hold a secret, and is not repeated.
    let uri: Uri = text
        .parse()
        .map_err(|_| "that is no address; write it as https://HOST:PORT".to_owned())?;
    let Some(authority) = uri.authority() else {
        return Err("that address has no host; write it as https://HOST:PORT".to_owned());
    };
    if !matches!(uri.scheme_str(), Some("http" | "https")) {
        return Err("that is no address of HTTP; write it as https://HOST:PORT".to_owned());
    }
    if authority.as_str().contains('@') {
        return Err(
            "a password in an address can be read by everybody on this machine; put USER:PASSWORD into a file and name it with --basic-from SINK=FILE"
                .to_owned(),
        );
    }
    Ok(uri)
}

/// The path of an address, with the sink's own behind it unless it is there.
fn path_of(uri: &Uri, own: &str) -> String {
    let base = uri.path().trim_end_matches('/');
    let own = if base.ends_with(own) { "" } else { own };
    let query = uri.query().map(|query| format!("?{query}")).unwrap_or_default();
    format!("{base}{own}{query}")
}

fn given<'a, T>(all: &'a [OfSink<T>], sink: &str) -> Option<&'a T> {
    all.iter().find(|of| of.sink == sink).map(|of| &of.given)
}

impl PushCredentials {
    /// The first sink that something is said of and that is not among these.
    pub fn of_nobody<'a>(&'a self, sinks: &[&str]) -> Option<&'a str> {
        let secrets = self.bearer.iter().chain(&self.basic).chain(&self.headers);
        let files = self.ca.iter().chain(&self.client_cert).chain(&self.client_key);
        let all = secrets.map(|of| &of.sink);
        let all = all
            .chain(files.map(|of| &of.sink))
            .chain(self.tenant.iter().map(|of| &of.sink));
        all.map(String::as_str).find(|sink| !sinks.contains(sink))
    }
}

impl PushServer {
    /// The server of this sink at this address; `own` is the sink's own path.
    pub fn new(sink: &str, address: &str, own: &str, who: &PushCredentials) -> Result<Self> {
        let uri = url(address).map_err(|why| WrongUsage::error(format!("--to {sink}=URL: {why}")))?;
        let origin = format!(
            "{}://{}",
            uri.scheme_str().unwrap_or("https"),
            uri.authority().map_or("", |authority| authority.as_str())
        );
        let base: Uri = origin.parse().map_err(|_| {
            WrongUsage::error(format!(
                "--to {sink}=URL: that is no address; write it as https://HOST:PORT"
            ))
        })?;
        let mut config = Config::new(base);
        config.connect_timeout = Some(CONNECT);
        config.read_timeout = Some(PATIENCE);
        config.write_timeout = Some(PATIENCE);
        config.default_retry = false;
        let mut secrets = Vec::new();
        let bearer = given(&who.bearer, sink).cloned();
        if let Some(source) = &bearer {
            bearer_header(source)?;
        }
        if let Some(source) = given(&who.basic, sink) {
            let basic = source.read("--basic-from")?;
            let Some((user, password)) = basic.split_once(':') else {
                return Err(WrongUsage::error(
                    "--basic-from: what stands there is not USER:PASSWORD; write it so",
                ));
            };
            secrets.push(password.to_owned());
            config.auth_info.username = Some(user.to_owned());
            config.auth_info.password = Some(password.to_owned().into());
        }
        let mut headers = Vec::new();
        if let Some(source) = given(&who.headers, sink) {
            for line in source
                .read("--header-from")?
                .lines()
                .filter(|line| !line.trim().is_empty())
            {
                let (name, value) = header(line)?;
                secrets.extend(value.to_str().ok().map(str::to_owned));
                headers.push((name, value));
            }
        }
        if let Some(tenant) = given(&who.tenant, sink) {
            let value = HeaderValue::from_str(tenant)
                .map_err(|_| WrongUsage::error("--tenant: that is no name of a tenant; use plain letters"))?;
            headers.push((HeaderName::from_static("x-scope-orgid"), value));
        }
        for (files, into, option) in [
            (&who.ca, &mut None, "--ca"),
            (
                &who.client_cert,
                &mut config.auth_info.client_certificate,
                "--client-cert",
            ),
            (&who.client_key, &mut config.auth_info.client_key, "--client-key"),
        ] {
            if let Some(file) = given(files, sink) {
                std::fs::metadata(file).map_err(|error| {
                    NotThere::error(format!(
                        "{option}: reading {}: {error}; name another file",
                        file.display()
                    ))
                })?;
                *into = Some(file.display().to_string());
            }
        }
        config.root_cert_file = given(&who.ca, sink).cloned();
        // What kube says of it may repeat what stands in a file.
        let client = Client::try_from(config).map_err(|_| {
            NotThere::error(format!(
                "--to {sink}={origin}: a client cannot be made of the certificates and secrets given; look at their files"
            ))
        })?;
        Ok(Self {
            client,
            shown: format!("{origin}{}", uri.path()),
            path: path_of(&uri, own),
            headers,
            bearer,
            secrets: secrets.into_iter().filter(|secret| secret.len() > 2).collect(),
        })
    }

    /// Sends a body, compressed, and gives back what the server says to it.
    pub async fn post(&self, content_type: &'static str, body: &[u8]) -> Result<Vec<u8>, DeliveryError> {
        let body = gzip(body).map_err(|error| DeliveryError::lasting(format!("compressing failed: {error}")))?;
        self.post_as(content_type, "gzip", body).await
    }

    /// Sends a body that is compressed already.
    pub async fn post_as(
        &self,
        content_type: &'static str,
        coding: &'static str,
        body: Vec<u8>,
    ) -> Result<Vec<u8>, DeliveryError> {
        let failed =
            |error: &dyn std::fmt::Display| DeliveryError::lasting(format!("making a request failed: {error}"));
        let mut request = Request::post(&self.path)
            .header(CONTENT_TYPE, content_type)
            .header(CONTENT_ENCODING, coding)
            .header(USER_AGENT, concat!("kubectl-skoop/", env!("CARGO_PKG_VERSION")));
        for (name, value) in &self.headers {
            request = request.header(name, value);
        }
        if let Some(source) = &self.bearer {
            let header = bearer_header(source).map_err(|error| DeliveryError::passing(format!("{error:#}")))?;
            request = request.header(AUTHORIZATION, header);
        }
        let request = request.body(Body::from(body)).map_err(|error| failed(&error))?;
        let answer = tokio::time::timeout(PATIENCE, self.client.send(request)).await;
        let answer = match answer {
            Ok(Ok(answer)) => answer,
            Ok(Err(error)) => {
                return Err(DeliveryError::passing(
                    self.told(&format!("sending failed: {}", chain(&error))),
                ));
            }
            Err(_) => {
                let says = format!("no answer within {} s", PATIENCE.as_secs());
                return Err(DeliveryError::passing(self.told(&says)));
            }
        };
        let status = answer.status();
        let after = answer
            .headers()
            .get(RETRY_AFTER)
            .and_then(|after| after.to_str().ok()?.parse().ok());
        let says = tokio::time::timeout(PATIENCE, read(answer.into_body()))
            .await
            .unwrap_or_default();
        if status.is_success() {
            return Ok(says);
        }
        let text = String::from_utf8_lossy(&says);
        let text: String = text.trim().chars().take(SAYS_MAX).collect();
        let hint = match status {
            StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN => {
                "; say who sends with --bearer-from, --basic-from or --header-from"
            }
            StatusCode::NOT_FOUND => "; look at the address",
            _ => "",
        };
        let colon = if text.is_empty() { "" } else { ": " };
        let why = self.told(&format!("the server answers {status}{colon}{text}{hint}"));
        let passes =
            status.is_server_error() || matches!(status, StatusCode::TOO_MANY_REQUESTS | StatusCode::REQUEST_TIMEOUT);
        Err(DeliveryError {
            after: after.map(Duration::from_secs),
            again: passes,
            ..DeliveryError::lasting(why)
        })
    }

    /// With the address, and without secrets: a server may repeat them.
    fn told(&self, what: &str) -> String {
        let mut told = format!("{}: {what}", self.shown);
        let token = self
            .bearer
            .as_ref()
            .and_then(|source| source.read("--bearer-from").ok());
        for secret in self.secrets.iter().chain(&token) {
            told = told.replace(secret, "***");
        }
        told
    }
}

impl std::fmt::Debug for PushServer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("PushServer")
            .field("shown", &self.shown)
            .finish_non_exhaustive()
    }
}

fn bearer_header(source: &SecretSource) -> Result<HeaderValue> {
    let mut value: HeaderValue = format!("Bearer {}", source.read("--bearer-from")?)
        .parse()
        .map_err(|_| {
            WrongUsage::error("--bearer-from: what stands there is no token: it has letters that a header cannot have")
        })?;
    value.set_sensitive(true);
    Ok(value)
}

/// `Name: value`. The line is a secret and is not repeated.
fn header(line: &str) -> Result<(HeaderName, HeaderValue)> {
    let parsed = line.split_once(':').and_then(|(name, value)| {
        let name = name.trim().parse().ok()?;
        let mut value: HeaderValue = value.trim().parse().ok()?;
        value.set_sensitive(true);
        Some((name, value))
    });
    parsed.ok_or_else(|| WrongUsage::error("--header-from: a line there is not `Name: value`; write it so"))
}

fn gzip(body: &[u8]) -> std::io::Result<Vec<u8>> {
    let mut encoder = GzEncoder::new(Vec::with_capacity(body.len() / 4), Compression::fast());
    encoder.write_all(body)?;
    encoder.finish()
}

async fn read(body: Body) -> Vec<u8> {
    let mut read = Vec::new();
    let mut body = body.into_data_stream();
    while let Some(Ok(piece)) = body.next().await {
        read.extend_from_slice(&piece);
        if read.len() > ANSWER_MAX {
            read.truncate(ANSWER_MAX);
            break;
        }
    }
    read
}

/// All causes: the first alone says little.
fn chain(error: &dyn std::error::Error) -> String {
    let mut said = vec![error.to_string()];
    let mut cause = error.source();
    while let Some(error) = cause {
        let says = error.to_string();
        if !said.iter().any(|before| before.contains(&says)) {
            said.push(says);
        }
        cause = error.source();
    }
    said.join(": ")
}

#[cfg(test)]
mod tests {
    use super::{PushCredentials, check_url, header, path_of};
    use crate::export::credentials::text_of;

    #[test]
    fn a_base_gets_the_sinks_own_path_unless_it_is_there() {
        let own = "/loki/api/v1/push";
        for (address, path) in [
            ("https://loki:3100", "/loki/api/v1/push"),
            ("https://loki:3100/", "/loki/api/v1/push"),
            ("https://host/insert/", "/insert/loki/api/v1/push"),
            ("https://host/loki/api/v1/push?tenant=a", "/loki/api/v1/push?tenant=a"),
        ] {
            assert_eq!(path_of(&address.parse().unwrap(), own), path);
        }
    }

    #[test]
    fn an_address_that_holds_a_password_is_refused_and_not_repeated() {
        for address in [
            "https://me:s3cret@host",
            "ftp://s3cret",
            "s3cret",
            "/s3cret",
            "https:// s3cret",
        ] {
            let error = check_url(address).unwrap_err();
            assert!(!error.contains("s3cret"), "{error}");
        }
        assert!(check_url("http://127.0.0.1:3100").is_ok());
    }

    #[test]
    fn a_header_is_a_line_and_is_not_repeated_where_it_is_none() {
        let (name, value) = header("X-Token:  s3cret ").unwrap();
        assert_eq!((name.as_str(), value.to_str().unwrap()), ("x-token", "s3cret"));
        assert!(!format!("{value:?}").contains("s3cret"));
        assert!(!header("s3cret").unwrap_err().to_string().contains("s3cret"));
    }

    #[test]
    fn what_is_said_of_a_sink_that_is_not_asked_for_is_noticed() {
        let who = PushCredentials {
            tenant: vec![text_of("loky=a").unwrap()],
            ..PushCredentials::default()
        };
        assert_eq!(who.of_nobody(&["loki"]), Some("loky"));
        assert_eq!(who.of_nobody(&["loky"]), None);
    }
}
