//! Full-size packets vanish, and the sender does not get the ICMP message that tells it to send smaller ones.
//!
//! Why it happens: a tunnel or an uplink takes smaller packets than the sender thinks. A firewall drops "fragmentation needed"
//! (`ICMPv6` "packet too big") on its way back, or the link is outside the watched nodes and says nothing.
//!
//! How it knows: a router freed full-size packets with `PKT_TOO_BIG` again and again and sent its ICMP errors, and these were
//! dropped, or the sender never got them. Or a tunnel's own packets, which are larger than those they carry, were freed between
//! the nodes because of their size. Or, outside the watched nodes: connections are made, small packets are answered,
//! full-size ones never, and segments are sent again in vain.
//!
//! Remedy: let ICMP type 3 code 4 (`ICMPv6` type 2) pass, or set the sender's MTU to that of the path; of a tunnel, to what the way
//! between the nodes takes less what the tunnel adds.
//!
//! Silent on: normal path MTU discovery (one or two such drops, then smaller packets), links whose two ends disagree
//! (`mtu-mismatch`), and networks that answer no echo at all. It is only worth knowing where TCP was asked for and does not meet
//! it, because nodes lower its segment size.

use crate::case::observations;
use crate::case::trail::Dropped;
use crate::case::tunnels::{self, crossings};
use crate::case::{Case, Fate, Tried};
use crate::kernel::drops::Class;
use crate::kernel::tunnel;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal, info, warning};
use crate::verdict::remedy::Remedy;
use crate::words::{at, count};
use model::attempt::Attempt;
use model::event::{Event, Seen};
use model::facts::Link;
use model::flow::TCP;
use model::report::Direction;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Probe("icmp"),
    Need::Probe("tcpretrans"),
    Need::Fact("links"),
    Need::Fact("netfilter"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let finding = unheard(case).or_else(|| in_tunnel(case)).or_else(|| unseen(case));
    Ok(finding.into_iter().collect())
}

/// A tunnel's own packets are larger than the way between the nodes takes: whoever frees them tells the node, not the sender.
fn in_tunnel(case: &Case<'_>) -> Option<Finding> {
    let mut drops = case.all_drops(Class::LinkMtu);
    drops.extend(case.all_drops(Class::PathMtu));
    drops.retain(Dropped::in_tunnel);
    let first = drops.first()?;
    let bytes = largest(&drops);
    let (tunnel_netns, link) = tunnels::sender(case, first.event.flow)?;
    let adds = tunnel::adds_bytes(link, first.event.flow.dst().is_ipv6());
    let (place, takes) = narrowest(case, first, bytes);
    let (name, of_tunnel) = (case.name(first.event.netns), case.name(tunnel_netns));
    let way = takes.map_or_else(
        || format!("less than {bytes} bytes"),
        |takes| format!("only {takes} bytes"),
    );
    let says = format!(
        "packets of full size vanish: the way between the nodes takes {way}, and {} of {of_tunnel} sends up to {} ({} and {adds} \
         that the tunnel adds)",
        link.name,
        link.mtu + adds,
        link.mtu
    );
    let failed = case.failed_ids();
    let hit = drops.iter().any(|drop| failed.contains(&drop.attempt));
    let claim = if hit {
        fatal("path-mtu-blackhole", says)
    } else {
        warning("path-mtu-blackhole", says)
    };
    let finding = claim
        .at(case.node(first.event.netns), &name)
        .interface(&place)
        .of(drops.iter().map(|drop| drop.attempt))
        .remedy(smaller_tunnel(
            case,
            tunnel_netns,
            link,
            takes.map(|takes| takes.saturating_sub(adds)),
        ))
        .because(format!(
            "{} of up to {bytes} bytes, the tunnel's own, freed in {}: {} ({})",
            count(drops.len(), "packet"),
            at(&name, Some(&place)),
            first.words(),
            first.event.flow
        ))
        .and(format!("the MTU of {} in {of_tunnel} is {}", link.name, link.mtu))
        .and_if(takes.map(|takes| format!("the MTU of {place} in {name} is {takes}")));
    Some(finding)
}

/// The largest of these packets, in bytes.
fn largest(drops: &[Dropped<'_>]) -> u32 {
    let packets = drops.iter().filter_map(|drop| drop.event.packet);
    packets.map(|packet| packet.len).max().unwrap_or(0)
}

/// The interface at which a packet was too large, and how much it takes, where that was read: of those that it met.
fn narrowest(case: &Case<'_>, drop: &Dropped<'_>, bytes: u32) -> (String, Option<u32>) {
    let netns = drop.event.netns;
    let met = case.link(netns, drop.event.ifindex);
    let leaves = crate::case::routing::way(case, drop).and_then(|way| case.link(netns, way.oif()?));
    let of_tunnel = met.filter(|link| tunnel::is_tunnel(link));
    let here = of_tunnel.and(leaves).or(met).or(leaves);
    let beyond = here.and_then(|link| case.peer(netns, link)).map(|(_, link)| link);
    let told = here
        .into_iter()
        .chain(beyond)
        .map(|link| link.mtu)
        .filter(|mtu| *mtu < bytes);
    let name = here.map_or_else(|| case.interface(drop.event), |link| link.name.clone());
    (name, told.min())
}

/// What the tunnel, and the pods whose packets go into it, should be set to.
fn smaller_tunnel(case: &Case<'_>, netns: u32, link: &Link, mtu: Option<u32>) -> Remedy {
    let name = case.name(netns);
    match mtu {
        Some(mtu) => Remedy::from(format!(
            "let the network between the nodes take larger packets, or set the MTU of {} to {mtu} on every node, and that of the \
             pods too, in the CNI's configuration",
            link.name
        ))
        .run(
            "; by hand: ",
            case.command(netns, "ip link set {} mtu {}", &[&link.name, &mtu]),
        ),
        None => format!(
            "let the network between the nodes take larger packets, or lower the MTU of {} of {name}, and of the pods, in the CNI's \
             configuration",
            link.name
        )
        .into(),
    }
}

/// A router said "too big", and its message was lost on the way.
fn unheard(case: &Case<'_>) -> Option<Finding> {
    let mut too_big: Vec<Dropped<'_>> = case.all_drops(Class::PathMtu);
    too_big.retain(|drop| !drop.in_tunnel());
    let lost = lost_messages(case);
    // Either the message was seen to be dropped, or a failed exchange was told again and again and never got smaller.
    let repeated = |drop: &&Dropped<'_>| {
        let same = too_big
            .iter()
            .filter(|other| (other.attempt, other.direction) == (drop.attempt, drop.direction));
        let failed = case
            .attempt(drop.attempt)
            .is_some_and(|tried| tried.asked && tried.fate == Fate::Failed);
        failed && same.count() > 2
    };
    let first = too_big
        .iter()
        .find(|drop| lost.iter().any(|lost| lost.attempt == drop.attempt))
        .or_else(|| too_big.iter().find(|_| !lost.is_empty()))
        .or_else(|| too_big.iter().find(repeated))?;
    if learned(case, first.attempt) {
        return None;
    }
    let netns = first.event.netns;
    let name = case.name(netns);
    let mtu = told_mtu(case, first);
    let bytes = largest(&too_big);
    let into_tunnel = way_on(case, first).filter(|link| tunnel::is_tunnel(link));
    let interface = into_tunnel.map_or_else(|| case.interface(first.event), |link| link.name.clone());
    let broken = case
        .asked()
        .any(|tried| tried.fate == Fate::Failed && too_big.iter().any(|drop| drop.attempt == tried.attempt.id));
    let mtu_words = mtu.map_or_else(|| "less".to_owned(), |mtu| format!("only {mtu} bytes"));
    let says =
        format!("packets of full size vanish: the way on from {name} takes {mtu_words}, and the sender is not told");
    let spared = spared(case, first, mtu);
    let claim = if broken || !case.failed().is_empty() {
        fatal("path-mtu-blackhole", says)
    } else if spared.is_some() {
        info("path-mtu-blackhole", format!("{says}; TCP does not meet this"))
    } else {
        warning("path-mtu-blackhole", says)
    };
    let mut finding = claim
        .at(case.node(netns), &name)
        .interface(&interface)
        .of(too_big.iter().map(|drop| drop.attempt).chain(case.failed_ids()))
        .remedy(remedy(case, first, mtu))
        .because(format!(
            "{} of up to {bytes} bytes freed in {}: {}",
            count(too_big.len(), "watched packet"),
            at(&name, Some(&case.interface(first.event))),
            first.words()
        ))
        .and_if(spared);
    if let Some(link) = into_tunnel {
        let adds = tunnel::adds_bytes(link, false);
        finding = finding.and(format!(
            "the way on is {}, whose MTU is {}; it adds {adds} bytes to each packet, so {} leave the node",
            link.name,
            link.mtu,
            mtu.unwrap_or(link.mtu) + adds
        ));
    }
    for event in case.about(first.attempt).filter(|event| is_too_big(event)).take(1) {
        finding = finding.and(format!("{} sent \"too big\" to the sender", case.name(event.netns)));
    }
    if let Some(lost) = lost.first() {
        let place = at(&case.name(lost.event.netns), Some(&case.interface(lost.event)));
        finding = finding.and(format!("that message was dropped in {place}: {}", lost.words()));
        if lost.class == Class::Netfilter
            && let Some(of) = case.evidence.netns(lost.event.netns)
        {
            let culprit = crate::kernel::firewall::culprit::of_drop(of, lost.event, lost.direction, 1);
            finding = finding.and(culprit.words());
        }
    }
    Some(finding)
}

/// Why TCP, which is what was asked for, does not meet it: each attempt worked, and what it sent that way was more than one packet
/// takes, or a node on the way lowers the segment size of connections.
fn spared(case: &Case<'_>, first: &Dropped<'_>, mtu: Option<u32>) -> Option<String> {
    let met = |id: u32| case.all_drops(Class::PathMtu).iter().any(|drop| drop.attempt == id);
    let asked: Vec<_> = case.asked().collect();
    let of_tcp = asked
        .iter()
        .all(|tried| tried.attempt.flow.protocol == TCP && !met(tried.attempt.id));
    if !case.all_worked() || !of_tcp {
        return None;
    }
    let much = |tried: &&&Tried<'_>| {
        let bytes = match first.direction {
            Direction::Request => tried.attempt.sent_bytes,
            Direction::Answer => tried.attempt.received_bytes,
        };
        bytes > 2 * u64::from(mtu.unwrap_or(u32::from(u16::MAX)))
    };
    if let Some(tried) = asked.iter().find(much) {
        return Some(format!(
            "an exchange of {} bytes sent and {} bytes received went well",
            tried.attempt.sent_bytes, tried.attempt.received_bytes
        ));
    }
    let v6 = first.event.flow.dst().is_ipv6();
    let netns = case.way().iter().map(|hop| hop.netns);
    netns.into_iter().find_map(|netns| {
        let chains = &case.evidence.netns(netns)?.before.netfilter.ok()?.chains;
        let other = if v6 { "ip" } else { "ip6" };
        let mut rules = chains
            .iter()
            .filter(|chain| chain.family != other)
            .flat_map(|chain| &chain.rules);
        let rule = rules.find(|rule| clamps(&rule.text, mtu))?;
        Some(format!(
            "a rule of {} lowers the segment size of connections: {}",
            case.name(netns),
            rule.text
        ))
    })
}

/// A rule sets TCP's largest segment to what the route takes, or to a number that this MTU has room for.
fn clamps(text: &str, mtu: Option<u32>) -> bool {
    const HEADERS_BYTES: u32 = 40;
    let set = ["--set-mss", "maxseg size set"].into_iter().find_map(|words| {
        let (_, value) = text.split_once(words)?;
        value.split_whitespace().next()
    });
    match set.map(str::parse::<u32>) {
        Some(Ok(bytes)) => mtu.is_none_or(|mtu| bytes + HEADERS_BYTES <= mtu),
        Some(Err(_)) => true,
        None => text.contains("--clamp-mss-to-pmtu"),
    }
}

/// Beyond our sight: small packets pass, large ones never, and the exchange stalls.
fn unseen(case: &Case<'_>) -> Option<Finding> {
    if !case.all_drops(Class::PathMtu).is_empty() || !case.all_drops(Class::LinkMtu).is_empty() {
        return None;
    }
    let full = case.tried.iter().find(|tried| is_full_size(tried.attempt))?;
    let echo = full.attempt.echo.as_ref()?;
    let target = full.attempt.flow.dst();
    let small = case.tried.iter().find(|tried| {
        tried.attempt.kind == "echo" && tried.attempt.flow.dst() == target && tried.attempt.echo.is_some()
    })?;
    let answered = small
        .attempt
        .echo
        .iter()
        .flat_map(|echo| &echo.rtt_ns)
        .flatten()
        .count();
    let all = small.attempt.echo.as_ref()?.rtt_ns.len();
    let vanished = echo.rtt_ns.len() >= 2 && echo.rtt_ns.iter().all(Option::is_none);
    let told = full.attempt.icmp.iter().any(|error| error.info > 0);
    let dropped = case.trail.drops().any(|drop| drop.attempt == full.attempt.id);
    let stalled: Vec<_> = case
        .failed()
        .into_iter()
        .filter(|tried| tried.connected() && tried.attempt.flow.dst().is_ipv6() == target.is_ipv6())
        .collect();
    let resent = stalled.iter().any(|tried| {
        [Direction::Request, Direction::Answer].iter().any(|way| {
            case.leg(tried.attempt.id, *way)
                .is_some_and(|leg| leg.retransmits() > 0)
        })
    });
    if !vanished || told || dropped || answered * 10 < all * 9 || answered == 0 || !resent {
        return None;
    }
    let first = stalled.first()?;
    let crossing = crossings(case)
        .into_iter()
        .find(|crossing| crossing.direction == Direction::Request);
    let outer = crossing.as_ref().map(|crossing| {
        let adds = crossing.adds_bytes();
        format!(
            "{} of {} adds {adds} bytes: {} bytes go between the nodes",
            crossing.link.name,
            case.name(crossing.netns),
            echo.packet_bytes + adds
        )
    });
    let lower = "lower the MTU of the pods' interfaces to what the network between the nodes takes, or let ICMP \"fragmentation needed\" pass";
    let remedy = crossing.map_or_else(
        || lower.into(),
        |crossing| smaller_tunnel(case, crossing.netns, crossing.link, None),
    );
    let finding = fatal(
        "path-mtu-blackhole",
        format!(
            "packets of {} bytes vanish on the way to {target}, smaller ones pass",
            echo.packet_bytes
        ),
    )
    .of(stalled.iter().map(|tried| tried.attempt.id))
    .remedy(remedy)
    .because(format!(
        "{answered} of {all} small echoes came back, none of {} of {} bytes",
        echo.rtt_ns.len(),
        echo.packet_bytes
    ))
    .and("no watched host dropped them, and no ICMP message said that they are too big".to_owned())
    .and_if(outer)
    .and(observations::met(first));
    Some(observations::last_seen(case, finding, full.attempt.id))
}

fn is_full_size(attempt: &Attempt) -> bool {
    attempt.kind == "echo-full-size"
}

/// "Fragmentation needed" (ICMP 3/4) or "packet too big" (`ICMPv6` 2).
fn is_too_big(event: &Event) -> bool {
    match event.seen {
        Seen::IcmpSent { kind, code, .. } if event.flow.dst().is_ipv6() => kind == 2 && code == 0,
        Seen::IcmpSent { kind, code, .. } => kind == 3 && code == 4,
        _ => false,
    }
}

/// Messages of that kind about watched packets that were dropped on their way.
fn lost_messages<'a>(case: &Case<'a>) -> Vec<Dropped<'a>> {
    let is_message = |drop: &&Dropped<'a>| {
        drop.event.packet.is_some_and(|packet| {
            let v6 = drop.event.flow.dst().is_ipv6();
            (v6 && packet.tcp_flags == 2) || (!v6 && packet.tcp_flags == 3 && packet.fragment == 4)
        })
    };
    case.trail
        .legs
        .iter()
        .flat_map(|leg| &leg.lost_errors)
        .filter(is_message)
        .copied()
        .collect()
}

/// The sender got the message.
fn learned(case: &Case<'_>, attempt: u32) -> bool {
    case.attempt(attempt)
        .is_some_and(|tried| tried.attempt.icmp.iter().any(|error| !error.local && error.info > 0))
}

/// What the next link takes: as the message said, else as the route and its interface say.
fn told_mtu(case: &Case<'_>, first: &Dropped<'_>) -> Option<u32> {
    let told = case.about(first.attempt).find_map(|event| match event.seen {
        Seen::IcmpSent { info, .. } if is_too_big(event) && info > 0 => Some(info),
        _ => None,
    });
    told.or_else(|| {
        let way = crate::case::routing::way(case, first)?;
        let link = case.link(first.event.netns, way.oif()?)?;
        way.route().and_then(|route| route.mtu).or(Some(link.mtu))
    })
}

/// The interface by which the freed packet was to go on.
fn way_on<'a>(case: &Case<'a>, drop: &Dropped<'a>) -> Option<&'a Link> {
    case.link(drop.event.netns, crate::case::routing::way(case, drop)?.oif()?)
}

fn remedy(case: &Case<'_>, first: &Dropped<'_>, mtu: Option<u32>) -> Remedy {
    if let (Some(mtu), Some(link)) = (mtu, way_on(case, first).filter(|link| tunnel::is_tunnel(link))) {
        return smaller_tunnel(case, first.event.netns, link, Some(mtu));
    }
    let source = case.source();
    let message = if first.event.flow.dst().is_ipv6() {
        "ICMPv6 type 2 (packet too big)"
    } else {
        "ICMP type 3 code 4 (fragmentation needed)"
    };
    match mtu {
        Some(mtu) => format!("let {message} pass back to the sender, or set the MTU of {source} to {mtu}"),
        None => format!("let {message} pass back to the sender, or lower its MTU"),
    }
    .into()
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::event::{Packet, Seen};
    use model::flow::Flow;

    fn too_big(scene: &mut Scene) {
        too_big_for(scene, 1400);
    }

    /// A router frees a connection's packet, and tells its sender how much the way on takes.
    fn too_big_for(scene: &mut Scene, mtu: u32) {
        scene.dropped(1, scenes::X, "cbr0", "PKT_TOO_BIG", "ip_forward");
        let flow = scene.evidence.watched[0].flow;
        says_too_big(scene, flow, mtu);
    }

    fn says_too_big(scene: &mut Scene, flow: Flow, mtu: u32) {
        let sent = Seen::IcmpSent {
            kind: 3,
            code: 4,
            info: mtu,
        };
        scene.saw(scenes::X, "cbr0", flow, sent);
    }

    /// That message is dropped on its way back.
    fn message_lost(scene: &mut Scene, (netns, interface): (u32, &str), quoted: Flow) {
        let back = scenes::icmp("10.90.1.1", "10.90.1.2");
        scene.drop(netns, interface, back, "NETFILTER_DROP", "nf_hook_slow");
        let event = scene.evidence.events.last_mut().unwrap();
        event.quoted = Some(quoted);
        event.packet = Some(Packet {
            tcp_flags: 3,
            fragment: 4,
            ..Packet::default()
        });
    }

    #[test]
    fn the_message_is_dropped_on_its_way_back() {
        let mut scene = Scene::two_nodes();
        too_big(&mut scene);
        let flow = scene.evidence.watched[0].flow;
        message_lost(&mut scene, (scenes::A, "eth0"), flow);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["path-mtu-blackhole"]);
        assert!(
            judgement.verdicts[0].says.contains("1400"),
            "{}",
            judgement.verdicts[0].says
        );
    }

    /// A connection whose large packet is freed inside the tunnel's packet, with an uplink of this MTU.
    fn too_big_in_tunnel(uplink_mtu: u32) -> Scene {
        let mut scene = Scene::over_vxlan();
        scene.link(scenes::X, "up0", |link| link.mtu = uplink_mtu);
        scene.dropped_in_tunnel(1, (scenes::X, "up0"), "up0", "NOT_SPECIFIED", "__dev_forward_skb2");
        scene.evidence.events.last_mut().unwrap().packet.as_mut().unwrap().len = 1500;
        scene
    }

    #[test]
    fn a_way_that_takes_less_than_the_tunnel_sends_is_said_with_what_the_tunnel_should_be_set_to() {
        let judgement = judge(&too_big_in_tunnel(1400).evidence);
        assert_eq!(scenes::causes(&judgement), ["path-mtu-blackhole"]);
        let verdict = &judgement.verdicts[0];
        assert_eq!(verdict.place.interface.as_deref(), Some("up0"), "no bridge is to blame");
        let says = &verdict.says;
        assert!(
            says.contains("only 1400 bytes") && says.contains("up to 1500 (1450 and 50"),
            "{says}"
        );
        assert!(
            verdict.remedy.contains("`ip link set flannel.1 mtu 1350`"),
            "{}",
            verdict.remedy
        );
        // Where what takes less is beyond our sight.
        let judgement = judge(&too_big_in_tunnel(1500).evidence);
        assert_eq!(scenes::causes(&judgement), ["path-mtu-blackhole"]);
        let verdict = &judgement.verdicts[0];
        assert!(verdict.says.contains("less than 1500 bytes"), "{}", verdict.says);
        assert!(!verdict.remedy.contains('`'), "{}", verdict.remedy);
    }

    #[test]
    fn a_tunnel_that_learned_a_smaller_size_is_named_and_not_the_bridge_before_it() {
        let mut scene = Scene::over_vxlan();
        too_big_for(&mut scene, 1350);
        let flow = scene.evidence.watched[0].flow;
        message_lost(&mut scene, (scenes::A, "eth0"), flow);
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["path-mtu-blackhole"]);
        let verdict = &judgement.verdicts[0];
        assert_eq!(verdict.place.interface.as_deref(), Some("flannel.1"));
        assert!(verdict.remedy.contains("flannel.1 to 1350"), "{}", verdict.remedy);
        assert!(
            verdict.because.iter().any(|fact| fact.contains("so 1400 leave")),
            "{verdict:?}"
        );
    }

    #[test]
    fn a_large_echo_that_vanishes_where_segments_are_clamped_is_only_worth_knowing() {
        let mut scene = Scene::two_nodes();
        scene.connects(2);
        let echo = scenes::icmp("10.90.1.2", "10.90.2.2");
        scene.watch(9, echo);
        scene.drop(scenes::X, "cbr0", echo, "PKT_TOO_BIG", "ip_forward");
        says_too_big(&mut scene, echo, 1300);
        message_lost(&mut scene, (scenes::X, ""), echo);
        scene.attempt(9, echo, model::attempt::Outcome::TimedOut { during: "read".into() });
        scene.evidence.attempts.last_mut().unwrap().kind = "echo-full-size".into();
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["path-mtu-blackhole"]);
        let clamped = |mss: &str| {
            let mut scene = scene.clone();
            let text = format!("-p tcp --tcp-flags SYN,RST SYN -j TCPMSS --set-mss {mss}");
            let action = model::facts::Action::Other {
                text: "-j TCPMSS".into(),
            };
            scene.filter(scenes::X, "FORWARD", &text, &[], &action, 2);
            scenes::causes(&judge(&scene.evidence))
        };
        assert_eq!(clamped("1240"), Vec::<String>::new());
        assert_eq!(clamped("1400"), ["path-mtu-blackhole"], "larger than the path takes");
        scene.evidence.attempts[0].sent_bytes = 100_000;
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }

    #[test]
    fn discovery_at_work_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        scene.connects(2);
        let flow = scene.evidence.watched[0].flow;
        scene.drop(scenes::X, "cbr0", flow, "PKT_TOO_BIG", "ip_forward");
        says_too_big(&mut scene, flow, 1400);
        assert!(scenes::causes(&judge(&scene.evidence)).is_empty());
    }
}
