//! Embeds the helpers it is pointed to: `SKOOP_HELPER_X86_64` and `SKOOP_HELPER_AARCH64` each name one static binary. The
//! image that clusters start them from is this version's, or what `SKOOP_IMAGE` names: a release's, by its digest.

use std::path::{Path, PathBuf};
use std::{env, fs};

const ARCHITECTURES: [&str; 2] = ["x86_64", "aarch64"];

fn main() {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let mut list = String::from("&[");
    for arch in ARCHITECTURES {
        let variable = format!("SKOOP_HELPER_{}", arch.to_uppercase());
        println!("cargo::rerun-if-env-changed={variable}");
        let Some(path) = env::var_os(&variable).filter(|path| !path.is_empty()) else {
            continue;
        };
        let path = Path::new(&path);
        println!("cargo::rerun-if-changed={}", path.display());
        if fs::metadata(path).is_ok_and(|file| file.len() > 0) {
            list.extend([
                "(\"",
                arch,
                "\", include_bytes!(r\"",
                &path.to_string_lossy(),
                "\") as &[u8]),",
            ]);
        } else {
            println!(
                "cargo::error={variable} names {}, which is no file: build the helper first",
                path.display()
            );
        }
    }
    list.push(']');
    println!("cargo::rerun-if-env-changed=SKOOP_IMAGE");
    let image = env::var("SKOOP_IMAGE").ok().filter(|image| !image.is_empty());
    let version = env::var("CARGO_PKG_VERSION").expect("cargo sets CARGO_PKG_VERSION");
    let image = image.unwrap_or_else(|| format!("ghcr.io/kubectl-skoop/node-helper:v{version}"));
    println!("cargo::rustc-env=SKOOP_IMAGE={image}");
    fs::write(out.join("embedded.rs"), list).expect("OUT_DIR can be written");
}
