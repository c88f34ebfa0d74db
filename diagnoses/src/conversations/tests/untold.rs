//! Connections of which only losses are told, as where a capture has not armed the probe of every change of a socket.

use super::{PEER, POD, Watch, tcp};
use crate::conversations::TargetRole;
use model::endpoint::Endpoint;
use model::event::{Packet, Seen, TcpState};
use model::evidence::{Evidence, Window};

const SERVER: &str = "10.0.0.2:80";

fn told_by(probes: &[&str]) -> Watch {
    let mut watch = Watch::begin();
    let probes: Vec<String> = probes.iter().map(|name| (*name).to_owned()).collect();
    watch.table = std::mem::take(&mut watch.table).told_by(&probes);
    watch.table.look_at([PEER]);
    watch
}

impl Watch {
    fn first_packet(&mut self, seen: Seen, seq: u32) {
        let event = self.event(PEER, 0, tcp("10.0.0.1:40001", SERVER), seen);
        self.take(model::event::Event {
            packet: Some(Packet {
                tcp_flags: 2,
                seq,
                ..Packet::default()
            }),
            ..event
        });
    }

    fn loses_first_packet(&mut self) {
        let seen = Seen::Drop {
            reason: "NETFILTER_DROP".to_owned(),
            location: Some("nft_do_chain".to_owned()),
            state: TcpState::Unknown,
        };
        self.first_packet(seen, 1);
    }

    fn sends_again(&mut self, state: TcpState) {
        self.first_packet(Seen::Retransmit { state, errno: 0 }, 1);
    }

    /// What failed when the window has closed.
    fn failed(&mut self) -> Vec<(TargetRole, u32)> {
        let pod = Endpoint {
            netns: Some(POD),
            ..Endpoint::default()
        };
        let seen = Evidence {
            window: Window {
                start_ns: 1,
                end_ns: self.now_ns,
            },
            ..Evidence::default()
        };
        self.table.end(&[pod], &seen);
        let all = self.suffering().into_iter();
        all.map(|(key, cost)| (key.role, cost.failed)).collect()
    }
}

#[test]
fn a_first_packet_that_is_lost_each_time_it_is_sent_makes_no_connection() {
    let mut watch = told_by(&["drop", "tcpretrans"]);
    watch.loses_first_packet();
    watch.wait(1_000).sends_again(TcpState::SynSent);
    watch.loses_first_packet();
    assert_eq!(watch.wait(1_000).failed(), [(TargetRole::Client, 1)]);
}

#[test]
fn one_that_may_have_got_through_at_last_is_no_failure() {
    let mut watch = told_by(&["drop", "tcpretrans"]);
    watch.loses_first_packet();
    watch.wait(1_000).sends_again(TcpState::SynSent);
    let failed: u32 = watch.wait(1_000).failed().iter().map(|(_, failed)| failed).sum();
    assert_eq!(failed, 0);
}

#[test]
fn one_that_sends_data_again_was_made() {
    let mut watch = told_by(&["drop", "tcpretrans"]);
    watch.loses_first_packet();
    watch.wait(1_000).sends_again(TcpState::Established);
    watch.wait(10).loses_first_packet();
    let failed: u32 = watch.wait(2_000).failed().iter().map(|(_, failed)| failed).sum();
    assert_eq!(failed, 0);
}

#[test]
fn where_it_is_not_told_what_is_sent_again_nobody_knows() {
    let mut watch = told_by(&["drop"]);
    watch.loses_first_packet();
    let failed: u32 = watch.wait(2_000).failed().iter().map(|(_, failed)| failed).sum();
    assert_eq!(failed, 0);
}
