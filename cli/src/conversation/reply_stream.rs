//! A helper's stream of replies, line by line: the reply in each line, and what must hold from one line to the next. Pure, and
//! trusting nothing: what comes in was written by a program on somebody else's node.
//!
//! A known kind of reply with impossible contents, a gap in the numbers, counts that do not add up: after any of these the
//! stream cannot be trusted, and nothing more of it is taken. An unknown kind of reply is reported as missing, once. An unknown
//! field is only counted.

use super::line_weight::weight;
use model::missing::Missing;
use model::protocol::{LINE_MAX_BYTES, Line, Reply, Tally};
use serde::Deserialize;
use serde::de::{Error as _, IgnoredAny, MapAccess, Visitor};
use std::collections::BTreeSet;
use std::fmt;

/// A line up to this long is parsed without looking first at which kind of reply it is.
const SHORT_BYTES: usize = 8 * 1024;
/// What a line may come to, in bytes of memory as [`weight()`] has it; the limit of a line's length leaves that much to facts.
const WEIGHT_MAX: usize = 40 * 1024 * 1024;
/// What a line of any other kind of reply may come to, in bytes.
const WEIGHT_MAX_USUAL: usize = 8 * 1024 * 1024;
/// Unknown kinds of replies that are each reported; more are noise.
const STRANGERS_MAX: usize = 64;
/// Windows that are open at once: a client opens two.
const OPEN_MAX: usize = 1_024;
/// Letters of an unknown kind's name that are shown.
const WORD_CHARS: usize = 40;

/// A stream so far.
#[derive(Debug, Default)]
pub struct ReplyStream {
    last: u64,
    /// Lines by kind of reply.
    tally: Tally,
    /// Windows that have been opened and not closed.
    open: BTreeSet<u32>,
    /// Events that closed windows say they reported.
    reported: u64,
    /// Unknown kinds of replies.
    strangers: BTreeSet<String>,
    /// Unknown fields of known kinds of replies.
    pub unknown_fields: u64,
    /// Its last line came.
    pub done: bool,
}

impl ReplyStream {
    /// The reply of a line, and nothing where it repeats an unknown kind; an error when the stream cannot be
    /// trusted any more.
    pub fn line(&mut self, line: &[u8]) -> Result<Option<Reply>, String> {
        let number = self.last + 1;
        if self.done {
            return Err("the helper spoke after its last line".to_owned());
        }
        if line.len() > LINE_MAX_BYTES {
            return Err(format!(
                "line {number} of the helper is longer than {LINE_MAX_BYTES} bytes"
            ));
        }
        if !line.ends_with(b"\n") {
            return Err(format!("the helper's stream was cut in the middle of line {number}"));
        }
        // What it comes to is known before room is made for it.
        if line.len() > SHORT_BYTES {
            let word =
                word(line).map_err(|why| format!("line {number} of the helper is not of the protocol: {why}"))?;
            check_size(&word, line).map_err(|why| format!("line {number} of the helper, `{word}`, {why}"))?;
        }
        let mut unknown_fields = 0;
        match read(line, &mut unknown_fields) {
            Ok(Line { seq, say, said }) => {
                self.unknown_fields += unknown_fields;
                self.count(seq, say.word())?;
                self.agree(say, said.as_ref()).map(Some)
            }
            Err(error) => match serde_json::from_slice::<Line<ReplyKind>>(line) {
                Ok(Line {
                    say: ReplyKind(word), ..
                }) if Reply::WORDS.contains(&word.as_str()) => Err(format!(
                    "line {number} of the helper says `{word}`, but its content is no such thing: {error}"
                )),
                Ok(Line { seq, say, .. }) => {
                    self.count(seq, &say.0)?;
                    self.stranger(say.0)
                }
                Err(_) => Err(format!("line {number} of the helper is not of the protocol: {error}")),
            },
        }
    }

    /// Its number is the next one.
    fn count(&mut self, seq: u64, word: &str) -> Result<(), String> {
        if seq != self.last + 1 {
            return Err(format!(
                "line {seq} of the helper follows line {}: lines were lost",
                self.last
            ));
        }
        self.last = seq;
        if Reply::WORDS.contains(&word) || self.strangers.len() < STRANGERS_MAX {
            *self.tally.entry(word.to_owned()).or_default() += 1;
        }
        Ok(())
    }

    /// The reply agrees with those before it.
    fn agree(&mut self, mut say: Reply, said: Option<&Tally>) -> Result<Reply, String> {
        if say.is_sum() {
            // Those before this line.
            let came = |word: &str| {
                let count = self.tally.get(word).copied().unwrap_or_default();
                count - u64::from(word == say.word())
            };
            let words = said.into_iter().flatten();
            let all = words.clone().fold(0, |all: u64, (_, count)| all.saturating_add(*count));
            if let Some((word, count)) = words.clone().find(|(word, count)| came(word) != **count) {
                return Err(format!(
                    "the helper has said `{word}` {count} times, and {} came: lines were lost",
                    came(word)
                ));
            }
            if said.is_some() && all != self.last - 1 {
                return Err(format!(
                    "the helper has said {all} lines, and {} came: lines were added",
                    self.last - 1
                ));
            }
        }
        let events = self.tally.get("event").copied().unwrap_or_default();
        match &mut say {
            Reply::Hello(_) if self.tally.get("hello") != Some(&1) => {
                return Err("the helper said `hello` twice".to_owned());
            }
            Reply::Going { id, .. } => {
                self.open.insert(*id);
                if self.open.len() > OPEN_MAX {
                    return Err(format!("the helper has opened more than {OPEN_MAX} windows"));
                }
            }
            Reply::Stopped {
                id, events: reported, ..
            } => {
                self.open.remove(id);
                self.reported = self.reported.saturating_add(*reported);
                // While another is open, it is not known whose an event is.
                if self.open.is_empty() && self.reported != events {
                    return Err(format!(
                        "the helper has told {} events in its windows, and {events} came",
                        self.reported
                    ));
                }
            }
            Reply::Done {
                events: reported, why, ..
            } => {
                if *reported != events {
                    return Err(format!("the helper has told {reported} events, and {events} came"));
                }
                if said.is_none() && why.is_none() {
                    let uncounted = Missing::new(
                        "whether all lines of the helper arrived",
                        "the helper does not count its lines",
                    );
                    *why = Some(uncounted.remedy("use the helper built with this client"));
                }
                self.done = true;
            }
            _ => {}
        }
        Ok(say)
    }

    /// An unknown kind of reply may be the one that would have decided the answer.
    fn stranger(&mut self, word: String) -> Result<Option<Reply>, String> {
        if self.strangers.len() >= STRANGERS_MAX && !self.strangers.contains(&word) {
            return Err(format!(
                "the helper has said more than {STRANGERS_MAX} words that this client does not know"
            ));
        }
        let missing = Missing::new(
            format!("what the helper means by `{word}`"),
            "this client does not know the word",
        );
        let new = self.strangers.insert(word.clone());
        Ok(new.then(|| Reply::Failed {
            request: word,
            missing: missing.remedy("use the client and the helper of one version"),
        }))
    }
}

/// The longest line of a kind of reply, in bytes: facts hold all that a namespace has, an event one thing that happened.
fn longest(word: &str) -> usize {
    const KIB: usize = 1024;
    match word {
        "facts" => LINE_MAX_BYTES,
        "stopped" | "planned" => 4096 * KIB,
        "attempt" => 2048 * KIB,
        "hello" | "resolved" | "process" | "node" | "armed" => 1024 * KIB,
        "failed" => 64 * KIB,
        "event" => SHORT_BYTES,
        _ => 16 * KIB,
    }
}

fn check_size(word: &str, line: &[u8]) -> Result<(), String> {
    let longest = longest(word);
    if line.len() > longest {
        return Err(format!("is longer than {longest} bytes"));
    }
    let heaviest = if word == "facts" { WEIGHT_MAX } else { WEIGHT_MAX_USUAL };
    if weight(line) > heaviest {
        return Err(format!("would take more than {} MiB of memory", heaviest >> 20));
    }
    Ok(())
}

fn read(line: &[u8], unknown_fields: &mut u64) -> serde_json::Result<Line<Reply>> {
    let mut json = serde_json::Deserializer::from_slice(line);
    let read = serde_ignored::deserialize(&mut json, |_| *unknown_fields += 1)?;
    json.end()?;
    Ok(read)
}

fn word(line: &[u8]) -> serde_json::Result<String> {
    serde_json::from_slice::<Line<ReplyKind>>(line).map(|line| line.say.0)
}

/// The kind of reply of a line, without its contents: the key of an object with one key, or a text. No longer than what is
/// shown of one.
struct ReplyKind(String);

impl<'de> Deserialize<'de> for ReplyKind {
    fn deserialize<D: serde::Deserializer<'de>>(json: D) -> Result<Self, D::Error> {
        struct OneKind;

        impl<'de> Visitor<'de> for OneKind {
            type Value = ReplyKind;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a word, or an object of one word")
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<ReplyKind, E> {
                Ok(ReplyKind(word.chars().take(WORD_CHARS).collect()))
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<ReplyKind, A::Error> {
                let word: ReplyKind = map.next_key()?.ok_or_else(|| A::Error::custom("it says nothing"))?;
                map.next_value::<IgnoredAny>()?;
                match map.next_key::<IgnoredAny>()? {
                    None => Ok(word),
                    Some(_) => Err(A::Error::custom("it says two things")),
                }
            }
        }

        json.deserialize_any(OneKind)
    }
}

#[cfg(test)]
mod tests {
    use super::{LINE_MAX_BYTES, ReplyStream};
    use model::protocol::Reply;

    /// A stream of these words, numbered.
    fn numbered(words: &[&str]) -> Vec<String> {
        let line = |(at, say): (usize, &&str)| match say.split_once(" said ") {
            Some((say, said)) => format!("{{\"seq\":{},\"say\":{say},\"said\":{said}}}\n", at + 1),
            None => format!("{{\"seq\":{},\"say\":{say}}}\n", at + 1),
        };
        words.iter().enumerate().map(line).collect()
    }

    /// How such a stream ends: the last reply, or why no more is believed.
    fn received(words: &[&str]) -> Result<Option<Reply>, String> {
        let mut lines = ReplyStream::default();
        let mut last = None;
        for line in numbered(words) {
            last = lines.line(line.as_bytes())?;
        }
        Ok(last)
    }

    const HELLO: &str = r#"{"hello":{"version":1}}"#;
    const GOING: &str = r#"{"going":{"id":1,"at_ns":1}}"#;
    const EVENT: &str = r#"{"event":{"at_ns":6,"probe":"drop","netns":0,"seen":{"what":"retransmit-syn-ack"},
        "flow":{"src":"::","sport":0,"dst":"::","dport":0,"protocol":"tcp"}}}"#;

    fn stopped(events: u64) -> String {
        format!(r#"{{"stopped":{{"id":1,"at_ns":9,"events":{events},"lost":[],"totals":[],"bpf":null}}}}"#)
    }

    fn done(events: u64, said: &str) -> String {
        let said = if said.is_empty() {
            String::new()
        } else {
            format!(" said {said}")
        };
        format!(r#"{{"done":{{"events":{events},"lost":0,"exit":0,"skipped":0}}}}{said}"#)
    }

    fn one_line(text: &str) -> String {
        text.replace('\n', " ")
    }

    #[test]
    fn a_stream_in_which_all_came_is_believed() {
        let (event, stopped) = (one_line(EVENT), stopped(2));
        let done = done(2, r#"{"hello":1,"going":1,"event":2,"stopped":1}"#);
        let last = received(&[HELLO, GOING, &event, &event, &stopped, &done]);
        assert!(matches!(last, Ok(Some(Reply::Done { why: None, .. }))), "{last:?}");
    }

    #[test]
    fn lines_that_were_taken_out_or_put_in_and_numbered_anew_do_not_come_out() {
        let event = one_line(EVENT);
        let closed = done(2, r#"{"hello":1,"event":2,"attempt":1}"#);
        let lost = received(&[HELLO, &event, &event, &closed]).unwrap_err();
        assert!(lost.contains("`attempt` 1 times, and 0 came"), "{lost}");
        let read = r#"{"read":{"id":1}} said {"hello":1,"facts":1}"#;
        assert!(received(&[HELLO, read]).unwrap_err().contains("`facts` 1 times"));
        let doubled = received(&[HELLO, &event, &event, &done(2, r#"{"hello":1,"event":1}"#)]).unwrap_err();
        assert!(doubled.contains("`event` 1 times, and 2 came"), "{doubled}");
        let added = received(&[HELLO, "\"alive\"", &done(0, r#"{"hello":1}"#)]).unwrap_err();
        assert!(added.contains("added"), "{added}");
    }

    #[test]
    fn events_are_as_many_as_their_windows_and_the_last_line_tell() {
        let event = one_line(EVENT);
        let window = received(&[HELLO, GOING, &event, &stopped(3)]).unwrap_err();
        assert!(window.contains("told 3 events in its windows, and 1 came"), "{window}");
        let all = received(&[HELLO, GOING, &event, &stopped(1), &done(2, "")]).unwrap_err();
        assert!(all.contains("told 2 events, and 1 came"), "{all}");
    }

    #[test]
    fn a_helper_that_does_not_count_leaves_open_whether_all_came() {
        match received(&[HELLO, &done(0, "")]) {
            Ok(Some(Reply::Done { why: Some(why), .. })) => assert!(why.why.contains("does not count"), "{why:?}"),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_known_word_with_what_does_not_fit_ends_it_and_is_never_skipped() {
        for wrong in [
            r#"{"attempt":17}"#,
            r#"{"event":{}}"#,
            r#"{"going":{"id":4294967296,"at_ns":1}}"#,
            r#"{"stopped":{"id":1}}"#,
            r#""read""#,
            r#"{"read":{"id":-1}}"#,
        ] {
            let why = received(&[HELLO, wrong]).unwrap_err();
            assert!(why.contains("no such thing"), "{wrong}: {why}");
        }
        for nothing in ["17", "{}", "[]", r#"{"read":{"id":1},"alive":1}"#] {
            assert!(
                received(&[HELLO, nothing]).unwrap_err().contains("not of the protocol"),
                "{nothing}"
            );
        }
    }

    #[test]
    fn a_word_that_is_not_known_is_missing_and_told_once() {
        let weather = r#"{"weather":"fine"}"#;
        match received(&[HELLO, weather]) {
            Ok(Some(Reply::Failed { missing, .. })) => assert!(missing.what.contains("`weather`"), "{missing:?}"),
            other => panic!("{other:?}"),
        }
        assert_eq!(received(&[HELLO, weather, weather]), Ok(None));
        let done = done(0, r#"{"hello":1,"weather":2}"#);
        assert!(matches!(
            received(&[HELLO, weather, weather, &done]),
            Ok(Some(Reply::Done { .. }))
        ));
        let noise: Vec<String> = (0..70).map(|number| format!("\"w{number}\"")).collect();
        let noise: Vec<&str> = noise.iter().map(String::as_str).collect();
        assert!(received(&noise).unwrap_err().contains("does not know"));
    }

    #[test]
    fn a_field_that_is_not_known_is_only_counted() {
        let mut lines = ReplyStream::default();
        let line = b"{\"seq\":1,\"say\":{\"read\":{\"id\":1,\"mood\":\"good\"}},\"colour\":\"red\"}\n";
        assert!(matches!(lines.line(line), Ok(Some(Reply::Read { id: 1 }))));
        assert_eq!(lines.unknown_fields, 2);
    }

    #[test]
    fn nothing_follows_the_last_line_and_nobody_greets_twice() {
        let done = done(0, r#"{"hello":1}"#);
        assert!(
            received(&[HELLO, &done, "\"alive\""])
                .unwrap_err()
                .contains("after its last line")
        );
        assert!(received(&[HELLO, HELLO]).unwrap_err().contains("twice"));
    }

    #[test]
    fn a_line_is_as_long_as_what_it_says_can_be() {
        let padded = |say: &str, bytes: usize| received(&[&say.replace('$', &"x".repeat(bytes))]);
        let failed = r#"{"failed":{"request":"$","missing":{"what":"w","why":"y"}}}"#;
        assert!(padded(failed, 20_000).is_ok());
        assert!(padded(failed, 70_000).unwrap_err().contains("`failed`, is longer than"));
        let event = one_line(EVENT).replace("drop", "$");
        assert!(padded(&event, 7_000).is_ok());
        assert!(padded(&event, 9_000).unwrap_err().contains("`event`, is longer than"));
        let endless = vec![b'x'; LINE_MAX_BYTES + 1];
        assert!(
            ReplyStream::default()
                .line(&endless)
                .unwrap_err()
                .contains("longer than")
        );
    }

    #[test]
    fn what_is_short_on_the_wire_and_large_in_memory_is_not_taken() {
        let many = |what: &str, count: usize| vec![what; count].join(",");
        let probes = format!(r#"{{"armed":{{"id":1,"probes":[{}]}}}}"#, many("{}", 300_000));
        let why = received(&[&probes]).unwrap_err();
        assert!(why.contains("MiB of memory"), "{why}");
        let deep = format!("{{\"x\":{}{}}}", "[".repeat(1_000), "]".repeat(1_000));
        let event = one_line(EVENT).replace(r#"{"what":"retransmit-syn-ack"}"#, &deep);
        let why = received(&[&event]).unwrap_err();
        assert!(why.contains("recursion"), "{why}");
    }
}
