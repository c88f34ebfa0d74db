//! The real program with a helper that says what a test wants to be said.
#![allow(dead_code, reason = "each test file uses what it needs")]
#![allow(
    clippy::unwrap_used,
    clippy::format_push_string,
    clippy::print_stdout,
    reason = "this is a test's"
)]

use rcgen::{Certificate, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivateKeyDer;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::Arc;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// What a helper says that may look at everything.
pub const HELLO: &str = r#"{"hello":{"version":1,"node":"n1","kernel":"6.18.0","arch":"x86_64","boot_id":"b",
    "monotonic_ns":1000000000,"boottime_ns":1000000000,"wall_ns":1700000000000000000,
    "capabilities":["CAP_SYS_ADMIN","CAP_NET_ADMIN","CAP_BPF"],
    "probes":[{"name":"drop","about":"packets the kernel throws away","cost":"little","hooks":["raw_tp:kfree_skb"]},
              {"name":"tcpreset","about":"resets","cost":"little","hooks":["raw_tp:tcp_send_reset"]}]}}"#;

/// A namespace called a.
pub const A: &str = r#"{"resolved":{"known":{"asked":"netns/a","kind":"netns","node":"n1","netns":7,"name":"netns/a",
    "addresses":["10.0.0.1"]}}}"#;

/// Both probes are attached.
pub const ARMED: &str =
    r#"{"armed":{"id":$id,"probes":[{"name":"drop","hooks":["raw_tp:kfree_skb"]},{"name":"tcpreset"}]}}"#;

/// The window is open.
pub const GOING: &str = r#"{"going":{"id":$id,"at_ns":1000000000}}"#;

/// The window is closed.
pub const STOPPED: &str = r#"{"stopped":{"id":$id,"at_ns":2000000000,"events":$events,"lost":[],
    "totals":[{"probe":"drop","netns":7,"what":"drop NETFILTER_DROP nft_do_chain","count":41}],"bpf":{"runs":41,"ns":9000}}}"#;

/// A drop was seen.
pub const DROP: &str = r#"{"event":{"at_ns":1500000000,"probe":"drop","netns":7,"ifindex":2,"interface":"eth0",
    "flow":{"src":"10.0.0.1","sport":41234,"dst":"10.0.0.2","dport":80,"protocol":"tcp"},
    "seen":{"what":"drop","reason":"NETFILTER_DROP","location":"nft_do_chain","state":"UNKNOWN"}}}"#;

/// What a socket had not sent when it was closed: no loss.
pub const PURGED: &str = r#"{"event":{"at_ns":1400000000,"probe":"drop","netns":7,
    "flow":{"src":"10.0.0.1","sport":41234,"dst":"10.0.0.2","dport":80,"protocol":"tcp"},
    "seen":{"what":"drop","reason":"QUEUE_PURGE","location":"sk_stream_kill_queues","state":"UNKNOWN"}}}"#;

/// The last line.
pub const DONE: &str = r#"{"done":{"events":$events,"lost":0,"exit":0,"skipped":0}}"#;

/// How a helper of ours numbers and counts what it says.
const SPEAKING: &str = r#"#!/bin/sh
seq=0 words=
say() {
    seq=$((seq + 1)) word=${1#\{} said=
    word=${word#\"} word=${word%%\"*}
    case $word in read | stopped | done)
        for one in $words; do eval "said=\"\$said,\\\"$one\\\":\$n_$one\""; done
        said=",\"said\":{${said#,}}"
    esac
    printf '{"seq":%d,"say":%s%s}\n' $seq "$1" "$said"
    eval "count=\${n_$word:-0}"
    [ $count != 0 ] || words="$words $word"
    eval "n_$word=$((count + 1))"
}
while IFS= read -r line; do
id=${line#*\"id\":} id=${id%%[,\}]*}
case $line in
"#;

/// A helper that answers each request by name with these words; `$id` stands for the request's number, `$events` for how many
/// events it has said. It counts its lines as a helper does. An answer that starts with `!` is a shell command.
pub struct Fake {
    folder: TempDir,
}

impl Fake {
    pub fn new(answers: &[(&str, &[&str])]) -> Self {
        let mut script = SPEAKING.to_owned();
        for (request, words) in answers {
            script += &format!("*'\"say\":'*'\"{request}\"'*)\n");
            for word in *words {
                if let Some(command) = word.strip_prefix('!') {
                    script += &format!("{command}\n");
                } else {
                    let word = word
                        .replace('\n', " ")
                        .replace("$id", "'\"$id\"'")
                        .replace("$events", "'\"${n_event:-0}\"'");
                    script += &format!("say '{word}'\n");
                }
            }
            script += ";;\n";
        }
        script += "esac\ndone\n";
        let folder = TempDir::new().unwrap();
        let fake = Self { folder };
        std::fs::write(fake.path(), script).unwrap();
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            std::fs::set_permissions(fake.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
        }
        fake
    }

    /// One that captures well: a drop is seen as soon as the window opens.
    pub fn capturing() -> Self {
        Self::new(&[
            ("hello", &[HELLO]),
            ("resolve", &[A]),
            ("arm", &[ARMED]),
            ("go", &[GOING, DROP]),
            ("stop", &[STOPPED]),
            ("bye", &[DONE, "!exit 0"]),
        ])
    }

    fn path(&self) -> PathBuf {
        self.folder.path().join("helper")
    }

    /// The program with this helper.
    pub fn skoop(&self, arguments: &str) -> Command {
        let mut command = skoop(arguments);
        command.args(["--local", "--helper"]).arg(self.path());
        command
    }

    /// Runs it to its end.
    pub fn run(&self, arguments: &str) -> Run {
        Run::of(self.skoop(arguments).output().unwrap())
    }
}

/// The program alone.
pub fn skoop(arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-skoop"));
    command
        .args(arguments.split_whitespace())
        .stdin(Stdio::null())
        .env("NO_COLOR", "1");
    command
}

/// The program with a helper, or the reason why there is none to try.
fn program_with_helper() -> Result<PathBuf, String> {
    let root = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    if !root.lines().any(|line| line.starts_with("Uid:\t0\t0")) {
        return Err("not root".to_owned());
    }
    let own = Path::new(env!("CARGO_BIN_EXE_kubectl-skoop"));
    match std::env::var_os("SKOOP_BIN").map(PathBuf::from) {
        Some(built) if built.is_file() => Ok(built),
        _ if own.with_file_name("node-helper").is_file() => Ok(own.to_owned()),
        _ => Err("no client with a helper: run `make build`, or `cargo build -p node-helper`".to_owned()),
    }
}

/// The program's command line, or `None` after saying why this cannot be tried here.
pub fn with_helper(arguments: &str) -> Option<Command> {
    match program_with_helper() {
        Ok(program) => {
            let mut command = Command::new(program);
            command
                .args(arguments.split_whitespace())
                .stdin(Stdio::null())
                .env("NO_COLOR", "1");
            Some(command)
        }
        Err(why) => {
            println!("skipped: {why}");
            None
        }
    }
}

/// What a run gave.
#[derive(Debug)]
pub struct Run {
    pub code: Option<i32>,
    pub out: String,
    pub err: String,
}

impl Run {
    pub fn of(output: Output) -> Self {
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
        Self {
            code: output.status.code(),
            out: text(output.stdout),
            err: text(output.stderr),
        }
    }

    /// It ended with this code and this on stderr, after it had printed data.
    #[track_caller]
    pub fn refused_after_data(&self, code: i32, says: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(says), "{says:?} is not in {}", self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
    }

    /// It ended with this code and this on stderr, printed nothing else, and did not panic.
    #[track_caller]
    pub fn refused(&self, code: i32, says: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.err.contains(says), "{says:?} is not in {}", self.err);
        assert!(!self.err.contains("panicked"), "{}", self.err);
        assert_eq!(self.out, "", "nothing but data belongs on stdout");
    }
}

/// Runs the program alone.
pub fn run(arguments: &str) -> Run {
    Run::of(skoop(arguments).output().unwrap())
}

/// Sends a signal by its name.
pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("kill")
        .args([&format!("-{name}"), &child.id().to_string()])
        .status()
        .unwrap();
    assert!(sent.success());
}

/// A server that shows this certificate.
pub fn shows(certificate: &Certificate, key: &KeyPair) -> Arc<ServerConfig> {
    let config = ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(
            vec![certificate.der().clone()],
            PrivateKeyDer::try_from(key.serialize_der()).unwrap(),
        )
        .unwrap();
    Arc::new(config)
}

/// Waits for something that must come true soon.
#[track_caller]
pub fn soon<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let begun = Instant::now();
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(begun.elapsed() < Duration::from_secs(20), "{what} did not come");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A command that goes on.
pub fn begun(mut command: Command) -> Child {
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// What one that went well gave.
#[track_caller]
pub fn ended(child: Child) -> Run {
    let run = Run::of(child.wait_with_output().unwrap());
    assert_eq!(run.code, Some(0), "{run:?}");
    run
}

/// What a server answers to a request with these headers, by the older HTTP, in which a body comes in one piece.
pub fn asked(address: &str, request: &str, headers: &str) -> String {
    let mut stream = TcpStream::connect(address).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(10))).unwrap();
    write!(stream, "{request} HTTP/1.0\r\nhost: skoop\r\n{headers}\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).unwrap();
    answer
}
