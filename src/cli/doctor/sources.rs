//! Whether each repository that is followed can be read, and whether what it says is right and for this host.

use std::ffi::OsStr;
use std::path::Path;

use super::finding::Finding;
use crate::cli::args::Global;
use crate::cli::select::{Selection, explained};
use crate::manifest::{Followed, MissingVariables};
use crate::model::desired::Desired;
use crate::model::place::Identity;
use crate::plan::place;
use crate::source::{Kind, Repository, SourceError};

const CHECK: &str = "repository";

/// What was found of one that is followed.
pub(super) struct Source {
    pub(super) findings: Vec<Finding>,
    /// What its newest commit wants; absent where that can't be said.
    pub(super) desired: Option<Desired>,
}

impl From<Finding> for Source {
    fn from(finding: Finding) -> Self {
        Self { findings: vec![finding], desired: None }
    }
}

/// Asks whether a repository can be opened and its branch found.
pub(super) trait CheckSource {
    /// The repository, and the name of what is followed in it.
    ///
    /// # Errors
    /// Why it can't be followed.
    fn check(&self, followed: &Followed) -> anyhow::Result<(Repository, String)>;
}

/// Repositories of this host.
pub(super) struct Local;

impl CheckSource for Local {
    fn check(&self, followed: &Followed) -> anyhow::Result<(Repository, String)> {
        let repository = Repository::open(Path::new(&followed.repository)).map_err(explained)?;
        if repository.kind() == Kind::Folder {
            return Err(explained(SourceError::NotARepository { path: repository.root().to_owned() }));
        }
        Ok((repository, followed.branch.clone().unwrap_or_else(|| "HEAD".to_owned())))
    }
}

/// Looks at one that is followed. `global` has the options of the command line. Blocks.
pub(super) fn examine(
    followed: &Followed,
    source: &dyn CheckSource,
    global: &Global,
    host: &Identity,
) -> Source {
    let (repository, branch) = match source.check(followed) {
        Ok(found) => found,
        Err(error) => return Finding::of_error(CHECK, &error).into(),
    };
    let commit = match repository.resolve(&branch) {
        Ok(commit) => commit,
        Err(SourceError::NoCommits { .. }) => {
            let what = format!("{} has no commits yet", followed.repository);
            return Finding::warning(CHECK, what).hint("push to it: the agent waits for that").into();
        }
        Err(error) => return Finding::of_error(CHECK, &explained(error)).into(),
    };
    let short = commit.id.get(..7).unwrap_or(&commit.id);
    let what = format!("{} is at {short} of {branch}", followed.repository);
    let mut findings = vec![Finding::ok(CHECK, what)];
    let desired = desired(followed, &repository, &branch, global);
    match &desired {
        Ok(desired) => findings.extend(
            place::check(desired, host)
                .map(|refusal| Finding::failed("host", refusal.what).hint(refusal.hint)),
        ),
        Err(error) => {
            let wrong = Finding::of_error("manifests", error);
            findings.push(Finding {
                hint: wrong.hint.or_else(|| Some("`evenkeel validate` tells more".to_owned())),
                ..wrong
            });
        }
    }
    Source { findings, desired: desired.ok() }
}

/// What the commit wants. Variables that only the agent's own process has may be missing here.
fn desired(
    followed: &Followed,
    repository: &Repository,
    branch: &str,
    global: &Global,
) -> anyhow::Result<Desired> {
    let environment = followed.environment.as_ref().map(ToString::to_string);
    let global = Global { env: environment, ..global.clone() };
    let selection = Selection::at(repository, branch)?;
    let environment = selection.environment(&global)?;
    let resolved = selection.resolve(environment, MissingVariables::Outside);
    Ok(resolved.map_err(|report| anyhow::anyhow!(report.to_string()))?.desired)
}

/// Whether the programs are there that the addresses of the repositories need. `path` is where programs are.
pub(super) fn programs(follow: &[Followed], path: Option<&OsStr>) -> Option<Finding> {
    let needs_ssh = follow.iter().find(|followed| is_ssh(&followed.repository))?;
    let found = std::env::split_paths(path?).map(|folder| folder.join("ssh")).find(|path| path.is_file());
    Some(match found {
        Some(program) => Finding::ok("ssh", format!("SSH goes through {}", program.display())),
        None => Finding::failed(
            "ssh",
            format!("there is no program `ssh`, and {} needs it", needs_ssh.repository),
        )
        .hint(
            "apt-get install openssh-client; the container image without a system has none: use https there",
        ),
    })
}

/// `ssh://…`, or the short form `user@host:path`.
fn is_ssh(repository: &str) -> bool {
    let short = repository
        .split_once(':')
        .is_some_and(|(host, path)| host.contains('@') && !host.contains('/') && !path.starts_with("//"));
    repository.starts_with("ssh://") || short
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn followed(repository: &str) -> Followed {
        Followed { repository: repository.to_owned(), environment: None, branch: None, poll: None }
    }

    #[test]
    fn the_program_for_ssh_is_looked_for_where_it_is_needed() {
        let temp = tempfile::tempdir().unwrap();
        let path = Some(temp.path().as_os_str());
        for local in ["/srv/a.git", "https://git@example.com:8443/a.git", "file:///a"] {
            assert_eq!(programs(&[followed(local)], path), None, "{local}");
        }
        for remote in ["ssh://git@example.com/a.git", "git@example.com:a.git"] {
            assert_eq!(programs(&[followed(remote)], path).unwrap().verdict, Verdict::Failed, "{remote}");
        }
        std::fs::write(temp.path().join("ssh"), "").unwrap();
        assert_eq!(programs(&[followed("git@example.com:a.git")], path).unwrap().verdict, Verdict::Ok);
    }
}
