//! What keeps a sender from ringing too often: deliveries are remembered, and a hook rings once a second at most.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use sha2::{Digest, Sha256};
use tokio::time::{self, Instant};

/// Deliveries that are remembered.
pub(super) const REMEMBERED: usize = 5000;

/// Time between two rings of a hook.
const GAP: Duration = Duration::from_secs(1);

/// The deliveries of all hooks that came last.
#[derive(Debug, Default)]
pub(in crate::serve) struct Deliveries(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    known: BTreeSet<[u8; 32]>,
    /// The same, the oldest first.
    order: VecDeque<[u8; 32]>,
}

impl Deliveries {
    /// Whether this delivery of this hook is a new one. It is remembered.
    pub(super) fn is_new(&self, hook: &str, delivery: &str) -> bool {
        let key: [u8; 32] =
            Sha256::new().chain_update(hook).chain_update([0]).chain_update(delivery).finalize().into();
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let Kept { known, order } = &mut *kept;
        if !known.insert(key) {
            return false;
        }
        order.push_back(key);
        if order.len() > REMEMBERED
            && let Some(oldest) = order.pop_front()
        {
            known.remove(&oldest);
        }
        true
    }
}

/// Rings at once, and then no sooner than after a second. A ring that comes sooner is not lost but late.
#[derive(Debug, Default)]
pub(super) struct Ringer(Mutex<(Option<Instant>, bool)>);

impl Ringer {
    /// Rings now or soon.
    pub(super) fn ring(self: &Arc<Self>, now: Instant, bells: impl FnOnce() + Send + 'static) {
        let mut state = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let (last, is_waiting) = &mut *state;
        if *is_waiting {
            return;
        }
        let due = last.map_or(now, |last| (last + GAP).max(now));
        *last = Some(due);
        *is_waiting = due > now;
        if !*is_waiting {
            drop(state);
            return bells();
        }
        let ringer = Arc::clone(self);
        tokio::spawn(async move {
            time::sleep_until(due).await;
            ringer.0.lock().unwrap_or_else(PoisonError::into_inner).1 = false;
            bells();
        });
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use super::*;

    #[test]
    fn a_delivery_is_new_once_and_few_are_remembered() {
        let deliveries = Deliveries::default();
        assert!(deliveries.is_new("forge", "1") && !deliveries.is_new("forge", "1"));
        assert!(deliveries.is_new("other", "1"), "hooks don't share deliveries");
        for number in 0..20_000 {
            assert!(deliveries.is_new("forge", &format!("n{number}")));
        }
        let kept = deliveries.0.lock().unwrap();
        assert_eq!((kept.known.len(), kept.order.len()), (REMEMBERED, REMEMBERED));
    }

    #[tokio::test(start_paused = true)]
    async fn many_rings_are_one_a_second_and_none_is_lost() {
        let (ringer, heard) = (Arc::new(Ringer::default()), Arc::new(AtomicUsize::new(0)));
        let ring = || {
            let heard = Arc::clone(&heard);
            ringer.ring(Instant::now(), move || {
                heard.fetch_add(1, Ordering::Relaxed);
            });
        };
        let count = || heard.load(Ordering::Relaxed);
        ring();
        assert_eq!(count(), 1, "the first one rings at once");
        (0..1000).for_each(|_| ring());
        assert_eq!(count(), 1);
        time::sleep(Duration::from_millis(1001)).await;
        assert_eq!(count(), 2, "the others together, later");
        time::sleep(Duration::from_secs(10)).await;
        assert_eq!(count(), 2);
        ring();
        assert_eq!(count(), 3);
    }
}
