//! Brings an image to the host. How layers come, and go on after a broken connection, is the engine's own business.

use super::progress::Event;
use super::step::{Site, StepError};
use crate::engine::{Engine, EngineError, stand_in};
use crate::model::image::ImageRef;
use crate::model::platform::Platform;

impl<E: Engine> Site<'_, E> {
    /// Fetches an image, or makes it where it is the stand-in. Ends at once when somebody says to halt.
    pub(super) async fn pull(&self, image: &ImageRef, platform: Option<&Platform>) -> Result<(), StepError> {
        tokio::select! {
            biased;
            // Cancel-safe: a cancelled token stays cancelled, and half a pull is no image.
            () = self.halt.cancelled() => Err(StepError::Halted),
            pulled = self.fetch(image, platform) => pulled,
        }
    }

    async fn fetch(&self, image: &ImageRef, platform: Option<&Platform>) -> Result<(), StepError> {
        if *image == stand_in::reference() {
            let layer = stand_in::layer().ok_or_else(|| StepError::NoStandIn(image.clone()))?;
            let config = stand_in::config();
            return self.try_again(|| self.engine.import_image(image, layer.clone(), &config)).await;
        }
        let told = |progress| self.tools.progress.event(Event::Pulling { image, progress });
        let pulled = self.try_again(|| self.engine.pull_image(image, platform, &told)).await;
        pulled.map_err(|error| match error {
            StepError::Engine(source @ EngineError::NotFound { .. }) => {
                StepError::NoImage { image: image.clone(), source: Box::new(source) }
            }
            other => other,
        })?;
        self.verify(image).await
    }

    /// Makes sure that what came is what was planned, where that is known: an engine and its mirrors are trusted with a
    /// name, not with a digest.
    async fn verify(&self, image: &ImageRef) -> Result<(), StepError> {
        let Some(digest) = image.digest() else { return Ok(()) };
        let by_digest = format!("{}@{digest}", image.repository());
        let found = self.try_again(|| self.engine.inspect_image(&by_digest)).await?;
        let is_planned = found.is_some_and(|found| {
            found
                .repo_digests
                .iter()
                .any(|known| known.repository() == image.repository() && known.digest() == Some(digest))
        });
        if is_planned { Ok(()) } else { Err(StepError::OtherImage(image.clone())) }
    }
}
