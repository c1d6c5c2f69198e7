//! Sends what is in the outbox. Each receiver has a task of its own: one that is slow or dead delays nobody.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use super::message::Message;
use super::outbox::Outbox;
use super::post::{self, Letter, NotTaken};
use crate::apply::ledger::outbox::Waiting;
use crate::apply::ledger::{Ledger, LedgerError};
use crate::manifest::Notify;

/// How fast messages are sent, and for how long they are tried.
#[derive(Debug, Clone, Copy)]
pub struct Pace {
    /// The longest time for one try.
    pub timeout: Duration,
    /// The pause after a first failure; each further one is twice as long.
    pub first: Duration,
    /// The longest pause.
    pub most: Duration,
    /// A message that was not taken for so long is dropped.
    pub give_up: Duration,
    /// After a start, so long a time is left to the agent to find what is over.
    pub settle: Duration,
}

impl Default for Pace {
    fn default() -> Self {
        Self {
            timeout: Duration::from_secs(10),
            first: Duration::from_secs(5),
            most: Duration::from_secs(30 * 60),
            give_up: Duration::from_secs(3 * 24 * 60 * 60),
            settle: Duration::from_secs(60),
        }
    }
}

/// Told messages are known for so long.
const KNOWN: SignedDuration = SignedDuration::from_hours(30 * 24);

/// The longest sleep: the host's clock may be set meanwhile.
const LONGEST: Duration = Duration::from_secs(60 * 60);

impl Pace {
    /// The pause after so many failures.
    fn pause(&self, failures: u32) -> Duration {
        let factor = 1_u32.checked_shl(failures.saturating_sub(1).min(31)).unwrap_or(u32::MAX);
        self.first.saturating_mul(factor).min(self.most)
    }
}

/// Sends what is in the outbox, now and whenever something is added, until `stop` is cancelled.
///
/// # Guarantees
/// - Each message is taken by its receiver once. Only one that was sent right before this process died, and not recorded,
///   is sent again; it has the same id.
/// - The messages of a receiver arrive in the order in which they are due.
pub async fn deliver(outbox: Arc<Outbox>, pace: Pace, stop: CancellationToken) {
    let now = outbox.now();
    let settled = after(now, pace.settle);
    let old = now.checked_sub(KNOWN).unwrap_or(Timestamp::MIN);
    if let Err(error) = on_ledger(&outbox, move |ledger| ledger.open_outbox(settled, old)).await {
        warn!(%error, "the outbox could not be made ready");
    }
    let mut queues = JoinSet::new();
    for receiver in outbox.receivers().iter().cloned() {
        let queue = Queue { outbox: Arc::clone(&outbox), receiver, pace };
        let stop = stop.clone();
        queues.spawn(async move { stop.run_until_cancelled(queue.run()).await });
    }
    queues.join_all().await;
}

/// The messages of one receiver.
struct Queue {
    outbox: Arc<Outbox>,
    receiver: Notify,
    pace: Pace,
}

impl Queue {
    async fn run(self) {
        let mut news = self.outbox.news();
        loop {
            news.mark_unchanged();
            let pause = match self.next().await {
                Ok(None) => LONGEST,
                Ok(Some(pause)) => pause.min(LONGEST),
                Err(error) => {
                    warn!(%error, receiver = self.receiver.name, "messages wait, for the ledger can't be used");
                    self.pace.most.min(LONGEST)
                }
            };
            tokio::select! {
                // Cancel-safe: what was seen stays seen.
                changed = news.changed() => if changed.is_err() { return },
                // Cancel-safe: it is computed again.
                () = tokio::time::sleep(pause) => {}
            }
        }
    }

    /// Sends everything that is due. Returns how long the next one has to wait, if there is one.
    async fn next(&self) -> Result<Option<Duration>, LedgerError> {
        loop {
            let (name, now) = (self.receiver.name.clone(), self.outbox.now());
            let Some(waiting) = on_ledger(&self.outbox, move |ledger| ledger.next_post(&name, now)).await?
            else {
                return Ok(None);
            };
            if waiting.due > now {
                return Ok(Some(waiting.due.duration_since(now).unsigned_abs()));
            }
            self.send(waiting, now).await?;
        }
    }

    async fn send(&self, waiting: Waiting, now: Timestamp) -> Result<(), LedgerError> {
        let Waiting { id, message, tries, since, due: _ } = waiting;
        let again = after(now, self.pace.pause(tries + 1));
        if !on_ledger(&self.outbox, move |ledger| ledger.try_post(id, again)).await? {
            return Ok(());
        }
        let name = self.receiver.name.as_str();
        let sent = match serde_json::from_str::<Message>(&message) {
            Ok(message) => {
                let id = format!("msg_{}_{id}", since.as_millisecond());
                let letter = Letter { id: &id, message: &message, now };
                post::send(&self.receiver, letter, self.pace.timeout).await
            }
            // Another release wrote it.
            Err(error) => Err(NotTaken::for_good(error.to_string())),
        };
        let now = self.outbox.now();
        match sent {
            Ok(()) => info!(receiver = name, tries = tries + 1, "told"),
            Err(NotTaken { why, again }) if again && now < after(since, self.pace.give_up) => {
                if tries == 0 {
                    warn!(receiver = name, reason = why, "a message was not taken, and is tried again");
                }
                return Ok(());
            }
            Err(NotTaken { why, .. }) => {
                warn!(
                    receiver = name,
                    reason = why,
                    tries = tries + 1,
                    "a message was not taken, and is dropped"
                );
            }
        }
        on_ledger(&self.outbox, move |ledger| ledger.end_post(id, now)).await
    }
}

fn after(time: Timestamp, pause: Duration) -> Timestamp {
    time.checked_add(pause).unwrap_or(Timestamp::MAX)
}

/// Asks the ledger beside the loop.
async fn on_ledger<T: Send + 'static>(
    outbox: &Arc<Outbox>,
    body: impl FnOnce(&Ledger) -> Result<T, LedgerError> + Send + 'static,
) -> Result<T, LedgerError> {
    let ledger = Arc::clone(outbox.ledger());
    match tokio::task::spawn_blocking(move || body(&ledger)).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            // The runtime is being taken down, and this task with it.
            Err(_) => std::future::pending().await,
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_up_to_a_limit() {
        let pace = Pace::default();
        let pauses: Vec<u64> = [1, 2, 3, 9, 10, 100].map(|failures| pace.pause(failures).as_secs()).to_vec();
        assert_eq!(pauses, [5, 10, 20, 1280, 1800, 1800]);
    }
}
