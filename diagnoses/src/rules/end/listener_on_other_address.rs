//! Something listens on that port, but not on the address that was asked for.
//!
//! Why it happens: the program binds only to loopback (`127.0.0.1`, `localhost`), to one family (`0.0.0.0`, or `[::]` with
//! `IPV6_V6ONLY`), or to one of several addresses.
//!
//! How it knows: the target's own kernel found no socket for the request. Its list of sockets has one with that port and
//! protocol, but bound to an address that does not accept this request.
//!
//! Remedy: bind the program to the address that is asked for, or to all of them (`[::]` accepts both families).
//!
//! Silent on: ports on which nothing listens at all (`port-closed`), and requests that another listener accepts. It is a warning
//! and no cause where both families were tried, since nobody chose one, and the port is served on the other.

use crate::case::Case;
use crate::case::far_end::{FarEnd, holders, latest, listeners, process_words, refused, takes, target_words};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Claim, Finding, fatal, warning};
use crate::words::list;
use model::facts::Socket;
use model::missing::Missing;
use std::net::{IpAddr, SocketAddr};

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("tcpreset"),
    Need::Probe("path"),
    Need::Fact("sockets"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let mut findings = Vec::new();
    let turned_away = refused(case);
    findings.extend(of_ends(case, &turned_away, fatal)?);
    let beside = of_ends(case, &case.unserved, warning)?;
    findings.extend(beside.map(|finding| {
        finding
            .and("the other family is served there, and nobody chose this one".to_owned())
            .symptom()
    }));
    Ok(findings)
}

fn of_ends(
    case: &Case<'_>,
    ends: &[(u32, FarEnd)],
    say: impl Fn(&'static str, String) -> Claim,
) -> Result<Option<Finding>, Missing> {
    let mut ids = Vec::new();
    let mut first: Option<(FarEnd, Vec<&Socket>)> = None;
    for &(id, end) in ends {
        let found = listeners(case, end)?;
        if found.is_empty() || found.iter().any(|socket| takes(socket, end.flow.dst())) {
            continue;
        }
        ids.push(id);
        first.get_or_insert((end, found));
    }
    let Some((end, found)) = first else {
        return Ok(None);
    };
    let netns = case.name(end.netns);
    let bound: Vec<String> = found.iter().map(|socket| bound_to(socket)).collect();
    let program = found
        .iter()
        .flat_map(|socket| holders(case, end.netns, socket))
        .map(|process| process_words(latest(process)))
        .next();
    let who = program.as_deref().unwrap_or("a program");
    Ok(Some(
        say(
            "listener-on-other-address",
            format!(
                "{who} in {netns} listens on port {} at {} only, not at {}",
                end.flow.dport,
                list(&bound),
                end.flow.dst()
            ),
        )
        .at(case.node(end.netns), &netns)
        .of(ids)
        .remedy(format!(
            "bind {who} to {} or to all addresses ({})",
            end.flow.dst(),
            if end.flow.dst().is_ipv4() {
                "0.0.0.0, or [::] for both families"
            } else {
                "[::]"
            }
        ))
        .because(format!("{netns} found no socket for {}", target_words(end.flow)))
        .and(format!("sockets of port {} there: {}", end.flow.dport, list(&bound))),
    ))
}

fn bound_to(socket: &Socket) -> String {
    let own = socket.flow.src();
    let address = SocketAddr::new(own, socket.flow.sport);
    match own {
        own if own.is_loopback() => format!("{address} (loopback)"),
        IpAddr::V4(own) if own.is_unspecified() => format!("{address} (IPv4 only)"),
        IpAddr::V6(own) if own.is_unspecified() && socket.v6only => format!("{address} (IPv6 only)"),
        _ => address.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::facts::Socket;
    use model::flow::{Flow, TCP};
    use model::missing::Known;
    use model::report::{Conclusion, Severity};

    fn listening_on(address: &str, v6only: bool) -> Scene {
        let mut scene = Scene::two_nodes();
        let own = address.parse().unwrap();
        scene.facts(scenes::C, |facts| {
            facts.sockets = Known::Known(vec![Socket {
                flow: Flow::new(TCP, own, "[::]:0".parse().unwrap()),
                state: "LISTEN".to_owned(),
                v6only,
                ..Socket::default()
            }]);
        });
        scene.finds_no_socket(3, scenes::C, "eth0");
        scene
    }

    #[test]
    fn a_listener_on_loopback_or_of_the_other_family_is_named() {
        for (address, v6only, says) in [("127.0.0.1:80", false, "loopback"), ("[::]:80", true, "IPv6 only")] {
            let judgement = judge(&listening_on(address, v6only).evidence);
            assert_eq!(scenes::causes(&judgement), ["listener-on-other-address"], "{address}");
            assert!(
                judgement.verdicts[0].says.contains(says),
                "{}",
                judgement.verdicts[0].says
            );
        }
    }

    #[test]
    fn a_family_that_nobody_chose_need_not_be_served() {
        let both = |every_family: bool| {
            let mut scene = listening_on("0.0.0.0:80", false);
            scene.evidence.attempts.clear();
            scene.evidence.watched.clear();
            scene.evidence.events.clear();
            scene.evidence.every_family = every_family;
            scene.connects(2);
            let flow = scenes::tcp("[fd90:1::2]:40009", "[fd90:2::2]:80");
            scene.watch(9, flow);
            let errno = model::errno::Errno {
                number: 111,
                name: "ECONNREFUSED".to_owned(),
            };
            let during = "connect".to_owned();
            scene.attempt(9, flow, model::attempt::Outcome::Error { during, errno });
            scene.walk_to(9, flow, scenes::C, "eth0");
            scene.drop(scenes::C, "eth0", flow, "NO_SOCKET", "tcp_v6_rcv");
            judge(&scene.evidence)
        };
        let judgement = both(true);
        assert_eq!(judgement.outcome, Conclusion::Healthy);
        let verdict = &judgement.verdicts[0];
        assert_eq!(
            (verdict.rule.as_str(), verdict.severity, verdict.cause),
            ("listener-on-other-address", Severity::Warning, false)
        );
        assert_eq!(scenes::causes(&both(false)), ["listener-on-other-address"]);
    }

    #[test]
    fn a_port_that_opened_meanwhile_is_no_wrong_address() {
        let judgement = judge(&listening_on("[::]:80", false).evidence);
        assert!(!scenes::causes(&judgement).contains(&"listener-on-other-address".to_owned()));
    }
}
