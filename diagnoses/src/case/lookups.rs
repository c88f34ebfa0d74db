//! DNS lookups as rules read them: which names were tried, what each server said, what was never answered.

use crate::case::{Case, Tried};
use crate::words::list;
use model::attempt::{DnsExchange, DnsLookup};
use model::event::{Event, Seen};
use model::flow::TCP;
use std::net::IpAddr;

/// One lookup, or one query to one server.
#[derive(Clone, Copy, Debug)]
pub struct Lookup<'a> {
    /// The attempt.
    pub tried: Tried<'a>,
    /// What it met.
    pub dns: &'a DnsLookup,
}

/// All lookups of a run, single queries among them.
pub fn lookups<'a>(case: &Case<'a>) -> Vec<Lookup<'a>> {
    case.asked()
        .filter_map(|tried| {
            let dns = tried.attempt.dns.as_ref()?;
            Some(Lookup { tried: *tried, dns })
        })
        .collect()
}

impl<'a> Lookup<'a> {
    /// The attempt's number.
    pub fn id(&self) -> u32 {
        self.tried.attempt.id
    }

    /// It found an address (a single query: an answer).
    pub fn found(&self) -> bool {
        if self.tried.attempt.kind == "dns-query" {
            return self.dns.queries.iter().any(answered);
        }
        // Of a lookup that was only watched the addresses are not known.
        !self.dns.addresses.is_empty() || self.dns.found.is_some()
    }

    /// Names in the order in which they were tried.
    pub fn names(&self) -> Vec<&'a str> {
        let mut names: Vec<&str> = Vec::new();
        for query in &self.dns.queries {
            if !names.contains(&query.name.as_str()) {
                names.push(&query.name);
            }
        }
        names
    }

    /// Queries of a name.
    pub fn of(&self, name: &str) -> impl Iterator<Item = &'a DnsExchange> {
        self.dns.queries.iter().filter(move |query| query.name == name)
    }

    /// Queries that were not answered in time.
    pub fn unanswered(&self) -> Vec<&'a DnsExchange> {
        self.dns.queries.iter().filter(|query| !answered(query)).collect()
    }

    /// Every query over UDP to this server went unanswered, and there was one.
    pub fn silent(&self, server: IpAddr) -> bool {
        let mut asked = self
            .dns
            .queries
            .iter()
            .filter(|query| query.flow.dst() == server && query.flow.protocol != TCP)
            .peekable();
        asked.peek().is_some() && asked.all(|query| !answered(query))
    }

    /// Servers in the order in which they were asked.
    pub fn servers(&self) -> Vec<IpAddr> {
        let mut servers = Vec::new();
        for query in &self.dns.queries {
            if !servers.contains(&query.flow.dst()) {
                servers.push(query.flow.dst());
            }
        }
        servers
    }
}

/// An answer came in time.
pub fn answered(query: &DnsExchange) -> bool {
    query.rcode.is_some()
}

/// Servers in words.
pub fn server_words(servers: &[IpAddr]) -> String {
    list(&servers.iter().map(IpAddr::to_string).collect::<Vec<_>>())
}

/// Answers to the query that were seen anywhere, by id and name.
pub fn answers_seen<'a>(case: &Case<'a>, query: &DnsExchange) -> Vec<&'a Event> {
    let (id, name) = (query.id, query.name.clone());
    case.evidence
        .events
        .iter()
        .filter(|event| case.evidence.netns(event.netns).is_some())
        // At the asker's own end its port tells the answers of several servers apart, which may be asked under one id.
        .filter(|event| case.evidence.source.netns != Some(event.netns) || event.flow.dport == query.flow.sport)
        .filter(|event| match &event.seen {
            Seen::DnsAnswer { id: own, name: of, .. } => *own == id && of.eq_ignore_ascii_case(&name),
            _ => false,
        })
        .collect()
}

/// Only a piece of an answer was met there: the first of its IP fragments, which proves nothing about the others. The hop
/// beside it tells.
pub fn is_piece(case: &Case<'_>, answer: &Event) -> bool {
    const SAME_PACKET_NS: u64 = 1_000_000;
    case.evidence.events.iter().any(|event| {
        matches!(event.seen, Seen::Hop { .. })
            && (event.netns, event.flow) == (answer.netns, answer.flow)
            && event.packet.is_some_and(|packet| packet.fragment != 0)
            && event.at_ns.abs_diff(answer.at_ns) < SAME_PACKET_NS
    })
}

/// Longest wait of a query, answered late or in time, in nanoseconds.
pub fn waited_ns(query: &DnsExchange) -> u64 {
    query.latency_ns.or(query.late_ns).unwrap_or(0)
}
