//! Access to a cluster: a client made of kubectl's own options and files, read as kubectl reads them.

use super::refusal::Refusal;
use crate::exit::{NotThere, WrongUsage};
use crate::names;
use anyhow::{Result, anyhow};
use kube::client::AuthError;
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use std::path::PathBuf;
use std::time::Duration;

/// The options that say which cluster stand under this in the help.
pub const HEADING: &str = "Which cluster";
/// The name of the context where there is no kubeconfig and the client runs in a pod.
pub const IN_CLUSTER: &str = "in-cluster";
/// An API server that is well answers within this time; `--request-timeout` says otherwise.
const PATIENCE: Duration = Duration::from_secs(10);
/// `--request-timeout 0` means without end, as in kubectl: longer than any run.
const WITHOUT_END: Duration = Duration::from_hours(24);
/// An API server that takes no connection within this time is not there.
const CONNECT: Duration = Duration::from_secs(5);
/// A call that the API server asks to repeat is made this often in all.
const TRIES: u32 = 3;
/// The wait before the next try, where the API server names none.
const AGAIN: Duration = Duration::from_millis(250);

/// Which cluster, and as whom: as in kubectl
#[derive(Clone, Debug, Default, PartialEq, Eq, clap::Args)]
#[command(next_help_heading = HEADING)]
pub struct Access {
    /// Use this kubeconfig file [default: $KUBECONFIG, else ~/.kube/config]
    #[arg(long, global = true, value_name = "FILE", display_order = 800)]
    kubeconfig: Option<PathBuf>,
    /// Use this context of the kubeconfig
    #[arg(long, global = true, value_name = "NAME", display_order = 801)]
    context: Option<String>,
    /// Use this cluster of the kubeconfig
    #[arg(long, global = true, value_name = "NAME", display_order = 802)]
    cluster: Option<String>,
    /// Use this user of the kubeconfig
    #[arg(long, global = true, value_name = "NAME", display_order = 803)]
    user: Option<String>,
    /// Use this namespace for names that have none [default: the context's]
    #[arg(short, long, global = true, value_name = "NAME", display_order = 804)]
    namespace: Option<String>,
    /// Act as this user
    #[arg(long = "as", global = true, value_name = "USER", display_order = 805)]
    impersonate: Option<String>,
    /// Act as this group too; may be repeated
    #[arg(long = "as-group", global = true, value_name = "GROUP", display_order = 806)]
    groups: Vec<String>,
    /// Give up a call to the API server after this time; 0 waits without limit [default: 10s]
    #[arg(long, global = true, value_name = "TIME", value_parser = request_timeout, display_order = 807)]
    request_timeout: Option<Duration>,
}

/// A kind of entries of a kubeconfig.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KubeconfigEntry {
    /// Contexts.
    Context,
    /// Clusters.
    Cluster,
    /// Users.
    User,
}

/// A cluster that can be asked.
#[derive(Clone)]
pub struct ClusterApi {
    /// Its client. It does not repeat calls by itself.
    pub client: Client,
    /// The context's name; [`IN_CLUSTER`] where there is no kubeconfig.
    pub context: String,
    /// The namespace of names that have none.
    pub namespace: String,
    /// How long one call may take.
    pub patience: Duration,
}

impl std::fmt::Debug for ClusterApi {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Cluster")
            .field("context", &self.context)
            .field("namespace", &self.namespace)
            .finish_non_exhaustive()
    }
}

impl Access {
    /// The first of these options that was given: they are for a cluster alone.
    #[must_use]
    pub fn given(&self) -> Option<&'static str> {
        let given = [
            (self.kubeconfig.is_some(), "--kubeconfig"),
            (self.context.is_some(), "--context"),
            (self.cluster.is_some(), "--cluster"),
            (self.user.is_some(), "--user"),
            (self.namespace.is_some(), "--namespace"),
            (self.impersonate.is_some(), "--as"),
            (!self.groups.is_empty(), "--as-group"),
            (self.request_timeout.is_some(), "--request-timeout"),
        ];
        given.into_iter().find_map(|(given, option)| given.then_some(option))
    }

    /// Names of the entries there are; none where there is no kubeconfig that can be read.
    #[must_use]
    pub fn entries(&self, entry: KubeconfigEntry) -> Vec<String> {
        let Ok(Some(kubeconfig)) = self.kubeconfig() else {
            return Vec::new();
        };
        match entry {
            KubeconfigEntry::Context => kubeconfig.contexts.into_iter().map(|context| context.name).collect(),
            KubeconfigEntry::Cluster => kubeconfig.clusters.into_iter().map(|cluster| cluster.name).collect(),
            KubeconfigEntry::User => kubeconfig.auth_infos.into_iter().map(|user| user.name).collect(),
        }
    }

    /// The client of the cluster that is meant. Nothing is asked of it yet.
    pub async fn connect(&self) -> Result<ClusterApi> {
        if !self.groups.is_empty() && self.impersonate.is_none() {
            return Err(WrongUsage::error(
                "--as-group acts as a member of a group, and nobody is named; say who with --as USER",
            ));
        }
        let (mut config, context) = match self.kubeconfig()? {
            Some(kubeconfig) => {
                let context = self.check(&kubeconfig)?;
                let options = KubeConfigOptions {
                    context: Some(context.clone()),
                    cluster: self.cluster.clone(),
                    user: self.user.clone(),
                };
                let config = Config::from_custom_kubeconfig(kubeconfig, &options)
                    .await
                    .map_err(|error| NotThere::error(format!("context `{context}` of the kubeconfig: {error}")))?;
                (config, context)
            }
            None => (self.in_cluster()?, IN_CLUSTER.to_owned()),
        };
        if let Some(user) = &self.impersonate {
            config.auth_info.impersonate = Some(user.clone());
            config.auth_info.impersonate_groups = Some(self.groups.clone()).filter(|groups| !groups.is_empty());
        }
        config.connect_timeout = Some(CONNECT);
        // `ask` reports the reason of a refusal, and how often a call is repeated is bounded.
        config.default_retry = false;
        let namespace = self
            .namespace
            .clone()
            .unwrap_or_else(|| config.default_namespace.clone());
        config.default_namespace.clone_from(&namespace);
        let program = config.auth_info.exec.as_ref().and_then(|exec| exec.command.clone());
        let client =
            Client::try_from(config).map_err(|error| credentials(&error, &context, &program.unwrap_or_default()))?;
        Ok(ClusterApi {
            client,
            context,
            namespace,
            patience: self.request_timeout.unwrap_or(PATIENCE),
        })
    }

    /// The merged kubeconfig; none where no file is named and the default one is not there.
    fn kubeconfig(&self) -> Result<Option<Kubeconfig>> {
        if let Some(path) = &self.kubeconfig {
            return read(path.clone()).map(Some);
        }
        let named: Vec<PathBuf> = std::env::var_os("KUBECONFIG")
            .map(|value| std::env::split_paths(&value).collect())
            .unwrap_or_default();
        let named: Vec<PathBuf> = named.into_iter().filter(|path| !path.as_os_str().is_empty()).collect();
        if named.is_empty() {
            let default = std::env::home_dir().map(|home| home.join(".kube").join("config"));
            return default.filter(|path| path.exists()).map(read).transpose();
        }
        // As in kubectl, a file of the list that is not there is passed over; one of them must be.
        let there: Vec<PathBuf> = named.iter().filter(|path| path.exists()).cloned().collect();
        if there.is_empty() {
            let files: Vec<String> = named.iter().map(|path| path.display().to_string()).collect();
            return Err(NotThere::error(format!(
                "KUBECONFIG names {}, which is not there; correct it, or unset it to use ~/.kube/config",
                files.join(", ")
            )));
        }
        let mut merged = Kubeconfig::default();
        for path in there {
            let shown = path.display().to_string();
            merged = merged
                .merge(read(path)?)
                .map_err(|error| NotThere::error(format!("merging the kubeconfig {shown}: {error}")))?;
        }
        Ok(Some(merged))
    }

    /// The context that is meant, when all that it needs is there.
    fn check(&self, kubeconfig: &Kubeconfig) -> Result<String> {
        let contexts = || kubeconfig.contexts.iter().map(|context| context.name.as_str());
        let name = match (&self.context, &kubeconfig.current_context) {
            (Some(name), _) => name,
            (None, Some(name)) if !name.is_empty() => name,
            _ => {
                return Err(NotThere::error(format!(
                    "the kubeconfig has no current context; name one with --context{}",
                    listed("contexts", contexts())
                )));
            }
        };
        let context = kubeconfig
            .contexts
            .iter()
            .find(|context| &context.name == name)
            .and_then(|context| context.context.as_ref())
            .ok_or_else(|| unknown("context", name, contexts()))?;
        let clusters = || kubeconfig.clusters.iter().map(|cluster| cluster.name.as_str());
        let cluster = self.cluster.as_ref().unwrap_or(&context.cluster);
        if !clusters().any(|known| known == cluster) {
            return Err(unknown("cluster", cluster, clusters()));
        }
        let users = || kubeconfig.auth_infos.iter().map(|user| user.name.as_str());
        if let Some(user) = self
            .user
            .as_ref()
            .or(context.user.as_ref())
            .filter(|user| !user.is_empty())
            && !users().any(|known| known == user)
        {
            return Err(unknown("user", user, users()));
        }
        Ok(name.clone())
    }

    /// The configuration that a pod is given.
    fn in_cluster(&self) -> Result<Config> {
        let named = [
            (&self.context, "--context"),
            (&self.cluster, "--cluster"),
            (&self.user, "--user"),
        ];
        if let Some((name, option)) = named.into_iter().find(|(name, _)| name.is_some()) {
            return Err(NotThere::error(format!(
                "{option} {} names an entry of a kubeconfig, and there is none; name the file with --kubeconfig FILE",
                name.as_deref().unwrap_or_default()
            )));
        }
        Config::incluster().map_err(|_| {
            NotThere::error(
                "no kubeconfig: ~/.kube/config is not there, and this is no pod of a cluster; name one with --kubeconfig FILE or KUBECONFIG, or look at this machine with --local",
            )
        })
    }
}

impl ClusterApi {
    /// Makes a call within its time; what the API server only puts off is tried again.
    pub async fn ask<T, F>(&self, call: impl Fn() -> F) -> Result<T, Refusal>
    where
        F: Future<Output = kube::Result<T>>,
    {
        let tries = async {
            let mut tried = 1;
            loop {
                match call().await {
                    Err(kube::Error::Api(status)) if tried < TRIES && matches!(status.code, 429 | 503 | 504) => {
                        let named = status.details.as_ref().map(|details| details.retry_after_seconds);
                        let wait = named.filter(|seconds| *seconds > 0);
                        tokio::time::sleep(wait.map_or(AGAIN * tried, |wait| Duration::from_secs(wait.into()))).await;
                        tried += 1;
                    }
                    other => return other.map_err(|error| Refusal::of(&error, &self.context)),
                }
            }
        };
        let patience = if self.patience.is_zero() {
            WITHOUT_END
        } else {
            self.patience
        };
        match tokio::time::timeout(patience, tries).await {
            Ok(answer) => answer,
            Err(_) => Err(Refusal::slow(&self.context, patience)),
        }
    }
}

fn read(path: PathBuf) -> Result<Kubeconfig> {
    let shown = path.display().to_string();
    let text = std::fs::read(&path).map_err(|error| {
        NotThere::error(format!(
            "reading the kubeconfig {shown}: {error}; name another with --kubeconfig FILE"
        ))
    })?;
    if text.iter().all(u8::is_ascii_whitespace) {
        return Err(NotThere::error(format!(
            "the kubeconfig {shown} is empty; name another with --kubeconfig FILE"
        )));
    }
    Kubeconfig::read_from(path).map_err(|error| {
        let says = error.to_string();
        let first = says.lines().next().unwrap_or_default().to_owned();
        NotThere::error(format!("reading the kubeconfig {shown}: {first}"))
    })
}

fn unknown<'a>(what: &str, name: &str, known: impl Iterator<Item = &'a str> + Clone) -> anyhow::Error {
    NotThere::error(format!(
        "the kubeconfig has no {what} `{name}`{}{}",
        names::hint(name, known.clone()),
        listed(&format!("{what}s"), known)
    ))
}

fn listed<'a>(what: &str, known: impl Iterator<Item = &'a str>) -> String {
    const SHOWN: usize = 8;
    let mut known: Vec<&str> = known.collect();
    let more = if known.len() > SHOWN { ", ..." } else { "" };
    known.truncate(SHOWN);
    if known.is_empty() {
        return String::new();
    }
    format!(" ({what}: {}{more})", known.join(", "))
}

/// Why the credentials could not be had: a program that failed, a file that is not there.
fn credentials(error: &kube::Error, context: &str, program: &str) -> anyhow::Error {
    let failed = match error {
        kube::Error::Auth(AuthError::AuthExecRun { out, .. }) => {
            let says = String::from_utf8_lossy(&out.stderr);
            Some(format!("failed ({}): {}", out.status, says.trim()))
        }
        kube::Error::Auth(AuthError::AuthExecStart(error)) => Some(format!("cannot be started: {error}")),
        _ => None,
    };
    if let Some(failed) = failed {
        return anyhow!(
            "the program `{program}` that gives the credentials of context `{context}` {failed}; log in as it wants, until `kubectl version` answers"
        );
    }
    let mut says = error.to_string();
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        if !says.contains(&cause.to_string()) {
            says = format!("{says}: {cause}");
        }
        source = cause.source();
    }
    NotThere::error(format!("context `{context}` of the kubeconfig: {says}"))
}

/// As kubectl has it: a length of time, or a number of seconds.
fn request_timeout(text: &str) -> Result<Duration, String> {
    if let Ok(seconds) = text.parse::<u64>() {
        return Ok(Duration::from_secs(seconds));
    }
    humantime::parse_duration(text).map_err(|_| format!("`{text}` is no length of time; write it as 10s, 1m or 0"))
}
