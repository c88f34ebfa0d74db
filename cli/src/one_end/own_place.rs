//! Where a target is: the namespaces that its interfaces lead to. What happens to its packets there is seen only where it is known
//! which those are.

use crate::conversation::session::Session;
use crate::evidence::path_facts;
use model::endpoint::Endpoint;
use model::evidence::NetnsEvidence;
use model::facts::Link;
use model::missing::Missing;

/// Interfaces of a target whose other end was not found are looked at again so often: other namespaces come and go meanwhile.
const LOOKS: usize = 3;

/// Looks for the other ends of the targets' interfaces until all are found, and says which are not.
pub async fn place(session: &mut Session, targets: &[Endpoint]) {
    for _ in 0..LOOKS {
        let again: Vec<u32> = unplaced(session, targets).into_iter().map(|(id, _)| id).collect();
        if again.is_empty() {
            return;
        }
        path_facts::read_again(session, again, &["links"]).await;
    }
    let missing = unplaced(session, targets).into_iter().map(|(_, missing)| missing);
    session.state.evidence.missing.extend(missing);
}

/// Targets of whose place something is not known, and what. What a whole node is connected to may be out of its sight.
fn unplaced(session: &Session, targets: &[Endpoint]) -> Vec<(u32, Missing)> {
    let evidence = &session.state.evidence;
    let is_node = |id: u32| evidence.nodes.iter().any(|node| node.host_netns == id);
    let own = targets.iter().filter_map(|target| target.netns);
    own.filter(|id| !is_node(*id))
        .filter_map(|id| Some((id, unknown_place(evidence.netns(id)?)?)))
        .collect()
}

/// What is not known of where a namespace's interfaces lead to.
fn unknown_place(netns: &NetnsEvidence) -> Option<Missing> {
    let links = match netns.before.links.get() {
        Ok(links) => links,
        Err(missing) => return Some(missing.clone()),
    };
    let leads_nowhere = |link: &&Link| link.up && link.peer.as_ref().is_some_and(|peer| peer.netns.is_none());
    let lost = links.iter().find(leads_nowhere)?;
    Some(not_found(&netns.name, &lost.name))
}

fn not_found(target: &str, interface: &str) -> Missing {
    let what = format!("what happens to packets of {target} behind its interface {interface}");
    let why = "the network namespace at its other end was not found: nothing names it, and no process lives in it";
    Missing::new(what, why).remedy("run it again; or ask about both ends: kubectl skoop diagnose CLIENT SERVER")
}

#[cfg(test)]
mod tests {
    use super::unknown_place;
    use model::evidence::NetnsEvidence;
    use model::facts::{Link, NetnsFacts, Peer};
    use model::missing::{Known, Missing};

    fn with(links: Vec<Link>) -> NetnsEvidence {
        NetnsEvidence {
            before: NetnsFacts {
                links: Known::Known(links),
                ..NetnsFacts::default()
            },
            ..NetnsEvidence::default()
        }
    }

    fn link(name: &str, up: bool, peer: Option<Option<u32>>) -> Link {
        Link {
            name: name.to_owned(),
            up,
            peer: peer.map(|netns| Peer { netns, ifindex: 7 }),
            ..Link::default()
        }
    }

    #[test]
    fn an_interface_that_leads_nobody_knows_where_is_told() {
        let known = vec![link("lo", true, None), link("eth0", true, Some(Some(102)))];
        assert_eq!(unknown_place(&with(known.clone())), None);
        let spare = link("spare", false, Some(None));
        assert_eq!(unknown_place(&with([known.clone(), vec![spare]].concat())), None);
        let lost = with([known, vec![link("eth1", true, Some(None))]].concat());
        assert!(unknown_place(&lost).is_some_and(|missing| missing.what.contains("eth1")));
    }

    #[test]
    fn interfaces_that_could_not_be_read_are_told() {
        let mut netns = with(Vec::new());
        netns.before.links = Known::Missing(Missing::new("interfaces", "EPERM"));
        assert!(unknown_place(&netns).is_some());
    }
}
