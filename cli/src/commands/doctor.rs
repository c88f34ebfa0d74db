//! `doctor`: what is missing before a helper can start on a cluster, each with the command that mends it; and its network plug-in.

use super::plugin_findings::{self, NetworkRead};
use super::site_options::block_on;
use super::{CliCommand, CommandContext, node_findings};
use crate::conversation::session::Session;
use crate::exit::Exit;
use crate::interrupt::Interrupt;
use crate::kubernetes::agent_pods::agent_sets;
use crate::kubernetes::calls::ApiGroups;
use crate::kubernetes::cluster::ClusterApi;
use crate::kubernetes::list::few_at_once;
use crate::kubernetes::other_policies::served;
use crate::kubernetes::refusal::Refusal;
use crate::kubernetes::rights::{self, Right, RightScope};
use crate::names;
use crate::render::progress::ProgressLine;
use crate::render::{self, CheckResult};
use crate::site::cluster::image::is_pinned;
use crate::site::cluster::injectable_images::{InjectableImages, OF_THE_CLUSTER, suggest};
use crate::site::cluster::{HelperOptions, Helpers, OWN_NAMESPACE, unfit};
use anyhow::Result;
use clap::Args;
use diagnoses::words::shell;
use futures_util::future::join_all;
use k8s_openapi::jiff::Timestamp;
use model::inventory::Node;
use model::missing::Missing;
use std::time::Duration;

/// A trial needs no window.
const WINDOW: Duration = Duration::from_secs(10);
/// Images that are suggested, at most.
const SUGGESTED: usize = 12;
/// The oldest API that has all that is used: `EndpointSlice` conditions and Job TTL are older, `events` by field stable since.
const OLDEST: (u32, u32) = (1, 28);
/// The label by which a namespace says which pods it admits.
const ENFORCE: &str = "pod-security.kubernetes.io/enforce";

/// Check whether helpers can start on the cluster, and say what is missing; name its network plug-in and the state of its agents
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  kubectl skoop doctor
  # Start one helper, and remove it again
  kubectl skoop doctor --try
  kubectl skoop doctor --try --node n1 --node n2 --helper-namespace tools")]
pub struct Doctor {
    /// Start a helper, wait for its answer, and remove it
    #[arg(long = "try")]
    try_one: bool,
    /// Check this node; may be repeated [default: all nodes; --try uses the first one that can run a helper]
    #[arg(long, value_name = "NAME")]
    node: Vec<String>,
    /// Show the helper's own messages on stderr
    #[arg(short, long)]
    verbose: bool,
    #[command(flatten)]
    options: HelperOptions,
}

impl CliCommand for Doctor {
    const NAME: &'static str = "doctor";

    fn run(self, context: &CommandContext) -> Result<Exit> {
        let findings = block_on(self.check(context))?;
        let fine = findings.iter().all(|finding| finding.missing.is_none());
        render::findings(&findings, context.colour)?;
        Ok(if fine { Exit::Fine } else { Exit::Inconclusive })
    }
}

impl Doctor {
    async fn check(self, context: &CommandContext) -> Result<Vec<CheckResult>> {
        let cluster = context.access.connect().await?;
        let mut findings = vec![server(&cluster).await?];
        let interrupt = Interrupt::listen();
        let helpers = Helpers::new(
            cluster.clone(),
            self.options.clone(),
            WINDOW,
            self.verbose,
            interrupt.clone(),
        );
        let groups = cluster.groups().await;
        let kinds = async {
            match &groups {
                Ok(groups) => served(&cluster, groups).await,
                Err(refused) => Err(refused.clone()),
            }
        };
        let (rights, admission, namespace, nodes, suggested, sets, kinds) = tokio::join!(
            rights(&cluster, helpers.namespace()),
            admission(&helpers),
            enforced(&cluster, helpers.namespace()),
            self.nodes(&cluster, groups.as_ref().ok()),
            suggest(&cluster, &self.node),
            agent_sets(&cluster),
            kinds,
        );
        findings.extend(rights);
        findings.extend(namespace);
        findings.push(powers(helpers.namespace()));
        findings.push(admission);
        findings.push(image(self.options.started()));
        findings.extend(node_findings::nodes(&nodes));
        findings.extend(plugin_findings::plugins(&NetworkRead {
            nodes: nodes.iter().filter_map(|(_, node)| node.as_ref().ok()).collect(),
            groups: groups.as_ref().ok(),
            sets,
            kinds,
        }));
        findings.push(suggestions(suggested));
        if self.try_one {
            let tried = self.to_try(&nodes);
            findings.extend(try_on(&helpers, &tried, interrupt).await);
        }
        Ok(findings)
    }

    /// The nodes in question: those that were named, or all.
    async fn nodes(&self, cluster: &ClusterApi, groups: Option<&ApiGroups>) -> Vec<(String, Result<Node, Missing>)> {
        let what = "the nodes";
        let now = groups.and_then(|groups| groups.now);
        if !self.node.is_empty() {
            let read = self
                .node
                .iter()
                .map(|name| async move { tokio::join!(cluster.node(name), cluster.renewed(name)) });
            let read = few_at_once(read).await;
            let named = self.node.iter().zip(read).map(|(name, (node, renewed))| {
                let node = match node {
                    Ok(Some(node)) => Ok(aged(node, renewed.ok().flatten(), now)),
                    Ok(None) => {
                        Err(Missing::new(name, "there is no node of this name").remedy("see `kubectl get nodes`"))
                    }
                    Err(refused) => Err(refused.missing(what)),
                };
                (name.clone(), node)
            });
            return named.collect();
        }
        // Where Leases may not be listed, that stands among the permissions.
        let (nodes, renewed) = tokio::join!(cluster.every_node(), cluster.every_renewal());
        let renewed = renewed.unwrap_or_default();
        match nodes {
            Err(refused) => vec![(what.to_owned(), Err(refused.missing(what)))],
            Ok(nodes) => nodes
                .into_iter()
                .map(|node| {
                    let renewed = renewed.get(&node.name).copied();
                    (node.name.clone(), Ok(aged(node, renewed, now)))
                })
                .collect(),
        }
    }

    /// Where a helper is tried: where it was asked for, else on the first node that can bear one.
    fn to_try(&self, nodes: &[(String, Result<Node, Missing>)]) -> Vec<(String, Option<Node>)> {
        let known = nodes
            .iter()
            .filter_map(|(name, node)| Some((name.clone(), Some(node.clone().ok()?))));
        if self.node.is_empty() {
            let fit = |node: &Option<Node>| node.as_ref().is_some_and(|node| unfit(node).is_ok());
            known.filter(|(_, node)| fit(node)).take(1).collect()
        } else {
            known.collect()
        }
    }
}

/// With the age of its Lease, where both clocks are known.
fn aged(node: Node, renewed: Option<Timestamp>, now: Option<Timestamp>) -> Node {
    let age = renewed.zip(now).map(|(renewed, now)| now.duration_since(renewed));
    Node {
        lease_age_s: age.map(|age| age.as_secs().max(0) as u64),
        ..node
    }
}

/// Whether it answers, and is new enough.
async fn server(cluster: &ClusterApi) -> Result<CheckResult> {
    let version = cluster.ask(|| cluster.client.apiserver_version()).await;
    let version = version.map_err(|refused| refused.fatal("asking the API server for its version"))?;
    let what = format!("the API server of {} is {}", cluster.context, version.git_version);
    // Providers write a minor version as `28+`.
    let number = |text: &str| {
        text.trim_end_matches(|c: char| !c.is_ascii_digit())
            .parse::<u32>()
            .unwrap_or(0)
    };
    let is = (number(&version.major), number(&version.minor));
    if is == (0, 0) || is >= OLDEST {
        return Ok(CheckResult::fine(what));
    }
    let why = format!("versions before {}.{} are not supported", OLDEST.0, OLDEST.1);
    Ok(CheckResult::missing(
        what,
        Missing::new("a newer API", why).remedy("upgrade the cluster"),
    ))
}

/// Each right that is needed, asked for by verb.
async fn rights(cluster: &ClusterApi, namespace: &str) -> Vec<CheckResult> {
    let rights = rights::all();
    let asked = rights.iter().map(|right| {
        let namespace = (right.scope == RightScope::Helpers).then_some(namespace);
        let verbs = right.verbs.iter().map(move |verb| cluster.may(right, verb, namespace));
        join_all(verbs)
    });
    let answers = join_all(asked).await;
    let mut fine = Vec::new();
    let mut missing = Vec::new();
    for (right, answers) in rights.iter().zip(answers) {
        let lacking: Vec<&str> = right
            .verbs
            .iter()
            .zip(&answers)
            .filter_map(|(verb, may)| (!matches!(may, Ok(true))).then_some(*verb))
            .collect();
        match answers.into_iter().find_map(Result::err) {
            Some(refused) => missing.push(CheckResult::missing(permission(right, namespace), refused.missing(""))),
            None if lacking.is_empty() || one_will_do(right, &lacking) => fine.push(right),
            None => missing.push(CheckResult::missing(
                permission(right, namespace),
                Missing::new(
                    "",
                    format!("not permitted: {}; it is needed for: {}", lacking.join(", "), right.why),
                )
                .remedy(granted_by(right, namespace)),
            )),
        }
    }
    if !fine.is_empty() {
        let verbs: usize = fine.iter().map(|right| right.verbs.len()).sum();
        let all = if missing.is_empty() { "all " } else { "" };
        missing.insert(
            0,
            CheckResult::fine(format!("{all}{verbs} permissions that are needed are there")),
        );
    }
    missing
}

/// `pods/attach` is another verb before 1.35 than after.
fn one_will_do(right: &Right, lacking: &[&str]) -> bool {
    right.resource == "pods/attach" && lacking.len() < right.verbs.len()
}

fn permission(right: &Right, namespace: &str) -> String {
    match right.scope {
        RightScope::Helpers => format!("permission to {right} in namespace {namespace}"),
        RightScope::Cluster => format!("permission to {right} in the cluster"),
    }
}

fn granted_by(right: &Right, namespace: &str) -> String {
    match right.scope {
        RightScope::Helpers => {
            let apply = shell::said("kubectl apply -f helpers.yaml -n {}", &[&namespace]);
            let bind = shell::said(
                "kubectl create rolebinding skoop-helpers --role=skoop-helpers --user=YOU -n {}",
                &[&namespace],
            );
            format!("an administrator applies deploy/rbac/helpers.yaml: {apply}, then {bind}")
        }
        RightScope::Cluster => "an administrator applies deploy/rbac/reader.yaml: kubectl apply -f reader.yaml; kubectl create clusterrolebinding skoop-reader --clusterrole=skoop-reader --user=YOU".to_owned(),
    }
}

/// Whether the real manifest would be admitted.
async fn admission(helpers: &Helpers) -> CheckResult {
    let what = format!("a helper's Job is admitted in namespace {}", helpers.namespace());
    match helpers.would_admit().await {
        Ok(()) => CheckResult::fine(what),
        Err(missing) => CheckResult::missing(what, missing),
    }
}

/// What the namespace's label says of privileged pods. Labels that may not be read stand among the permissions.
async fn enforced(cluster: &ClusterApi, namespace: &str) -> Option<CheckResult> {
    let found = cluster.namespace(namespace).await.ok()?;
    let level = found?.labels.get(ENFORCE).cloned();
    let what = format!("namespace {namespace} admits privileged pods");
    match level.as_deref() {
        Some(level @ ("baseline" | "restricted")) => Some(CheckResult::missing(
            what,
            Missing::new("", format!("its label {ENFORCE} is {level}")).remedy(OWN_NAMESPACE),
        )),
        _ => Some(CheckResult::fine(what)),
    }
}

/// Who else has what helpers have.
fn powers(namespace: &str) -> CheckResult {
    CheckResult::fine(format!("helpers start in namespace {namespace}")).beside(
        "note",
        vec![format!(
            "whoever may create or exec pods there is root on the nodes, at least while a helper runs; to keep others out: {OWN_NAMESPACE}"
        )],
    )
}

/// What helpers are started from.
fn image(image: &str) -> CheckResult {
    let what = format!("helpers start from {image}");
    if is_pinned(image) {
        return CheckResult::fine(what);
    }
    let says = "a tag can come to mean another image, in the registry or by loading one onto a node; --image NAME@sha256:DIGEST always means the same image";
    CheckResult::fine(what).beside("note", vec![says.to_owned()])
}

/// What could be named to `--inject`.
fn suggestions(suggested: Result<InjectableImages, Refusal>) -> CheckResult {
    let what = format!(
        "images of pods of {OF_THE_CLUSTER}, for --inject=IMAGE if you can get no other image; not tried, and the image needs a shell"
    );
    match suggested {
        // What may not be read stands among the permissions.
        Err(refused) => CheckResult::fine(what).beside("note", vec![format!("could not be looked for: {refused}")]),
        Ok(suggested) => {
            let more = suggested.more;
            let images = suggested.images();
            let left_out = images.len().saturating_sub(SUGGESTED);
            let line = |(image, nodes): &(String, Vec<String>)| format!("{image}, on {}", names::some(nodes));
            let mut lines: Vec<String> = images.iter().take(SUGGESTED).map(line).collect();
            if left_out > 0 {
                lines.push(format!("and {left_out} more"));
            }
            if more {
                lines.push("there are more pods than were looked at".to_owned());
            }
            if images.is_empty() {
                lines.push("none of them is known by a digest".to_owned());
            }
            CheckResult::fine(what).beside("images", lines)
        }
    }
}

/// Starts helpers, and reports how each greets.
async fn try_on(helpers: &Helpers, nodes: &[(String, Option<Node>)], interrupt: Interrupt) -> Vec<CheckResult> {
    if nodes.is_empty() {
        let missing = Missing::new("", "no node can run one now").remedy("see the nodes above");
        return vec![CheckResult::missing("a helper on some node", missing)];
    }
    let links = helpers.start(nodes, None);
    let mut session = Session::begin(links, interrupt, ProgressLine::new());
    // Why one did not answer stands in its finding.
    let _ = session.hello().await;
    session.dismiss().await;
    session.progress.clear();
    let state = &session.state;
    let results = state.nodes.iter().zip(&state.evidence.nodes).map(|(helper, node)| {
        let what = format!("a helper on {}", node.name);
        match &helper.hello {
            Some(hello) if node.truncated.is_none() => CheckResult::fine(format!(
                "{what} answers: kernel {}, {}, boot {}, {} of {} probes",
                hello.kernel,
                hello.arch,
                hello.boot_id,
                hello.probes.iter().filter(|probe| probe.unsupported.is_none()).count(),
                hello.probes.len()
            )),
            _ => CheckResult::missing(what, node.truncated.clone().unwrap_or_default()),
        }
    });
    results.collect()
}
