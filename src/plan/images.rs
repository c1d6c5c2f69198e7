//! Which image each container is to run, and which ones it is to mount: what the manifest names, as the registry, the host
//! and what runs already resolve it.
//!
//! A plan names images by their digest where one is known, so that what was reviewed is what runs. A container that was
//! created from `name:tag@digest` says so for ever, whatever becomes of the tag: comparing can't go in circles. Of what it
//! mounts Docker tells no id, so that a label does.

use std::collections::BTreeMap;
use std::time::Duration;

use super::change::{Cause, FieldChange};
use super::fields::{FieldPath, FieldValue, Fields};
use crate::model::desired::{Desired, Service};
use crate::model::image::{ImageRef, PullPolicy, short_digest};
use crate::model::live::{AtRegistry, Live, LiveContainer};
use crate::model::name::ImageId;
use crate::model::platform::Platform;
use crate::model::spec::{ContainerSpec, MountSource};

mod of_service;
mod told;

pub(super) use of_service::Images;
pub(super) use told::{not_here, notes, torn};

/// What the registries are to be asked before `desired` can be planned for: each reference with the age that an answer
/// may have. Whatever the host can answer by itself isn't asked.
pub fn questions(desired: &Desired, live: &Live) -> BTreeMap<ImageRef, Duration> {
    let mut questions: BTreeMap<ImageRef, Duration> = BTreeMap::new();
    for (service, needed) in desired.services.values().flat_map(|service| {
        let mounted = service.spec.mounted_images().map(|(_, image)| Needed::mounted(service, image));
        std::iter::once(Needed::own(service)).chain(mounted).map(move |needed| (service, needed))
    }) {
        let image = needed.image;
        // What a digest means never changes.
        if image.digest().is_some() {
            continue;
        }
        let known = live.references.get(image).is_some_and(|id| needed.fits(id, live)) || needed.is_had(live);
        let age = match service.pull {
            PullPolicy::Never => continue,
            PullPolicy::Missing if known => continue,
            PullPolicy::Every(age) if known => age,
            PullPolicy::Missing | PullPolicy::Always | PullPolicy::Every(_) => Duration::ZERO,
        };
        questions.entry(image.clone()).and_modify(|known| *known = age.min(*known)).or_insert(age);
    }
    questions
}

/// An image that a service needs: its own, or one that it mounts.
#[derive(Clone, Copy)]
struct Needed<'a> {
    image: &'a ImageRef,
    /// Docker mounts whatever the host has under a name, for any platform.
    platform: Option<&'a Platform>,
    pull: PullPolicy,
    is_mounted: bool,
}

impl<'a> Needed<'a> {
    fn own(service: &'a Service) -> Self {
        let (image, platform) = (&service.spec.image, service.spec.platform.as_ref());
        Self { image, platform, pull: service.pull, is_mounted: false }
    }

    fn mounted(service: &Service, image: &'a ImageRef) -> Self {
        Self { image, platform: None, pull: service.pull, is_mounted: true }
    }

    /// Whether the image was built for the platform, as far as that is known.
    fn fits(self, id: &ImageId, live: &Live) -> bool {
        fits(id, self.platform, live)
    }

    /// Whether a container of the stack has what this is called.
    fn is_had(self, live: &Live) -> bool {
        live.containers.values().any(|container| {
            if self.is_mounted {
                let mut targets = container.spec.mounted_images().map(|(target, _)| target);
                targets.any(|target| Had::mounted(container, target).is_some_and(|had| self.is_named(had)))
            } else {
                self.is_named(Had::own(container)) && runs_on(container, self.platform)
            }
        })
    }

    fn is_named(self, had: Had<'_>) -> bool {
        had.reference.name() == *self.image && had.is_known()
    }
}

/// An image that a container has, as its own or mounted.
#[derive(Clone, Copy)]
struct Had<'a> {
    /// What it was created from.
    reference: &'a ImageRef,
    /// Which image of this host that is, if it is on record.
    id: Option<&'a ImageId>,
}

impl<'a> Had<'a> {
    fn own(container: &'a LiveContainer) -> Self {
        Self { reference: &container.spec.image, id: Some(&container.image) }
    }

    fn mounted(container: &'a LiveContainer, target: &str) -> Option<Self> {
        match &container.spec.mounts.get(target)?.source {
            MountSource::Image(reference) => Some(Self { reference, id: container.mounted.get(target) }),
            _ => None,
        }
    }

    /// Whether anything but its name is known.
    fn is_known(self) -> bool {
        self.id.is_some() || self.reference.digest().is_some()
    }
}

/// An image that a container is to have.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// What to create it from: pinned where the digest is known.
    pub(super) reference: ImageRef,
    /// Which image of this host that is, if it is known to be here.
    id: Option<ImageId>,
}

impl Wanted {
    /// Where it comes from: the registry's word counts for those that ask, what is here for the others.
    fn of(needed: Needed<'_>, had: Option<Had<'_>>, live: &Live) -> Self {
        let Needed { image, platform, pull, .. } = needed;
        let nowhere = |reference: ImageRef| Self { id: here(&reference, platform, live), reference };
        if image.digest().is_some() {
            return nowhere(image.clone());
        }
        let said = || match live.registry.get(image)? {
            AtRegistry::Digest(digest) => Some(nowhere(image.pinned(digest))),
            AtRegistry::Absent(_) | AtRegistry::Unknown(_) => None,
        };
        let local = || {
            let id = live.references.get(image).filter(|id| needed.fits(id, live))?;
            Some(Self { reference: pinned(image, id, live), id: Some(id.clone()) })
        };
        let running = || {
            let had = had.filter(|had| needed.is_named(*had))?;
            let reference = match (had.reference.digest(), had.id) {
                (None, Some(id)) => pinned(image, id, live),
                (Some(_), _) | (None, None) => had.reference.clone(),
            };
            Some(Self { reference, id: had.id.cloned() })
        };
        let found = match pull {
            PullPolicy::Missing | PullPolicy::Never => local().or_else(running).or_else(said),
            PullPolicy::Always | PullPolicy::Every(_) => said().or_else(running).or_else(local),
        };
        found.unwrap_or_else(|| nowhere(image.clone()))
    }

    /// Whether a container can be created from it as things are.
    pub(super) fn is_here(&self, platform: Option<&Platform>, live: &Live) -> bool {
        here(&self.reference, platform, live).is_some()
    }

    /// What tells it from others, as far as that is known.
    fn identity(&self) -> Option<&str> {
        self.reference.digest().or(self.id.as_ref().map(ImageId::as_str))
    }

    /// Whether it is what a container has. Engines name the same image by different ids and digests, so one match is
    /// enough; and nothing speaks against what is not on record.
    fn is(&self, had: Had<'_>, live: &Live) -> bool {
        let Some(digest) = self.reference.digest() else {
            return self.id.as_ref().zip(had.id).is_none_or(|(wanted, had)| wanted == had);
        };
        let is_of = |id: &ImageId, digest: &str| digests(&self.reference, id, live).any(|of| of == digest);
        !had.is_known()
            || (had.id.is_some() && had.id == self.id.as_ref())
            || had.reference.digest() == Some(digest)
            || had.id.is_some_and(|id| is_of(id, digest))
            || self.id.as_ref().zip(had.reference.digest()).is_some_and(|(id, had)| is_of(id, had))
    }

    /// How the image of `container` differs from this one, which the manifest names `named`.
    fn difference(
        &self,
        named: &ImageRef,
        container: &LiveContainer,
        applied: Option<&Fields>,
        live: &Live,
    ) -> Option<FieldChange> {
        let path = FieldPath::new("image");
        let had = Had::own(container);
        let is_named = had.reference.name() == named.name();
        if self.is(had, live) && is_named {
            return None;
        }
        let word = FieldValue::word(named);
        let cause = match applied.map(|applied| applied.get(&path)) {
            Some(last) if last != Some(&word) => Cause::Git,
            _ if is_named && named.digest().is_none() => Cause::Image,
            _ => Cause::Drift,
        };
        let (before, after) = if is_named {
            let (before, after) = self.told_apart(had, live);
            (FieldValue::Word(before), FieldValue::Word(after))
        } else {
            (FieldValue::word(&had.reference.name()), word)
        };
        Some(FieldChange { path, before: Some(before), after: Some(after), cause, diff: None })
    }

    /// The two images where their names are the same: by digest where both have one, else by id.
    fn told_apart(&self, had: Had<'_>, live: &Live) -> (String, String) {
        let of_id = |id| digests(&self.reference, id, live).next();
        let before = had.reference.digest().or_else(|| had.id.and_then(of_id));
        let had = || had.id.map_or("unknown", ImageId::short);
        let (before, after) = match (before, self.reference.digest(), &self.id) {
            (Some(before), Some(after), _) => (short_digest(before), short_digest(after)),
            (_, _, Some(id)) => (had(), id.short()),
            (_, after, None) => (had(), after.map_or("unknown", short_digest)),
        };
        let name = self.reference.name();
        (format!("{name} ({before})"), format!("{name} ({after})"))
    }
}

/// The image of this host that the reference means, if it is known to be here for that platform.
pub(super) fn here(reference: &ImageRef, platform: Option<&Platform>, live: &Live) -> Option<ImageId> {
    let named = || live.references.get(reference).filter(|id| fits(id, platform, live)).cloned();
    let Some(digest) = reference.digest() else { return named() };
    let mut known = live.images.keys().filter(|id| digests(reference, id, live).any(|known| known == digest));
    known.find(|id| fits(id, platform, live)).cloned().or_else(named)
}

/// `spec` with all of its images by their tags, where they have one: by the digest it was only created.
pub(super) fn by_name(spec: &ContainerSpec) -> ContainerSpec {
    let mut spec = spec.clone();
    spec.image = spec.image.name();
    for mount in spec.mounts.values_mut() {
        if let MountSource::Image(image) = &mut mount.source {
            *image = image.name();
        }
    }
    spec
}

/// Whether the image was built for the platform, as far as that is known.
fn fits(id: &ImageId, platform: Option<&Platform>, live: &Live) -> bool {
    let found = live.images.get(id).and_then(|image| image.platform.as_ref());
    platform.zip(found).is_none_or(|(wanted, found)| found.serves(wanted))
}

fn runs_on(container: &LiveContainer, platform: Option<&Platform>) -> bool {
    platform.zip(container.spec.platform.as_ref()).is_none_or(|(wanted, found)| found.serves(wanted))
}

/// The reference with the digest under which its registry has the image `id`, if it does.
fn pinned(image: &ImageRef, id: &ImageId, live: &Live) -> ImageRef {
    digests(image, id, live).next().map_or_else(|| image.clone(), |digest| image.pinned(digest))
}

/// The digests under which the repository of `image` has the image `id`.
fn digests<'a>(image: &'a ImageRef, id: &ImageId, live: &'a Live) -> impl Iterator<Item = &'a str> {
    let known = live.images.get(id).into_iter().flat_map(|found| &found.repo_digests);
    known.filter(|known| known.repository() == image.repository()).filter_map(ImageRef::digest)
}
