//! The interfaces of a namespace by index and name, the addresses they own, and whether they forward what comes in by them.

use core::net::IpAddr;
use model::facts::{Link, NetnsFacts};

/// A link by index.
#[must_use]
pub fn link(facts: &NetnsFacts, index: u32) -> Option<&Link> {
    facts.links.ok()?.iter().find(|link| link.index == index)
}

/// A link by name.
#[must_use]
pub fn link_named<'a>(facts: &'a NetnsFacts, name: &str) -> Option<&'a Link> {
    facts.links.ok()?.iter().find(|link| link.name == name)
}

/// Whether somebody gave the interface a queueing discipline that may keep packets waiting, or send them in another order. Those
/// that the kernel gives by itself (`net.core.default_qdisc`, and none for virtual devices) let packets go when the driver takes them.
#[must_use]
pub fn may_hold_back(link: &Link) -> bool {
    const BY_ITSELF: [&str; 9] = [
        "noqueue",
        "noop",
        "mq",
        "pfifo_fast",
        "fq",
        "fq_codel",
        "sfq",
        "ingress",
        "clsact",
    ];
    let mut qdiscs = link.qdiscs.iter();
    qdiscs.any(|qdisc| qdisc.rate_bits.is_some() || !BY_ITSELF.contains(&qdisc.kind.as_str()))
}

/// Whether one of the namespace's interfaces owns the address.
#[must_use]
pub fn owns(facts: &NetnsFacts, address: IpAddr) -> bool {
    facts
        .addresses
        .ok()
        .is_some_and(|all| all.iter().any(|own| own.address == address))
}

/// The sysctl that keeps a namespace from forwarding what comes in by an interface, where one does. For IPv4 the interface's
/// own value counts; the one for all is what was last written to every interface (`IN_DEV_FORWARD`). For IPv6 the one for all
/// counts, unless the interface's `force_forwarding` (since 6.17) overrules it.
#[must_use]
pub fn not_forwarding(facts: &NetnsFacts, interface: &str, target: IpAddr) -> Option<String> {
    let sysctls = facts.sysctls.ok()?;
    let is_off = |name: &str| sysctls.get(name).map(|value| value.trim() == "0");
    if target.is_ipv6() {
        let (of_all, forced) = (
            "net.ipv6.conf.all.forwarding",
            format!("net.ipv6.conf.{interface}.force_forwarding"),
        );
        return (is_off(of_all) == Some(true) && is_off(&forced) != Some(false)).then(|| of_all.to_owned());
    }
    let (of_all, own) = ("net.ipv4.ip_forward", format!("net.ipv4.conf.{interface}.forwarding"));
    match (is_off(of_all), is_off(&own)) {
        (_, Some(false)) => None,
        (Some(true), _) => Some(of_all.to_owned()),
        (_, Some(true)) => Some(own),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::not_forwarding;
    use model::facts::NetnsFacts;
    use model::missing::Known;

    #[test]
    fn an_interface_decides_for_itself_whether_what_it_takes_in_goes_on() {
        let facts = |settings: &[(&str, &str)]| NetnsFacts {
            sysctls: Known::Known(
                settings
                    .iter()
                    .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
                    .collect(),
            ),
            ..NetnsFacts::default()
        };
        let (v4, v6) = ("10.90.2.2".parse().unwrap(), "fd90:2::2".parse().unwrap());
        let (all4, own4) = ("net.ipv4.ip_forward", "net.ipv4.conf.eth0.forwarding");
        let (all6, own6) = ("net.ipv6.conf.all.forwarding", "net.ipv6.conf.eth0.force_forwarding");
        for (settings, target, expected) in [
            (&[(all4, "0")][..], v4, Some(all4)),
            (&[(all4, "0"), (own4, "1")], v4, None),
            (&[(all4, "1"), (own4, "0")], v4, Some(own4)),
            (&[(all4, "1"), (all6, "0")], v4, None),
            (&[(all6, "0"), (own6, "0")], v6, Some(all6)),
            (&[(all6, "0"), (own6, "1")], v6, None),
            (&[], v6, None),
        ] {
            let found = not_forwarding(&facts(settings), "eth0", target);
            assert_eq!(found.as_deref(), expected, "{settings:?}");
        }
    }
}
