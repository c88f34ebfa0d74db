//! Which names a lookup asks for, in which order, and after what answer it stops: glibc's `res_query.c`.

use model::facts::ResolvConf;

/// What came of one name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum CandidateFate {
    /// Records of the type asked for.
    Found,
    /// NXDOMAIN.
    NoName,
    /// The name exists, without such records.
    NoData,
    /// SERVFAIL.
    ServerFailed,
    /// Another error code, REFUSED or NOTIMP.
    ServerRefused,
    /// No server answered in time.
    Silent,
    /// Nothing listens at any server.
    Shut,
}

#[derive(Debug, PartialEq, Eq)]
struct Candidate {
    name: String,
    from_list: bool,
}

/// The walk through the candidates of one name.
#[derive(Debug)]
pub struct Search {
    candidates: Vec<Candidate>,
    at: usize,
    /// The most telling fate so far, which is the lookup's when nothing is found.
    told: Option<CandidateFate>,
}

impl Search {
    /// The candidates that glibc would try.
    pub fn new(name: &str, resolv: &ResolvConf) -> Self {
        let dots = name.matches('.').count();
        let as_it_is = |name: &str| Candidate {
            name: name.trim_end_matches('.').to_owned(),
            from_list: false,
        };
        let mut candidates = Vec::new();
        if name.ends_with('.') {
            candidates.push(as_it_is(name));
        } else {
            let first = dots >= resolv.ndots as usize;
            if first {
                candidates.push(as_it_is(name));
            }
            let mut root_in_list = false;
            for domain in &resolv.search {
                let domain = domain.trim_matches('.');
                root_in_list |= domain.is_empty();
                candidates.push(Candidate {
                    name: if domain.is_empty() {
                        name.to_owned()
                    } else {
                        format!("{name}.{domain}")
                    },
                    from_list: true,
                });
            }
            let top_level =
                dots > 0 || resolv.search.is_empty() || !resolv.options.iter().any(|option| option == "no-tld-query");
            if !first && !root_in_list && top_level {
                candidates.push(as_it_is(name));
            }
        }
        Self {
            candidates,
            at: 0,
            told: None,
        }
    }

    /// The name to ask for now.
    pub fn name(&self) -> Option<&str> {
        self.candidates.get(self.at).map(|candidate| candidate.name.as_str())
    }

    /// Goes on after the fate of this name; false when the lookup is over.
    pub fn go_on(&mut self, fate: CandidateFate) -> bool {
        let Some(current) = self.candidates.get(self.at) else {
            return false;
        };
        let from_list = current.from_list;
        self.told = Some(match (self.told, fate) {
            // glibc: an empty answer outweighs a failed server, which outweighs a name that is not there.
            (Some(CandidateFate::NoData), CandidateFate::NoName | CandidateFate::ServerFailed) => CandidateFate::NoData,
            (Some(CandidateFate::ServerFailed), CandidateFate::NoName) => CandidateFate::ServerFailed,
            (_, fate) => fate,
        });
        let next = match fate {
            CandidateFate::Found => return false,
            CandidateFate::Shut if from_list => return false,
            // Further names of the list would meet the same; the name as it is gets its chance.
            CandidateFate::Silent | CandidateFate::ServerRefused if from_list => self.candidates[self.at..]
                .iter()
                .position(|candidate| !candidate.from_list)
                .map_or(self.candidates.len(), |ahead| self.at + ahead),
            _ => self.at + 1,
        };
        self.at = next;
        self.at < self.candidates.len()
    }

    /// Goes to the name as it was written, where a name of the list was found instead and the name has more than one label: true
    /// if it was not asked for yet.
    pub fn turn_to_the_name_itself(&mut self) -> bool {
        let found_in_list = self.candidates.get(self.at).is_some_and(|found| found.from_list);
        let ahead = self.candidates.iter().skip(self.at);
        let itself = ahead
            .enumerate()
            .find(|(_, candidate)| !candidate.from_list && candidate.name.contains('.'));
        match itself {
            Some((ahead, _)) if found_in_list => {
                self.at += ahead;
                true
            }
            _ => false,
        }
    }

    /// What came of the lookup.
    pub fn fate(&self) -> CandidateFate {
        self.told.unwrap_or(CandidateFate::NoName)
    }
}

#[cfg(test)]
mod tests {
    use super::{CandidateFate, Search};
    use model::facts::ResolvConf;

    fn resolv(search: &[&str], ndots: u32) -> ResolvConf {
        ResolvConf {
            search: search.iter().map(ToString::to_string).collect(),
            ndots,
            ..ResolvConf::default()
        }
    }

    /// All names asked for when each meets this fate.
    fn asked(name: &str, resolv: &ResolvConf, fate: CandidateFate) -> Vec<String> {
        let mut search = Search::new(name, resolv);
        let mut asked = Vec::new();
        while let Some(name) = search.name() {
            asked.push(name.to_owned());
            if !search.go_on(fate) {
                break;
            }
        }
        asked
    }

    #[test]
    fn names_are_tried_as_glibc_tries_them() {
        let pod = resolv(&["shop.svc.cluster.local", "svc.cluster.local"], 5);
        let plain = resolv(&["corp.example"], 1);
        let cases: [(&str, &ResolvConf, &[&str]); 8] = [
            (
                "web",
                &pod,
                &["web.shop.svc.cluster.local", "web.svc.cluster.local", "web"],
            ),
            (
                "example.com",
                &pod,
                &[
                    "example.com.shop.svc.cluster.local",
                    "example.com.svc.cluster.local",
                    "example.com",
                ],
            ),
            ("example.com.", &pod, &["example.com"]),
            (
                "a.b.c.d.e.f",
                &pod,
                &[
                    "a.b.c.d.e.f",
                    "a.b.c.d.e.f.shop.svc.cluster.local",
                    "a.b.c.d.e.f.svc.cluster.local",
                ],
            ),
            ("host", &plain, &["host.corp.example", "host"]),
            (
                "www.example.com",
                &plain,
                &["www.example.com", "www.example.com.corp.example"],
            ),
            ("host", &resolv(&[], 1), &["host"]),
            ("host", &resolv(&["."], 1), &["host"]),
        ];
        for (name, resolv, names) in cases {
            assert_eq!(asked(name, resolv, CandidateFate::NoName), names, "{name}");
        }
    }

    #[test]
    fn silence_ends_the_list_but_not_the_name_itself() {
        let pod = resolv(&["a.example", "b.example"], 5);
        assert_eq!(asked("web", &pod, CandidateFate::Silent), ["web.a.example", "web"]);
        assert_eq!(asked("web", &pod, CandidateFate::Shut), ["web.a.example"]);
        assert_eq!(
            asked("web", &pod, CandidateFate::ServerFailed),
            ["web.a.example", "web.b.example", "web"]
        );
        assert_eq!(asked("web", &pod, CandidateFate::Found), ["web.a.example"]);
    }

    #[test]
    fn the_name_itself_is_left_where_a_domain_of_the_list_has_it() {
        let pod = resolv(&["a.example", "b.example"], 5);
        let itself = |name: &str, resolv: &ResolvConf| {
            let mut search = Search::new(name, resolv);
            search
                .turn_to_the_name_itself()
                .then(|| search.name().map(str::to_owned))
                .flatten()
        };
        assert_eq!(itself("www.example.net", &pod), Some("www.example.net".to_owned()));
        assert_eq!(itself("web", &pod), None, "one label is no name of the world");
        assert_eq!(itself("www.example.net.", &pod), None);
        assert_eq!(
            itself("www.example.net", &resolv(&["a.example"], 1)),
            None,
            "asked first"
        );
    }

    #[test]
    fn an_empty_answer_outweighs_a_name_that_is_not_there() {
        let mut search = Search::new("web", &resolv(&["a.example"], 5));
        assert!(search.go_on(CandidateFate::NoData));
        assert!(!search.go_on(CandidateFate::NoName));
        assert_eq!(search.fate(), CandidateFate::NoData);
    }
}
