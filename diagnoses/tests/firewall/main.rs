//! Rule sets and packets: where a packet's way ends, and which rule is named for one that was dropped.
#![expect(
    clippy::unwrap_used,
    reason = "a description that cannot be read is the test's own fault"
)]

/// Which rule is named for a packet that was dropped.
mod culprit;
/// Where a packet's way ends.
mod evaluate;

use diagnoses::kernel::firewall::HookPacket;
use model::facts::{Action, Chain, Match, Netfilter, NetfilterRule};
use model::flow::{Flow, TCP};

/// A chain: `base("filter", "forward", "ACCEPT")` or `user("filter", "KUBE-FORWARD")`, then rules.
fn base(table: &str, hook: &str, policy: &str) -> Chain {
    Chain {
        name: hook.to_uppercase(),
        hook: Some(hook.to_owned()),
        policy: Some(policy.to_owned()),
        policy_packets: Some(0),
        ..user(table, "")
    }
}

fn user(table: &str, name: &str) -> Chain {
    Chain {
        backend: "iptables-legacy".to_owned(),
        family: "ip".to_owned(),
        table: table.to_owned(),
        name: name.to_owned(),
        ..Chain::default()
    }
}

fn nft(mut chain: Chain, family: &str) -> Chain {
    "nftables".clone_into(&mut chain.backend);
    family.clone_into(&mut chain.family);
    chain.policy_packets = None;
    for rule in &mut chain.rules {
        rule.packets = None;
    }
    chain
}

trait With {
    fn with(self, matches: Vec<Match>, action: Action) -> Self;
}

impl With for Chain {
    fn with(mut self, matches: Vec<Match>, action: Action) -> Self {
        let handle = self.rules.len() as u64 + 1;
        self.rules.push(NetfilterRule {
            handle,
            text: format!("rule {handle} of {}", self.name),
            packets: Some(0),
            matches,
            action,
            mark: None,
            comment: None,
        });
        self
    }
}

fn jump(chain: &str) -> Action {
    Action::Jump {
        chain: chain.to_owned(),
    }
}

fn goto(chain: &str) -> Action {
    Action::Goto {
        chain: chain.to_owned(),
    }
}

fn proto(is: &str) -> Match {
    Match::Protocol {
        is: is.to_owned(),
        not: false,
    }
}

fn dport(low: u16, high: u16) -> Match {
    Match::DestinationPort {
        any: vec![(low, high)],
        not: false,
    }
}

fn to(any: &str) -> Match {
    Match::Destination {
        any: vec![any.to_owned()],
        not: false,
    }
}

fn state(is: &str) -> Match {
    Match::CtState {
        any: is.split(',').map(str::to_owned).collect(),
        not: false,
    }
}

fn opaque() -> Match {
    Match::Opaque {
        text: "-m mark --mark 0x4000/0x4000".to_owned(),
    }
}

fn limit() -> Match {
    Match::Limit {
        text: "limit: avg 1/sec".to_owned(),
    }
}

fn set(chains: Vec<Chain>) -> Netfilter {
    Netfilter {
        chains,
        ..Netfilter::default()
    }
}

fn syn() -> HookPacket<'static> {
    HookPacket {
        flow: Flow::new(TCP, "10.90.1.2:40001".parse().unwrap(), "10.90.2.2:80".parse().unwrap()),
        arrives: Some(vec!["cbr0"]),
        leaves: Some(vec!["up0"]),
        flags: Some(2),
        states: vec!["NEW"],
        ..HookPacket::default()
    }
}
