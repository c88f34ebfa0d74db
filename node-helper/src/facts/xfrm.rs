//! `IPsec` policies, one line each as `ip xfrm policy` words them.

use super::Fact;
use crate::system::netlink::{Netlink, address, attributes, u16_at, u32_at};
use anyhow::Context as _;
use model::facts::NetnsFacts;
use model::flow::protocol_name;
use std::fmt::Write as _;
use std::net::IpAddr;

pub(super) const FACT: Fact = Fact {
    name: "xfrm",
    moves: false,
    read: |look, facts: &mut NetnsFacts| facts.xfrm = look.known("IPsec policies", read()),
};

// linux/xfrm.h
const XFRM_MSG_GETPOLICY: u16 = 0x15;
const XFRMA_TMPL: u16 = 5;
/// `struct xfrm_userpolicy_info`: selector (56 bytes), lifetimes, priority at 152, direction at 160, action at 161.
const USERPOLICY_INFO_BYTES: usize = 168;
const USER_TMPL_BYTES: usize = 64;
const DIRECTIONS: [&str; 3] = ["in", "out", "fwd"];

fn read() -> anyhow::Result<Vec<String>> {
    let mut xfrm = match Netlink::open(libc::NETLINK_XFRM) {
        // Without IPsec in the kernel there are no policies.
        Err(error) if is(&error, libc::EPROTONOSUPPORT) => return Ok(Vec::new()),
        other => other?,
    };
    xfrm.dump(XFRM_MSG_GETPOLICY, &[], |_, body| parse(body))
        .context("cannot list policies")
}

fn is(error: &anyhow::Error, number: i32) -> bool {
    error
        .downcast_ref::<std::io::Error>()
        .is_some_and(|error| error.raw_os_error() == Some(number))
}

/// Policies of single sockets (directions beyond the three) are IKE daemons' own.
fn parse(message: &[u8]) -> Option<String> {
    let body = message.get(USERPOLICY_INFO_BYTES..)?;
    let direction = DIRECTIONS.get(usize::from(message[160]))?;
    let action = if message[161] == 0 { "allow" } else { "block" };
    let family = u16_at(message, 40);
    let mut line = format!(
        "src {}/{} dst {}/{}",
        end(&message[16..32], family)?,
        message[43],
        end(&message[0..16], family)?,
        message[42]
    );
    if message[44] != 0 {
        let _ = write!(line, " proto {}", protocol_name(message[44]));
    }
    for (name, offset) in [("sport", 36), ("dport", 32)] {
        if u16_at(message, offset + 2) != 0 {
            let _ = write!(line, " {name} {}", u16::from_be(u16_at(message, offset)));
        }
    }
    let _ = write!(
        line,
        " dir {direction} action {action} priority {}",
        u32_at(message, 152)
    );
    for (_, templates) in attributes(body).filter(|(kind, _)| *kind == XFRMA_TMPL) {
        for template in templates.chunks_exact(USER_TMPL_BYTES) {
            let family = u16_at(template, 24);
            let mode = if template[48] == 0 { "transport" } else { "tunnel" };
            let _ = write!(
                line,
                " tmpl src {} dst {} proto {} mode {mode}",
                end(&template[28..44], family)?,
                end(&template[0..16], family)?,
                match template[20] {
                    50 => "esp".into(),
                    51 => "ah".into(),
                    108 => "comp".into(),
                    other => protocol_name(other),
                }
            );
        }
    }
    Some(line)
}

fn end(bytes: &[u8], family: u16) -> Option<IpAddr> {
    address(if i32::from(family) == libc::AF_INET {
        bytes.get(..4)?
    } else {
        bytes
    })
}

#[cfg(test)]
mod tests {
    use super::{USER_TMPL_BYTES, USERPOLICY_INFO_BYTES, XFRMA_TMPL, parse};
    use crate::system::netlink::attribute;

    /// A policy for IPv4 between 10.90.2.2/32 and 10.0.0.0/8.
    fn policy(direction: u8, action: u8) -> Vec<u8> {
        let mut message = vec![0; USERPOLICY_INFO_BYTES];
        message[0..4].copy_from_slice(&[10, 90, 2, 2]);
        message[16..20].copy_from_slice(&[10, 0, 0, 0]);
        message[40..42].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        (message[42], message[43]) = (32, 8);
        (message[160], message[161]) = (direction, action);
        message
    }

    #[test]
    fn a_policy_that_blocks_tells_what_it_selects() {
        let mut message = policy(0, 1);
        message[32..34].copy_from_slice(&80_u16.to_be_bytes());
        message[34..36].copy_from_slice(&[0xff; 2]);
        message[44] = 6;
        message[152] = 5;
        assert_eq!(
            parse(&message).unwrap(),
            "src 10.0.0.0/8 dst 10.90.2.2/32 proto tcp dport 80 dir in action block priority 5"
        );
    }

    #[test]
    fn a_policy_that_encrypts_tells_its_tunnel_and_a_sockets_own_is_left_out() {
        let mut template = [0; USER_TMPL_BYTES];
        template[0..4].copy_from_slice(&[192, 0, 2, 2]);
        template[28..32].copy_from_slice(&[192, 0, 2, 1]);
        template[24..26].copy_from_slice(&(libc::AF_INET as u16).to_ne_bytes());
        (template[20], template[48]) = (50, 1);
        let mut message = policy(1, 0);
        attribute(&mut message, XFRMA_TMPL, &template);
        let line = parse(&message).unwrap();
        assert!(
            line.ends_with("dir out action allow priority 0 tmpl src 192.0.2.1 dst 192.0.2.2 proto esp mode tunnel")
        );
        assert_eq!(parse(&policy(3, 0)), None);
    }
}
