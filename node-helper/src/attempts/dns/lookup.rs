//! A DNS lookup as an attempt: its sockets, a record of each query it sent, and answers that come too late.

use super::message::{self, DnsResponse};
use super::resolver::{Conduct, Next, Question};
use super::search::{CandidateFate, Search};
use super::server::{NameServer, Received};
use super::stream::DnsStream;
use crate::attempts::WorkerReport;
use crate::attempts::socket;
use crate::attempts::task::{Course, Say, Task, Wait};
use hickory_proto::rr::RecordType;
use model::attempt::{AbsoluteName, DnsExchange, DnsLookup, Outcome, WatchedFlow};
use model::errno::Errno;
use model::facts::{HostsFile, ResolvConf};
use model::flow::{Flow, TCP, UDP};
use nix::poll::PollFlags;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::AsFd as _;

/// The answer to what is asked beside a lookup is waited for no longer.
const BESIDE_MAX_NS: u64 = 1_000_000_000;

/// A lookup under way.
pub struct NameLookup {
    search: Search,
    conduct: Conduct,
    types: Vec<(String, RecordType)>,
    /// Why nothing can be asked.
    unfit: Option<String>,
    timeout_ns: u64,
    servers: Vec<NameServer>,
    question: Option<Question>,
    /// Grows with every name, and with every time its queries are sent.
    turn: Turn,
    queries: Vec<Query>,
    stream: Option<DnsStream>,
    found: DnsLookup,
    course: Course,
    /// The resolver gave up after so long. Until the attempt's own time is over, late answers are waited for: they tell
    /// a slow server from a dead one.
    gave_up_after_ns: Option<u64>,
    /// An answer that says the name is not there is an answer all the same: nobody looks a name up here.
    answer_is_all: bool,
    /// What programs ask beside DNS.
    hosts: Option<HostsFile>,
    /// The lookup is over; what the name is without the search list is asked beside it.
    beside: Option<Beside>,
}

/// A question beside the lookup.
struct Beside {
    /// The lookup took so long.
    took_ns: u64,
    /// Its queries; those behind them are not its own.
    queries: usize,
    /// What was found beside it.
    addresses: Vec<IpAddr>,
}

#[derive(Clone, Copy, Default, PartialEq, Eq)]
struct Turn {
    name: u32,
    send: u32,
}

/// A query that was sent; its place in [`DnsLookup::queries`] is its place here.
struct Query {
    server: usize,
    kind: usize,
    turn: Turn,
    tcp: bool,
    answered: bool,
}

impl NameLookup {
    /// A lookup as a resolv.conf wants it.
    pub fn new(course: Course, name: String, resolv: &ResolvConf, types: Vec<String>, timeout_ns: u64) -> Self {
        let servers = resolv
            .nameservers
            .iter()
            .take(3)
            .map(|server| SocketAddr::new(*server, 53))
            .collect();
        let search = Search::new(&name, resolv);
        let mut lookup = Self::over(course, name, search, servers, types, timeout_ns, |servers| {
            Conduct::of(resolv, servers, socket::random())
        });
        lookup.hosts.clone_from(&resolv.hosts);
        lookup
    }

    /// The hosts file knows the name: in its turn, no name server is asked (any more).
    fn known_to_hosts(&mut self, before_dns: bool) -> bool {
        let Some(hosts) = self.hosts.as_ref().filter(|hosts| hosts.before_dns == before_dns) else {
            return false;
        };
        let wanted = |address: &IpAddr| {
            let record = if address.is_ipv4() {
                RecordType::A
            } else {
                RecordType::AAAA
            };
            self.types.iter().any(|(_, own)| *own == record)
        };
        let addresses: Vec<IpAddr> = hosts.addresses(&self.found.name).into_iter().filter(wanted).collect();
        if !addresses.is_empty() {
            self.found.addresses = addresses;
            self.found.found = Some(self.found.name.clone());
            self.found.hosts_file = Some(hosts.path.clone());
        }
        self.found.hosts_file.is_some()
    }

    /// One query to one server.
    pub fn one_query(course: Course, server: SocketAddr, name: String, qtype: String, timeout_ns: u64) -> Self {
        let absolute = format!("{}.", name.trim_end_matches('.'));
        let search = Search::new(&absolute, &ResolvConf::default());
        let conduct = |servers| Conduct {
            servers,
            rounds: 1,
            timeout_ns,
            first: 0,
            single: false,
            tcp: false,
            follow_truncation: false,
        };
        let mut lookup = Self::over(course, name, search, vec![server], vec![qtype], timeout_ns, conduct);
        lookup.answer_is_all = true;
        lookup
    }

    fn over(
        mut course: Course,
        name: String,
        search: Search,
        servers: Vec<SocketAddr>,
        types: Vec<String>,
        timeout_ns: u64,
        conduct: impl FnOnce(usize) -> Conduct,
    ) -> Self {
        let kinds: anyhow::Result<Vec<(String, RecordType)>> = types
            .into_iter()
            .map(|kind| message::record_type(&kind).map(|record| (kind, record)))
            .collect();
        let servers: Vec<NameServer> = servers.into_iter().map(NameServer::new).collect();
        if let Some(server) = servers.first() {
            course.attempt.flow = server.flow;
        }
        let unfit = match &kinds {
            Err(error) => Some(format!("{error:#}")),
            Ok(kinds) if kinds.is_empty() => Some("no record type was asked for".to_owned()),
            Ok(kinds) => message::query(0, name.trim_end_matches('.'), kinds[0].1)
                .err()
                .map(|error| format!("{error:#}")),
        };
        Self {
            search,
            conduct: conduct(servers.len()),
            types: kinds.unwrap_or_default(),
            unfit,
            timeout_ns,
            servers,
            question: None,
            turn: Turn::default(),
            queries: Vec::new(),
            stream: None,
            found: DnsLookup {
                name,
                ..DnsLookup::default()
            },
            course,
            gave_up_after_ns: None,
            answer_is_all: false,
            hosts: None,
            beside: None,
        }
    }

    /// Does what the question wants, until it wants to wait.
    fn follow(&mut self, mut next: Next, now_ns: u64, say: Say) {
        loop {
            next = match next {
                Next::Wait => return,
                Next::Send { server, types, tcp } => {
                    self.turn.send += 1;
                    if tcp {
                        self.open_stream(server, &types, now_ns, say)
                    } else {
                        self.send(server, &types, now_ns)
                    }
                }
                Next::Done(fate) => {
                    self.stream = None;
                    if self.beside.is_some() {
                        return self.finish(Outcome::Ok, say);
                    }
                    if fate == CandidateFate::Found {
                        self.found.found = self.search.name().map(ToOwned::to_owned);
                    }
                    if fate == CandidateFate::Found && self.search.turn_to_the_name_itself() {
                        self.beside = Some(Beside {
                            took_ns: self.course.elapsed_ns(),
                            queries: self.queries.len(),
                            addresses: Vec::new(),
                        });
                        next = self.ask(now_ns);
                        continue;
                    }
                    if !self.search.go_on(fate) {
                        let fate = self.search.fate();
                        if fate == CandidateFate::Silent && self.is_open() {
                            self.gave_up_after_ns = Some(self.course.elapsed_ns());
                            self.question = None;
                            return;
                        }
                        let outcome = if fate != CandidateFate::Found && self.known_to_hosts(false) {
                            Outcome::Ok
                        } else {
                            self.outcome(fate)
                        };
                        return self.finish(outcome, say);
                    }
                    self.ask(now_ns)
                }
            };
        }
    }

    /// Begins with the name that the search is at.
    fn ask(&mut self, now_ns: u64) -> Next {
        self.turn = Turn {
            name: self.turn.name + 1,
            send: 0,
        };
        let mut question = Question::new(&self.conduct, self.types.len());
        let next = question.begin(now_ns);
        self.question = Some(question);
        next
    }

    /// What the question does about a server that cannot be reached.
    fn shut(&mut self, now_ns: u64) -> Next {
        self.question
            .as_mut()
            .map_or(Next::Wait, |question| question.shut(now_ns))
    }

    fn send(&mut self, server: usize, types: &[usize], now_ns: u64) -> Next {
        let Some(name) = self.search.name().map(ToOwned::to_owned) else {
            return Next::Wait;
        };
        let mut places = Vec::new();
        for kind in types {
            let id = socket::random() as u16;
            let place = self.record(server, *kind, id, &name, false);
            places.push(place);
            let sent = message::query(id, &name, self.types[*kind].1)
                .map_err(io::Error::other)
                .and_then(|query| self.servers[server].send(&query));
            self.found.queries[place].flow = self.servers[server].flow;
            if let Err(error) = sent {
                // Perhaps the refusal of the query before: a socket has one error for all.
                for place in places {
                    self.fail(place, &error);
                }
                if let Some(socket) = self.servers[server].socket() {
                    socket::drain_icmp(socket, &mut self.course.attempt.icmp);
                }
                return self.shut(now_ns);
            }
        }
        Next::Wait
    }

    fn open_stream(&mut self, server: usize, types: &[usize], now_ns: u64, say: Say) -> Next {
        let Some(name) = self.search.name().map(ToOwned::to_owned) else {
            return Next::Wait;
        };
        self.found.used_tcp = true;
        let mut queries = Vec::new();
        let mut places = Vec::new();
        for kind in types {
            let id = socket::random() as u16;
            places.push(self.record(server, *kind, id, &name, true));
            if let Ok(query) = message::query(id, &name, self.types[*kind].1) {
                queries.push(query);
            }
        }
        match DnsStream::new(self.servers[server].to, &queries, now_ns) {
            Ok(stream) => {
                let flow = stream.flow();
                for place in places {
                    self.found.queries[place].flow = flow;
                }
                say(WorkerReport::Watch(WatchedFlow {
                    attempt: self.course.attempt.id,
                    netns: 0,
                    flow,
                }));
                self.stream = Some(stream);
                Next::Wait
            }
            Err(error) => {
                for place in places {
                    self.fail(place, &error);
                }
                self.shut(now_ns)
            }
        }
    }

    /// A query that is about to be sent; its place.
    fn record(&mut self, server: usize, kind: usize, id: u16, name: &str, tcp: bool) -> usize {
        let protocol = if tcp { TCP } else { UDP };
        self.found.queries.push(DnsExchange {
            flow: Flow {
                protocol,
                ..self.servers[server].flow
            },
            id,
            name: name.to_owned(),
            qtype: self.types[kind].0.clone(),
            sent_ns: self.course.elapsed_ns(),
            ..DnsExchange::default()
        });
        self.queries.push(Query {
            server,
            kind,
            turn: self.turn,
            tcp,
            answered: false,
        });
        self.queries.len() - 1
    }

    fn fail(&mut self, place: usize, error: &io::Error) {
        self.queries[place].answered = true;
        self.found.queries[place].errno = Some(socket::number(error));
    }

    /// Takes what has come from one server.
    fn receive(&mut self, server: usize, now_ns: u64, say: Say) {
        while let Some(received) = self.servers[server].receive(&mut self.course.attempt.icmp) {
            match received {
                Received::Message(bytes) => self.take(server, &bytes, false, now_ns, say),
                Received::Refused(error) => self.refused(server, &error, now_ns, say),
            }
        }
    }

    /// An error of a server's socket is about what was last sent there.
    fn refused(&mut self, server: usize, error: &io::Error, now_ns: u64, say: Say) {
        let turn = self.turn;
        let places: Vec<usize> = (0..self.queries.len())
            .filter(|place| {
                let query = &self.queries[*place];
                query.server == server && !query.tcp && !query.answered && query.turn == turn
            })
            .collect();
        for place in &places {
            self.fail(*place, error);
        }
        let current = self
            .question
            .as_ref()
            .is_some_and(|question| question.server() == server && !question.over_tcp());
        if self.course.runs() && current && !places.is_empty() {
            let next = self.shut(now_ns);
            self.follow(next, now_ns, say);
        }
    }

    /// A message of a server: whose answer it is, and whether in time.
    fn take(&mut self, server: usize, bytes: &[u8], tcp: bool, now_ns: u64, say: Say) {
        let Some(id) = message::id(bytes) else { return };
        let Some(place) = (0..self.queries.len()).find(|place| {
            let query = &self.queries[*place];
            query.server == server && query.tcp == tcp && !query.answered && self.found.queries[*place].id == id
        }) else {
            return;
        };
        let (kind, turn) = (self.queries[place].kind, self.queries[place].turn);
        let Some(answer) = message::answer(bytes, &self.found.queries[place].name, self.types[kind].1) else {
            return;
        };
        self.queries[place].answered = true;
        let since = self.course.elapsed_ns();
        let waiting = self.question.is_some() && turn.name == self.turn.name;
        self.note(place, &answer, since, waiting && turn == self.turn);
        if self.course.is_over() {
            // Said again, with what came too late.
            self.course.attempt.dns = Some(self.told());
            say(WorkerReport::Attempt(self.course.attempt.clone()));
            return;
        }
        self.course.attempt.first_answer_ns.get_or_insert(since);
        self.course.attempt.received_bytes += bytes.len() as u64;
        // glibc takes an answer to an earlier query for this name too: both carry the same question to the same server.
        let current = self
            .question
            .as_ref()
            .is_some_and(|question| question.server() == server && question.over_tcp() == tcp);
        if waiting && current {
            if !answer.truncated || tcp {
                let found = match &mut self.beside {
                    Some(beside) => &mut beside.addresses,
                    None => &mut self.found.addresses,
                };
                for address in &answer.addresses {
                    if !found.contains(address) {
                        found.push(*address);
                    }
                }
            }
            let next = self
                .question
                .as_mut()
                .map_or(Next::Wait, |question| question.answered(kind, answer, now_ns));
            self.follow(next, now_ns, say);
        }
    }

    fn note(&mut self, place: usize, answer: &DnsResponse, since_ns: u64, in_time: bool) {
        let exchange = &mut self.found.queries[place];
        let took = since_ns.saturating_sub(exchange.sent_ns);
        if in_time {
            exchange.latency_ns = Some(took);
        } else {
            exchange.late_ns = Some(took);
        }
        exchange.rcode = Some(answer.rcode.clone());
        exchange.answers = answer.records;
        exchange.truncated = answer.truncated;
    }

    fn drive_stream(&mut self, now_ns: u64, say: Say) {
        let Some(stream) = &mut self.stream else { return };
        let result = stream.advance(now_ns);
        let (messages, flow) = (stream.messages(), stream.flow());
        let server = self.question.as_ref().map_or(0, Question::server);
        for message in messages {
            self.take(server, &message, true, now_ns, say);
        }
        if let Err(error) = result
            && self.stream.as_ref().is_some_and(|stream| stream.flow() == flow)
        {
            self.stream = None;
            let turn = self.turn;
            for place in 0..self.queries.len() {
                let query = &self.queries[place];
                if query.tcp && !query.answered && query.turn == turn {
                    self.fail(place, &error);
                }
            }
            let next = self.shut(now_ns);
            self.follow(next, now_ns, say);
        }
    }

    fn outcome(&self, fate: CandidateFate) -> Outcome {
        let lookup = |name: &str| Outcome::Error {
            during: "lookup".into(),
            errno: Errno {
                number: 0,
                name: name.into(),
            },
        };
        let last_rcode = || self.found.queries.iter().rev().find_map(|query| query.rcode.as_deref());
        match fate {
            CandidateFate::Found => Outcome::Ok,
            CandidateFate::NoName
            | CandidateFate::NoData
            | CandidateFate::ServerFailed
            | CandidateFate::ServerRefused
                if self.answer_is_all =>
            {
                Outcome::Ok
            }
            CandidateFate::NoName => lookup("NXDOMAIN"),
            CandidateFate::NoData => lookup("NODATA"),
            CandidateFate::ServerFailed => lookup("SERVFAIL"),
            CandidateFate::ServerRefused => lookup(last_rcode().unwrap_or("REFUSED")),
            CandidateFate::Silent => Outcome::TimedOut { during: "read".into() },
            CandidateFate::Shut => match self.found.queries.iter().rev().find_map(|query| query.errno.clone()) {
                Some(errno) => Outcome::Error {
                    during: "read".into(),
                    errno,
                },
                None => Outcome::NotTried {
                    why: "there is no name server to ask".into(),
                },
            },
        }
    }

    fn finish(&mut self, outcome: Outcome, say: Say) {
        self.question = None;
        self.stream = None;
        self.course.attempt.dns = Some(self.told());
        match self
            .beside
            .as_ref()
            .map(|beside| beside.took_ns)
            .or(self.gave_up_after_ns)
        {
            Some(took_ns) => self.course.finish_after(took_ns, outcome, say),
            None => self.course.finish(outcome, say),
        }
    }

    /// The lookup as it is told: what was asked beside it stands apart.
    fn told(&self) -> DnsLookup {
        let mut told = self.found.clone();
        if let Some(beside) = &self.beside {
            told.absolute = Some(AbsoluteName {
                queries: told.queries.split_off(beside.queries),
                addresses: beside.addresses.clone(),
            });
        }
        told
    }

    /// A query over UDP has no answer yet.
    fn is_open(&self) -> bool {
        self.queries.iter().any(|query| !query.tcp && !query.answered)
    }

    fn gives_up_ns(&self) -> u64 {
        let beside = |beside: &Beside| beside.took_ns + BESIDE_MAX_NS;
        let after = self.beside.as_ref().map_or(self.timeout_ns, beside);
        self.course.attempt.started_ns + after.min(self.timeout_ns)
    }
}

impl Task for NameLookup {
    fn flows(&self) -> Vec<Flow> {
        self.servers
            .iter()
            .filter(|server| server.socket().is_some())
            .map(|server| server.flow)
            .collect()
    }

    fn start(&mut self, now_ns: u64, say: Say) {
        self.course.start(now_ns);
        if let Ok(address) = self.found.name.parse::<IpAddr>()
            && !self.answer_is_all
        {
            // getaddrinfo(3) asks nobody for an address.
            self.found.addresses.push(address);
            self.found.found = Some(self.found.name.clone());
            self.finish(Outcome::Ok, say);
        } else if self.known_to_hosts(true) {
            self.finish(Outcome::Ok, say);
        } else if let Some(why) = self.unfit.clone() {
            self.finish(Outcome::NotTried { why }, say);
        } else {
            let next = self.ask(now_ns);
            self.follow(next, now_ns, say);
        }
    }

    fn advance(&mut self, now_ns: u64, say: Say) {
        if !self.course.runs() && !self.course.is_over() {
            return;
        }
        for server in 0..self.servers.len() {
            self.receive(server, now_ns, say);
        }
        self.drive_stream(now_ns, say);
        if !self.course.runs() {
            return;
        }
        let all_told = self.gave_up_after_ns.is_some() && !self.is_open();
        if now_ns >= self.gives_up_ns() || all_told {
            let outcome = if self.beside.is_some() {
                Outcome::Ok
            } else {
                Outcome::TimedOut { during: "read".into() }
            };
            self.finish(outcome, say);
        } else if let Some(question) = &mut self.question {
            let next = question.time(now_ns);
            if next != Next::Wait {
                self.stream = None;
                self.follow(next, now_ns, say);
            }
        }
    }

    fn waits_for(&self) -> Wait<'_> {
        let mut wait = Wait::default();
        for (at, server) in self.servers.iter().enumerate() {
            let open = self.queries.iter().any(|query| query.server == at && !query.answered);
            if let Some(socket) = server.socket()
                && open
            {
                wait.sockets.push((socket.as_fd(), PollFlags::POLLIN));
            }
        }
        if self.course.runs() {
            let ends = self.question.as_ref().map_or(u64::MAX, |question| question.until_ns);
            wait.until_ns = Some(ends.min(self.gives_up_ns()));
            if let Some(stream) = &self.stream {
                stream.waits_for(&mut wait);
            }
        }
        wait
    }

    fn cancel(&mut self, now_ns: u64, say: Say) {
        if self.beside.is_some() && self.course.runs() {
            self.finish(Outcome::Ok, say);
        } else if self.gave_up_after_ns.is_some() && self.course.runs() {
            self.finish(Outcome::TimedOut { during: "read".into() }, say);
        } else if self.course.runs() {
            self.finish(Outcome::Cancelled, say);
        } else {
            self.course.cancel(now_ns, Outcome::Cancelled, say);
        }
    }

    fn watched(&mut self, flow: &Flow) {
        if let Some(stream) = &mut self.stream {
            stream.watched(flow);
        }
    }
}
