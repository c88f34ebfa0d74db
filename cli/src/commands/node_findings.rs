//! The findings of `doctor` about nodes: nodes of the same kind are one finding, which says how many and which they are. Pure.

use crate::names;
use crate::render::CheckResult;
use crate::site::cluster::{Unfit, unfit};
use model::inventory::Node;
use model::missing::Missing;

/// Groups that are shown, at most.
const SHOWN: usize = 20;

/// What makes nodes alike.
#[derive(Clone, Debug, PartialEq, Eq)]
enum NodeKind {
    /// A helper can be started there.
    Fit { os: String, arch: String, kernel: String },
    /// None can.
    Unfit(Unfit),
    /// Nothing is known of it.
    Unknown(String),
}

/// One finding for each kind of node.
pub fn nodes(nodes: &[(String, Result<Node, Missing>)]) -> Vec<CheckResult> {
    let mut groups: Vec<(NodeKind, Vec<&str>, Option<Missing>)> = Vec::new();
    for (name, node) in nodes {
        let (kind, missing) = match node {
            Err(missing) => (NodeKind::Unknown(missing.why.clone()), Some(missing.clone())),
            Ok(node) => match Unfit::of(node) {
                Some(why) => (NodeKind::Unfit(why), unfit(node).err()),
                None => (
                    NodeKind::Fit {
                        os: node.os.clone(),
                        arch: node.arch.clone(),
                        kernel: node.kernel.clone(),
                    },
                    None,
                ),
            },
        };
        match groups.iter().position(|(known, ..)| *known == kind) {
            Some(at) => groups[at].1.push(name),
            None if groups.len() <= SHOWN => groups.push((kind, vec![name], missing)),
            // More kinds than anybody reads: they are counted.
            None => groups[SHOWN].1.push(name),
        }
    }
    let more = groups.split_off(groups.len().min(SHOWN));
    let mut findings: Vec<CheckResult> = groups.into_iter().map(group_finding).collect();
    for (_, names, _) in more {
        let what = format!("{} more nodes, of other kinds: {}", names.len(), names::some(&names));
        let missing = Missing::new("", "there are more kinds of nodes than are shown")
            .remedy("name the nodes you mean with --node");
        findings.push(CheckResult::missing(what, missing));
    }
    findings
}

/// Nodes by their names: one, or how many and the first of them.
pub fn which(names: &[&str]) -> String {
    if names.len() > 1 {
        format!("{} nodes ({})", names.len(), names::some(names))
    } else {
        format!("node {}", names.concat())
    }
}

fn group_finding((kind, names, missing): (NodeKind, Vec<&str>, Option<Missing>)) -> CheckResult {
    let several = names.len() > 1;
    let which = which(&names);
    match (kind, missing) {
        (NodeKind::Fit { os, arch, kernel }, _) => CheckResult::fine(format!("{which}: {os} {arch}, kernel {kernel}")),
        (NodeKind::Unfit(why), Some(missing)) if several => {
            let first = format!("of {}: {}", names[0], missing.why);
            CheckResult::missing(
                format!("{which}: {}", why.of_several()),
                Missing::new("", first).remedy(missing.remedy),
            )
        }
        (_, missing) => CheckResult::missing(which, missing.unwrap_or_default()),
    }
}

#[cfg(test)]
mod tests {
    use super::nodes;
    use model::inventory::Node;

    fn node(number: usize, ready: bool, lease_age_s: Option<u64>) -> Node {
        Node {
            name: format!("n{number}"),
            ready,
            os: "linux".to_owned(),
            arch: "amd64".to_owned(),
            kernel: "6.8".to_owned(),
            reason: if ready { "KubeletReady" } else { "NodeStatusUnknown" }.to_owned(),
            message: format!("message of n{number}"),
            lease_age_s,
            ..Node::default()
        }
    }

    #[test]
    fn of_five_thousand_nodes_each_kind_is_told_once_and_counted() {
        let all = (0..5_000).map(|number| match number % 5 {
            0 => node(number, false, None),
            1 => node(number, true, Some(20 + number as u64)),
            _ => node(number, true, Some(3)),
        });
        let all: Vec<_> = all.map(|node| (node.name.clone(), Ok(node))).collect();
        let findings = nodes(&all);
        let group_finding: Vec<&str> = findings.iter().map(|finding| finding.what.as_str()).collect();
        assert_eq!(
            group_finding,
            [
                "1000 nodes (n0, n5, n10, n15, n20 and 995 more): they are not Ready (NodeStatusUnknown)",
                "1000 nodes (n1, n6, n11, n16, n21 and 995 more): their kubelets have not renewed their Leases",
                "3000 nodes (n2, n3, n4, n7, n8 and 2995 more): linux amd64, kernel 6.8",
            ]
        );
        assert!(findings[0].missing.is_some() && findings[2].missing.is_none());
    }

    #[test]
    fn a_node_that_is_alone_of_its_kind_is_told_as_it_is() {
        let findings = nodes(&[("n1".to_owned(), Ok(node(1, false, None)))]);
        assert_eq!(findings[0].what, "node n1");
        let missing = findings[0].missing.clone().unwrap();
        assert!(missing.why.contains("message of n1"), "{missing:?}");
    }

    #[test]
    fn more_kinds_than_anybody_reads_are_counted() {
        let of_kernel = |number: usize| Node {
            kernel: format!("6.{number}"),
            ..node(number, true, None)
        };
        let all: Vec<_> = (0..100)
            .map(|number| (format!("n{number}"), Ok(of_kernel(number))))
            .collect();
        let findings = nodes(&all);
        assert_eq!(findings.len(), 21);
        assert!(findings[20].what.starts_with("80 more nodes"), "{}", findings[20].what);
    }
}
