//! A repository on this machine: what it is, which commits it has, and their files.
//!
//! Reading takes no lock and writes nothing, the index of a work tree included. Git's environment variables are not
//! asked: run from a hook, they would point to another repository than the one that was named.

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use git2::ErrorCode;

use crate::model::desired::Revision;

use super::commit::{Commit, clean};
use super::commit_tree::CommitTree;
use super::error::SourceError;
use super::verify::Signed;
use super::work_tree::{Nested, WorkTree};

/// A repository on this machine: bare, or with a work tree, or a plain folder without Git. It is cheap to open.
pub struct Repository {
    root: PathBuf,
    git: Option<git2::Repository>,
}

/// What kind of place the manifests are in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A Git repository without a work tree.
    Bare,
    /// A Git repository with a work tree.
    WorkTree,
    /// A folder that is in no Git repository.
    Folder,
}

/// The most branches that an error names.
const BRANCHES_SHOWN: usize = 20;

/// The longest part of a name that an error repeats.
const NAME_CHARS: usize = 100;

/// The most bytes of a commit: its message, its authors, its signature.
const COMMIT_BYTES_MAX: u64 = 1 << 20;

impl Repository {
    /// Opens the repository that holds `path`, as Git would find it from there: in `path` itself or in a folder above
    /// it, on the same file system. A folder in no repository is fine, too.
    ///
    /// # Errors
    /// [`SourceError::Missing`], [`SourceError::NotAFolder`], [`SourceError::Unreadable`],
    /// [`SourceError::ForeignOwner`], and [`SourceError::Git`] where a repository is damaged.
    pub fn open(path: &Path) -> Result<Repository, SourceError> {
        let folder = fs::canonicalize(path).map_err(|error| SourceError::io(path, error))?;
        fs::read_dir(&folder).map_err(|error| SourceError::io(path, error))?;
        let nowhere: [&Path; 0] = [];
        match git2::Repository::open_ext(&folder, git2::RepositoryOpenFlags::empty(), nowhere) {
            Ok(git) => {
                let root = git.workdir().unwrap_or_else(|| git.path());
                // Collected from its parts, a path has no slash at its end.
                Ok(Self { root: root.components().collect(), git: Some(git) })
            }
            Err(error) if error.code() == ErrorCode::NotFound => {
                refuse_damaged(&folder, &error)?;
                Ok(Self { root: folder, git: None })
            }
            Err(error) => Err(SourceError::git(&folder, "open the repository", &error)),
        }
    }

    /// What kind of place it is.
    pub fn kind(&self) -> Kind {
        match &self.git {
            None => Kind::Folder,
            Some(git) if git.workdir().is_none() => Kind::Bare,
            Some(_) => Kind::WorkTree,
        }
    }

    /// The root of the work tree, the bare repository, or the folder. It has no links in it.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// The folders in which Git keeps this repository's own `HEAD` and the branches; mostly one and the same. None
    /// where there is no Git.
    pub(super) fn git_folders(&self) -> Option<(&Path, &Path)> {
        self.git.as_ref().map(|git| (git.path(), git.commondir()))
    }

    /// Finds a commit by the name of a branch or tag, by its full or short id, or by an expression like `HEAD~1`.
    ///
    /// A branch goes before a tag of the same name, unlike in Git: who deploys a branch must not get something else
    /// because somebody has pushed a tag. A full id goes before both.
    ///
    /// # Errors
    /// [`SourceError::NotARepository`], [`SourceError::NoCommits`], [`SourceError::NoSuchRevision`],
    /// [`SourceError::Ambiguous`], [`SourceError::NotACommit`], and [`SourceError::Git`] where storage failed.
    pub fn resolve(&self, spec: &str) -> Result<Commit, SourceError> {
        self.find(spec).map(|commit| Commit::read(&commit))
    }

    /// The files of a commit, named as in [`Repository::resolve`].
    ///
    /// # Errors
    /// As for [`Repository::resolve`].
    pub fn commit_tree(&self, commit: &str) -> Result<CommitTree, SourceError> {
        let git = self.git()?;
        let tree = self.find(commit)?.tree_id();
        let objects = git2::Repository::open_bare(git.commondir())
            .map_err(|error| self.failed("open the objects", &error))?;
        Ok(CommitTree::new(objects, tree))
    }

    /// The files as they lie in the folder, and which revision they are: the commit at `HEAD` where nothing has been
    /// changed, added or removed since. Files that Git is told to ignore do not count as added, but can be read.
    ///
    /// # Errors
    /// [`SourceError::NoWorkTree`], and [`SourceError::Git`] where the changes can't be found out.
    pub fn work_tree(&self) -> Result<(WorkTree, Revision), SourceError> {
        let Some(git) = &self.git else {
            return Ok((WorkTree::new(&self.root, Nested::Folder), Revision::WorkTree(None)));
        };
        if git.workdir().is_none() {
            return Err(SourceError::NoWorkTree { path: self.root.clone() });
        }
        let revision = match self.head()? {
            Some(head) if self.is_clean(git)? => Revision::Commit(head),
            head => Revision::WorkTree(head),
        };
        Ok((WorkTree::new(&self.root, Nested::Submodule), revision))
    }

    /// Whether `descendant` is `ancestor` or came after it. A full id that the repository does not hold is nobody's
    /// ancestor; that is what remains of a history that was rewritten.
    ///
    /// # Errors
    /// As for [`Repository::resolve`].
    pub fn is_ancestor(&self, ancestor: &str, descendant: &str) -> Result<bool, SourceError> {
        let git = self.git()?;
        let descendant = self.find(descendant)?.id();
        let ancestor = match self.find(ancestor) {
            Ok(commit) => commit.id(),
            Err(SourceError::NoSuchRevision { .. }) if full_id(ancestor).is_some() => return Ok(false),
            Err(error) => return Err(error),
        };
        if ancestor == descendant {
            return Ok(true);
        }
        git.graph_descendant_of(descendant, ancestor).map_err(|error| self.failed("read the history", &error))
    }

    /// At most `most` commits, from the one named `from` backwards in time.
    ///
    /// # Errors
    /// As for [`Repository::resolve`].
    pub fn log(&self, from: &str, most: usize) -> Result<Vec<Commit>, SourceError> {
        let git = self.git()?;
        let start = self.find(from)?.id();
        let commits = || -> Result<Vec<Commit>, git2::Error> {
            let mut walk = git.revwalk()?;
            walk.push(start)?;
            walk.take(most).map(|id| Ok(Commit::read(&git.find_commit(id?)?))).collect()
        };
        commits().map_err(|error| self.failed("read the history", &error))
    }

    /// The names of all tags.
    ///
    /// # Errors
    /// [`SourceError::NotARepository`], and [`SourceError::Git`] where storage failed.
    pub fn tags(&self) -> Result<Vec<String>, SourceError> {
        let git = self.git()?;
        let tags = || -> Result<Vec<String>, git2::Error> {
            let mut tags = Vec::new();
            for reference in git.references_glob("refs/tags/*")? {
                // A name that is no text is no version either.
                tags.extend(reference?.shorthand().ok().map(str::to_owned));
            }
            Ok(tags)
        };
        tags().map_err(|error| self.failed("read the tags", &error))
    }

    /// The commit that a reference leads to, by the reference's full name; none if there is no such reference.
    ///
    /// # Errors
    /// [`SourceError::NotARepository`], [`SourceError::NotACommit`], and [`SourceError::Git`] where storage failed.
    pub fn reference(&self, name: &str) -> Result<Option<String>, SourceError> {
        let reference = match self.git()?.find_reference(name) {
            Ok(reference) => reference,
            Err(error) if matches!(error.code(), ErrorCode::NotFound | ErrorCode::InvalidSpec) => {
                return Ok(None);
            }
            Err(error) => return Err(self.failed("read the revisions", &error)),
        };
        match reference.peel_to_commit() {
            Ok(commit) => Ok(Some(commit.id().to_string())),
            Err(_) => Err(SourceError::NotACommit { path: self.root.clone(), spec: shown(name) }),
        }
    }

    /// Lets a reference lead to a commit, unless it does already. For mirrors only: what is followed is never written to.
    pub(super) fn set_reference(&self, name: &str, commit: &str) -> Result<(), SourceError> {
        if self.reference(name)?.as_deref() == Some(commit) {
            return Ok(());
        }
        let id = self.find(commit)?.id();
        let set = self.git()?.reference(name, id, true, "");
        set.map(drop).map_err(|error| self.failed("write a reference", &error))
    }

    /// The commits that lead to `later` and not to `earlier`, at most `most`, the newest first. Where the repository
    /// doesn't hold `earlier`, all that lead to `later`.
    ///
    /// # Errors
    /// As for [`Repository::resolve`].
    pub fn commits_between(
        &self,
        earlier: &str,
        later: &str,
        most: usize,
    ) -> Result<Vec<String>, SourceError> {
        let git = self.git()?;
        let later = self.find(later)?.id();
        let earlier = match self.find(earlier) {
            Ok(commit) => Some(commit.id()),
            Err(SourceError::NoSuchRevision { .. }) => None,
            Err(error) => return Err(error),
        };
        let commits = || -> Result<Vec<String>, git2::Error> {
            let mut walk = git.revwalk()?;
            walk.push(later)?;
            if let Some(earlier) = earlier {
                walk.hide(earlier)?;
            }
            walk.take(most).map(|id| Ok(id?.to_string())).collect()
        };
        commits().map_err(|error| self.failed("read the history", &error))
    }

    /// A commit with its signature; none if it has none.
    pub(super) fn signed(&self, commit: &str) -> Result<Option<Signed>, SourceError> {
        let git = self.git()?;
        let commit = self.find(commit)?;
        match git.extract_signature(&commit.id(), None) {
            Ok((signature, content)) => Ok(Some(Signed {
                signature: signature.to_vec(),
                content: content.to_vec(),
                committer: String::from_utf8_lossy(commit.committer().email_bytes()).into_owned(),
                time: commit.time().seconds(),
            })),
            Err(error) if error.code() == ErrorCode::NotFound => Ok(None),
            Err(error) => Err(self.failed("read a signature", &error)),
        }
    }

    fn git(&self) -> Result<&git2::Repository, SourceError> {
        self.git.as_ref().ok_or_else(|| SourceError::NotARepository { path: self.root.clone() })
    }

    fn find(&self, spec: &str) -> Result<git2::Commit<'_>, SourceError> {
        let git = self.git()?;
        // No name has such characters, and libgit2 can't even be asked about a zero.
        if spec.chars().any(char::is_control) {
            return Err(self.unknown(spec));
        }
        let object = if let Some(id) = full_id(spec) {
            git.find_object(id, None)
        } else {
            match branch(git, spec) {
                Some(branch) => branch.peel(git2::ObjectType::Any),
                None => git.revparse_single(spec),
            }
        };
        let object = object.map_err(|error| self.not_found(spec, &error))?;
        let not_a_commit = |_| SourceError::NotACommit { path: self.root.clone(), spec: shown(spec) };
        let commit = object.peel(git2::ObjectType::Commit).map_err(not_a_commit)?;
        self.check_size(git, commit.id())?;
        commit.peel_to_commit().map_err(not_a_commit)
    }

    /// Whoever may push writes the text of a commit.
    fn check_size(&self, git: &git2::Repository, commit: git2::Oid) -> Result<(), SourceError> {
        let header = git.odb().and_then(|objects| objects.read_header(commit));
        let (bytes, _) = header.map_err(|error| self.failed("read a commit", &error))?;
        if bytes as u64 <= COMMIT_BYTES_MAX {
            return Ok(());
        }
        Err(SourceError::HugeCommit {
            path: self.root.clone(),
            commit: commit.to_string(),
            bytes: bytes as u64,
            most: COMMIT_BYTES_MAX,
        })
    }

    /// Why a revision was not found, in words that help.
    fn not_found(&self, spec: &str, error: &git2::Error) -> SourceError {
        match error.code() {
            ErrorCode::NotFound | ErrorCode::UnbornBranch | ErrorCode::InvalidSpec => self.unknown(spec),
            ErrorCode::Ambiguous => SourceError::Ambiguous { path: self.root.clone(), spec: shown(spec) },
            _ => self.failed("read the revisions", error),
        }
    }

    fn unknown(&self, spec: &str) -> SourceError {
        let path = self.root.clone();
        match self.git.as_ref().filter(|git| has_references(git)) {
            Some(git) => SourceError::NoSuchRevision { path, spec: shown(spec), branches: branches(git) },
            None => SourceError::NoCommits { path },
        }
    }

    /// The commit that the work tree is based on; none before the first one.
    fn head(&self) -> Result<Option<String>, SourceError> {
        match self.git()?.head().and_then(|head| head.peel_to_commit()) {
            Ok(commit) => Ok(Some(commit.id().to_string())),
            Err(error) if matches!(error.code(), ErrorCode::UnbornBranch | ErrorCode::NotFound) => Ok(None),
            Err(error) => Err(self.failed("read `HEAD`", &error)),
        }
    }

    fn is_clean(&self, git: &git2::Repository) -> Result<bool, SourceError> {
        let mut options = git2::StatusOptions::new();
        // Submodules are never read, so what happens in them is no change.
        options.include_untracked(true).include_ignored(false).exclude_submodules(true).update_index(false);
        let changes = git
            .statuses(Some(&mut options))
            .map_err(|error| self.failed("compare the work tree with `HEAD`", &error))?;
        Ok(changes.is_empty())
    }

    fn failed(&self, doing: &'static str, error: &git2::Error) -> SourceError {
        SourceError::git(&self.root, doing, error)
    }
}

/// libgit2 also says "not found" of a repository that it can't read or make sense of; that is no plain folder.
fn refuse_damaged(folder: &Path, error: &git2::Error) -> Result<(), SourceError> {
    let dot_git = folder.join(".git");
    match fs::read_dir(&dot_git) {
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) if error.kind() == ErrorKind::PermissionDenied => Err(SourceError::io(&dot_git, error)),
        Ok(_) | Err(_) => Err(SourceError::git(folder, "open the repository", error)),
    }
}

/// The id that `spec` is, if it is a full one. libgit2 would take a short one for the beginning of many zeros.
fn full_id(spec: &str) -> Option<git2::Oid> {
    if spec.len() == 40 { git2::Oid::from_str(spec).ok() } else { None }
}

/// The branch of that name. `HEAD` is never one, even where somebody has pushed a branch of that name.
fn branch<'a>(git: &'a git2::Repository, name: &str) -> Option<git2::Reference<'a>> {
    if name == "HEAD" {
        return None;
    }
    git.find_branch(name, git2::BranchType::Local).ok().map(git2::Branch::into_reference)
}

fn has_references(git: &git2::Repository) -> bool {
    git.references().is_ok_and(|mut references| references.next().is_some())
}

fn branches(git: &git2::Repository) -> Vec<String> {
    let Ok(branches) = git.branches(Some(git2::BranchType::Local)) else { return Vec::new() };
    let mut names: Vec<String> = branches
        .filter_map(|branch| {
            let (branch, _) = branch.ok()?;
            Some(clean(branch.name_bytes().ok()?, NAME_CHARS))
        })
        .take(BRANCHES_SHOWN)
        .collect();
    names.sort();
    names
}

fn shown(spec: &str) -> String {
    clean(spec.as_bytes(), NAME_CHARS)
}
