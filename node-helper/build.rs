//! Builds the kernel side (`../node-helper-ebpf`) and hands its ELFs to the helper as `programs.rs` in `OUT_DIR`:
//! one `pub const NAME: &[u8]` per program, and `ALL`, their names and bytes.
//!
//! The kernel side needs `core` for `bpfel-unknown-none`, which no stable toolchain brings. Two kinds of compiler do:
//! the system's own (Debian's `rustc-web` with `rust-web-src`), and a rustup nightly with `rust-src`. The system's is
//! asked first, because its LLVM is the one that `make setup` builds `bpf-linker` with.

#![expect(clippy::print_stderr, reason = "how a build script talks to its reader")]
#![allow(clippy::disallowed_methods, reason = "it builds the helper, and is none of it")]

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

const TARGET: &str = "bpfel-unknown-none";

/// The oldest compiler that builds aya-ebpf and edition 2024 as used here, as (major, minor).
const OLDEST: (u32, u32) = (1, 95);

type Outcome<T> = Result<T, String>;

fn main() {
    if let Err(why) = build() {
        eprintln!("the kernel side cannot be built: {why}");
        std::process::exit(1);
    }
}

fn build() -> Outcome<()> {
    let here = PathBuf::from(variable("CARGO_MANIFEST_DIR")?);
    let out = PathBuf::from(variable("OUT_DIR")?);
    let root = here.parent().ok_or("node-helper has no parent folder")?;
    let kernel_side = root.join("node-helper-ebpf");
    for path in ["src", "Cargo.toml", "Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", kernel_side.join(path).display());
    }
    for path in ["model/src", "model/Cargo.toml"] {
        println!("cargo::rerun-if-changed={}", root.join(path).display());
    }

    let target_dir = shared_target_dir(&out, root);
    let search_path = search_path();
    require_linker(&search_path)?;
    let mut cargo = find_compiler()?;
    cargo
        .current_dir(&kernel_side)
        .args([
            "build",
            "--release",
            "--bins",
            "-Z",
            "build-std=core",
            "--target",
            TARGET,
            "--target-dir",
        ])
        .arg(&target_dir)
        .env("PATH", &search_path)
        .env(
            "CARGO_ENCODED_RUSTFLAGS",
            // Flags are told apart by this character. Small copies and clearings become plain stores: as calls of loops they
            // cost the verifier more than all the rest.
            format!(
                "--cfg=bpf_target_arch=\"{}\"\u{1f}-Clink-arg=--disable-expand-memcpy-in-order",
                variable("CARGO_CFG_TARGET_ARCH")?
            ),
        );
    let built = cargo
        .output()
        .map_err(|error| format!("cannot start {cargo:?}: {error}"))?;
    if !built.status.success() {
        return Err(format!("{cargo:?} failed\n{}", String::from_utf8_lossy(&built.stderr)));
    }

    let names = program_names(&kernel_side.join("src/bin"))?;
    let elves = target_dir.join(TARGET).join("release");
    for name in &names {
        let (from, to) = (elves.join(name), out.join(name));
        fs::copy(&from, to).map_err(|error| format!("cannot copy {}: {error}", from.display()))?;
    }
    let list = out.join("programs.rs");
    fs::write(&list, rust_list(&names)).map_err(|error| format!("cannot write {}: {error}", list.display()))
}

fn variable(name: &str) -> Outcome<String> {
    env::var(name).map_err(|error| format!("cargo gave no {name}: {error}"))
}

/// One target folder for all profiles, beside cargo's own (whose lock is held while this runs), so that the kernel
/// side is compiled once. Cargo tags the top of a target folder.
fn shared_target_dir(out: &Path, root: &Path) -> PathBuf {
    out.ancestors()
        .find(|folder| folder.join("CACHEDIR.TAG").is_file())
        .map_or_else(|| root.join("target"), Path::to_path_buf)
        .join("bpf")
}

/// PATH, then the folder where `cargo install` puts `bpf-linker`.
fn search_path() -> String {
    let path = env::var("PATH").unwrap_or_default();
    let cargo_home = env::var("CARGO_HOME")
        .or_else(|_| env::var("HOME").map(|home| format!("{home}/.cargo")))
        .unwrap_or_default();
    format!("{path}:{cargo_home}/bin")
}

fn require_linker(search_path: &str) -> Outcome<()> {
    let found = env::split_paths(search_path).any(|folder| folder.join("bpf-linker").is_file());
    found.then_some(()).ok_or_else(|| {
        "bpf-linker is not on PATH; `make setup` installs it, or, by hand on Debian 12:\n  \
         apt-get install llvm-22-dev libzstd-dev zlib1g-dev\n  \
         LLVM_PREFIX=/usr/lib/llvm-22 cargo install bpf-linker --no-default-features --features llvm-22 --locked"
            .to_owned()
    })
}

/// Cargo with a compiler that can build `core`, or what to install.
fn find_compiler() -> Outcome<Command> {
    if Path::new("/usr/bin/cargo").is_file() && has_core_sources("/usr/bin/rustc") {
        let mut cargo = free_of_the_outer_build("/usr/bin/cargo");
        // Else a rustup compiler that stands first on PATH would be taken.
        cargo.env("RUSTC", "/usr/bin/rustc").env("RUSTC_BOOTSTRAP", "1");
        return Ok(cargo);
    }
    let nightly = free_of_the_outer_build("rustup")
        .args(["which", "--toolchain", "nightly", "rustc"])
        .output();
    if let Ok(nightly) = nightly
        && has_core_sources(String::from_utf8_lossy(&nightly.stdout).trim())
    {
        let mut cargo = free_of_the_outer_build("rustup");
        cargo.args(["run", "nightly", "cargo"]);
        return Ok(cargo);
    }
    Err(format!(
        "it needs a compiler of {}.{} or later with the sources of `core`, and none is here; \
         `make setup` installs one, or, by hand:\n  \
         apt-get install rustc-web cargo-web rust-web-src                  (Debian 12)\n  \
         rustup toolchain install nightly --component rust-src             (elsewhere)",
        OLDEST.0, OLDEST.1
    ))
}

/// A command that inherits nothing that cargo set for this build: its compiler, wrappers, flags and libraries belong
/// to another toolchain and another target.
fn free_of_the_outer_build(program: &str) -> Command {
    const KEPT: [&str; 4] = ["CARGO_HOME", "CARGO_HTTP_", "CARGO_NET_", "CARGO_REGISTR"];
    let mut command = Command::new(program);
    command.env_remove("LD_LIBRARY_PATH");
    for (name, _) in env::vars_os() {
        let text = name.to_string_lossy();
        let ours = ["CARGO", "RUSTC", "RUSTFLAGS", "RUSTDOC", "RUSTUP_TOOLCHAIN"]
            .iter()
            .any(|start| text.starts_with(start));
        if ours && !KEPT.iter().any(|kept| text.starts_with(kept)) {
            command.env_remove(&name);
        }
    }
    command
}

fn has_core_sources(rustc: &str) -> bool {
    let ask = |flag: &[&str]| -> Option<String> {
        let answer = free_of_the_outer_build(rustc).args(flag).output().ok()?;
        answer
            .status
            .success()
            .then(|| String::from_utf8_lossy(&answer.stdout).trim().to_owned())
    };
    let recent = ask(&["--version"])
        .and_then(|text| version(&text))
        .is_some_and(|found| found >= OLDEST);
    let sources = ask(&["--print", "sysroot"]).is_some_and(|root| {
        Path::new(&root)
            .join("lib/rustlib/src/rust/library/core/Cargo.toml")
            .is_file()
    });
    recent && sources
}

/// `rustc 1.96.0 (...)` is (1, 96).
fn version(text: &str) -> Option<(u32, u32)> {
    let mut numbers = text.split_whitespace().nth(1)?.split('.');
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

/// The programs are the files of `src/bin`, in order.
fn program_names(folder: &Path) -> Outcome<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(|error| format!("cannot read {}: {error}", folder.display()))?;
    let mut names: Vec<String> = entries
        .filter_map(Result::ok)
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "rs"))
        .filter_map(|path| Some(path.file_stem()?.to_str()?.to_owned()))
        .collect();
    names.sort();
    Ok(names)
}

/// Object readers want eight-byte alignment, which `aya::include_bytes_aligned!` gives.
fn rust_list(names: &[String]) -> String {
    let mut rust = String::new();
    for name in names {
        let constant = name.to_uppercase().replace('-', "_");
        let _ = writeln!(
            rust,
            "/// The kernel-side program `{name}`.\npub const {constant}: &[u8] =\n    aya::include_bytes_aligned!(concat!(env!(\"OUT_DIR\"), \"/{name}\"));"
        );
    }
    rust.push_str("/// Every program: its name and its ELF.\npub const ALL: &[(&str, &[u8])] = &[");
    for name in names {
        let _ = write!(rust, "(\"{name}\", {}), ", name.to_uppercase().replace('-', "_"));
    }
    rust.push_str("];\n");
    rust
}
