//! Everything that is tested from outside of the library, in one binary: each further one would link the lot again.

#![allow(
    clippy::unwrap_used,
    reason = "everything here is a test; clippy's own exception only sees `#[test]` functions"
)]
#![allow(unreachable_pub, reason = "a binary has no outside; `pub` says here what other test files may use")]

mod common;
mod paper;
mod addresses;
mod adopting;
mod agent;
mod agent_file;
mod announce;
mod apply;
mod attributes;
mod cli;
mod compose;
mod connecting;
mod demo;
mod docker;
mod doctor;
mod drafts;
mod engine_contract;
mod field_laws;
mod histories;
mod hostile;
mod manifests;
mod metrics;
mod packaging;
mod plan_laws;
mod plans;
mod policies;
mod pull_requests;
mod readme;
mod remote;
mod reviews;
mod schemas;
mod serve;
mod sharing;
mod source;
mod sweep;
mod tidy;
mod traps;
