//! Everything that is tested from outside of the library, in one binary: each further one would link the lot again.

#![allow(clippy::unwrap_used, reason = "a test may fail where it stands")]

mod paper;
mod plan_laws;
mod plans;
mod source;
mod tidy;
