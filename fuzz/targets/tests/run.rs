//! What `fuzz/run` makes of targets that end well, break or hang. The targets are scripts here, and nothing is built.
#![cfg(unix)]
#![expect(clippy::unwrap_used, reason = "a folder that cannot be made fails the test")]

use std::fs;
use std::os::unix::fs::PermissionsExt as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// A repository with these targets alone, each a shell script by its name.
struct Repository(TempDir);

impl Repository {
    fn of(targets: &[(&str, &str)]) -> Self {
        let own = Self(TempDir::new().unwrap());
        let real = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
        own.program("fuzz/run", &fs::read_to_string(real.join("run")).unwrap());
        own.program(".ci/cargo", "#!/bin/sh\n[ \"$1\" != --which ] || echo /usr/bin/cargo\n");
        let mut manifest = "name = \"fuzz\"\n".to_owned();
        for (name, script) in targets {
            manifest.extend(["name = \"", name, "\"\n"]);
            own.program(
                &format!("target/fuzz/any/release/{name}"),
                &format!("#!/bin/sh\n{script}\n"),
            );
        }
        fs::write(own.path("fuzz/Cargo.toml"), manifest).unwrap();
        own
    }

    fn path(&self, file: &str) -> PathBuf {
        self.0.path().join(file)
    }

    fn program(&self, file: &str, text: &str) {
        let file = self.path(file);
        fs::create_dir_all(file.parent().unwrap()).unwrap();
        fs::write(&file, text).unwrap();
        fs::set_permissions(&file, fs::Permissions::from_mode(0o755)).unwrap();
    }

    fn run(&self) -> Output {
        Command::new(self.path("fuzz/run"))
            .arg("1")
            .env("FUZZ_GRACE", "2")
            .output()
            .unwrap()
    }
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

#[test]
fn all_that_a_target_said_when_it_broke_is_shown_and_nothing_of_those_that_did_not() {
    let breaks = "seq -f 'line %g of the trace' 1 200; echo '#8 NEW cov: 1'; exit 77";
    let repository = Repository::of(&[("well", "echo stat::number_of_executed_units: 42"), ("broken", breaks)]);
    let output = repository.run();
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("FAIL fuzz target broken"), "{text}");
    for line in [1, 41, 200] {
        assert!(text.contains(&format!("line {line} of the trace\n")), "{line}: {text}");
    }
    assert!(
        !text.contains("#8 NEW") && !text.contains("FAIL fuzz target well"),
        "{text}"
    );
    assert!(text.contains("42 inputs in 1 s"), "{text}");
}

#[test]
fn a_target_that_hangs_is_ended_and_told() {
    let repository = Repository::of(&[("hangs", "exec sleep 60"), ("well", "exit 0")]);
    let began = Instant::now();
    let output = repository.run();
    assert!(began.elapsed() < Duration::from_secs(20), "{:?}", began.elapsed());
    let text = said(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("it did not end within 3 s, and was ended"), "{text}");
}

#[test]
fn targets_are_fuzzed_beside_each_other_where_there_are_processors() {
    let meet = |own: &str, other: &str| {
        format!("touch $out/{own}; for i in $(seq 20); do [ -e $out/{other} ] && exit 0; sleep 0.1; done; exit 1")
    };
    let repository = Repository::of(&[("one", &meet("one", "other")), ("other", &meet("other", "one"))]);
    if std::thread::available_parallelism().is_ok_and(|count| count.get() > 1) {
        assert_eq!(repository.run().status.code(), Some(0));
    }
}
