//! The options by which a cluster's helpers are started.

use super::image;
use std::time::Duration;

/// The options by which helpers are started stand under this in the help.
pub const HEADING: &str = "Helpers on the nodes of a cluster";
/// Beyond the window there is this much time for starting, reading facts and going.
const BEYOND_WINDOW: Duration = Duration::from_mins(1);

/// When the kubelet pulls an image.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "PascalCase")]
pub enum PullPolicy {
    /// At every start
    Always,
    /// Only if it is not on the node yet
    IfNotPresent,
    /// Never; it must be on the node already
    Never,
}

impl PullPolicy {
    /// As the API writes it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Always => "Always",
            Self::IfNotPresent => "IfNotPresent",
            Self::Never => "Never",
        }
    }
}

/// How helpers get onto nodes.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(next_help_heading = HEADING)]
pub struct HelperOptions {
    /// Start helpers from this image [default: the image of this version]
    #[arg(long, value_name = "IMAGE", conflicts_with = "inject", value_parser = image::parse)]
    pub image: Option<String>,
    /// When the nodes pull the image
    #[arg(long, value_enum, value_name = "POLICY", conflicts_with = "inject")]
    pub image_pull_policy: Option<PullPolicy>,
    /// Pull the image with this secret of the helpers' namespace; may be repeated
    #[arg(long, value_name = "SECRET")]
    pub image_pull_secret: Vec<String>,
    /// Start helpers in this namespace [default: the current one]. Whoever may create or exec pods there is root on the nodes
    #[arg(long, value_name = "NAMESPACE")]
    pub helper_namespace: Option<String>,
    /// Start helpers privileged, for nodes where single capabilities are not enough
    #[arg(long)]
    pub privileged: bool,
    /// Copy the helper into this image. The image needs a shell, and should be on the nodes already (`doctor` lists some)
    #[arg(long, value_name = "IMAGE", require_equals = true, value_parser = image::parse)]
    pub inject: Option<String>,
    /// Start no helper. Answer only from what the API says
    #[arg(long, conflicts_with_all = ["image", "image_pull_policy", "image_pull_secret", "inject", "privileged", "dry_run"])]
    pub no_helper: bool,
    /// Print the manifests of the helpers, and start nothing
    #[arg(long)]
    pub dry_run: bool,
}

/// How helpers get a namespace of their own.
pub const OWN_NAMESPACE: &str = "`kubectl create namespace skoop`, `kubectl label namespace skoop pod-security.kubernetes.io/enforce=privileged`, then --helper-namespace skoop";

/// The tip for a bare `--inject`.
pub const NAME_IT: &str =
    "name the image to copy the helper into: --inject=IMAGE; `doctor` lists those of kube-system that the nodes have";

impl HelperOptions {
    /// The image that helpers start from.
    pub fn started(&self) -> &str {
        let named = self.inject.as_ref().or(self.image.as_ref());
        named.map_or(image::OURS, String::as_str)
    }
}

/// How long a helper may live on a node, in whole seconds.
pub fn lifetime(window: Duration) -> Duration {
    Duration::from_secs((window + BEYOND_WINDOW).as_secs_f64().ceil() as u64)
}

#[cfg(test)]
mod tests {
    use super::lifetime;
    use std::time::Duration;

    #[test]
    fn a_helper_outlives_its_window_by_a_minute() {
        assert_eq!(lifetime(Duration::from_millis(1_500)), Duration::from_secs(62));
    }
}
