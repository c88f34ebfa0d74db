//! What a socket tells: its tuple (local to remote), state and cgroup.

use crate::draft::Draft;
use crate::fields::*;
use crate::netns;
use crate::packet::{map_v4, read_into};
use model::flow::Flow;

const AF_INET: u16 = 2;
const AF_INET6: u16 = 10;

/// Writes the tuple of an IPv4 or IPv6 socket; `false` for other families. Mapped addresses stay mapped, so a dual-stack
/// socket has no twin.
#[inline(always)]
pub fn flow(sk: u64, protocol: u8, flow: &mut Flow) -> bool {
    let Some(family) = field::<u16>(sk, &sock_common__skc_family) else {
        return false;
    };
    // In place: a copy of sixteen bytes becomes a loop over bytes.
    if family == AF_INET {
        let (Some(local), Some(remote)) = (
            field::<u32>(sk, &sock_common__skc_rcv_saddr),
            field::<u32>(sk, &sock_common__skc_daddr),
        ) else {
            return false;
        };
        map_v4(&mut flow.saddr, local.to_ne_bytes());
        map_v4(&mut flow.daddr, remote.to_ne_bytes());
    } else if family == AF_INET6 && has(&sock_common__skc_v6_daddr) {
        let local = sk + u64::from(given(&sock_common__skc_v6_rcv_saddr));
        let remote = sk + u64::from(given(&sock_common__skc_v6_daddr));
        if !read_into(&mut flow.saddr, local) || !read_into(&mut flow.daddr, remote) {
            return false;
        }
    } else {
        return false;
    }
    flow.sport = field(sk, &sock_common__skc_num).unwrap_or(0);
    if flow.sport == 0 && has(&inet_sock__inet_sport) {
        // A socket that has let go of its port still remembers it.
        flow.sport = u16::from_be(field(sk, &inet_sock__inet_sport).unwrap_or(0));
    }
    flow.dport = u16::from_be(field(sk, &sock_common__skc_dport).unwrap_or(0));
    flow.protocol = protocol;
    flow.zero = [0; 3];
    true
}

/// Its TCP state.
#[inline(always)]
pub fn state(sk: u64) -> u8 {
    field(sk, &sock_common__skc_state).unwrap_or(0)
}

/// Id of its cgroup (version 2), 0 when it has none.
#[inline(always)]
pub fn cgroup(sk: u64) -> u64 {
    if !has(&sock__sk_cgrp_data) || !has(&sock_cgroup_data__cgroup) || !has(&cgroup__kn) || !has(&kernfs_node__id) {
        return 0;
    }
    let data = sk + u64::from(given(&sock__sk_cgrp_data));
    pointer(data, &sock_cgroup_data__cgroup)
        .and_then(|cgroup| pointer(cgroup, &cgroup__kn))
        .and_then(|node| field(node, &kernfs_node__id))
        .unwrap_or(0)
}

impl Draft {
    /// Fills tuple, place and cgroup from a socket; `false` when it is none of IPv4 or IPv6.
    #[inline(always)]
    pub fn of_socket(&mut self, sk: u64, protocol: u8) -> bool {
        if !flow(sk, protocol, &mut self.record.flow) {
            return false;
        }
        if let Some(place) = netns::of_socket(sk) {
            self.at(place);
        }
        self.record.cgroup = cgroup(sk);
        true
    }
}
