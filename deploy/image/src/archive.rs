//! An OCI image layout in a tar file (image-spec 1.1, image-layout.md): an index, and for each architecture a manifest,
//! a configuration and one layer with one file. The same helpers give the same bytes.

use anyhow::{Context as _, Result};
use flate2::{Compression, GzBuilder};
use oci_spec::image::{
    ANNOTATION_REF_NAME, Arch, ConfigBuilder, Descriptor, DescriptorBuilder, Digest, ImageConfigurationBuilder,
    ImageIndexBuilder, ImageManifestBuilder, MediaType, OciLayoutBuilder, Os, PlatformBuilder, RootFsBuilder,
    SCHEMA_VERSION,
};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use std::collections::BTreeMap;
use std::io::Write as _;

/// Where the helper lies in the image; manifests start it from there.
const PROGRAM: &str = "node-helper";
/// Annotation by which containerd names an image it imports.
const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// The image layout's own version.
const LAYOUT: &str = "1.0.0";
/// Nothing in the image depends on when it was made.
const CREATED: &str = "1970-01-01T00:00:00Z";

/// A helper for one architecture.
#[derive(Debug)]
pub struct Variant {
    /// Its architecture.
    pub arch: Arch,
    /// The static binary.
    pub helper: Vec<u8>,
}

/// The architecture as OCI calls it.
pub fn architecture(name: &str) -> Option<Arch> {
    match name {
        "x86_64" | "amd64" => Some(Arch::Amd64),
        "aarch64" | "arm64" => Some(Arch::ARM64),
        _ => None,
    }
}

/// The archive of an image of this name, and the image's digest: what a registry knows it by.
pub fn of(name: &str, variants: &[Variant]) -> Result<(Vec<u8>, String)> {
    let mut blobs = Blobs::default();
    let manifests = variants
        .iter()
        .map(|variant| blobs.manifest(variant))
        .collect::<Result<Vec<_>>>()?;
    let image = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(manifests)
        .build()?;
    let mut entry = blobs.add(MediaType::ImageIndex, document(&image)?)?;
    let tag = name.rsplit_once(':').map_or(name, |(_, tag)| tag);
    let digest = entry.digest().to_string();
    entry.set_annotations(Some(
        [(CONTAINERD_NAME, name), (ANNOTATION_REF_NAME, tag)]
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .into(),
    ));
    let index = ImageIndexBuilder::default()
        .schema_version(SCHEMA_VERSION)
        .media_type(MediaType::ImageIndex)
        .manifests(vec![entry])
        .build()?;
    let layout = OciLayoutBuilder::default().image_layout_version(LAYOUT).build()?;
    let mut files = BTreeMap::from([
        ("index.json".to_owned(), document(&index)?),
        ("oci-layout".to_owned(), document(&layout)?),
    ]);
    files.extend(
        blobs
            .0
            .into_iter()
            .map(|(digest, blob)| (format!("blobs/sha256/{digest}"), blob)),
    );
    let archive = tar(files
        .iter()
        .map(|(path, bytes)| (path.as_str(), 0o644, bytes.as_slice())))?;
    Ok((archive, digest))
}

/// What descriptors point to, by digest.
#[derive(Debug, Default)]
struct Blobs(BTreeMap<String, Vec<u8>>);

impl Blobs {
    fn add(&mut self, kind: MediaType, bytes: Vec<u8>) -> Result<Descriptor> {
        let digest = sha256(&bytes);
        let descriptor = Descriptor::new(kind, bytes.len() as u64, format!("sha256:{digest}").parse::<Digest>()?);
        self.0.insert(digest, bytes);
        Ok(descriptor)
    }

    fn manifest(&mut self, variant: &Variant) -> Result<Descriptor> {
        let layer = tar([(PROGRAM, 0o755, variant.helper.as_slice())].into_iter())?;
        let config = ImageConfigurationBuilder::default()
            .created(CREATED)
            .architecture(variant.arch.clone())
            .os(Os::Linux)
            .config(
                ConfigBuilder::default()
                    .user("0:0")
                    .entrypoint(vec![format!("/{PROGRAM}")])
                    .build()?,
            )
            .rootfs(
                RootFsBuilder::default()
                    .typ("layers")
                    .diff_ids(vec![format!("sha256:{}", sha256(&layer))])
                    .build()?,
            )
            .history(Vec::new())
            .build()?;
        let config = self.add(MediaType::ImageConfig, document(&config)?)?;
        let layer = self.add(MediaType::ImageLayerGzip, gzip(&layer)?)?;
        let manifest = ImageManifestBuilder::default()
            .schema_version(SCHEMA_VERSION)
            .media_type(MediaType::ImageManifest)
            .config(config)
            .layers(vec![layer])
            .build()?;
        let manifest = self.add(MediaType::ImageManifest, document(&manifest)?)?;
        let platform = PlatformBuilder::default()
            .architecture(variant.arch.clone())
            .os(Os::Linux)
            .build()?;
        Ok(DescriptorBuilder::default()
            .media_type(manifest.media_type().clone())
            .digest(manifest.digest().clone())
            .size(manifest.size())
            .platform(platform)
            .build()?)
    }
}

/// JSON whose keys are sorted.
fn document(of: &impl serde::Serialize) -> Result<Vec<u8>> {
    let value: Value = json!(of);
    serde_json::to_vec(&value).context("writing JSON")
}

fn tar<'a>(files: impl Iterator<Item = (&'a str, u32, &'a [u8])>) -> Result<Vec<u8>> {
    let mut archive = tar::Builder::new(Vec::new());
    for (path, mode, bytes) in files {
        let mut header = tar::Header::new_ustar();
        header.set_size(bytes.len() as u64);
        header.set_mode(mode);
        header.set_mtime(0);
        archive.append_data(&mut header, path, bytes)?;
    }
    archive.into_inner().context("ending the archive")
}

fn gzip(bytes: &[u8]) -> Result<Vec<u8>> {
    let mut packed = GzBuilder::new().mtime(0).write(Vec::new(), Compression::best());
    packed.write_all(bytes)?;
    packed.finish().context("packing the layer")
}

fn sha256(bytes: &[u8]) -> String {
    format!("{:x}", Sha256::digest(bytes))
}

#[cfg(test)]
mod tests {
    use super::{Variant, architecture, of, sha256};
    use serde_json::Value;
    use std::collections::BTreeMap;
    use std::io::Read as _;

    const NAME: &str = "ghcr.io/kubectl-skoop/node-helper:v0.1.0";

    fn files(archive: &[u8]) -> BTreeMap<String, Vec<u8>> {
        let mut archive = tar::Archive::new(archive);
        let read = |entry: std::io::Result<tar::Entry<'_, &[u8]>>| {
            let mut entry = entry.unwrap();
            let mut bytes = Vec::new();
            entry.read_to_end(&mut bytes).unwrap();
            (entry.path().unwrap().display().to_string(), bytes)
        };
        archive.entries().unwrap().map(read).collect()
    }

    fn variants() -> Vec<Variant> {
        ["x86_64", "aarch64"]
            .map(|arch| Variant {
                arch: architecture(arch).unwrap(),
                helper: format!("\u{7f}ELF {arch}").into_bytes(),
            })
            .into()
    }

    /// The document that a descriptor points to, which must be what it says.
    fn follow(files: &BTreeMap<String, Vec<u8>>, descriptor: &Value) -> Vec<u8> {
        let digest = descriptor["digest"].as_str().unwrap().strip_prefix("sha256:").unwrap();
        let blob = files[&format!("blobs/sha256/{digest}")].clone();
        assert_eq!(descriptor["size"], blob.len());
        assert_eq!(sha256(&blob), digest);
        blob
    }

    #[test]
    fn every_architecture_is_found_from_the_index_down_to_its_program() {
        let (archive, digest) = of(NAME, &variants()).unwrap();
        let files = files(&archive);
        let json = |bytes: &[u8]| serde_json::from_slice::<Value>(bytes).unwrap();
        let entry = json(&files["index.json"])["manifests"][0].clone();
        assert_eq!(entry["digest"], digest);
        assert_eq!(entry["annotations"]["io.containerd.image.name"], NAME);
        assert_eq!(entry["annotations"]["org.opencontainers.image.ref.name"], "v0.1.0");
        let image = json(&follow(&files, &entry));
        for (at, (arch, helper)) in [("amd64", "x86_64"), ("arm64", "aarch64")].into_iter().enumerate() {
            let descriptor = &image["manifests"][at];
            assert_eq!(descriptor["platform"]["architecture"], arch);
            let manifest = json(&follow(&files, descriptor));
            let config = json(&follow(&files, &manifest["config"]));
            assert_eq!(config["config"]["Entrypoint"][0], "/node-helper");
            let packed = follow(&files, &manifest["layers"][0]);
            let mut layer = Vec::new();
            flate2::read::GzDecoder::new(packed.as_slice())
                .read_to_end(&mut layer)
                .unwrap();
            assert_eq!(config["rootfs"]["diff_ids"][0], format!("sha256:{}", sha256(&layer)));
            assert!(program(&layer).contains(helper));
        }
    }

    fn program(layer: &[u8]) -> String {
        String::from_utf8(files(layer)["node-helper"].clone()).unwrap()
    }

    #[test]
    fn the_same_helper_gives_the_same_archive() {
        assert_eq!(of(NAME, &variants()).unwrap(), of(NAME, &variants()).unwrap());
    }
}
