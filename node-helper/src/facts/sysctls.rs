//! Sysctls that matter to a packet's fate. Those of single interfaces come with the interfaces' netlink messages: one
//! dump instead of a dozen files each.

use super::{Fact, Look, links};
use crate::system::door;
use crate::system::netlink::{attributes, text, u32_at};
use model::facts::NetnsFacts;
use std::collections::BTreeMap;
use std::io::Read as _;
use std::path::Path;

pub(super) const FACT: Fact = Fact {
    name: "sysctls",
    moves: false,
    read: |look, facts: &mut NetnsFacts| facts.sysctls = look.known("sysctls", read(look)),
};

/// Settings of the whole namespace. Those this kernel lacks are left out.
const PLAIN: &[&str] = &[
    "net.bridge.bridge-nf-call-arptables",
    "net.bridge.bridge-nf-call-ip6tables",
    "net.bridge.bridge-nf-call-iptables",
    "net.core.somaxconn",
    "net.ipv4.fib_multipath_hash_policy",
    "net.ipv4.icmp_echo_ignore_all",
    "net.ipv4.icmp_ratelimit",
    "net.ipv4.icmp_ratemask",
    "net.ipv4.ip_default_ttl",
    "net.ipv4.ip_forward",
    "net.ipv4.ip_forward_use_pmtu",
    "net.ipv4.ip_local_port_range",
    "net.ipv4.ip_local_reserved_ports",
    "net.ipv4.ip_no_pmtu_disc",
    "net.ipv4.ip_nonlocal_bind",
    "net.ipv4.ip_unprivileged_port_start",
    "net.ipv4.tcp_abort_on_overflow",
    "net.ipv4.tcp_fin_timeout",
    "net.ipv4.tcp_keepalive_time",
    "net.ipv4.tcp_max_syn_backlog",
    "net.ipv4.tcp_max_tw_buckets",
    "net.ipv4.tcp_mtu_probing",
    "net.ipv4.tcp_retries2",
    "net.ipv4.tcp_rmem",
    "net.ipv4.tcp_syn_retries",
    "net.ipv4.tcp_synack_retries",
    "net.ipv4.tcp_syncookies",
    "net.ipv4.tcp_timestamps",
    "net.ipv4.tcp_tw_reuse",
    "net.ipv4.tcp_wmem",
    "net.ipv6.bindv6only",
    "net.ipv6.icmp.echo_ignore_all",
    "net.ipv6.icmp.ratelimit",
    "net.ipv6.ip_nonlocal_bind",
    "net.netfilter.nf_conntrack_buckets",
    "net.netfilter.nf_conntrack_count",
    "net.netfilter.nf_conntrack_max",
    "net.netfilter.nf_conntrack_tcp_be_liberal",
    "net.netfilter.nf_conntrack_tcp_loose",
    "net.netfilter.nf_conntrack_tcp_timeout_established",
    "net.netfilter.nf_conntrack_udp_timeout",
    "net.netfilter.nf_conntrack_udp_timeout_stream",
];

/// Settings of an interface (`net.ipv4.conf.IFACE.NAME`): place in the `IFLA_INET_CONF` array, counted from 1
/// (`IPV4_DEVCONF_*` in linux/ip.h), and name.
const IPV4_CONF: &[(usize, &str)] = &[
    (1, "forwarding"),
    (3, "proxy_arp"),
    (8, "rp_filter"),
    (13, "arp_filter"),
    (18, "arp_announce"),
    (19, "arp_ignore"),
    (23, "accept_local"),
    (24, "src_valid_mark"),
    (26, "route_localnet"),
];

/// Settings of an interface over IPv6 (`net.ipv6.conf.IFACE.NAME`): place in the `IFLA_INET6_CONF` array, counted from 0
/// (`DEVCONF_*` in linux/ipv6.h), and name.
const IPV6_CONF: &[(usize, &str)] = &[
    (0, "forwarding"),
    (2, "mtu"),
    (3, "accept_ra"),
    (22, "proxy_ndp"),
    (26, "disable_ipv6"),
    (27, "accept_dad"),
    (59, "force_forwarding"),
];

fn read(look: &Look) -> anyhow::Result<BTreeMap<String, String>> {
    let mut sysctls = read_files(Path::new("/proc/sys"), PLAIN.iter().map(|name| (*name).to_owned()));
    sysctls.extend(read_files(Path::new("/proc/sys"), of_all_and_default()));
    look.links(|messages| {
        for message in messages {
            sysctls.extend(of_interface(message));
        }
    })?;
    Ok(sysctls)
}

fn of_all_and_default() -> impl Iterator<Item = String> {
    let families = [("ipv4", IPV4_CONF), ("ipv6", IPV6_CONF)];
    families.into_iter().flat_map(|(family, table)| {
        ["all", "default"].into_iter().flat_map(move |which| {
            table
                .iter()
                .map(move |(_, name)| format!("net.{family}.conf.{which}.{name}"))
        })
    })
}

/// Those of the names that this kernel has, from a `/proc/sys`.
pub(super) fn read_files(root: &Path, names: impl Iterator<Item = String>) -> BTreeMap<String, String> {
    names
        .filter_map(|name| {
            let value = read_value(&root.join(name.replace('.', "/")))?;
            Some((name, value))
        })
        .collect()
}

/// One read is enough for a value, and there are a hundred of them.
fn read_value(path: &Path) -> Option<String> {
    let mut value = [0; 512];
    let length = door::file(path).ok()?.read(&mut value).ok()?;
    Some(String::from_utf8_lossy(&value[..length]).trim().to_owned())
}

// linux/if_link.h
const IFLA_INET_CONF: u16 = 1;
const IFLA_INET6_CONF: u16 = 2;

fn of_interface(message: &[u8]) -> Vec<(String, String)> {
    let (mut interface, mut found) = (String::new(), Vec::new());
    for (kind, value) in attributes(message.get(links::IFINFOMSG_BYTES..).unwrap_or_default()) {
        match kind {
            libc::IFLA_IFNAME => interface = text(value),
            libc::IFLA_AF_SPEC => found.extend(of_families(value)),
            _ => {}
        }
    }
    found
        .into_iter()
        .map(|(family, name, value)| (format!("net.{family}.conf.{interface}.{name}"), value))
        .collect()
}

fn of_families(spec: &[u8]) -> Vec<(&'static str, &'static str, String)> {
    let mut found = Vec::new();
    for (family, settings) in attributes(spec) {
        let (family, wanted, first, table) = match i32::from(family) {
            libc::AF_INET => ("ipv4", IFLA_INET_CONF, 1, IPV4_CONF),
            libc::AF_INET6 => ("ipv6", IFLA_INET6_CONF, 0, IPV6_CONF),
            _ => continue,
        };
        for (kind, array) in attributes(settings).filter(|(kind, _)| *kind == wanted) {
            debug_assert_eq!(kind, wanted);
            found.extend(
                table
                    .iter()
                    .map(|(place, name)| (*name, (place - first) * 4))
                    .filter(|(_, offset)| offset + 4 <= array.len())
                    .map(|(name, offset)| (family, name, (u32_at(array, offset) as i32).to_string())),
            );
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::{IFLA_INET_CONF, of_interface, read_files};
    use crate::facts::links::IFINFOMSG_BYTES;
    use crate::system::netlink::attribute;
    use std::fs;

    #[test]
    fn dots_are_folders_and_what_a_kernel_lacks_is_left_out() {
        let root = tempfile::tempdir().unwrap();
        fs::create_dir_all(root.path().join("net/ipv4")).unwrap();
        fs::write(root.path().join("net/ipv4/ip_local_port_range"), "32768\t60999\n").unwrap();
        let names = ["net.ipv4.ip_local_port_range", "net.ipv4.no_such"].map(str::to_owned);
        let read = read_files(root.path(), names.into_iter());
        assert_eq!(read.len(), 1);
        assert_eq!(read["net.ipv4.ip_local_port_range"], "32768\t60999");
    }

    #[test]
    fn an_interfaces_settings_come_from_its_own_message() {
        let mut conf = [0_u8; 32 * 4];
        conf[7 * 4] = 2;
        let (mut inet, mut spec, mut message) = (Vec::new(), Vec::new(), vec![0; IFINFOMSG_BYTES]);
        attribute(&mut inet, IFLA_INET_CONF, &conf);
        attribute(&mut spec, libc::AF_INET as u16, &inet);
        attribute(&mut message, libc::IFLA_AF_SPEC, &spec);
        attribute(&mut message, libc::IFLA_IFNAME, b"up0\0");
        let settings = of_interface(&message);
        assert!(settings.contains(&("net.ipv4.conf.up0.rp_filter".to_owned(), "2".to_owned())));
        assert!(settings.contains(&("net.ipv4.conf.up0.forwarding".to_owned(), "0".to_owned())));
    }
}
