//! A netfilter rule (iptables or nftables) drops the packets.
//!
//! Why it happens: a network policy or a firewall written by hand forbids the flow. Or the default policy of a chain is DROP,
//! and no rule accepts the flow. Or a rule that is meant for other traffic matches too much.
//!
//! How it knows: the kernel freed the watched packets with `NETFILTER_DROP` (before 5.17: in netfilter's own functions). This
//! gives the namespace and the interface, and the direction of the packet says whether the request or the answer was dropped.
//! To find the rule, the packet's tuple, as it was at that place, is matched against the rules of that namespace. The counters
//! before and after the window confirm it. The same holds for the requests and replies of ARP and neighbour discovery, where the
//! watched packets wait for a next hop that is not heard.
//!
//! Remedy: delete the rule, or accept the flow before it. The rules of an agent (of kube-proxy or of a network plug-in) are never
//! deleted: the agent is named instead.
//!
//! Silent on: drops of other flows, connection tracking that is full or clashes (then no rule matches, and its drop counters
//! grow), rules that limit or drop at random, and rules that answer (`netfilter-reject`).

use crate::case::Case;
use crate::case::firewall_drops::{Blocked, blocked, mixed, tracking_dropped};
use crate::case::unheard_neighbours::{NeighbourMessage, Unheard, unheard};
use crate::kernel::firewall::NetfilterStop;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Claim, Finding, fatal};
use crate::words::{at, count};

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Probe("neigh"),
    Need::Fact("netfilter"),
    Need::Fact("conntrack"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let mut findings = Vec::new();
    for blocked in blocked(case) {
        let elsewhere = blocked.answered(case)
            || blocked.all(NetfilterStop::limited)
            || blocked.all(NetfilterStop::random)
            || blocked.all(NetfilterStop::wants_invalid);
        let by_tracking = blocked.unnamed() && tracking_dropped(case, blocked.netns);
        let by_chance = blocked.unnamed() && mixed(case, &blocked);
        if elsewhere || by_tracking || by_chance {
            continue;
        }
        let finding = claim(case, &blocked).because(blocked.seen(case));
        findings.push(
            finding
                .and_if(blocked.rule_words())
                .and_if(blocked.rewritten(case))
                .and_if(blocked.counted())
                .and_if(blocked.comment())
                .and_if(blocked.owned()),
        );
    }
    findings.extend(unheard(case).iter().map(|unheard| of_neighbour(case, unheard)));
    Ok(findings)
}

/// The packets wait for a next hop that is asked in vain, since a firewall drops what is asked or answered.
fn of_neighbour(case: &Case<'_>, unheard: &Unheard<'_>) -> Finding {
    let Unheard {
        silent,
        message,
        blocked,
    } = unheard;
    let (name, asker) = (case.name(blocked.netns), case.name(silent.netns));
    let what = message.words(silent.address);
    let interface = case.interface(blocked.first().event);
    let (address, whose) = (silent.address, blocked.who());
    let says = match message {
        NeighbourMessage::Question => format!("{whose} in {name} drops each {what} of {asker} for {address}"),
        NeighbourMessage::Answer => format!("{whose} in {name} drops the {what} of {address} to {asker}"),
    };
    let mut claim = fatal("netfilter-drop", format!("{says}{}", blocked.named()))
        .at(case.node(blocked.netns), &name)
        .interface(&interface)
        .of(case.failed_ids())
        .remedy(blocked.remedy_to_accept(case, &format!("each {what}")));
    if let Some(place) = blocked.place() {
        claim = claim.rule(place);
    }
    claim
        .because(format!(
            "{} ({what}) freed in {}: {}",
            count(blocked.drops.len(), "packet"),
            at(&name, Some(&interface)),
            blocked.first().words()
        ))
        .and_if(blocked.rule_words())
        .and_if(blocked.counted())
        .and_if(blocked.comment())
        .and(format!(
            "{asker} holds no hardware address for {address}, for which its packets wait"
        ))
}

fn claim(case: &Case<'_>, blocked: &Blocked<'_>) -> Claim {
    let name = case.name(blocked.netns);
    let mut claim = fatal(
        "netfilter-drop",
        format!(
            "{} in {name} drops {}{}",
            blocked.who(),
            blocked.what(),
            blocked.named()
        ),
    )
    .at(case.node(blocked.netns), &name)
    .interface(blocked.interface(case))
    .of(blocked.attempts())
    .remedy(blocked.remedy(case));
    if let Some(place) = blocked.place() {
        claim = claim.rule(place);
    }
    claim
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::dns::LookupScene;
    use crate::scenes::{self, Scene};
    use model::facts::{Action, Match};

    #[test]
    fn a_dropped_syn_names_the_rule() {
        let mut scene = Scene::two_nodes();
        let tests = vec![Match::DestinationPort {
            any: vec![(80, 80)],
            not: false,
        }];
        scene.filter(
            scenes::X,
            "FORWARD",
            "-p tcp --dport 80 -j DROP",
            &tests,
            &Action::Drop,
            3,
        );
        scene.dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["netfilter-drop"]);
        let place = &judgement.verdicts[0].place;
        assert_eq!(place.netns.as_deref(), Some("netns/x"));
        assert_eq!(place.rule.as_ref().unwrap().chain, "FORWARD");
        assert_eq!(
            judgement.verdicts[0].remedy,
            "delete the rule: `ip netns exec x iptables-legacy -t filter -S FORWARD` shows it, `ip netns exec x \
             iptables-legacy -t filter -D FORWARD -p tcp --dport 80 -j DROP` deletes it; or accept 10.90.1.2:40000 -> \
             10.90.2.2:80 tcp before it"
        );
    }

    fn remedy(scene: &Scene) -> String {
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["netfilter-drop"]);
        judgement.verdicts[0].remedy.clone()
    }

    #[test]
    fn no_command_is_given_that_would_be_run_in_another_namespace() {
        let mut scene = Scene::two_nodes();
        scene.filter(scenes::X, "FORWARD", "-j DROP", &[], &Action::Drop, 3);
        scene.dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        let called = |scene: &mut Scene, name: &str| {
            let x = scene
                .evidence
                .netns
                .iter_mut()
                .find(|netns| netns.id == scenes::X)
                .unwrap();
            name.clone_into(&mut x.name);
            remedy(scene)
        };
        for name in ["", "nginx", "shop/web"] {
            let remedy = called(&mut scene, name);
            assert!(!remedy.contains('`'), "{name}: {remedy}");
        }
        for (name, way) in [
            (
                "pid/77 (host)",
                "`nsenter -t 77 -n iptables-legacy -t filter -D FORWARD -j DROP`",
            ),
            ("host", "`nsenter -t 1 -n iptables-legacy -t filter -D FORWARD -j DROP`"),
            (
                "netns//run/docker/netns/x",
                "`nsenter --net=/run/docker/netns/x iptables-legacy -t filter -D FORWARD -j DROP`",
            ),
        ] {
            let remedy = called(&mut scene, name);
            assert!(remedy.contains(way), "{name}: {remedy}");
        }
        scene.evidence.nodes[0].host_netns = scenes::X;
        let remedy = called(&mut scene, "host");
        assert!(
            remedy.contains("`iptables-legacy -t filter -D FORWARD -j DROP`"),
            "{remedy}"
        );
    }

    #[test]
    fn a_rule_is_deleted_by_its_own_words_or_its_handle_and_else_only_shown() {
        let mut scene = Scene::two_nodes();
        let words = r#"-i vet+ ! -s 10.0.0.0/8 -m comment --comment "it's \"$(id)\"" -j DROP"#;
        scene.filter(scenes::X, "FORWARD", words, &[], &Action::Drop, 3);
        scene.dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        let said = remedy(&scene);
        let argument = r#"-D FORWARD -i vet+ '!' -s 10.0.0.0/8 -m comment --comment 'it'\''s "$(id)"' -j DROP`"#;
        assert!(said.contains(argument), "{said}");
        let with = |scene: &mut Scene, change: &dyn Fn(&mut model::facts::Chain)| {
            scene.facts(scenes::X, |facts| {
                if let model::missing::Known::Known(netfilter) = &mut facts.netfilter {
                    change(&mut netfilter.chains[0]);
                }
            });
            remedy(scene)
        };
        let said = with(&mut scene, &|chain| {
            chain.rules[0].text = "-A FORWARD -m xyz (not decoded) -j DROP".into();
        });
        assert!(
            said.contains("-S FORWARD` shows it;") && !said.contains(" -D "),
            "{said}"
        );
        let said = with(&mut scene, &|chain| {
            (chain.backend, chain.family, chain.name) = ("nftables".into(), "inet".into(), "forward".into());
            (chain.rules[0].handle, chain.rules[0].text) = (7, "ip daddr 10.0.0.0/8 drop".into());
        });
        assert!(
            said.contains("`ip netns exec x nft -a list chain inet filter forward` shows it"),
            "{said}"
        );
        assert!(
            said.contains("`ip netns exec x nft delete rule inet filter forward handle 7` deletes it"),
            "{said}"
        );
        let said = with(&mut scene, &|chain| chain.name = "a; flush ruleset".into());
        assert!(!said.contains('`'), "nft would read more than a name: {said}");
    }

    #[test]
    fn a_dropped_answer_is_told_from_a_dropped_request() {
        let mut scene = Scene::two_nodes();
        scene.answer_dropped(2, scenes::C, "", "NETFILTER_DROP", "nft_do_chain");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["netfilter-drop"]);
        assert!(judgement.verdicts[0].says.contains("drops the answer"));
    }

    #[test]
    fn a_rule_that_drops_what_the_node_itself_makes_of_it_for_the_tunnel_is_named() {
        for (chain, matched) in [("OUTPUT", 8472), ("POSTROUTING", 8472), ("OUTPUT", 4789)] {
            let mut scene = Scene::over_vxlan();
            let tests = vec![Match::DestinationPort {
                any: vec![(matched, matched)],
                not: false,
            }];
            let text = format!("-p udp --dport {matched} -j DROP");
            scene.filter(scenes::X, chain, &text, &tests, &Action::Drop, 3);
            // Until it is queued at the interface it leaves by, its device is the tunnel's.
            scene.dropped_in_tunnel(
                3,
                (scenes::X, "flannel.1"),
                "flannel.1",
                "NETFILTER_DROP",
                "nf_hook_slow",
            );
            let judgement = judge(&scene.evidence);
            assert_eq!(scenes::causes(&judgement), ["netfilter-drop"]);
            let place = &judgement.verdicts[0].place;
            let named = place.rule.as_ref().map(|rule| rule.chain.as_str());
            assert_eq!(named, (matched == 8472).then_some(chain), "{chain} {matched}");
            assert_eq!(place.interface.as_deref(), Some("up0"), "it is the way out of the node");
        }
    }

    #[test]
    fn a_drop_by_connection_tracking_is_not_a_rule() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
        scene.tracking(scenes::X, "drop", 3);
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"netfilter-drop".to_owned()));
    }

    #[test]
    fn a_drop_of_another_flow_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        let foreign = scenes::tcp("10.90.1.9:1000", "10.90.2.2:80");
        scene.drop(scenes::X, "cbr0", foreign, "NETFILTER_DROP", "nf_hook_slow");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }

    #[test]
    fn a_lookup_that_waits_for_one_dropped_question_of_two_is_late() {
        let mut scene = LookupScene::of("web").says("web", "NOERROR", 1).silence("web").scene();
        let query = scene.evidence.watched[0].flow;
        scene.drop(scenes::X, "cbr0", query, "NETFILTER_DROP", "nf_hook_slow");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["netfilter-drop"]);
        assert!(
            judgement.headline.contains("late or not at all"),
            "{}",
            judgement.headline
        );
        scene.evidence.attempts[0].took_ns = 3_000_000;
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }

    #[test]
    fn an_agents_own_rule_is_never_deleted() {
        for (chain, agent) in [
            ("cali-FORWARD", "calico-node"),
            ("KUBE-FORWARD", "kube-proxy"),
            ("CILIUM_FORWARD", "cilium-agent"),
            ("FLANNEL-FWD", "flanneld"),
            ("KUBE-ROUTER-FORWARD", "kube-router"),
            ("KUBE-NWPLCY-DEFAULT", "kube-router"),
            ("KUBE-POD-FW-ABC", "kube-router"),
        ] {
            let mut scene = Scene::two_nodes();
            scene.agents_rule(scenes::X, chain, "-j DROP", &Action::Drop, 3);
            scene.dropped(3, scenes::X, "cbr0", "NETFILTER_DROP", "nf_hook_slow");
            let remedy = remedy(&scene);
            assert!(
                remedy.starts_with(&format!("see whether {agent} runs on here")),
                "{chain}: {remedy}"
            );
            assert!(
                !remedy.contains('`') && remedy.contains("do not delete it"),
                "{chain}: {remedy}"
            );
        }
    }
}
