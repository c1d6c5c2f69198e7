//! `run`: follows a branch until it is stopped.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};

use super::args::{Global, RunArgs};
use super::failure::{ExitStatus, hinted};
use super::output::Output;
use super::select::{self, Selection};
use crate::agent::desk::Bell;
use crate::agent::origin::{self, Origin};
use crate::agent::{self, Follow};
use crate::apply::progress::Silent;
use crate::manifest::{self, AgentFile, Followed, GitCredential, GitSettings};
use crate::model::name::EnvironmentName;
use crate::source::{Kind, Repository, SourceError};

/// Time between two looks at the repository, where nobody says otherwise.
const POLL: Duration = Duration::from_secs(60);
/// Time between two looks at everything.
const FULL_LOOK: Duration = Duration::from_secs(5 * 60);

pub(super) async fn run(global: &Global, args: &RunArgs, _: Output) -> anyhow::Result<ExitStatus> {
    let asked = asked(global, args)?;
    let global = asked.global.clone();
    let follow = tokio::task::spawn_blocking(move || follow(asked)).await??;
    let machine = select::machine(&global).await?;
    let stop = super::apply::stop_on_signal();
    // The log tells it all.
    Box::pin(agent::run(&machine, &follow, &Silent, &Bell::default(), &stop)).await;
    Ok(ExitStatus::Done)
}

/// What is asked of the agent, by options and by its file.
struct Asked {
    global: Global,
    branch: Option<String>,
    poll: Duration,
    source: Option<Source>,
}

/// Where the file says that commits come from.
struct Source {
    followed: Followed,
    credentials: BTreeMap<String, GitCredential>,
    git: GitSettings,
}

/// Joins the options with what the file says. The repository is that of the file; of everything else, the option wins.
fn asked(global: &Global, args: &RunArgs) -> anyhow::Result<Asked> {
    let mut global = global.clone();
    let mut source = None;
    let (mut branch, mut poll) = (args.branch.clone(), args.poll.map(Duration::from_secs));
    if let Some(path) = &args.config {
        let AgentFile { host, labels, docker, state, follow, credentials, git } = read(path)?;
        source = Some(Source { followed: follow.clone(), credentials, git });
        global.repo = follow.repository.to_string().into();
        global.env = global.env.or_else(|| follow.environment.map(|name| name.to_string()));
        global.host = global.host.or(host);
        global.docker = global.docker.or(docker);
        global.state = global.state.or_else(|| state.map(PathBuf::from));
        if global.labels.is_empty() {
            global.labels = labels.into_iter().collect();
        }
        branch = branch.or(follow.branch);
        poll = poll.or(follow.poll);
    }
    Ok(Asked { global, branch, poll: poll.unwrap_or(POLL), source })
}

fn read(path: &Path) -> anyhow::Result<AgentFile> {
    let bytes = std::fs::read(path).with_context(|| format!("{} can't be read", path.display()))?;
    let (file, here) = (select::host_path(path)?, select::host_path(Path::new("."))?);
    manifest::agent_file(&file, bytes).map_err(|report| select::laid_out(&report.seen_from(&here)))
}

/// What is to be followed.
fn follow(asked: Asked) -> anyhow::Result<Follow> {
    let Asked { global, branch, poll, source } = asked;
    let Some(Source { followed: said, credentials, git }) = source else {
        return followed(&global, branch, poll);
    };
    let mirrors = origin::mirrors(&git, &select::state_folder(&global)?)?;
    let repository = Origin::of(&said, &credentials, &mirrors);
    if repository.local().is_some() {
        return Ok(Follow { repository, ..followed(&global, branch, poll)? });
    }
    let Some(environment) = &global.env else {
        return Err(hinted(
            anyhow!("agent.yaml doesn't say which environment of {repository} this host runs"),
            "say it beside `repository`: `environment: prod`",
        ));
    };
    let (environment, host_variables) = (environment.parse()?, std::env::vars().collect());
    Ok(Follow { environment, repository, branch, host_variables, poll, look: FULL_LOOK })
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
        repository: repository.root().to_owned().into(),
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
