//! Which policies a chain of Calico's stands for: it makes one for each policy, named after it, and calls those that select a pod
//! from the chain of the pod.

use model::facts::{Action, Chain, NetfilterRule};
use model::object_ref::ObjectRef;
use sha2::{Digest as _, Sha256};

/// Behind one of these a chain bears a policy's name.
const OF_POLICY: [&str; 2] = ["cali-pi-", "cali-po-"];
/// Behind one of these, a pod's interface.
const OF_POD: [&str; 2] = ["cali-tw-", "cali-fw-"];
/// In its nftables mode chains bear their table's name before their own.
const OF_NFTABLES: &str = "filter-";

/// The names of the policies by which a packet is dropped that this rule of this chain drops: of the policy whose chain it is, or
/// of all that select the pod and of which none let the packet pass.
#[must_use]
pub fn policies<'a>(chain: &'a Chain, rule: &NetfilterRule) -> Vec<&'a str> {
    if let Some(name) = policy(&chain.name) {
        return vec![name];
    }
    let own = chain.name.strip_prefix(OF_NFTABLES).unwrap_or(&chain.name);
    let of_tier = rule.text.contains("no policies passed packet");
    if !of_tier || !OF_POD.iter().any(|start| own.starts_with(start)) {
        return Vec::new();
    }
    let before = chain.rules.iter().take_while(|other| other.handle != rule.handle);
    let called = before.filter_map(|other| match &other.action {
        Action::Jump { chain } => policy(chain),
        _ => None,
    });
    called.collect()
}

fn policy(chain: &str) -> Option<&str> {
    let own = chain.strip_prefix(OF_NFTABLES).unwrap_or(chain);
    OF_POLICY.iter().find_map(|start| own.strip_prefix(start))
}

/// The policy of that name is this object.
#[must_use]
pub fn names(name: &str, object: &ObjectRef) -> bool {
    if !object.kind.ends_with("projectcalico.org") {
        return false;
    }
    let tiered = [object.name.clone(), format!("default.{}", object.name)];
    tiered.iter().any(|own| {
        let own = match object.namespace.as_str() {
            "" => own.clone(),
            namespace => format!("{namespace}/{own}"),
        };
        // Of a name that is too long the chain bears the beginning of a digest.
        let short = name
            .strip_prefix('_')
            .is_some_and(|digest| digest.len() >= 12 && digest_of(&own).starts_with(digest));
        own == name || short
    })
}

/// SHA-256 in the letters of base64url (RFC 4648, 5), without padding.
fn digest_of(name: &str) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";
    let digest = Sha256::digest(name.as_bytes());
    let groups = digest.chunks(3).flat_map(|bytes| {
        let bits = (0..3).fold(0_u32, |bits, at| {
            bits << 8 | u32::from(bytes.get(at).copied().unwrap_or(0))
        });
        (0..=bytes.len()).map(move |at| bits >> (18 - 6 * at) & 63)
    });
    groups
        .filter_map(|index| LETTERS.get(index as usize).copied().map(char::from))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::{digest_of, names, policies};
    use model::facts::{Action, Chain, NetfilterRule};
    use model::object_ref::ObjectRef;

    fn object(kind: &str, namespace: &str, name: &str) -> ObjectRef {
        ObjectRef {
            kind: format!("{kind}.crd.projectcalico.org"),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
        }
    }

    #[test]
    fn a_chain_bears_its_policys_name_or_the_beginning_of_its_digest() {
        // printf %s abc | sha256sum | xxd -r -p | base64
        assert_eq!(digest_of("abc"), "ungWv48Bz-pBQUDeXa4iI7ADYaOWF3qctBD_YfIAFa0");
        let global = object("GlobalNetworkPolicy", "", "default.deny-db");
        assert!(names("default.deny-db", &global));
        assert!(names("default.deny-db", &object("GlobalNetworkPolicy", "", "deny-db")));
        assert!(names(
            "shop/default.deny",
            &object("NetworkPolicy", "shop", "default.deny")
        ));
        assert!(!names(
            "shop/default.deny",
            &object("NetworkPolicy", "other", "default.deny")
        ));
        let long = object("GlobalNetworkPolicy", "", "default.deny-everything-to-the-databases");
        let digest = digest_of("default.deny-everything-to-the-databases");
        assert!(names(&format!("_{}", &digest[..19]), &long));
        assert!(!names(&format!("_{}", &digest[..19]), &global));
        assert!(!names("_", &global) && !names("_u", &global), "too little to tell");
    }

    #[test]
    fn what_no_policy_of_a_tier_lets_pass_is_dropped_by_all_that_select_the_pod() {
        let jump = |handle, to: &str| NetfilterRule {
            handle,
            action: Action::Jump { chain: to.to_owned() },
            ..NetfilterRule::default()
        };
        let end = |handle, text: &str| NetfilterRule {
            handle,
            text: text.to_owned(),
            action: Action::Drop,
            ..NetfilterRule::default()
        };
        let chain = Chain {
            name: "cali-tw-cali1234".to_owned(),
            rules: vec![
                end(1, "-m conntrack --ctstate INVALID -j DROP"),
                jump(2, "cali-pi-default.one"),
                jump(3, "cali-pi-default.two"),
                end(
                    4,
                    "--comment \"End of tier default. Drop if no policies passed packet\" -j DROP",
                ),
                jump(5, "cali-pri-kns.shop"),
            ],
            ..Chain::default()
        };
        assert_eq!(policies(&chain, &chain.rules[3]), ["default.one", "default.two"]);
        assert_eq!(policies(&chain, &chain.rules[0]), Vec::<&str>::new());
    }
}
