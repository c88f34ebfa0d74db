//! Files of another root: whatever a container puts there, the helper reads it as a process there would, or says why not.
//! Needs root.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::disallowed_methods, reason = "this is not the helper")]

mod talk;

use model::endpoint::Endpoint;
use model::facts::ResolvConf;
use model::missing::{Known, Missing};
use model::protocol::{Reply, Request};
use nix::sched::{CloneFlags, unshare};
use nix::sys::stat::{Mode, SFlag, makedev, mknod};
use nix::unistd::{chroot, gettid, mkfifo};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::sync::mpsc::{Sender, channel};
use std::time::{Duration, Instant};
use talk::RunningHelper;
use tempfile::TempDir;

/// A thread that has its own root, as a container has, for as long as this lives.
struct Container {
    tid: i32,
    _end: Sender<()>,
}

impl Container {
    fn with_root(root: &Path) -> Self {
        let (tell, told) = channel();
        let (end, ended) = channel::<()>();
        let root = root.to_owned();
        std::thread::spawn(move || {
            unshare(CloneFlags::CLONE_FS).unwrap();
            chroot(&root).unwrap();
            tell.send(gettid().as_raw()).unwrap();
            let _ = ended.recv();
        });
        Self {
            tid: told.recv().unwrap(),
            _end: end,
        }
    }

    /// What the helper says of it, and that as it goes over the wire.
    fn resolv(&self) -> (Result<ResolvConf, Missing>, String) {
        let mut helper = RunningHelper::greeted();
        helper.say(Request::Resolve {
            endpoint: format!("pid/{}", self.tid),
            from: None,
        });
        let reply = helper.hear();
        let text = serde_json::to_string(&reply).unwrap();
        match reply {
            Reply::Resolved(Known::Known(Endpoint { resolv, .. })) => match resolv {
                Known::Known(conf) => (Ok(conf), text),
                Known::Missing(missing) => (Err(missing), text),
            },
            other => panic!("{other:?} resolves nothing"),
        }
    }
}

/// A root whose `/etc/resolv.conf` was made by this.
fn rooted(make: impl FnOnce(&Path)) -> (TempDir, Container) {
    let root = TempDir::new().unwrap();
    fs::create_dir(root.path().join("etc")).unwrap();
    make(&root.path().join("etc/resolv.conf"));
    let container = Container::with_root(root.path());
    (root, container)
}

/// Who has no such account has another secret.
fn secret() -> String {
    let shadow = fs::read_to_string("/etc/shadow").unwrap();
    shadow.lines().next().unwrap().to_owned()
}

#[test]
fn a_link_to_the_nodes_secrets_shows_none_of_them() {
    for to in ["/etc/shadow", "../../../../../../etc/shadow"] {
        let (_root, container) = rooted(|path| symlink(to, path).unwrap());
        let (conf, text) = container.resolv();
        assert_eq!(
            conf.unwrap().garbage,
            Vec::<String>::new(),
            "there is no such file in there"
        );
        assert!(!text.contains(&secret()), "{text}");
    }
}

#[test]
fn what_makes_no_sense_is_told_by_its_line_and_not_by_its_words() {
    let (_root, container) = rooted(|path| {
        fs::write(
            path.with_file_name("shadow"),
            "toor:$6$salt$hash:1:0:::::\nnameserver 10.0.0.1\nx y z\n",
        )
        .unwrap();
        symlink("/etc/shadow", path).unwrap();
    });
    let (conf, text) = container.resolv();
    assert_eq!(conf.unwrap().garbage, ["line 1", "line 3"]);
    assert!(!text.contains("toor") && !text.contains("x y z"), "{text}");
}

#[test]
fn what_is_no_regular_file_is_not_opened_and_costs_no_time() {
    let start = Instant::now();
    let mode = Mode::from_bits_truncate(0o666);
    let (_root, container) = rooted(|path| mkfifo(path, mode).unwrap());
    let why = container.resolv().0.unwrap_err().why;
    assert!(why.contains("it is a FIFO"), "{why}");
    let (_root, container) = rooted(|path| mknod(path, SFlag::S_IFCHR, mode, makedev(1, 5)).unwrap());
    let why = container.resolv().0.unwrap_err().why;
    assert!(why.contains("it is a device"), "{why}");
    let (_root, container) = rooted(|path| fs::File::create(path).unwrap().set_len(1 << 40).unwrap());
    let why = container.resolv().0.unwrap_err().why;
    assert!(why.contains("more than 65536 bytes"), "{why}");
    assert!(start.elapsed() < Duration::from_secs(20), "{:?}", start.elapsed());
}
