//! Whether each repository that is followed can be read, and whether what it says is right and for this host.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::path::Path;

use tempfile::TempDir;
use tokio::runtime::Handle;

use super::finding::Finding;
use crate::agent::origin::{self, LookError, Origin};
use crate::cli::args::Global;
use crate::cli::select::{Selection, explained};
use crate::manifest::{Followed, GitCredential, GitSettings, MissingVariables};
use crate::model::address::{Address, Scheme};
use crate::model::desired::Desired;
use crate::model::place::Identity;
use crate::plan::place;
use crate::source::remote::Mirrors;
use crate::source::{Commit, Kind, Repository, SourceError};

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

/// How repositories are opened for a check: what is on a server is fetched into a folder of its own, so that no agent of
/// this host is disturbed.
pub(super) struct Opener {
    mirrors: Mirrors,
    credentials: BTreeMap<String, GitCredential>,
    /// Removed at the end.
    _folder: TempDir,
}

impl Opener {
    pub(super) fn new(
        credentials: BTreeMap<String, GitCredential>,
        settings: &GitSettings,
    ) -> anyhow::Result<Self> {
        let folder = tempfile::tempdir()?;
        let mirrors = origin::mirrors(settings, folder.path())?;
        Ok(Self { mirrors, credentials, _folder: folder })
    }

    /// The repository, and the newest commit of what is followed; nothing where it is still empty.
    fn open(&self, followed: &Followed) -> anyhow::Result<Option<(Repository, Commit)>> {
        if let Address::Local(path) = &followed.repository {
            let repository = Repository::open(Path::new(path)).map_err(explained)?;
            if repository.kind() == Kind::Folder {
                return Err(explained(SourceError::NotARepository { path: repository.root().to_owned() }));
            }
        }
        let origin = Origin::of(followed, &self.credentials, &self.mirrors);
        let look = origin.look(followed.branch.as_deref());
        let looked = tokio::task::block_in_place(|| Handle::current().block_on(look));
        match looked {
            Ok(found) => Ok(Some(found)),
            Err(LookError::Source(SourceError::NoCommits { .. })) => Ok(None),
            Err(LookError::Source(error)) => Err(explained(error)),
            Err(error @ (LookError::Remote(_) | LookError::Credential(_))) => Err(error.into()),
        }
    }
}

/// Looks at one that is followed. `global` has the options of the command line. Blocks.
pub(super) fn examine(followed: &Followed, opener: &Opener, global: &Global, host: &Identity) -> Source {
    let (repository, commit) = match opener.open(followed) {
        Ok(Some(found)) => found,
        Ok(None) => {
            let what = format!("{} has no commits yet", followed.repository);
            return Finding::warning(CHECK, what).hint("push to it: the agent waits for that").into();
        }
        Err(error) => return Finding::of_error(CHECK, &error).into(),
    };
    let short = commit.id.get(..7).unwrap_or(&commit.id);
    let name = followed.branch.as_deref().unwrap_or("HEAD");
    let name = followed.tag.as_ref().map_or_else(|| name.to_owned(), |tag| format!("the tags {tag}"));
    let what = format!("{} is at {short} of {name}", followed.repository);
    let mut findings = vec![Finding::ok(CHECK, what)];
    let desired = desired(followed, &repository, &commit.id, global);
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
    let needs_ssh = follow.iter().find(|followed| followed.repository.scheme() == Scheme::Ssh)?;
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

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    fn followed(repository: &str) -> Followed {
        Followed {
            repository: repository.parse().unwrap(),
            environment: None,
            branch: None,
            tag: None,
            poll: None,
            credential: None,
            verify: None,
        }
    }

    #[test]
    fn the_program_for_ssh_is_looked_for_where_it_is_needed() {
        let temp = tempfile::tempdir().unwrap();
        let path = Some(temp.path().as_os_str());
        for local in ["/srv/a.git", "https://example.com:8443/a.git", "file:///a"] {
            assert_eq!(programs(&[followed(local)], path), None, "{local}");
        }
        for remote in ["ssh://git@example.com/a.git", "git@example.com:a.git"] {
            assert_eq!(programs(&[followed(remote)], path).unwrap().verdict, Verdict::Failed, "{remote}");
        }
        std::fs::write(temp.path().join("ssh"), "").unwrap();
        assert_eq!(programs(&[followed("git@example.com:a.git")], path).unwrap().verdict, Verdict::Ok);
    }
}
