//! Images of a simulated engine, and how the containers made of them behave.

use std::collections::BTreeMap;
use std::fmt::Display;
use std::str::FromStr;
use std::time::Duration;

use sha2::{Digest, Sha256};

use crate::model::live::LiveImage;
use crate::model::name::ImageId;
use crate::model::platform::Platform;

/// An image: what it gives to its containers, and what they do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SimImage {
    /// What it gives.
    pub defaults: LiveImage,
    /// What they do.
    pub behaviour: Behaviour,
}

impl SimImage {
    /// An image that gives nothing and behaves well. Equal seeds make images of equal id.
    pub fn of(seed: &str) -> Self {
        Self { defaults: LiveImage::bare(image_id(seed)), behaviour: Behaviour::default() }
    }

    /// The same image, built for this platform.
    pub fn built_for(mut self, platform: Platform) -> Self {
        self.defaults.platform = Some(platform);
        self
    }

    /// Whether it was built for `platform`, as far as that is asked and known.
    pub(super) fn is_for(&self, platform: Option<&Platform>) -> bool {
        platform.zip(self.defaults.platform.as_ref()).is_none_or(|(wanted, found)| found.serves(wanted))
    }

    /// The same image with containers that do this.
    pub fn that(mut self, behaviour: Behaviour) -> Self {
        self.behaviour = behaviour;
        self
    }
}

/// What a container does. The default runs for ever, is healthy at once and ends as soon as it is asked to.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Behaviour {
    /// Its health check is good from so long after the start on. [`Duration::MAX`] means never.
    pub healthy_after: Duration,
    /// It ends by itself so long after the start, with this status.
    pub exits: Option<(Duration, i64)>,
    /// It can't be started, for this reason.
    pub start_error: Option<String>,
    /// It needs so long to end when it is asked to. Longer than its grace, and it is killed.
    pub stop_takes: Duration,
    /// Lines that it writes at each start.
    pub writes: Vec<String>,
    /// Lines that it writes so long after each start, in the order of time.
    pub writes_later: Vec<(Duration, String)>,
    /// The host binds none of its ports, and doesn't say so.
    pub unbound: bool,
    /// Commands that can be run in it, besides its health check.
    pub commands: BTreeMap<Vec<String>, Reply>,
}

/// How a command in a container ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Reply {
    /// Its exit status.
    pub code: i64,
    /// What it writes.
    pub output: String,
    /// How long it takes.
    pub takes: Duration,
}

/// The digest under which a registry has the image.
pub(super) fn digest_of(image: &SimImage) -> String {
    image_id(&format!("manifest of {}", image.defaults.id)).to_string()
}

/// An image id for a seed.
pub(super) fn image_id(seed: &str) -> ImageId {
    certain(&format!("sha256:{}", hex::encode(Sha256::digest(seed))))
}

/// A name or id that is well-formed by how it was made.
pub(super) fn certain<T: FromStr<Err: Display>>(text: &str) -> T {
    match text.parse() {
        Ok(value) => value,
        Err(error) => unreachable!("BUG: the simulation made a bad name: {error}"),
    }
}
