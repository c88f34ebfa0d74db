//! `dns`: a name server with one fixed address for all names, on UDP and TCP, that can fail in the ways name servers do.
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, TcpStream, UdpSocket};
use std::sync::Arc;
use std::thread;
use std::time::Duration;

use anyhow::{Context as _, Result, anyhow};
use hickory_proto::op::{Message, MessageType, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, TXT};
use hickory_proto::rr::{Name, RData, Record, RecordType};

use super::arguments::{Arguments, Listen};
use super::{Builtin, accept};

/// The registry's entry.
pub const DNS: Builtin = Builtin {
    name: "dns",
    usage: "[ADDRESS:]PORT [rcode=R] [delay=MS] [size=BYTES] [zone=NAME,...] [truncate] [no-tcp]   answers A and AAAA with 192.0.2.10 and 2001:db8::10 (rcode: nothing but that, NXDOMAIN or 3; size: padded to that; zone: names elsewhere do not exist; truncate: whole answers over TCP only)",
    stays: true,
    run,
};

#[derive(Clone)]
struct Server {
    rcode: ResponseCode,
    delay: Duration,
    size: usize,
    zones: Vec<Name>,
    truncate: bool,
}

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &["rcode", "delay", "size", "zone"]);
    let (truncate, no_tcp) = (arguments.flag("truncate"), arguments.flag("no-tcp"));
    let listen: Listen = arguments.next_as("port")?;
    let zones = arguments.optional("zone").unwrap_or_default();
    let server = Arc::new(Server {
        rcode: rcode(&arguments.optional("rcode").unwrap_or_else(|| "NOERROR".to_owned()))?,
        delay: Duration::from_millis(arguments.value("delay", 0)?),
        size: arguments.value("size", 0)?,
        zones: zones
            .split(',')
            .filter(|zone| !zone.is_empty())
            .map(name)
            .collect::<Result<_>>()?,
        truncate,
    });
    arguments.end()?;
    let socket = Arc::new(UdpSocket::from(listen.udp()?));
    let over_udp = Arc::clone(&server);
    let datagrams = move || datagrams(&socket, &over_udp);
    if no_tcp {
        super::ready()?;
        datagrams();
        return Ok(());
    }
    thread::spawn(datagrams);
    accept::each(listen, move |stream| {
        let _ = queries(&stream, &server);
    })
}

fn datagrams(socket: &Arc<UdpSocket>, server: &Arc<Server>) {
    let mut datagram = [0; 4096];
    loop {
        let Ok((length, from)) = socket.recv_from(&mut datagram) else {
            continue;
        };
        let Some(answer) = server.answer(&datagram[..length], true) else {
            continue;
        };
        if server.delay.is_zero() {
            let _ = socket.send_to(&answer, from);
        } else {
            let (socket, delay) = (Arc::clone(socket), server.delay);
            let _ = thread::Builder::new().stack_size(64 << 10).spawn(move || {
                thread::sleep(delay);
                socket.send_to(&answer, from)
            });
        }
    }
}

fn queries(mut stream: &TcpStream, server: &Server) -> Result<()> {
    loop {
        let mut length = [0; 2];
        stream.read_exact(&mut length)?;
        let mut query = vec![0; usize::from(u16::from_be_bytes(length))];
        stream.read_exact(&mut query)?;
        let answer = server.answer(&query, false).context("answering")?;
        thread::sleep(server.delay);
        let length = u16::try_from(answer.len()).context("an answer of more than 65535 bytes")?;
        stream.write_all(&[&length.to_be_bytes(), answer.as_slice()].concat())?;
    }
}

impl Server {
    /// The answer's bytes; nothing for what is no query.
    fn answer(&self, query: &[u8], over_udp: bool) -> Option<Vec<u8>> {
        let query = Message::from_vec(query).ok()?;
        let question = query.queries.first()?.clone();
        if query.metadata.message_type != MessageType::Query {
            return None;
        }
        let mut answer = Message::response(query.metadata.id, query.metadata.op_code);
        answer.metadata.recursion_desired = query.metadata.recursion_desired;
        answer.metadata.recursion_available = true;
        answer.metadata.response_code = self.rcode_for(question.name());
        answer.add_query(question.clone());
        if self.truncate && over_udp {
            answer.metadata.truncation = true;
            return answer.to_vec().ok();
        }
        if answer.metadata.response_code == ResponseCode::NoError {
            let data = match question.query_type() {
                RecordType::A => Some(RData::A(A(Ipv4Addr::new(192, 0, 2, 10)))),
                RecordType::AAAA => Some(RData::AAAA(AAAA(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 0x10)))),
                _ => None,
            };
            answer.add_answers(data.map(|data| Record::from_rdata(question.name().clone(), 30, data)));
        }
        self.pad(&mut answer, question.name())?;
        answer.to_vec().ok()
    }

    fn rcode_for(&self, name: &Name) -> ResponseCode {
        let known = self.zones.is_empty() || self.zones.iter().any(|zone| zone.zone_of(name));
        if known { self.rcode } else { ResponseCode::NXDomain }
    }

    /// Text records until the answer has the size asked for.
    fn pad(&self, answer: &mut Message, name: &Name) -> Option<()> {
        while answer.to_vec().ok()?.len() < self.size {
            let text = vec!["x".repeat(200)];
            answer.add_additional(Record::from_rdata(name.clone(), 30, RData::TXT(TXT::new(text))));
        }
        Some(())
    }
}

fn rcode(text: &str) -> Result<ResponseCode> {
    let known = [
        ("NOERROR", ResponseCode::NoError),
        ("FORMERR", ResponseCode::FormErr),
        ("SERVFAIL", ResponseCode::ServFail),
        ("NXDOMAIN", ResponseCode::NXDomain),
        ("NOTIMP", ResponseCode::NotImp),
        ("REFUSED", ResponseCode::Refused),
    ];
    let of_name = known
        .into_iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text))
        .map(|(_, code)| code);
    of_name
        .or_else(|| Some(ResponseCode::from_low(text.parse().ok()?)))
        .ok_or_else(|| anyhow!("`{text}` is no DNS response code"))
}

fn name(text: &str) -> Result<Name> {
    let mut name = Name::from_ascii(text).with_context(|| format!("`{text}` is no name"))?;
    name.set_fqdn(true);
    Ok(name)
}

#[cfg(test)]
mod tests {
    use hickory_proto::op::{OpCode, Query};

    use super::*;

    fn server() -> Server {
        Server {
            rcode: ResponseCode::NoError,
            delay: Duration::ZERO,
            size: 0,
            zones: Vec::new(),
            truncate: false,
        }
    }

    fn ask(server: &Server, text: &str, over_udp: bool) -> (Message, usize) {
        let mut query = Message::new(7, MessageType::Query, OpCode::Query);
        query.add_query(Query::query(name(text).unwrap(), RecordType::A));
        let answer = server.answer(&query.to_vec().unwrap(), over_udp).unwrap();
        (Message::from_vec(&answer).unwrap(), answer.len())
    }

    #[test]
    fn names_outside_the_zone_do_not_exist() {
        let server = Server {
            zones: vec![name("svc.cluster.local").unwrap()],
            ..server()
        };
        let (answer, _) = ask(&server, "api.default.svc.cluster.local", true);
        assert_eq!(
            (answer.metadata.response_code, answer.answers.len()),
            (ResponseCode::NoError, 1)
        );
        let (answer, _) = ask(&server, "example.com", true);
        assert_eq!(
            (answer.metadata.response_code, answer.answers.len()),
            (ResponseCode::NXDomain, 0)
        );
    }

    #[test]
    fn answers_fail_pad_and_truncate_as_asked() {
        let (answer, _) = ask(
            &Server {
                rcode: rcode("servfail").unwrap(),
                ..server()
            },
            "a.example",
            true,
        );
        assert_eq!(answer.metadata.response_code, ResponseCode::ServFail);
        assert!(ask(&Server { size: 3000, ..server() }, "a.example", true).1 >= 3000);
        let server = Server {
            truncate: true,
            ..server()
        };
        assert!(ask(&server, "a.example", true).0.metadata.truncation);
        assert_eq!(ask(&server, "a.example", false).0.answers.len(), 1);
    }
}
