//! Files that may hold secrets: made anew for their owner alone, and never through a link.

use std::fs::{self, File, OpenOptions};
use std::io::{Error, ErrorKind, Result};
use std::path::Path;

/// Makes the file. A regular file of that name is replaced by a new one, so that whoever has the old one open, or linked
/// elsewhere, reads nothing of what is written; a link, a device or a pipe is refused.
pub fn create(path: &Path) -> Result<File> {
    match make(path) {
        Err(error) if error.kind() == ErrorKind::AlreadyExists => {
            if !fs::symlink_metadata(path)?.is_file() {
                return Err(Error::new(
                    ErrorKind::AlreadyExists,
                    "it is a link or no regular file, and may lead elsewhere; name another file",
                ));
            }
            fs::remove_file(path)?;
            // What somebody else puts there meanwhile is not opened.
            make(path)
        }
        made => made,
    }
}

fn make(path: &Path) -> Result<File> {
    let mut options = OpenOptions::new();
    // O_CREAT with O_EXCL follows no link (open(2)).
    options.write(true).create_new(true);
    #[cfg(unix)]
    {
        use std::os::unix::fs::OpenOptionsExt as _;
        options.mode(0o600);
    }
    options.open(path)
}

#[cfg(all(test, unix))]
mod tests {
    use super::create;
    use std::fs;
    use std::io::Write as _;
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};

    #[test]
    fn a_file_is_its_owners_alone_also_where_another_was_before() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("run");
        fs::write(&path, "before").unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o644)).unwrap();
        fs::hard_link(&path, folder.path().join("twin")).unwrap();
        create(&path).unwrap().write_all(b"secret").unwrap();
        let mode = |name: &str| fs::metadata(folder.path().join(name)).unwrap().mode() & 0o777;
        assert_eq!((mode("run"), mode("twin")), (0o600, 0o644));
        assert_eq!(fs::read_to_string(folder.path().join("twin")).unwrap(), "before");
    }

    #[test]
    fn nothing_is_written_through_a_link_wherever_it_leads() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "mine").unwrap();
        for (name, to) in [
            ("to-a-file", victim.as_path()),
            ("to-nothing", &folder.path().join("none")),
        ] {
            let link = folder.path().join(name);
            symlink(to, &link).unwrap();
            assert!(create(&link).unwrap_err().to_string().contains("link"), "{name}");
        }
        assert_eq!(fs::read_to_string(&victim).unwrap(), "mine");
        assert!(!folder.path().join("none").exists());
        assert!(create(std::path::Path::new("/dev/null")).is_err());
    }
}
