//! Asks a server now and then whether there is something new, beside everything else: what is done on the host never
//! waits for a network. What was found lies in the mirror then, and the agent is woken to look there.

use std::sync::Arc;

use tokio::sync::Notify;
use tokio::time::{self, Instant};
use tracing::{info, warn};

use super::origin::Remote;
use super::said::{Said, Topic};
use super::{Audience, Follow, Happening, aim, schedule};
use crate::source::remote::{RemoteError, RemoteProblem, Updated};

/// What makes it ask before its time, and what it wakes.
pub(super) struct Bells {
    /// The server may have something new.
    pub(super) hint: Arc<Notify>,
    /// Somebody wants to know now.
    pub(super) order: Arc<Notify>,
    /// Something new is in the mirror.
    pub(super) found: Arc<Notify>,
}

/// Asks for ever. To be dropped at the end, which gives up a fetch under way.
pub(super) async fn ask(follow: &Follow, remote: &Remote, audience: &dyn Audience, bells: &Bells) {
    let wanted = follow.repository.wanted(follow.branch.as_deref());
    let mut said = Said::default();
    loop {
        let began = Instant::now();
        let updated = match access(remote).await {
            Ok(access) => remote.mirror.update(&wanted, &access).await,
            Err(error) => Err(error),
        };
        let took = began.elapsed();
        match updated {
            Ok(updated) => {
                audience.happens(Happening::Asked { took, result: Ok(()) });
                if said.is_over(Topic::Branch) {
                    info!(repository = %follow.repository, "the repository can be fetched from again");
                }
                match updated {
                    Updated::Moved => bells.found.notify_one(),
                    Updated::Same => {}
                }
            }
            Err(error) => {
                let text = aim::chain(&error);
                audience.happens(Happening::Asked { took, result: Err(&text) });
                if said.is_news(Topic::Branch, &text) {
                    warn!(error = text, "nothing new can be fetched; what runs goes on");
                }
            }
        }
        let next = Instant::now() + schedule::spread(follow.poll, schedule::luck());
        tokio::select! {
            // Cancel-safe: a permit that is not taken stays for the next time.
            () = bells.hint.notified() => {}
            // Cancel-safe: as before.
            () = bells.order.notified() => {}
            // Cancel-safe: dropping a sleep forgets only a time that is computed again.
            () = time::sleep_until(next) => {}
        }
    }
}

async fn access(remote: &Remote) -> Result<crate::source::remote::Access, RemoteError> {
    let asked = remote.clone();
    let refused = |problem| RemoteError { address: remote.mirror.address().to_string(), problem };
    match tokio::task::spawn_blocking(move || asked.access()).await {
        Ok(Ok(access)) => Ok(access),
        Ok(Err(error)) => Err(refused(RemoteProblem::Credential(aim::chain(&error)))),
        Err(_) => Err(refused(RemoteProblem::Stopped)),
    }
}
