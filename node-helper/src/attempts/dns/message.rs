//! DNS messages: the query we send and what we need of an answer. The wire is hickory's.

use anyhow::Context as _;
use hickory_proto::op::{Message, MessageType, OpCode, Query};
use hickory_proto::rr::{Name, RData, RecordType};
use std::net::IpAddr;
use std::str::FromStr as _;

/// What an answer says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DnsResponse {
    /// Message id.
    pub id: u16,
    /// Response code by its IANA name.
    pub rcode: String,
    /// Answer records.
    pub records: u16,
    /// One of them at least is of the type asked for.
    pub of_type: bool,
    /// The truncation bit.
    pub truncated: bool,
    /// Addresses in it.
    pub addresses: Vec<IpAddr>,
}

/// The type of this name.
pub fn record_type(name: &str) -> anyhow::Result<RecordType> {
    RecordType::from_str(&name.to_ascii_uppercase()).with_context(|| format!("`{name}` is no DNS record type"))
}

/// A query as glibc sends it: recursion desired, no EDNS.
pub fn query(id: u16, name: &str, kind: RecordType) -> anyhow::Result<Vec<u8>> {
    let mut name = Name::from_ascii(name).with_context(|| format!("`{name}` is no DNS name"))?;
    name.set_fqdn(true);
    let mut message = Message::new(id, MessageType::Query, OpCode::Query);
    message.metadata.recursion_desired = true;
    message.add_query(Query::query(name, kind));
    message.to_vec().context("cannot write a DNS query")
}

/// What these bytes answer to a query for this name and type; `None` for anything else.
pub fn answer(bytes: &[u8], name: &str, kind: RecordType) -> Option<DnsResponse> {
    let message = Message::from_vec(bytes).ok()?;
    let asked = Name::from_ascii(name).ok()?;
    // Some servers repeat no question in an error.
    let ours = message
        .queries
        .first()
        .is_none_or(|query| query.query_type == kind && query.name.eq_ignore_root(&asked));
    if message.metadata.message_type != MessageType::Response || !ours {
        return None;
    }
    Some(DnsResponse {
        id: message.metadata.id,
        rcode: rcode_name(message.metadata.response_code.low()),
        records: message.answers.len() as u16,
        of_type: message.answers.iter().any(|record| record.record_type() == kind),
        truncated: message.metadata.truncation,
        addresses: message
            .answers
            .iter()
            .filter_map(|record| match &record.data {
                RData::A(address) => Some(IpAddr::V4(address.0)),
                RData::AAAA(address) => Some(IpAddr::V6(address.0)),
                _ => None,
            })
            .collect(),
    })
}

/// IANA's names of the codes a header can carry (RFC 6895).
fn rcode_name(code: u8) -> String {
    const NAMES: [&str; 11] = [
        "NOERROR", "FORMERR", "SERVFAIL", "NXDOMAIN", "NOTIMP", "REFUSED", "YXDOMAIN", "YXRRSET", "NXRRSET", "NOTAUTH",
        "NOTZONE",
    ];
    NAMES
        .get(usize::from(code))
        .map_or_else(|| format!("RCODE{code}"), ToString::to_string)
}

/// The id in the first two bytes.
pub fn id(bytes: &[u8]) -> Option<u16> {
    Some(u16::from_be_bytes([*bytes.first()?, *bytes.get(1)?]))
}

#[cfg(test)]
mod tests {
    use super::{answer, id, query, record_type};
    use hickory_proto::op::{Message, MessageType, ResponseCode};
    use hickory_proto::rr::{RData, Record, RecordType, rdata};
    use std::net::Ipv4Addr;

    fn reply(change: impl FnOnce(&mut Message)) -> Vec<u8> {
        let mut message = Message::from_vec(&query(7, "web.example", RecordType::A).unwrap()).unwrap();
        message.metadata.message_type = MessageType::Response;
        change(&mut message);
        message.to_vec().unwrap()
    }

    #[test]
    fn an_answer_is_read() {
        let bytes = reply(|message| {
            let name = message.queries[0].name.clone();
            let data = RData::A(rdata::A(Ipv4Addr::new(10, 0, 0, 1)));
            message.add_answer(Record::from_rdata(name, 60, data));
        });
        let read = answer(&bytes, "WEB.example", RecordType::A).unwrap();
        assert_eq!(
            (read.id, read.rcode.as_str(), read.records, read.of_type),
            (7, "NOERROR", 1, true)
        );
        assert_eq!(read.addresses, [Ipv4Addr::new(10, 0, 0, 1)]);
    }

    #[test]
    fn what_is_no_answer_to_our_question_is_none() {
        let whole = reply(|message| message.metadata.response_code = ResponseCode::NXDomain);
        assert_eq!(answer(&whole, "web.example", RecordType::A).unwrap().rcode, "NXDOMAIN");
        assert_eq!(answer(&whole, "web.example", RecordType::AAAA), None);
        assert_eq!(answer(&whole, "db.example", RecordType::A), None);
        let question = query(7, "web.example", RecordType::A).unwrap();
        assert_eq!(answer(&question, "web.example", RecordType::A), None);
        for end in 0..whole.len() {
            assert_eq!(
                answer(&whole[..end], "web.example", RecordType::A),
                None,
                "cut at {end}"
            );
        }
    }

    #[test]
    fn names_and_types_are_checked() {
        assert!(query(1, &"a".repeat(64), RecordType::A).is_err());
        assert!(query(1, "a..b", RecordType::A).is_err());
        assert!(record_type("aaaa").is_ok() && record_type("HTTP").is_err());
        assert_eq!((id(&[1, 2, 3]), id(&[1])), (Some(258), None));
    }
}
