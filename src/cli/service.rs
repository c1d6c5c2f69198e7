//! Tells the service manager how the agent is: that it is ready, reloads, stops, and that it is alive.
//!
//! Where no service manager started this process (no `NOTIFY_SOCKET`) nothing is told. A message that can't be told is
//! logged and changes nothing else. It never decides whether something is restarted: the unit does, by `WatchdogSec`.

use std::ffi::OsStr;
use std::io;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};
use tokio::time::{self, Instant, MissedTickBehavior};
use tracing::{debug, error};

use crate::agent::{Audience, Happening};
use crate::apply::progress::{Event, Progress};

/// Everything is open and the agent begins. `status` is what `systemctl status` shows, in one line.
pub fn ready(status: &str) {
    tell(&format!("READY=1\nSTATUS={}", line(status)));
}

/// agent.yaml is read again. Must be followed by [`ready`], also where the file was wrong.
pub fn reloading() {
    // Newer managers want to know when it began, and take a reload without that for a failure.
    let now = clock_gettime(ClockId::Monotonic);
    tell(&format!("RELOADING=1\nMONOTONIC_USEC={}", now.tv_sec * 1_000_000 + now.tv_nsec / 1_000));
}

/// The agent ends, as it was asked to.
pub fn stopping(status: &str) {
    tell(&format!("STOPPING=1\nSTATUS={}", line(status)));
}

/// Another line for `systemctl status`.
pub fn status(status: &str) {
    tell(&format!("STATUS={}", line(status)));
}

/// A line break would begin another message.
fn line(text: &str) -> String {
    text.replace(['\n', '\r'], " ")
}

fn tell(message: &str) {
    let Some(socket) = std::env::var_os("NOTIFY_SOCKET") else { return };
    if let Err(error) = send(&socket, message) {
        debug!(%error, "the service manager wasn't told");
    }
}

/// Never waits: a manager that reads nothing must not stop the agent. (The usual crate for this does wait.)
fn send(socket: &OsStr, message: &str) -> io::Result<()> {
    let address = match socket.as_bytes().strip_prefix(b"@") {
        Some(name) => SocketAddr::from_abstract_name(name)?,
        None => SocketAddr::from_pathname(socket)?,
    };
    let sender = UnixDatagram::unbound()?;
    sender.set_nonblocking(true)?;
    sender.send_to_addr(message.as_bytes(), &address).map(drop)
}

/// How often the manager wants to hear of this process, if at all.
fn wanted_within() -> Option<Duration> {
    let of = |name| std::env::var(name).ok();
    within(of("WATCHDOG_USEC").as_deref(), of("WATCHDOG_PID").as_deref(), std::process::id())
}

fn within(micros: Option<&str>, of_process: Option<&str>, me: u32) -> Option<Duration> {
    let is_me = of_process.is_none_or(|process| process.parse() == Ok(me));
    let micros = micros?.parse().ok().filter(|micros| *micros > 0)?;
    is_me.then_some(Duration::from_micros(micros))
}

/// How long a deploy may tell nothing: the longest silence of a pull is five minutes, and a gate has its deadline three
/// times, so that only a deadline of more than half an hour is in danger.
const BUSY_MOST: Duration = Duration::from_secs(100 * 60);
/// What is added to the longest rest.
const REST_MARGIN: Duration = Duration::from_secs(60);

/// Whether the loop of one stack is alive, from what it tells. It never asks the loop.
#[derive(Debug)]
pub struct Heart {
    last: Mutex<Beat>,
    rest_most: Duration,
}

#[derive(Debug, Clone, Copy)]
struct Beat {
    at: Instant,
    rests: bool,
}

impl Heart {
    /// The heart of a loop that looks at everything at least every `look`, give or take a fifth.
    pub fn new(look: Duration) -> Self {
        let last = Mutex::new(Beat { at: Instant::now(), rests: false });
        Self { last, rest_most: look * 2 + REST_MARGIN }
    }

    /// Whether something was heard of the loop within the time that it may be silent for.
    pub fn is_alive(&self) -> bool {
        let Beat { at, rests } = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        at.elapsed() <= if rests { self.rest_most } else { BUSY_MOST }
    }

    fn beat(&self, rests: bool) {
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Beat { at: Instant::now(), rests };
    }
}

impl Progress for Heart {
    fn event(&self, _: Event<'_>) {
        self.beat(false);
    }
}

impl Audience for Heart {
    fn happens(&self, happening: Happening<'_>) {
        self.beat(matches!(happening, Happening::Rests));
    }
}

/// Tells the service manager that the agent lives, as often as its unit wants, for ever. While `is_alive` says no, nothing
/// is told, and the manager ends the process by its own rules; what a deploy was in the middle of is recovered at the next
/// start. Ends at once where no watchdog is wanted.
///
/// It runs until the process ends and not only until that is asked to: a deploy that is undone at the end may take longer
/// than the manager waits. Spawned on the runtime of the loop, it notices also a runtime that hangs.
pub async fn watchdog(is_alive: impl Fn() -> bool) {
    let Some(within) = wanted_within() else { return };
    beat(within, is_alive, || tell("WATCHDOG=1")).await;
}

async fn beat(within: Duration, is_alive: impl Fn() -> bool, tell: impl Fn()) {
    // Twice within the time that the manager waits, as its manual asks for.
    let mut ticks = time::interval((within / 2).max(Duration::from_millis(1)));
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut silent = false;
    loop {
        ticks.tick().await;
        if is_alive() {
            silent = false;
            tell();
        } else if !silent {
            silent = true;
            error!("the agent stands still: the service manager is told nothing more, and starts it anew");
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn a_manager_is_told_at_a_path_or_at_a_name_and_never_waited_for() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("notify");
        let manager = UnixDatagram::bind(&path).unwrap();
        send(path.as_os_str(), "READY=1").unwrap();
        let mut bytes = [0; 64];
        let length = manager.recv(&mut bytes).unwrap();
        assert_eq!(&bytes[..length], b"READY=1");
        // However much fits in between, somewhen it is full, and that is an error at once.
        assert!((0..100_000).any(|_| send(path.as_os_str(), "WATCHDOG=1").is_err()));
        let name = format!("evenkeel-{}", std::process::id());
        let manager = UnixDatagram::bind_addr(&SocketAddr::from_abstract_name(&name).unwrap()).unwrap();
        send(OsStr::new(&format!("@{name}")), "READY=1").unwrap();
        assert_eq!(manager.recv(&mut bytes).unwrap(), 7);
        assert!(send(temp.path().join("nobody").as_os_str(), "READY=1").is_err());
        assert_eq!(line("a\nREADY=1"), "a READY=1");
    }

    #[test]
    fn the_watchdog_is_for_this_process_alone() {
        for (micros, process, expected) in [
            (Some("3000000"), None, Some(3)),
            (Some("3000000"), Some("7"), Some(3)),
            (Some("3000000"), Some("8"), None),
            (Some("soon"), None, None),
            (Some("0"), None, None),
            (None, Some("7"), None),
        ] {
            assert_eq!(
                within(micros, process, 7),
                expected.map(Duration::from_secs),
                "{micros:?} {process:?}"
            );
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_loop_is_alive_while_it_tells_something() {
        let heart = Heart::new(Duration::from_secs(300));
        heart.happens(Happening::Rests);
        time::advance(Duration::from_secs(11 * 60)).await;
        assert!(heart.is_alive(), "twice the rest and a minute");
        time::advance(Duration::from_secs(1)).await;
        assert!(!heart.is_alive());
        heart.happens(Happening::Recovers);
        assert!(heart.is_alive());
        time::advance(Duration::from_secs(60 * 60)).await;
        assert!(heart.is_alive(), "a deploy may wait for long");
        time::advance(Duration::from_secs(60 * 60)).await;
        assert!(!heart.is_alive());
    }

    #[tokio::test(start_paused = true)]
    async fn the_watchdog_hears_nothing_of_a_loop_that_stands_still() {
        let (alive, told) = (Cell::new(true), Cell::new(0));
        let beats = beat(Duration::from_secs(10), || alive.get(), || told.set(told.get() + 1));
        let story = async {
            time::sleep(Duration::from_secs(21)).await;
            assert_eq!(told.get(), 5);
            alive.set(false);
            time::sleep(Duration::from_secs(60)).await;
            assert_eq!(told.get(), 5);
            alive.set(true);
            time::sleep(Duration::from_secs(5)).await;
            assert_eq!(told.get(), 6);
        };
        tokio::select! {
            () = beats => {}
            () = story => {}
        }
    }
}
