//! The helper's bytes inside the client, and how they are run without leaving a file behind.

/// Helpers by architecture, as the build script was given them.
const HELPERS: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/embedded.rs"));

/// The helper for this machine, if it was built in.
pub fn helper() -> Option<&'static [u8]> {
    helper_for(std::env::consts::ARCH)
}

/// The helper for a machine of this architecture, as Kubernetes (`amd64`) or Rust (`x86_64`) call it; this machine's
/// where it is not known.
pub fn helper_for(arch: &str) -> Option<&'static [u8]> {
    let arch = match arch {
        "" => std::env::consts::ARCH,
        "amd64" => "x86_64",
        "arm64" => "aarch64",
        other => other,
    };
    HELPERS
        .iter()
        .find(|(built, _)| *built == arch)
        .map(|(_, bytes)| *bytes)
}

/// An executable that exists as long as this value does.
#[derive(Debug)]
pub struct Executable {
    path: std::path::PathBuf,
    _keep: Keep,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held, not read")]
enum Keep {
    #[cfg(target_os = "linux")]
    Memory(std::fs::File),
    File(tempfile::TempPath),
}

impl Executable {
    /// Where it can be started from.
    pub fn path(&self) -> &std::path::Path {
        &self.path
    }

    /// In anonymous memory where there is such a thing, else in a private temporary file.
    pub fn of(bytes: &[u8]) -> std::io::Result<Self> {
        #[cfg(target_os = "linux")]
        if let Ok(executable) = Self::in_memory(bytes) {
            return Ok(executable);
        }
        Self::in_file(bytes)
    }

    #[cfg(target_os = "linux")]
    fn in_memory(bytes: &[u8]) -> std::io::Result<Self> {
        use nix::sys::memfd::{MFdFlags, memfd_create};
        use std::io::Write as _;
        use std::os::fd::AsRawFd as _;
        // Closed on exec: the child is started through this process's own /proc entry.
        let mut file = std::fs::File::from(memfd_create("node-helper", MFdFlags::MFD_CLOEXEC)?);
        file.write_all(bytes)?;
        let path = std::path::PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), file.as_raw_fd()));
        // A machine without /proc, or one that forbids executable memory, gets the file.
        std::fs::metadata(&path)?;
        Ok(Self {
            path,
            _keep: Keep::Memory(file),
        })
    }

    fn in_file(bytes: &[u8]) -> std::io::Result<Self> {
        use std::io::Write as _;
        let mut builder = tempfile::Builder::new();
        builder.prefix("skoop-helper-");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            builder.permissions(std::fs::Permissions::from_mode(0o700));
        }
        let mut file = builder.tempfile()?;
        file.write_all(bytes)?;
        // A file that is open for writing cannot be executed.
        let path = file.into_temp_path();
        Ok(Self {
            path: path.to_path_buf(),
            _keep: Keep::File(path),
        })
    }
}

#[cfg(all(test, unix))]
mod tests {
    use super::Executable;
    use std::process::Command;

    #[test]
    fn bytes_run_and_leave_nothing() {
        let bytes = std::fs::read("/bin/true").unwrap();
        for executable in [Executable::of(&bytes).unwrap(), Executable::in_file(&bytes).unwrap()] {
            assert!(Command::new(executable.path()).status().unwrap().success());
            let path = executable.path().to_owned();
            drop(executable);
            assert!(!path.exists());
        }
    }
}
