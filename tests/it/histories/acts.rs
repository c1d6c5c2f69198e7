//! What happens in a history: deploys with something that goes wrong in them, and what people do on the host.

use std::time::Duration;

use evenkeel::engine::sim::Fault;

use super::dice::Dice;

/// Revisions that a history knows.
const REVISIONS: u64 = 6;
/// The number of calls within which something goes wrong.
const CALLS: usize = 90;

/// One thing that happens.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Act {
    /// What was cut off is ended, and this revision is planned and carried out.
    Deploy(u64, Harm),
    /// What was cut off is ended.
    Recover(Harm),
    /// The revision that was deployed well before the present one is deployed again.
    Rollback(Harm),
    /// Somebody does something on the host.
    Hand(Hand),
    /// Time goes by.
    Wait(Duration),
}

/// What goes wrong in a deploy, at the call of this number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harm {
    Nothing,
    /// The controller is killed, before the call had its effect or after.
    Killed(usize, Done),
    /// The call fails.
    Once(usize, Fault),
    /// The call fails, and all calls after it.
    FromThenOn(usize, Fault),
    /// Somebody does something on the host.
    Meanwhile(usize, Hand),
    /// Somebody stops the deploy in good order.
    Stopped(usize),
}

/// Whether a call had its effect.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    Yes,
    No,
}

/// What somebody does on the host; the number says to which container.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Hand {
    Remove(usize),
    Stop(usize),
    Crash(usize),
    Rename(usize),
    /// `docker update --restart no`
    Fence(usize),
    /// `docker update --memory`
    Limit(usize),
    /// `docker network disconnect`
    Disconnect(usize),
    /// `docker container prune`
    PruneContainers,
    /// `docker rmi -f`
    Untag(usize),
    RestartDaemon,
}

/// What happens in the history of this seed.
pub fn acts(seed: u64) -> Vec<Act> {
    let mut dice = Dice::of(seed, 7);
    let count = 2 + dice.roll(8);
    (0..count).map(|_| act(&mut dice)).collect()
}

fn act(dice: &mut Dice) -> Act {
    match dice.roll(100) {
        0..60 => {
            let revision = 1 + dice.roll(REVISIONS);
            Act::Deploy(revision, harm(dice))
        }
        60..67 => Act::Recover(harm(dice)),
        67..73 => Act::Rollback(harm(dice)),
        73..95 => Act::Hand(hand(dice)),
        _ => Act::Wait(Duration::from_secs(1 + dice.roll(120))),
    }
}

fn harm(dice: &mut Dice) -> Harm {
    // Late calls as often as early ones, whatever the deploy is like.
    let at = dice.place(CALLS);
    let fault = dice.pick(&[Fault::Error, Fault::DoneButReplyLost, Fault::Hang]);
    match dice.roll(100) {
        0..35 => Harm::Nothing,
        35..60 => Harm::Killed(at, dice.pick(&[Done::Yes, Done::No])),
        60..78 => Harm::Once(at, fault),
        78..86 => Harm::FromThenOn(at, fault),
        86..95 => Harm::Meanwhile(at, hand(dice)),
        _ => Harm::Stopped(at),
    }
}

fn hand(dice: &mut Dice) -> Hand {
    let which = dice.place(12);
    match dice.roll(10) {
        0 => Hand::Remove(which),
        1 => Hand::Stop(which),
        2 => Hand::Crash(which),
        3 => Hand::Rename(which),
        4 => Hand::Fence(which),
        5 => Hand::Limit(which),
        6 => Hand::Disconnect(which),
        7 => Hand::PruneContainers,
        8 => Hand::Untag(which),
        _ => Hand::RestartDaemon,
    }
}
