//! Whether two namespaces have anything to do with each other: on one machine the same addresses may live in several networks
//! that never meet (two sets of containers, two labs).

use super::survey;
use model::facts::Link;
use model::missing::Known;
use model::protocol::{Ask, Reply};
use std::collections::BTreeSet;

/// Namespaces that are looked into, at most, before two are taken to be linked.
const LOOK_MAX: usize = 16;
/// Interfaces that lead nowhere by themselves.
const CLOSED: [&str; 4] = ["bridge", "dummy", "ifb", "nlmon"];
/// Tunnels: the kernel puts one of each, down, into every new namespace (`net.core.fb_tunnels_only_for_init_net`).
const TUNNELS: [&str; 9] = [
    "erspan", "gre", "gretap", "ip6gre", "ip6tnl", "ip6_vti", "ipip", "sit", "vti",
];

/// No interface leads from one to the other, by whichever way: it is proven, not merely not found.
pub fn apart(one: u32, other: u32) -> bool {
    let away = |from, to| island(from, links).is_some_and(|all| !all.contains(&to));
    away(one, other) || away(other, one)
}

/// All that can be reached from a namespace, itself included; `None` where something may lead further than can be seen.
fn island(start: u32, mut links: impl FnMut(u32) -> Option<Vec<Link>>) -> Option<BTreeSet<u32>> {
    let mut all = BTreeSet::from([start]);
    let mut unread = vec![start];
    let mut read = 0;
    while let Some(netns) = unread.pop() {
        read += 1;
        let links = links(netns).filter(|links| read <= LOOK_MAX && !links.iter().any(leads_out))?;
        let next = links.iter().filter_map(|link| link.peer.as_ref()?.netns);
        unread.extend(next.filter(|next| all.insert(*next)));
    }
    Some(all)
}

fn leads_out(link: &Link) -> bool {
    match &link.peer {
        Some(peer) => peer.netns.is_none(),
        // A veth without another end has lost it.
        None if link.kind == "veth" => false,
        None if TUNNELS.contains(&link.kind.as_str()) => link.up,
        None => !link.loopback && !CLOSED.contains(&link.kind.as_str()),
    }
}

fn links(netns: u32) -> Option<Vec<Link>> {
    let ask = Ask {
        netns: vec![netns],
        facts: vec!["links".into()],
        ..Ask::default()
    };
    let mut found = None;
    survey::read(&ask, &mut |reply| {
        if let Reply::Facts { facts, .. } = reply
            && let Known::Known(links) = facts.links
        {
            found = Some(links);
        }
    });
    found
}

#[cfg(test)]
mod tests {
    use super::{LOOK_MAX, island};
    use model::facts::{Link, Peer};

    fn link(kind: &str) -> Link {
        Link {
            kind: kind.into(),
            up: true,
            ..Link::default()
        }
    }

    fn veth(to: impl Into<Option<u32>>) -> Link {
        let netns = to.into();
        Link {
            peer: Some(Peer { netns, ifindex: 2 }),
            ..link("veth")
        }
    }

    #[test]
    fn what_veths_link_is_one_island_and_nothing_else_is_of_it() {
        let links = |netns| match netns {
            1 | 3 => Some(vec![veth(2)]),
            2 => Some(vec![veth(1), link("bridge"), veth(3)]),
            _ => None,
        };
        assert_eq!(island(1, links).unwrap().into_iter().collect::<Vec<_>>(), [1, 2, 3]);
    }

    #[test]
    fn a_way_out_makes_it_no_island() {
        for out in [link(""), link("wireguard"), veth(None)] {
            assert!(island(1, |_| Some(vec![out.clone()])).is_none(), "{out:?}");
        }
        assert!(island(1, |_| None).is_none(), "what cannot be read may lead anywhere");
    }

    #[test]
    fn what_leads_nowhere_is_no_way_out() {
        let own = [
            Link {
                loopback: true,
                ..link("")
            },
            Link {
                up: false,
                ..link("sit")
            },
            link("dummy"),
            link("veth"),
        ];
        assert!(island(1, |_| Some(own.to_vec())).is_some());
    }

    #[test]
    fn a_look_has_an_end() {
        let mut looks = 0;
        let chain = |netns| {
            looks += 1;
            Some(vec![veth(netns + 1)])
        };
        assert!(island(1, chain).is_none());
        assert_eq!(looks, LOOK_MAX + 1);
    }
}
