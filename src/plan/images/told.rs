//! What is said of images: why one can't be had, and what registries answered.

use std::collections::{BTreeMap, BTreeSet};

use super::super::refusal::Refusal;
use super::Images;
use crate::model::desired::{Desired, Service};
use crate::model::image::{ImageRef, PullPolicy};
use crate::model::live::{AtRegistry, Live};
use crate::model::platform::Platform;

/// Why no container of `service` can be created, if one of its images is not here and must not be pulled.
pub(in crate::plan) fn not_here(service: &Service, images: &Images, live: &Live) -> Option<Refusal> {
    if service.pull != PullPolicy::Never {
        return None;
    }
    let (image, platform) = images.missing(&service.spec, live).next()?;
    let image = &image.name();
    let built_for = live.references.get(image).and_then(|id| live.images.get(id)?.platform.as_ref());
    if let (Some(wanted), Some(found)) = (platform, built_for) {
        return Some(Refusal::new(
            format!(
                "service `{}`: the image `{image}` of this host is for {found}, and its `platform` is `{wanted}`",
                service.name
            ),
            "load the image of that platform, or set `pull_policy: missing`",
        ));
    }
    Some(Refusal::new(
        format!(
            "service `{}`: the image `{image}` is not on this host, and its `pull_policy` is `never`",
            service.name
        ),
        "build or load it on this host, or set `pull_policy: missing`",
    ))
}

/// What people should know of the answers of the registries. A registry that didn't answer must not look like one that
/// has nothing new.
pub(in crate::plan) fn notes(desired: &Desired, live: &Live) -> Vec<String> {
    let used: BTreeSet<&ImageRef> =
        desired.services.values().flat_map(|service| service.spec.images()).collect();
    let answers = live.registry.iter().filter(|(image, _)| used.contains(image));
    answers.filter_map(|(image, said)| note(image, said, live)).collect()
}

fn note(image: &ImageRef, said: &AtRegistry, live: &Live) -> Option<String> {
    let known = live.references.contains_key(image)
        || live.containers.values().any(|container| container.spec.images().any(|had| had.name() == *image));
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
pub(in crate::plan) fn torn(desired: &Desired) -> Vec<Refusal> {
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
