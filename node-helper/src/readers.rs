//! Readers of bytes that others write, by name: what fuzzing calls. One line for each; a reader panics on no input.

use crate::capture::{decode, dns_dialogue};
use crate::conversation::input::{self, Input};
use crate::identity::owner;
use crate::kernel::btf::{self, Wanted};
use crate::{attempts, facts};
use model::protocol::{Line, Request};
use std::io::Cursor;

/// Takes any bytes.
pub type Reader = fn(&[u8]);

/// Every reader.
pub const READERS: &[(&str, Reader)] = &[
    ("requests", requests),
    ("dns", dns),
    ("resolv-conf", resolv_conf),
    ("hosts", hosts),
    ("cgroups", cgroups),
    ("btf", btf),
    ("iptables", iptables),
    ("nftables", nftables),
    ("nftables-dump", nftables_dump),
    ("ipsets", ipsets),
    ("records", records),
];

/// Lines of the client. What was understood is understood again when it is said again.
fn requests(bytes: &[u8]) {
    let (tell, inbox) = std::sync::mpsc::sync_channel(bytes.len() + 1);
    input::read_lines(Cursor::new(bytes), &tell);
    drop(tell);
    for input in inbox {
        let Input::Line(line) = input else { continue };
        if let Ok(heard) = serde_json::from_slice::<Line<Request>>(&line) {
            let again = serde_json::to_vec(&heard).unwrap_or_default();
            let again = serde_json::from_slice::<Line<Request>>(&again).ok();
            assert_eq!(again.as_ref(), Some(&heard), "said again it is something else");
        }
    }
}

/// A DNS message, as a packet carries it and as a name server answers.
fn dns(bytes: &[u8]) {
    let _ = dns_dialogue::message(bytes);
    let _ = attempts::reads_answer(bytes);
}

fn resolv_conf(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let read = facts::resolv::parse("/etc/resolv.conf", &text);
    assert!(read.nameservers.len() <= 3, "glibc asks three");
}

fn hosts(bytes: &[u8]) {
    let read = facts::hosts::parse(&String::from_utf8_lossy(bytes));
    assert!(
        read.iter().all(|entry| !entry.names.is_empty()),
        "an address alone names nothing"
    );
}

/// A `/proc/PID/cgroup`.
fn cgroups(bytes: &[u8]) {
    let text = String::from_utf8_lossy(bytes);
    let _ = owner::of_cgroups(&text);
    let _ = owner::of_path(&text);
}

/// The kernel's description of itself.
fn btf(bytes: &[u8]) {
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect();
    let wanted = Wanted {
        fields: [("sk_buff", "dev"), ("net_device", "ifindex"), ("record", "netns")]
            .map(|(of, field)| (of.to_owned(), field.to_owned()))
            .into(),
        tracepoints: names(&["kfree_skb", "net_dev_queue"]),
        functions: names(&["kfree_skb"]),
        enums: names(&["skb_drop_reason"]),
    };
    let _ = btf::scan(bytes, &wanted);
}

/// A table of iptables, as a socket option hands it out.
fn iptables(bytes: &[u8]) {
    let _ = facts::netfilter::reads_table(bytes);
}

/// The expressions of a rule of nftables, as netlink lists them.
fn nftables(bytes: &[u8]) {
    let _ = facts::netfilter::reads_expressions(bytes);
}

/// A whole dump of nftables, message by message as netlink tells it. What was read means the same when it was said.
fn nftables_dump(bytes: &[u8]) {
    if let Some(netfilter) = facts::netfilter::reads_dump(bytes) {
        let said = serde_json::to_vec(&netfilter).unwrap_or_default();
        let heard = serde_json::from_slice(&said).ok();
        assert_eq!(Some(netfilter), heard, "said, it is something else");
    }
}

/// A listing of sets of addresses, message by message as netlink tells it.
fn ipsets(bytes: &[u8]) {
    if let Some(sets) = facts::netfilter::reads_sets(bytes) {
        let members = sets.values().map(|set| set.members.len()).sum::<usize>();
        assert!(members <= 10_000, "a namespace's sets are carried up to a bound");
    }
}

/// What a probe writes into its ring.
fn records(bytes: &[u8]) {
    if let Some((record, tail)) = decode::split(bytes) {
        let _ = decode::is_dns(&record);
        let _ = dns_dialogue::message(tail);
    }
}
