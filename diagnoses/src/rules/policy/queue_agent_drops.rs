//! A user space program behind NFQUEUE drops the packets, does not answer, or does not run.
//!
//! Why it happens: an intrusion prevention system, mesh or policy agent died, hangs, or decided to drop. Or a rule sends
//! packets to a queue that nobody reads (and has no `--queue-bypass`).
//!
//! How it knows: the kernel freed the watched packets in the code of NFQUEUE: in `nf_queue`, where nobody listens or the queue is
//! full, or in `nfqnl_reinject`, after the program had answered that they are to be dropped. Or they were seen last before a rule
//! that leads to a queue in which packets wait. `/proc/net/netfilter/nfnetlink_queue` says which program reads it, how many
//! packets wait, and how many did not fit.
//!
//! Remedy: start or repair the program, or let packets pass without it (`--queue-bypass` of iptables, `flags bypass` of nft).
//!
//! Silent on: queues that let the watched packets pass or only delay them, programs that drop only some of many packets
//! (`packet-loss`), and programs that drop what a policy forbids (`network-policy-denies`).

use crate::case::firewall_drops::rule_commands;
use crate::case::trail::Dropped;
use crate::case::{Case, Failure, node_agents, observations};
use crate::kernel::drops::{Class, was_answered};
use crate::kernel::firewall::NetfilterStop;
use crate::kernel::firewall::culprit::queued_by;
use crate::kubernetes::agents::{self, Agent};
use crate::rules::{Checked, Need};
use crate::verdict::finding::{Finding, fatal};
use crate::verdict::remedy::Remedy;
use crate::words::{at, count};
use model::event::{Event, Seen};
use model::facts::{Action, PacketQueue};
use model::report::{Direction, Happened};

pub const NEEDS: &[Need] = &[
    Need::Probe("drop"),
    Need::Probe("path"),
    Need::Fact("netfilter"),
    Need::Fact("queues"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let drops = case.drops(Class::Queue);
    let finding = match drops.first() {
        Some(first) => dropped(case, &drops, first),
        None => waiting(case),
    };
    Ok(finding.into_iter().collect())
}

/// A queue before the window and after it, as far as it was there and was read.
#[derive(Clone, Copy, Debug, Default)]
struct QueueLook<'a> {
    read: bool,
    before: Option<&'a PacketQueue>,
    after: Option<&'a PacketQueue>,
}

impl<'a> QueueLook<'a> {
    /// The queue with this number; where no rule tells one, the only queue.
    fn of(case: &Case<'a>, netns: u32, number: Option<u16>) -> Self {
        let pick = |queues: Option<&'a Vec<PacketQueue>>| {
            let queues = queues?;
            match (number, queues.as_slice()) {
                (Some(number), queues) => queues.iter().find(|queue| queue.number == number),
                (None, [only]) => Some(only),
                _ => None,
            }
        };
        let before = case.before(netns, "queues of packets", |facts| &facts.queues).ok();
        let after = case.after(netns, "queues of packets", |facts| &facts.queues).ok();
        Self {
            read: before.is_some() && after.is_some() && number.is_some(),
            before: pick(before),
            after: pick(after),
        }
    }

    /// The program that reads it.
    fn program(&self) -> Option<String> {
        let queue = self.after.or(self.before)?;
        let name = queue.program.as_ref()?;
        Some(match queue.pid {
            Some(pid) => format!("{name} (pid {pid})"),
            None => name.clone(),
        })
    }

    /// How many packets did not fit in the window.
    fn overflowed(&self) -> u32 {
        let (before, after) = (self.before, self.after);
        let of =
            |queue: Option<&PacketQueue>| queue.map_or(0, |queue| queue.overflowed.saturating_add(queue.undelivered));
        of(after).saturating_sub(of(before))
    }
}

/// The kernel freed them in NFQUEUE.
fn dropped(case: &Case<'_>, drops: &[Dropped<'_>], first: &Dropped<'_>) -> Option<Finding> {
    let target = case.attempt(first.attempt).map(|tried| tried.attempt.flow.dst());
    let worked = case.worked();
    if worked.iter().any(|tried| Some(tried.attempt.flow.dst()) == target) {
        return None;
    }
    let netns = first.event.netns;
    let (name, interface) = (case.name(netns), case.interface(first.event));
    let rules = leading(case, first.event, first.direction);
    let look = QueueLook::of(case, netns, rules.iter().find_map(number));
    let queue = queue_words(&rules, look);
    let who = look
        .program()
        .unwrap_or_else(|| "the program behind the queue".to_owned());
    let location = first.location();
    let gone = look.read && look.before.is_some() && look.after.is_none();
    let how = if was_answered(location) && gone {
        format!("{who} answered that they are to be dropped, or ended while they waited")
    } else if was_answered(location) {
        format!("{who} answered that they are to be dropped")
    } else if look.overflowed() > 0 {
        format!("it is full: {who} does not keep up")
    } else if location.contains("enqueue") {
        format!("{who} does not keep up, or has just gone")
    } else if location.starts_with("nf_queue") {
        "no program listens on it".to_owned()
    } else {
        format!("{who} dropped them or is not there")
    };
    let lacks = !was_answered(location) && look.overflowed() == 0;
    let mut finding = fatal(
        "queue-agent-drops",
        format!("packets are lost in {queue} of {name}: {how}"),
    )
    .at(case.node(netns), &name)
    .interface(&interface)
    .of(drops.iter().map(|drop| drop.attempt))
    .remedy(remedy(case, first.event, &rules, look, lacks))
    .because(format!(
        "{} freed in {}: {}",
        count(drops.len(), "watched packet"),
        at(&name, Some(&interface)),
        first.words()
    ));
    if look.read && look.after.is_none() {
        finding = finding.and(format!("no program had {queue} open after the window"));
    }
    if look.overflowed() > 0 {
        finding = finding.and(format!(
            "{} did not fit into it in the window",
            count(look.overflowed() as usize, "packet")
        ));
    }
    Some(with_rules(finding, &rules))
}

/// They wait in a queue for a program that does not answer.
fn waiting(case: &Case<'_>) -> Option<Finding> {
    let failed = case.failed();
    let tried = failed
        .iter()
        .find(|tried| matches!(tried.failure(), Some(Failure::Silent(_)) | None))?;
    if !case.worked().is_empty() || case.accusing().any(|drop| drop.attempt == tried.attempt.id) {
        return None;
    }
    for direction in [Direction::Answer, Direction::Request] {
        let Some(stop) = case.leg(tried.attempt.id, direction).and_then(|leg| leg.farthest()) else {
            continue;
        };
        if stop.happened == Happened::Delivered {
            return None;
        }
        let is_it = |event: &&Event| {
            let hop = matches!(event.seen, Seen::Hop { .. });
            hop && (event.netns, event.ifindex, event.flow) == (stop.netns, stop.ifindex, stop.flow)
        };
        let event = case.evidence.events.iter().find(is_it)?;
        let rules = leading(case, event, direction);
        for rule in &rules {
            let look = QueueLook::of(case, stop.netns, number(rule));
            let Some(waits) = look.after.map(|queue| queue.waiting).filter(|waits| *waits > 0) else {
                continue;
            };
            let name = case.name(stop.netns);
            let queue = queue_words(&rules, look);
            let who = look.program().unwrap_or_else(|| "the program that reads it".to_owned());
            let finding = fatal(
                "queue-agent-drops",
                format!("packets wait in {queue} of {name}: {who} does not answer"),
            )
            .at(case.node(stop.netns), &name)
            .of(case.failed_ids())
            .rule(rule.place())
            .remedy(remedy(case, event, &rules, look, false))
            .because(format!(
                "{} in {queue} after the window, of {} that it took so far",
                waiting_words(waits),
                look.after.map_or(0, |queue| queue.taken)
            ));
            return Some(observations::last_seen(
                case,
                with_rules(finding, &rules),
                tried.attempt.id,
            ));
        }
        // What went on here did not wait there.
        return None;
    }
    None
}

fn waiting_words(waits: u32) -> String {
    match waits {
        1 => "1 packet waits".to_owned(),
        many => format!("{many} packets wait"),
    }
}

/// The rules that lead this packet to a queue.
fn leading<'a>(case: &Case<'a>, event: &'a Event, direction: Direction) -> Vec<NetfilterStop<'a>> {
    let netns = case.evidence.netns(event.netns);
    netns.map_or_else(Vec::new, |netns| queued_by(netns, event, direction))
}

fn number(stop: &NetfilterStop<'_>) -> Option<u16> {
    match stop.rule?.action {
        Action::Queue { number, .. } => Some(number),
        _ => None,
    }
}

/// `queue 98`, or `an NFQUEUE` where nothing tells which.
fn queue_words(rules: &[NetfilterStop<'_>], look: QueueLook<'_>) -> String {
    let by_rules = rules.iter().find_map(number);
    match by_rules.or(look.after.or(look.before).map(|queue| queue.number)) {
        Some(number) => format!("queue {number}"),
        None => "an NFQUEUE".to_owned(),
    }
}

fn with_rules(finding: Finding, rules: &[NetfilterStop<'_>]) -> Finding {
    rules.iter().fold(finding, |finding, stop| {
        let Some(Action::Queue { number, bypass }) = stop.rule.map(|rule| &rule.action) else {
            return finding;
        };
        let bypass = if *bypass { "with bypass" } else { "without bypass" };
        finding.and(format!("{} sends packets to queue {number}, {bypass}", stop.words()))
    })
}

/// The agent whose rule it is, or whose program reads the queue.
fn agent(rules: &[NetfilterStop<'_>], look: QueueLook<'_>) -> Option<&'static Agent> {
    let by_rule = rules.iter().find_map(|stop| {
        let comment = stop.rule.and_then(|rule| rule.comment.as_deref());
        agents::owner(&stop.place(), comment)
    });
    let queue = look.after.or(look.before);
    by_rule.or_else(|| agents::of_process(queue?.program.as_deref()?))
}

/// What to do about the program, and how to let packets pass without it, in the language of the rule's own tool.
fn remedy(case: &Case<'_>, event: &Event, rules: &[NetfilterStop<'_>], look: QueueLook<'_>, lacks: bool) -> Remedy {
    let netns = event.netns;
    if let Some(agent) = agent(rules, look) {
        return node_agents::look_at(case, netns, agent).say(", and start it again");
    }
    let program = look
        .program()
        .unwrap_or_else(|| "the program that reads the queue".to_owned());
    let start = if lacks { "start" } else { "mend or restart" };
    let remedy = Remedy::from(format!("{start} {program}"));
    let Some(stop) = rules.iter().find(|stop| stop.rule.is_some()) else {
        return remedy.say(", or add --queue-bypass to the rule so that packets pass where nobody listens");
    };
    let place = stop.place();
    let (shows, deletes) = rule_commands(case, netns, &place, event.flow.dst().is_ipv6());
    if !lacks {
        // Bypass is for queues that nobody reads.
        return remedy
            .tell(", or take the rule away: ", shows, " shows it")
            .tell(", ", deletes, " deletes it");
    }
    let bypass = if place.backend == "nftables" {
        "flags bypass"
    } else {
        "--queue-bypass"
    };
    remedy
        .say(format!(", or let packets pass without it by {bypass} in the rule"))
        .tell(": ", shows, " shows it")
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene, Y};
    use model::facts::{Action, NetfilterRule, PacketQueue};
    use model::missing::Known;

    /// Node y hands what it forwards to queue 98.
    fn queueing() -> Scene {
        let mut scene = Scene::two_nodes();
        let rule = NetfilterRule {
            text: "-A POSTROUTING -m conntrack --ctstate NEW -j NFQUEUE --queue-num 98".to_owned(),
            action: Action::Queue {
                number: 98,
                bypass: false,
            },
            ..NetfilterRule::default()
        };
        let rules = scenes::one_rule("mangle", "POSTROUTING", rule);
        scene.facts(Y, |facts| facts.netfilter = Known::Known(rules.clone()));
        scene
    }

    fn queue(waiting: u32, overflowed: u32, program: &str) -> PacketQueue {
        PacketQueue {
            number: 98,
            waiting,
            overflowed,
            taken: 20,
            program: Some(program.to_owned()),
            pid: Some(412),
            ..PacketQueue::default()
        }
    }

    #[test]
    fn nobody_reads_the_queue() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "cbr0", "NOT_SPECIFIED", "nf_queue");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["queue-agent-drops"]);
        assert!(judgement.verdicts[0].says.contains("no program listens"));
        let mut scene = queueing();
        scene.dropped(3, Y, "vethc", "NOT_SPECIFIED", "nf_queue");
        let judgement = judge(&scene.evidence);
        let verdict = &judgement.verdicts[0];
        assert_eq!(
            verdict.says,
            "packets are lost in queue 98 of netns/y: no program listens on it"
        );
        assert!(
            verdict.remedy.contains(
                "by --queue-bypass in the rule: `ip netns exec y iptables-legacy -t mangle -S POSTROUTING` shows it"
            ),
            "{}",
            verdict.remedy
        );
    }

    #[test]
    fn a_rule_of_nftables_is_changed_in_nfts_words() {
        let mut scene = queueing();
        scene.facts(Y, |facts| {
            if let Known::Known(netfilter) = &mut facts.netfilter {
                let chain = &mut netfilter.chains[0];
                (chain.backend, chain.family) = ("nftables".to_owned(), "inet".to_owned());
                "queue to 98".clone_into(&mut chain.rules[0].text);
            }
        });
        scene.dropped(3, Y, "vethc", "NOT_SPECIFIED", "nf_queue");
        let remedy = judge(&scene.evidence).verdicts[0].remedy.clone();
        assert!(
            remedy.contains("by flags bypass in the rule: `ip netns exec y nft -a list chain inet mangle"),
            "{remedy}"
        );
    }

    #[test]
    fn the_program_says_drop() {
        let mut scene = Scene::two_nodes();
        scene.dropped(3, scenes::X, "cbr0", "NOT_SPECIFIED", "nfqnl_reinject");
        let judgement = judge(&scene.evidence);
        assert!(
            judgement.verdicts[0]
                .says
                .contains("answered that they are to be dropped")
        );
        let mut scene = queueing();
        scene.facts(Y, |facts| facts.queues = Known::Known(vec![queue(0, 0, "snort")]));
        scene.dropped(3, Y, "vethc", "NOT_SPECIFIED", "nfqnl_reinject");
        let says = judge(&scene.evidence).verdicts[0].says.clone();
        assert_eq!(
            says,
            "packets are lost in queue 98 of netns/y: snort (pid 412) answered that they are to be dropped"
        );
    }

    #[test]
    fn a_full_queue_is_no_queue_without_a_program() {
        let mut scene = queueing();
        scene.facts(Y, |facts| facts.queues = Known::Known(vec![queue(1_024, 0, "snort")]));
        scene.after(Y, |facts| facts.queues = Known::Known(vec![queue(1_024, 3, "snort")]));
        scene.dropped(3, Y, "vethc", "NOT_SPECIFIED", "nf_queue");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["queue-agent-drops"]);
        assert!(
            judgement.verdicts[0]
                .says
                .contains("it is full: snort (pid 412) does not keep up")
        );
        assert!(
            judgement.verdicts[0]
                .because
                .contains(&"3 packets did not fit into it in the window".to_owned())
        );
    }

    #[test]
    fn packets_that_wait_name_the_queue_the_program_and_how_many() {
        let mut scene = queueing();
        scene.after(Y, |facts| {
            facts.queues = Known::Known(vec![queue(3, 0, "kube-network-po")]);
        });
        scene.vanishes(3, Y, "up0");
        let judgement = judge(&scene.evidence);
        assert_eq!(scenes::causes(&judgement), ["queue-agent-drops"]);
        let verdict = &judgement.verdicts[0];
        assert_eq!(
            verdict.says,
            "packets wait in queue 98 of netns/y: kube-network-po (pid 412) does not answer"
        );
        assert!(
            verdict.because[0].starts_with("3 packets wait in queue 98"),
            "{:?}",
            verdict.because
        );
        assert!(
            verdict.because[1].contains("-j NFQUEUE --queue-num 98"),
            "{:?}",
            verdict.because
        );
        assert!(
            verdict
                .remedy
                .starts_with("see whether kube-network-policies runs on here"),
            "{}",
            verdict.remedy
        );
        scene.after(Y, |facts| facts.queues = Known::Known(vec![queue(3, 0, "snort")]));
        let remedy = judge(&scene.evidence).verdicts[0].remedy.clone();
        assert!(
            remedy.contains("`ip netns exec y iptables-legacy -t mangle -D POSTROUTING -m conntrack --ctstate NEW -j NFQUEUE --queue-num 98` deletes it"),
            "{remedy}"
        );
    }

    #[test]
    fn a_queue_in_which_nothing_waits_or_that_no_rule_leads_to_is_not_it() {
        let mut scene = queueing();
        scene.after(Y, |facts| facts.queues = Known::Known(vec![queue(0, 0, "snort")]));
        scene.vanishes(3, Y, "up0");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["unexplained-timeout"]);
        let mut scene = Scene::two_nodes();
        scene.after(Y, |facts| facts.queues = Known::Known(vec![queue(3, 0, "snort")]));
        scene.vanishes(3, Y, "up0");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["unexplained-timeout"]);
        let mut scene = queueing();
        scene.after(Y, |facts| facts.queues = Known::Known(vec![queue(3, 0, "snort")]));
        scene.vanishes(3, scenes::X, "up0");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["unexplained-timeout"]);
    }
}
