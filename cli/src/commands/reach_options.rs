//! The options of a diagnosis: both ends, what to send and for how long; combinations that cannot be meant are refused.

use super::sending_options::SendingOptions;
use super::site_options::SiteOptions;
use crate::exit::WrongUsage;
use crate::inquiry::attempt_plan::{AttemptPlan, IpFamily, Protocol, rounds_in};
use crate::inquiry::durations;
use crate::inquiry::named_end::{self, Grammar, NamedEnd, NamedPlace};
use crate::inquiry::question::{DiagnosisQuestion, Inquiry, Via};
use crate::render::Format;
use anyhow::Result;
use clap::Args;
use model::attempt::Exchange;
use model::evidence::{Intent, Limits};
use std::path::PathBuf;
use std::time::Duration;

/// How long until an attempt is given up.
pub const TIMEOUT: Duration = Duration::from_secs(2);
/// How long until a lookup is given up: glibc's own wait for one answer (resolv.conf(5)).
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);
/// The longest an attempt may take.
const TIMEOUT_MAX: Duration = Duration::from_mins(2);
/// Watching passively goes on for this long, when nothing else is asked.
const PASSIVE: Duration = Duration::from_secs(10);
/// A watch until a fault goes on for this long, when nothing else is asked.
const UNTIL_FAULT: Duration = Duration::from_mins(10);

/// Both ends, and what to send.
#[derive(Debug, Args)]
pub struct ReachOptions {
    /// The end that sends.
    #[arg(help = "The end that sends: [KIND/][NAMESPACE/]NAME. With --local: netns/NAME, pid/N, container/ID or host")]
    source: String,
    /// The end that should answer, with its port, such as db:5432 or db:pg. Written like the source, or an address or a host name
    destination: String,
    #[command(flatten)]
    sending: SendingOptions,
    /// Send nothing. Watch the traffic that runs between the two ends anyway
    #[arg(long, conflicts_with_all = ["send", "http", "bytes", "until_fault"])]
    passive: bool,
    #[command(flatten)]
    pub how: DiagnosisOptions,
}

/// How to look, and how to print the answer.
#[derive(Debug, Args)]
pub struct DiagnosisOptions {
    /// Give up an attempt after this time [default: 2s, for lookups 5s]
    #[arg(long, value_name = "TIME", value_parser = durations::limit)]
    timeout: Option<Duration>,
    /// Use IPv4 only
    #[arg(short = '4', long = "ipv4", conflicts_with = "ipv6")]
    ipv4: bool,
    /// Use IPv6 only
    #[arg(short = '6', long = "ipv6")]
    ipv6: bool,
    /// Go on for this time, such as 30s or 10m, with a round every second
    #[arg(long = "for", value_name = "TIME", value_parser = durations::parse)]
    length: Option<Duration>,
    /// Repeat every second until an attempt fails, then say why. Without --for it stops after 10m
    #[arg(long)]
    until_fault: bool,
    /// Call a connect or an echo slow if it takes longer than this, and a lookup if it takes longer than ten times this [default: 100ms]
    #[arg(long, value_name = "TIME", value_parser = durations::limit)]
    slow: Option<Duration>,
    /// How to print the answer
    #[arg(short, long, value_enum, default_value_t, value_name = "FORMAT")]
    pub output: Format,
    /// Keep what the rules were given in a file, as JSON
    #[arg(long, value_name = "FILE", hide = true)]
    pub evidence: Option<PathBuf>,
    #[command(flatten)]
    pub place: SiteOptions,
}

impl ReachOptions {
    /// The question; without an intent the intent follows from what the ends are.
    pub fn inquiry(&self, intent: Option<Intent>) -> Result<Inquiry> {
        let grammar = self.how.place.grammar();
        let (source, destination) = (grammar.source(&self.source)?, grammar.destination(&self.destination)?);
        let bare_name = matches!(destination.place, NamedPlace::Name(_)) && destination.port.is_none();
        if intent.is_none() && self.sending.protocol.is_none() && bare_name {
            return lookup(&self.source, &self.destination, &self.how);
        }
        let protocol = self.sending.protocol.unwrap_or_default();
        if grammar == Grammar::Machine {
            check_port(&destination, &self.destination, protocol)?;
        }
        self.how.check_family(&destination)?;
        if self.passive && protocol == Protocol::Icmp {
            return Err(WrongUsage::error(
                "--passive needs ports to know which flow is which, and icmp has none; leave --passive out, or watch tcp or udp",
            ));
        }
        let length = self.how.length(self.passive);
        let question = DiagnosisQuestion {
            intent: intent.unwrap_or_default(),
            plan: AttemptPlan {
                protocol,
                attempts: self.sending.attempts()?,
                timeout: self.how.timeout(TIMEOUT)?,
                exchange: self.sending.exchange(&destination)?,
                rounds: self.how.rounds(length),
            },
            family: self.how.family(),
            passive: self.passive,
            length,
            until_fault: self.how.until_fault,
            limits: self.how.limits(),
            source,
            destination,
        };
        Ok(Inquiry {
            question,
            intent,
            protocol: self.sending.protocol,
            via: Via::default(),
        })
    }
}

/// The question whether a name resolves.
pub fn lookup(source: &str, name: &str, how: &DiagnosisOptions) -> Result<Inquiry> {
    let source = how.place.grammar().source(source)?;
    let name = named_end::dns_name(name)?;
    let length = how.length(false);
    let question = DiagnosisQuestion {
        intent: Intent::Dns,
        source,
        destination: NamedEnd {
            place: NamedPlace::Name(name),
            port: None,
            port_name: None,
        },
        plan: AttemptPlan {
            protocol: Protocol::Udp,
            attempts: 1,
            timeout: how.timeout(LOOKUP_TIMEOUT)?,
            exchange: Exchange::None,
            rounds: how.rounds(length),
        },
        family: how.family(),
        passive: false,
        length,
        until_fault: how.until_fault,
        limits: how.limits(),
    };
    Ok(Inquiry {
        question,
        intent: Some(Intent::Dns),
        protocol: Some(Protocol::Udp),
        via: Via::default(),
    })
}

impl DiagnosisOptions {
    fn family(&self) -> Option<IpFamily> {
        if self.ipv4 {
            Some(IpFamily::V4)
        } else if self.ipv6 {
            Some(IpFamily::V6)
        } else {
            None
        }
    }

    fn check_family(&self, destination: &NamedEnd) -> Result<()> {
        match (&destination.place, self.family()) {
            (NamedPlace::Address(address), Some(family)) if !family.of(*address) => {
                let (flag, version) = if family == IpFamily::V4 {
                    ("-4", "IPv6")
                } else {
                    ("-6", "IPv4")
                };
                Err(WrongUsage::error(format!(
                    "{address} is an {version} address, and {flag} excludes it; leave {flag} out"
                )))
            }
            _ => Ok(()),
        }
    }

    fn timeout(&self, default: Duration) -> Result<Duration> {
        match self.timeout {
            Some(timeout) if timeout > TIMEOUT_MAX => Err(WrongUsage::error(format!(
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
            Some(length) if !self.until_fault => rounds_in(length),
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

/// Refuses a port that the protocol has not, and that there is none where it has.
pub fn check_port(destination: &NamedEnd, text: &str, protocol: Protocol) -> Result<()> {
    match (protocol, destination.port) {
        (Protocol::Icmp, Some(port)) => Err(WrongUsage::error(format!(
            "icmp has no ports, and `{text}` names port {port}; write `{}`",
            destination.asked()
        ))),
        (Protocol::Tcp | Protocol::Udp, None) => {
            let with = match &destination.place {
                NamedPlace::Address(address) if address.is_ipv6() => format!("[{address}]:80"),
                _ => format!("{}:80", destination.asked()),
            };
            Err(WrongUsage::error(format!(
                "{} needs a port, and `{text}` has none; write `{with}`, or use --protocol icmp",
                protocol.name()
            )))
        }
        _ => Ok(()),
    }
}
