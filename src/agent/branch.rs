//! What the branch says: its newest commit, and the manifests of that or of an earlier commit. All of it blocks.

use std::path::Path;
use std::sync::Arc;

use tokio::sync::Notify;

use super::Follow;
use crate::manifest::{self, Input, MissingVariables, Request};
use crate::model::desired::{Desired, Revision};
use crate::model::name::StackName;
use crate::source::{Commit, Repository, SourceError, Watch, watch};

/// How many earlier commits are tried for the stack's name where the newest one is broken.
const COMMITS_TRIED: usize = 20;

/// What manifests say: what is desired and what is worth a look, or everything that is wrong with them.
pub(super) type Manifests = Result<(Arc<Desired>, Vec<String>), String>;

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

/// Reads the branch. The manifests are resolved only if the commit isn't the one that is `known`.
pub(super) fn read(follow: &Follow, known: Option<&str>) -> Result<Reading, SourceError> {
    let repository = Repository::open(&follow.repository)?;
    let commit = repository.resolve(follow.branch.as_deref().unwrap_or("HEAD"))?;
    if known == Some(commit.id.as_str()) {
        return Ok(Reading { commit, manifests: None, stack: None });
    }
    let manifests = resolve(&repository, &commit.id, follow)?;
    let stack = match &manifests {
        Ok((desired, _)) => Some(desired.stack.clone()),
        Err(_) => stack_before(&repository, &commit.id, follow)?,
    };
    Ok(Reading { commit, manifests: Some(manifests), stack })
}

/// What the manifests of one commit say.
pub(super) fn read_commit(follow: &Follow, commit: &str) -> Result<Manifests, SourceError> {
    resolve(&Repository::open(&follow.repository)?, commit, follow)
}

fn resolve(repository: &Repository, commit: &str, follow: &Follow) -> Result<Manifests, SourceError> {
    let tree = repository.commit_tree(commit)?;
    let request = Request {
        tree: &tree,
        input: Input::Repository { environment: follow.environment.clone() },
        host_variables: &follow.host_variables,
        missing: MissingVariables::Refuse,
        revision: Revision::Commit(commit.to_owned()),
    };
    Ok(manifest::resolve(&request)
        .map(|resolved| {
            let warnings = resolved.warnings.iter().map(|warning| warning.render(false)).collect();
            (Arc::new(resolved.desired), warnings)
        })
        .map_err(|report| report.render(false)))
}

/// The stack as the newest commit before `commit` names it whose manifests are right.
fn stack_before(
    repository: &Repository,
    commit: &str,
    follow: &Follow,
) -> Result<Option<StackName>, SourceError> {
    for earlier in repository.log(commit, COMMITS_TRIED)?.iter().skip(1) {
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
pub(super) fn descent(repository: &Path, applied: &str, head: &str) -> Result<Descent, SourceError> {
    let repository = Repository::open(repository)?;
    if repository.is_ancestor(applied, head)? {
        return Ok(Descent::Follows);
    }
    match repository.resolve(applied) {
        Ok(_) => Ok(Descent::Rewritten),
        Err(SourceError::NoSuchRevision { .. }) => Ok(Descent::Unknown),
        Err(error) => Err(error),
    }
}

/// Watches the repository.
pub(super) fn hear(repository: &Path, wake: Arc<Notify>) -> Result<Watch, SourceError> {
    watch(&Repository::open(repository)?, move || wake.notify_one())
}
