//! Who lives in namespaces of tests: processes that do as they are told, and their cgroups.
#![allow(clippy::disallowed_methods, reason = "tests make files and cgroups of their own")]

use super::NetnsBed;
use std::io::{BufRead as _, BufReader, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::process::{Child, Command, Stdio};

/// A process that lives in a namespace, in Python: it says a line when it is ready, goes on when it hears one, and says another.
pub struct Inhabitant {
    process: Child,
    said: BufReader<std::process::ChildStdout>,
}

impl Inhabitant {
    /// Starts it, and hears that it is ready.
    pub fn start(bed: &NetnsBed, name: &str, script: &str) -> Self {
        let namespace = bed.namespace(name);
        let mut process = Command::new("nsenter")
            .arg(format!("--net={}", namespace.path.display()))
            .args(["python3", "-c", script])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let said = BufReader::new(process.stdout.take().unwrap());
        let mut inhabitant = Self { process, said };
        inhabitant.hear();
        inhabitant
    }

    /// Its next line.
    pub fn hear(&mut self) -> String {
        let mut line = String::new();
        self.said.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "it has ended");
        line
    }

    /// Lets it go on until it has done its part.
    pub fn go_on(&mut self) {
        self.answer();
    }

    /// The same; what it says then.
    pub fn answer(&mut self) -> String {
        self.process.stdin.as_mut().unwrap().write_all(b"\n").unwrap();
        self.hear()
    }

    /// nsenter becomes the program that it starts.
    pub fn pid(&self, bed: &NetnsBed, name: &str) -> u32 {
        let pid = self.process.id();
        let inode = std::fs::metadata(format!("/proc/{pid}/ns/net")).unwrap().ino();
        assert_eq!(inode, u64::from(bed.namespace(name).inode));
        pid
    }
}

impl Drop for Inhabitant {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// A cgroup of its own, which goes when all have left it.
pub struct TestGroup(std::path::PathBuf);

impl TestGroup {
    /// In a hierarchy, by this name.
    pub fn new(hierarchy: &str, name: &str) -> Self {
        let group = std::path::Path::new(hierarchy).join(name);
        std::fs::create_dir(&group).unwrap();
        Self(group)
    }

    /// One below it.
    pub fn below(&self, name: &str) -> Self {
        Self::new(&self.0.display().to_string(), name)
    }

    /// Writes to one of its files.
    pub fn set(&self, file: &str, value: &str) {
        std::fs::write(self.0.join(file), value).unwrap();
    }

    /// What one of its files says.
    pub fn get(&self, file: &str) -> String {
        std::fs::read_to_string(self.0.join(file)).unwrap()
    }
}

impl Drop for TestGroup {
    fn drop(&mut self) {
        let back = self.0.parent().unwrap().join("cgroup.procs");
        for pid in std::fs::read_to_string(self.0.join("cgroup.procs"))
            .unwrap_or_default()
            .lines()
        {
            let _ = std::fs::write(&back, pid);
        }
        let _ = std::fs::remove_dir(&self.0);
    }
}
