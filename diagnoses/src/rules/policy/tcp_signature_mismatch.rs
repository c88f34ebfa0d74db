//! TCP signatures (MD5 or AO, as BGP sessions use them) differ or are missing.
//!
//! Why it happens: the password of a BGP session differs between the peers, or only one of them has one.
//!
//! How it knows: the kernel freed the watched segments with one of its reasons for signatures (`TCP_MD5FAILURE`,
//! `TCP_MD5NOTFOUND`, `TCP_MD5UNEXPECTED`, and those of TCP-AO).
//!
//! Remedy: set the same key on both peers.
//!
//! Silent on: segments dropped for any other reason.

use crate::case::Case;
use crate::kernel::drops::Class;
use crate::rules::{Checked, Need};
use crate::verdict::finding::fatal;

pub const NEEDS: &[Need] = &[Need::Probe("drop"), Need::Probe("path")];

pub fn check(case: &Case<'_>) -> Checked {
    let drops = case.drops(Class::TcpSignature);
    let Some(first) = drops.first() else {
        return Ok(Vec::new());
    };
    let name = case.name(first.event.netns);
    let reason = first.reason();
    let how = if reason.contains("NOTFOUND") {
        "it asks for a signature, and the segments carry none"
    } else if reason.contains("UNEXPECTED") {
        "the segments carry a signature it does not ask for"
    } else {
        "the signature does not match its key"
    };
    Ok(vec![
        fatal(
            "tcp-signature-mismatch",
            format!("{name} rejects the TCP signature: {how}"),
        )
        .at(case.node(first.event.netns), &name)
        .interface(case.interface(first.event))
        .of(drops.iter().map(|drop| drop.attempt))
        .remedy("set the same TCP MD5 or AO key (the BGP password) on both peers")
        .because(format!(
            "{} watched segments were freed in {name}: {}",
            drops.len(),
            first.words()
        )),
    ])
}

#[cfg(test)]
mod tests {
    use crate::judge;
    use crate::scenes::{self, Scene};

    #[test]
    fn a_missing_signature_is_told_from_a_wrong_one() {
        for (reason, words) in [("TCP_MD5NOTFOUND", "carry none"), ("TCP_MD5FAILURE", "does not match")] {
            let mut scene = Scene::two_nodes();
            scene.dropped(3, scenes::C, "", reason, "tcp_v4_rcv");
            let judgement = judge(&scene.evidence);
            assert_eq!(scenes::causes(&judgement), ["tcp-signature-mismatch"]);
            assert!(judgement.verdicts[0].says.contains(words));
        }
    }
}
