//! Names and addresses that no other test uses at the same time.

use std::process;
use std::sync::atomic::{AtomicU32, Ordering};

use evenkeel::model::name::StackName;

/// Every stack of a test begins so.
pub const PREFIX: &str = "ek-test";

/// A stack that is nobody else's.
pub fn unique_stack() -> StackName {
    // No name of one is the beginning of another one.
    format!("{PREFIX}-{}-{:05}", process::id(), next()).parse().unwrap()
}

/// A subnet that neither this run nor one beside it uses, between `10.200.0.0` and `10.254.0.0`: its first three numbers, with a point.
pub fn unique_subnet() -> String {
    format!("10.{}.{}.", 200 + process::id() % 55, (process::id() / 55 + next()) % 250)
}

/// A port of the host that no other test of this run uses.
pub fn unique_port() -> u16 {
    20_000 + u16::try_from((process::id() * 64 + next()) % 10_000).unwrap()
}

fn next() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    COUNT.fetch_add(1, Ordering::Relaxed)
}
