//! One answer for a target: the causes that its conversations have, each said once with all conversations it explains, ranked by
//! what they cost.

use super::key::{Cost, TargetRole};
use crate::case::Case;
use crate::case::kept_connections::lost_requests;
use crate::judge::{Judgement, judge};
use crate::rules::{Layer, RULES};
use crate::words::{count, shell};
use model::evidence::Evidence;
use model::missing::Missing;
use model::report::{Conclusion, ConversationReport, SeenTraffic, Severity, Verdict};
use std::collections::BTreeSet;

/// A conversation that suffers, as a question, with what it cost.
#[derive(Clone, Debug)]
pub struct Suffering {
    /// What a person reads of it.
    pub report: ConversationReport,
    /// What it has cost.
    pub cost: Cost,
    /// Which end the target is.
    pub role: TargetRole,
    /// What the rules are given.
    pub evidence: Evidence,
}

/// What was seen of a target, and of what is not known whether it matters.
#[derive(Clone, Debug, Default)]
pub struct Looked {
    /// The target as people call it.
    pub target: String,
    /// How long, in seconds.
    pub seconds: f64,
    /// What was seen to work.
    pub seen: SeenTraffic,
    /// What of the window was not seen.
    pub missing: Vec<Missing>,
    /// Targets of which others expect something (a service selects them, or they had peers before), and to which nothing came.
    pub unheard: Vec<String>,
    /// What it may have tried of which nothing can be seen.
    pub unseen: Option<Missing>,
    /// Conversations that suffer and were not judged: more than were asked for.
    pub unjudged: usize,
}

/// What a look at one end means.
#[derive(Clone, Debug, PartialEq)]
pub struct OneEndJudgement {
    /// The answer.
    pub outcome: Conclusion,
    /// The answer in one plain sentence.
    pub headline: String,
    /// Causes first, the most expensive first.
    pub verdicts: Vec<Verdict>,
    /// What could not be seen.
    pub missing: Vec<Missing>,
}

/// What the attempts of a question cost: those that their own end saw fail, and requests that packets or sockets show to be lost.
#[must_use]
pub fn cost_in(question: &Evidence) -> Cost {
    let case = Case::new(question);
    let mut failed: BTreeSet<u32> = case.failed_ids().into_iter().collect();
    failed.extend(lost_requests(&case).iter().map(|lost| lost.attempt));
    let waited = question.attempts.iter().filter(|attempt| failed.contains(&attempt.id));
    Cost {
        failed: failed.len() as u32,
        lost: 0,
        waited_ns: waited.map(|attempt| attempt.took_ns).sum(),
    }
}

/// Judges every conversation by the rules, and brings their answers together.
#[must_use]
pub fn judge_conversations(suffering: &[Suffering], looked: &Looked) -> OneEndJudgement {
    let judged: Vec<(&Suffering, Judgement)> = suffering.iter().map(|one| (one, judge(&one.evidence))).collect();
    let mut merged = Merged::default();
    let mut missing = looked.missing.clone();
    let mut doubtful = 0;
    for (one, judgement) in &judged {
        match judgement.outcome {
            Conclusion::Healthy => {}
            // What only looked odd, and did not fail, is no reason to doubt.
            Conclusion::Inconclusive if one.cost.failed == 0 => {}
            Conclusion::Inconclusive => {
                doubtful += 1;
                missing.extend(
                    judgement
                        .missing
                        .iter()
                        .filter(|lack| !missing.contains(lack))
                        .cloned()
                        .collect::<Vec<_>>(),
                );
            }
            Conclusion::Fault => {
                for verdict in &judgement.verdicts {
                    merged.add(verdict, one);
                }
            }
        }
    }
    if looked.unjudged > 0 {
        let what = format!("{} that suffer less", count(looked.unjudged, "more conversation"));
        let lack = Missing::new(what, "no more were followed to their other end");
        missing.push(lack.remedy("follow more of them: --worst N"));
    }
    let verdicts = merged.ranked();
    let accused = verdicts.iter().any(|verdict| verdict.cause);
    let failed = judged
        .iter()
        .any(|(_, judgement)| judgement.outcome == Conclusion::Fault);
    let seen = &looked.seen;
    let silent = seen.connections == 0 && seen.lookups == 0 && seen.datagrams == 0;
    if !failed {
        missing.extend(unheard(looked));
    }
    if silent && !failed {
        missing.extend(looked.unseen.clone());
    }
    let outcome = if accused || failed {
        Conclusion::Fault
    } else if missing.is_empty() && doubtful == 0 {
        Conclusion::Healthy
    } else {
        Conclusion::Inconclusive
    };
    let headline = headline(outcome, &verdicts, &missing, looked, silent);
    OneEndJudgement {
        outcome,
        headline,
        verdicts,
        missing,
    }
}

/// The causes that were proven of conversations that suffer, and those conversations of which none was.
#[must_use]
pub fn proven_causes(suffering: &[Suffering]) -> (Vec<Verdict>, Vec<ConversationReport>) {
    let mut causes = judge_conversations(suffering, &Looked::default()).verdicts;
    let names_one = |verdict: &Verdict| verdict.cause && verdict.severity != Severity::Info && !is_unexplained(verdict);
    causes.retain(names_one);
    let explained = |report: &ConversationReport| causes.iter().any(|cause| cause.conversations.contains(report));
    let failed = suffering
        .iter()
        .filter(|one| one.cost.failed > 0)
        .map(|one| &one.report);
    let unexplained = failed.filter(|report| !explained(report)).cloned().collect();
    (causes, unexplained)
}

fn is_unexplained(verdict: &Verdict) -> bool {
    let mut unexplained = RULES.iter().filter(|rule| rule.layer == Layer::Unexplained);
    unexplained.any(|rule| rule.id == verdict.rule)
}

/// Nothing came, though something is expected to.
fn unheard(looked: &Looked) -> Option<Missing> {
    let first = looked.unheard.first()?;
    let others = match looked.unheard.len() - 1 {
        0 => String::new(),
        others => format!(" and of {}", count(others, "other")),
    };
    let what = format!("what the clients of {first}{others} meet");
    let why = format!(
        "nothing reached {} in {:.0} s, and their own nodes were not looked at",
        if others.is_empty() { "it" } else { "them" },
        looked.seconds
    );
    let command = shell::said("kubectl skoop diagnose CLIENT {}", &[first]);
    Some(Missing::new(what, why).remedy(format!("ask from a client: {command}")))
}

/// The same cause of several conversations is said once.
#[derive(Default)]
struct Merged(Vec<MergedVerdict>);

struct MergedVerdict {
    verdict: Verdict,
    /// What it says, without what is the client's own.
    says: String,
    cost: Cost,
}

impl Merged {
    fn add(&mut self, verdict: &Verdict, of: &Suffering) {
        let says = without_client(&verdict.says, &of.evidence);
        let same = |known: &MergedVerdict| {
            (
                &known.verdict.rule,
                &known.verdict.place,
                &known.says,
                known.verdict.cause,
            ) == (&verdict.rule, &verdict.place, &says, verdict.cause)
        };
        let known = self.0.iter().position(same);
        let at = known.unwrap_or_else(|| {
            self.0.push(MergedVerdict {
                verdict: verdict.clone(),
                says,
                cost: Cost::default(),
            });
            self.0.len() - 1
        });
        let entry = &mut self.0[at];
        if !entry.verdict.conversations.contains(&of.report) {
            entry.verdict.conversations.push(of.report.clone());
            entry.cost = entry.cost.and(of.cost);
        }
    }

    fn ranked(mut self) -> Vec<Verdict> {
        self.0.sort_by_key(|MergedVerdict { verdict, cost, .. }| {
            let info = verdict.severity == Severity::Info;
            (info, !verdict.cause, core::cmp::Reverse(*cost))
        });
        self.0.into_iter().map(|merged| merged.verdict).collect()
    }
}

/// A sentence in which the client's name and addresses, which differ from one conversation to the next, are left out.
fn without_client(says: &str, evidence: &Evidence) -> String {
    let client = &evidence.source;
    let names = [&client.name, &client.asked]
        .into_iter()
        .filter(|name| !name.is_empty())
        .cloned();
    let own = client.addresses.iter().map(ToString::to_string);
    let sent = evidence.attempts.iter().map(|attempt| attempt.flow.src().to_string());
    let mut words: Vec<String> = names.chain(own).chain(sent).collect();
    // The longest first: one may be the beginning of another.
    words.sort_by_key(|word| core::cmp::Reverse(word.len()));
    words.dedup();
    words
        .iter()
        .fold(says.to_owned(), |says, word| says.replace(word.as_str(), "the client"))
}

fn headline(outcome: Conclusion, verdicts: &[Verdict], missing: &[Missing], looked: &Looked, silent: bool) -> String {
    let target = &looked.target;
    match outcome {
        Conclusion::Fault => {
            let causes: Vec<&Verdict> = verdicts.iter().filter(|verdict| verdict.cause).collect();
            let Some(first) = causes.first() else {
                return format!("{target}: something failed, and nothing seen says why");
            };
            let what = first
                .conversations
                .first()
                .map_or_else(String::new, |worst| format!("{}: ", suffers(target, worst)));
            let more = match causes.len() - 1 {
                0 => String::new(),
                more => format!(" (and {})", count(more, "more cause")),
            };
            format!("{what}{}{more}", first.says)
        }
        Conclusion::Healthy if silent => format!(
            "{target}: no traffic was seen in {:.0} s, and none is expected",
            looked.seconds
        ),
        Conclusion::Healthy => format!(
            "nothing went wrong with {target} in {:.0} s: {}",
            looked.seconds,
            traffic_words(&looked.seen).unwrap_or_else(|| "no traffic".to_owned())
        ),
        Conclusion::Inconclusive => {
            let why = missing.first().map_or_else(
                || "too little was seen of a conversation that suffers".to_owned(),
                |lack| format!("{}: {}", lack.what, lack.why),
            );
            format!("cannot tell what is wrong with {target}, if anything: {why}")
        }
    }
}

/// What a conversation suffers from, in numbers.
fn suffers(target: &str, worst: &ConversationReport) -> String {
    let noun = attempt_noun(worst);
    let (end, preposition) = if worst.source == target {
        (&worst.destination, "to")
    } else {
        (&worst.source, "from")
    };
    let at = if preposition == "to" {
        format!("{end}:{}", worst.port)
    } else {
        end.clone()
    };
    if worst.failed > 0 {
        format!(
            "{target}: {} of {} {preposition} {at} failed",
            worst.failed,
            count(worst.tried as usize, noun)
        )
    } else if worst.lost > 0 {
        format!(
            "{target}: {} {preposition} {at} were lost",
            count(worst.lost as usize, "packet")
        )
    } else {
        format!("{target}: {} ms were spent waiting for {at}", worst.waited_ms)
    }
}

/// What a conversation is made of: a lookup, a connection, or datagrams between two ports.
#[must_use]
pub fn attempt_noun(conversation: &ConversationReport) -> &'static str {
    match (conversation.port, conversation.protocol.as_str()) {
        (53, _) => "lookup",
        (_, "udp") => "UDP flow",
        _ => "connection",
    }
}

/// What was seen to work, if anything.
#[must_use]
pub fn traffic_words(seen: &SeenTraffic) -> Option<String> {
    let mut parts = Vec::new();
    if seen.connections > 0 {
        let p99 = seen
            .connect_p99_ms
            .map_or_else(String::new, |ms| format!(", p99 {ms:.1} ms"));
        let peers = count(seen.peers as usize, "peer");
        parts.push(format!(
            "{} with {peers} made{p99}",
            count(seen.connections as usize, "connection")
        ));
    }
    if seen.lookups > 0 {
        let p99 = seen
            .lookup_p99_ms
            .map_or_else(String::new, |ms| format!(", p99 {ms:.1} ms"));
        parts.push(format!("{} answered{p99}", count(seen.lookups as usize, "lookup")));
    }
    if seen.datagrams > 0 {
        parts.push(count(seen.datagrams as usize, "datagram"));
    }
    (!parts.is_empty()).then(|| parts.join("; "))
}
