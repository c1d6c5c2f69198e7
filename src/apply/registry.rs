//! What registries said, and for how long their word counts.
//!
//! A plan that is shown and then carried out must run what was shown, and an event on the host must not wait for a
//! registry: so answers are kept for the life of the process.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::engine::{Engine, registries, stand_in};
use crate::model::image::ImageRef;
use crate::model::live::{AtRegistry, Live};

/// Whether registries are asked for a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Registries {
    /// As the services want it.
    Ask,
    /// Only those that were never asked: what they said before still counts.
    Recall,
    /// Only for images that the host doesn't have. What runs is not questioned.
    Leave,
}

/// The answers so far, with the moment of each.
#[derive(Debug, Default)]
pub(super) struct Answers(Mutex<BTreeMap<ImageRef, (Timestamp, AtRegistry)>>);

impl Answers {
    /// The answers to `questions`, each of which says how old its answer may be.
    pub(super) async fn to<E: Engine>(
        &self,
        engine: &E,
        questions: BTreeMap<ImageRef, Duration>,
        live: &Live,
        (registries, now): (Registries, Timestamp),
    ) -> BTreeMap<ImageRef, AtRegistry> {
        let mut said = BTreeMap::new();
        let mut open = BTreeSet::new();
        for (image, age) in questions {
            // It is in no registry.
            if image == stand_in::reference() {
                continue;
            }
            let known = self.known(&image);
            let fresh = |since: Timestamp| now.duration_since(since).unsigned_abs() < age;
            match (registries, known) {
                (Registries::Leave, _) if is_on_host(&image, live) => {}
                (Registries::Recall, Some((_, answer))) => drop(said.insert(image, answer)),
                (_, Some((since, answer @ AtRegistry::Digest(_)))) if fresh(since) => {
                    said.insert(image, answer);
                }
                _ if tagged_at(&image, live).is_some_and(fresh) => {}
                _ => drop(open.insert(image)),
            }
        }
        if !open.is_empty() {
            let answers = registries::ask(engine, open).await;
            let mut known = self.0.lock().unwrap_or_else(PoisonError::into_inner);
            known.extend(answers.iter().map(|(image, answer)| (image.clone(), (now, answer.clone()))));
            said.extend(answers);
        }
        said
    }

    fn known(&self, image: &ImageRef) -> Option<(Timestamp, AtRegistry)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).get(image).cloned()
    }
}

fn is_on_host(image: &ImageRef, live: &Live) -> bool {
    live.references.contains_key(image)
        || live.containers.values().any(|container| container.spec.image.name() == *image)
}

/// When the tag came to mean what it means on the host: when it was last pulled, as far as anybody knows.
fn tagged_at(image: &ImageRef, live: &Live) -> Option<Timestamp> {
    let found = live.images.get(live.references.get(image)?)?;
    found.tagged_at.parse().ok()
}
