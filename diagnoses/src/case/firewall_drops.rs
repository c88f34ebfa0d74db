//! What a firewall made of the watched packets: where they were dropped, and by which rule.

use crate::case::Case;
use crate::case::node_agents;
use crate::case::routing;
use crate::case::trail::Dropped;
use crate::kernel::drops::Class;
use crate::kernel::firewall::culprit::{Culprit, of_drop};
use crate::kernel::firewall::{self, NetfilterStop, NetfilterVerdict};
use crate::kernel::tunnel;
use crate::kubernetes::agents::{self, Agent};
use crate::kubernetes::policy_chains;
use crate::verdict::remedy::Remedy;
use crate::words::shell::{self, Command, is_nft_name};
use crate::words::{at, count, list, table, the};
use model::event::Seen;
use model::report::{Direction, RulePlace};

/// Watched packets that netfilter dropped at one place, in one direction.
#[derive(Debug)]
pub struct Blocked<'a> {
    /// The losses.
    pub drops: Vec<Dropped<'a>>,
    /// Namespace.
    pub netns: u32,
    /// Which way the packets went.
    pub direction: Direction,
    /// The rule, as far as it can be told; `None` where the namespace was not looked into.
    pub culprit: Option<Culprit<'a>>,
}

impl<'a> Blocked<'a> {
    /// Every rule that can have done it answers the question with yes, and there is one.
    pub fn all(&self, question: impl Fn(&NetfilterStop<'a>) -> bool) -> bool {
        self.culprit.as_ref().is_some_and(|culprit| culprit.all(question))
    }

    /// No rule that was read can have done it.
    pub fn unnamed(&self) -> bool {
        self.culprit
            .as_ref()
            .is_none_or(|culprit| culprit.suspects().is_empty())
    }

    /// The rule or chain for a report.
    pub fn place(&self) -> Option<RulePlace> {
        self.culprit.as_ref().and_then(Culprit::place)
    }

    /// Whose rule it is, where every rule that can have done it is the same agent's.
    pub fn owner(&self) -> Option<&'static Agent> {
        let mut owners = self.culprit.iter().flat_map(Culprit::suspects).map(|suspect| {
            let comment = suspect.stop.rule.and_then(|rule| rule.comment.as_deref());
            agents::owner(&suspect.stop.place(), comment)
        });
        let first = owners.next()??;
        let same = |owner: Option<&Agent>| owner.is_some_and(|owner| owner.name == first.name);
        owners.all(same).then_some(first)
    }

    /// That it is an agent's own rule, where it is, and for which policies, where its chain tells.
    pub fn owned(&self) -> Option<String> {
        let agent = self.owner()?;
        let suspects = self.culprit.iter().flat_map(Culprit::suspects);
        let mut names: Vec<String> = suspects
            .filter_map(|suspect| Some(policy_chains::policies(suspect.stop.chain, suspect.stop.rule?)))
            .flatten()
            .map(str::to_owned)
            .collect();
        names.dedup();
        let policies = match names.len() {
            0 => String::new(),
            1 => format!(" for policy {}", names[0]),
            _ => format!(" for policies {}", list(&names)),
        };
        Some(format!(
            "it is a rule of {}, which {} writes{policies}",
            agent.name, agent.process
        ))
    }

    /// The first loss.
    pub fn first(&self) -> &Dropped<'a> {
        &self.drops[0]
    }

    /// The interface at which they were lost: of a tunnel's packet that has just been made, the one by which it was to leave.
    pub fn interface(&self, case: &Case<'_>) -> String {
        let event = self.first().event;
        let made_here = |facts| tunnel::is_made_here(facts, event);
        let leaves = || {
            let index = routing::way(case, self.first())?.oif()?;
            Some(case.link(self.netns, index)?.name.clone())
        };
        let netns = case.evidence.netns(self.netns);
        let way_out = netns.filter(|netns| made_here(&netns.before)).and_then(|_| leaves());
        way_out.unwrap_or_else(|| case.interface(event))
    }

    /// The attempts that were hit.
    pub fn attempts(&self) -> Vec<u32> {
        self.drops.iter().map(|drop| drop.attempt).collect()
    }

    /// `the request` or `the answer`.
    pub fn what(&self) -> &'static str {
        the(self.direction)
    }

    /// What did it, as far as it can be told: a rule, a chain's policy, one of several rules.
    pub fn who(&self) -> &'static str {
        match self.culprit.as_ref() {
            Some(Culprit::Rule(suspect)) if suspect.stop.rule.is_none() => "the default policy of a firewall chain",
            Some(Culprit::Unknown(_)) | None => "the firewall",
            _ => "a firewall rule",
        }
    }

    /// What became of them: `rejected` where the sender was told, else `freed`.
    pub fn ended(&self, case: &Case<'_>) -> &'static str {
        if self.answered(case) { "rejected" } else { "freed" }
    }

    /// `3 packets 10.90.1.2:40001 -> 10.90.2.2:80 tcp were freed in netns/x cbr0: NETFILTER_DROP in nf_hook_slow`.
    pub fn seen(&self, case: &Case<'_>) -> String {
        let first = self.first();
        format!(
            "{} of {} {} in {}: {} ({})",
            count(self.drops.len(), "watched packet"),
            self.what(),
            self.ended(case),
            at(&case.name(self.netns), Some(&self.interface(case))),
            first.words(),
            first.event.flow
        )
    }

    /// The rule in words, where one can be told.
    pub fn rule_words(&self) -> Option<String> {
        self.culprit.as_ref().map(Culprit::words)
    }

    /// That no rule fits because rules were written meanwhile, where they were: a service proxy follows a change with a delay.
    pub fn rewritten(&self, case: &Case<'_>) -> Option<String> {
        let netns = case.evidence.netns(self.netns).filter(|_| self.unnamed())?;
        let (before, after) = (netns.before.netfilter.ok()?, netns.after.netfilter.ok()?);
        (!firewall::same_rules(before, after)).then(|| {
            format!(
                "rules of {} were written or deleted while it was looked at",
                case.name(self.netns)
            )
        })
    }

    /// What the rule counted in the window.
    pub fn counted(&self) -> Option<String> {
        self.culprit.as_ref().and_then(Culprit::counted)
    }

    /// The rule's comment.
    pub fn comment(&self) -> Option<String> {
        match self.culprit.as_ref()? {
            Culprit::Rule(suspect) => suspect
                .stop
                .rule?
                .comment
                .as_ref()
                .map(|comment| format!("the rule carries the comment \"{comment}\"")),
            _ => None,
        }
    }

    /// ` (iptables-legacy filter FORWARD #1)`, or nothing.
    pub fn named(&self) -> String {
        self.place().map_or(String::new(), |place| {
            format!(" ({})", crate::words::rule_place(&place))
        })
    }

    /// An answer was made for the target: ICMP by this host for this flow, or a reset that no TCP sent.
    pub fn answered(&self, case: &Case<'_>) -> bool {
        self.drops.iter().any(|drop| self.answered_for(case, drop))
    }

    /// Whether an answer was made for the target to this packet.
    fn answered_for(&self, case: &Case<'_>, drop: &Dropped<'_>) -> bool {
        if self.all(|stop| stop.verdict == NetfilterVerdict::Reject) {
            return true;
        }
        let (mut sent_icmp, mut received, mut sent) = (false, false, false);
        for event in case.about(drop.attempt) {
            let here = event.netns == self.netns && event.at_ns.abs_diff(drop.event.at_ns) < 1_000_000;
            sent_icmp |= here && matches!(event.seen, Seen::IcmpSent { .. });
            received |= matches!(event.seen, Seen::ResetReceived { .. });
            sent |= matches!(event.seen, Seen::ResetSent { .. });
        }
        let drops_only = self.all(|stop| stop.verdict == NetfilterVerdict::Drop);
        !drops_only && (sent_icmp || (received && !sent))
    }

    /// The command that takes the rule away, or what to look at.
    pub fn remedy(&self, case: &Case<'_>) -> Remedy {
        self.remedy_to_accept(case, &self.first().event.flow.to_string())
    }

    /// The command that takes the rule away, or what to look at; `packets` is what the packets are called in it.
    pub fn remedy_to_accept(&self, case: &Case<'_>, packets: &str) -> Remedy {
        let flow = self.first().event.flow;
        if self
            .culprit
            .iter()
            .flat_map(Culprit::suspects)
            .any(|suspect| suspect.gone)
        {
            return "the rule is gone; find out who writes it and takes it away".into();
        }
        if self.rewritten(case).is_some() {
            return "run again: the rules were being rewritten".into();
        }
        // What an agent wrote it writes again, and what it drops it was told to.
        if let Some(agent) = self.owner() {
            return node_agents::look_at(case, self.netns, agent)
                .say(format!("; the rule is {}'s own: do not delete it", agent.name));
        }
        let name = case.name(self.netns);
        let Some(place) = self.place() else {
            return format!("look for the rule in {name} and accept {packets} before it").into();
        };
        let chain = &place.chain;
        if place.handle.is_none() {
            let table = table(&place);
            let backend = &place.backend;
            return format!("accept {packets} in chain {chain} (table {table}, {backend}) of {name}").into();
        }
        let (shows, deletes) = rule_commands(case, self.netns, &place, flow.dst().is_ipv6());
        Remedy::from("delete the rule")
            .tell(": ", shows, " shows it")
            .tell(", ", deletes, " deletes it")
            .say(format!("; or accept {packets} before it"))
    }
}

/// The commands that show a rule's chain and delete the rule, in its own tool's language. Nobody deletes what he has not looked
/// at, nor by a position that may be another's by then.
pub fn rule_commands(
    case: &Case<'_>,
    netns: u32,
    place: &RulePlace,
    over_ipv6: bool,
) -> (Option<Command>, Option<Command>) {
    let (shows, deletes) = if place.backend == "nftables" {
        by_handle(case, netns, place)
    } else {
        let tool = if over_ipv6 {
            place.backend.replace("iptables", "ip6tables")
        } else {
            place.backend.clone()
        };
        by_specification(case, netns, place, &tool)
    };
    let deletes = deletes.filter(|_| shows.is_some());
    (shows, deletes)
}

/// The commands that show a chain of nftables, and delete its rule.
fn by_handle(case: &Case<'_>, netns: u32, place: &RulePlace) -> (Option<Command>, Option<Command>) {
    let RulePlace {
        family, table, chain, ..
    } = place;
    // nft reads its arguments as a language of its own.
    if ![family, table, chain].into_iter().all(|name| is_nft_name(name)) {
        return (None, None);
    }
    let handle = place.handle.unwrap_or_default();
    (
        case.command(netns, "nft -a list chain {} {} {}", &[family, table, chain]),
        case.command(
            netns,
            "nft delete rule {} {} {} handle {}",
            &[family, table, chain, &handle],
        ),
    )
}

/// The commands that show a chain of iptables, and delete its rule by its own words: none where they are not all there.
fn by_specification(case: &Case<'_>, netns: u32, place: &RulePlace, tool: &str) -> (Option<Command>, Option<Command>) {
    let RulePlace { table, chain, .. } = place;
    let arguments = shell::arguments(&place.text).unwrap_or_default();
    let of_it = match arguments.as_slice() {
        [add, to, of_it @ ..] if add == "-A" && to == chain => Some(of_it),
        _ => None,
    };
    let whole = of_it.filter(|of_it| !of_it.iter().any(|word| word.starts_with("(not")));
    let delete = || case.command(netns, "{} -t {} -D {}", &[&tool, table, chain]);
    (
        case.command(netns, "{} -t {} -S {}", &[&tool, table, chain]),
        whole.and_then(|of_it| delete()?.with(of_it)),
    )
}

/// Losses of watched packets to netfilter, by place and direction; only those that accuse.
pub fn blocked<'a>(case: &Case<'a>) -> Vec<Blocked<'a>> {
    group(case, case.drops(Class::Netfilter))
}

/// Losses of watched packets to netfilter, by place and direction, also of attempts that worked in the end.
pub fn blocked_at_all<'a>(case: &Case<'a>) -> Vec<Blocked<'a>> {
    let mut drops = case.all_drops(Class::Netfilter);
    drops.retain(|drop| case.attempt(drop.attempt).is_some_and(|tried| tried.asked));
    group(case, drops)
}

/// Which of the losses to netfilter a firewall answered for the target, so that the sender was told. The rules are evaluated once
/// for all packets of the same kind.
#[derive(Debug)]
pub struct Rejections<'a>(Vec<Blocked<'a>>);

impl<'a> Rejections<'a> {
    /// The rejections of a run.
    pub fn of(case: &Case<'a>) -> Self {
        let of_netfilter = |drop: &&Dropped<'a>| drop.class == Class::Netfilter;
        let drops: Vec<Dropped<'a>> = case.trail.drops().filter(of_netfilter).copied().collect();
        Self(group_by(case, drops, &same_kind))
    }

    /// This loss is one of them.
    pub fn tell(&self, case: &Case<'a>, drop: &Dropped<'a>) -> bool {
        let of_netfilter = drop.class == Class::Netfilter;
        let known = self
            .0
            .iter()
            .find(|blocked| of_netfilter && same_kind(blocked.first(), drop));
        known.is_some_and(|blocked| blocked.answered_for(case, drop))
    }
}

/// A rule that meets one of them at this place meets the other.
fn same_kind(one: &Dropped<'_>, other: &Dropped<'_>) -> bool {
    let (one_flow, other_flow) = (&one.event.flow, &other.event.flow);
    same_place(one, other)
        && one_flow.protocol == other_flow.protocol
        && one_flow.src() == other_flow.src()
        && one_flow.dst() == other_flow.dst()
        // The port of the one who asks is another each time.
        && match one.direction {
            Direction::Request => one_flow.dport == other_flow.dport,
            Direction::Answer => one_flow.sport == other_flow.sport,
        }
}

fn same_place(one: &Dropped<'_>, other: &Dropped<'_>) -> bool {
    let (event, other_event) = (one.event, other.event);
    one.direction == other.direction
        && (event.netns, event.ifindex) == (other_event.netns, other_event.ifindex)
        && event.flow.dst().is_ipv6() == other_event.flow.dst().is_ipv6()
}

fn group<'a>(case: &Case<'a>, drops: Vec<Dropped<'a>>) -> Vec<Blocked<'a>> {
    group_by(case, drops, &same_place)
}

fn group_by<'a>(
    case: &Case<'a>,
    drops: Vec<Dropped<'a>>,
    alike: &dyn Fn(&Dropped<'_>, &Dropped<'_>) -> bool,
) -> Vec<Blocked<'a>> {
    let mut groups: Vec<Blocked<'a>> = Vec::new();
    for drop in drops {
        let same = groups.iter_mut().find(|group| alike(group.first(), &drop));
        match same {
            Some(group) => group.drops.push(drop),
            None => groups.push(Blocked {
                netns: drop.event.netns,
                direction: drop.direction,
                culprit: None,
                drops: vec![drop],
            }),
        }
    }
    for group in &mut groups {
        if let Some(netns) = case.evidence.netns(group.netns) {
            // What a counter had counted before it was read first, it did not count in the window.
            let since_ns = netns.before.at_ns;
            let counted = group.drops.iter().filter(|drop| drop.event.at_ns >= since_ns);
            let hits = counted.count() as u64;
            group.culprit = Some(of_drop(netns, group.drops[0].event, group.direction, hits));
        }
    }
    groups
}

/// Connection tracking itself dropped packets in this namespace.
pub fn tracking_dropped(case: &Case<'_>, netns: u32) -> bool {
    ["drop", "insert_failed", "early_drop"]
        .iter()
        .any(|stat| case.conntrack_growth(netns, stat).is_ok_and(|by| by > 0))
}

/// Attempts to the same address that worked beside those that were hit.
pub fn mixed(case: &Case<'_>, blocked: &Blocked<'_>) -> bool {
    let hit = blocked.attempts();
    let targets: Vec<_> = hit
        .iter()
        .filter_map(|id| Some(case.attempt(*id)?.attempt.flow.dst()))
        .collect();
    case.worked()
        .iter()
        .any(|tried| targets.contains(&tried.attempt.flow.dst()))
}
