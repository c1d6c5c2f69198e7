//! The nouns: names, specifications, what is desired and what is live. Pure values, no behaviour beyond their own
//! form.
//!
//! Everything above meets here: `manifest` makes a [`desired::Desired`], `engine` a [`live::Live`], `plan` compares
//! the two. No type here knows YAML, Docker's API or a file system.

pub mod address;
pub mod adopted;
pub mod desired;
pub mod draft;
pub mod grant;
pub mod image;
pub mod label;
pub mod live;
pub mod name;
pub mod place;
pub mod platform;
pub mod policy;
pub mod release;
pub mod secret;
pub mod spec;
pub mod text;
pub mod tree;
pub mod update;
pub mod window;
