//! The client has no ephemeral port left for this target.
//!
//! Why it happens: it opens connections faster than the kernel forgets the old ones (a closed one waits a minute in
//! `TIME_WAIT`). Or it leaks connections, or its port range is small.
//!
//! How it knows: the sender's kernel refused before a packet left (`EADDRNOTAVAIL`), and its sockets to this target fill the
//! range of `net.ipv4.ip_local_port_range`.
//!
//! Remedy: reuse connections, find the program that leaks them (`ss -tan`), or widen `net.ipv4.ip_local_port_range`.
//!
//! Silent on: `EADDRNOTAVAIL` for an address that the client does not have, while ports are free.

use crate::case::{Case, Failure};
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;
use model::attempt::{Attempt, Outcome};

pub const NEEDS: &[Need] = &[Need::Fact("sysctls"), Need::Fact("socket_counts")];

pub fn check(case: &Case<'_>) -> Checked {
    let mut refused: Vec<&Attempt> = case
        .asked()
        .filter(|tried| tried.failure() == Some(Failure::NoLocalAddress) || no_port(tried.attempt))
        .map(|tried| tried.attempt)
        .collect();
    refused.sort_by_key(|attempt| attempt.id);
    let (Some(first), Some(source)) = (refused.first(), case.evidence.source.netns) else {
        return Ok(Vec::new());
    };
    let Some(range) = case.sysctl(source, "net.ipv4.ip_local_port_range")?.and_then(size) else {
        return Ok(Vec::new());
    };
    let counts = case.after(source, "socket counts", |facts| &facts.socket_counts)?;
    let busy: u64 = counts
        .iter()
        .filter(|(what, _)| what.starts_with("tcp") && !what.contains("LISTEN"))
        .map(|(_, number)| number)
        .sum();
    let waiting = counts.get("tcp TIME_WAIT").copied().unwrap_or(0);
    // What the port range holds must be in use, or nearly so: other reasons for this error leave it free.
    if busy.saturating_mul(10) < range.saturating_mul(9) {
        return Ok(Vec::new());
    }
    let name = case.name(source);
    Ok(vec![
        fatal(
            "local-ports-exhausted",
            format!("{name} has no ephemeral port left for {}", first.flow.dst()),
        )
        .at(case.node(source), &name)
        .of(refused.iter().map(|attempt| attempt.id))
        .remedy(format!(
            "reuse connections; find who holds them in {name} (ss -tan); widen net.ipv4.ip_local_port_range"
        ))
        .because(match &first.outcome {
            Outcome::NotTried { why } => why.clone(),
            _ => "EADDRNOTAVAIL before any packet left".to_owned(),
        })
        .and(format!(
            "{busy} TCP sockets in {name} ({waiting} in TIME_WAIT), {range} ports in its range"
        )),
    ])
}

/// The attempt could not be made for want of a port.
fn no_port(attempt: &Attempt) -> bool {
    match &attempt.outcome {
        Outcome::NotTried { why } => why.contains("EADDRNOTAVAIL") || why.contains("EADDRINUSE"),
        Outcome::Error { errno, during } => errno.name == "EADDRINUSE" && during != "listen",
        _ => false,
    }
}

/// How many ports `32768 60999` holds.
fn size(range: &str) -> Option<u64> {
    let mut ends = range.split_whitespace().map(str::parse::<u64>);
    match (ends.next(), ends.next()) {
        (Some(Ok(low)), Some(Ok(high))) if high >= low => Some(high - low + 1),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};
    use model::missing::Known;

    fn refused(sockets: u64) -> Scene {
        let mut scene = Scene::two_nodes();
        scene.fails(3, 99, "EADDRNOTAVAIL");
        scene.facts(scenes::A, |facts| {
            if let Known::Known(sysctls) = &mut facts.sysctls {
                sysctls.insert("net.ipv4.ip_local_port_range".to_owned(), "40000\t40003".to_owned());
            }
            if let Known::Known(counts) = &mut facts.socket_counts {
                counts.insert("tcp TIME_WAIT".to_owned(), sockets);
            }
        });
        scene
    }

    #[test]
    fn a_range_in_use_and_a_refused_connect_are_it() {
        assert_eq!(scenes::causes(&judge(&refused(4).evidence)), ["local-ports-exhausted"]);
    }

    #[test]
    fn free_ports_point_elsewhere() {
        assert_ne!(scenes::cause(&judge(&refused(0).evidence)), "local-ports-exhausted");
    }
}
