//! Commands inside a namespace of the run, where something is known that surely leads there.

use super::Case;
use crate::kubernetes::pods;
use crate::words::shell::{self, Command, command};
use core::fmt::Display;

impl Case<'_> {
    /// A command inside a namespace (see [`command`]); `None` also where nothing is known that surely leads there.
    pub fn command(&self, netns: u32, ours: &'static str, names: &[&dyn Display]) -> Option<Command> {
        Some(command(ours, names)?.inside(&self.inside(netns)?))
    }

    /// How a command is run inside a namespace: `ip netns exec c `, `nsenter -t 7 -n `, or nothing where its node's own shell is
    /// inside already.
    fn inside(&self, netns: u32) -> Option<String> {
        if netns == 0 {
            return None;
        }
        let nodes = &mut self.evidence.nodes.iter();
        if nodes.any(|node| node.host_netns == netns) {
            return Some(String::new());
        }
        let ends = [&self.evidence.source, &self.evidence.destination];
        let end = ends.into_iter().find(|end| end.netns == Some(netns));
        let pid = end.and_then(|end| end.pid).map(|pid| format!("nsenter -t {pid} -n "));
        // What the site calls a pod may look like a helper's name for a namespace: `netns/x` is a pod of a namespace `netns`.
        if end.is_some() && pods::pod_in(self.evidence, netns).is_some() {
            return pid;
        }
        let name = self.evidence.netns(netns)?.name.as_str();
        inside(name).or(pid)
    }
}

/// By a helper's name for a namespace, which is never one that a process has chosen: `host`, `netns/NAME`, `netns/PATH`,
/// `pid/N` or `pid/N (NAME)`.
fn inside(name: &str) -> Option<String> {
    if name == "host" {
        return Some("nsenter -t 1 -n ".to_owned());
    }
    if let Some(name) = name.strip_prefix("netns/") {
        let word = shell::word(name)?;
        return Some(match name.strip_prefix('/') {
            Some(_) => format!("nsenter --net={word} "),
            None => format!("ip netns exec {word} "),
        });
    }
    let pid = name.strip_prefix("pid/")?;
    let pid: u32 = pid.split_once(" (").map_or(pid, |(pid, _)| pid).parse().ok()?;
    Some(format!("nsenter -t {pid} -n "))
}

#[cfg(test)]
mod tests {
    use super::inside;

    #[test]
    fn a_namespace_is_entered_by_what_surely_leads_there() {
        let way = |name: &str| inside(name).unwrap_or_default();
        assert_eq!(way("netns/a"), "ip netns exec a ");
        assert_eq!(way("netns/a b"), "ip netns exec 'a b' ");
        assert_eq!(way("netns//run/docker/netns/1"), "nsenter --net=/run/docker/netns/1 ");
        assert_eq!(way("pid/7"), "nsenter -t 7 -n ");
        assert_eq!(way("pid/7 (netns/other)"), "nsenter -t 7 -n ");
        assert_eq!(way("pid/7 (8) (x)"), "nsenter -t 7 -n ");
        for name in [
            "nginx",
            "pid/7;id",
            "pid/x (y)",
            "netns/a`id`",
            "netns/-x",
            "netns/a\nb",
            "shop/web",
            "",
        ] {
            assert_eq!(inside(name), None, "{name:?}");
        }
    }
}
