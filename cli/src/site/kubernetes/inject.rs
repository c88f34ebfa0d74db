//! The helper's bytes for a node that cannot pull our image: which images of the node to send them into.

use super::manifest::Content;
use super::reason::Place;
use super::run::Run;
use crate::site::embedded;
use k8s_openapi::api::core::v1::{ContainerImage, Node as NodeObject};
use kube::Api;
use model::missing::Missing;

/// So many images of a node are tried.
const TRIES: usize = 3;
/// Images that are known to have no shell, by a part of their name.
const WITHOUT_SHELL: [&str; 8] = [
    "pause",
    "coredns",
    "etcd",
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "distroless",
    "metrics-server",
];
/// Images that are known to have one, by a part of their name.
const WITH_SHELL: [&str; 14] = [
    "busybox",
    "alpine",
    "debian",
    "ubuntu",
    "kube-proxy",
    "nginx",
    "redis",
    "postgres",
    "python",
    "node",
    "flannel",
    "calico",
    "cilium",
    "ingress",
];

/// The bytes for that node.
pub fn helper(arch: &str, place: Place<'_>) -> Result<&'static [u8], Missing> {
    embedded::helper_for(arch).ok_or_else(|| {
        place
            .missing(format!("this program carries no helper for {arch}"))
            .remedy("build it with `make build ARCHES='x86_64 aarch64'`, or name an image with --image")
    })
}

/// What to try on that node: the image that was named, or up to three that it has.
pub async fn contents(run: &Run, place: Place<'_>, named: &str, arch: &str) -> Result<Vec<Content>, Missing> {
    let bytes = helper(arch, place)?.len();
    let images = if named.is_empty() {
        let nodes: Api<NodeObject> = Api::all(run.cluster.client.clone());
        let node = run.cluster.ask(|| nodes.get(place.node)).await;
        let node = node.map_err(|refused| Missing {
            node: Some(place.node.to_owned()),
            ..refused.missing(place.missing("").what)
        })?;
        candidates(node.status.and_then(|status| status.images).unwrap_or_default())
    } else {
        vec![named.to_owned()]
    };
    if images.is_empty() {
        return Err(place
            .missing("the node tells of no image that might have a shell")
            .remedy("name one that is on it with --inject=IMAGE"));
    }
    let content = |image| Content::Injected { image, bytes };
    Ok(images.into_iter().map(content).collect())
}

/// The likeliest to have a shell first; then the largest, since small ones are often one program.
fn candidates(mut images: Vec<ContainerImage>) -> Vec<String> {
    let has = |name: &str, parts: &[&str]| parts.iter().any(|part| name.contains(part));
    let name = |image: &ContainerImage| {
        let names = image.names.iter().flatten();
        // A tag is what people know; a digest names the same image.
        names.min_by_key(|name| name.contains('@')).cloned()
    };
    images.sort_by_key(|image| std::cmp::Reverse(image.size_bytes));
    let mut named: Vec<String> = images
        .iter()
        .filter_map(name)
        .filter(|name| !has(name, &WITHOUT_SHELL))
        .collect();
    named.sort_by_key(|name| !has(name, &WITH_SHELL));
    named.truncate(TRIES);
    named
}

#[cfg(test)]
mod tests {
    use super::candidates;
    use k8s_openapi::api::core::v1::ContainerImage;

    #[test]
    fn images_with_a_shell_are_tried_first_and_those_without_never() {
        let image = |name: &str, size: i64| ContainerImage {
            names: Some(vec![format!("{name}@sha256:00"), format!("{name}:1")]),
            size_bytes: Some(size),
        };
        let images = vec![
            image("registry.k8s.io/pause", 1),
            image("shop/web", 900),
            image("docker.io/library/busybox", 4),
            image("shop/db", 300),
            image("shop/small", 2),
        ];
        assert_eq!(
            candidates(images),
            ["docker.io/library/busybox:1", "shop/web:1", "shop/db:1"]
        );
    }
}
