//! Writes the helper's image as an OCI archive: `image OUT NAME:TAG ARCH=HELPER...`, e.g.
//! `image node-helper.tar ghcr.io/kubectl-skoop/node-helper:v0.1.0 x86_64=target/.../node-helper`.
//!
//! `ctr images import`, `podman load` and `skopeo copy oci-archive:` take it; nothing but the helper is inside. Its digest, by which
//! a registry knows it, is written beside it (`OUT` with the ending `.digest`).

mod archive;

use anyhow::{Context as _, Result, bail};
use archive::Variant;
use std::fs;
use std::path::Path;
use std::process::ExitCode;

const USAGE: &str = "usage: image OUT NAME:TAG ARCH=HELPER..., where ARCH is x86_64 or aarch64";

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match write(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            use std::io::Write as _;
            let _ = writeln!(std::io::stderr(), "image: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn write(arguments: &[String]) -> Result<()> {
    let [out, name, helpers @ ..] = arguments else {
        bail!(USAGE);
    };
    if helpers.is_empty() {
        bail!(USAGE);
    }
    let variants = helpers
        .iter()
        .map(|helper| variant(helper))
        .collect::<Result<Vec<_>>>()?;
    let (archive, digest) = archive::of(name, &variants)?;
    fs::write(out, archive).with_context(|| format!("writing {out}"))?;
    let beside = Path::new(out).with_extension("digest");
    fs::write(&beside, format!("{digest}\n")).with_context(|| format!("writing {}", beside.display()))
}

fn variant(argument: &str) -> Result<Variant> {
    let (arch, path) = argument.split_once('=').context(USAGE)?;
    let helper = fs::read(path).with_context(|| format!("reading the helper {path}"))?;
    if !helper.starts_with(b"\x7fELF") {
        bail!("{path} is no program for Linux; build the helper first (make build)");
    }
    Ok(Variant {
        arch: archive::architecture(arch).with_context(|| format!("{arch} is no architecture of a helper"))?,
        helper,
    })
}
