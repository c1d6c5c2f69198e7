//! Stub, replaced by the real module.

use super::ImportConfig;
use crate::model::image::ImageRef;

/// The reference of the image.
pub fn reference() -> ImageRef {
    match "evenkeel/stand-in:1".parse() {
        Ok(image) => image,
        Err(error) => unreachable!("BUG: {error}"),
    }
}

/// Its layer.
pub fn layer() -> Option<Vec<u8>> {
    None
}

/// Its configuration.
pub fn config() -> ImportConfig {
    ImportConfig::default()
}
