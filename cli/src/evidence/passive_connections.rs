//! The user's own traffic, watched without sending: which packets belong to one connection. Pure.

use model::attempt::WatchedFlow;
use model::event::{Event, Seen};
use model::evidence::Evidence;
use std::collections::BTreeMap;

/// Gives each connection a number of its own: the kernel was asked for all of them at once, under one number.
pub fn separate_connections(evidence: &mut Evidence) {
    let mut numbers: BTreeMap<u16, u32> = BTreeMap::new();
    let mut seen = Vec::new();
    for index in 0..evidence.events.len() {
        let event = &evidence.events[index];
        let Some(asked) = event.attempt else { continue };
        let next = numbers.len() as u32 + 1;
        let number = *numbers.entry(users_port(evidence, event)).or_insert(next);
        let first = number == next && matches!(event.seen, Seen::Hop { .. });
        if first && let Some(watched) = evidence.watched.iter().find(|watched| watched.attempt == asked) {
            seen.push(WatchedFlow {
                attempt: number,
                netns: watched.netns,
                flow: event.flow,
            });
        }
        evidence.events[index].attempt = Some(number);
    }
    if !seen.is_empty() {
        evidence.watched = seen;
    }
}

/// The port of the user's end, which a translation of the far end leaves as it is.
fn users_port(evidence: &Evidence, event: &Event) -> u16 {
    let flow = event.flow;
    let port = evidence.destination.port.unwrap_or_default();
    let answer = evidence.source.addresses.contains(&flow.dst()) || (flow.sport == port && flow.dport != port);
    if answer { flow.dport } else { flow.sport }
}

#[cfg(test)]
mod tests {
    use super::separate_connections;
    use model::attempt::WatchedFlow;
    use model::evidence::Evidence;
    use model::flow::{Flow, TCP};

    #[test]
    fn two_connections_are_two_also_on_their_way_back_and_behind_a_translation() {
        let hop = |from: &str, to: &str| {
            let flow = Flow::new(TCP, from.parse().unwrap(), to.parse().unwrap());
            let flow = serde_json::to_string(&flow).unwrap();
            let said = format!(
                r#"{{"at_ns":1,"probe":"path","netns":7,"attempt":0,"flow":{flow},"seen":{{"what":"hop","hook":"queue"}}}}"#
            );
            serde_json::from_str(&said).unwrap()
        };
        let mut evidence = Evidence {
            passive: true,
            ..Evidence::default()
        };
        evidence.source.addresses = vec!["10.0.0.1".parse().unwrap()];
        evidence.destination.port = Some(80);
        let any = Flow::new(TCP, "10.0.0.1:0".parse().unwrap(), "10.96.0.1:80".parse().unwrap());
        evidence.watched = vec![WatchedFlow {
            attempt: 0,
            netns: 7,
            flow: any,
        }];
        evidence.events = vec![
            hop("10.0.0.1:4001", "10.96.0.1:80"),
            hop("10.0.0.1:4002", "10.96.0.1:80"),
            hop("10.0.0.1:4001", "10.0.0.9:8080"),
            hop("10.0.0.9:8080", "10.0.0.1:4001"),
            hop("10.96.0.1:80", "10.0.0.1:4002"),
        ];
        separate_connections(&mut evidence);
        let numbers: Vec<Option<u32>> = evidence.events.iter().map(|event| event.attempt).collect();
        assert_eq!(numbers, [Some(1), Some(2), Some(1), Some(1), Some(2)]);
        let watched: Vec<(u32, u16)> = evidence
            .watched
            .iter()
            .map(|watched| (watched.attempt, watched.flow.sport))
            .collect();
        assert_eq!(watched, [(1, 4001), (2, 4002)]);
    }
}
