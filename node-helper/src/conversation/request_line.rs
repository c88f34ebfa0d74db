//! A line of the client: a request, a request with a content that makes no sense, or something that is not known here.

use model::protocol::{Line, Request};
use serde_json::Value;

/// A line of the client.
#[derive(Debug)]
pub enum Heard {
    /// A request.
    Request { seq: u64, request: Box<Request> },
    /// A word of ours with a content that is not.
    Malformed { seq: u64, word: String, why: String },
    /// Another word, or no line of the protocol at all.
    NotUnderstood { seq: Option<u64> },
}

/// Words of [`Request`]; a test keeps them true.
const WORDS: [&str; 10] = [
    "hello", "resolve", "read", "plan", "arm", "go", "watch", "stop", "alive", "bye",
];

/// Reads a line.
pub fn parse(line: &[u8]) -> Heard {
    let why = match serde_json::from_slice::<Line<Request>>(line) {
        Ok(Line { seq, say, .. }) => {
            return Heard::Request {
                seq,
                request: Box::new(say),
            };
        }
        Err(error) => error.to_string(),
    };
    let Ok(Line { seq, say, .. }) = serde_json::from_slice::<Line<Value>>(line) else {
        return Heard::NotUnderstood { seq: None };
    };
    let word = match &say {
        Value::Object(fields) => fields.keys().next(),
        Value::String(word) => Some(word),
        _ => None,
    };
    match word {
        Some(word) if WORDS.contains(&word.as_str()) => Heard::Malformed {
            seq,
            word: word.clone(),
            why,
        },
        _ => Heard::NotUnderstood { seq: Some(seq) },
    }
}

#[cfg(test)]
mod tests {
    use super::{Heard, WORDS, parse};
    use model::protocol::{Ask, Filter, Line, Request};

    #[test]
    fn every_word_of_the_protocol_is_known() {
        let requests = [
            Request::Hello { version: 1 },
            Request::Resolve {
                endpoint: String::new(),
                from: None,
            },
            Request::Read(Ask::default()),
            Request::Plan {
                id: 1,
                attempts: Vec::new(),
            },
            Request::Arm {
                id: 1,
                probes: Vec::new(),
                filter: Filter::default(),
            },
            Request::Go { id: 1 },
            Request::Watch {
                id: 1,
                flows: Vec::new(),
            },
            Request::Stop { id: 1 },
            Request::Alive,
            Request::Bye,
        ];
        let words: Vec<String> = requests
            .into_iter()
            .map(|say| {
                let line = serde_json::to_value(Line {
                    seq: 1,
                    say,
                    said: None,
                })
                .unwrap();
                match &line["say"] {
                    serde_json::Value::String(word) => word.clone(),
                    said => said.as_object().unwrap().keys().next().unwrap().clone(),
                }
            })
            .collect();
        assert_eq!(words, WORDS);
    }

    #[test]
    fn a_word_of_later_days_is_told_from_a_wrong_one() {
        let heard = |line: &str| parse(line.as_bytes());
        assert!(matches!(
            heard(r#"{"seq":1,"say":"alive","new":1}"#),
            Heard::Request { seq: 1, .. }
        ));
        assert!(matches!(
            heard(r#"{"seq":2,"say":{"go":{"id":1,"new":true}}}"#),
            Heard::Request { seq: 2, .. }
        ));
        assert!(matches!(
            heard(r#"{"seq":3,"say":{"dance":{}}}"#),
            Heard::NotUnderstood { seq: Some(3) }
        ));
        assert!(matches!(
            heard(r#"{"seq":4,"say":{"go":{"id":"one"}}}"#),
            Heard::Malformed { seq: 4, .. }
        ));
        assert!(matches!(heard("{nonsense"), Heard::NotUnderstood { seq: None }));
    }
}
