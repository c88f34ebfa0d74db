//! What the netfilter rules of a namespace do with a packet, evaluated as the kernel does it: base chains of a hook by
//! priority, jumps, gotos and returns, policies. What cannot be evaluated from outside stays a doubt and is carried along.
//!
//! Chains are walked here; whether a rule's tests fit is `matches`, with `fit` and `ipset` below it; which rule a known drop can be put
//! down to is `culprit`. It uses `kernel/route` for where a packet leaves. What became of watched packets is `case/firewall_drops`.

pub mod culprit;
mod fit;
mod ipset;
mod matches;
mod packet;
pub mod proxy;

use fit::Fit;
use model::facts::{Action, Chain, Match, Netfilter, NetfilterRule};
use model::report::RulePlace;
pub use packet::{ArpOperation, HookPacket};

/// Chains may call each other only so deep (the kernel's own limit is 16 for nftables).
const DEPTH_MAX: usize = 32;
/// Rules looked at for one packet before the answer is "cannot be told".
const STEPS_MAX: usize = 200_000;

/// Why a rule's match is not certain.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Doubt {
    /// It passes or not by rate.
    Limit(String),
    /// It passes or not by chance.
    Random(String),
    /// It depends on the connection tracking state, which was not seen.
    State(String),
    /// Anything else that cannot be evaluated from outside.
    Opaque(String),
}

/// What happens to a packet at the end of its way through a chain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NetfilterVerdict {
    /// Accepted by this chain.
    Accept,
    /// Dropped.
    Drop,
    /// Answered for the target.
    Reject,
    /// Translated (and accepted).
    Translate,
    /// Handed to user space.
    Queue,
    /// A target this version does not know.
    Unknown,
}

/// A rule or a chain's policy at which a packet's way may end.
#[derive(Clone, Debug, PartialEq)]
pub struct NetfilterStop<'a> {
    /// The base chain's hook.
    pub hook: &'a str,
    /// The chain it is in.
    pub chain: &'a Chain,
    /// The rule; `None` for the chain's policy.
    pub rule: Option<&'a NetfilterRule>,
    /// What it does.
    pub verdict: NetfilterVerdict,
    /// It is certain that the packet ends here.
    pub certain: bool,
    /// What of the rule itself could not be evaluated.
    pub own: Vec<Doubt>,
    /// What could not be evaluated before it.
    pub before: Vec<Doubt>,
}

impl NetfilterStop<'_> {
    /// As a report names it.
    #[must_use]
    pub fn place(&self) -> RulePlace {
        RulePlace {
            handle: self.rule.map(|rule| rule.handle),
            text: match self.rule {
                Some(rule) => rule.text.clone(),
                None => format!("policy {}", self.chain.policy.as_deref().unwrap_or("ACCEPT")),
            },
            ..chain_place(self.chain)
        }
    }

    /// In words: `rule 3 of chain FORWARD, table filter (iptables-legacy): -p tcp ...`.
    #[must_use]
    pub fn words(&self) -> String {
        let place = self.place();
        let table = crate::words::table(&place);
        let chain = format!("chain {}, table {table} ({})", place.chain, place.backend);
        match place.handle {
            Some(handle) => format!("rule {handle} of {chain}: {}", place.text),
            None => format!("{} of {chain}", place.text),
        }
    }

    /// A limiter decides here, in the rule itself or, for a policy, in a rule before it that let the first ones pass.
    #[must_use]
    pub fn limited(&self) -> bool {
        let limits = |doubts: &[Doubt]| doubts.iter().any(|doubt| matches!(doubt, Doubt::Limit(_)));
        limits(&self.own) || (self.own.is_empty() && limits(&self.before))
    }

    /// Chance decides here.
    #[must_use]
    pub fn random(&self) -> bool {
        let random = |doubts: &[Doubt]| doubts.iter().any(|doubt| matches!(doubt, Doubt::Random(_)));
        random(&self.own) || (self.own.is_empty() && random(&self.before))
    }

    /// It asks for packets that belong to no known connection.
    #[must_use]
    pub fn wants_invalid(&self) -> bool {
        self.rule.is_some_and(|rule| {
            rule.matches.iter().any(|test| match test {
                Match::CtState { any, not } => {
                    any.iter().any(|state| state.eq_ignore_ascii_case("invalid")) != *not
                        && !any.iter().any(|state| state.eq_ignore_ascii_case("new"))
                }
                _ => false,
            })
        })
    }
}

/// A chain as a report names it, without a rule.
#[must_use]
pub fn chain_place(chain: &Chain) -> RulePlace {
    RulePlace {
        backend: chain.backend.clone(),
        family: if chain.backend == "nftables" {
            chain.family.clone()
        } else {
            String::new()
        },
        table: chain.table.clone(),
        chain: chain.name.clone(),
        handle: None,
        text: String::new(),
    }
}

/// Every place at which the packet's way through a hook may end, in the order in which it meets them.
///
/// Accepting ends one base chain only; the next one of the hook is asked all the same, as in the kernel.
#[must_use]
pub fn evaluate<'a>(netfilter: &'a Netfilter, hook: &str, packet: &HookPacket<'_>) -> Vec<NetfilterStop<'a>> {
    walk(netfilter, hook, packet).stops
}

/// The firewall mark that a packet which came without one has behind a hook, as far as its rules are certain to meet it.
#[must_use]
pub fn marked(netfilter: &Netfilter, hook: &str, packet: &HookPacket<'_>) -> u32 {
    walk(netfilter, hook, packet).mark
}

fn walk<'a, 'p>(netfilter: &'a Netfilter, hook: &str, packet: &'p HookPacket<'p>) -> ChainWalk<'a, 'p> {
    let mut bases: Vec<&Chain> = chains(netfilter)
        .filter(|chain| chain.hook.as_deref() == Some(hook) && packet.meets_family(&chain.family))
        .collect();
    bases.sort_by_key(|chain| priority(chain));
    let mut walker = ChainWalk {
        netfilter,
        packet,
        hook: "",
        stops: Vec::new(),
        mark: 0,
        steps: 0,
    };
    let mut reach = Reach::default();
    let mut ended_at: Option<i32> = None;
    for base in bases {
        // Chains of one priority run in the order in which they were registered, which nothing tells.
        if ended_at.is_some_and(|ended| ended < priority(base)) {
            break;
        }
        walker.hook = base.hook.as_deref().unwrap_or_default();
        let first = walker.stops.len();
        let left = walker.chain(base, reach.clone(), 0);
        if let Some(left) = left.goes_on {
            let drops = base.policy.as_deref() == Some("DROP");
            walker.end(
                base,
                None,
                if drops {
                    NetfilterVerdict::Drop
                } else {
                    NetfilterVerdict::Accept
                },
                &left,
                Vec::new(),
            );
        }
        let ends = &walker.stops[first..];
        if ends
            .iter()
            .any(|stop| stop.certain && matches!(stop.verdict, NetfilterVerdict::Drop | NetfilterVerdict::Reject))
        {
            ended_at = Some(priority(base));
            continue;
        }
        for stop in ends
            .iter()
            .filter(|stop| !matches!(stop.verdict, NetfilterVerdict::Accept | NetfilterVerdict::Translate))
        {
            reach.certain = false;
            reach.doubts.extend(stop.own.iter().cloned());
        }
    }
    walker
}

/// Both hold the same rules, whatever they have counted.
#[must_use]
pub fn same_rules(one: &Netfilter, other: &Netfilter) -> bool {
    fn rules(netfilter: &Netfilter) -> impl Iterator<Item = (&str, &str, Option<&str>, &[Match], &Action)> {
        chains(netfilter).flat_map(|chain| {
            let (table, name, policy) = (chain.table.as_str(), chain.name.as_str(), chain.policy.as_deref());
            let of_rules = chain.rules.iter();
            of_rules.map(move |rule| (table, name, policy, rule.matches.as_slice(), &rule.action))
        })
    }
    rules(one).eq(rules(other))
}

/// All chains, each once: `nft` also shows the tables of `iptables-nft`.
fn chains(netfilter: &Netfilter) -> impl Iterator<Item = &Chain> {
    netfilter.chains.iter().filter(|chain| {
        chain.backend != "nftables"
            || !netfilter.chains.iter().any(|twin| {
                twin.backend == "iptables-nft"
                    && (&twin.family, &twin.table, &twin.name) == (&chain.family, &chain.table, &chain.name)
            })
    })
}

/// The order among base chains of a hook; iptables' tables have fixed ones.
fn priority(chain: &Chain) -> i32 {
    if chain.priority != 0 || chain.backend == "nftables" {
        return chain.priority;
    }
    match (chain.table.as_str(), chain.hook.as_deref()) {
        ("raw", _) => -300,
        ("mangle", _) => -150,
        ("nat", Some("prerouting" | "output")) => -100,
        ("nat", _) => 100,
        ("security", _) => 50,
        _ => 0,
    }
}

/// How surely a packet gets to a place.
#[derive(Clone, Debug)]
struct Reach {
    certain: bool,
    doubts: Vec<Doubt>,
}

impl Default for Reach {
    fn default() -> Self {
        Self {
            certain: true,
            doubts: Vec::new(),
        }
    }
}

impl Reach {
    fn doubting(&self, more: &[Doubt]) -> Self {
        let mut doubts = self.doubts.clone();
        for doubt in more {
            if !doubts.contains(doubt) {
                doubts.push(doubt.clone());
            }
        }
        Self { certain: false, doubts }
    }
}

/// How a packet leaves a chain.
struct Left {
    /// It may get to the chain's end or a return, this surely.
    goes_on: Option<Reach>,
}

struct ChainWalk<'a, 'p> {
    netfilter: &'a Netfilter,
    packet: &'p HookPacket<'p>,
    hook: &'a str,
    stops: Vec<NetfilterStop<'a>>,
    mark: u32,
    steps: usize,
}

impl<'a> ChainWalk<'a, '_> {
    fn chain(&mut self, chain: &'a Chain, reach: Reach, depth: usize) -> Left {
        let mut reach = reach;
        // A return that may have been taken: the caller goes on although this chain may have ended it otherwise.
        let mut returned: Option<Reach> = None;
        for rule in &chain.rules {
            self.steps += 1;
            if self.steps > STEPS_MAX || depth > DEPTH_MAX {
                let doubt = Doubt::Opaque("too many rules to follow".to_owned());
                return Left {
                    goes_on: Some(reach.doubting(&[doubt])),
                };
            }
            let (fit, own) = matches::all(&rule.matches, self.packet, self.netfilter);
            if fit == Fit::No {
                continue;
            }
            let sure = fit == Fit::Yes;
            if let Some(mark) = rule.mark.filter(|_| sure && reach.certain) {
                self.mark = mark.on(self.mark);
            }
            let verdict = match &rule.action {
                Action::Continue => continue,
                Action::Accept => NetfilterVerdict::Accept,
                Action::Drop => NetfilterVerdict::Drop,
                Action::Reject { .. } => NetfilterVerdict::Reject,
                Action::Nat { .. } => NetfilterVerdict::Translate,
                Action::Queue { .. } => NetfilterVerdict::Queue,
                Action::Other { text } if harmless(text) => continue,
                Action::Other { .. } => NetfilterVerdict::Unknown,
                Action::Return => {
                    if sure {
                        return Left {
                            goes_on: Some(join(returned, Some(reach)).unwrap_or_default()),
                        };
                    }
                    returned = join(returned, Some(reach.doubting(&own)));
                    reach = reach.doubting(&own);
                    continue;
                }
                Action::Jump { chain: name } | Action::Goto { chain: name } => {
                    let goes = matches!(rule.action, Action::Goto { .. });
                    let Some(called) = self.called(chain, name) else {
                        reach = reach.doubting(&[Doubt::Opaque(format!("chain {name} was not read"))]);
                        continue;
                    };
                    let entering = if sure { reach.clone() } else { reach.doubting(&own) };
                    let left = self.chain(called, entering, depth + 1).goes_on;
                    match (goes, sure, left) {
                        (false, true, Some(back)) => reach = back,
                        (false, true, None) => return Left { goes_on: returned },
                        (false, false, _) => reach = reach.doubting(&own),
                        (true, true, back) => {
                            return Left {
                                goes_on: join(returned, back),
                            };
                        }
                        (true, false, back) => {
                            returned = join(returned, back);
                            reach = reach.doubting(&own);
                        }
                    }
                    continue;
                }
            };
            self.end(chain, Some(rule), verdict, &reach, own.clone());
            let may_pass = matches!(verdict, NetfilterVerdict::Unknown);
            if sure && !may_pass {
                return Left { goes_on: returned };
            }
            reach = reach.doubting(&own);
        }
        Left {
            goes_on: join(returned, Some(reach)),
        }
    }

    fn end(
        &mut self,
        chain: &'a Chain,
        rule: Option<&'a NetfilterRule>,
        verdict: NetfilterVerdict,
        reach: &Reach,
        own: Vec<Doubt>,
    ) {
        self.stops.push(NetfilterStop {
            hook: self.hook,
            chain,
            rule,
            verdict,
            certain: reach.certain && own.is_empty() && verdict != NetfilterVerdict::Unknown,
            own,
            before: reach.doubts.clone(),
        });
    }

    fn called(&self, from: &Chain, name: &str) -> Option<&'a Chain> {
        self.netfilter.chains.iter().find(|chain| {
            chain.name == name
                && (&chain.backend, &chain.family, &chain.table) == (&from.backend, &from.family, &from.table)
        })
    }
}

fn join(one: Option<Reach>, other: Option<Reach>) -> Option<Reach> {
    match (one, other) {
        (Some(one), Some(other)) => Some(Reach {
            certain: one.certain && other.certain,
            ..one.doubting(&other.doubts)
        }),
        (one, other) => one.or(other),
    }
}

/// Targets that only mark, count or log.
fn harmless(text: &str) -> bool {
    let target = text.trim_start_matches("-j ").split_whitespace().next().unwrap_or("");
    matches!(
        target,
        "AUDIT"
            | "CHECKSUM"
            | "CLASSIFY"
            | "CONNMARK"
            | "CONNSECMARK"
            | "CT"
            | "DSCP"
            | "ECN"
            | "HL"
            | "LOG"
            | "MARK"
            | "NFLOG"
            | "NOTRACK"
            | "RATEEST"
            | "SECMARK"
            | "SET"
            | "TCPMSS"
            | "TCPOPTSTRIP"
            | "TEE"
            | "TOS"
            | "TRACE"
            | "TTL"
            | "ULOG"
    )
}
