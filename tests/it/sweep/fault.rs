//! What goes wrong at one point of a scenario, and how it is brought about there.

use std::panic::resume_unwind;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use evenkeel::apply::ledger::writes::{self, Write};
use evenkeel::apply::machine::Machine;
use evenkeel::engine::sim::{Call, Ending, Fault, Sim, Verb};
use tokio::sync::Notify;

use super::site::Site;

/// How long a daemon is away: longer than one call is tried again on the way there.
const AWAY: Duration = Duration::from_secs(3);

/// A place in a scenario at which something can go wrong.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Point {
    Call(Call),
    Write(Write),
}

impl Point {
    /// Whether something may be otherwise after it.
    pub fn is_effect(&self) -> bool {
        match self {
            Self::Call(call) => call.verb.writes(),
            Self::Write(_) => true,
        }
    }
}

/// Whether what happens at the point has its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Done {
    No,
    Yes,
}

/// How long a fault lasts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Lasts {
    Once,
    FromThenOn,
}

/// What goes wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Way {
    /// A call is not answered, a write finds no room on the disk.
    Fails(Lasts),
    /// A call hangs until its deadline, a write waits for another writer until it gives up.
    Hangs(Lasts),
    /// It is done, and who asked for it hears of a failure.
    ReplyLost(Lasts),
    /// The engine refuses a call for a reason that doesn't pass by itself.
    Refused,
    /// The controller is killed.
    Killed(Done),
    /// The daemon ends and comes back after a while.
    Daemon(Ending, Done),
    /// The machine has no power any more, and has it again.
    PowerLost(Done),
    /// The disk is full from then on, for the daemon and for the ledger.
    DiskFull,
    /// Somebody cleans up on the host: whatever doesn't run is gone.
    Pruned,
}

impl Way {
    /// Every way.
    pub const ALL: [Self; 17] = [
        Self::Fails(Lasts::Once),
        Self::Fails(Lasts::FromThenOn),
        Self::Hangs(Lasts::Once),
        Self::Hangs(Lasts::FromThenOn),
        Self::ReplyLost(Lasts::Once),
        Self::ReplyLost(Lasts::FromThenOn),
        Self::Refused,
        Self::Killed(Done::No),
        Self::Killed(Done::Yes),
        Self::Daemon(Ending::Stopped, Done::No),
        Self::Daemon(Ending::Stopped, Done::Yes),
        Self::Daemon(Ending::LiveRestore, Done::No),
        Self::Daemon(Ending::LiveRestore, Done::Yes),
        Self::PowerLost(Done::No),
        Self::PowerLost(Done::Yes),
        Self::DiskFull,
        Self::Pruned,
    ];

    /// Whether the controller doesn't live on.
    pub fn kills(self) -> bool {
        match self {
            Self::Killed(_) | Self::PowerLost(_) => true,
            Self::Fails(_)
            | Self::Hangs(_)
            | Self::ReplyLost(_)
            | Self::Refused
            | Self::Daemon(..)
            | Self::DiskFull
            | Self::Pruned => false,
        }
    }
}

impl Way {
    /// Whether it can happen there: the ledger refuses nothing for good.
    pub fn is_possible(self, point: &Point) -> bool {
        self != Self::Refused || matches!(point, Point::Call(_))
    }

    /// Whether it comes to the same there as another way, or as at the next point.
    pub fn is_another(self, point: &Point) -> bool {
        match self {
            // Where nothing is done, nothing is done that is not told, and nothing is otherwise afterwards.
            Self::Killed(_) | Self::PowerLost(_) | Self::ReplyLost(Lasts::Once) => !point.is_effect(),
            // What happens to the host at a write happens before the next call, and a write that is waited for fails at
            // last.
            Self::Pruned | Self::Daemon(_, Done::Yes) | Self::Hangs(_) => matches!(point, Point::Write(_)),
            Self::Refused
            | Self::Fails(_)
            | Self::ReplyLost(Lasts::FromThenOn)
            | Self::Daemon(_, Done::No)
            | Self::DiskFull => false,
        }
    }
}

/// What ends a controller in the middle of its work.
struct Death;

/// Something that goes wrong at the point of one number. A clone is another handle of it.
#[derive(Clone)]
pub struct Strike {
    state: Arc<Mutex<State>>,
    /// Comes when the controller is to die, though it only waits.
    pub dies: Arc<Notify>,
}

struct State {
    way: Way,
    at: usize,
    points: Vec<Point>,
    struck: Option<Point>,
    is_dead: bool,
    folder: PathBuf,
    /// So much of the log of the ledger survives a loss of power.
    synced: u64,
    /// Whether all of it does.
    is_synced: bool,
}

impl Strike {
    /// Lets `way` come over what `machine` does on `site`, at the point number `at`, from 0.
    pub fn set(site: &Site, machine: &Machine<Sim>, (way, at): (Way, usize)) -> Self {
        let state = State {
            way,
            at,
            points: Vec::new(),
            struck: None,
            is_dead: false,
            folder: site.folder.clone(),
            synced: Site::log_bytes(&site.folder),
            is_synced: true,
        };
        let strike = Self { state: Arc::new(Mutex::new(state)), dies: Arc::new(Notify::new()) };
        let (of_calls, sim) = (strike.clone(), site.sim.clone());
        site.sim.on_call(Box::new(move |call| of_calls.call(&sim, call)));
        let (of_writes, sim) = (strike.clone(), site.sim.clone());
        machine.ledger().on_write(Box::new(move |what| of_writes.write(&sim, what)));
        strike
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Whoever dies does so with it in his hands.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The points so far.
    pub fn points(&self) -> Vec<Point> {
        self.state().points.clone()
    }

    /// The point at which it struck, if it did.
    pub fn struck(&self) -> Option<Point> {
        self.state().struck.clone()
    }

    /// How much of the log of the ledger is on the disk.
    pub fn synced(&self) -> u64 {
        self.state().flushed()
    }

    /// Whether `panic` is the death of the controller.
    pub fn is_death(panic: &(dyn std::any::Any + Send)) -> bool {
        panic.is::<Death>()
    }

    fn call(&self, sim: &Sim, call: &Call) -> Fault {
        let mut state = self.state();
        state.live();
        let (turn, way) = (state.turn(Point::Call(call.clone())), state.way);
        match (turn, way) {
            (Turn::Before, _)
            | (
                Turn::After,
                Way::Refused
                | Way::Pruned
                | Way::Daemon(..)
                | Way::DiskFull
                | Way::Killed(_)
                | Way::PowerLost(_),
            ) => Fault::None,
            (_, Way::Fails(lasts)) => lasting(turn, lasts, state.is_of(call), Fault::Error),
            (_, Way::Hangs(lasts)) => lasting(turn, lasts, state.is_of(call), Fault::Hang),
            (_, Way::ReplyLost(lasts)) => lasting(turn, lasts, state.is_of(call), Fault::DoneButReplyLost),
            (Turn::Now, Way::Refused) => refusal(call.verb),
            (Turn::Now, Way::Killed(done) | Way::PowerLost(done)) => {
                self.die(&mut state, done);
                Fault::DoneButReplyLost
            }
            (Turn::Now, Way::Daemon(ending, done)) => {
                go_away(sim, ending, done);
                if done == Done::Yes { Fault::DoneButReplyLost } else { Fault::None }
            }
            (Turn::Now, Way::DiskFull) => {
                sim.fill_disk(true);
                Fault::None
            }
            (Turn::Now, Way::Pruned) => {
                sim.prune();
                Fault::None
            }
        }
    }

    fn write(&self, sim: &Sim, what: Write) -> writes::Fault {
        use writes::Fault;
        let mut state = self.state();
        state.live();
        let point = Point::Write(what);
        state.flushed();
        let (turn, way) = (state.turn(point), state.way);
        let of_ledger = matches!(state.struck, Some(Point::Write(_)));
        let fault = match (turn, way) {
            (Turn::Before, _)
            | (
                Turn::After,
                Way::Refused | Way::Pruned | Way::Daemon(..) | Way::Killed(_) | Way::PowerLost(_),
            )
            | (Turn::Now, Way::Refused) => Fault::None,
            (Turn::Now | Turn::After, Way::DiskFull) => {
                sim.fill_disk(true);
                Fault::Full
            }
            (_, Way::Fails(lasts)) => lasting(turn, lasts, of_ledger, Fault::Full),
            (_, Way::Hangs(lasts)) => lasting(turn, lasts, of_ledger, Fault::Busy),
            (_, Way::ReplyLost(lasts)) => lasting(turn, lasts, of_ledger, Fault::DoneButUnknown),
            (Turn::Now, Way::Killed(done) | Way::PowerLost(done)) => {
                self.die(&mut state, done);
                Fault::None
            }
            (Turn::Now, Way::Daemon(ending, done)) => {
                go_away(sim, ending, done);
                Fault::None
            }
            (Turn::Now, Way::Pruned) => {
                sim.prune();
                Fault::None
            }
        };
        // A write that was refused leaves the log as it was.
        if matches!(fault, Fault::None | Fault::DoneButUnknown) {
            state.is_synced = what.is_durable();
        }
        fault
    }

    /// Ends the controller here, or as soon as what it does now is done.
    fn die(&self, state: &mut State, done: Done) {
        state.is_dead = true;
        self.dies.notify_one();
        if done == Done::No {
            resume_unwind(Box::new(Death));
        }
    }
}

/// Where a point is, seen from the one at which it goes wrong.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Turn {
    Before,
    Now,
    After,
}

impl State {
    /// Whoever is dead does nothing.
    fn live(&self) {
        if self.is_dead {
            resume_unwind(Box::new(Death));
        }
    }

    fn turn(&mut self, point: Point) -> Turn {
        let now = self.points.len();
        if now == self.at {
            self.struck = Some(point.clone());
        }
        self.points.push(point);
        match now.cmp(&self.at) {
            std::cmp::Ordering::Less => Turn::Before,
            std::cmp::Ordering::Equal => Turn::Now,
            std::cmp::Ordering::Greater => Turn::After,
        }
    }

    /// Whether what went wrong was a call, so that further calls do.
    fn is_of(&self, _: &Call) -> bool {
        matches!(self.struck, Some(Point::Call(_)))
    }

    /// Looks how much of the log is on the disk.
    fn flushed(&mut self) -> u64 {
        if self.is_synced {
            let now = Site::log_bytes(&self.folder);
            assert!(now >= self.synced, "the log of the ledger began anew");
            self.synced = now;
        }
        self.synced
    }
}

fn lasting<F: Default>(turn: Turn, lasts: Lasts, is_same_kind: bool, fault: F) -> F {
    match (turn, lasts) {
        (Turn::Now, _) => fault,
        (Turn::After, Lasts::FromThenOn) if is_same_kind => fault,
        (Turn::Before | Turn::After, _) => F::default(),
    }
}

/// Lets the daemon end, before what happens now or right after it, and come back.
fn go_away(sim: &Sim, ending: Ending, done: Done) {
    if done == Done::No {
        sim.stop_daemon(ending);
    }
    let sim = sim.clone();
    tokio::spawn(async move {
        sim.stop_daemon(ending);
        tokio::time::sleep(AWAY).await;
        sim.start_daemon();
    });
}

/// What an engine may say to a call for good, though all is as it was when the plan was made: a port or a name was
/// stolen, an image was removed, the engine is in disorder.
fn refusal(verb: Verb) -> Fault {
    match verb {
        Verb::PullImage | Verb::TagImage | Verb::RegistryDigest => Fault::NotFound,
        Verb::CreateContainer
        | Verb::RemoveContainer
        | Verb::DiscardContainer
        | Verb::RenameContainer
        | Verb::RemoveNetwork
        | Verb::RemoveVolume
        | Verb::RemoveImage
        | Verb::CreateVolume
        | Verb::Exec => Fault::Conflict,
        Verb::StartContainer
        | Verb::StopContainer
        | Verb::UpdateContainer
        | Verb::ConnectNetwork
        | Verb::DisconnectNetwork
        | Verb::CreateNetwork
        | Verb::ImportImage
        | Verb::Server
        | Verb::ListContainers
        | Verb::ListNetworks
        | Verb::ListVolumes
        | Verb::InspectContainer
        | Verb::InspectImage
        | Verb::Logs
        | Verb::FollowLog
        | Verb::Events => Fault::Rejected,
    }
}
