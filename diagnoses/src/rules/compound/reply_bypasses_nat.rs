//! The answer bypasses the translation: it reaches the sender from an address that the sender did not ask.
//!
//! Why it happens: both ends are on one node, and the request is translated in the node while the answer goes straight over the
//! bridge (`net.bridge.bridge-nf-call-iptables` is 0, or `br_netfilter` is not loaded). Or the answer goes through another
//! node. Or a UDP server with several addresses answers from another address than the one that was asked.
//!
//! How it knows: an answer to the watched request, or to its translated form, arrived in the sender's namespace at the
//! request's own port, and no socket there knows the address it came from.
//!
//! Remedy: load `br_netfilter` and set `net.bridge.bridge-nf-call-iptables` to 1. Or masquerade the request, so that the answer
//! comes back through the node that translated it. Or let the server answer from the address that was asked.
//!
//! Silent on: late answers to a socket that is closed (they have the address that was asked).

use crate::case::far_end::resets_sent;
use crate::case::foreign_answers;
use crate::case::{Case, Tried};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use model::event::{Event, Seen};
use model::flow::Flow;
use model::report::Direction;

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("tcpreset"),
    Need::Probe("path"),
    Need::Fact("sysctls"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let Some(source) = case.evidence.source.netns else {
        return Ok(Vec::new());
    };
    let mut ids = Vec::new();
    let mut first: Option<(Flow, &Event, Flow)> = None;
    for tried in case.failed() {
        let (id, asked) = (tried.attempt.id, tried.attempt.flow);
        let forms = case.trail.forms(id);
        let stray = |flow: Flow| flow != asked.reversed() && forms.contains(&flow.reversed());
        let dropped = case
            .trail
            .drops()
            .filter(|drop| drop.attempt == id && drop.reason() == "NO_SOCKET" && drop.event.netns == source)
            .map(|drop| drop.event)
            .find(|event| stray(event.flow));
        let reset = resets_sent(case, id).into_iter().find(|event| {
            let no_socket =
                matches!(&event.seen, Seen::ResetSent { reason: Some(reason), .. } if reason == "NO_SOCKET");
            no_socket && event.netns == source && stray(event.flow.reversed())
        });
        if let Some(event) = dropped.or(reset) {
            ids.push(id);
            let answer = if stray(event.flow) {
                event.flow
            } else {
                event.flow.reversed()
            };
            first.get_or_insert((asked, event, answer));
        }
    }
    let Some((asked, event, answer)) = first else {
        return Ok(untranslated(case).into_iter().collect());
    };
    let name = case.name(source);
    let off = case.evidence.netns.iter().find(|netns| {
        let value = |key: &str| case.sysctl(netns.id, key).ok().flatten();
        value("net.bridge.bridge-nf-call-iptables") == Some("0")
            && case
                .before(netns.id, "interfaces", |facts| &facts.links)
                .is_ok_and(|links| links.iter().any(|link| link.kind == "bridge"))
    });
    let place = off.map_or(source, |netns| netns.id);
    Ok(vec![
        fatal(
            "reply-bypasses-nat",
            format!(
                "the answer comes back to {name} from {} instead of {}: it bypasses the translation",
                answer.src(),
                asked.dst()
            ),
        )
        .at(case.node(place), case.name(place))
        .of(ids)
        .remedy(match off {
            Some(netns) => Remedy::from(format!("let netfilter see what is bridged in {}", case.name(netns.id)))
                .run(": ", case.command(netns.id, "modprobe br_netfilter", &[]))
                .run(
                    ", ",
                    case.command(netns.id, "sysctl -w net.bridge.bridge-nf-call-iptables=1", &[]),
                ),
            None => "masquerade the request where it is translated, so that its answer returns there".into(),
        })
        .because(format!("{asked} was translated to {}", answer.reversed()))
        .and(format!(
            "its answer {answer} arrived in {} untranslated, where no socket knows it",
            case.name(event.netns)
        ))
        .and_if(off.map(|netns| format!("net.bridge.bridge-nf-call-iptables is 0 in {}", case.name(netns.id)))),
    ])
}

/// Nobody translated the request, and its answer comes from elsewhere all the same.
fn untranslated(case: &Case<'_>) -> Option<Finding> {
    let failed = case.failed();
    let strays = |tried: &Tried<'_>| {
        let queries = tried
            .attempt
            .dns
            .iter()
            .flat_map(|dns| dns.queries.iter().map(|query| query.flow));
        let mut asked = std::iter::once(tried.attempt.flow).chain(queries);
        asked.find_map(|asked| Some((asked, foreign_answers::answers(case.evidence, asked).next()?.flow)))
    };
    let (asked, answer) = failed.iter().find_map(|tried| strays(tried))?;
    let (source, from) = (case.source(), answer.src());
    let server = case.evidence.destination.netns.filter(|netns| {
        let request = |tried: &&&Tried<'_>| case.leg(tried.attempt.id, Direction::Request);
        failed
            .iter()
            .filter_map(|tried| request(&tried))
            .any(|leg| leg.reached(*netns))
    });
    let place = server.or(case.evidence.source.netns)?;
    let finding = fatal(
        "reply-bypasses-nat",
        format!(
            "the answer comes back to {source} from {from} instead of {}, which was asked",
            asked.dst()
        ),
    )
    .at(case.node(place), case.name(place))
    .of(failed
        .iter()
        .filter(|tried| strays(tried).is_some())
        .map(|tried| tried.attempt.id))
    .remedy(format!(
        "let the server answer from {}: bind its socket to that address, or correct what rewrites its answers",
        asked.dst()
    ))
    .because(format!("the request was {asked}"))
    .and(format!(
        "its answer {answer} arrived in {source}, where no socket knows {from}"
    ));
    Some(finding)
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::attempt::Outcome;

    fn asked_over_service() -> (Scene, model::flow::Flow) {
        let mut scene = Scene::two_nodes();
        let asked = scenes::tcp("10.90.1.2:40000", "10.96.0.10:80");
        let real = scenes::tcp("10.90.1.2:40000", "10.90.1.3:80");
        scene.watch(0, asked).hop(scenes::A, "eth0", asked, 7);
        scene.hop_learned(scenes::X, "vethb", real, 7);
        let during = "connect".to_owned();
        scene.attempt(0, asked, Outcome::TimedOut { during });
        (scene, real)
    }

    #[test]
    fn an_untranslated_answer_that_finds_no_socket_is_it() {
        let (mut scene, real) = asked_over_service();
        scene.drop(scenes::A, "eth0", real.reversed(), "NO_SOCKET", "tcp_v4_rcv");
        assert_eq!(scenes::cause(&judge(&scene.evidence)), "reply-bypasses-nat");
    }

    #[test]
    fn an_answer_from_another_address_of_the_server_is_it_too() {
        let mut scene = Scene::two_nodes();
        let asked = scenes::udp("10.90.1.2:40000", "10.90.2.2:53");
        scene
            .watch(0, asked)
            .hop(scenes::A, "eth0", asked, 7)
            .hop(scenes::C, "eth0", asked, 7);
        let during = "answer".to_owned();
        scene.attempt(0, asked, Outcome::TimedOut { during });
        scene.drop(
            scenes::A,
            "eth0",
            scenes::udp("10.90.2.9:53", "10.90.1.2:40000"),
            "NO_SOCKET",
            "__udp4_lib_rcv",
        );
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::cause(&judgement), "reply-bypasses-nat");
        assert!(
            judgement.verdicts[0]
                .says
                .contains("from 10.90.2.9 instead of 10.90.2.2")
        );
    }

    #[test]
    fn an_answer_to_somebody_else_s_port_is_not() {
        let mut scene = Scene::two_nodes();
        let asked = scenes::udp("10.90.1.2:40000", "10.90.2.2:53");
        scene.watch(0, asked).hop(scenes::A, "eth0", asked, 7);
        let during = "answer".to_owned();
        scene.attempt(0, asked, Outcome::TimedOut { during });
        scene.drop(
            scenes::A,
            "eth0",
            scenes::udp("10.90.2.9:53", "10.90.1.2:40001"),
            "NO_SOCKET",
            "__udp4_lib_rcv",
        );
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"reply-bypasses-nat".to_owned()));
    }

    #[test]
    fn a_late_answer_from_the_address_that_was_asked_is_not() {
        let mut scene = Scene::two_nodes();
        scene.vanishes(1, scenes::X, "up0");
        let late = scene.evidence.watched[0].flow.reversed();
        scene.drop(scenes::A, "eth0", late, "NO_SOCKET", "tcp_v4_rcv");
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"reply-bypasses-nat".to_owned()));
    }
}
