//! The resolver's own configuration points nowhere sensible.
//!
//! Why it happens: an empty or broken resolv.conf, a `dnsPolicy` that copies the node's file with a stub resolver on loopback
//! into a pod that has none, or a name server line that is no address.
//!
//! How it knows: the lookup failed, and the source's resolv.conf names no server, or only addresses that cannot be one: the
//! unspecified address, a multicast or broadcast address, loopback where nothing listens on port 53.
//!
//! Remedy: correct resolv.conf, or the pod's `dnsPolicy` and `dnsConfig`.
//!
//! Silent on: name servers that could be right and do not answer (`dns-server-unreachable`), and lookups that work.

use super::{Checked, Need};
use crate::case::Case;
use crate::ends::{FarEnd, listener};
use crate::finding::fatal;
use crate::words::list;
use model::evidence::Intent;
use model::flow::{Flow, UDP};
use std::net::{IpAddr, SocketAddr};

pub const NEEDS: &[Need] = &[Need::Fact("sockets")];

pub fn check(case: &Case<'_>) -> Checked {
    let (Intent::Dns, true) = (case.evidence.intent, case.worked().is_empty()) else {
        return Ok(Vec::new());
    };
    let Some(resolv) = case.evidence.source.resolv.ok() else {
        return Ok(Vec::new());
    };
    let path = if resolv.path.is_empty() {
        "resolv.conf"
    } else {
        &resolv.path
    };
    let wrong: Vec<String> = resolv
        .nameservers
        .iter()
        .take(3)
        .filter_map(|server| why_wrong(case, *server).map(|why| format!("{server} ({why})")))
        .collect();
    let asked = resolv.nameservers.len().min(3);
    if wrong.len() < asked {
        return Ok(Vec::new());
    }
    let says = if asked == 0 {
        format!("{path} of {} names no name server", case.source())
    } else {
        format!("{path} of {} names {}, which cannot be a name server", case.source(), list(&wrong))
    };
    let source = case.evidence.source.netns.unwrap_or(0);
    Ok(vec![
        fatal("dns-misconfigured", says)
            .at(case.node(source), case.name(source))
            .remedy(format!("correct {path}, or the pod's dnsPolicy and dnsConfig"))
            .because(if asked == 0 {
                format!("{path} has no nameserver line")
            } else {
                format!("nameserver lines of {path}: {}", list(&wrong))
            })
            .and_if((!resolv.garbage.is_empty()).then(|| format!("lines that could not be read: {}", list(&resolv.garbage)))),
    ])
}

/// Why this address cannot be a name server for the source.
fn why_wrong(case: &Case<'_>, server: IpAddr) -> Option<&'static str> {
    let broadcast = matches!(server, IpAddr::V4(v4) if v4.is_broadcast());
    if server.is_unspecified() {
        // glibc takes 0.0.0.0 for this host.
        return nothing_listens(case, server).then_some("this host, where nothing listens on port 53");
    }
    if server.is_multicast() || broadcast {
        return Some("not a unicast address");
    }
    (server.is_loopback() && nothing_listens(case, server)).then_some("loopback, where nothing listens on port 53")
}

fn nothing_listens(case: &Case<'_>, server: IpAddr) -> bool {
    let Some(netns) = case.evidence.source.netns else {
        return false;
    };
    let address = SocketAddr::new(server, 53);
    let flow = Flow::new(UDP, address, address);
    listener(case, FarEnd { netns, flow }).is_ok_and(|found| found.is_none())
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scene;
    use crate::scene_dns::Lookup;
    use model::missing::Known;

    fn servers(addresses: &[&str]) -> scene::Scene {
        let mut scene = Lookup::of("web").silence("web").scene();
        if let Known::Known(resolv) = &mut scene.evidence.source.resolv {
            resolv.nameservers = addresses.iter().map(|address| scene::ip(address)).collect();
        }
        scene
    }

    #[test]
    fn no_server_or_one_on_an_empty_loopback_is_it() {
        for addresses in [&[][..], &["127.0.0.53"], &["255.255.255.255", "127.0.0.1"]] {
            let causes = scene::causes(&judge(&servers(addresses).evidence));
            assert_eq!(causes, ["dns-misconfigured"], "{addresses:?}");
        }
    }

    #[test]
    fn a_server_that_could_be_right_is_not() {
        let causes = scene::causes(&judge(&servers(&["127.0.0.53", "10.90.2.2"]).evidence));
        assert_eq!(causes, ["dns-server-unreachable"]);
    }
}
