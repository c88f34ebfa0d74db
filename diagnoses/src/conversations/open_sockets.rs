//! The sockets of connections that are open. Whoever sends to a program that reads nothing tells nobody: his segments are acknowledged,
//! and then he may not send. So it is looked from time to time at what is unread.

use super::connection::ObservedConnection;
use super::key::{Key, TargetRole};
use super::table::ConversationTable;
use model::facts::Socket;
use model::flow::{Flow, TCP};
use std::collections::BTreeMap;

/// Connections to targets that are open, those first that have been so for longest: each with its target, as the client knows it.
#[must_use]
pub fn open_connections(table: &ConversationTable, most: usize) -> Vec<(usize, Flow)> {
    let served = table.conversations.iter().filter(|(key, _)| is_served(key));
    let mut open: Vec<(u64, usize, Flow)> = served
        .flat_map(|(key, own)| {
            let open = own.connections.values().filter(|connection| is_open(connection));
            open.map(|connection| (connection.started_ns, key.target, connection.flow))
        })
        .collect();
    open.sort_unstable();
    open.truncate(most);
    open.into_iter().map(|(_, target, flow)| (target, flow)).collect()
}

/// Takes in what was unread in the sockets of a target just now.
pub fn look_at_unread(table: &mut ConversationTable, target: usize, sockets: &[Socket]) {
    let unread: BTreeMap<Flow, u32> = sockets
        .iter()
        .filter(|socket| socket.state == "ESTABLISHED")
        .map(|socket| (socket.flow.reversed(), socket.rx_queue))
        .collect();
    let own = table
        .conversations
        .iter_mut()
        .filter(|(key, _)| key.target == target && is_served(key));
    for connection in own.flat_map(|(_, own)| own.connections.values_mut()) {
        if let Some(bytes) = unread.get(&connection.flow).filter(|_| is_open(connection)) {
            connection.unread.look(*bytes);
        }
    }
}

fn is_served(key: &Key) -> bool {
    key.role == TargetRole::Server && key.protocol == TCP
}

fn is_open(connection: &ObservedConnection) -> bool {
    connection.connected_ns.is_some() && !connection.is_over()
}

#[cfg(test)]
mod tests {
    use super::super::{Cost, Ends, PathOf, question, suffering};
    use super::{ConversationTable, look_at_unread, open_connections};
    use model::attempt::Outcome;
    use model::endpoint::Endpoint;
    use model::event::{Event, Exchanged, Packet, Seen, TcpState};
    use model::evidence::{Evidence, NetnsEvidence};
    use model::facts::Socket;
    use model::flow::{Flow, TCP};
    use model::missing::Known;
    use model::owner::Owner;
    use model::word::Hook;

    const SERVER: u32 = 104;
    const SECOND: u64 = 1_000_000_000;

    fn server() -> Endpoint {
        Endpoint {
            netns: Some(SERVER),
            addresses: vec!["10.0.0.1".parse().unwrap()],
            ..Endpoint::default()
        }
    }

    fn request() -> Flow {
        Flow::new(TCP, "10.0.0.8:50000".parse().unwrap(), "10.0.0.1:80".parse().unwrap())
    }

    fn at_server(at_ns: u64, seen: Seen) -> Event {
        Event {
            at_ns,
            probe: "test".to_owned(),
            node: String::new(),
            netns: SERVER,
            ifindex: 0,
            interface: None,
            pid: 0,
            process: None,
            owner: Owner::Unknown,
            flow: request().reversed(),
            skb: 0,
            sk: 1,
            packet: None,
            exchanged: None,
            quoted: None,
            attempt: None,
            seen,
        }
    }

    /// A server that has a connection, at which it was looked twice: so many bytes were unread in its socket.
    fn looked_at(unread: [u32; 2]) -> ConversationTable {
        let mut table = ConversationTable::of(&[server()], |_| Vec::new());
        let (old, new, since_ns) = (TcpState::SynRecv, TcpState::Established, 0);
        table.take(&at_server(SECOND, Seen::StateChange { old, new, since_ns }));
        assert_eq!(open_connections(&table, 8), [(0, request())]);
        for rx_queue in unread {
            let socket = Socket {
                flow: request().reversed(),
                state: "ESTABLISHED".to_owned(),
                rx_queue,
                ..Socket::default()
            };
            look_at_unread(&mut table, 0, &[socket]);
        }
        table
    }

    /// What became of the connection, which was followed since then, where the last packets from the server had these windows.
    fn outcome(table: &ConversationTable, windows: &[u16], since_ns: u64) -> Outcome {
        let hook = Hook::Queue;
        let answers = windows.iter().zip(2..).map(|(window, second)| Event {
            attempt: Some(1),
            packet: Some(Packet {
                window: *window,
                tcp_flags: 16,
                ..Packet::default()
            }),
            ..at_server(second * SECOND, Seen::Hop { hook, learned: false })
        });
        let asked = Event {
            flow: request(),
            attempt: Some(1),
            ..at_server(2 * SECOND, Seen::Hop { hook, learned: false })
        };
        let seen = Evidence {
            events: std::iter::once(asked).chain(answers).collect(),
            netns: vec![NetnsEvidence {
                id: SERVER,
                ..NetnsEvidence::default()
            }],
            ..Evidence::default()
        };
        let path = PathOf {
            key: *table.conversations.keys().next().unwrap(),
            ends: Ends {
                server: server(),
                ..Ends::default()
            },
            inventory: Known::default(),
            since_ns: Some(since_ns),
        };
        question(&seen, table, &path, 5 * SECOND).attempts[0].outcome.clone()
    }

    #[test]
    fn whoever_may_not_send_since_nothing_is_read_has_failed() {
        let table = looked_at([4_000, 4_000]);
        let suffering = suffering(&table, 5 * SECOND, SECOND);
        assert_eq!(
            suffering.iter().map(|(_, cost)| *cost).collect::<Vec<_>>(),
            [Cost::default()]
        );
        assert_eq!(
            outcome(&table, &[100, 0], 2 * SECOND),
            Outcome::TimedOut { during: "send".into() }
        );
        assert_eq!(
            outcome(&table, &[0, 100], 2 * SECOND),
            Outcome::Ok,
            "it was opened again"
        );
    }

    #[test]
    fn a_program_that_reads_now_and_then_keeps_nobody_waiting() {
        let table = looked_at([4_000, 3_000]);
        assert_eq!(suffering(&table, 5 * SECOND, SECOND), []);
        assert_ne!(
            outcome(&table, &[100, 0], 2 * SECOND),
            Outcome::TimedOut { during: "send".into() }
        );
    }

    #[test]
    fn whoever_gave_up_sending_to_a_closed_window_was_kept_from_sending() {
        let mut table = looked_at([0, 0]);
        let (old, new, since_ns) = (TcpState::Established, TcpState::CloseWait, 0);
        let exchanged = Exchanged {
            sent_bytes: 0,
            received_bytes: 7_000,
        };
        table.take(&Event {
            exchanged: Some(exchanged),
            ..at_server(4 * SECOND, Seen::StateChange { old, new, since_ns })
        });
        assert_eq!(
            outcome(&table, &[100, 0], 0),
            Outcome::TimedOut { during: "send".into() }
        );
        assert_eq!(outcome(&table, &[0, 100], 0), Outcome::Ok);
    }
}
