//! What can go wrong with a repository as a whole. A single file has [`crate::model::tree::TreeError`].

use std::path::{Path, PathBuf};

use super::commit::clean;

/// Why a repository, a revision or a watch can't be had. A revision in it is already fit to be shown.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// Nothing is at the path.
    #[error("`{}` does not exist", path.display())]
    Missing {
        /// The path.
        path: PathBuf,
    },
    /// The path is a file.
    #[error("`{}` is not a folder", path.display())]
    NotAFolder {
        /// The path.
        path: PathBuf,
    },
    /// The system refuses to read.
    #[error("`{}` can't be read", path.display())]
    Unreadable {
        /// The path.
        path: PathBuf,
        /// What the system said.
        source: std::io::Error,
    },
    /// Git's rule of dubious ownership: another user's repository is not trusted, as its settings could be theirs.
    #[error("the repository `{}` belongs to another user and is not listed in `safe.directory`", path.display())]
    ForeignOwner {
        /// The path.
        path: PathBuf,
    },
    /// A revision was asked for, and the folder is not in a Git repository.
    #[error("`{}` is not a Git repository, so it has no revisions", path.display())]
    NotARepository {
        /// The folder.
        path: PathBuf,
    },
    /// Files of a work tree were asked for, and the repository is bare.
    #[error("`{}` is a bare repository, it has no work tree", path.display())]
    NoWorkTree {
        /// The repository.
        path: PathBuf,
    },
    /// The repository is empty.
    #[error("the repository `{}` has no commits yet", path.display())]
    NoCommits {
        /// The repository.
        path: PathBuf,
    },
    /// No branch, tag or commit bears the name.
    #[error("`{spec}` is not a branch, tag or commit of `{}`", path.display())]
    NoSuchRevision {
        /// The repository.
        path: PathBuf,
        /// What was asked for.
        spec: String,
        /// The branches that there are; the first ones, if there are many.
        branches: Vec<String>,
    },
    /// A short id fits several objects.
    #[error("`{spec}` fits more than one object of `{}`", path.display())]
    Ambiguous {
        /// The repository.
        path: PathBuf,
        /// What was asked for.
        spec: String,
    },
    /// The revision is a file or folder, not a commit.
    #[error("`{spec}` of `{}` is not a commit", path.display())]
    NotACommit {
        /// The repository.
        path: PathBuf,
        /// What was asked for.
        spec: String,
    },
    /// A repository on a server that nothing was fetched from yet.
    #[error("nothing was fetched from `{address}` yet")]
    NotFetched {
        /// Its address.
        address: String,
    },
    /// Objects are missing, or are not what they were.
    #[error("the mirror `{}` is damaged; it is made anew at the next fetch", path.display())]
    Damaged {
        /// The mirror.
        path: PathBuf,
    },
    /// No tag is a version that fits.
    #[error("`{}` has no tag with a version that matches `{pattern}`", path.display())]
    NoSuchTag {
        /// The repository.
        path: PathBuf,
        /// The pattern.
        pattern: String,
    },
    /// A commit's own text is too long to be meant for people.
    #[error("the commit `{commit}` of `{}` has {bytes} bytes of text; at most {most} are read", path.display())]
    HugeCommit {
        /// The repository.
        path: PathBuf,
        /// The commit.
        commit: String,
        /// Its size.
        bytes: u64,
        /// The most that is read.
        most: u64,
    },
    /// Git's storage failed or is damaged.
    #[error("can't {doing} of `{}`: {message}", path.display())]
    Git {
        /// The repository.
        path: PathBuf,
        /// What was tried: `read the history`.
        doing: &'static str,
        /// What libgit2 said.
        message: String,
    },
    /// Changes can't be watched for; polling still works.
    #[error("can't watch `{}` for changes", path.display())]
    Watch {
        /// The watched path.
        path: PathBuf,
        /// What the system said.
        source: notify::Error,
    },
}

impl SourceError {
    /// A failure of libgit2 that has no better name.
    pub(super) fn git(path: &Path, doing: &'static str, error: &git2::Error) -> Self {
        match error.code() {
            git2::ErrorCode::Owner => Self::ForeignOwner { path: path.to_owned() },
            _ => Self::Git { path: path.to_owned(), doing, message: clean(error.message().as_bytes(), 200) },
        }
    }

    /// What the system said about a path.
    pub(super) fn io(path: &Path, source: std::io::Error) -> Self {
        match source.kind() {
            std::io::ErrorKind::NotFound => Self::Missing { path: path.to_owned() },
            std::io::ErrorKind::NotADirectory => Self::NotAFolder { path: path.to_owned() },
            _ => Self::Unreadable { path: path.to_owned(), source },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_users_repository_has_its_own_error() {
        let error = git2::Error::new(git2::ErrorCode::Owner, git2::ErrorClass::Config, "not owned");
        let error = SourceError::git(Path::new("/srv/git"), "open the repository", &error);
        assert!(matches!(error, SourceError::ForeignOwner { .. }));
        assert_eq!(
            error.to_string(),
            "the repository `/srv/git` belongs to another user and is not listed in `safe.directory`"
        );
    }
}
