//! Times, counts and places in words, and commands for a shell.
//!
//! How a thing is written belongs here, whoever writes it; the client uses it too. It uses `model` alone and decides nothing: what
//! is said, and whether, is the rules' and the judge's.

pub mod shell;

use model::report::{Direction, Place, RulePlace};

/// Nanoseconds for people: `0.42 ms`, `1.2 s`.
pub fn time(ns: u64) -> String {
    match ns {
        0..1_000 => format!("{ns} ns"),
        1_000..1_000_000 => format!("{} us", ns / 1_000),
        1_000_000..10_000_000 => format!("{:.1} ms", ns as f64 / 1e6),
        10_000_000..1_000_000_000 => format!("{} ms", ns / 1_000_000),
        _ => format!("{:.1} s", ns as f64 / 1e9),
    }
}

/// Bytes for people: `812 bytes`, `1.9 MiB`.
#[must_use]
pub fn bytes(bytes: u64) -> String {
    const UNITS: [&str; 4] = ["KiB", "MiB", "GiB", "TiB"];
    if bytes < 1024 {
        return format!("{bytes} bytes");
    }
    let mut value = bytes as f64 / 1024.0;
    let mut unit = UNITS[0];
    for larger in &UNITS[1..] {
        if value < 1024.0 {
            break;
        }
        value /= 1024.0;
        unit = larger;
    }
    if value < 10.0 {
        format!("{value:.1} {unit}")
    } else {
        format!("{value:.0} {unit}")
    }
}

/// `1 packet`, `3 packets`.
pub fn count(number: usize, one: &str) -> String {
    match number {
        1 => format!("1 {one}"),
        many => format!("{many} {one}s"),
    }
}

/// What goes that way: `the request`, `the answer`.
pub fn the(direction: Direction) -> &'static str {
    match direction {
        Direction::Request => "the request",
        Direction::Answer => "the answer",
    }
}

/// `a, b and c`.
pub fn list(items: &[String]) -> String {
    match items {
        [] => String::new(),
        [one] => one.clone(),
        [first @ .., last] => format!("{} and {last}", first.join(", ")),
    }
}

/// `netns/x up0`.
pub fn at(netns: &str, interface: Option<&str>) -> String {
    match interface {
        Some(interface) if !interface.is_empty() => format!("{netns} {interface}"),
        _ => netns.to_owned(),
    }
}

/// `iptables-legacy filter FORWARD #3`.
pub fn rule_place(rule: &RulePlace) -> String {
    let handle = rule.handle.map_or(String::new(), |handle| format!(" #{handle}"));
    format!("{} {} {}{handle}", rule.backend, table(rule), rule.chain)
}

/// A table as its own tool names it: `inet lockdown`, `filter`.
pub fn table(rule: &RulePlace) -> String {
    format!("{} {}", rule.family, rule.table).trim_start().to_owned()
}

/// Where a verdict points, in one phrase; empty when it points nowhere.
pub fn place(place: &Place) -> String {
    let mut parts: Vec<&str> = Vec::new();
    parts.extend(place.pod.as_deref().or(place.netns.as_deref()));
    parts.extend(place.interface.as_deref());
    parts.join(" ")
}

#[cfg(test)]
mod tests {
    #[test]
    fn times_read_naturally() {
        assert_eq!(super::time(420_000), "420 us");
        assert_eq!(super::time(4_200_000), "4.2 ms");
        assert_eq!(super::time(1_200_000_000), "1.2 s");
    }
}
