//! `diagnose`: what is wrong between two ends, and how that is known.

use super::Run;
use super::place::{Where, block_on};
use crate::exit::{Exit, Usage};
use crate::gather::{Question, gather};
use crate::plan::{ATTEMPTS, Family, Protocol, Wish};
use crate::program::Context;
use crate::render::{self, Format};
use crate::target::{self, Place, Target};
use crate::{report, window};
use anyhow::{Context as _, Result};
use clap::{Args, Subcommand};
use model::attempt::Exchange;
use model::evidence::{Intent, Limits};
use model::report::Outcome;
use std::path::PathBuf;
use std::time::Duration;
use tokio::time::Instant;

/// The most attempts in one round.
const ATTEMPTS_MAX: u32 = 1_000;
/// The most bytes a connection may send: a few seconds of a fast link.
const BYTES_MAX: u64 = 10_000_000_000;
/// The most bytes a datagram may carry (65 535 less IP and UDP headers).
const DATAGRAM_MAX: u64 = 65_507;
/// Until an attempt is given up.
const TIMEOUT: Duration = Duration::from_secs(2);
/// Until a lookup is given up: glibc's own wait for one answer (resolv.conf(5)).
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest an attempt may take.
const TIMEOUT_MAX: Duration = Duration::from_mins(2);
/// Watching passively goes on for this long, when nothing else is asked.
const PASSIVE: Duration = Duration::from_secs(10);
/// A watch until a fault goes on for this long, when nothing else is asked.
const UNTIL_FAULT: Duration = Duration::from_mins(10);

/// Find out what is wrong between two ends, and prove it
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  # Can netns a reach port 80 of netns c, and if not, why?
  sudo kubectl-skoop diagnose pod-to-pod netns/a netns/c:80 --local
  # Does a name resolve for process 4711?
  sudo kubectl-skoop diagnose dns pid/4711 api.default.svc.cluster.local --local")]
pub struct Diagnose {
    #[command(subcommand)]
    what: What,
}

#[derive(Debug, Subcommand)]
enum What {
    PodToPod(PodToPod),
    Dns(Dns),
}

/// Can one end reach the other?
///
/// Sends a few real packets from inside the source, follows them hop by hop through the kernel and names the cause.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl-skoop diagnose pod-to-pod netns/a netns/c:80 --local
  kubectl-skoop diagnose pod-to-pod pid/4711 10.90.2.2:53 --protocol udp --local -o json
  kubectl-skoop diagnose pod-to-pod host [fd90:2::2]:443 -6 --http /healthz --local
  kubectl-skoop diagnose pod-to-pod container/3f2a9c netns/c --protocol icmp --local
  kubectl-skoop diagnose pod-to-pod netns/a netns/c:80 --for 10m --until-fault --local")]
struct PodToPod {
    /// The end that sends: netns/NAME, pid/N, container/ID or host
    source: String,
    /// The end that should answer, with a port for tcp and udp: those, an address, or a name
    destination: String,
    /// What to send
    #[arg(long, value_enum, default_value_t)]
    protocol: Protocol,
    /// Send this text and read the answer to its end
    #[arg(long, value_name = "TEXT", conflicts_with_all = ["http", "bytes"])]
    send: Option<String>,
    /// Ask for this path by HTTP and read the answer to its end
    #[arg(long, value_name = "PATH", conflicts_with = "bytes")]
    http: Option<String>,
    /// Send this many bytes on each connection, to a server that takes them
    #[arg(long, value_name = "N")]
    bytes: Option<u64>,
    /// Connections, datagrams or echo requests in a round
    #[arg(long, value_name = "N", default_value_t = ATTEMPTS)]
    attempts: u32,
    /// Send nothing; watch the traffic that goes on between the two ends
    #[arg(long, conflicts_with_all = ["send", "http", "bytes", "until_fault"])]
    passive: bool,
    #[command(flatten)]
    how: How,
}

/// Does a name resolve?
///
/// Looks it up as the source's own programs would: its resolv.conf, search list and ndots.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl-skoop diagnose dns netns/a api.default.svc.cluster.local --local
  kubectl-skoop diagnose dns pid/4711 example.com -4 --local")]
struct Dns {
    /// The end that asks: netns/NAME, pid/N, container/ID or host
    source: String,
    /// The name to look up
    name: String,
    #[command(flatten)]
    how: How,
}

#[derive(Debug, Args)]
struct How {
    /// Give an attempt up after this long [default: 2s, for lookups 5s]
    #[arg(long, value_name = "TIME", value_parser = window::limit)]
    timeout: Option<Duration>,
    /// IPv4 only
    #[arg(short = '4', long = "ipv4", conflicts_with = "ipv6")]
    ipv4: bool,
    /// IPv6 only
    #[arg(short = '6', long = "ipv6")]
    ipv6: bool,
    /// Go on for this long, with a round every second
    #[arg(long = "for", value_name = "TIME", value_parser = window::parse)]
    length: Option<Duration>,
    /// Begin anew every second until an attempt fails, then tell why
    #[arg(long)]
    until_fault: bool,
    /// Call a connect or echo slow from here on, and a lookup from ten times this
    #[arg(long, value_name = "TIME", value_parser = window::limit)]
    slow: Option<Duration>,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    output: Format,
    /// Keep what the rules were given in a file, as JSON
    #[arg(long, value_name = "FILE", hide = true)]
    evidence: Option<PathBuf>,
    #[command(flatten)]
    place: Where,
}

impl Run for Diagnose {
    const NAME: &'static str = "diagnose";

    fn run(self, context: &Context) -> Result<Exit> {
        let (question, how) = match self.what {
            What::PodToPod(asked) => (asked.question()?, asked.how),
            What::Dns(asked) => (asked.question()?, asked.how),
        };
        block_on(answer(&question, &how, context))
    }
}

async fn answer(question: &Question, how: &How, context: &Context) -> Result<Exit> {
    let started = Instant::now();
    let site = how.place.site(context)?;
    let ends = site.ends(&question.source, &question.destination);
    let mut session = how.place.begin(context, &site, &ends)?;
    session.hello().await?;
    how.place.check(context, &site, &session)?;
    let (evidence, timing) = gather(&mut session, question, ends, started).await?;
    if let Some(file) = &how.evidence {
        let write = || anyhow::Ok(std::fs::write(file, serde_json::to_vec(&evidence)?)?);
        write().with_context(|| format!("writing the evidence to {}", file.display()))?;
    }
    let judging = Instant::now();
    let mut report = report::of(evidence, timing);
    report.timing.verdict_ms += judging.elapsed().as_millis() as u64;
    report.timing.total_ms = started.elapsed().as_millis() as u64;
    session.progress.clear();
    render::report(&report, how.output, context.colour)?;
    Ok(match report.outcome {
        Outcome::Healthy => Exit::Fine,
        Outcome::Fault => Exit::Fault,
        Outcome::Inconclusive => Exit::Inconclusive,
    })
}

impl PodToPod {
    fn question(&self) -> Result<Question> {
        let (source, destination) = (target::source(&self.source)?, target::destination(&self.destination)?);
        check_port(&destination, &self.destination, self.protocol)?;
        self.how.check_family(&destination)?;
        if self.passive && self.protocol == Protocol::Icmp {
            return Err(Usage::error(
                "--passive tells flows by their ports, and icmp has none; leave --passive out, or watch tcp or udp",
            ));
        }
        let length = self.how.length(self.passive);
        Ok(Question {
            intent: Intent::PodToPod,
            wish: Wish {
                protocol: self.protocol,
                attempts: self.attempts()?,
                timeout: self.how.timeout(TIMEOUT)?,
                exchange: self.exchange(&destination)?,
                rounds: self.how.rounds(length),
            },
            family: self.how.family(),
            passive: self.passive,
            length,
            until_fault: self.how.until_fault,
            limits: self.how.limits(),
            source,
            destination,
        })
    }

    fn attempts(&self) -> Result<u32> {
        match self.attempts {
            0 => Err(Usage::error(
                "--attempts 0 sends nothing; use 1 or more, or --passive to watch your own traffic",
            )),
            many if many > ATTEMPTS_MAX => Err(Usage::error(format!(
                "--attempts {many} is too many; use up to {ATTEMPTS_MAX}"
            ))),
            some => Ok(some),
        }
    }

    fn exchange(&self, destination: &Target) -> Result<Exchange> {
        let wrong = |option: &str, only: &str| {
            Err(Usage::error(format!(
                "{option} is for {only}, and --protocol is {}",
                self.protocol.name()
            )))
        };
        match (&self.send, &self.http, self.bytes, self.protocol) {
            (None, None, None, _) => Ok(Exchange::None),
            (Some(_), _, _, Protocol::Icmp) => wrong("--send", "tcp and udp"),
            (_, _, Some(_), Protocol::Icmp) => wrong("--bytes", "tcp and udp"),
            (_, Some(_), _, Protocol::Udp | Protocol::Icmp) => wrong("--http", "tcp"),
            (Some(text), ..) => Ok(Exchange::Text(text.clone().into_bytes())),
            (_, Some(path), ..)
                if !path.starts_with('/') || path.contains(|c: char| c.is_whitespace() || c.is_control()) =>
            {
                Err(Usage::error(format!(
                    "`{path}` is no path of an HTTP request; write it as /healthz"
                )))
            }
            (_, Some(path), ..) => {
                // The name is what a virtual host goes by; an address is filled in where there is none.
                let host = match &destination.place {
                    Place::Name(name) => format!("{name}:{}", destination.port.unwrap_or(80)),
                    _ => String::new(),
                };
                Ok(Exchange::Http {
                    path: path.clone(),
                    host,
                })
            }
            (_, _, Some(0), _) => Err(Usage::error("--bytes 0 sends nothing; use 1 or more")),
            (_, _, Some(count), Protocol::Udp) if count > DATAGRAM_MAX => Err(Usage::error(format!(
                "--bytes {count} is more than a datagram carries; use up to {DATAGRAM_MAX}"
            ))),
            (_, _, Some(count), _) if count > BYTES_MAX => Err(Usage::error(format!(
                "--bytes {count} is too many; use up to {BYTES_MAX}"
            ))),
            (_, _, Some(count), _) => Ok(Exchange::Bytes(count)),
        }
    }
}

impl Dns {
    fn question(&self) -> Result<Question> {
        let source = target::source(&self.source)?;
        let name = target::dns_name(&self.name)?;
        let length = self.how.length(false);
        Ok(Question {
            intent: Intent::Dns,
            source,
            destination: Target {
                place: Place::Name(name),
                port: None,
            },
            wish: Wish {
                protocol: Protocol::Udp,
                attempts: 1,
                timeout: self.how.timeout(LOOKUP_TIMEOUT)?,
                exchange: Exchange::None,
                rounds: self.how.rounds(length),
            },
            family: self.how.family(),
            passive: false,
            length,
            until_fault: self.how.until_fault,
            limits: self.how.limits(),
        })
    }
}

impl How {
    fn family(&self) -> Option<Family> {
        if self.ipv4 {
            Some(Family::V4)
        } else if self.ipv6 {
            Some(Family::V6)
        } else {
            None
        }
    }

    fn check_family(&self, destination: &Target) -> Result<()> {
        match (&destination.place, self.family()) {
            (Place::Address(address), Some(family)) if !family.of(*address) => {
                let (flag, version) = if family == Family::V4 {
                    ("-4", "IPv6")
                } else {
                    ("-6", "IPv4")
                };
                Err(Usage::error(format!(
                    "{address} is an {version} address, and {flag} excludes it; leave {flag} out"
                )))
            }
            _ => Ok(()),
        }
    }

    fn timeout(&self, default: Duration) -> Result<Duration> {
        match self.timeout {
            Some(timeout) if timeout > TIMEOUT_MAX => Err(Usage::error(format!(
                "--timeout is {} s; use up to {} s",
                timeout.as_secs(),
                TIMEOUT_MAX.as_secs()
            ))),
            timeout => Ok(timeout.unwrap_or(default)),
        }
    }

    fn length(&self, passive: bool) -> Option<Duration> {
        match self.length {
            None if passive => Some(PASSIVE),
            None if self.until_fault => Some(UNTIL_FAULT),
            length => length,
        }
    }

    /// A watch without an end in sight plans its rounds at once: as many as fit.
    fn rounds(&self, length: Option<Duration>) -> u32 {
        match length {
            Some(length) if !self.until_fault => (length.as_secs() as u32).clamp(1, ROUNDS_MAX),
            _ => 1,
        }
    }

    fn limits(&self) -> Limits {
        self.slow.map_or_else(Limits::default, |slow| {
            let slow_ms = slow.as_millis() as u64;
            Limits {
                slow_ms,
                dns_slow_ms: slow_ms * 10,
            }
        })
    }
}

/// Most rounds of one watch: each has sockets of its own, with their ports reserved beforehand.
const ROUNDS_MAX: u32 = 600;

fn check_port(destination: &Target, text: &str, protocol: Protocol) -> Result<()> {
    match (protocol, destination.port) {
        (Protocol::Icmp, Some(port)) => Err(Usage::error(format!(
            "icmp has no ports, and `{text}` names port {port}; write `{}`",
            destination.asked()
        ))),
        (Protocol::Tcp | Protocol::Udp, None) => {
            let with = match &destination.place {
                Place::Address(address) if address.is_ipv6() => format!("[{address}]:80"),
                _ => format!("{}:80", destination.asked()),
            };
            Err(Usage::error(format!(
                "{} needs a port, and `{text}` has none; write `{with}`, or use --protocol icmp",
                protocol.name()
            )))
        }
        _ => Ok(()),
    }
}
