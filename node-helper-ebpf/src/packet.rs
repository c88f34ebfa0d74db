//! Headers: from an skb to the tuple and the marks of its packet.

use crate::draft::Draft;
use crate::fields::*;
use aya_ebpf::helpers::generated::bpf_probe_read_kernel;
use model::flow::{Flow, ICMP, ICMPV6, TCP, UDP};
use model::record::PacketTail;

/// Ethernet protocols, host order.
pub const IPV4: u16 = 0x0800;
/// IPv6.
pub const IPV6: u16 = 0x86dd;
/// ARP.
pub const ARP: u16 = 0x0806;

const IPV4_IN_IP: u8 = 4;
const IPV6_IN_IP: u8 = 41;
const SCTP: u8 = 132;
const FRAGMENT: u8 = 44;

/// What was found beside tuple and marks: the header of layer 4.
#[derive(Clone, Copy)]
pub struct Layer4 {
    /// Address of the layer-4 header; 0 in a later fragment.
    pub l4: u64,
    /// Its first bytes are there.
    pub protocol: u8,
}

impl Layer4 {
    /// The value, unknown to the verifier; see [`crate::fields::forget`].
    #[inline(always)]
    #[must_use]
    pub fn forgotten(self, memo: &mut u64) -> Self {
        Self {
            l4: forget(memo, self.l4),
            protocol: forget(memo, u64::from(self.protocol)) as u8,
        }
    }
}

/// Writes an IPv4 address mapped into IPv6.
#[inline(always)]
pub fn map_v4(to: &mut [u8; 16], v4: [u8; 4]) {
    *to = [0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff, v4[0], v4[1], v4[2], v4[3]];
}

/// The protocol the device said, host order.
#[inline(always)]
pub fn ethernet_protocol(skb: u64) -> u16 {
    u16::from_be(field(skb, &sk_buff__protocol).unwrap_or(0))
}

/// Address of the network header. `at_data`: on the way in, before the kernel has noted it, the packet starts there.
#[inline(always)]
pub fn network_header(skb: u64, at_data: bool) -> u64 {
    if at_data {
        return field(skb, &sk_buff__data).unwrap_or(0);
    }
    let head = field::<u64>(skb, &sk_buff__head).unwrap_or(0);
    head + u64::from(field::<u16>(skb, &sk_buff__network_header).unwrap_or(0))
}

/// Reads `N` bytes at a kernel address into a buffer in place.
#[inline(always)]
pub fn read_into<const N: usize>(to: &mut [u8; N], address: u64) -> bool {
    // SAFETY: the buffer is ours and N bytes long; the helper checks the address.
    unsafe { bpf_probe_read_kernel(to.as_mut_ptr().cast(), N as u32, address as *const _) == 0 }
}

#[inline(always)]
fn be16(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

#[inline(always)]
fn be32(bytes: &[u8], at: usize) -> u32 {
    u32::from_be_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// Copies an address in words, where the compiler would copy bytes.
#[inline(always)]
fn copy(to: &mut [u8; 16], from: &[u8; 40], at: usize) {
    for word in 0..4 {
        let part = [
            from[at + word * 4],
            from[at + word * 4 + 1],
            from[at + word * 4 + 2],
            from[at + word * 4 + 3],
        ];
        to[word * 4..word * 4 + 4].copy_from_slice(&part);
    }
}

/// The tuple of the TCP segment or datagram whose IP header is at `address`, where it has no headers between; `false` for others.
#[inline(always)]
pub fn tuple(address: u64, flow: &mut Flow) -> bool {
    let mut ip = [0; 40];
    if !read_into(&mut ip, address) {
        return false;
    }
    let offset = match ip[0] >> 4 {
        4 => {
            map_v4(&mut flow.saddr, [ip[12], ip[13], ip[14], ip[15]]);
            map_v4(&mut flow.daddr, [ip[16], ip[17], ip[18], ip[19]]);
            flow.protocol = ip[9];
            u64::from(ip[0] & 0xf) * 4
        }
        6 => {
            copy(&mut flow.saddr, &ip, 8);
            copy(&mut flow.daddr, &ip, 24);
            flow.protocol = ip[6];
            40
        }
        _ => return false,
    };
    let Some(ports) = read::<[u8; 4]>(address + offset) else {
        return false;
    };
    flow.sport = u16::from_be_bytes([ports[0], ports[1]]);
    flow.dport = u16::from_be_bytes([ports[2], ports[3]]);
    flow.zero = [0; 3];
    flow.protocol == TCP || flow.protocol == UDP
}

/// Turns a tuple round.
#[inline(always)]
pub fn reverse(draft: &mut Draft) {
    let Draft { record, answer, .. } = draft;
    let flow = &mut record.flow;
    answer.saddr = flow.saddr;
    flow.saddr = flow.daddr;
    flow.daddr = answer.saddr;
    core::mem::swap(&mut flow.sport, &mut flow.dport);
}

/// Reads the packet whose IP header is at `address` into the draft's record and tail.
#[inline(always)]
pub fn headers(draft: &mut Draft, address: u64) -> Option<Layer4> {
    let Draft {
        record,
        tail,
        ip,
        l4,
        memo,
        ..
    } = draft;
    parse(address, &mut record.flow, tail, ip, l4, memo)
}

/// Reads the packet that an ICMP error quotes, whose IP header is at `address`, into the draft's second tuple.
#[inline(always)]
pub fn quoted(draft: &mut Draft, address: u64) -> Option<Layer4> {
    let Draft {
        quoted,
        ip,
        l4,
        other,
        memo,
        ..
    } = draft;
    parse(address, quoted, other, ip, l4, memo)
}

#[inline(always)]
fn parse(
    address: u64,
    flow: &mut Flow,
    tail: &mut PacketTail,
    ip: &mut [u8; 40],
    l4: &mut [u8; 20],
    memo: &mut u64,
) -> Option<Layer4> {
    if !read_into(ip, address) {
        return None;
    }
    let mut protocol;
    let mut offset;
    let mut fragment = 0u16;
    match ip[0] >> 4 {
        4 => {
            map_v4(&mut flow.saddr, [ip[12], ip[13], ip[14], ip[15]]);
            map_v4(&mut flow.daddr, [ip[16], ip[17], ip[18], ip[19]]);
            protocol = ip[9];
            offset = u64::from(ip[0] & 0xf) * 4;
            fragment = be16(ip, 6) & 0x3fff;
            tail.ip_id = be16(ip, 4);
            tail.len = u32::from(be16(ip, 2));
            tail.ttl = ip[8];
        }
        6 => {
            copy(&mut flow.saddr, ip, 8);
            copy(&mut flow.daddr, ip, 24);
            protocol = ip[6];
            offset = 40;
            tail.ip_id = 0;
            tail.len = u32::from(be16(ip, 4)) + 40;
            tail.ttl = ip[7];
            // Hop-by-hop, routing, destination options; or a fragment header.
            if matches!(protocol, 0 | 43 | 60) || protocol == FRAGMENT {
                let next: [u8; 8] = read(address + offset)?;
                if protocol == FRAGMENT {
                    fragment = u16::from_be_bytes([next[2], next[3]]);
                    fragment = (fragment >> 3) | ((fragment & 1) << 13);
                    tail.ip_id = u16::from_be_bytes([next[6], next[7]]);
                    offset += 8;
                } else {
                    offset += 8 + u64::from(next[1]) * 8;
                }
                protocol = next[0];
            }
        }
        _ => return None,
    }
    let protocol = forget(memo, u64::from(protocol)) as u8;
    let offset = forget(memo, offset);
    let fragment = forget(memo, u64::from(fragment)) as u16;
    flow.protocol = protocol;
    flow.zero = [0; 3];
    flow.sport = 0;
    flow.dport = 0;
    tail.seq = 0;
    tail.ack = 0;
    tail.window = 0;
    tail.tcp_flags = 0;
    tail.inner = 0;
    tail.fragment = (fragment != 0) as u8;
    if fragment & 0x1fff != 0 {
        return Some(Layer4 {
            l4: forget(memo, 0),
            protocol: forget(memo, u64::from(protocol)) as u8,
        });
    }
    let l4_address = address + offset;
    if protocol == TCP {
        if !read_into(l4, l4_address) {
            return None;
        }
        flow.sport = be16(l4, 0);
        flow.dport = be16(l4, 2);
        tail.seq = be32(l4, 4);
        tail.ack = be32(l4, 8);
        tail.tcp_flags = l4[13];
        tail.window = be16(l4, 14);
    } else if protocol == UDP || protocol == SCTP || protocol == ICMP || protocol == ICMPV6 {
        let start: [u8; 8] = read(l4_address)?;
        if protocol == ICMP || protocol == ICMPV6 {
            tail.tcp_flags = start[0];
            tail.fragment = start[1];
            let id = u16::from_be_bytes([start[4], start[5]]);
            let (request, reply) = if protocol == ICMP { (8, 0) } else { (128, 129) };
            if start[0] == request {
                flow.sport = id;
            } else if start[0] == reply {
                flow.dport = id;
            }
            if start[0] == request || start[0] == reply {
                tail.seq = u32::from(u16::from_be_bytes([start[6], start[7]]));
            }
        } else {
            flow.sport = u16::from_be_bytes([start[0], start[1]]);
            flow.dport = u16::from_be_bytes([start[2], start[3]]);
        }
    }
    Some(Layer4 {
        l4: forget(memo, l4_address),
        protocol: forget(memo, u64::from(protocol)) as u8,
    })
}

/// Reads an ARP packet's addresses (sender, target) into the record's flow.
#[inline(always)]
pub fn arp(draft: &mut Draft, address: u64) -> bool {
    let ip = &mut draft.ip;
    if !read_into(ip, address) {
        return false;
    }
    let flow = &mut draft.record.flow;
    map_v4(&mut flow.saddr, [ip[14], ip[15], ip[16], ip[17]]);
    map_v4(&mut flow.daddr, [ip[24], ip[25], ip[26], ip[27]]);
    flow.sport = 0;
    flow.dport = 0;
    flow.protocol = 0;
    flow.zero = [0; 3];
    true
}

/// Where the quoted packet of an ICMP error starts; 0 if this is none.
#[inline(always)]
pub fn quoted_at(found: Layer4, kind: u8) -> u64 {
    let error = match found.protocol {
        ICMP => matches!(kind, 3 | 11 | 12),
        ICMPV6 => matches!(kind, 1..=4),
        _ => false,
    };
    if error && found.l4 != 0 { found.l4 + 8 } else { 0 }
}

/// Where the inner IP header starts, if the packet carries another (IP in IP, VXLAN, Geneve by UDP port); else 0.
#[inline(always)]
pub fn inner_at(found: Layer4, dport: u16) -> u64 {
    if found.l4 == 0 {
        return 0;
    }
    match found.protocol {
        IPV4_IN_IP | IPV6_IN_IP => found.l4,
        // 8 of UDP, 8 of VXLAN, 14 of Ethernet.
        UDP if matches!(dport, 4789 | 8472) => found.l4 + 30,
        UDP if dport == 6081 => match read::<u8>(found.l4 + 8) {
            Some(options) => found.l4 + 30 + u64::from(options & 0x3f) * 4,
            None => 0,
        },
        _ => 0,
    }
}
