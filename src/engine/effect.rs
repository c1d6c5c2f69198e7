//! Counts what this process writes, so that a test may kill or halt the process at any of it.
//!
//! `EVENKEEL_TEST_DIE_AT=7` kills it, as `kill -9` does, when it is about to write for the seventh time; `7+` while that is
//! under way. `EVENKEEL_TEST_STOP_AT` halts it there as `kill -STOP` does, until it gets a `SIGCONT`. Writes are all calls of
//! the engine that may change something (a probe by `exec` is none), all transactions of the ledger, and all that is laid
//! down. Without these variables nothing is done.

use std::process::Command;
use std::str::FromStr;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::thread;

/// What happens to the process, and the signal for it.
const SIGNALS: [(&str, &str); 2] = [("EVENKEEL_TEST_DIE_AT", "-KILL"), ("EVENKEEL_TEST_STOP_AT", "-STOP")];

static SWITCH: OnceLock<Option<Switch>> = OnceLock::new();
static COUNT: AtomicU64 = AtomicU64::new(0);

/// A signal that waits for its moment.
#[derive(Debug)]
struct Switch {
    signal: &'static str,
    place: Place,
}

/// A moment in the life of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Place {
    /// At which write, from 1 on.
    number: u64,
    /// Whether it has begun by then.
    is_under_way: bool,
}

impl FromStr for Place {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let number = text.strip_suffix('+');
        Ok(Self { number: number.unwrap_or(text).parse()?, is_under_way: number.is_some() })
    }
}

/// To be called right before each write.
pub(crate) fn begins() {
    if let Some(switch) = SWITCH.get_or_init(Switch::of_environment)
        && COUNT.fetch_add(1, Ordering::Relaxed) + 1 == switch.place.number
    {
        switch.throw();
    }
}

impl Switch {
    fn of_environment() -> Option<Self> {
        SIGNALS.iter().find_map(|(variable, signal)| {
            let place = std::env::var(variable).ok()?.parse().ok()?;
            Some(Self { signal, place })
        })
    }

    fn throw(&self) {
        let (signal, id) = (self.signal, std::process::id().to_string());
        // A process can't do that to itself in safe code.
        let send = move || Command::new("kill").args([signal, &id]).status();
        if self.place.is_under_way {
            thread::spawn(send);
        } else if let Err(error) = send() {
            tracing::error!(%error, "no signal was sent");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_before_a_write_or_in_its_middle() {
        let place = |number, is_under_way| Ok(Place { number, is_under_way });
        assert_eq!("7".parse(), place(7, false));
        assert_eq!("12+".parse(), place(12, true));
        for wrong in ["", "+", "x", "7-", "-1"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }
}
