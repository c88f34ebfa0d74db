//! The one door to files. All that the helper reads of a file system comes through here: bounded, and never by way of what
//! another may have put there.
//!
//! A path that leads through `/proc/PID/root` lies in another root, whose files anybody may write: a link there may point to
//! anything, and a file may be none. Such a path is opened below a descriptor of that root (`openat2(2)`, `RESOLVE_IN_ROOT`),
//! as a process there would see it, and by no link that only procfs can make; nothing but a regular file is read, none of
//! procfs, and a file system that does not answer is waited for no longer than two seconds.
//!
//! What the kernel itself makes for us (`/proc`, `/sys`, descriptors of namespaces) is opened as it is named.
#![allow(
    clippy::disallowed_methods,
    reason = "this is the door: elsewhere in the helper nothing opens a file (clippy.toml)"
)]

use nix::errno::Errno;
use nix::fcntl::{OFlag, OpenHow, ResolveFlag, open, openat2};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::sys::statfs::{CGROUP_SUPER_MAGIC, CGROUP2_SUPER_MAGIC, NSFS_MAGIC, PROC_SUPER_MAGIC, fstatfs};
use std::ffi::OsString;
use std::fs::{self, DirEntry, File, Metadata};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::os::fd::{AsRawFd as _, OwnedFd};
use std::os::unix::fs::MetadataExt as _;
use std::path::{Component, Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc;
use std::time::Duration;

/// The most of a file that holds one value or a few lines, bytes.
pub const FEW_LINES: u64 = 64 * 1024;
/// The most of a table of the kernel's (`/proc/net`, `mountinfo`), bytes.
pub const TABLE: u64 = 16 * 1024 * 1024;
/// The most entries of a folder of another root.
pub const ENTRIES_MAX: usize = 65_536;
/// The most entries of a folder of the kernel's: processes of a node, open files of a process.
const KERNELS_ENTRIES_MAX: usize = 262_144;
/// How long a file of another root may take: its file system may be anybody's.
pub const PATIENCE: Duration = Duration::from_secs(2);
/// How many may be waited for in vain at a time, before no more are tried.
const STUCK_MAX: usize = 8;

/// The text of a file, of at most so many bytes; more are an error, not a part.
pub fn text(path: impl AsRef<Path>, most: u64) -> io::Result<String> {
    let path = path.as_ref();
    let bytes = match Foreign::of(path) {
        Some(foreign) => foreign.patiently(move |foreign| whole(foreign.file()?, most))?,
        None => whole(kernels(path)?, most)?,
    };
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// A file of ours or of the kernel's, to be read by who bounds it; one of another root is regular.
pub fn file(path: impl AsRef<Path>) -> io::Result<File> {
    let path = path.as_ref();
    match Foreign::of(path) {
        Some(foreign) => foreign.patiently(Foreign::file),
        None => kernels(path),
    }
}

/// A folder.
pub fn folder(path: impl AsRef<Path>) -> io::Result<File> {
    let path = path.as_ref();
    if let Some(foreign) = Foreign::of(path) {
        return foreign.patiently(Foreign::folder);
    }
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    Ok(open(path, flags, Mode::empty())?.into())
}

/// What a folder holds, in no order.
pub fn entries(path: impl AsRef<Path>) -> io::Result<Vec<DirEntry>> {
    let path = path.as_ref();
    let list = |path: &Path| Ok(fs::read_dir(path)?.filter_map(Result::ok).take(ENTRIES_MAX).collect());
    match Foreign::of(path) {
        Some(foreign) => foreign.patiently(move |foreign| list(&as_own(&foreign.folder()?.into()))),
        None => Ok(fs::read_dir(path)?
            .filter_map(Result::ok)
            .take(KERNELS_ENTRIES_MAX)
            .collect()),
    }
}

/// Where all that is written is lost, and nothing is to be read.
pub fn null() -> io::Result<OwnedFd> {
    Ok(open("/dev/null", OFlag::O_RDWR, Mode::empty())?)
}

/// What lies there, without opening it.
pub fn metadata(path: impl AsRef<Path>) -> io::Result<Metadata> {
    let path = path.as_ref();
    match Foreign::of(path) {
        Some(foreign) => foreign.patiently(|foreign| File::from(foreign.found()?).metadata()),
        None => fs::metadata(path),
    }
}

/// Where a link of procfs leads, in its own words.
pub fn link(path: impl AsRef<Path>) -> io::Result<PathBuf> {
    fs::read_link(path)
}

/// A namespace, by a link of procfs or by a file it is bound to; anything else is an error.
pub fn namespace(path: impl AsRef<Path>) -> io::Result<File> {
    File::open(as_own(&found_namespace(path.as_ref())?))
}

fn found_namespace(path: &Path) -> io::Result<OwnedFd> {
    let found = match Foreign::of(path) {
        Some(foreign) => foreign.patiently(Foreign::found)?,
        None => open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?,
    };
    if fstatfs(&found)?.filesystem_type() == NSFS_MAGIC {
        Ok(found)
    } else {
        Err(io::Error::new(ErrorKind::InvalidInput, "it is no namespace"))
    }
}

/// The inode of a namespace that is bound to a file, by which nothing is opened; an error for a file to which none is bound.
pub fn bound_namespace(path: impl AsRef<Path>) -> io::Result<u64> {
    Ok(File::from(found_namespace(path.as_ref())?).metadata()?.ino())
}

/// Writes to a file of cgroupfs, which is there; anything else is an error.
pub fn write(path: impl AsRef<Path>, text: &str) -> io::Result<()> {
    let path = path.as_ref();
    let found = match Foreign::of(path) {
        Some(foreign) => foreign.patiently(Foreign::found)?,
        None => open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty())?,
    };
    let kind = fstatfs(&found)?.filesystem_type();
    if kind != CGROUP_SUPER_MAGIC && kind != CGROUP2_SUPER_MAGIC {
        return Err(io::Error::new(ErrorKind::InvalidInput, "it is no file of a cgroup"));
    }
    File::options()
        .write(true)
        .open(as_own(&found))?
        .write_all(text.as_bytes())
}

/// A path of the kernel's or our own. It does not wait for a writer.
fn kernels(path: &Path) -> io::Result<File> {
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_CLOEXEC | OFlag::O_NOCTTY;
    Ok(open(path, flags, Mode::empty())?.into())
}

fn whole(file: File, most: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.take(most + 1).read_to_end(&mut bytes)?;
    if bytes.len() as u64 > most {
        let why = format!("it has more than {most} bytes, and was not read");
        return Err(io::Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(bytes)
}

/// The path by which what a descriptor stands for is opened again.
fn as_own(found: &OwnedFd) -> PathBuf {
    PathBuf::from(format!("/proc/self/fd/{}", found.as_raw_fd()))
}

/// Something of another root: where that is, and the path there.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Foreign {
    root: PathBuf,
    path: PathBuf,
}

impl Foreign {
    /// `/proc/7/root/etc/hosts` is `/etc/hosts` of `/proc/7/root`.
    fn of(path: &Path) -> Option<Self> {
        let parts: Vec<Component<'_>> = path.components().collect();
        let names: Vec<&str> = parts
            .iter()
            .map(|part| part.as_os_str().to_str().unwrap_or(""))
            .collect();
        let is_root = |at: usize| {
            let is_process = |name: &str| name == "self" || name == "thread-self" || name.parse::<u32>().is_ok();
            names[at] == "root"
                && names[..at].last().is_some_and(|name| is_process(name))
                && names[..at].contains(&"proc")
        };
        let at = (0..names.len()).find(|at| is_root(*at))?;
        Some(Self {
            root: parts[..=at].iter().collect(),
            path: Path::new("/").join(parts[at + 1..].iter().collect::<PathBuf>()),
        })
    }

    /// Does it in a thread of its own, and does not wait for ever.
    fn patiently<T: Send + 'static>(self, what: impl FnOnce(&Self) -> io::Result<T> + Send + 'static) -> io::Result<T> {
        static WAITING: AtomicUsize = AtomicUsize::new(0);
        if WAITING.fetch_add(1, Ordering::AcqRel) >= STUCK_MAX {
            WAITING.fetch_sub(1, Ordering::AcqRel);
            return Err(io::Error::new(
                ErrorKind::TimedOut,
                "other files of that kind do not answer",
            ));
        }
        let (done, outcome) = mpsc::channel();
        let started = std::thread::Builder::new().name("door".to_owned()).spawn(move || {
            let _ = done.send(what(&self));
            WAITING.fetch_sub(1, Ordering::AcqRel);
        });
        if started.is_err() {
            WAITING.fetch_sub(1, Ordering::AcqRel);
        }
        if let (Ok(outcome), Ok(thread)) = (outcome.recv_timeout(PATIENCE), started) {
            // It is done: some callers count their threads.
            let _ = thread.join();
            return outcome;
        }
        let why = format!("its file system does not answer within {} s", PATIENCE.as_secs());
        Err(io::Error::new(ErrorKind::TimedOut, why))
    }

    /// What lies there, of whatever kind: not opened, only found.
    fn found(&self) -> io::Result<OwnedFd> {
        /// The kernel asks to try again when something above is moved meanwhile.
        const TRIES: usize = 16;
        let root = open(
            &self.root,
            OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC,
            Mode::empty(),
        )?;
        let how = OpenHow::new()
            .flags(OFlag::O_PATH | OFlag::O_CLOEXEC)
            .resolve(ResolveFlag::RESOLVE_IN_ROOT | ResolveFlag::RESOLVE_NO_MAGICLINKS);
        let mut tries = 0;
        loop {
            match openat2(&root, &self.path, how) {
                Err(Errno::EAGAIN) if tries < TRIES => tries += 1,
                other => return Ok(other?),
            }
        }
    }

    /// The file, opened for reading, if it is a regular one and none of procfs.
    fn file(&self) -> io::Result<File> {
        let found = self.found()?;
        let kind = SFlag::from_bits_truncate(fstat(&found)?.st_mode) & SFlag::S_IFMT;
        let refused = match kind {
            SFlag::S_IFREG if fstatfs(&found)?.filesystem_type() == PROC_SUPER_MAGIC => "it is a file of procfs",
            SFlag::S_IFREG => return kernels(&as_own(&found)),
            SFlag::S_IFDIR => "it is a folder",
            SFlag::S_IFIFO => "it is a FIFO",
            SFlag::S_IFSOCK => "it is a socket",
            _ => "it is a device",
        };
        let why = format!("{refused}, and was not opened");
        Err(io::Error::new(ErrorKind::InvalidInput, why))
    }

    fn folder(&self) -> io::Result<File> {
        let found = self.found()?;
        folder(as_own(&found))
    }
}

/// The names of what a folder holds.
pub fn names(path: impl AsRef<Path>) -> io::Result<Vec<OsString>> {
    Ok(entries(path)?.iter().map(DirEntry::file_name).collect())
}

#[cfg(test)]
mod tests {
    use super::{FEW_LINES, Foreign, entries, metadata, namespace, text};
    use nix::sys::stat::{Mode, SFlag, makedev, mknod};
    use nix::unistd::mkfifo;
    use std::fs;
    use std::os::unix::fs::symlink;
    use std::path::{Path, PathBuf};
    use std::time::{Duration, Instant};
    use tempfile::TempDir;

    /// A root as another process has it: everything below is reached through a folder called `proc/7/root`.
    struct Root {
        top: TempDir,
    }

    impl Root {
        fn new() -> Self {
            let top = TempDir::new().unwrap();
            let root = Self { top };
            fs::create_dir_all(root.at("etc")).unwrap();
            fs::write(root.top.path().join("outside"), "nameserver 192.0.2.99\n").unwrap();
            root
        }

        fn at(&self, path: &str) -> PathBuf {
            self.top.path().join("proc/7/root").join(path)
        }

        fn text(&self) -> Result<String, String> {
            text(self.at("etc/resolv.conf"), FEW_LINES).map_err(|error| error.to_string())
        }

        fn link(&self, to: &str) {
            symlink(to, self.at("etc/resolv.conf")).unwrap();
        }
    }

    #[test]
    fn a_path_through_the_root_of_a_process_is_one_of_another_root() {
        let of = |path: &str| Foreign::of(Path::new(path)).map(|it| (it.root, it.path));
        let both = |root: &str, path: &str| Some((PathBuf::from(root), PathBuf::from(path)));
        assert_eq!(of("/proc/7/root/etc/hosts"), both("/proc/7/root", "/etc/hosts"));
        assert_eq!(of("/proc/1/root"), both("/proc/1/root", "/"));
        assert_eq!(of("/proc/7/comm"), None);
        assert_eq!(of("/run/netns/root"), None);
        assert_eq!(of("/proc/sys/net/root"), None);
    }

    #[test]
    fn links_are_followed_as_a_process_there_would() {
        let root = Root::new();
        fs::create_dir_all(root.at("run")).unwrap();
        fs::write(root.at("run/resolv.conf"), "nameserver 10.0.0.1\n").unwrap();
        root.link("/run/resolv.conf");
        assert_eq!(root.text().unwrap(), "nameserver 10.0.0.1\n");
    }

    #[test]
    fn nothing_leads_out() {
        for out in ["/outside", "../../../../outside", "/../../../../outside", "/etc/shadow"] {
            let root = Root::new();
            root.link(out);
            let refused = root.text().unwrap_err();
            assert!(refused.contains("No such file"), "{out}: {refused}");
        }
        // A folder on the way is a link, too.
        let root = Root::new();
        fs::remove_dir(root.at("etc")).unwrap();
        symlink("/etc", root.at("etc")).unwrap();
        assert!(root.text().is_err());
    }

    #[test]
    fn no_link_of_procfs_is_followed() {
        // The real root, as a container with a /proc has one.
        for link in [
            "/proc/self/root/etc/passwd",
            "/proc/self/cwd/etc/passwd",
            "/proc/self/exe",
        ] {
            let path = format!("/proc/self/root{link}");
            let refused = text(&path, FEW_LINES).unwrap_err();
            assert_eq!(refused.raw_os_error(), Some(libc::ELOOP), "{path}: {refused}");
        }
        let refused = text("/proc/self/root/proc/version", FEW_LINES).unwrap_err();
        assert!(refused.to_string().contains("procfs"), "{refused}");
    }

    #[test]
    fn only_regular_files_are_opened() {
        let start = Instant::now();
        let (zero, mode) = (makedev(1, 5), Mode::from_bits_truncate(0o666));
        let root = Root::new();
        mkfifo(&root.at("etc/resolv.conf"), mode).unwrap();
        assert!(root.text().unwrap_err().contains("FIFO"));
        fs::remove_file(root.at("etc/resolv.conf")).unwrap();
        fs::create_dir(root.at("etc/resolv.conf")).unwrap();
        assert!(root.text().unwrap_err().contains("folder"));
        fs::remove_dir(root.at("etc/resolv.conf")).unwrap();
        // Who may not make a device has the machine's.
        if mknod(&root.at("etc/resolv.conf"), SFlag::S_IFCHR, mode, zero).is_ok() {
            assert!(root.text().unwrap_err().contains("device"));
        }
        assert!(
            text("/proc/self/root/dev/zero", FEW_LINES)
                .unwrap_err()
                .to_string()
                .contains("device")
        );
        assert!(start.elapsed() < Duration::from_secs(2));
    }

    #[test]
    fn a_file_that_is_too_long_is_not_read_in_part() {
        let root = Root::new();
        let file = fs::File::create(root.at("etc/resolv.conf")).unwrap();
        file.set_len(FEW_LINES).unwrap();
        assert_eq!(root.text().unwrap().len() as u64, FEW_LINES);
        file.set_len(1 << 40).unwrap();
        assert!(root.text().unwrap_err().contains("more than"));
        // Its size is told as 0.
        assert!(text("/proc/self/maps", 10).is_err());
        assert!(!text("/proc/self/comm", FEW_LINES).unwrap().is_empty());
    }

    #[test]
    fn folders_of_another_root_are_looked_into_in_it() {
        let root = Root::new();
        fs::create_dir_all(root.at("run/netns")).unwrap();
        fs::write(root.at("run/netns/x"), "").unwrap();
        symlink("/run/netns", root.at("names")).unwrap();
        let names: Vec<_> = entries(root.at("names"))
            .unwrap()
            .iter()
            .map(fs::DirEntry::file_name)
            .collect();
        assert_eq!(names, ["x"]);
        assert!(metadata(root.at("names")).unwrap().is_dir());
        symlink(root.top.path(), root.at("out")).unwrap();
        assert!(entries(root.at("out")).is_err());
    }

    #[test]
    fn only_a_namespace_is_a_namespace() {
        assert!(namespace("/proc/self/ns/net").is_ok());
        let root = Root::new();
        fs::write(root.at("etc/x"), "").unwrap();
        for path in [
            root.at("etc/x"),
            PathBuf::from("/proc/self/comm"),
            root.top.path().join("outside"),
        ] {
            assert!(namespace(path).unwrap_err().to_string().contains("no namespace"));
        }
    }
}
