//! What several test files need: a Docker to test with, an image to run on it, and names that nobody else has.

pub mod docker;
pub mod image;
pub mod names;
