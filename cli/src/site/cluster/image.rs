//! Names of images: which one is ours, what can be one, and whether it says by a digest which bytes it stands for. Pure.

/// The image of this version, made of the same helpers as those inside this program (`make image`). A release names it by
/// its digest, too (`make release`).
pub const OURS: &str = env!("SKOOP_IMAGE");

/// Longer is no name (a registry's name of 255 bytes, a path of 255, a tag of 128, a digest of 135).
const LONGEST: usize = 800;

/// A name of an image as the user writes it: it goes into manifests, messages and commands, so it holds nothing but what
/// names are made of (the distribution project's reference grammar).
pub fn parse(text: &str) -> Result<String, String> {
    let (name, digest) = text
        .split_once('@')
        .map_or((text, None), |(name, digest)| (name, Some(digest)));
    let good = |letter: char| letter.is_ascii_alphanumeric() || "._-/:".contains(letter);
    if name.is_empty()
        || text.len() > LONGEST
        || !name.starts_with(|first: char| first.is_ascii_alphanumeric())
        || !name.chars().all(good)
    {
        return Err("it is no image; write it as REGISTRY/NAME:TAG or REGISTRY/NAME@sha256:DIGEST".to_owned());
    }
    if digest.is_some_and(|digest| !is_digest(digest)) {
        return Err("its digest is none; write it as sha256: and 64 hexadecimal digits".to_owned());
    }
    Ok(text.to_owned())
}

/// The name says which bytes it stands for.
pub fn is_pinned(image: &str) -> bool {
    image.split_once('@').is_some_and(|(_, digest)| is_digest(digest))
}

/// An image by its digest, from what a kubelet calls it (`imageID` of a container's status); none where the node knows it
/// under no such name.
pub fn by_digest(image_id: &str) -> Option<String> {
    // Older kubelets write what they got it by before it (`docker-pullable://`).
    let name = image_id.rsplit_once("://").map_or(image_id, |(_, name)| name);
    parse(name).ok().filter(|name| is_pinned(name))
}

fn is_digest(text: &str) -> bool {
    text.strip_prefix("sha256:")
        .is_some_and(|hex| hex.len() == 64 && hex.bytes().all(|byte| matches!(byte, b'0'..=b'9' | b'a'..=b'f')))
}

#[cfg(test)]
mod tests {
    use super::{OURS, by_digest, is_pinned, parse};

    const DIGEST: &str = "sha256:0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";

    #[test]
    fn the_image_that_was_built_in_is_one() {
        assert_eq!(parse(OURS).as_deref(), Ok(OURS));
    }

    #[test]
    fn a_name_holds_nothing_that_a_shell_or_a_terminal_would_take_for_something_else() {
        for good in [
            "lab:1",
            "registry:5000/a/b-c_d:v1.2",
            &format!("ghcr.io/x/y:v1@{DIGEST}"),
        ] {
            assert_eq!(parse(good).as_deref(), Ok(good));
        }
        for bad in [
            "",
            " ",
            "a b",
            "a;b",
            "$(a)",
            "-a",
            "a\u{1b}[2J",
            "a\n",
            "a@sha256:12",
            "@sha256:12",
            "a`b`",
        ] {
            assert!(parse(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn an_image_of_a_node_is_named_by_its_digest_or_not_at_all() {
        let pinned = format!("registry.k8s.io/kube-proxy@{DIGEST}");
        assert_eq!(by_digest(&pinned), Some(pinned.clone()));
        assert_eq!(by_digest(&format!("docker-pullable://{pinned}")), Some(pinned.clone()));
        assert!(is_pinned(&pinned) && !is_pinned("registry.k8s.io/kube-proxy:v1"));
        for nameless in [
            DIGEST,
            "",
            "docker.io/library/busybox:1.36",
            "x\u{1b}]0;y\u{7}@sha256:00",
        ] {
            assert_eq!(by_digest(nameless), None, "{nameless:?}");
        }
    }
}
