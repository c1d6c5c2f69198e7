//! The images of one service: its own, and those that it mounts.

use std::borrow::Cow;
use std::collections::BTreeMap;

use super::super::attached;
use super::super::change::{Cause, FieldChange};
use super::super::fields::{FieldPath, FieldValue, Fields};
use super::{Had, Needed, Wanted, here, runs_on};
use crate::model::desired::Service;
use crate::model::image::ImageRef;
use crate::model::live::{Live, LiveContainer};
use crate::model::platform::Platform;
use crate::model::spec::{ContainerSpec, Mount, MountSource};

/// What the containers of a service are to be made of.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::plan) struct Images {
    /// What they run.
    own: Wanted,
    /// What they mount, by target.
    mounted: BTreeMap<String, Wanted>,
}

/// One of them.
struct Use<'a> {
    wanted: &'a Wanted,
    /// As the manifest names it.
    named: &'a ImageRef,
    platform: Option<&'a Platform>,
}

impl Images {
    /// Those of `service`, of which `current` serves.
    pub(in crate::plan) fn of(service: &Service, current: Option<&LiveContainer>, live: &Live) -> Self {
        let own = Needed::own(service);
        let had = current.filter(|current| runs_on(current, own.platform)).map(Had::own);
        let mounted = service.spec.mounted_images().map(|(target, image)| {
            let had = current.and_then(|current| Had::mounted(current, target));
            (target.clone(), Wanted::of(Needed::mounted(service, image), had, live))
        });
        Self { mounted: mounted.collect(), own: Wanted::of(own, had, live) }
    }

    fn all<'a>(&'a self, spec: &'a ContainerSpec) -> impl Iterator<Item = Use<'a>> {
        let own = Use { wanted: &self.own, named: &spec.image, platform: spec.platform.as_ref() };
        let mounted = spec.mounted_images().filter_map(|(target, named)| {
            Some(Use { wanted: self.mounted.get(target)?, named, platform: None })
        });
        std::iter::once(own).chain(mounted)
    }

    /// Those that the host doesn't have, each for its platform.
    pub(in crate::plan) fn missing<'a>(
        &'a self,
        spec: &'a ContainerSpec,
        live: &'a Live,
    ) -> impl Iterator<Item = (&'a ImageRef, Option<&'a Platform>)> {
        let missing = self.all(spec).filter(|one| !one.wanted.is_here(one.platform, live));
        missing.map(|Use { wanted, named: _, platform }| (&wanted.reference, platform))
    }

    /// Those that are known by their digest and that the tag of the manifest doesn't mean on the host, each with its name
    /// there.
    pub(in crate::plan) fn untagged<'a>(
        &'a self,
        spec: &'a ContainerSpec,
        live: &'a Live,
    ) -> impl Iterator<Item = (&'a ImageRef, &'a ImageRef)> {
        let pinned = self
            .all(spec)
            .filter(|one| one.wanted.reference.digest().is_some() && one.named.digest().is_none());
        let untagged = pinned.filter(|Use { wanted, named, platform }| {
            let there = here(&wanted.reference, *platform, live);
            there.is_none() || here(named, *platform, live) != there
        });
        untagged.map(|Use { wanted, named, platform: _ }| (&wanted.reference, named))
    }

    /// `spec`, to be created from just these.
    pub(in crate::plan) fn pin(&self, mut spec: ContainerSpec) -> ContainerSpec {
        spec.image = self.own.reference.clone();
        for (target, wanted) in &self.mounted {
            if let Some(Mount { source: MountSource::Image(image), .. }) = spec.mounts.get_mut(target) {
                image.clone_from(&wanted.reference);
            }
        }
        spec
    }

    /// What tells what is run from other images, as far as that is known.
    pub(in crate::plan) fn identity(&self) -> Option<&str> {
        self.own.identity()
    }

    /// The same of what is mounted, by target.
    pub(in crate::plan) fn mounted_identities(&self) -> impl Iterator<Item = Option<&str>> {
        self.mounted.values().map(Wanted::identity)
    }

    /// Whether it is on record of everything that `container` mounts which image it is.
    pub(in crate::plan) fn are_on_record(container: &LiveContainer) -> bool {
        let mut targets = container.spec.mounted_images().map(|(target, _)| target);
        targets.all(|target| Had::mounted(container, target).is_some_and(Had::is_known))
    }

    /// What `container` is made of, with the names of `spec` for what it mounts: what a tag means is compared apart from
    /// that.
    pub(in crate::plan) fn as_declared<'c>(
        container: &'c LiveContainer,
        spec: &ContainerSpec,
    ) -> Cow<'c, ContainerSpec> {
        if container.spec.mounted_images().next().is_none() {
            return Cow::Borrowed(&container.spec);
        }
        let mut declared = container.spec.clone();
        for (target, mount) in &mut declared.mounts {
            let MountSource::Image(image) = &mut mount.source else { continue };
            let named = spec.mounts.get(target).map(|mount| &mount.source);
            *image = match named {
                Some(MountSource::Image(named)) if named.name() == image.name() => named.clone(),
                _ => image.name(),
            };
        }
        Cow::Owned(declared)
    }

    /// How the images of `container` differ from these, which `spec` names. `changes` are the other fields that do.
    pub(in crate::plan) fn add_differences(
        &self,
        changes: &mut Vec<FieldChange>,
        (spec, container): (&ContainerSpec, &LiveContainer),
        applied: Option<&Fields>,
        live: &Live,
    ) {
        changes.extend(self.own.difference(&spec.image, container, applied, live));
        for (target, wanted) in &self.mounted {
            let Some(mount) = spec.mounts.get(target) else { continue };
            let Some(had) = Had::mounted(container, target) else { continue };
            let path = FieldPath::new(format!("volumes.{target}"));
            if !wanted.is(had, live) && !changes.iter().any(|change| change.path == path) {
                changes.extend(moved(wanted, (path, mount), had, applied, live));
            }
        }
    }
}

/// How a mounted image differs from the one that is wanted, where their names and all else are the same.
fn moved(
    wanted: &Wanted,
    (path, mount): (FieldPath, &Mount),
    had: Had<'_>,
    applied: Option<&Fields>,
    live: &Live,
) -> Option<FieldChange> {
    let MountSource::Image(named) = &mount.source else { return None };
    // No image is laid down in any folder.
    let word = attached::mount_value(mount, "")?;
    let cause = match applied.map(|applied| applied.get(&path)) {
        Some(last) if last != Some(&word) => Cause::Git,
        _ if named.digest().is_none() => Cause::Image,
        _ => Cause::Drift,
    };
    let (before, after) = wanted.told_apart(had, live);
    let shown = |image: &str| Some(FieldValue::Word(format!("image {image}")));
    Some(FieldChange { path, before: shown(&before), after: shown(&after), cause, diff: None })
}
