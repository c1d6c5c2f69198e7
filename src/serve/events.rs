//! The state of a stack each time that it changes, as server-sent events. Who listens slowly gets the newest state and
//! misses those between; nobody is waited for.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::Duration;

use axum::extract::{Extension, State};
use axum::response::sse::{Event, KeepAlive, Sse};
use futures_util::Stream;
use futures_util::stream::unfold;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio::time::{self, Instant};
use tokio_util::sync::CancellationToken;
use tracing::warn;

use super::caller::Caller;
use super::guard::Asked;
use super::problem::Problem;
use super::site::{Rules, Site};
use crate::agent::status::StackState;

/// Time between two signs of life, so that neither side nor a proxy between them thinks the other gone.
const HEARTBEAT: Duration = Duration::from_secs(15);

/// Somebody who listens.
struct Listener {
    states: watch::Receiver<StackState>,
    rules: watch::Receiver<Arc<Rules>>,
    closing: CancellationToken,
    /// When they must ask again: what they may do may have ended by then.
    end: Instant,
    is_first: bool,
    _seat: OwnedSemaphorePermit,
}

impl Listener {
    /// The next state; none when they must ask again.
    async fn next(&mut self) -> Option<StackState> {
        if !std::mem::take(&mut self.is_first) {
            tokio::select! {
                biased;
                () = self.closing.cancelled() => return None,
                // Tokens may have been withdrawn.
                _ = self.rules.changed() => return None,
                () = time::sleep_until(self.end) => return None,
                changed = self.states.changed() => changed.ok()?,
            }
        }
        Some(self.states.borrow_and_update().clone())
    }
}

/// The state of the stack now, and each time that it changes.
///
/// Each event is called `state` and has the same JSON as the stack itself. The stream ends after an hour, when agent.yaml
/// was read anew, and when the agent stops: ask again then.
#[utoipa::path(
    get, path = "/v1/stacks/{stack}/events", tag = "stacks", operation_id = "events",
    params(("stack" = String, Path, description = "The stack")),
    responses(
        (status = 200, description = "Server-sent events", body = String, content_type = "text/event-stream"),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
        (status = 503, description = "Too many listen already", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn events(
    State(site): State<Arc<Site>>,
    Extension(caller): Extension<Caller>,
    Extension(asked): Extension<Asked>,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let seat = Arc::clone(&site.listeners).try_acquire_owned().map_err(|_| Problem::busy())?;
    let mut rules = site.watch_rules();
    rules.mark_unchanged();
    let listener = Listener {
        states: asked.stand.board.watch(),
        rules,
        closing: site.closing.clone(),
        end: Instant::now() + lasts(&site, &caller),
        is_first: true,
        _seat: seat,
    };
    let stream = unfold(listener, async |mut listener: Listener| {
        let state = listener.next().await?;
        let event = Event::default().event("state").json_data(&state);
        let event = event.inspect_err(|error| warn!(%error, "a state can't be told")).ok()?;
        Some((Ok(event), listener))
    });
    Ok(Sse::new(stream).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("still here")))
}

fn lasts(site: &Site, caller: &Caller) -> Duration {
    let most = site.limits.listening;
    match caller {
        Caller::Token { expires: Some(expires), .. } => {
            let left = expires.duration_since(site.desk().now());
            Duration::try_from(left).unwrap_or_default().min(most)
        }
        Caller::Nobody | Caller::Local | Caller::Token { expires: None, .. } | Caller::User(_) => most,
    }
}
