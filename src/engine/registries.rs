//! Asks registries what references mean there, through the engine: its network, proxies, mirrors and certificates are
//! those that a pull would use.

use std::collections::{BTreeMap, BTreeSet};

use futures_util::stream::{self, StreamExt};

use super::{Engine, EngineError};
use crate::model::image::ImageRef;
use crate::model::live::AtRegistry;

/// Most questions at the same time. Registries count them, and a stack often has one registry only.
const QUESTIONS_MAX: usize = 4;

/// What the registries of `references` say. A registry that can't be asked is no error: what is on the host counts then.
///
/// # Guarantees
/// Only reads, and only at registries.
pub async fn ask<E: Engine>(engine: &E, references: BTreeSet<ImageRef>) -> BTreeMap<ImageRef, AtRegistry> {
    stream::iter(references)
        .map(|reference| async move {
            let said = match engine.registry_digest(&reference).await {
                Ok(digest) => AtRegistry::Digest(digest),
                Err(EngineError::NotFound { message, .. }) => AtRegistry::Absent(message),
                Err(
                    EngineError::Conflict { message, .. }
                    | EngineError::Rejected { message, .. }
                    | EngineError::Denied { message, .. }
                    | EngineError::Unavailable { message, .. }
                    | EngineError::Unexpected { message, .. },
                ) => AtRegistry::Unknown(message),
                Err(EngineError::TimedOut { within, .. }) => {
                    AtRegistry::Unknown(format!("no answer within {} s", within.as_secs()))
                }
            };
            (reference, said)
        })
        .buffer_unordered(QUESTIONS_MAX)
        .collect()
        .await
}
