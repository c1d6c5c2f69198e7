//! What the branch says: its newest commit, and the manifests of that or of an earlier commit. All of it blocks.

use std::sync::Arc;

use tokio::sync::Notify;

use super::Follow;
use super::origin::Open;
use super::reconcile::short;
use super::status::HoldKind;
use crate::manifest::{self, Input, MissingVariables, Request};
use crate::model::desired::{Desired, Revision};
use crate::model::name::StackName;
use crate::source::verify::Unverified;
use crate::source::{Commit, Repository, SourceError, Watch, watch};

/// How many earlier commits are tried for the stack's name where the newest one is broken.
const COMMITS_TRIED: usize = 20;

/// What manifests say: what is desired and what is worth a look, or why they are not to be used.
pub(super) type Manifests = Result<(Arc<Desired>, Vec<String>), Unfit>;

/// Why the manifests of a commit are not to be used.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Unfit {
    /// Whether they are wrong, or not from somebody who may deploy.
    pub(super) kind: HoldKind,
    /// Why, in words: everything that is wrong with them.
    pub(super) why: String,
}

/// What was read of a branch.
#[derive(Debug)]
pub(super) struct Reading {
    /// The newest commit.
    pub(super) commit: Commit,
    /// What its manifests say. Absent where the commit is the known one.
    pub(super) manifests: Option<Manifests>,
    /// The stack: that of the manifests, or of the newest commit whose manifests are right.
    pub(super) stack: Option<StackName>,
}

/// Reads the branch. The manifests are resolved only if the commit isn't the one that is `known`, and is signed by
/// somebody who may deploy, where that is asked for.
pub(super) fn read(follow: &Follow, known: Option<&str>) -> Result<Reading, SourceError> {
    let repository = follow.repository.open()?;
    let commit = repository.newest(&follow.repository.wanted(follow.branch.as_deref()))?;
    if known == Some(commit.id.as_str()) {
        return Ok(Reading { commit, manifests: None, stack: None });
    }
    let manifests = match unsigned(&repository, &commit.id, follow)? {
        Some(why) => Err(Unfit { kind: HoldKind::Unverified, why }),
        None => resolve(&repository, &commit.id, follow)?,
    };
    let stack = match &manifests {
        Ok((desired, _)) => Some(desired.stack.clone()),
        Err(_) => stack_before(&repository, &commit.id, follow)?,
    };
    Ok(Reading { commit, manifests: Some(manifests), stack })
}

/// What the manifests of one commit say.
pub(super) fn read_commit(follow: &Follow, commit: &str) -> Result<Manifests, SourceError> {
    resolve(&follow.repository.open()?, commit, follow)
}

/// Why a commit isn't from somebody who may deploy, by its own signature.
fn unsigned(repository: &Repository, commit: &str, follow: &Follow) -> Result<Option<String>, SourceError> {
    let Some(trust) = follow.repository.trust() else { return Ok(None) };
    Ok(trust.check(repository, commit)?.map(told))
}

/// Why one of the commits between `deployed` and `head` isn't from somebody who may deploy.
pub(super) fn unsigned_since(
    follow: &Follow,
    deployed: &str,
    head: &str,
) -> Result<Option<String>, SourceError> {
    let Some(trust) = follow.repository.trust() else { return Ok(None) };
    let repository = follow.repository.open()?;
    Ok(trust.check_since(&repository, deployed, head)?.map(told))
}

fn told(Unverified { commit, why }: Unverified) -> String {
    format!("{} may not be deployed: {why}", short(&commit))
}

/// Keeps the commit that is deployed, where that is this host's to do: in a mirror.
pub(super) fn keep(follow: &Follow, commit: &str) -> Result<(), SourceError> {
    match follow.repository.remote() {
        Some(remote) => remote.mirror.keep(&follow.environment, commit),
        None => Ok(()),
    }
}

fn resolve(repository: &Open<'_>, commit: &str, follow: &Follow) -> Result<Manifests, SourceError> {
    let tree = repository.commit_tree(commit)?;
    let request = Request {
        tree: &tree,
        input: Input::Repository { environment: follow.environment.clone() },
        host_variables: &follow.host_variables,
        missing: MissingVariables::Refuse,
        revision: Revision::Commit(commit.to_owned()),
    };
    match manifest::resolve(&request) {
        Ok(resolved) => {
            let warnings = resolved.warnings.iter().map(|warning| warning.render(false)).collect();
            Ok(Ok((Arc::new(resolved.desired), warnings)))
        }
        // Then it isn't the manifests that are wrong.
        Err(_) if repository.is_damaged(commit) => {
            if let Some(remote) = follow.repository.remote() {
                remote.mirror.doubt();
            }
            Err(SourceError::Damaged { path: repository.root().to_owned() })
        }
        Err(report) => Ok(Err(Unfit { kind: HoldKind::Invalid, why: report.render(false) })),
    }
}

/// The stack as the newest commit before `commit` names it whose manifests are right, and from somebody who may deploy.
fn stack_before(
    repository: &Open<'_>,
    commit: &str,
    follow: &Follow,
) -> Result<Option<StackName>, SourceError> {
    for earlier in repository.log(commit, COMMITS_TRIED)?.iter().skip(1) {
        // Else anybody who can push could let the host forget its stack.
        if unsigned(repository, &earlier.id, follow)?.is_some() {
            continue;
        }
        if let Ok((desired, _)) = resolve(repository, &earlier.id, follow)? {
            return Ok(Some(desired.stack.clone()));
        }
    }
    Ok(None)
}

/// How the branch stands to what was deployed last.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Descent {
    /// It came after it, or is it.
    Follows,
    /// The repository doesn't know the commit that was deployed last.
    Unknown,
    /// It did not come after it: the branch was rewritten, or set back.
    Rewritten,
}

/// How `head` stands to `applied`.
pub(super) fn descent(follow: &Follow, applied: &str, head: &str) -> Result<Descent, SourceError> {
    let repository = follow.repository.open()?;
    if repository.is_ancestor(applied, head)? {
        return Ok(Descent::Follows);
    }
    match repository.resolve(applied) {
        Ok(_) => Ok(Descent::Rewritten),
        // A mirror has everything that leads to the head: what it doesn't know did not lead there.
        Err(SourceError::NoSuchRevision { .. }) if follow.repository.remote().is_some() => {
            Ok(Descent::Rewritten)
        }
        Err(SourceError::NoSuchRevision { .. }) => Ok(Descent::Unknown),
        Err(error) => Err(error),
    }
}

/// Watches the repository. A mirror needs no watch: who changes it wakes the agent as well.
pub(super) fn hear(follow: &Follow, wake: Arc<Notify>) -> Result<Option<Watch>, SourceError> {
    match follow.repository.local() {
        Some(path) => watch(&Repository::open(path)?, move || wake.notify_one()).map(Some),
        None => Ok(None),
    }
}
