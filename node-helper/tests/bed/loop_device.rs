//! A block device of the test's own: a loop device on a file, past the page cache.
#![allow(clippy::disallowed_methods, reason = "tests make files and devices of their own")]

use nix::sys::stat::{major, minor};
use std::os::unix::fs::MetadataExt as _;
use std::path::Path;
use std::process::Command;
use tempfile::TempDir;

/// It goes with its file.
pub struct LoopDevice {
    /// Its path.
    pub path: String,
    folder: TempDir,
}

impl LoopDevice {
    /// One of so many bytes, all of them written.
    pub fn new(bytes: usize) -> Self {
        let folder = tempfile::tempdir_in("/var/tmp").unwrap();
        let file = folder.path().join("disk");
        std::fs::write(&file, vec![7; bytes]).unwrap();
        std::fs::File::open(&file).unwrap().sync_all().unwrap();
        let made = Command::new("losetup")
            .args(["--find", "--show", "--direct-io=on"])
            .arg(&file)
            .output()
            .unwrap();
        assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
        let path = String::from_utf8(made.stdout).unwrap().trim().to_owned();
        Self { path, folder }
    }

    /// Its name among block devices.
    pub fn name(&self) -> String {
        self.path.trim_start_matches("/dev/").to_owned()
    }

    /// Its numbers, as limits of cgroups name it.
    pub fn numbers(&self) -> String {
        numbers(std::fs::metadata(&self.path).unwrap().rdev())
    }

    /// The numbers of the disk that its file lies on, and that disk's name.
    pub fn backing(&self) -> (String, String) {
        let numbers = numbers(std::fs::metadata(self.folder.path()).unwrap().dev());
        let link = std::fs::read_link(Path::new("/sys/dev/block").join(&numbers)).unwrap();
        (numbers, link.file_name().unwrap().to_string_lossy().into_owned())
    }
}

fn numbers(device: u64) -> String {
    format!("{}:{}", major(device), minor(device))
}

impl Drop for LoopDevice {
    fn drop(&mut self) {
        let _ = Command::new("losetup").args(["--detach", &self.path]).status();
    }
}
