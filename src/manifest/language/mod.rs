//! The Compose language: what may be said, in which forms, and what it means.
//!
//! ```text
//! tree of a file ─ interpolate ─ long form ─ extends ─ include ─ merge ─► one tree ─ complete ─ check ─► Model
//! ```
//!
//! The attributes are data, in [`table`], and every step here walks that table: reading short forms, merging, and
//! printing. What comes out is one canonical tree in the long form, that still knows where everything was written.
//! Whether an attribute can be honoured on a host is not asked here: that is for the lowering.

pub(crate) mod types;
pub(crate) mod table;
pub(crate) mod scalars;
pub(crate) mod long;
pub(crate) mod typed;
pub(crate) mod numbers;
pub(crate) mod short;
pub(crate) mod ports;
pub(crate) mod mounts;
pub(crate) mod words;
pub(crate) mod merge;
pub(crate) mod unique;
pub(crate) mod places;
pub(crate) mod files;
pub(crate) mod extends;
pub(crate) mod include;
pub(crate) mod complete;
pub(crate) mod environment;
pub(crate) mod check;
pub(crate) mod references;
pub(crate) mod graph;
pub(crate) mod model;
pub(crate) mod print;
pub(crate) mod yaml;
pub(crate) mod hash;
