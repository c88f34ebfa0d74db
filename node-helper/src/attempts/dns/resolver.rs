//! How one name is asked for: servers in turn, rounds, both types at once or one after the other, TCP when truncated.
//! Only decisions, after glibc's `res_send.c`; sockets are the lookup's.

use super::message::DnsResponse;
use super::search::CandidateFate;
use model::facts::ResolvConf;

/// glibc's own bound of servers.
const SERVERS_MAX: usize = 3;

const SECOND_NS: u64 = 1_000_000_000;

/// How it is asked.
#[derive(Clone, Debug)]
pub struct Conduct {
    /// How many servers there are.
    pub servers: usize,
    /// Rounds through them.
    pub rounds: u32,
    /// Until the first server is given up.
    pub timeout_ns: u64,
    /// With which server to begin (`options rotate`).
    pub first: usize,
    /// The second type only after the answer to the first (`options single-request`).
    pub single: bool,
    /// TCP from the start (`options use-vc`).
    pub tcp: bool,
    /// TCP after a truncated answer.
    pub follow_truncation: bool,
}

impl Conduct {
    /// As a resolv.conf wants it. `chance` decides where to begin when servers rotate.
    pub fn of(resolv: &ResolvConf, servers: usize, chance: u64) -> Self {
        let option = |names: &[&str]| resolv.options.iter().any(|option| names.contains(&option.as_str()));
        let servers = servers.min(SERVERS_MAX);
        Self {
            servers,
            rounds: resolv.attempts.max(1),
            timeout_ns: u64::from(resolv.timeout_s.max(1)) * SECOND_NS,
            first: if option(&["rotate"]) && servers > 0 {
                (chance % servers as u64) as usize
            } else {
                0
            },
            single: option(&["single-request", "single-request-reopen"]),
            tcp: option(&["use-vc"]),
            follow_truncation: true,
        }
    }
}

/// What to do next.
#[derive(Debug, PartialEq, Eq)]
pub enum Next {
    /// Wait for answers until [`Question::until_ns`].
    Wait,
    /// Ask this server for these types.
    Send {
        server: usize,
        types: Vec<usize>,
        tcp: bool,
    },
    /// The name has met this.
    Done(CandidateFate),
}

/// One name on its way through the servers.
#[derive(Debug)]
pub struct Question {
    conduct: Conduct,
    types: usize,
    round: u32,
    slot: usize,
    single: bool,
    tcp: bool,
    answers: Vec<Option<DnsResponse>>,
    /// Until the current server is given up.
    pub until_ns: u64,
    silent: bool,
    failure: Option<CandidateFate>,
}

impl Question {
    /// A name to be asked for with so many types.
    pub fn new(conduct: &Conduct, types: usize) -> Self {
        Self {
            types,
            round: 0,
            slot: 0,
            single: conduct.single,
            tcp: conduct.tcp,
            answers: vec![None; types],
            until_ns: 0,
            silent: false,
            failure: None,
            conduct: conduct.clone(),
        }
    }

    /// The first queries.
    pub fn begin(&mut self, now_ns: u64) -> Next {
        if self.conduct.servers == 0 {
            return Next::Done(CandidateFate::Shut);
        }
        self.ask(now_ns)
    }

    /// The server that is asked now.
    pub fn server(&self) -> usize {
        (self.conduct.first + self.slot) % self.conduct.servers.max(1)
    }

    /// It is asked over TCP.
    pub fn over_tcp(&self) -> bool {
        self.tcp
    }

    /// An answer for one type has come from the server that is asked now.
    pub fn answered(&mut self, kind: usize, answer: DnsResponse, now_ns: u64) -> Next {
        if answer.truncated && !self.tcp && self.conduct.follow_truncation {
            self.tcp = true;
            self.answers = vec![None; self.types];
            return self.ask(now_ns);
        }
        match self.answers.get_mut(kind) {
            Some(slot @ None) => *slot = Some(answer),
            _ => return Next::Wait,
        }
        if let Some(missing) = self.answers.iter().position(Option::is_none) {
            if self.single && !self.tcp {
                self.until_ns = now_ns + self.patience_ns();
                return Next::Send {
                    server: self.server(),
                    types: vec![missing],
                    tcp: false,
                };
            }
            return Next::Wait;
        }
        self.settle(now_ns)
    }

    /// The server that is asked now cannot be reached.
    pub fn shut(&mut self, now_ns: u64) -> Next {
        if self.answers.iter().any(Option::is_some) {
            return self.settle(now_ns);
        }
        self.next_server(now_ns)
    }

    /// Looks at the time.
    pub fn time(&mut self, now_ns: u64) -> Next {
        if now_ns < self.until_ns {
            return Next::Wait;
        }
        let some = self.answers.iter().any(Option::is_some);
        if some && !self.single && !self.tcp {
            // There are servers and firewalls that lose the second of two queries: then one after the other.
            self.single = true;
            self.answers = vec![None; self.types];
            return self.ask(now_ns);
        }
        self.silent = true;
        if some {
            return self.settle(now_ns);
        }
        self.next_server(now_ns)
    }

    fn ask(&mut self, now_ns: u64) -> Next {
        self.until_ns = now_ns + self.patience_ns();
        let all = if self.single && !self.tcp { 1 } else { self.types };
        Next::Send {
            server: self.server(),
            types: (0..all).collect(),
            tcp: self.tcp,
        }
    }

    /// Later servers are given more time, shared by their number; at least a second where it is a resolv.conf's.
    fn patience_ns(&self) -> u64 {
        if self.slot == 0 {
            return self.conduct.timeout_ns;
        }
        let shared_ns = (self.conduct.timeout_ns << self.slot) / self.conduct.servers as u64;
        // glibc counts in whole seconds.
        (shared_ns / SECOND_NS).max(1) * SECOND_NS
    }

    /// With the answers of one server there is a fate, unless all of them say that it does not work.
    fn settle(&mut self, now_ns: u64) -> Next {
        let answers: Vec<&DnsResponse> = self.answers.iter().flatten().collect();
        let works = |answer: &&&DnsResponse| matches!(answer.rcode.as_str(), "NOERROR" | "NXDOMAIN");
        let good: Vec<&&DnsResponse> = answers.iter().filter(works).collect();
        if good.is_empty() {
            self.failure = Some(if answers.iter().any(|answer| answer.rcode == "SERVFAIL") {
                CandidateFate::ServerFailed
            } else {
                CandidateFate::ServerRefused
            });
            return self.next_server(now_ns);
        }
        Next::Done(if good.iter().any(|answer| answer.of_type) {
            CandidateFate::Found
        } else if good.iter().any(|answer| answer.rcode == "NXDOMAIN") {
            CandidateFate::NoName
        } else {
            CandidateFate::NoData
        })
    }

    fn next_server(&mut self, now_ns: u64) -> Next {
        self.answers = vec![None; self.types];
        self.tcp = self.conduct.tcp;
        self.slot += 1;
        if self.slot >= self.conduct.servers {
            self.slot = 0;
            self.round += 1;
        }
        if self.round < self.conduct.rounds {
            return self.ask(now_ns);
        }
        Next::Done(match self.failure {
            Some(failure) => failure,
            None if self.silent => CandidateFate::Silent,
            None => CandidateFate::Shut,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::{Conduct, Next, Question, SECOND_NS as SECOND};
    use crate::attempts::dns::message::DnsResponse;
    use crate::attempts::dns::search::CandidateFate;
    use model::facts::ResolvConf;

    fn conduct(servers: usize, options: &[&str]) -> Conduct {
        let resolv = ResolvConf {
            timeout_s: 5,
            attempts: 2,
            options: options.iter().map(ToString::to_string).collect(),
            ..ResolvConf::default()
        };
        Conduct::of(&resolv, servers, 0)
    }

    fn answer(rcode: &str, of_type: bool) -> DnsResponse {
        DnsResponse {
            id: 1,
            rcode: rcode.into(),
            records: of_type.into(),
            of_type,
            truncated: false,
            addresses: Vec::new(),
        }
    }

    fn send(server: usize, types: &[usize], tcp: bool) -> Next {
        Next::Send {
            server,
            types: types.to_vec(),
            tcp,
        }
    }

    #[test]
    fn both_types_are_asked_at_once_and_one_address_is_enough() {
        let mut question = Question::new(&conduct(1, &[]), 2);
        assert_eq!(question.begin(0), send(0, &[0, 1], false));
        assert_eq!(question.answered(1, answer("NOERROR", false), 1), Next::Wait);
        assert_eq!(
            question.answered(0, answer("NOERROR", true), 2),
            Next::Done(CandidateFate::Found)
        );
    }

    #[test]
    fn silence_goes_through_servers_and_rounds_with_glibcs_patience() {
        let mut question = Question::new(&conduct(2, &[]), 2);
        question.begin(0);
        let mut now = 0;
        let mut waits = Vec::new();
        let mut asked = Vec::new();
        loop {
            waits.push((question.until_ns - now) / SECOND);
            now = question.until_ns;
            match question.time(now) {
                Next::Send { server, .. } => asked.push(server),
                next => {
                    assert_eq!(next, Next::Done(CandidateFate::Silent));
                    break;
                }
            }
        }
        assert_eq!((asked, waits), (vec![1, 0, 1], vec![5, 5, 5, 5]));
    }

    #[test]
    fn a_truncated_answer_is_asked_for_again_over_tcp() {
        let mut question = Question::new(&conduct(1, &[]), 2);
        question.begin(0);
        let mut truncated = answer("NOERROR", true);
        truncated.truncated = true;
        assert_eq!(question.answered(0, truncated, 1), send(0, &[0, 1], true));
        assert_eq!(
            question.shut(2),
            send(0, &[0, 1], false),
            "the next round begins with UDP"
        );
    }

    #[test]
    fn one_lost_answer_makes_the_queries_single() {
        let mut question = Question::new(&conduct(1, &[]), 2);
        question.begin(0);
        question.answered(0, answer("NOERROR", true), 1);
        assert_eq!(question.time(5 * SECOND), send(0, &[0], false));
        assert_eq!(
            question.answered(0, answer("NOERROR", true), 6 * SECOND),
            send(0, &[1], false)
        );
        assert_eq!(
            question.time(11 * SECOND),
            Next::Done(CandidateFate::Found),
            "half an answer is one"
        );
    }

    #[test]
    fn a_failing_server_is_passed_over() {
        let mut question = Question::new(&conduct(2, &[]), 1);
        question.begin(0);
        assert_eq!(question.answered(0, answer("SERVFAIL", false), 1), send(1, &[0], false));
        assert_eq!(
            question.answered(0, answer("NXDOMAIN", false), 2),
            Next::Done(CandidateFate::NoName)
        );
    }

    #[test]
    fn where_all_servers_fail_so_does_the_question() {
        let all = |failing: fn(&mut Question) -> Next| {
            let mut question = Question::new(&conduct(2, &[]), 1);
            question.begin(0);
            loop {
                if let Next::Done(fate) = failing(&mut question) {
                    return fate;
                }
            }
        };
        assert_eq!(all(|question| question.shut(1)), CandidateFate::Shut);
        assert_eq!(
            all(|question| question.answered(0, answer("SERVFAIL", false), 1)),
            CandidateFate::ServerFailed
        );
        assert_eq!(
            all(|question| question.answered(0, answer("REFUSED", false), 1)),
            CandidateFate::ServerRefused
        );
    }

    #[test]
    fn options_are_heeded() {
        let mut question = Question::new(&conduct(1, &["single-request"]), 2);
        assert_eq!(question.begin(0), send(0, &[0], false));
        assert_eq!(question.answered(0, answer("NOERROR", true), 1), send(0, &[1], false));
        let mut question = Question::new(&conduct(1, &["use-vc"]), 2);
        assert_eq!(question.begin(0), send(0, &[0, 1], true));
        let resolv = ResolvConf {
            options: vec!["rotate".into()],
            ..ResolvConf::default()
        };
        assert_eq!(Conduct::of(&resolv, 3, 5).first, 2);
        assert_eq!(Conduct::of(&resolv, 9, 0).servers, 3);
    }
}
