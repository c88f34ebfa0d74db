//! `conntrack-fill`: writes connections into a namespace's connection table until it is full, through ctnetlink.
use std::fs;
use std::net::Ipv4Addr;

use anyhow::{Context as _, Result, ensure};
use netlink_sys::{Socket, SocketAddr, protocols::NETLINK_NETFILTER};

use super::Builtin;
use super::arguments::Arguments;

/// The registry's entry.
pub const CONNTRACK_FILL: Builtin = Builtin {
    name: "conntrack-fill",
    usage: "[COUNT]   writes that many connections into the connection table (without: until it is full)",
    stays: false,
    run,
};

const BATCH: u32 = 256;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_CREATE: u16 = 0x400;
/// `NFNL_SUBSYS_CTNETLINK << 8 | IPCTNL_MSG_CT_NEW`.
const NEW: u16 = 0x100;
const NESTED: u16 = 0x8000;
/// Seen in both directions, and assured: such entries are not evicted early.
const STATUS: u32 = 1 << 1 | 1 << 2 | 1 << 3;

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &[]);
    let wanted: Option<u32> = arguments
        .rest()
        .first()
        .map(|word| word.parse())
        .transpose()
        .context("reading the count")?;
    let socket = Socket::new(NETLINK_NETFILTER).context("opening ctnetlink")?;
    let kernel = SocketAddr::new(0, 0);
    let limit = wanted.map_or_else(|| limit().map(|limit| limit + BATCH), Ok)?;
    let mut written = 0;
    while written < limit {
        let next = (written + BATCH).min(limit);
        let mut batch = Vec::new();
        for number in written..next {
            let flags = if number + 1 == next {
                NLM_F_REQUEST | NLM_F_CREATE | NLM_F_ACK
            } else {
                NLM_F_REQUEST | NLM_F_CREATE
            };
            batch.extend(message(number, flags));
        }
        socket.send_to(&batch, &kernel, 0).context("writing connections")?;
        // The last of a batch is acknowledged; any that was refused says so.
        let (answer, _) = socket.recv_from_full().context("reading the answer")?;
        let error = answer
            .get(16..20)
            .and_then(|bytes| bytes.try_into().ok())
            .map_or(0, i32::from_ne_bytes);
        if error != 0 {
            let refused = std::io::Error::from_raw_os_error(-error);
            ensure!(
                wanted.is_none() && -error == libc::ENOMEM,
                "writing connections: {refused}"
            );
            return Ok(());
        }
        written = next;
    }
    Ok(())
}

fn limit() -> Result<u32> {
    let path = "/proc/sys/net/netfilter/nf_conntrack_max";
    let text = fs::read_to_string(path).with_context(|| format!("reading {path}"))?;
    text.trim().parse().with_context(|| format!("parsing {path}"))
}

/// The request to create connection `number`: UDP, 198.18.x.x to 198.19.0.1:9.
fn message(number: u32, flags: u16) -> Vec<u8> {
    let client = Ipv4Addr::from(0xc612_0000 + (number >> 15));
    let (server, port) = (Ipv4Addr::new(198, 19, 0, 1), 1024 + (number & 0x7fff) as u16);
    let body = [
        vec![libc::AF_INET as u8, 0, 0, 0],
        attribute(1 | NESTED, &tuple(client, server, port, 9)),
        attribute(2 | NESTED, &tuple(server, client, 9, port)),
        attribute(3, &STATUS.to_be_bytes()),
        attribute(7, &3600_u32.to_be_bytes()),
    ]
    .concat();
    let length = (body.len() + 16) as u32;
    [
        &length.to_ne_bytes()[..],
        &NEW.to_ne_bytes(),
        &flags.to_ne_bytes(),
        &number.to_ne_bytes(),
        &[0; 4],
        &body,
    ]
    .concat()
}

/// A `CTA_TUPLE`: addresses, then protocol and ports.
fn tuple(from: Ipv4Addr, to: Ipv4Addr, from_port: u16, to_port: u16) -> Vec<u8> {
    let addresses = [attribute(1, &from.octets()), attribute(2, &to.octets())].concat();
    let ports = [
        attribute(1, &[libc::IPPROTO_UDP as u8]),
        attribute(2, &from_port.to_be_bytes()),
        attribute(3, &to_port.to_be_bytes()),
    ]
    .concat();
    [attribute(1 | NESTED, &addresses), attribute(2 | NESTED, &ports)].concat()
}

fn attribute(kind: u16, value: &[u8]) -> Vec<u8> {
    let length = (value.len() + 4) as u16;
    let mut bytes = [&length.to_ne_bytes()[..], &kind.to_ne_bytes(), value].concat();
    bytes.resize(bytes.len().next_multiple_of(4), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_as_long_as_they_say_and_all_differ() {
        let one = message(1, NLM_F_REQUEST);
        assert_eq!(u32::from_ne_bytes(one[..4].try_into().unwrap()) as usize, one.len());
        assert_ne!(message(1 << 15, NLM_F_REQUEST)[16..], message(0, NLM_F_REQUEST)[16..]);
    }
}
