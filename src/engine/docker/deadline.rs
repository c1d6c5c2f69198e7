//! How long a call to Docker may take, all in one place.
//!
//! The client library's own timeout covers only the head of an answer; these cover the whole of it.

use std::time::Duration;

/// Until a socket that is there must have told its version.
pub(super) const CONNECT: Duration = Duration::from_secs(10);
/// Calls that only look, or change a record of the engine.
pub(super) const QUICK: Duration = Duration::from_secs(30);
/// A question to a registry: the daemon itself tries longer than anyone wants to wait for a plan.
pub(super) const REGISTRY: Duration = Duration::from_secs(20);
/// Calls that set up file systems, networks and processes.
pub(super) const HEAVY: Duration = Duration::from_secs(120);
/// Docker's own grace for a container that declares none.
pub(super) const GRACE: Duration = Duration::from_secs(10);
/// What a stop may take beyond the grace of the process.
pub(super) const STOP_MARGIN: Duration = Duration::from_secs(30);
/// Longest silence of a pull. Unpacking a great layer on a slow disk says nothing for a while.
pub(super) const PULL_SILENCE: Duration = Duration::from_secs(300);
