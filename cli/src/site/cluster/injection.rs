//! The helper's bytes for nodes that cannot pull our image: they are sent into the image that the user named.

use super::manifest::Content;
use super::pod_progress::HelperPlace;
use crate::site::embedded_helper;
use model::missing::Missing;

/// The bytes for that node.
pub fn helper(arch: &str, place: HelperPlace<'_>) -> Result<&'static [u8], Missing> {
    embedded_helper::helper_for(arch).ok_or_else(|| {
        place
            .missing(format!("this program carries no helper for {arch}"))
            .remedy("build it with `make build ARCHES='x86_64 aarch64'`, or name an image with --image")
    })
}

/// What is started there of this image. Never one that was not named: any tenant may have brought one onto the node.
pub fn content(place: HelperPlace<'_>, image: &str, arch: &str) -> Result<Content, Missing> {
    Ok(Content::Injected {
        image: image.to_owned(),
        bytes: helper(arch, place)?.len(),
    })
}
