//! What the agent is to follow, by options and by agent.yaml. What would never get better by waiting is an error.

use std::path::{Path, PathBuf};
use std::time::Duration;

use anyhow::{Context, anyhow};

use crate::agent::Follow;
use crate::agent::origin::Origin;
use crate::cli::args::{Global, RunArgs};
use crate::cli::failure::hinted;
use crate::cli::select::{self, Selection};
use crate::manifest::{self, AgentFile, Followed};
use crate::model::address::Address;
use crate::model::name::EnvironmentName;
use crate::source::remote::Mirrors;
use crate::source::{Kind, Repository, SourceError};

/// Time between two looks at the repository, where nobody says otherwise.
const POLL: Duration = Duration::from_secs(60);
/// Time between two looks at everything.
const FULL_LOOK: Duration = Duration::from_secs(5 * 60);

/// What is wanted of the agent.
pub(super) struct Wanted {
    /// The options, with what agent.yaml says where they say nothing.
    pub(super) global: Global,
    /// What agent.yaml says; absent where there is none.
    pub(super) file: Option<AgentFile>,
    /// What is followed.
    stacks: Vec<Stack>,
}

/// One that is followed.
enum Stack {
    /// Of a repository of this host.
    Here(Box<Follow>, Option<Box<Followed>>),
    /// Of a repository on a server.
    There(Box<Followed>, EnvironmentName, Duration),
}

pub(in crate::cli) fn read(path: &Path) -> anyhow::Result<AgentFile> {
    let bytes = std::fs::read(path).with_context(|| format!("{} can't be read", path.display()))?;
    let (file, here) = (select::host_path(path)?, select::host_path(Path::new("."))?);
    manifest::agent_file(&file, bytes).map_err(|report| select::laid_out(&report.seen_from(&here)))
}

/// Joins the options with what the file says. The repository is that of the file; of everything else, the option wins.
/// Blocks.
pub(super) fn wanted(global: &Global, args: &RunArgs) -> anyhow::Result<Wanted> {
    let (branch, poll) = (args.branch.clone(), args.poll.map(Duration::from_secs));
    let Some(path) = &args.config else {
        let follow = followed(global, branch, poll.unwrap_or(POLL))?;
        return Ok(Wanted {
            global: global.clone(),
            file: None,
            stacks: vec![Stack::Here(Box::new(follow), None)],
        });
    };
    let file = read(path)?;
    if file.follow.len() > 1 && (branch.is_some() || global.env.is_some()) {
        return Err(hinted(
            anyhow!(
                "{} follows several stacks, and `--env` and `--branch` say one thing for all",
                path.display()
            ),
            "drop the option (or EVENKEEL_ENV), and say it under `follow`",
        ));
    }
    let mut global = global.clone();
    global.host = global.host.or_else(|| file.host.clone());
    global.docker = global.docker.or_else(|| file.docker.clone());
    global.state = global.state.or_else(|| file.state.as_ref().map(PathBuf::from));
    if global.labels.is_empty() {
        global.labels = file.labels.clone().into_iter().collect();
    }
    let of_file = file.follow.iter().map(|one| stack(&global, one, (&branch, poll)));
    let stacks = of_file.collect::<anyhow::Result<_>>()?;
    Ok(Wanted { global, file: Some(file), stacks })
}

fn stack(
    global: &Global,
    said: &Followed,
    (branch, poll): (&Option<String>, Option<Duration>),
) -> anyhow::Result<Stack> {
    let poll = poll.or(said.poll).unwrap_or(POLL);
    let mut said = said.clone();
    if let Some(branch) = branch {
        (said.branch, said.tag) = (Some(branch.clone()), None);
    }
    let name = global.env.clone().or_else(|| said.environment.as_ref().map(ToString::to_string));
    match &said.repository {
        Address::Local(path) => {
            let global = Global { repo: path.into(), env: name, ..global.clone() };
            let follow = followed(&global, said.branch.clone(), poll)?;
            Ok(Stack::Here(Box::new(follow), Some(Box::new(said))))
        }
        Address::Remote(address) => match name {
            Some(name) => Ok(Stack::There(Box::new(said), name.parse()?, poll)),
            None => Err(hinted(
                anyhow!("agent.yaml doesn't say which environment of {address} this host runs"),
                "say it beside `repository`: `environment: prod`",
            )),
        },
    }
}

impl Wanted {
    /// What is followed.
    pub(super) fn follows(&self, mirrors: &Mirrors) -> Vec<Follow> {
        let credentials = self.file.as_ref().map(|file| file.credentials.clone()).unwrap_or_default();
        let one = |stack: &Stack| match stack {
            Stack::Here(follow, None) => Follow::clone(follow),
            Stack::Here(follow, Some(said)) => {
                Follow { repository: Origin::of(said, &credentials, mirrors), ..Follow::clone(follow) }
            }
            Stack::There(said, environment, poll) => Follow {
                repository: Origin::of(said, &credentials, mirrors),
                branch: said.branch.clone(),
                environment: environment.clone(),
                host_variables: std::env::vars().collect(),
                poll: *poll,
                look: FULL_LOOK,
            },
        };
        self.stacks.iter().map(one).collect()
    }

    /// The longest time between two looks at everything or at a repository.
    pub(super) fn interval(&self) -> Duration {
        let poll = |stack: &Stack| match stack {
            Stack::Here(follow, _) => follow.poll,
            Stack::There(_, _, poll) => *poll,
        };
        self.stacks.iter().map(poll).max().unwrap_or(POLL)
    }
}

/// What the options say to follow.
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
