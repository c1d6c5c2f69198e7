//! Who is connected. There are only so many seats; when all are taken, whoever has been waiting for longest without
//! asking anything gives up theirs. So thousands of connections that say nothing, or say it slowly, shut nobody out.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio_util::sync::CancellationToken;

/// All who are connected.
#[derive(Debug)]
pub(super) struct Crowd {
    most: usize,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    next: u64,
    /// Who says nothing at the moment, the longest silent first.
    idle: BTreeMap<u64, CancellationToken>,
    /// How many are being answered.
    busy: usize,
}

/// The seat of one connection.
#[derive(Debug)]
pub(super) struct Seat {
    crowd: Arc<Crowd>,
    place: Mutex<Place>,
    /// Cancelled when the seat is given to somebody else.
    pub(super) lost: CancellationToken,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    Idle(u64),
    Busy,
    Lost,
}

impl Crowd {
    pub(super) fn new(most: usize) -> Arc<Self> {
        Arc::new(Self { most, state: Mutex::default() })
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A seat for one more; none where everybody is being answered.
    pub(super) fn enter(self: &Arc<Self>) -> Option<Arc<Seat>> {
        let mut state = self.lock();
        if state.idle.len() + state.busy >= self.most {
            let (_, longest) = state.idle.pop_first()?;
            longest.cancel();
        }
        let lost = CancellationToken::new();
        let place = Mutex::new(state.sit(lost.clone()));
        Some(Arc::new(Seat { crowd: Arc::clone(self), place, lost }))
    }
}

impl State {
    fn sit(&mut self, lost: CancellationToken) -> Place {
        self.next += 1;
        self.idle.insert(self.next, lost);
        Place::Idle(self.next)
    }
}

/// As long as it lives, somebody is being answered.
#[derive(Debug)]
pub(super) struct Answering(Arc<Seat>);

impl Seat {
    /// Begins to answer.
    pub(super) fn answer(self: &Arc<Self>) -> Answering {
        let mut state = self.crowd.lock();
        let mut place = self.place.lock().unwrap_or_else(PoisonError::into_inner);
        if let Place::Idle(key) = *place {
            *place = if state.idle.remove(&key).is_some() {
                state.busy += 1;
                Place::Busy
            } else {
                Place::Lost
            };
        }
        drop(place);
        drop(state);
        Answering(Arc::clone(self))
    }
}

impl Drop for Answering {
    fn drop(&mut self) {
        let seat = &self.0;
        let mut state = seat.crowd.lock();
        let mut place = seat.place.lock().unwrap_or_else(PoisonError::into_inner);
        if *place == Place::Busy {
            state.busy -= 1;
            *place = state.sit(seat.lost.clone());
        }
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut state = self.crowd.lock();
        match *self.place.get_mut().unwrap_or_else(PoisonError::into_inner) {
            Place::Idle(key) => drop(state.idle.remove(&key)),
            Place::Busy => state.busy -= 1,
            Place::Lost => {}
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// How many are silent, and how many are being answered.
    fn count(crowd: &Crowd) -> (usize, usize) {
        let state = crowd.lock();
        (state.idle.len(), state.busy)
    }

    #[test]
    fn the_longest_silent_gives_up_its_seat() {
        let crowd = Crowd::new(2);
        let (first, second) = (crowd.enter().unwrap(), crowd.enter().unwrap());
        let answering = first.answer();
        let third = crowd.enter().unwrap();
        assert!(second.lost.is_cancelled() && !first.lost.is_cancelled());
        let also = third.answer();
        assert!(crowd.enter().is_none(), "nobody is silent");
        drop(answering);
        let fourth = crowd.enter().unwrap();
        assert!(first.lost.is_cancelled() && !third.lost.is_cancelled());
        drop((also, first, second, third, fourth));
        assert_eq!(count(&crowd), (0, 0));
    }

    #[test]
    fn who_lost_the_seat_is_not_counted() {
        let crowd = Crowd::new(1);
        let first = crowd.enter().unwrap();
        let second = crowd.enter().unwrap();
        drop(first.answer());
        drop(first);
        assert_eq!(count(&crowd), (1, 0));
        drop(second);
        assert_eq!(count(&crowd), (0, 0));
    }
}
