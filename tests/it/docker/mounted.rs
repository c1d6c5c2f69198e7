//! Images that a service mounts, on engines that can: what is in the container, and a tag that moves.

use evenkeel::engine::{Engine, ImportConfig};
use evenkeel::model::image::ImageRef;
use evenkeel::model::spec::MountSource;

use super::{Stage, running};
use crate::common::docker::{Borrowed, tell};

/// A stage with an image of three versions that is to be mounted, if the engine can.
struct Mounting {
    /// Dropped last: who mounts the images goes first.
    stage: Stage,
    images: Vec<Borrowed>,
}

/// Whether the engine mounts images; where it doesn't, that is told.
pub(super) async fn mounts_images(stage: &Stage) -> bool {
    let api = stage.docker.server().await.unwrap().api_version;
    let minor = api.strip_prefix("1.").and_then(|minor| minor.parse::<u32>().ok());
    let can = minor.is_some_and(|minor| minor >= 48);
    if !can {
        tell(&format!("passed by: API {api} mounts no images"));
    }
    can
}

impl Mounting {
    async fn new() -> Option<Self> {
        let stage = Stage::new().await?;
        if !mounts_images(&stage).await {
            return None;
        }
        let mut mounting = Self { stage, images: Vec::new() };
        for version in ["one", "two", "three"] {
            mounting.import(version).await;
        }
        mounting.images.push(Borrowed(mounting.image("1").to_string()));
        mounting.points_to("one").await;
        Some(mounting)
    }

    fn image(&self, tag: &str) -> ImageRef {
        format!("{}-conf:{tag}", self.stage.stack).parse().unwrap()
    }

    /// Makes an image that has only a file that says `version`.
    async fn import(&mut self, version: &str) {
        let mut archive = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_mode(0o644);
        header.set_size(u64::try_from(version.len()).unwrap());
        archive.append_data(&mut header, "word", version.as_bytes()).unwrap();
        let (name, layer) = (self.image(version), archive.into_inner().unwrap());
        self.stage.docker.import_image(&name, layer, &ImportConfig::default()).await.unwrap();
        self.images.push(Borrowed(name.to_string()));
    }

    /// Lets the tag that the manifest names mean this version.
    async fn points_to(&self, version: &str) {
        self.stage.docker.tag_image(&self.image(version), &self.image("1")).await.unwrap();
    }

    fn compose(&self) {
        self.stage.compose(&format!(
            "\n  web:\n    image: IMAGE\n    stop_grace_period: 1s\n    command: [serve, --show, /conf/word]\n    \
             volumes: [{{type: image, source: '{}', target: /conf}}]\n",
            self.image("1")
        ));
    }

    /// What the serving container found in the image, and the container.
    async fn found(&self) -> (String, String) {
        let containers = self.stage.containers().await;
        let web = running(&containers, "web");
        assert!(matches!(web.spec.mounts["/conf"].source, MountSource::Image(_)), "{web:#?}");
        let lines = self.stage.docker.logs(&web.id, 9).await.unwrap();
        let last = lines.iter().rev().find(|line| line.contains("/conf/word")).unwrap();
        (last.rsplit(' ').next().unwrap().trim_matches('"').to_owned(), web.id.to_string())
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_image_whose_tag_moved_is_mounted_anew() {
    let Some(mounting) = Mounting::new().await else { return };
    let stage = &mounting.stage;
    mounting.compose();
    stage.apply().ends_with(0);
    let (word, first) = mounting.found().await;
    assert_eq!(word, "one");
    stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(0);

    mounting.points_to("two").await;
    let plan = stage.run("-f compose.yaml plan --detailed-exitcode --json").ends_with(2).json();
    let fields = &plan["changes"][0]["fields"];
    assert_eq!(fields.as_array().map(Vec::len), Some(1), "{plan:#}");
    assert_eq!(
        (&fields[0]["path"], &fields[0]["cause"]),
        (&"volumes./conf".into(), &"image".into()),
        "{plan:#}"
    );
    assert_eq!(mounting.found().await, ("one".to_owned(), first.clone()), "a plan changes nothing");
    stage.apply().ends_with(0).says("replaced");
    assert_eq!(mounting.found().await.0, "two");
    stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(0);

    // What was kept has its own version mounted still, and serves where that is wanted again.
    mounting.points_to("one").await;
    stage.apply().ends_with(0).says("revived");
    assert_eq!(mounting.found().await, ("one".to_owned(), first.clone()));
    mounting.points_to("three").await;
    stage.apply().ends_with(0).says("replaced");
    let (word, third) = mounting.found().await;
    assert_eq!(word, "three");
    assert_ne!(third, first);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mounted_image_whose_tag_is_gone_is_no_difference() {
    let Some(mounting) = Mounting::new().await else { return };
    let stage = &mounting.stage;
    mounting.compose();
    stage.apply().ends_with(0);
    stage.docker.remove_image(&mounting.image("1")).await.unwrap();
    stage.run("-f compose.yaml plan --detailed-exitcode").ends_with(0);
    // As it was, for who removes it.
    mounting.points_to("one").await;
}
