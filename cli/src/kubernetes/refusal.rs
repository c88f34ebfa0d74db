//! A refusal of the API server: what kind it is, what it means, and what the reader can do.

use crate::exit::NotThere;
use diagnoses::words::shell;
use model::missing::Missing;
use std::error::Error;
use std::fmt;
use std::time::Duration;

/// kube's own reason for an answer that is no `Status`.
pub const NO_STATUS: &str = "Failed to parse error data";
/// The reason that stands for an answer that is longer than is read.
pub const TOO_LONG: &str = "TooLong";

/// What kind of refusal.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefusalKind {
    /// 404: there is no such object, or no such kind of objects.
    NotFound,
    /// 401: it does not know who asks.
    Unauthorized,
    /// 403: who asks may not.
    Forbidden,
    /// 410: the page of a list is gone.
    Gone,
    /// 429: it has too much to do.
    Busy,
    /// 5xx: it failed.
    Failed,
    /// It took too long.
    Slow,
    /// No connection.
    Unreachable,
    /// Its certificate is not to be trusted, or ours is not.
    Certificate,
    /// Its answer is no answer of an API server.
    Garbage,
    /// 404, and no object says of what: so answers an API server that has the group and not this kind of it, and anything else
    /// that is no API server.
    NoSuchPath,
    /// More than is read of one thing.
    TooMany,
    /// Anything else.
    Other,
}

/// A refusal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// Its kind.
    pub kind: RefusalKind,
    /// What happened.
    pub says: String,
    /// What the reader can do; empty when nothing can be done.
    pub remedy: String,
}

impl Refusal {
    fn new(kind: RefusalKind, says: impl Into<String>, remedy: impl Into<String>) -> Self {
        Self {
            kind,
            says: says.into(),
            remedy: remedy.into(),
        }
    }

    /// A call that took longer than `patience`.
    pub(super) fn slow(context: &str, patience: Duration) -> Self {
        Self::new(
            RefusalKind::Slow,
            format!(
                "the API server of {context} did not answer within {}",
                humantime::format_duration(patience)
            ),
            "try again, or wait longer with --request-timeout 60s",
        )
    }

    /// A list of more objects than are read.
    pub(super) fn too_many(plural: &str, namespace: Option<&str>, most: usize) -> Self {
        let of = namespace.map_or_else(String::new, |namespace| format!(" in namespace {namespace}"));
        Self::new(
            RefusalKind::TooMany,
            format!("there are more than {most} {plural}{of}, and no more are read"),
            "name what is meant more narrowly",
        )
    }

    /// What kube's error means.
    pub fn of(error: &kube::Error, context: &str) -> Self {
        let server = format!("the API server of {context}");
        match error {
            kube::Error::Api(status) => Self::of_status(status, &server),
            kube::Error::Auth(error) => Self::new(
                RefusalKind::Unauthorized,
                format!("the credentials for {context} could not be had: {}", chain(error)),
                "log in again as your provider says, and try `kubectl get pods`",
            ),
            kube::Error::SerdeError(_)
            | kube::Error::FromUtf8(_)
            | kube::Error::HttpError(_)
            | kube::Error::LinesCodecMaxLineLengthExceeded => Self::new(
                RefusalKind::Garbage,
                format!(
                    "{server} answered with something that is no Kubernetes object: {}",
                    chain(error)
                ),
                "see whether the kubeconfig's `server` is an API server, and not a proxy or a login page",
            ),
            error => Self::of_connection(&chain(error), &server, context),
        }
    }

    fn of_status(status: &kube::core::Status, server: &str) -> Self {
        let message = status.message.trim();
        match status.code {
            _ if status.reason == TOO_LONG => Self::new(RefusalKind::TooMany, format!("{server}: {message}"), ""),
            // An answer that is no `Status` is told by kube as its raw text.
            code if status.reason == NO_STATUS => Self::new(
                match code {
                    404 => RefusalKind::NoSuchPath,
                    500.. => RefusalKind::Failed,
                    _ => RefusalKind::Garbage,
                },
                format!(
                    "{server} answered {code} with something that is no Kubernetes object: {}",
                    short(message)
                ),
                "see whether the kubeconfig's `server` is an API server, and not a proxy or a login page",
            ),
            401 => Self::new(
                RefusalKind::Unauthorized,
                format!("{server} does not accept the credentials (401 Unauthorized)"),
                "the token or client certificate may have expired: log in again as your provider says, and try `kubectl get pods`",
            ),
            403 => Self::new(
                RefusalKind::Forbidden,
                format!("no permission: {message}"),
                grant(message),
            ),
            404 => Self::new(RefusalKind::NotFound, message, ""),
            410 => Self::new(
                RefusalKind::Gone,
                format!("{server} has already forgotten this list (410 Gone)"),
                "try again",
            ),
            429 => Self::new(
                RefusalKind::Busy,
                format!("{server} has too much to do (429 Too Many Requests)"),
                "try again in a while",
            ),
            code @ 500.. => Self::new(
                RefusalKind::Failed,
                format!("{server} failed ({code}): {}", short(message)),
                "try again; `kubectl get --raw /readyz?verbose` shows what is wrong with it",
            ),
            code => Self::new(
                RefusalKind::Other,
                format!("{server} refused ({code}): {}", short(message)),
                "",
            ),
        }
    }

    fn of_connection(says: &str, server: &str, context: &str) -> Self {
        let lower = says.to_lowercase();
        if lower.contains("certificate") || lower.contains("tls") || lower.contains("handshake") {
            let remedy = if lower.contains("expired") {
                "renew the certificate (kubeadm: `kubeadm certs check-expiration`), or fetch a new kubeconfig"
            } else {
                "see `certificate-authority-data` and `tls-server-name` of this cluster in the kubeconfig"
            };
            return Self::new(
                RefusalKind::Certificate,
                format!("the connection to {server} cannot be trusted: {says}"),
                remedy,
            );
        }
        Self::new(
            RefusalKind::Unreachable,
            format!("{server} could not be reached: {says}"),
            format!(
                "see `server` of context {context} in the kubeconfig, and try `kubectl version`; on the node itself --local needs no API server"
            ),
        )
    }

    /// As the reason why something is missing.
    #[must_use]
    pub fn missing(&self, what: impl Into<String>) -> Missing {
        Missing::new(what, self.says.clone()).remedy(self.remedy.clone())
    }

    /// Ends the run: nothing can be looked at without it. A name that matches nothing is reported by `similar_names`.
    #[must_use]
    pub fn fatal(&self, what: &str) -> anyhow::Error {
        let message = format!("{what}: {}", self.missing(what).reason());
        match self.kind {
            RefusalKind::NotFound => NotThere::error(message),
            _ => anyhow::anyhow!(message),
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.says)
    }
}

impl Error for Refusal {}

/// The command that gives the right, read from the API server's own words:
/// `pods is forbidden: User "x" cannot list resource "pods" in API group "" in the namespace "shop"`.
fn grant(message: &str) -> String {
    let quoted = |after: &str| {
        let rest = message.split_once(after)?.1;
        Some(rest.split_once('"')?.0.to_owned())
    };
    let verb = message
        .split_once(" cannot ")
        .and_then(|(_, rest)| rest.split(' ').next())
        .unwrap_or("get");
    match (quoted("resource \""), quoted("in the namespace \"")) {
        (Some(resource), Some(namespace)) => {
            let asked = shell::said("kubectl auth can-i {} {} -n {}", &[&verb, &resource, &namespace]);
            format!("ask for the right: {asked} must say yes")
        }
        (Some(resource), None) => {
            let asked = shell::said("kubectl auth can-i {} {} -A", &[&verb, &resource]);
            format!("ask for the right: {asked} must say yes")
        }
        _ => "ask who runs the cluster for the right".to_owned(),
    }
}

fn short(message: &str) -> String {
    const SHOWN: usize = 160;
    let line = message
        .lines()
        .map(str::trim)
        .find(|line| !line.is_empty())
        .unwrap_or("nothing");
    if line.chars().count() > SHOWN {
        format!("{} ...", line.chars().take(SHOWN).collect::<String>())
    } else {
        line.to_owned()
    }
}

/// An error and its causes, each said once.
fn chain(error: &dyn Error) -> String {
    let mut parts: Vec<String> = Vec::new();
    let mut next = Some(error);
    while let Some(cause) = next {
        let says = cause.to_string();
        next = cause.source();
        // kube prints a cause in its own text, and gives it as the source too: the innermost says it alone.
        if next.is_none_or(|source| !says.contains(&source.to_string())) && !parts.contains(&says) {
            parts.push(says);
        }
    }
    short(&parts.join(": "))
}
