//! `latency` between two ends: only what goes on between them is measured, at both as far as somebody can look there; with what is
//! sent for it, where something is to be sent.

use super::CommandContext;
use super::measured_times::{MeasuredEnd, measured_between};
use super::probe_costs::say_costs;
use super::reach_options::{TIMEOUT, check_port};
use super::sending_options::SendingOptions;
use super::site_options::{SiteOptions, check};
use crate::capture::filter::{CaptureFilter, ResolvedEndpoint};
use crate::capture::window::CaptureWindow;
use crate::conversation::session::Session;
use crate::evidence::{both_ends, gathering};
use crate::exit::{Exit, NotThere, WrongUsage};
use crate::inquiry::attempt_plan::{AttemptPlan, AttemptSource, Protocol, rounds_in};
use crate::inquiry::named_end::{Grammar, NamedEnd, NamedPlace};
use crate::inquiry::question::{DiagnosisQuestion, Inquiry, Via};
use crate::numbers::PlaceNames;
use crate::render;
use anyhow::Result;
use model::attempt::{AttemptSpec, Outcome, Sending};
use model::endpoint::Endpoint;
use model::evidence::{Evidence, Intent, Limits};
use model::missing::Missing;
use model::protocol::Request;
use model::views::{Latency, SentAttempts};
use std::collections::BTreeSet;
use std::net::IpAddr;
use std::time::Duration;
use tokio::time::Instant;

/// What of two ends is measured, and for how long.
#[derive(Debug)]
pub struct LatencyBetween<'a> {
    /// The end that begins to speak.
    pub one: &'a str,
    /// The other, with its port.
    pub other: &'a str,
    /// Whatever goes on between the two, on any port and whoever began it.
    pub any_port: bool,
    /// What to send.
    pub sending: &'a SendingOptions,
    /// How long.
    pub length: Duration,
    /// Where to look.
    pub place: &'a SiteOptions,
    /// The probes that measure.
    pub probes: &'a [String],
}

/// Both ends of a conversation as the kernels know them.
struct ConversationFilter {
    wanted: CaptureFilter,
    endpoints: Vec<ResolvedEndpoint>,
    ends: [MeasuredEnd; 2],
}

impl LatencyBetween<'_> {
    /// Looks; nothing where only the manifests of what would be started are wanted.
    pub async fn measure(&self, context: &CommandContext) -> Result<Option<(Latency, Exit)>> {
        let mut inquiry = self.inquiry()?;
        let site = self.place.site(context).await?;
        let ends = site.ends(&mut inquiry).await?;
        let question = &inquiry.question;
        if let Some(jobs) = self.place.dry_run(&site, &ends, question.longest())? {
            render::manifests(&jobs)?;
            return Ok(None);
        }
        if ends.nodes.is_empty() {
            return Err(NotThere::error(format!(
                "there is no node to look at for {} and {}: neither runs on one where a helper may be started",
                self.one, self.other
            )));
        }
        let (mut session, recording) = self.place.begin(context, &site, &ends, question.longest())?;
        session.hello().await?;
        check(context, &site, &session)?;
        both_ends::complete(&mut session, question.intent, ends).await?;
        let filter = self.filter(&session)?;
        let specs = if question.passive {
            Vec::new()
        } else {
            specs(&session, question)?
        };
        let hello = session.state.nodes.iter().find_map(|node| node.hello.clone());
        say_costs(&hello.unwrap_or_default(), self.probes);
        let names = PlaceNames::of(session.state.evidence.inventory.ok());
        let window = CaptureWindow::open(&mut session, &filter.wanted, &filter.endpoints, self.probes).await?;
        session.progress.stage(if specs.is_empty() {
            "measuring"
        } else {
            "sending and measuring"
        });
        let bound = Instant::now() + self.length;
        let sent = send(&mut session, specs);
        session.until(Some(bound), |_| false).await;
        // What we give up ourselves is measured by nobody.
        window.close(&mut session).await;
        if let Some((node, id)) = sent {
            session.close_each(&[(node, id)]).await;
        }
        session.dismiss().await;
        session.progress.clear();

        let [one, other] = &filter.ends;
        let mut latency = measured_between(&session.state, &names, [one, other]);
        latency.sent = sent.map(|_| outcome(&session.state.evidence));
        let unread = session.state.evidence.inventory.ok().into_iter();
        latency
            .missing
            .extend(unread.flat_map(|inventory| inventory.missing.clone()));
        latency.missing.extend(datagrams(question.plan.protocol));
        let is_empty = latency.places.iter().all(|place| place.stages.is_empty());
        let exit = if is_empty || !session.state.is_whole() {
            Exit::Inconclusive
        } else {
            Exit::Fine
        };
        Ok(Some((latency, recording.end(exit))))
    }

    /// The two ends and what to send, as a question of `diagnose`.
    fn inquiry(&self) -> Result<Inquiry> {
        let grammar = self.place.grammar();
        let (source, destination) = (grammar.source(self.one)?, grammar.destination(self.other)?);
        let passive = !self.sending.names_content();
        self.check(&destination, passive)?;
        let protocol = self.sending.protocol.unwrap_or_default();
        if grammar == Grammar::Machine && !passive {
            check_port(&destination, self.other, protocol)?;
        }
        let question = DiagnosisQuestion {
            intent: Intent::default(),
            plan: AttemptPlan {
                protocol,
                attempts: self.sending.attempts()?,
                timeout: TIMEOUT,
                exchange: self.sending.exchange(&destination)?,
                rounds: rounds_in(self.length),
            },
            family: None,
            passive,
            length: Some(self.length),
            until_fault: false,
            limits: Limits::default(),
            source,
            destination,
        };
        Ok(Inquiry {
            question,
            intent: None,
            // Whatever has no port is asked for without one.
            protocol: if self.any_port {
                Some(Protocol::Icmp)
            } else {
                self.sending.protocol
            },
            via: Via::default(),
        })
    }

    /// Refuses what cannot be meant.
    fn check(&self, destination: &NamedEnd, passive: bool) -> Result<()> {
        let has_port = destination.port.is_some() || destination.port_name.is_some();
        let wrong = |says: String| Err(WrongUsage::error(says));
        match &destination.place {
            NamedPlace::Name(name) if self.place.grammar() != Grammar::Recorded => wrong(format!(
                "`{name}` cannot be told from others: packets carry addresses; write its address"
            )),
            _ if self.any_port && has_port => wrong(format!(
                "--peer is about all ports, and `{}` names one; write it as the second end: latency {} {}",
                self.other, self.one, self.other
            )),
            _ if self.any_port && !passive => wrong(format!(
                "something is sent to one port, and --peer names none; write latency {} {}:PORT",
                self.one, self.other
            )),
            _ if self.sending.protocol == Some(Protocol::Icmp) => {
                wrong("times are measured of tcp and udp, and --protocol is icmp; leave it out".to_owned())
            }
            _ => Ok(()),
        }
    }

    /// What of both ends is let through: in their own namespaces, what has an address of the one at one end and one of the other at the
    /// other.
    fn filter(&self, session: &Session) -> Result<ConversationFilter> {
        let evidence = &session.state.evidence;
        let (one, other) = (&evidence.source, &evidence.destination);
        let far: Vec<&Endpoint> = std::iter::once(other).chain(&session.state.backends).collect();
        // What a namespace has of its own and all others have, too, is an end only of what it says to itself.
        let of_itself = other.addresses.iter().filter(|address| address.is_loopback());
        let mut wanted = CaptureFilter {
            addresses: distinct(others_reach(one).chain(of_itself)),
            peers: distinct(far.iter().flat_map(|end| &end.addresses)),
            ..CaptureFilter::default()
        };
        for (end, addresses) in [(one, &wanted.addresses), (other, &wanted.peers)] {
            if addresses.is_empty() {
                return Err(NotThere::error(format!(
                    "{} has no address by which its packets could be known; name a pod, a service with endpoints, or an address",
                    end.asked
                )));
            }
        }
        if !self.any_port {
            let ports: BTreeSet<u16> = far.iter().filter_map(|end| end.port).collect();
            wanted.ports = ports.into_iter().collect();
        }
        let at_source = session.state.named(&one.node).unwrap_or(0);
        let mut endpoints: Vec<ResolvedEndpoint> = Vec::new();
        for end in std::iter::once(one).chain(far.iter().copied()) {
            let node = if end.node.is_empty() {
                Some(at_source)
            } else {
                session.state.named(&end.node)
            };
            if let (Some(index), Some(_)) = (node, end.netns) {
                endpoints.push(ResolvedEndpoint {
                    index,
                    wanted: true,
                    endpoint: end.clone(),
                });
            }
        }
        // A node where neither end is has nothing to show.
        let nodes = evidence.nodes.iter().map(|node| node.name.clone());
        wanted.endpoints = nodes.map(|node| (node, vec![self.one.to_owned()])).collect();
        let port = other.port.filter(|_| !self.any_port);
        let ends = [
            MeasuredEnd {
                name: one.name.clone(),
                netns: one.netns.into_iter().collect(),
            },
            MeasuredEnd {
                name: port.map_or_else(|| named(other).to_owned(), |port| with_port(named(other), port)),
                netns: far.iter().filter_map(|end| end.netns).collect(),
            },
        ];
        Ok(ConversationFilter {
            wanted,
            endpoints,
            ends,
        })
    }
}

fn named(end: &Endpoint) -> &str {
    if end.name.is_empty() { &end.asked } else { &end.name }
}

fn with_port(name: &str, port: u16) -> String {
    match name.parse::<IpAddr>() {
        Ok(IpAddr::V6(address)) => format!("[{address}]:{port}"),
        _ => format!("{name}:{port}"),
    }
}

/// The addresses of an end that are not the same in every namespace.
fn others_reach(end: &Endpoint) -> impl Iterator<Item = &IpAddr> {
    end.addresses.iter().filter(|address| !address.is_loopback())
}

fn distinct<'a>(addresses: impl Iterator<Item = &'a IpAddr>) -> Vec<IpAddr> {
    addresses.copied().collect::<BTreeSet<_>>().into_iter().collect()
}

/// The attempts of a diagnosis that have times to measure: echo requests are answered by kernels and come to no socket.
fn specs(session: &Session, question: &DiagnosisQuestion) -> Result<Vec<AttemptSpec>> {
    let source = &session.state.evidence.source;
    let Some(netns) = source.netns else {
        return Err(NotThere::error(format!(
            "{} is nowhere that could be sent from",
            source.asked
        )));
    };
    let from = AttemptSource { netns, pid: source.pid };
    let mut specs = gathering::specs(session, question, from)?;
    specs.retain(|spec| !matches!(spec.send, Sending::Echo { .. }));
    Ok(specs)
}

/// Begins to send from the source's node, in a window of its own; which window at which node.
fn send(session: &mut Session, attempts: Vec<AttemptSpec>) -> Option<(usize, u32)> {
    if attempts.is_empty() {
        return None;
    }
    let node = session.state.named(&session.state.evidence.source.node).unwrap_or(0);
    let id = session.number();
    session.ask_at(node, Request::Plan { id, attempts });
    session.ask_at(node, Request::Go { id });
    Some((node, id))
}

/// What the attempts came to that were over in time.
fn outcome(evidence: &Evidence) -> SentAttempts {
    let over = evidence
        .attempts
        .iter()
        .filter(|attempt| attempt.outcome != Outcome::Cancelled);
    SentAttempts {
        made: over.clone().count(),
        failed: over.filter(|attempt| attempt.outcome != Outcome::Ok).count(),
    }
}

/// What is not measured of datagrams.
fn datagrams(protocol: Protocol) -> Option<Missing> {
    (protocol == Protocol::Udp).then(|| {
        let what = "how long datagrams wait in sockets that are connected to nobody";
        Missing::new(what, "such a socket does not tell whose datagram waits in it")
    })
}
