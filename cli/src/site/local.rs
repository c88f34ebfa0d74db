//! This machine as one node: the helper is a child process, found embedded, named, or beside the client.

use super::embedded_helper::{self, Executable};
use crate::conversation::link::{HelperLink, MESSAGE_MAX_BYTES};
use crate::exit::WrongUsage;
use crate::inquiry::known_ends::KnownEnds;
use crate::inquiry::named_end::{NamedEnd, NamedPlace};
use crate::recording::Recorder;
use anyhow::{Context as _, Result, anyhow};
use model::endpoint::{Endpoint, EndpointKind};
use model::evidence::Intent;
use std::io::{BufRead as _, BufReader, Read as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

/// The helper's file name beside the client.
const BESIDE: &str = "node-helper";
/// Bytes of the helper's last messages that are kept, to be shown when it dies.
const LAST_WORDS_BYTES: usize = 2_000;
/// They are waited for this long after its last line.
const LAST_WORDS_WITHIN: Duration = Duration::from_millis(500);

/// How to start the helper here.
#[derive(Debug)]
pub struct Local {
    /// Use this one.
    pub helper: Option<PathBuf>,
    /// Show its messages.
    pub verbose: bool,
}

impl Local {
    /// Both ends as they were asked for; what they are is known to the helper. The one node has no name until then.
    pub fn ends(source: &NamedEnd, destination: &NamedEnd) -> KnownEnds {
        KnownEnds {
            source: asked(source),
            destination: asked(destination),
            nodes: vec![String::new()],
            ..KnownEnds::default()
        }
    }

    /// One end as it was asked for, and what kind it is.
    pub fn one_end(target: &NamedEnd, asked: Option<Intent>) -> Result<(Intent, KnownEnds)> {
        let source = self::asked(target);
        let intent = match (asked, source.kind) {
            (Some(Intent::Service | Intent::Namespace), _) => {
                return Err(WrongUsage::error(
                    "services and namespaces are a cluster's, and --local looks at this machine alone; leave --local out, or name a network namespace",
                ));
            }
            (Some(intent), _) => intent,
            (None, EndpointKind::Host) => Intent::Node,
            (None, _) => Intent::Pod,
        };
        let ends = KnownEnds {
            source,
            nodes: vec![String::new()],
            ..KnownEnds::default()
        };
        Ok((intent, ends))
    }

    /// Starts it; it waits for requests.
    pub fn start(&self, recorder: Option<Recorder>) -> Result<HelperLink> {
        let mut child = self.spawn()?;
        let (sender, receiver) = channel();
        if let Some(errors) = child.stderr.take() {
            let verbose = self.verbose;
            thread::spawn(move || {
                let mut words = String::new();
                let mut errors = BufReader::new(errors);
                let mut line = Vec::new();
                while let Ok(1..) = errors.by_ref().take(MESSAGE_MAX_BYTES).read_until(b'\n', &mut line) {
                    let line = String::from_utf8_lossy(&std::mem::take(&mut line))
                        .trim_end()
                        .to_owned();
                    if verbose {
                        crate::render::note(&format!("helper: {line}"));
                    }
                    if words.len() + line.len() < LAST_WORDS_BYTES {
                        words.push_str(&line);
                        words.push('\n');
                    }
                }
                let _ = sender.send(words);
            });
        }
        // A helper that has ended has closed both of its outputs, though not always in this order.
        let last_words = move || {
            receiver
                .recv_timeout(LAST_WORDS_WITHIN)
                .unwrap_or_default()
                .trim()
                .to_owned()
        };
        Ok(HelperLink::to_child(child, last_words, recorder))
    }

    fn spawn(&self) -> Result<Child> {
        if let Some(path) = &self.helper {
            return spawn(path).with_context(|| format!("starting the helper {}", path.display()));
        }
        if !cfg!(target_os = "linux") {
            return Err(anyhow!(
                "this machine is no Linux, so it cannot be looked at; run this on a Linux node"
            ));
        }
        if let Some(bytes) = embedded_helper::helper() {
            let executable = Executable::of(bytes).context("making the embedded helper executable")?;
            return match spawn(executable.path()) {
                Ok(child) => Ok(child),
                Err(error) => Err(error).context("starting the embedded helper (--helper PATH names another one)"),
            };
        }
        let beside = std::env::current_exe()
            .context("finding this program's own path")?
            .with_file_name(BESIDE);
        if !beside.is_file() {
            return Err(anyhow!(
                "no helper: none is built into this program and there is no {}; build with `make build`, or name one with --helper PATH",
                beside.display()
            ));
        }
        spawn(&beside).with_context(|| format!("starting the helper {}", beside.display()))
    }
}

/// On a machine there are no services, and every other question is whether one end reaches the other.
pub fn intent(asked: Option<Intent>) -> Result<Intent> {
    match asked {
        Some(Intent::Dns) => Ok(Intent::Dns),
        Some(Intent::PodToService) => Err(WrongUsage::error(
            "services are a cluster's, and --local looks at this machine alone; leave --local out, or ask pod-to-pod for the service's address",
        )),
        _ => Ok(Intent::PodToPod),
    }
}

fn asked(target: &NamedEnd) -> Endpoint {
    let asked = target.asked();
    let (kind, addresses) = match &target.place {
        NamedPlace::Address(address) => (EndpointKind::Address, vec![*address]),
        NamedPlace::Name(_) | NamedPlace::Object(_) => (EndpointKind::Name, Vec::new()),
        NamedPlace::Site(text) => (
            match text.split_once('/') {
                Some(("netns", _)) => EndpointKind::Netns,
                Some(("pid", _)) => EndpointKind::Pid,
                Some(("container", _)) => EndpointKind::Container,
                _ => EndpointKind::Host,
            },
            Vec::new(),
        ),
    };
    Endpoint {
        name: if kind == EndpointKind::Name {
            asked.clone()
        } else {
            String::new()
        },
        asked,
        kind,
        addresses,
        port: target.port,
        ..Endpoint::default()
    }
}

/// The namespaces that `ip netns` has names for, and the host.
pub fn endpoints() -> Vec<String> {
    let named = std::fs::read_dir("/run/netns").into_iter().flatten().flatten();
    let named = named.map(|entry| format!("netns/{}", entry.file_name().to_string_lossy()));
    named.chain(["host".to_owned()]).collect()
}

fn spawn(path: &Path) -> std::io::Result<Child> {
    let mut command = Command::new(path);
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    #[cfg(unix)]
    {
        use std::os::unix::process::CommandExt as _;
        // A Ctrl-C on the terminal is for the client, which then ends the helper in order.
        command.arg0(BESIDE).process_group(0);
    }
    command.spawn()
}
