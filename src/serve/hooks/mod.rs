//! Webhooks: a forge tells that there is something new.
//!
//! All that a message can do is to ring. The signature over its raw bytes is checked before anything else, and what it
//! says is never read, so that nothing in it can be wrong or lie. A message that is lost costs one poll.

use std::collections::BTreeMap;
use std::sync::Arc;

use axum::extract::{Extension, Path, Request, State};
use axum::http::StatusCode;
use axum::http::header::CONTENT_LENGTH;
use axum::response::{IntoResponse, Response};
use http_body_util::BodyExt;
use tokio::time::{self, Instant};

use super::caller::Origin;
use super::limits::HOOK_BODY;
use super::problem::Problem;
use super::site::Site;
use crate::agent::credential::{self, CredentialError};
use crate::agent::desk::Stand;
use crate::manifest::Webhook;

mod once;
mod sign;

pub(super) use once::Deliveries;
pub use sign::Unfit;

use once::Ringer;
use sign::{Claim, Key, claim};

/// Who may ring.
pub(super) struct Hook {
    key: Key,
    repositories: Vec<String>,
    environments: Vec<String>,
    ringer: Arc<Ringer>,
}

/// Why a webhook can't be used.
#[derive(Debug, thiserror::Error)]
pub enum HookError {
    /// Its secret can't be read.
    #[error("the webhook `{name}` can't be used")]
    Credential {
        /// The webhook.
        name: String,
        /// Why.
        source: CredentialError,
    },
    /// Its secret is no good one.
    #[error("the secret of the webhook `{name}` {source}")]
    Unfit {
        /// The webhook.
        name: String,
        /// Why.
        source: Unfit,
    },
}

/// Reads the secrets.
pub(super) fn read(webhooks: &[Webhook]) -> Result<BTreeMap<String, Arc<Hook>>, HookError> {
    let mut hooks = BTreeMap::new();
    for Webhook { name, kind, secret, repositories, environments } in webhooks {
        let secret = credential::read(secret)
            .map_err(|source| HookError::Credential { name: name.clone(), source })?;
        let key = Key::new(*kind, secret.expose())
            .map_err(|source| HookError::Unfit { name: name.clone(), source })?;
        let hook = Hook {
            key,
            repositories: repositories.clone(),
            environments: environments.iter().map(ToString::to_string).collect(),
            ringer: Arc::default(),
        };
        hooks.insert(name.clone(), Arc::new(hook));
    }
    Ok(hooks)
}

impl Hook {
    fn is_about(&self, stand: &Stand) -> bool {
        let state = stand.board.state();
        (self.repositories.is_empty() || self.repositories.contains(&state.repository))
            && (self.environments.is_empty() || self.environments.contains(&state.environment))
    }

    fn ring(self: &Arc<Self>, site: &Arc<Site>) {
        let (hook, site) = (Arc::clone(self), Arc::clone(site));
        self.ringer.ring(Instant::now(), move || {
            for stand in site.desk().stands().iter().filter(|stand| hook.is_about(stand)) {
                stand.bell.source.notify_one();
            }
        });
    }
}

/// Tells that there is something new in a repository.
///
/// What the body says is never read. Which headers prove that the sender knows the secret depends on the kind of the
/// webhook in agent.yaml.
#[utoipa::path(
    post, path = "/hooks/{hook}", tag = "webhooks", operation_id = "hook", security(()),
    params(("hook" = String, Path, description = "The name of the webhook in agent.yaml")),
    responses(
        (status = 202, description = "The agent looks at the repository, unless this delivery came before"),
        (status = 401, description = "Nothing proves that the sender knows the secret", body = Problem, content_type = "application/problem+json"),
        (status = "4XX", description = "Refused", body = Problem, content_type = "application/problem+json"),
    ),
)]
pub(super) async fn hook(
    State(site): State<Arc<Site>>,
    Extension(origin): Extension<Origin>,
    Path(name): Path<String>,
    request: Request,
) -> Response {
    match taken(&site, origin, &name, request).await {
        Ok(()) => StatusCode::ACCEPTED.into_response(),
        Err(problem) => problem.into_response(),
    }
}

/// The cheap checks come first: who has no signature costs no body.
async fn taken(site: &Arc<Site>, origin: Origin, name: &str, request: Request) -> Result<(), Problem> {
    if let Origin::Network { peer, .. } = origin
        && !site.hook_peers.admit(peer, Instant::now())
    {
        return Err(Problem::too_often());
    }
    let rules = site.rules();
    // A name that isn't there answers like a signature that isn't right.
    let hook = rules.hooks.get(name).ok_or_else(unproven)?;
    let length = request.headers().get(CONTENT_LENGTH).and_then(|length| length.to_str().ok()?.parse().ok());
    if length.is_some_and(|length: u64| length > HOOK_BODY as u64) {
        return Err(Problem::too_large());
    }
    let claim = claim(&hook.key, request.headers(), site.desk().now()).ok_or_else(unproven)?;
    let delivery = claim.delivery.clone();
    let Ok(_slot) = site.bodies.try_acquire() else { return Err(Problem::busy()) };
    let holds = time::timeout(site.limits.body, proven(claim, request)).await;
    if !holds.map_err(|_| Problem::too_slow())?? {
        return Err(unproven());
    }
    if delivery.is_none_or(|delivery| site.deliveries.is_new(name, &delivery)) {
        hook.ring(site);
    }
    Ok(())
}

/// Reads the body piece by piece, keeping none.
async fn proven(mut claim: Claim, request: Request) -> Result<bool, Problem> {
    let mut body = request.into_body();
    let mut left = HOOK_BODY;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|_| Problem::bad_body("the connection was cut"))?;
        let Some(piece) = frame.data_ref() else { continue };
        left = left.checked_sub(piece.len()).ok_or_else(Problem::too_large)?;
        claim.take(piece);
    }
    Ok(claim.holds())
}

fn unproven() -> Problem {
    let hint = "compare the secret, the kind and the name of the webhook on both sides";
    Problem::new(StatusCode::UNAUTHORIZED, "unproven", "nothing proves that this comes from the forge", hint)
}
