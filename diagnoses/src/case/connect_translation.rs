//! Addresses that an eBPF program of a cgroup replaced in `connect()`: the socket then has another target than was asked for, and so
//! has its first packet already.

use crate::case::Case;
use crate::case::trail::Leg;
use crate::kernel::translate::destinations;
use crate::words::list;
use model::facts::BpfAttachment;
use model::flow::{Flow, TCP, UDP};
use model::report::{Direction, Happened};

/// Where it is done.
pub const PLACE: &str = "connect()";

/// What was done.
#[derive(Clone, Debug, PartialEq)]
pub struct ConnectTranslation<'a> {
    /// The tuple that was asked for.
    pub asked: Flow,
    /// The tuple that the socket has.
    pub became: Flow,
    programs: Vec<&'a BpfAttachment>,
}

/// It was done to this attempt's socket: its first packet left the source with another target than was asked for, programs that are
/// asked in `connect()` are attached there, and nothing of netfilter can have done it.
pub fn of<'a>(case: &Case<'a>, leg: &Leg<'_>) -> Option<ConnectTranslation<'a>> {
    let asked = case.attempt(leg.attempt)?.attempt.flow;
    let source = case.evidence.source.netns?;
    let first = leg.stops.first()?;
    let from_the_socket = leg.direction == Direction::Request
        && (first.netns, first.happened) == (source, Happened::Left)
        && first.translated_from.is_none()
        && matches!(asked.protocol, TCP | UDP);
    let became = first.flow;
    let same_socket = became.protocol == asked.protocol && became.sport == asked.sport;
    let elsewhere = (became.dst(), became.dport) != (asked.dst(), asked.dport);
    if !from_the_socket || !same_socket || !elsewhere {
        return None;
    }
    let kind = if asked.dst().is_ipv6() {
        "cgroup-connect6"
    } else {
        "cgroup-connect4"
    };
    let attached = case.before(source, "attached eBPF programs", |facts| &facts.bpf).ok()?;
    let programs: Vec<&BpfAttachment> = attached.iter().filter(|program| program.kind == kind).collect();
    let facts = &case.evidence.netns(source)?.before;
    let rules_known = facts.netfilter.ok().is_some_and(|rules| rules.unread.is_empty());
    let by_rules = destinations(case.evidence, &[], source, facts, None, asked) != [asked];
    (!programs.is_empty() && rules_known && !by_rules).then_some(ConnectTranslation {
        asked,
        became,
        programs,
    })
}

impl ConnectTranslation<'_> {
    /// `10.96.25.141 became 10.244.2.77 in connect(): eBPF program cil_sock4_conne is asked there (cgroup-connect4, id 7)`.
    pub fn words(&self) -> String {
        let names: Vec<String> = self.programs.iter().map(|program| program.name.clone()).collect();
        let first = self.programs[0];
        let (who, which) = if self.programs.len() == 1 {
            ("program", format!("{}, id {}", first.kind, first.id))
        } else {
            ("programs", first.kind.clone())
        };
        let verb = if self.programs.len() == 1 { "is" } else { "are" };
        let end = |flow: &Flow| {
            if self.asked.dport == self.became.dport {
                flow.dst().to_string()
            } else {
                std::net::SocketAddr::new(flow.dst(), flow.dport).to_string()
            }
        };
        format!(
            "{} became {} in {PLACE}: eBPF {who} {} {verb} asked there ({which})",
            end(&self.asked),
            end(&self.became),
            list(&names)
        )
    }
}

#[cfg(test)]
mod tests {
    use crate::Judgement;
    use crate::judge;
    use crate::scenes::cluster::{Cluster, WEB_IP};
    use crate::scenes::{A, C, X, Y, tcp};
    use model::facts::{Action, BpfAttachment, Chain, Netfilter, NetfilterRule};
    use model::missing::Known;
    use model::report::{Conclusion, Direction};

    const WORDS: &str =
        "10.96.0.20 became 10.90.2.2 in connect(): eBPF program cil_sock4_conne is asked there (cgroup-connect4, id 7)";

    /// shop/a asks for service shop/web, its first packet is for the backend already, and it works.
    fn works() -> Cluster {
        let mut cluster = Cluster::web();
        let scene = &mut cluster.scene;
        let asked = tcp("10.90.1.2:40000", &format!("{WEB_IP}:80"));
        let real = tcp("10.90.1.2:40000", "10.90.2.2:80");
        scene.watch(0, asked);
        for (netns, interface) in [(A, "eth0"), (X, "vetha"), (X, "up0"), (Y, "up0"), (C, "eth0")] {
            scene.hop(netns, interface, real, 7);
            scene.evidence.events.last_mut().unwrap().attempt = Some(0);
        }
        for (netns, interface) in [(C, "eth0"), (Y, "up0"), (X, "up0"), (A, "eth0")] {
            scene.hop(netns, interface, real.reversed(), 8);
            scene.evidence.events.last_mut().unwrap().attempt = Some(0);
        }
        scene.attempt(0, asked, model::attempt::Outcome::Ok).connected_ns = Some(400_000);
        attach(&mut cluster, "cgroup-connect4");
        cluster
    }

    fn attach(cluster: &mut Cluster, kind: &str) {
        let program = BpfAttachment {
            kind: kind.to_owned(),
            name: "cil_sock4_conne".to_owned(),
            on: "/".to_owned(),
            ifindex: 0,
            id: 7,
        };
        cluster
            .scene
            .facts(A, |facts| facts.bpf = Known::Known(vec![program.clone()]));
    }

    /// What the path says of it, and what is proven.
    fn said(judgement: &Judgement) -> (bool, Option<&String>) {
        assert_eq!(judgement.outcome, Conclusion::Healthy, "{judgement:?}");
        let first = judgement
            .path
            .iter()
            .find(|hop| hop.direction == Direction::Request)
            .unwrap();
        let in_path = first.translated_in.as_deref() == Some("connect()") && first.translated_from.is_some();
        let proven = judgement.proven.iter().find(|fact| fact.contains("became"));
        (in_path, proven)
    }

    #[test]
    fn a_first_packet_for_another_target_than_was_asked_for_was_translated_in_connect() {
        let mut cluster = works();
        let judgement = judge(cluster.evidence());
        let (in_path, proven) = said(&judgement);
        assert_eq!((in_path, proven.map(String::as_str)), (true, Some(WORDS)));
        let first = &judgement.path[0];
        assert!(
            first
                .says
                .ends_with("became 10.90.1.2:40000 -> 10.90.2.2:80 tcp in connect()"),
            "{}",
            first.says
        );
    }

    #[test]
    fn without_such_a_program_or_where_a_rule_can_have_done_it_nobody_says_so() {
        let mut cluster = works();
        attach(&mut cluster, "cgroup-sock-create");
        assert_eq!(said(&judge(cluster.evidence())), (false, None));

        let mut cluster = works();
        cluster.scene.facts(A, |facts| {
            let action = Action::Nat {
                kind: "DNAT".to_owned(),
                to: "10.90.2.2:80".to_owned(),
            };
            let chain = Chain {
                backend: "iptables-nft".to_owned(),
                family: "ip".to_owned(),
                table: "nat".to_owned(),
                name: "OUTPUT".to_owned(),
                hook: Some("output".to_owned()),
                priority: -100,
                rules: vec![NetfilterRule {
                    action,
                    ..NetfilterRule::default()
                }],
                ..Chain::default()
            };
            facts.netfilter = Known::Known(Netfilter {
                chains: vec![chain],
                ..Netfilter::default()
            });
        });
        assert_eq!(said(&judge(cluster.evidence())), (false, None));

        let mut cluster = works();
        cluster.scene.facts(A, |facts| facts.netfilter = Known::default());
        let judgement = judge(cluster.evidence());
        assert!(judgement.path.iter().all(|hop| hop.translated_in.is_none()));
    }

    #[test]
    fn what_goes_to_where_it_was_asked_to_go_was_not_translated() {
        let mut cluster = Cluster::pods();
        cluster.scene.connects(1);
        attach(&mut cluster, "cgroup-connect4");
        assert_eq!(said(&judge(cluster.evidence())), (false, None));
    }
}
