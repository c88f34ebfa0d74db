//! Dying on purpose: whichever process of a run gets whichever signal at whichever moment, the answer is never `healthy` where
//! something is missing, and nothing stays of the run.
//!
//! `SKOOP_DEATHS` says how many (40), `SKOOP_SEED` which ones: the seed is printed. Without root it says so and passes.
#![expect(clippy::unwrap_used, reason = "a test that cannot set itself up has failed")]
use std::fmt;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use aya::programs::loaded_programs;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::Value;
use tests::kubernetes::traces;
use tests::lab::Lab;
use tests::{skoop, topology};

const SOON: Duration = Duration::from_secs(10);
/// A client gives up on silent helpers after two and a half heartbeats, and helpers on a silent client after 15 s. Where a part of
/// a helper stands still, each step of a run may take the 20 s that it has.
const ENDS_WITHIN: Duration = Duration::from_secs(90);
/// Runs at the same time: they mostly wait.
const AT_ONCE: usize = 4;
/// A run is over after about a second; some signals come after it.
const MOMENT_MOST_MS: u64 = 1_200;

/// The next of a row of numbers that a seed begins (Steele, Lea and Flood: `SplitMix64`).
fn number(seed: u64, nth: u64) -> u64 {
    let mut z = seed.wrapping_add(nth.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// What happens to a process.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Blow {
    Term,
    Kill,
    Stop,
    StopAndGoOn { after_ms: u64 },
}

/// Who gets it, and when.
#[derive(Clone, Copy, Debug)]
struct Death {
    moment_ms: u64,
    /// Chooses among the processes that there are by then, the client first.
    victim: u64,
    blow: Blow,
}

impl Death {
    fn of(seed: u64, nth: u64) -> Self {
        let of = |what: u64| number(seed, nth * 4 + what);
        Self {
            moment_ms: of(0) % MOMENT_MOST_MS,
            victim: of(1),
            blow: match of(2) % 4 {
                0 => Blow::Term,
                1 => Blow::Kill,
                2 => Blow::Stop,
                _ => Blow::StopAndGoOn { after_ms: of(3) % 500 },
            },
        }
    }
}

impl fmt::Display for Death {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} after {} ms", self.blow, self.moment_ms)
    }
}

/// A process and what descends from it, itself first.
fn tree(pid: i32) -> Vec<i32> {
    let mut all = vec![pid];
    let mut at = 0;
    while at < all.len() {
        let tasks = fs::read_dir(format!("/proc/{}/task", all[at]))
            .into_iter()
            .flatten()
            .flatten();
        for task in tasks {
            let children = fs::read_to_string(task.path().join("children")).unwrap_or_default();
            all.extend(children.split_whitespace().filter_map(|pid| pid.parse::<i32>().ok()));
        }
        at += 1;
    }
    all
}

fn lives(pid: i32) -> bool {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    stat.rsplit_once(')')
        .is_some_and(|(_, rest)| !rest.trim_start().starts_with('Z'))
}

fn until(within: Duration, holds: impl Fn() -> bool) -> bool {
    let end = Instant::now() + within;
    while !holds() {
        if Instant::now() > end {
            return false;
        }
        thread::sleep(Duration::from_millis(20));
    }
    true
}

/// A run under way.
struct Run {
    client: Child,
    report: PathBuf,
    recording: PathBuf,
}

impl Run {
    fn begin(lab: &Lab, number: u64) -> Self {
        let file = |name: &str| lab.directory().join(format!("{name}.{number}"));
        let (report, recording) = (file("report"), file("recording"));
        let netns = |name| format!("netns/{}", lab.netns(name).unwrap());
        let client = Command::new(skoop::binary().unwrap())
            .args(["diagnose", "pod-to-pod", &netns("a"), &format!("{}:80", netns("b"))])
            .args(["--local", "-o", "json", "--record"])
            .arg(&recording)
            .stdin(Stdio::null())
            .stdout(File::create(&report).unwrap())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        Self {
            client,
            report,
            recording,
        }
    }

    fn client(&self) -> i32 {
        self.client.id().cast_signed()
    }

    /// The report, if there is a whole one.
    fn report(&self) -> Option<Value> {
        serde_json::from_slice(&fs::read(&self.report).ok()?).ok()
    }

    /// The last word of its helper says that it ends because it was asked to, and the windows were closed before.
    fn was_whole(&self) -> bool {
        let text = fs::read_to_string(&self.recording).unwrap_or_default();
        let says: Vec<Value> = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .map(|line| line["line"]["say"].clone())
            .collect();
        let count = |word: &str| says.iter().filter(|say| say.get(word).is_some()).count();
        let done = says.iter().find_map(|say| say.get("done"));
        done.is_some_and(|done| done["why"].is_null()) && count("going") == count("stopped") && count("stopped") > 0
    }
}

/// What a report shows beside its outcome: each attempt and how it ended.
fn attempts(report: &Value) -> Vec<(Value, Value)> {
    let attempts = report["attempts"].as_array().into_iter().flatten();
    attempts
        .map(|attempt| (attempt["kind"].clone(), attempt["outcome"].clone()))
        .collect()
}

/// Why this death was not survived well.
fn wrong(lab: &Lab, nth: u64, death: Death, undisturbed: &[(Value, Value)]) -> Option<String> {
    let mut run = Run::begin(lab, nth);
    thread::sleep(Duration::from_millis(death.moment_ms));
    // What was forked and is not yet a program of its own is the client still.
    let program = |pid: i32| fs::read_link(format!("/proc/{pid}/exe")).ok();
    let client = program(run.client());
    let mut family = tree(run.client());
    family.retain(|pid| *pid == run.client() || program(*pid).is_some_and(|own| Some(own) != client));
    let programs = traces::programs(&family.iter().map(|pid| Pid::from_raw(*pid)).collect::<Vec<_>>());
    let victim = family[death.victim as usize % family.len()];
    let send = |signal| {
        let _ = kill(Pid::from_raw(victim), signal);
    };
    match death.blow {
        Blow::Term => send(Signal::SIGTERM),
        Blow::Kill => send(Signal::SIGKILL),
        Blow::Stop => send(Signal::SIGSTOP),
        Blow::StopAndGoOn { after_ms } => {
            send(Signal::SIGSTOP);
            thread::sleep(Duration::from_millis(after_ms));
            send(Signal::SIGCONT);
        }
    }
    let who = if victim == run.client() {
        "the client".to_owned()
    } else {
        format!("process {victim} of {family:?}")
    };
    let wrong = |what: &str| Some(format!("death {nth}, {who}, {death}: {what}"));
    if victim == run.client() && death.blow == Blow::Stop {
        // It will never end; what it started must.
        let left = || {
            family[1..]
                .iter()
                .copied()
                .filter(|pid| lives(*pid))
                .collect::<Vec<_>>()
        };
        let gone = until(ENDS_WITHIN, || left().is_empty());
        let _ = run.client.kill();
        let _ = run.client.wait();
        return if gone {
            None
        } else {
            wrong(&format!("{:?} stay beside a client that stands still", left()))
        };
    }
    let end = Instant::now() + ENDS_WITHIN;
    let status = loop {
        if let Some(status) = run.client.try_wait().unwrap() {
            break status;
        }
        if Instant::now() > end {
            let _ = run.client.kill();
            let _ = run.client.wait();
            return wrong("the client does not end");
        }
        thread::sleep(Duration::from_millis(10));
    };
    let left = || family.iter().copied().filter(|pid| lives(*pid)).collect::<Vec<_>>();
    if !until(ENDS_WITHIN, || left().is_empty()) {
        // A stopped one takes no signal but this.
        let stay = left();
        for pid in &stay {
            let _ = kill(Pid::from_raw(*pid), Signal::SIGKILL);
        }
        return wrong(&format!("processes {stay:?} stay"));
    }
    let loaded = || {
        loaded_programs()
            .flatten()
            .map(|program| program.id())
            .filter(|id| programs.contains(id))
            .collect::<Vec<u32>>()
    };
    if !until(SOON, || loaded().is_empty()) {
        return wrong(&format!("programs {:?} stay", loaded()));
    }
    let report = run.report();
    let says_healthy = status.code() == Some(0) || report.as_ref().is_some_and(|report| report["outcome"] == "healthy");
    if !says_healthy {
        return None;
    }
    match report {
        None => wrong("exit code 0 without a report"),
        Some(report) if attempts(&report) != undisturbed => {
            wrong(&format!("healthy, though it tried only {:?}", attempts(&report)))
        }
        Some(_) if !run.was_whole() => wrong("healthy, though its helper did not end as it was asked to"),
        Some(_) => None,
    }
}

/// Network namespaces that have a name.
fn named_namespaces() -> Vec<PathBuf> {
    let mut names: Vec<PathBuf> = fs::read_dir("/run/netns")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path())
        .collect();
    names.sort();
    names
}

#[test]
fn whoever_dies_of_whatever_and_whenever() {
    if !nix::unistd::geteuid().is_root() {
        println!("skipped: building a lab needs root");
        return;
    }
    let setting = |name: &str| std::env::var(name).ok().and_then(|text| text.parse::<u64>().ok());
    let deaths = setting("SKOOP_DEATHS").unwrap_or(40);
    let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
    let seed = setting("SKOOP_SEED").unwrap_or(u64::from(now.subsec_nanos()) ^ now.as_secs());
    println!("{deaths} deaths of SKOOP_SEED={seed}");

    let lab = Lab::build(&topology::named("one-node").unwrap()).unwrap();
    let mut server = lab.start("b", "http 80", Path::new("/")).unwrap();
    server.ready(SOON).unwrap();
    let mut alone = Run::begin(&lab, u64::MAX);
    assert_eq!(
        alone.client.wait().unwrap().code(),
        Some(0),
        "an undisturbed run is healthy"
    );
    assert!(alone.was_whole(), "an undisturbed run is whole");
    let undisturbed = attempts(&alone.report().unwrap());
    let before = named_namespaces();

    let next = AtomicU64::new(0);
    let all = Mutex::new(Vec::new());
    thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let nth = next.fetch_add(1, Ordering::Relaxed);
                    if nth >= deaths {
                        return;
                    }
                    let found = wrong(&lab, nth, Death::of(seed, nth), &undisturbed);
                    all.lock().unwrap().extend(found);
                }
            });
        }
    });
    let wrong = all.into_inner().unwrap();
    assert!(
        wrong.is_empty(),
        "SKOOP_SEED={seed}: {} of {deaths} went wrong\n{}",
        wrong.len(),
        wrong.join("\n")
    );
    assert_eq!(named_namespaces(), before, "a namespace stays");
}
