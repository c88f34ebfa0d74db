//! DNS messages as a dialogue: each is told once per namespace, an answer knows how long it took, and what is never
//! answered is told in the end.

use hickory_proto::op::{Header, Query};
use hickory_proto::serialize::binary::{BinDecodable, BinDecoder};
use model::event::{Event, Seen};
use std::collections::HashMap;

/// A packet passes a namespace's devices within this time; the same message later is another one (a repetition).
const SAME_NS: u64 = 20_000_000;
/// How long an answer may take: the usual patience of a resolver.
const PATIENCE_NS: u64 = 5_000_000_000;
/// The most queries that are remembered.
const OPEN_MAX: usize = 4096;

/// What is needed of a message: its head and first question.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsMessage {
    id: u16,
    is_answer: bool,
    rcode: String,
    truncated: bool,
    answers: u16,
    name: String,
    qtype: String,
}

/// Reads a message, which may be cut after its first question. `None` when it is none.
pub fn message(bytes: &[u8]) -> Option<DnsMessage> {
    let mut decoder = BinDecoder::new(bytes);
    let header = Header::read(&mut decoder).ok()?;
    let question = (header.counts.queries > 0)
        .then(|| Query::read(&mut decoder).ok())
        .flatten();
    let name = question
        .as_ref()
        .map_or_else(String::new, |query| query.name().to_ascii());
    Some(DnsMessage {
        id: header.metadata.id,
        is_answer: header.metadata.message_type == hickory_proto::op::MessageType::Response,
        rcode: rcode(header.metadata.response_code.low()),
        truncated: header.metadata.truncation,
        answers: header.counts.answers,
        name: match name.strip_suffix('.') {
            Some("") | None => name,
            Some(short) => short.to_owned(),
        },
        qtype: question.map_or_else(String::new, |query| query.query_type().to_string()),
    })
}

/// The name of a response code (RFC 1035, 2136).
fn rcode(code: u8) -> String {
    const NAMES: [&str; 11] = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
        "NOTZONE",
    ];
    NAMES
        .get(usize::from(code))
        .map_or_else(|| format!("RCODE{code}"), |name| (*name).to_owned())
}

/// A question as one namespace sees it.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct Key {
    netns: u32,
    /// The asker's port, which most translations leave as it is: who asks another server at once uses the same id again.
    port: u16,
    id: u16,
    name: String,
    qtype: String,
}

/// A query that waits for its answer.
#[derive(Clone, Debug)]
struct Open {
    query: Event,
    first_ns: u64,
    last_ns: u64,
    answered_ns: Option<u64>,
}

/// All that was asked.
#[derive(Debug, Default)]
pub struct Dialogue {
    open: HashMap<Key, Open>,
}

impl Dialogue {
    /// Takes a message that was met. The event, or nothing when this namespace has told it already.
    pub fn take(&mut self, mut event: Event, message: DnsMessage) -> Option<Event> {
        let DnsMessage {
            id,
            is_answer,
            rcode,
            truncated,
            answers,
            name,
            qtype,
        } = message;
        let key = Key {
            netns: event.netns,
            port: if is_answer { event.flow.dport } else { event.flow.sport },
            id,
            name: name.clone(),
            qtype: qtype.clone(),
        };
        let now = event.at_ns;
        if is_answer {
            let mut latency_ns = 0;
            if let Some(open) = self.open.get_mut(&key) {
                if open.answered_ns.is_some_and(|told| now.saturating_sub(told) < SAME_NS) {
                    return None;
                }
                open.answered_ns = Some(now);
                latency_ns = now.saturating_sub(open.first_ns);
            }
            event.seen = Seen::DnsAnswer {
                id,
                name,
                qtype,
                rcode,
                answers,
                truncated,
                latency_ns,
            };
            return Some(event);
        }
        event.seen = Seen::DnsQuery { id, name, qtype };
        if let Some(open) = self.open.get_mut(&key) {
            let repeated = now.saturating_sub(open.last_ns) >= SAME_NS;
            open.last_ns = now;
            if open.answered_ns.is_some() && repeated {
                // The same question after its answer: a new one.
                open.first_ns = now;
                open.answered_ns = None;
            }
            return repeated.then_some(event);
        }
        if self.open.len() < OPEN_MAX {
            let open = Open {
                query: event.clone(),
                first_ns: now,
                last_ns: now,
                answered_ns: None,
            };
            self.open.insert(key, open);
        }
        Some(event)
    }

    /// Queries that have waited too long at `now_ns`, or, at the end, all that still wait. Each is told once.
    pub fn unanswered(&mut self, now_ns: u64, is_end: bool) -> Vec<Event> {
        let mut told = Vec::new();
        self.open.retain(|key, open| {
            let waited_ns = now_ns.saturating_sub(open.first_ns);
            if !is_end && waited_ns < PATIENCE_NS {
                return true;
            }
            if open.answered_ns.is_none() {
                let mut event = open.query.clone();
                event.at_ns = now_ns.max(open.first_ns);
                event.seen = Seen::DnsUnanswered {
                    id: key.id,
                    name: key.name.clone(),
                    qtype: key.qtype.clone(),
                    waited_ns,
                };
                told.push((open.first_ns, event));
            }
            false
        });
        told.sort_by_key(|(first_ns, _)| *first_ns);
        told.into_iter().map(|(_, event)| event).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::{Dialogue, message};
    use crate::capture::decode::bare;
    use model::event::{Event, Seen};
    use model::record::Record;

    /// Id 7, one question: `a.example`, type A; an answer with `code`.
    fn wire(is_answer: bool, code: u8) -> Vec<u8> {
        let mut bytes = vec![
            0,
            7,
            if is_answer { 0x81 } else { 1 },
            code,
            0,
            1,
            0,
            u8::from(is_answer),
            0,
            0,
            0,
            0,
        ];
        bytes.extend(b"\x01a\x07example\x00\x00\x01\x00\x01");
        bytes
    }

    fn met(dialogue: &mut Dialogue, netns: u32, at_ns: u64, wire: &[u8]) -> Option<Event> {
        let record = Record {
            netns,
            at_ns,
            ..Record::default()
        };
        dialogue.take(bare("dns", &record, Seen::RetransmitSynAck), message(wire).unwrap())
    }

    #[test]
    fn an_answer_tells_its_code_and_how_long_it_took() {
        let mut dialogue = Dialogue::default();
        let query = met(&mut dialogue, 1, 1_000, &wire(false, 0)).unwrap();
        assert!(matches!(query.seen, Seen::DnsQuery { id: 7, ref name, .. } if name == "a.example"));
        let answer = met(&mut dialogue, 1, 31_000, &wire(true, 3)).unwrap();
        assert!(
            matches!(answer.seen, Seen::DnsAnswer { ref rcode, latency_ns: 30_000, .. } if rcode == "NXDOMAIN"),
            "{answer:?}"
        );
        assert!(dialogue.unanswered(2_000_000, true).is_empty());
    }

    #[test]
    fn a_message_is_told_once_per_namespace_and_a_repetition_again() {
        let mut dialogue = Dialogue::default();
        assert!(met(&mut dialogue, 1, 0, &wire(false, 0)).is_some());
        assert!(
            met(&mut dialogue, 2, 10, &wire(false, 0)).is_some(),
            "the next namespace"
        );
        assert!(met(&mut dialogue, 2, 20, &wire(false, 0)).is_none(), "its next device");
        assert!(
            met(&mut dialogue, 2, 1_000_000_000, &wire(false, 0)).is_some(),
            "a second later"
        );
    }

    #[test]
    fn what_nobody_answers_is_told_once_its_time_is_over() {
        let mut dialogue = Dialogue::default();
        met(&mut dialogue, 1, 0, &wire(false, 0));
        assert!(dialogue.unanswered(1_000_000, false).is_empty());
        let late = dialogue.unanswered(5_000_000_000, false);
        assert!(matches!(
            late[0].seen,
            Seen::DnsUnanswered {
                waited_ns: 5_000_000_000,
                ..
            }
        ));
        assert!(dialogue.unanswered(9_000_000_000, true).is_empty());
    }

    #[test]
    fn a_message_cut_behind_its_question_is_understood_and_noise_is_not() {
        assert!(
            message(&wire(true, 0)).is_some(),
            "it promises an answer that was cut off"
        );
        assert!(message(b"hello").is_none());
    }
}
