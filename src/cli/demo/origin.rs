//! The throw-away repository of a demonstration: a bare one that the agent follows, and a clone from which it is pushed
//! to, as a person would. Everything here blocks.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use git2::{IndexAddOption, Repository, RepositoryInitOptions, Signature};

use super::reference::Files;

const BRANCH: &str = "refs/heads/main";

/// Where the two repositories are.
#[derive(Debug, Clone)]
pub(super) struct Origin {
    bare: PathBuf,
    clone: PathBuf,
}

impl Origin {
    /// Makes both below `folder`.
    pub(super) fn make(folder: &Path) -> anyhow::Result<Self> {
        let origin = Self { bare: folder.join("platform.git"), clone: folder.join("platform") };
        init(&origin.bare, true)?;
        init(&origin.clone, false)?;
        Ok(origin)
    }

    /// The bare one.
    pub(super) fn bare(&self) -> &Path {
        &self.bare
    }

    /// Writes `files` into the clone and commits them. Returns the commit.
    pub(super) fn commit(&self, files: &Files, message: &str) -> anyhow::Result<String> {
        for (path, bytes) in files.iter() {
            let path = self.clone.join(path);
            if let Some(folder) = path.parent() {
                fs::create_dir_all(folder).with_context(|| format!("{} can't be made", folder.display()))?;
            }
            fs::write(&path, bytes).with_context(|| format!("{} can't be written", path.display()))?;
        }
        let committed = || -> Result<git2::Oid, git2::Error> {
            let git = Repository::open(&self.clone)?;
            let mut index = git.index()?;
            index.add_all(["*"], IndexAddOption::DEFAULT, None)?;
            index.write()?;
            let tree = git.find_tree(index.write_tree()?)?;
            let parent = git.head().ok().map(|head| head.peel_to_commit()).transpose()?;
            let author = Signature::now("Demo", "demo@localhost")?;
            git.commit(Some(BRANCH), &author, &author, message, &tree, parent.as_ref().as_slice())
        };
        Ok(committed().context("the demo can't commit")?.to_string())
    }

    /// Pushes what was committed.
    pub(super) fn push(&self) -> anyhow::Result<()> {
        let pushed = || -> Result<(), git2::Error> {
            let git = Repository::open(&self.clone)?;
            let mut remote = git.remote_anonymous(&self.bare.to_string_lossy())?;
            remote.push(&[format!("{BRANCH}:{BRANCH}")], None)
        };
        pushed().context("the demo can't push")
    }
}

fn init(path: &Path, bare: bool) -> anyhow::Result<()> {
    let mut options = RepositoryInitOptions::new();
    // No template: a hook of this host must not run.
    options.bare(bare).initial_head("main").external_template(false);
    Repository::init_opts(path, &options)
        .with_context(|| format!("the repository {} can't be made", path.display()))?;
    Ok(())
}
