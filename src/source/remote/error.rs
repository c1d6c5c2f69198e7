//! Why a repository on a server can't be had. What a server says is cleaned before it gets in here, and no credential
//! ever does.

use std::path::PathBuf;
use std::time::Duration;

use crate::source::commit::clean;

/// Why a fetch failed, and from where.
#[derive(Debug, thiserror::Error)]
#[error("can't fetch from `{address}`: {problem}")]
pub struct RemoteError {
    /// The address, without a user.
    pub address: String,
    /// What went wrong.
    pub problem: RemoteProblem,
}

/// What went wrong with a fetch.
#[derive(Debug, thiserror::Error)]
pub enum RemoteProblem {
    /// No connection.
    #[error("the server can't be reached: {0}")]
    Unreachable(String),
    /// Too slow.
    #[error("it was not done within {} seconds", .0.as_secs())]
    Timeout(Duration),
    /// Nobody vouches for the server.
    #[error(
        "the server's certificate is not trusted ({0}); an authority of your own is said by `git: {{ca: FILE}}`"
    )]
    Certificate(String),
    /// The server is not the known one.
    #[error(
        "the server's key is not the one in `{}`: either it was changed, or somebody stands in between; \
         compare it with what the forge publishes before you write it there", .0.display()
    )]
    HostKey(PathBuf),
    /// The credential is wrong, or was revoked.
    #[error("the server refuses the credential; if it was revoked, put a new one in its place")]
    Denied,
    /// The server wants a credential, and there is none.
    #[error("the server wants a credential; say one by `credential: NAME`")]
    CredentialWanted,
    /// The credential can't be read.
    #[error("{0}")]
    Credential(String),
    /// Nothing is there, or nothing that may be seen.
    #[error("there is no such repository, or this credential may not read it")]
    NotFound,
    /// The server sends to another one.
    #[error("the server sends elsewhere, to `{0}`; that is not followed, so say that address if it is right")]
    Redirect(String),
    /// Some other status.
    #[error("the server answers with the HTTP status {0}")]
    Status(u16),
    /// The server says no in its own words.
    #[error("the server says: {0}")]
    Said(String),
    /// It doesn't speak as it should.
    #[error("the server doesn't speak Git's protocol: {0}")]
    Protocol(&'static str),
    /// There are no commits.
    #[error("the repository has no commits yet")]
    Empty,
    /// There is no such branch.
    #[error("it has no branch `{branch}`; it has {}", listed(.branches))]
    NoBranch {
        /// The branch.
        branch: String,
        /// Some of those that there are.
        branches: Vec<String>,
    },
    /// No tag matches.
    #[error("it has no tag with a version that matches `{0}`")]
    NoTag(String),
    /// More bytes than allowed.
    #[error("it would bring more than {0} bytes; `git: {{max_size: …}}` allows more")]
    TooLarge(u64),
    /// More objects than allowed.
    #[error("it would bring {count} objects, and {most} are allowed; `git: {{max_objects: …}}` allows more")]
    TooMany {
        /// So many there are.
        count: u64,
        /// So many are allowed.
        most: u64,
    },
    /// The disk is full.
    #[error("the disk with `{}` is full", .0.display())]
    DiskFull(PathBuf),
    /// A file of this host.
    #[error("`{}` can't be used: {message}", path.display())]
    File {
        /// The file.
        path: PathBuf,
        /// What the system said.
        message: String,
    },
    /// Git's storage.
    #[error("can't {doing}: {message}")]
    Git {
        /// What was tried: `store the objects`.
        doing: &'static str,
        /// What libgit2 said.
        message: String,
    },
    /// `ssh` can't be started.
    #[error("the program `ssh` can't be started: {0}; on Debian it is in the package `openssh-client`")]
    NoSsh(String),
    /// The agent is being stopped.
    #[error("it was given up, for the agent is stopped")]
    Stopped,
}

impl RemoteProblem {
    /// What the system said about a file of this host.
    pub(super) fn io(path: impl Into<PathBuf>, error: &std::io::Error) -> Self {
        let path = path.into();
        match error.kind() {
            std::io::ErrorKind::StorageFull | std::io::ErrorKind::QuotaExceeded => Self::DiskFull(path),
            _ => Self::File { path, message: error.to_string() },
        }
    }

    /// What libgit2 said. It tells a full disk only in words.
    pub(super) fn git(path: impl Into<PathBuf>, doing: &'static str, error: &git2::Error) -> Self {
        let message = clean(error.message().as_bytes(), 200);
        if message.contains("No space left on device") || message.contains("Disk quota exceeded") {
            return Self::DiskFull(path.into());
        }
        Self::Git { doing, message }
    }
}

fn listed(branches: &[String]) -> String {
    if branches.is_empty() {
        return "no branches".to_owned();
    }
    branches.iter().map(|branch| format!("`{branch}`")).collect::<Vec<_>>().join(", ")
}
