//! Whether a helper can be started on a node, and reached there: as the node's own object says. Pure.

use super::pod_progress::HelperPlace;
use diagnoses::words::shell;
use model::inventory::Node;
use model::missing::Missing;

/// A kubelet that is well renews its Lease every 10 s; beyond this its node is evidence, and no place for a helper.
const LEASE_S: u64 = 15;

/// What keeps a helper from a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Unfit {
    /// It runs another system.
    Os(String),
    /// It is not Ready, for this reason.
    NotReady(String),
    /// Its kubelet does not renew its Lease.
    Silent,
}

impl Unfit {
    /// What keeps one from this node, if anything does.
    pub fn of(node: &Node) -> Option<Self> {
        if !node.os.is_empty() && node.os != "linux" {
            return Some(Self::Os(node.os.clone()));
        }
        if !node.ready {
            let untold = node.reason.is_empty();
            return Some(Self::NotReady(
                if untold { "no reason told" } else { &node.reason }.to_owned(),
            ));
        }
        node.lease_age_s.filter(|age| *age > LEASE_S).map(|_| Self::Silent)
    }

    /// Why helpers cannot run on several nodes, in words.
    pub fn of_several(&self) -> String {
        match self {
            Self::Os(os) => format!("they run {os}, and the helper needs Linux"),
            Self::NotReady(reason) => format!("they are not Ready ({reason})"),
            Self::Silent => "their kubelets have not renewed their Leases".to_owned(),
        }
    }
}

/// An error for a node on which a helper would not run, or could not be reached.
pub fn unfit(node: &Node) -> Result<(), Missing> {
    let name = &node.name;
    let place = HelperPlace {
        node: name,
        namespace: "",
        image: "",
        injected: false,
    };
    Err(match Unfit::of(node) {
        None => return Ok(()),
        Some(Unfit::Os(os)) => place
            .missing(format!("{name} runs {os}; the helper needs Linux"))
            .remedy("ask about ends on Linux nodes, or use --no-helper"),
        Some(Unfit::NotReady(reason)) => place
            .missing(format!("{name} is not Ready ({reason}) {}", node.message))
            .remedy(format!(
                "{}; on the node itself: kubectl-skoop ... --local",
                shell::said("kubectl describe node {}", &[&name])
            )),
        Some(Unfit::Silent) => place
            .missing(format!(
                "the kubelet of {name} has not renewed its Lease for {} s",
                node.lease_age_s.unwrap_or_default()
            ))
            .remedy(format!("see `journalctl -u kubelet` on {name}")),
    })
}
