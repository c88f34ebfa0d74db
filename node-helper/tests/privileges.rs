//! Which of the helper's processes may do what: that nobody has more than the table says, and that each capability in it is
//! needed. Needs root.

#![allow(clippy::disallowed_methods, reason = "this is not the helper")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![expect(unsafe_code, reason = "calls that no crate of ours may make")]

mod talk;

use caps::Capability;
use model::attempt::{AttemptSpec, Exchange, Outcome, Sending};
use model::facts::NetnsFacts;
use model::missing::Known;
use model::protocol::{Ask, Filter, Hello, Reply, Request, VERSION};
use node_helper::capture::symbols::Symbols;
use node_helper::processes::privileges::{ARMER, JOINER, ProcessRole, READER, SENDER, SESSION, USHER};
use node_helper::processes::servant::{Errand, Master, Servant, ServantAnswer};
use node_helper::servants::usher::{self, ChildTask};
use std::collections::BTreeSet;
use std::ffi::CString;
use std::fs;
use std::io::Write as _;
use std::net::IpAddr;
use std::os::fd::{AsFd as _, AsRawFd as _, OwnedFd};
use std::os::unix::fs::chown;
use std::process::{Command, Stdio};
use talk::{OwnNetns, RunningHelper, TestProcess, own_netns, spec, tcp};

/// What the kernel says of a process.
struct Status(String);

impl Status {
    fn of(pid: u32) -> Self {
        Self(fs::read_to_string(format!("/proc/{pid}/status")).unwrap())
    }

    fn field(&self, name: &str) -> &str {
        let line = self
            .0
            .lines()
            .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'));
        line.unwrap().trim()
    }

    fn set(&self, name: &str) -> BTreeSet<String> {
        let bits = u64::from_str_radix(self.field(name), 16).unwrap();
        let all = caps::all();
        let has = all.iter().filter(|capability| bits & capability.bitmask() != 0);
        has.map(ToString::to_string).collect()
    }
}

fn names(role: &ProcessRole) -> BTreeSet<String> {
    role.keeps.iter().map(|kept| kept.capability.to_string()).collect()
}

/// It has what its role says, could never have more, and is confined.
fn assert_is(pid: u32, role: &ProcessRole) {
    let status = Status::of(pid);
    for set in ["CapEff", "CapPrm", "CapBnd"] {
        assert_eq!(status.set(set), names(role), "{set} of {}", role.name);
    }
    for set in ["CapInh", "CapAmb"] {
        assert_eq!(status.set(set), BTreeSet::new(), "{set} of {}", role.name);
    }
    assert_eq!(status.field("NoNewPrivs"), "1", "{}", role.name);
    assert_eq!(status.field("Seccomp"), "2", "{}", role.name);
    let is_root = status.field("Uid").starts_with("0\t0\t0\t0");
    assert_eq!(is_root, role.root, "the user of {}", role.name);
    let is_roots = status.field("Gid").starts_with("0\t0\t0\t0");
    assert_eq!(is_roots, role.root, "the group of {}", role.name);
    if !role.root {
        assert_eq!(status.field("Groups"), "", "further groups of {}", role.name);
    }
}

fn children(pid: u32) -> Vec<u32> {
    let threads = fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let children =
        threads.map(|thread| fs::read_to_string(thread.unwrap().path().join("children")).unwrap_or_default());
    let children: Vec<String> = children.collect();
    let children = children.iter().flat_map(|children| children.split_whitespace());
    children.map(|pid| pid.parse().unwrap()).collect()
}

/// The child of that name.
fn child(of: u32, name: &str) -> u32 {
    let is = |pid: &u32| fs::read_to_string(format!("/proc/{pid}/comm")).unwrap().trim() == name;
    children(of).into_iter().find(is).unwrap()
}

#[test]
fn nobody_who_reads_what_others_wrote_can_enter_or_attach_anything() {
    for role in [&SESSION, &READER, &JOINER, &SENDER] {
        for given_up in [Capability::CAP_BPF, Capability::CAP_PERFMON, Capability::CAP_SYS_ADMIN] {
            assert!(
                !names(role).contains(&given_up.to_string()),
                "{} has {given_up}",
                role.name
            );
        }
    }
}

#[test]
fn each_process_has_what_the_table_says_once_there_was_a_greeting() {
    let mut helper = RunningHelper::greeted();
    let session = helper.pid();
    assert_is(session, &SESSION);
    assert_is(child(session, ARMER.name), &ARMER);
    let usher = child(session, USHER.name);
    assert_is(usher, &USHER);
    let nobody_there = "127.0.0.1".parse().unwrap();
    helper.plan(
        1,
        vec![spec(1, own_netns(), 1_000, tcp(nobody_there, 9, Exchange::default()))],
    );
    assert_is(child(usher, SENDER.name), &SENDER);
}

#[test]
fn a_reader_has_what_the_table_says_before_it_reads() {
    let namespace = OwnNetns::new("reader");
    let namespaces = node_helper::identity::namespaces::Namespaces::scan();
    let found = namespaces.by_name(&namespace.name).unwrap();
    let (stdin, to) = nix::unistd::pipe().unwrap();
    let (from, stdout): (OwnedFd, OwnedFd) = nix::unistd::pipe().unwrap();
    let process = usher::start(found, ChildTask::Read, &stdin, &stdout).unwrap();
    let usher = child(std::process::id(), USHER.name);
    let reader = children(usher)[0];
    let filters = |pid| Status::of(pid).field("Seccomp_filters").parse::<u32>().unwrap();
    let end = std::time::Instant::now() + talk::PATIENCE;
    // Its role is its first deed, and a filter of its own the last of it.
    while filters(reader) == filters(usher) {
        assert!(std::time::Instant::now() < end, "it reads without a role");
    }
    assert_is(reader, &READER);
    drop((to, from, process));
}

/// A helper without one capability, which has greeted.
fn without(capability: &str) -> (RunningHelper, Hello) {
    let mut helper = RunningHelper::start_with(
        Command::new("setpriv")
            .arg(format!("--bounding-set=-{capability}"))
            .arg("--inh-caps=-all")
            .arg(env!("CARGO_BIN_EXE_node-helper")),
    );
    helper.say(Request::Hello { version: VERSION });
    match helper.hear() {
        Reply::Hello(hello) => (helper, hello),
        other => panic!("{other:?} is no greeting"),
    }
}

/// Facts that a helper reads of a namespace.
fn facts(helper: &mut RunningHelper, ask: Ask) -> NetnsFacts {
    helper.say(Request::Read(ask));
    let mut told = None;
    loop {
        match helper.hear() {
            Reply::Facts { facts, .. } => told = Some(facts),
            Reply::Read { .. } => return told.unwrap(),
            _ => {}
        }
    }
}

fn of(netns: u32, fact: &str) -> Ask {
    Ask {
        netns: vec![netns],
        facts: vec![fact.into()],
        ..Ask::default()
    }
}

/// Whether the probe `drop` can be attached.
fn arms(helper: &mut RunningHelper) -> bool {
    helper.say(Request::Arm {
        id: 7,
        probes: vec!["drop".into()],
        filter: Filter {
            netns: vec![1],
            ..Filter::default()
        },
    });
    match helper.hear() {
        Reply::Armed { probes, .. } => probes[0].unsupported.is_none(),
        other => panic!("{other:?} is not armed"),
    }
}

// CAP_SYS_ADMIN holds both of the next (capabilities(7)), so it goes with them.
#[test]
fn without_bpf_no_probe_is_offered_but_those_that_read() {
    let (_helper, hello) = without("bpf,-sys_admin");
    assert!(
        hello
            .probes
            .iter()
            .all(|probe| probe.unsupported.is_some() != probe.reads)
    );
}

#[test]
fn without_perfmon_no_probe_attaches() {
    assert!(arms(&mut RunningHelper::greeted()));
    assert!(!arms(&mut without("perfmon,-sys_admin").0));
}

#[test]
fn without_sys_admin_no_namespace_is_entered() {
    let namespace = OwnNetns::new("enter");
    let read = |helper: &mut RunningHelper| facts(helper, of(namespace.inode(), "routes")).routes;
    assert!(matches!(read(&mut RunningHelper::greeted()), Known::Known(_)));
    assert!(matches!(read(&mut without("sys_admin").0), Known::Missing(_)));
}

#[test]
fn without_net_admin_conntrack_is_not_read() {
    let namespace = OwnNetns::new("conntrack");
    let read = |helper: &mut RunningHelper| facts(helper, of(namespace.inode(), "conntrack")).conntrack;
    assert!(matches!(read(&mut RunningHelper::greeted()), Known::Known(_)));
    assert!(matches!(read(&mut without("net_admin").0), Known::Missing(_)));
}

#[test]
fn without_net_raw_no_echo_is_sent() {
    let echo = |helper: &mut RunningHelper| {
        let send = Sending::Echo {
            to: IpAddr::from([127, 0, 0, 1]),
            count: 1,
            interval_ms: 10,
            packet_bytes: None,
            dont_fragment: false,
        };
        helper.plan(1, vec![spec(1, own_netns(), 2_000, send)]);
        helper.go(1, 1).remove(0).outcome
    };
    assert!(!matches!(
        echo(&mut RunningHelper::greeted()),
        Outcome::Error { .. } | Outcome::NotTried { .. }
    ));
    let refused = echo(&mut without("net_raw").0);
    assert!(
        matches!(refused, Outcome::Error { .. } | Outcome::NotTried { .. }),
        "{refused:?}"
    );
}

/// A process of another user, in a namespace.
fn strangers(namespace: &OwnNetns) -> TestProcess {
    namespace.spawn("exec setpriv --reuid 7777 --regid 7777 --clear-groups sh -c 'echo ready; exec sleep 60'")
}

#[test]
fn without_sys_ptrace_processes_of_others_have_no_namespace() {
    let namespace = OwnNetns::new("ptrace");
    let process = strangers(&namespace);
    let resolve = |helper: &mut RunningHelper| {
        helper.say(Request::Resolve {
            endpoint: format!("pid/{}", process.0.id()),
            from: None,
        });
        match helper.hear() {
            Reply::Resolved(endpoint) => endpoint,
            other => panic!("{other:?} is no endpoint"),
        }
    };
    assert!(matches!(resolve(&mut RunningHelper::greeted()), Known::Known(_)));
    assert!(matches!(resolve(&mut without("sys_ptrace").0), Known::Missing(_)));
}

#[test]
fn without_dac_read_search_sockets_of_others_have_no_process() {
    let namespace = OwnNetns::new("dac");
    let listener = namespace.spawn(
        "exec setpriv --reuid 7777 --regid 7777 --clear-groups perl -MIO::Socket::INET -e \
         '$|=1; $s = IO::Socket::INET->new(LocalPort => 7070, Listen => 1) or die; print \"ready\"; sleep 60'",
    );
    let holders = |helper: &mut RunningHelper| {
        let ask = Ask {
            ports: vec![7070],
            ..of(namespace.inode(), "sockets")
        };
        let sockets = facts(helper, ask).sockets.get().unwrap().clone();
        sockets
            .into_iter()
            .find(|socket| socket.flow.sport == 7070)
            .unwrap()
            .pids
    };
    assert_eq!(holders(&mut RunningHelper::greeted()), [listener.0.id()]);
    assert_eq!(holders(&mut without("dac_read_search").0), Vec::<u32>::new());
}

#[test]
fn without_setuid_it_stays_root_and_works() {
    let (mut helper, _) = without("setuid");
    assert!(Status::of(helper.pid()).field("Uid").starts_with('0'));
    assert!(arms(&mut helper));
}

#[test]
fn without_setgid_its_group_stays_roots_and_it_works() {
    let group =
        |helper: &RunningHelper, role: &ProcessRole| Status::of(child(helper.pid(), role.name)).field("Gid").to_owned();
    let root = "0\t0\t0\t0";
    let mut whole = RunningHelper::greeted();
    assert_ne!(Status::of(whole.pid()).field("Gid"), root);
    assert_ne!(group(&whole, &ARMER), root);
    let (mut helper, _) = without("setgid");
    assert_eq!(Status::of(helper.pid()).field("Gid"), root);
    assert_eq!(group(&helper, &ARMER), root);
    // What it reads of the node's does not depend on the group.
    for helper in [&mut whole, &mut helper] {
        assert!(arms(helper));
    }
}

#[test]
fn without_setpcap_what_is_given_up_could_be_had_again_and_it_works() {
    let sender = |helper: &mut RunningHelper| {
        let nobody_there = IpAddr::from([127, 0, 0, 1]);
        let attempt = spec(1, own_netns(), 1_000, tcp(nobody_there, 9, Exchange::default()));
        helper.plan(1, vec![attempt]);
        Status::of(child(child(helper.pid(), USHER.name), SENDER.name))
    };
    assert_eq!(sender(&mut RunningHelper::greeted()).set("CapBnd"), names(&SENDER));
    let (mut helper, _) = without("setpcap");
    let status = sender(&mut helper);
    // The bounding set is that of whoever started the helper; the others are those of the role all the same.
    let given_up = Capability::CAP_SYS_ADMIN.to_string();
    assert!(status.set("CapBnd").contains(&given_up), "{:?}", status.set("CapBnd"));
    for set in ["CapEff", "CapPrm"] {
        assert_eq!(status.set(set), names(&SENDER), "{set}");
    }
    assert_eq!(status.field("NoNewPrivs"), "1");
    assert!(arms(&mut helper));
}

/// A cgroup of a user, with a process in it.
struct Delegated {
    folder: String,
    process: TestProcess,
}

impl Delegated {
    fn new() -> Option<Self> {
        let mounts = fs::read_to_string("/proc/self/mounts").unwrap();
        let mount = mounts
            .lines()
            .find(|line| line.contains(" cgroup2 "))?
            .split(' ')
            .nth(1)?
            .to_owned();
        let folder = format!("{mount}/privileges-{}", std::process::id());
        fs::create_dir(&folder).unwrap();
        let process = TestProcess(Command::new("sleep").arg("60").stdin(Stdio::null()).spawn().unwrap());
        fs::write(format!("{folder}/cgroup.procs"), process.0.id().to_string()).unwrap();
        for owned in [folder.clone(), format!("{folder}/cgroup.procs")] {
            chown(owned, Some(7777), Some(7777)).unwrap();
        }
        Some(Self { folder, process })
    }
}

impl Drop for Delegated {
    fn drop(&mut self) {
        let _ = self.process.0.kill();
        let _ = self.process.0.wait();
        let end = std::time::Instant::now() + talk::PATIENCE;
        while fs::remove_dir(&self.folder).is_err() && std::time::Instant::now() < end {}
    }
}

#[test]
fn without_dac_override_no_cgroup_of_a_user_is_joined() {
    let Some(delegated) = Delegated::new() else {
        writeln!(std::io::stderr(), "skipped: no cgroups of version 2").unwrap();
        return;
    };
    let lacks = |mut helper: RunningHelper| {
        let nobody_there = IpAddr::from([127, 0, 0, 1]);
        let attempt = AttemptSpec {
            pid: Some(delegated.process.0.id()),
            ..spec(1, own_netns(), 1_000, tcp(nobody_there, 9, Exchange::default()))
        };
        helper.say(Request::Plan {
            id: 1,
            attempts: vec![attempt],
        });
        match helper.hear() {
            Reply::Planned { missing, .. } => missing.len(),
            other => panic!("{other:?} is no plan"),
        }
    };
    assert_eq!(lacks(RunningHelper::greeted()), 0);
    assert_eq!(lacks(without("dac_override").0), 1);
}

/// What a process in a role can do that it must not.
fn escapes(master: &Master) {
    let Some((_, fds)) = master.next() else { return };
    let master_is = nix::unistd::getppid().as_raw();
    let memory = CString::new(format!("/proc/{master_is}/mem")).unwrap();
    let own = std::process::id();
    let possible = |name: &'static str, result: libc::c_long| (result >= 0).then_some(name);
    let netns = fds[0].as_raw_fd();
    let how = [libc::O_RDWR as u64, 0, 0];
    // SAFETY: the arguments are those of each call, and live.
    let outcomes = unsafe {
        [
            possible("enter", libc::syscall(libc::SYS_setns, netns, libc::CLONE_NEWNET)),
            possible("unshare", libc::syscall(libc::SYS_unshare, libc::CLONE_NEWUSER)),
            possible(
                "trace",
                libc::syscall(libc::SYS_ptrace, libc::PTRACE_ATTACH, master_is, 0, 0),
            ),
            possible(
                "write memory",
                libc::syscall(libc::SYS_openat, libc::AT_FDCWD, memory.as_ptr(), libc::O_RDWR),
            ),
            possible(
                "write memory by openat2",
                libc::syscall(
                    libc::SYS_openat2,
                    libc::AT_FDCWD,
                    memory.as_ptr(),
                    how.as_ptr(),
                    size_of_val(&how),
                ),
            ),
            possible("take descriptors", libc::syscall(libc::SYS_pidfd_open, own, 0)),
            possible(
                "speak with programs",
                libc::syscall(libc::SYS_socket, libc::AF_UNIX, libc::SOCK_STREAM, 0),
            ),
            possible(
                "make maps",
                libc::syscall(libc::SYS_bpf, 0, [2u32, 4, 4, 1, 0, 0, 0, 0].as_ptr(), 32),
            ),
            possible(
                "mount",
                libc::syscall(libc::SYS_umount2, c"/nowhere".as_ptr(), libc::MNT_DETACH),
            ),
        ]
    };
    // Last: it would not come back.
    let arguments = [std::ptr::null::<libc::c_char>()];
    // SAFETY: both lists end with a null.
    unsafe { libc::execve(c"/bin/true".as_ptr(), arguments.as_ptr(), arguments.as_ptr()) };
    let possible: Vec<&str> = outcomes.into_iter().flatten().collect();
    master.answer(Ok(ServantAnswer {
        text: possible.join(", ").into_bytes(),
        ..ServantAnswer::default()
    }));
}

/// What this test asks of a process in a role.
const TRIAL: Errand = Errand {
    what: "try it",
    within: talk::PATIENCE,
};

#[test]
fn whoever_runs_code_of_his_own_in_a_process_that_reads_comes_no_further() {
    let namespace = OwnNetns::new("escape");
    for role in [&SESSION, &READER, &SENDER] {
        let netns = fs::File::open(format!("/run/netns/{}", namespace.name)).unwrap();
        let hijacked = Servant::start(role, escapes).unwrap();
        let answer = hijacked.ask(TRIAL, [0; 8], &[netns.as_fd()]).unwrap();
        assert_eq!(String::from_utf8(answer.text).unwrap(), "", "{} can", role.name);
    }
}

/// Whether addresses of the kernel's functions are told.
fn knows_functions(master: &Master) {
    while master.next().is_some() {
        let known = format!("{:?}", Symbols::of_this_kernel()) != format!("{:?}", Symbols::default());
        master.answer(Ok(ServantAnswer {
            text: vec![u8::from(known)],
            ..ServantAnswer::default()
        }));
    }
}

#[test]
fn without_syslog_functions_of_the_kernel_have_no_names() {
    const WITHOUT: ProcessRole = ProcessRole {
        keeps: &[],
        name: "without-syslog",
        root: SESSION.root,
        calls: SESSION.calls,
    };
    let knows = |role: &'static ProcessRole| {
        let servant = Servant::start(role, knows_functions).unwrap();
        servant.ask(TRIAL, [0; 8], &[]).unwrap().text == [1]
    };
    let read = |file| {
        fs::read_to_string(format!("/proc/sys/kernel/{file}"))
            .unwrap()
            .trim()
            .parse::<i32>()
            .unwrap()
    };
    if read("kptr_restrict") < 2 {
        assert!(knows(&SESSION));
    }
    if read("kptr_restrict") > 0 || read("perf_event_paranoid") > 1 {
        assert!(!knows(&WITHOUT));
    }
}

#[test]
fn a_sender_that_hangs_does_not_outlive_its_window() {
    let mut helper = RunningHelper::greeted();
    let sender = stopped_sender(&mut helper);
    helper.say(Request::Stop { id: 1 });
    while !matches!(helper.hear(), Reply::Stopped { .. }) {}
    let lives = || fs::read_to_string(format!("/proc/{sender}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
    let end = std::time::Instant::now() + talk::PATIENCE;
    while lives() {
        assert!(std::time::Instant::now() < end, "it still hangs");
    }
}

/// A process that has reserved its ports and does nothing more.
fn stopped_sender(helper: &mut RunningHelper) -> u32 {
    let nobody_there = IpAddr::from([127, 0, 0, 1]);
    helper.plan(
        1,
        vec![spec(1, own_netns(), 1_000, tcp(nobody_there, 9, Exchange::default()))],
    );
    let sender = child(child(helper.pid(), USHER.name), SENDER.name);
    let pid = nix::unistd::Pid::from_raw(i32::try_from(sender).unwrap());
    nix::sys::signal::kill(pid, nix::sys::signal::Signal::SIGSTOP).unwrap();
    sender
}
