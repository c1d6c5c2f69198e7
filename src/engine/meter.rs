//! Who wants to know how long calls of the engine take.

use std::time::Duration;

/// Is told of every call to the daemon. It must not block.
pub trait Meter: Send + Sync {
    /// A call was answered, or not. `call` is one of a few words; the time is that until the head of the answer.
    fn called(&self, call: &'static str, took: Duration, failed: bool);
}

/// Wants to know nothing.
#[derive(Debug, Clone, Copy)]
pub struct NoMeter;

impl Meter for NoMeter {
    fn called(&self, _: &'static str, _: Duration, _: bool) {}
}
