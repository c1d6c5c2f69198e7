//! Evenkeel keeps Docker hosts on an even keel: what Git says is what runs.

pub mod model;
pub mod manifest;
pub mod plan;
pub mod engine;
pub mod source;
pub mod apply;
pub mod agent;
pub mod serve;
pub mod announce;
pub mod metrics;
pub mod cli;
