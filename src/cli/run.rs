//! `run`: follows a branch until it is stopped.

use std::time::Duration;

use anyhow::anyhow;

use super::args::{Global, RunArgs};
use super::failure::{ExitStatus, hinted};
use super::output::Output;
use super::select::{self, Selection};
use crate::agent::{self, Follow};
use crate::apply::progress::Silent;
use crate::model::name::EnvironmentName;
use crate::source::{Kind, Repository, SourceError};

/// Time between two looks at everything.
const FULL_LOOK: Duration = Duration::from_secs(5 * 60);

pub(super) async fn run(global: &Global, args: &RunArgs, _: Output) -> anyhow::Result<ExitStatus> {
    let (asked, branch, poll) = (global.clone(), args.branch.clone(), Duration::from_secs(args.poll));
    let follow = tokio::task::spawn_blocking(move || followed(&asked, branch, poll)).await??;
    let machine = select::machine(global).await?;
    let stop = super::apply::stop_on_signal();
    // The log tells it all.
    Box::pin(agent::run(&machine, &follow, &Silent, &stop)).await;
    Ok(ExitStatus::Done)
}

/// What the options say to follow. What would never get better by waiting is an error.
fn followed(global: &Global, branch: Option<String>, poll: Duration) -> anyhow::Result<Follow> {
    if !global.files.is_empty() {
        return Err(hinted(
            anyhow!("the agent follows a repository, not files"),
            "drop `--file`, or use `evenkeel -f FILE apply`",
        ));
    }
    if global.rev.is_some() {
        return Err(hinted(
            anyhow!("the agent follows a branch, not one revision"),
            "say which with `--branch NAME`, or use `evenkeel --rev REV apply`",
        ));
    }
    let repository = Repository::open(&global.repo).map_err(select::explained)?;
    if repository.kind() == Kind::Folder {
        let error = SourceError::NotARepository { path: repository.root().to_owned() };
        return Err(hinted(error, "make it one with `git init`, or use `evenkeel apply`"));
    }
    Ok(Follow {
        environment: environment(global, &repository, branch.as_deref())?,
        repository: repository.root().to_owned(),
        branch,
        host_variables: std::env::vars().collect(),
        poll,
        look: FULL_LOOK,
    })
}

/// The environment that is named, or else the only one. Where one is named, the repository may still be empty: the
/// agent waits for the first push.
fn environment(
    global: &Global,
    repository: &Repository,
    branch: Option<&str>,
) -> anyhow::Result<EnvironmentName> {
    let head = branch.unwrap_or("HEAD");
    if let (Some(name), Err(SourceError::NoCommits { .. })) = (&global.env, repository.resolve(head)) {
        return Ok(name.parse::<EnvironmentName>()?);
    }
    let selection = Selection::at(repository, head)?;
    match selection.environment(global)? {
        Some(environment) => Ok(environment),
        // Only files have none.
        None => Err(anyhow!("the repository has no environment")),
    }
}
