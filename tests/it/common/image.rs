//! An image to test with, built on the spot: one static program as the only layer. No registry is needed.
//!
//! The image stays on the host under a name with the digest of its content, so that the next run needn't make it.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use evenkeel::engine::{Engine, ImportConfig};
use evenkeel::model::image::ImageRef;
use sha2::{Digest, Sha256};

const SOURCE: &str = include_str!("../../programs/fixture.rs");

/// The image, with a configuration that gives something of each kind to its containers.
pub struct TestImage {
    /// Its name.
    pub reference: ImageRef,
    /// What it gives.
    pub config: ImportConfig,
}

impl TestImage {
    /// An image that gives its containers nothing but a program to run.
    pub fn plain() -> Self {
        Self::with(ImportConfig {
            entrypoint: vec!["/fixture".to_owned()],
            command: vec!["serve".to_owned()],
            ..ImportConfig::default()
        })
    }

    /// An image that gives its containers something of each kind. Each of them has a volume without a name, which
    /// only [`super::docker::Cleanup`] removes with it.
    pub fn rich() -> Self {
        Self::with(ImportConfig {
            entrypoint: vec!["/fixture".to_owned()],
            command: vec!["serve".to_owned()],
            environment: [("IMAGE_SAYS".to_owned(), "hello \"$you\"".to_owned())].into(),
            labels: [("image.label".to_owned(), "a b".to_owned())].into(),
            exposed_ports: vec!["8080/tcp".to_owned()],
            volumes: vec!["/cache".to_owned()],
            user: Some("0:0".to_owned()),
            working_dir: Some("/work".to_owned()),
        })
    }

    /// The rich image without its volume.
    pub fn telling() -> Self {
        let Self { config, .. } = Self::rich();
        Self::with(ImportConfig { volumes: Vec::new(), ..config })
    }

    /// An image whose containers end at once.
    pub fn failing() -> Self {
        Self::with(ImportConfig {
            entrypoint: vec!["/fixture".to_owned()],
            command: vec!["exit".to_owned(), "3".to_owned()],
            ..ImportConfig::default()
        })
    }

    fn with(config: ImportConfig) -> Self {
        let digest = hex::encode(Sha256::digest(format!("{SOURCE}{config:?}")));
        let reference = format!("evenkeel-fixture:{}", &digest[..12]).parse().unwrap();
        Self { reference, config }
    }

    /// Sees to it that the host of `engine` has the image.
    pub async fn ensure<E: Engine>(&self, engine: &E) {
        ensure(engine, &self.reference, &self.config, layer).await;
    }
}

/// Sees to it that the host of `engine` has the image `name`.
pub async fn ensure<E: Engine>(
    engine: &E,
    name: &ImageRef,
    config: &ImportConfig,
    layer: impl FnOnce() -> Vec<u8>,
) {
    // Tests run at the same time; each import makes another image, and the last one gets the name.
    static IMPORTING: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let _importing = IMPORTING.lock().await;
    if engine.inspect_image(&name.to_string()).await.unwrap().is_none() {
        engine.import_image(name, layer(), config).await.unwrap();
    }
}

impl TestImage {
    /// Makes another image of this kind, which has no name but this one.
    pub async fn import_as<E: Engine>(&self, name: &ImageRef, engine: &E) {
        engine.import_image(name, layer(), &self.config).await.unwrap();
    }

    /// The same with so many bytes besides, which nothing makes smaller.
    pub async fn import_with<E: Engine>(&self, name: &ImageRef, bytes: usize, engine: &E) {
        let mut noise = vec![0; bytes];
        getrandom::fill(&mut noise).unwrap();
        let program = std::fs::read(compiled("fixture", SOURCE)).unwrap();
        engine
            .import_image(name, archive(&[("fixture", &program), ("noise", &noise)]), &self.config)
            .await
            .unwrap();
    }
}

/// The layer: a tar archive with the program.
fn layer() -> Vec<u8> {
    packed("fixture", SOURCE)
}

/// A tar archive with a program that is made of `source`.
pub fn packed(name: &str, source: &str) -> Vec<u8> {
    archive(&[(name, &std::fs::read(compiled(name, source)).unwrap())])
}

fn archive(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut archive = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o755);
        header.set_size(u64::try_from(content.len()).unwrap());
        archive.append_data(&mut header, name, *content).unwrap();
    }
    archive.into_inner().unwrap()
}

/// The compiled program. It is compiled once for each version of its source.
fn compiled(name: &str, source: &str) -> PathBuf {
    static COMPILING: Mutex<()> = Mutex::new(());
    let _compiling = COMPILING.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let program = folder.join(format!("{name}-{}", &hex::encode(Sha256::digest(source))[..12]));
    if !program.exists() {
        // Compiled aside and moved, so that another test process never sees half of it.
        let aside = tempfile::Builder::new().prefix(name).tempdir_in(folder).unwrap();
        let file = aside.path().join(format!("{name}.rs"));
        std::fs::write(&file, source).unwrap();
        let made = aside.path().join(name);
        let rustc = std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into());
        let options = ["--edition=2024", "-Ctarget-feature=+crt-static", "-O", "-Cstrip=symbols"];
        let output = Command::new(rustc).args(options).arg(&file).arg("-o").arg(&made).output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        std::fs::rename(made, &program).unwrap();
    }
    program
}
