//! What fuzzing begins with and what it found before, without a fuzzer; and that no target is forgotten.
#![expect(clippy::unwrap_used, reason = "folders that cannot be read fail the test")]

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use targets::{Base, Edit, edited};

fn fuzz() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

fn inputs(of: &str, name: &str) -> Vec<PathBuf> {
    let Ok(folder) = fs::read_dir(fuzz().join(of).join(name)) else {
        return Vec::new();
    };
    folder.map(|entry| entry.unwrap().path()).collect()
}

#[test]
fn no_target_stumbles_over_its_corpus_or_over_what_broke_it_once() {
    for (name, target) in targets::all() {
        let corpus = inputs("corpus", name);
        assert!(
            !corpus.is_empty(),
            "{name} has nothing to begin with in fuzz/corpus/{name}"
        );
        for file in corpus.into_iter().chain(inputs("crashes", name)) {
            let bytes = fs::read(&file).unwrap();
            let went_well = std::panic::catch_unwind(|| target(&bytes)).is_ok();
            assert!(went_well, "{name} stumbles over {}", file.display());
        }
    }
}

#[test]
fn every_target_has_its_entry() {
    let stems = fs::read_dir(fuzz().join("fuzz_targets")).unwrap();
    let entries: BTreeSet<String> = stems
        .map(|entry| {
            entry
                .unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_string_lossy()
                .into_owned()
        })
        .collect();
    let names: BTreeSet<String> = targets::all().map(|(name, _)| name.to_owned()).collect();
    assert_eq!(entries, names);
    let manifest = fs::read_to_string(fuzz().join("Cargo.toml")).unwrap();
    for name in names {
        assert!(
            manifest.contains(&format!("name = \"{name}\"")),
            "{name} is not in fuzz/Cargo.toml"
        );
    }
}

#[test]
fn a_recording_of_which_any_line_was_taken_is_not_healthy_though_it_was_numbered_anew() {
    let recording = Base::Healthy.recording();
    let whole = recording.replayed(recording.text.as_bytes()).unwrap();
    assert_eq!(whole.outcome, model::report::Conclusion::Healthy, "{}", whole.headline);
    let lines = recording.text.lines().count() - 1;
    // Every line would take long; each word is met.
    for line in (0..lines).filter(|line| *line < 20 || line % 7 == 0 || line + 5 > lines) {
        for renumber in [false, true] {
            let edit = Edit::Drop(line as u16);
            let Some(report) = edited(&recording.text, renumber, &[edit]).and_then(|bytes| recording.replayed(&bytes))
            else {
                continue;
            };
            assert_ne!(
                report.outcome,
                model::report::Conclusion::Healthy,
                "without line {line}: {}",
                report.headline
            );
        }
    }
}
