//! Socket memory is used up: the kernel drops packets that it has no memory for.
//!
//! Why it happens: many connections with full buffers reach `net.ipv4.tcp_mem` (or `udp_mem`). Or the cgroup's memory limit
//! counts socket buffers too, and is reached.
//!
//! How it knows: the kernel dropped packets of the watched flow with `PROTO_MEM`.
//!
//! Remedy: find the connections that hold the memory (`ss -tm`), or raise `net.ipv4.tcp_mem` or the container's memory limit.
//!
//! Silent on: a single socket's receive buffer (`udp-buffer-overflow`, `receiver-window-closed`) and drops of other flows.

use crate::case::Case;
use crate::kernel::drops::Class;
use crate::rules::{Checked, Need};
use crate::verdict::finding::{fatal, warning};
use crate::words::count;

pub const NEEDS: &[Need] = &[Need::Probe("drop"), Need::Probe("path"), Need::Fact("counters")];

pub fn check(case: &Case<'_>) -> Checked {
    let drops = case.all_drops(Class::Memory);
    let Some(first) = drops.first() else {
        return Ok(Vec::new());
    };
    let event = first.event;
    let netns = case.name(event.netns);
    let says = format!("socket memory of {netns} is used up, so that packets are dropped");
    let claim = if case.drops(Class::Memory).is_empty() {
        warning("socket-memory-exhausted", says)
    } else {
        fatal("socket-memory-exhausted", says)
    };
    let grew = |name: &str| case.growth(event.netns, name).unwrap_or(0);
    let (pruned, refused) = (grew("TcpExt.PruneCalled"), grew("TcpExt.TCPRcvQDrop"));
    Ok(vec![
        claim
            .at(case.node(event.netns), &netns)
            .of(drops.iter().map(|drop| drop.attempt))
            .remedy("find who holds it (ss -tm), raise net.ipv4.tcp_mem or the container's memory limit")
            .because(format!(
                "{} of {} dropped in {netns} ({})",
                count(drops.len(), "packet"),
                event.flow,
                first.words()
            ))
            .and_if(
                (pruned + refused > 0)
                    .then(|| format!("in the window PruneCalled grew by {pruned}, TCPRcvQDrop by {refused}")),
            ),
    ])
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};

    #[test]
    fn a_packet_dropped_for_want_of_memory_names_it() {
        let mut scene = Scene::two_nodes();
        scene.dropped(2, scenes::C, "eth0", "PROTO_MEM", "tcp_rcv_established");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["socket-memory-exhausted"]);
    }

    #[test]
    fn another_flow_without_memory_accuses_nobody() {
        let mut scene = Scene::two_nodes();
        scene.connects(3);
        let foreign = scenes::tcp("10.90.1.9:1000", "10.90.2.2:80");
        scene.drop(scenes::C, "eth0", foreign, "PROTO_MEM", "tcp_rcv_established");
        assert_eq!(scenes::causes(&judge(&scene.evidence)), Vec::<String>::new());
    }

    #[test]
    fn the_backlog_of_our_own_socket_is_our_limit_and_memory_is_everybodys() {
        let causes = |reason| {
            let mut scene = Scene::two_nodes();
            scene.connects(3);
            let answer = scene.evidence.watched[0].flow.reversed();
            scene.drop(scenes::A, "eth0", answer, reason, "tcp_rcv_established");
            scenes::causes(&judge(&scene.evidence))
        };
        assert_eq!(causes("SOCKET_BACKLOG"), Vec::<String>::new());
        assert_eq!(causes("PROTO_MEM"), ["socket-memory-exhausted"]);
    }
}
