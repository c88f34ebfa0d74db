//! Imports run one way: which crate may know which, that the rooms of a crate form no circle, and what a rule, a probe and
//! the pure crates must not name.
#![expect(clippy::unwrap_used, reason = "sources that cannot be read fail the test")]

#[path = "layers/rooms.rs"]
mod rooms;

use cargo_metadata::{Dependency, DependencyKind, Metadata, MetadataCommand, Package};
use regex::Regex;
use rooms::House;
use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

/// Which crates of this repository each crate may know. `tests` may know all.
const MAY_KNOW: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("node-helper-ebpf", &["model"]),
    ("node-helper", &["model"]),
    ("diagnoses", &["model"]),
    ("cli", &["model", "diagnoses"]),
    ("completions", &["model", "cli"]),
    ("dashboards", &["model", "cli"]),
    ("image", &[]),
    ("targets", &["model", "node-helper", "cli"]),
];

/// Crates from elsewhere (or the beginning of their names) that a crate must not know, and why.
const MUST_NOT_KNOW: &[(&str, &[&str], &str)] = &[
    (
        "model",
        &["tokio", "kube", "k8s-", "aya", "nix", "libc"],
        "it is plain words",
    ),
    (
        "diagnoses",
        &["tokio", "kube", "k8s-", "aya", "nix", "libc", "socket2", "reqwest"],
        "rules are pure",
    ),
    (
        "node-helper",
        &["kube", "k8s-", "tokio"],
        "it knows the kernel and nothing of Kubernetes",
    ),
    (
        "cli",
        &[
            "nix",
            "procfs",
            "aya",
            "netlink-",
            "nfq",
            "rtnetlink",
            "linux-raw-sys",
            "caps",
        ],
        "it is built for macOS and Windows too; what only Linux has stands behind `cfg(target_os = \"linux\")`",
    ),
];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap().to_path_buf()
}

/// The packages of the workspace and of the kernel side, which is outside it.
fn packages() -> Vec<Package> {
    let of = |manifest: &str| -> Metadata {
        MetadataCommand::new()
            .manifest_path(root().join(manifest))
            .no_deps()
            .exec()
            .unwrap()
    };
    let mut packages = of("Cargo.toml").packages;
    packages.extend(of("node-helper-ebpf/Cargo.toml").packages);
    packages
}

fn package<'a>(packages: &'a [Package], name: &str) -> &'a Package {
    packages
        .iter()
        .find(|package| package.name.as_str() == name)
        .unwrap_or_else(|| panic!("no crate {name}"))
}

/// What a crate is built with, for every target; tests of a crate may know more.
fn built_with(package: &Package) -> impl Iterator<Item = &Dependency> {
    package
        .dependencies
        .iter()
        .filter(|dependency| dependency.kind != DependencyKind::Development)
}

#[test]
fn crates_know_only_those_below_them() {
    let packages = packages();
    for (name, allowed) in MAY_KNOW {
        for dependency in built_with(package(&packages, name)).filter(|dependency| dependency.path.is_some()) {
            assert!(
                allowed.contains(&dependency.name.as_str()),
                "{name} must not know {}",
                dependency.name
            );
        }
    }
    let named: Vec<&str> = MAY_KNOW.iter().map(|(name, _)| *name).chain(["tests"]).collect();
    for package in &packages {
        assert!(
            named.contains(&package.name.as_str()),
            "say in MAY_KNOW what {} may know",
            package.name
        );
    }
}

#[test]
fn crates_know_nothing_they_have_no_business_with() {
    let packages = packages();
    for (name, banned, why) in MUST_NOT_KNOW {
        for dependency in built_with(package(&packages, name)) {
            let only_on_linux = dependency
                .target
                .as_ref()
                .is_some_and(|target| target.to_string().contains("linux"));
            let found = banned
                .iter()
                .any(|start| dependency.name == *start || (start.ends_with('-') && dependency.name.starts_with(start)));
            assert!(
                !found || (*name == "cli" && only_on_linux),
                "{name} must not know {}: {why}",
                dependency.name
            );
        }
    }
}

/// The crates whose rooms are looked at.
const HOUSES: &[&str] = &[
    "model/src",
    "node-helper-ebpf/src",
    "node-helper/src",
    "diagnoses/src",
    "cli/src",
    "tests/src",
];

#[test]
fn no_rooms_name_each_other_in_a_circle() {
    let mut found = Vec::new();
    for folder in HOUSES {
        let house = House::read(&root().join(folder));
        assert!(house.len() > 5, "{folder} was not read");
        found.extend(house.circles().into_iter().map(|tie| format!("{folder}: {tie}")));
    }
    assert!(found.is_empty(), "neighbours name each other: {found:#?}");
}

/// What `main` returns as an error is printed for developers: with its backtrace, where one is asked for.
#[test]
fn no_program_leaves_its_errors_to_the_language() {
    let main = Regex::new(r"fn main\(\) -> [^{]*Result").unwrap();
    let mut found = Vec::new();
    for package in packages() {
        for target in &package.targets {
            let (name, file) = (&target.name, target.src_path.as_std_path());
            if !target.is_custom_build() && main.is_match(&code(file)) {
                found.push(format!("{name} of {}", package.name));
            }
        }
    }
    assert!(found.is_empty(), "they print errors as the language does: {found:#?}");
}

#[test]
fn one_noun_is_one_type() {
    let mut files_by_name: BTreeMap<String, BTreeSet<PathBuf>> = BTreeMap::new();
    for folder in HOUSES {
        for defined in House::read(&root().join(folder)).types() {
            let files = files_by_name.entry(defined.name.clone()).or_default();
            files.insert(defined.file.strip_prefix(root()).unwrap().to_path_buf());
        }
    }
    assert!(files_by_name.contains_key("Evidence"), "no types were found");
    files_by_name.retain(|_, files| files.len() > 1);
    assert!(
        files_by_name.is_empty(),
        "public types of the same name; the short one belongs to model: {files_by_name:#?}"
    );
}

/// A room's first lines say what belongs there, and what not.
#[test]
fn every_room_says_what_belongs_in_it() {
    const LINES: usize = 3;
    let mut silent = Vec::new();
    for folder in HOUSES {
        for file in sources(&root().join(folder))
            .into_iter()
            .filter(|file| file.ends_with("mod.rs"))
        {
            let text = fs::read_to_string(&file).unwrap();
            if text.lines().take_while(|line| line.starts_with("//!")).count() < LINES {
                silent.push(file);
            }
        }
    }
    assert!(
        silent.is_empty(),
        "say in at least {LINES} lines what belongs there: {silent:#?}"
    );
}

#[test]
fn every_rule_lies_in_the_folder_of_its_layer() {
    let loose: Vec<PathBuf> = fs::read_dir(root().join("diagnoses/src/rules"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.is_file() && !path.ends_with("mod.rs"))
        .collect();
    assert!(loose.is_empty(), "rules that lie in no folder: {loose:#?}");
}

/// The code of a file: no comments, no tests.
fn code(file: &Path) -> String {
    let text = fs::read_to_string(file).unwrap();
    let text = text.split("#[cfg(test)]").next().unwrap_or_default();
    text.lines()
        .filter(|line| !line.trim_start().starts_with("//"))
        .collect::<Vec<_>>()
        .join("\n")
}

/// All Rust files below a folder.
fn sources(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap_or_else(|error| panic!("cannot read {}: {error}", folder.display())) {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(sources(&path));
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
    found.sort();
    found
}

#[test]
fn the_pure_crates_touch_neither_files_nor_network_nor_processes_nor_clocks() {
    // Addresses of `std::net` are plain values and welcome.
    let effects = Regex::new(
        r"\bstd::(fs|process|thread|env|os)\b|\bstd::\{[^}]*\b(fs|process|thread|env|os)\b|\b(TcpStream|TcpListener|UdpSocket|ToSocketAddrs|SystemTime|Instant)\b",
    )
    .unwrap();
    for folder in ["diagnoses/src", "model/src"] {
        for file in sources(&root().join(folder)) {
            let found = effects.find(&code(&file)).map(|found| found.as_str().to_owned());
            assert_eq!(found, None, "{} has an effect", file.display());
        }
    }
}

/// The modules of a registry's folder: its files but `mod.rs`, and its folders.
fn modules(folder: &Path) -> Vec<(String, Vec<PathBuf>)> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        if path.is_dir() {
            found.push((name, sources(&path)));
        } else if name != "mod" && path.extension().is_some_and(|extension| extension == "rs") {
            found.push((name, vec![path]));
        }
    }
    found
}

/// Panics where the code of a module matches what stands for another one of them.
fn assert_strangers(modules: &[(String, Vec<PathBuf>)], meaning: impl Fn(&str) -> Regex) {
    assert!(!modules.is_empty(), "there are no modules");
    let mut named = Vec::new();
    for (other, _) in modules {
        let by_any_name = meaning(other);
        for (name, files) in modules.iter().filter(|(name, _)| name != other) {
            if files.iter().any(|file| by_any_name.is_match(&code(file))) {
                named.push(format!("{name} names {other}"));
            }
        }
    }
    assert!(named.is_empty(), "neighbours must be strangers: {named:#?}");
}

/// Rules are known by path (from their own folder, from any other, or through a layer as a whole) and by id.
#[test]
fn no_rule_names_another_rule() {
    let folder = root().join("diagnoses/src/rules");
    let layers: Vec<String> = modules(&folder).into_iter().map(|(layer, _)| layer).collect();
    let rules: Vec<_> = layers.iter().flat_map(|layer| modules(&folder.join(layer))).collect();
    let layers = layers.join("|");
    assert_strangers(&rules, |other| {
        let by_path = format!(r"\b(super|rules|{layers})::(\{{[^}}]*\b)?{other}\b");
        let by_layer = format!(r"\b(super|rules)::(\{{[^}}]*\b)?({layers})\b");
        let by_id = format!("\"{}\"", other.replace('_', "-"));
        Regex::new(&format!("{by_path}|{by_layer}|{by_id}")).unwrap()
    });
}

#[test]
fn no_probe_names_another_probe() {
    for (folder, parent) in [
        ("node-helper/src/probes", "probes"),
        ("node-helper-ebpf/src/bin", "bin"),
    ] {
        assert_strangers(&modules(&root().join(folder)), |other| {
            Regex::new(&format!(r"\b(super|{parent})::(\{{[^}}]*\b)?{other}\b")).unwrap()
        });
    }
}
