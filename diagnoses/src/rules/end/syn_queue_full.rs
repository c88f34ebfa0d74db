//! Half-open connections fill the backlog: new ones are dropped before the handshake.
//!
//! Why it happens: there is a SYN flood, or the last ACKs of many handshakes are lost, and `net.ipv4.tcp_max_syn_backlog` or
//! the listener's backlog is too small for this.
//!
//! How it knows: the watched request arrived and got no answer, and the accept queue of its listener has room. And
//! `TcpExt.TCPReqQFullDrop` grew; or `TcpExt.ListenDrops` grew more than `ListenOverflows` while the number of half-open
//! connections is at the limit.
//!
//! Remedy: find the sender of the SYNs, raise `net.ipv4.tcp_max_syn_backlog` and the listener's backlog, leave SYN cookies on.
//!
//! Silent on: accept queues that are full (`accept-queue-full`), answers that have no route (`ListenDrops` grows there too),
//! and SYN cookies that do their work.

use crate::case::Case;
use crate::case::far_end::{target_words, unanswered};
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;

pub const NEEDS: &[Need] = &[
    Need::Probe("path"),
    Need::Fact("counters"),
    Need::Fact("socket_counts"),
    Need::Fact("sysctls"),
];

pub fn check(case: &Case<'_>) -> Checked {
    let unanswered = unanswered(case);
    let Some((_, end)) = unanswered.first().copied() else {
        return Ok(Vec::new());
    };
    let growth = |name: &str| case.growth(end.netns, name);
    let full = growth("TcpExt.TCPReqQFullDrop")?;
    let beyond = growth("TcpExt.ListenDrops")?.saturating_sub(growth("TcpExt.ListenOverflows")?);
    let no_route = growth("Ip.OutNoRoutes")? + growth("Ip6.OutNoRoutes")?;
    let half_open = case
        .after(end.netns, "socket counts", |facts| &facts.socket_counts)
        .ok()
        .and_then(|counts| counts.get("tcp SYN_RECV").copied())
        .unwrap_or(0);
    let limit = case
        .sysctl(end.netns, "net.ipv4.tcp_max_syn_backlog")?
        .and_then(|value| value.parse::<u64>().ok());
    let crowded = limit.is_some_and(|limit| half_open * 4 >= limit * 3);
    if full == 0 && (beyond == 0 || no_route > 0 || !crowded) {
        return Ok(Vec::new());
    }
    let netns = case.name(end.netns);
    Ok(vec![
        fatal(
            "syn-queue-full",
            format!("half-open connections fill the backlog of {} in {netns}", target_words(end.flow)),
        )
        .at(case.node(end.netns), &netns)
        .of(unanswered.iter().map(|(id, _)| *id))
        .remedy(format!(
            "find who opens connections in {netns} without finishing them; raise net.ipv4.tcp_max_syn_backlog, keep net.ipv4.tcp_syncookies on"
        ))
        .because(format!("the request arrived in {netns} and was not answered"))
        .and(format!(
            "in the window TCPReqQFullDrop grew by {full}, and ListenDrops by {beyond} more than ListenOverflows"
        ))
        .and_if(limit.map(|limit| format!("{half_open} connections are half open, the limit is {limit}"))),
    ])
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};

    #[test]
    fn requests_dropped_for_a_full_backlog_name_it() {
        let mut scene = Scene::two_nodes();
        scene
            .vanishes(3, scenes::C, "eth0")
            .grew(scenes::C, "TcpExt.TCPReqQFullDrop", 3);
        assert_eq!(scenes::causes(&judge(&scene.evidence)), ["syn-queue-full"]);
        // Its answer may not have been told.
        scene.misses("path", 1);
        let causes = scenes::causes(&judge(&scene.evidence));
        assert!(!causes.contains(&"syn-queue-full".to_owned()), "{causes:?}");
    }

    #[test]
    fn listen_drops_for_want_of_a_route_are_not_it() {
        let mut scene = Scene::two_nodes();
        scene
            .vanishes(3, scenes::C, "eth0")
            .grew(scenes::C, "TcpExt.ListenDrops", 3)
            .grew(scenes::C, "Ip.OutNoRoutes", 3);
        assert!(!scenes::causes(&judge(&scene.evidence)).contains(&"syn-queue-full".to_owned()));
    }
}
