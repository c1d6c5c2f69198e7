//! Which image each container is to run: what the manifest names, as the registry, the host and what runs already
//! resolve it.
//!
//! A plan names images by their digest where one is known, so that what was reviewed is what runs. A container that was
//! created from `name:tag@digest` says so for ever, whatever becomes of the tag: comparing can't go in circles.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::change::{Cause, FieldChange};
use super::fields::{FieldPath, FieldValue, Fields};
use super::refusal::Refusal;
use crate::model::desired::{Desired, Service};
use crate::model::image::{ImageRef, PullPolicy, short_digest};
use crate::model::live::{AtRegistry, Live, LiveContainer};
use crate::model::name::ImageId;
use crate::model::platform::Platform;

/// What the registries are to be asked before `desired` can be planned for: each reference with the age that an answer
/// may have. Whatever the host can answer by itself isn't asked.
pub fn questions(desired: &Desired, live: &Live) -> BTreeMap<ImageRef, Duration> {
    let mut questions: BTreeMap<ImageRef, Duration> = BTreeMap::new();
    for service in desired.services.values() {
        let image = &service.spec.image;
        // What a digest means never changes.
        if image.digest().is_some() {
            continue;
        }
        let platform = service.spec.platform.as_ref();
        let known = live.references.get(image).is_some_and(|id| fits(id, platform, live))
            || live
                .containers
                .values()
                .any(|other| other.spec.image.name() == *image && runs_on(other, platform));
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

/// The image that a container is to run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Wanted {
    /// What to create it from: pinned where the digest is known.
    pub(super) reference: ImageRef,
    /// Which image of this host that is, if it is known to be here.
    id: Option<ImageId>,
}

impl Wanted {
    /// Where it comes from: the registry's word counts for those that ask, what is here for the others.
    pub(super) fn of(service: &Service, current: Option<&LiveContainer>, live: &Live) -> Self {
        let image = &service.spec.image;
        let platform = service.spec.platform.as_ref();
        let nowhere = |reference: ImageRef| Self { id: here(&reference, platform, live), reference };
        if image.digest().is_some() {
            return nowhere(image.clone());
        }
        let said = || match live.registry.get(image)? {
            AtRegistry::Digest(digest) => Some(nowhere(image.pinned(digest))),
            AtRegistry::Absent(_) | AtRegistry::Unknown(_) => None,
        };
        let local = || {
            let id = live.references.get(image).filter(|id| fits(id, platform, live))?;
            Some(Self { reference: pinned(image, id, live), id: Some(id.clone()) })
        };
        let running = || {
            let is_of_it = |current: &&LiveContainer| current.spec.image.name() == *image;
            let container = current.filter(is_of_it).filter(|current| runs_on(current, platform))?;
            let reference = match container.spec.image.digest() {
                Some(_) => container.spec.image.clone(),
                None => pinned(image, &container.image, live),
            };
            Some(Self { reference, id: Some(container.image.clone()) })
        };
        let found = match service.pull {
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
    pub(super) fn identity(&self) -> Option<&str> {
        self.reference.digest().or(self.id.as_ref().map(ImageId::as_str))
    }

    /// Whether `container` runs it. Engines name the same image by different ids and digests, so one match is enough.
    fn is_run_by(&self, container: &LiveContainer, live: &Live) -> bool {
        let Some(digest) = self.reference.digest() else {
            return self.id.as_ref().is_none_or(|id| *id == container.image);
        };
        self.id.as_ref() == Some(&container.image)
            || container.spec.image.digest() == Some(digest)
            || digests(&self.reference, &container.image, live).any(|known| known == digest)
    }

    /// How the image of `container` differs from this one, which the manifest names `named`.
    pub(super) fn difference(
        &self,
        named: &ImageRef,
        container: &LiveContainer,
        applied: Option<&Fields>,
        live: &Live,
    ) -> Option<FieldChange> {
        let path = FieldPath::new("image");
        let runs = self.is_run_by(container, live);
        let is_named = container.spec.image.name() == named.name();
        if runs && is_named {
            return None;
        }
        let last = applied.map(|applied| applied.get(&path));
        let word = FieldValue::word(named);
        let cause = match last {
            Some(last) if last != Some(&word) => Cause::Git,
            _ if is_named && named.digest().is_none() => Cause::Image,
            _ => Cause::Drift,
        };
        let (before, after) = if is_named {
            self.told_apart(container, live)
        } else {
            (FieldValue::word(&container.spec.image.name()), word)
        };
        Some(FieldChange { path, before: Some(before), after: Some(after), cause, diff: None })
    }

    /// The two images where their names are the same: by digest where both have one, else by id.
    fn told_apart(&self, container: &LiveContainer, live: &Live) -> (FieldValue, FieldValue) {
        let digest = container.spec.image.digest();
        let before = digest.or_else(|| digests(&self.reference, &container.image, live).next());
        let after = self.reference.digest();
        let (before, after) = match (before, after, &self.id) {
            (Some(before), Some(after), _) => (short_digest(before), short_digest(after)),
            (_, _, Some(id)) => (container.image.short(), id.short()),
            (_, after, None) => (container.image.short(), after.map_or("unknown", short_digest)),
        };
        let name = self.reference.name();
        let shown = |which: &str| FieldValue::Word(format!("{name} ({which})"));
        (shown(before), shown(after))
    }
}

/// Why no container can be created from an image that must not be pulled.
pub(super) fn not_here(service: &Service, live: &Live) -> Refusal {
    let image = &service.spec.image;
    let built_for = live.references.get(image).and_then(|id| live.images.get(id)?.platform.as_ref());
    if let (Some(wanted), Some(found)) = (&service.spec.platform, built_for) {
        return Refusal::new(
            format!(
                "service `{}`: the image `{image}` of this host is for {found}, and its `platform` is `{wanted}`",
                service.name
            ),
            "load the image of that platform, or set `pull_policy: missing`",
        );
    }
    Refusal::new(
        format!(
            "service `{}`: the image `{}` is not on this host, and its `pull_policy` is `never`",
            service.name, service.spec.image
        ),
        "build or load it on this host, or set `pull_policy: missing`",
    )
}

/// What people should know of the answers of the registries. A registry that didn't answer must not look like one that
/// has nothing new.
pub(super) fn notes(desired: &Desired, live: &Live) -> Vec<String> {
    let used: BTreeSet<&ImageRef> = desired.services.values().map(|service| &service.spec.image).collect();
    let answers = live.registry.iter().filter(|(image, _)| used.contains(image));
    answers.filter_map(|(image, said)| note(image, said, live)).collect()
}

fn note(image: &ImageRef, said: &AtRegistry, live: &Live) -> Option<String> {
    let known = live.references.contains_key(image)
        || live.containers.values().any(|container| container.spec.image.name() == *image);
    let then = if known { "what is on this host counts" } else { "its digest is not known beforehand" };
    match said {
        AtRegistry::Digest(_) => None,
        AtRegistry::Absent(why) => {
            Some(format!("`{image}` is not in its registry, or this host may not read it; {then}: {why}"))
        }
        AtRegistry::Unknown(why) => {
            Some(format!("the registry of `{image}` could not be asked; {then}: {why}"))
        }
    }
}

/// What no host can have: one name for images of several platforms. The second pull would take it from the first.
pub(super) fn torn(desired: &Desired) -> Vec<Refusal> {
    let mut wanted: BTreeMap<&ImageRef, (&Service, &Platform)> = BTreeMap::new();
    let mut refusals = Vec::new();
    for service in desired.services.values() {
        let (image, Some(platform)) = (&service.spec.image, &service.spec.platform) else { continue };
        let (first, known) = *wanted.entry(image).or_insert((service, platform));
        if known != platform {
            refusals.push(Refusal::new(
                format!(
                    "service `{}`: the image `{image}` is wanted for {platform}, and by `{}` for {known}; a host has \
                     one of them under a name",
                    service.name, first.name
                ),
                "name the image of each platform by its own digest or tag",
            ));
        }
    }
    refusals
}

/// The image of this host that the reference means, if it is known to be here for that platform.
pub(super) fn here(reference: &ImageRef, platform: Option<&Platform>, live: &Live) -> Option<ImageId> {
    let named = || live.references.get(reference).filter(|id| fits(id, platform, live)).cloned();
    let Some(digest) = reference.digest() else { return named() };
    let mut known = live.images.keys().filter(|id| digests(reference, id, live).any(|known| known == digest));
    known.find(|id| fits(id, platform, live)).cloned().or_else(named)
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
