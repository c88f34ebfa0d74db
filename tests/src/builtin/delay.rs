//! `delay`: holds, reorders or drops packets of a namespace, as an NFQUEUE program (kernels without netem).
//!
//! Its rule goes into table mangle, for both families: without a chain into PREROUTING and OUTPUT, so that each packet the
//! namespace receives, forwards or sends is held once (a match on `-i` leaves OUTPUT out, one on `-o` makes it
//! POSTROUTING alone); with a chain before the match, into that one. Which packets are dropped is the same in every run.
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io::ErrorKind;
use std::process::{Command, exit};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use nfq::{Message, Queue, Verdict};
use nix::sys::signal::{SigSet, Signal};

use super::arguments::Arguments;
use super::{Builtin, ready};

/// The registry's entry.
pub const DELAY: Builtin = Builtin {
    name: "delay",
    usage: "MS [jitter=MS] [drop=PERCENT] [CHAIN] MATCH...   holds packets for MS and up to jitter more, drops a percentage (MATCH as iptables has it)",
    stays: true,
    run,
};

const CHAINS: &[&str] = &["PREROUTING", "INPUT", "FORWARD", "OUTPUT", "POSTROUTING"];
/// How long it sleeps while packets are held and none is due.
const TICK: Duration = Duration::from_micros(300);

fn run(arguments: &[String]) -> Result<()> {
    let mut arguments = Arguments::read(arguments, &["jitter", "drop"]);
    let hold = Duration::from_millis(arguments.next_as("number of milliseconds")?);
    let jitter = Duration::from_millis(arguments.value("jitter", 0)?);
    let drop_percent = arguments.value("drop", 0_u64)?;
    let number = std::process::id() as u16;
    let rules = rules(arguments.rest(), number);
    let mut signals = SigSet::empty();
    signals.add(Signal::SIGTERM);
    signals.add(Signal::SIGINT);
    signals.thread_block().context("blocking signals")?;
    let mut queue = Queue::open().context("opening a queue")?;
    queue.bind(number).context("binding the queue")?;
    queue.set_copy_range(number, 0).context("asking for no payload")?;
    queue
        .set_queue_max_len(number, 65_535)
        .context("asking for a long queue")?;
    insert(&rules)?;
    thread::spawn(move || {
        let _ = signals.wait();
        for rule in &rules {
            let _ = iptables(rule, "-D");
        }
        exit(0);
    });
    ready()?;
    pump(&mut queue, hold, jitter, drop_percent)
}

/// A message and when it is due; the number keeps messages of one moment in order.
struct Held(Reverse<(Instant, u64)>, Message);

impl PartialEq for Held {
    fn eq(&self, other: &Self) -> bool {
        self.0 == other.0
    }
}

impl Eq for Held {}

impl PartialOrd for Held {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Held {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.cmp(&other.0)
    }
}

fn pump(queue: &mut Queue, hold: Duration, jitter: Duration, drop_percent: u64) -> Result<()> {
    let mut waiting: BinaryHeap<Held> = BinaryHeap::new();
    let mut chance = Chance(0x9e37_79b9_7f4a_7c15);
    let mut number = 0;
    loop {
        queue.set_nonblocking(!waiting.is_empty());
        match queue.recv() {
            Ok(mut message) => {
                number += 1;
                let dropped = chance.below(100) < drop_percent;
                message.set_verdict(if dropped { Verdict::Drop } else { Verdict::Accept });
                let more = Duration::from_micros(chance.below(jitter.as_micros() as u64 + 1));
                waiting.push(Held(Reverse((Instant::now() + hold + more, number)), message));
            }
            Err(error) if error.kind() == ErrorKind::WouldBlock => thread::sleep(TICK),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).context("reading from the queue"),
        }
        let now = Instant::now();
        while waiting.peek().is_some_and(|Held(Reverse((due, _)), _)| *due <= now) {
            if let Some(Held(_, message)) = waiting.pop() {
                queue.verdict(message).context("letting a packet go")?;
            }
        }
    }
}

/// A small generator with a fixed seed (xorshift): runs are alike.
struct Chance(u64);

impl Chance {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) % limit
    }
}

/// The rules that bring the packets matched here, each as chain, match and target.
fn rules(mut words: Vec<String>, queue: u16) -> Vec<Vec<String>> {
    let chains = match words.first() {
        Some(first) if CHAINS.contains(&first.as_str()) => vec![words.remove(0)],
        _ => {
            let has = |options: [&str; 2]| words.iter().any(|word| options.contains(&word.as_str()));
            let chains: &[&str] = match (has(["-i", "--in-interface"]), has(["-o", "--out-interface"])) {
                (true, true) => &["FORWARD"],
                (true, false) => &["PREROUTING"],
                (false, true) => &["POSTROUTING"],
                (false, false) => &["PREROUTING", "OUTPUT"],
            };
            chains.iter().map(|chain| (*chain).to_owned()).collect()
        }
    };
    let target = ["-j", "NFQUEUE", "--queue-num", &queue.to_string()].map(str::to_owned);
    chains
        .into_iter()
        .map(|chain| [vec![chain], words.clone(), target.to_vec()].concat())
        .collect()
}

/// A match that names an address holds in its own family only, so one of the two may refuse it.
fn insert(rules: &[Vec<String>]) -> Result<()> {
    for rule in rules {
        let refused = iptables(rule, "-A")?;
        ensure!(
            refused.len() < 2,
            "inserting `{}`: {}",
            rule.join(" "),
            refused.join("; ")
        );
    }
    Ok(())
}

/// Adds or deletes a rule for both families; what each family that refused it said.
fn iptables(rule: &[String], how: &str) -> Result<Vec<String>> {
    let mut refused = Vec::new();
    for tool in ["iptables-legacy", "ip6tables-legacy"] {
        let output = Command::new(tool)
            .args(["-w", "-t", "mangle", how])
            .args(rule)
            .output()
            .with_context(|| format!("starting {tool}"))?;
        if !output.status.success() {
            refused.push(String::from_utf8_lossy(&output.stderr).trim().to_owned());
        }
    }
    Ok(refused)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chains(text: &str) -> Vec<String> {
        let words = text.split_whitespace().map(str::to_owned).collect();
        rules(words, 7).into_iter().map(|rule| rule.join(" ")).collect()
    }

    #[test]
    fn every_packet_passes_one_of_its_rules() {
        let target = "-p tcp -j NFQUEUE --queue-num 7";
        assert_eq!(
            chains("-p tcp"),
            [format!("PREROUTING {target}"), format!("OUTPUT {target}")]
        );
        assert_eq!(chains("FORWARD -p tcp"), [format!("FORWARD {target}")]);
        assert_eq!(chains("-o up0"), ["POSTROUTING -o up0 -j NFQUEUE --queue-num 7"]);
        assert_eq!(chains("-i cbr0"), ["PREROUTING -i cbr0 -j NFQUEUE --queue-num 7"]);
    }
}
