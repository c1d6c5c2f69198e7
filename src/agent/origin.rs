//! Where what is followed comes from: a repository of this host, or the mirror of one on a server; which of its commits
//! counts; and whose commits may be deployed.

use std::collections::BTreeMap;
use std::fmt;
use std::ops::Deref;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::credential::{self, CredentialError};
use crate::manifest::{Followed, GitCredential, GitSettings, SshKey, Verify};
use crate::model::address::Address;
use crate::model::release::TagPattern;
use crate::source::remote::{
    Access, Identity, Mirror, Mirrors, Network, Opened, RemoteError, RemoteProblem, Wanted,
};
use crate::source::verify::Trust;
use crate::source::{Commit, Repository, SourceError};

/// The folder of mirrors below the state folder.
const FOLDER: &str = "repositories";

/// Where what is followed comes from.
#[derive(Debug, Clone)]
pub struct Origin {
    place: Place,
    tag: Option<TagPattern>,
    trust: Option<Trust>,
}

#[derive(Debug, Clone)]
enum Place {
    Local(PathBuf),
    Remote(Remote),
}

/// A repository on a server, and with what it is asked.
#[derive(Debug, Clone)]
pub(super) struct Remote {
    pub(super) mirror: Arc<Mirror>,
    credential: Option<GitCredential>,
}

/// The mirrors of a host, below its state folder. To be opened once: what was cut off is cleared away by it. Blocks.
///
/// # Errors
/// [`RemoteProblem`] where the folder can't be used.
pub fn mirrors(settings: &GitSettings, state: &Path) -> Result<Mirrors, RemoteProblem> {
    let GitSettings { schemes: _, ca, proxy, timeout, max_size, max_objects } = settings;
    Mirrors::open(Network {
        folder: state.join(FOLDER),
        ca: ca.as_ref().map(PathBuf::from),
        proxy: proxy.clone(),
        timeout: *timeout,
        max_size: *max_size,
        max_objects: *max_objects,
    })
}

impl Origin {
    /// What `followed` of agent.yaml says, whose credentials and settings were found to fit together.
    pub fn of(followed: &Followed, credentials: &BTreeMap<String, GitCredential>, mirrors: &Mirrors) -> Self {
        let credential = followed.credential.as_ref().and_then(|name| credentials.get(name)).cloned();
        let place = match &followed.repository {
            Address::Local(path) => Place::Local(path.into()),
            Address::Remote(address) => Place::Remote(Remote { mirror: mirrors.of(address), credential }),
        };
        let trust = followed.verify.clone().map(|Verify { every_commit, signers, keyring }| Trust {
            every_commit,
            signers: signers.map(PathBuf::from),
            keyring: keyring.map(PathBuf::from),
        });
        Self { place, tag: followed.tag.clone(), trust }
    }

    /// Where a repository of this host is; none for one on a server.
    pub fn local(&self) -> Option<&Path> {
        match &self.place {
            Place::Local(path) => Some(path),
            Place::Remote(_) => None,
        }
    }

    /// A repository on a server.
    pub(super) fn remote(&self) -> Option<&Remote> {
        match &self.place {
            Place::Local(_) => None,
            Place::Remote(remote) => Some(remote),
        }
    }

    /// Whose commits may be deployed; none where everybody's may who can push.
    pub(super) fn trust(&self) -> Option<&Trust> {
        self.trust.as_ref()
    }

    /// What is followed of it. Tags go before a branch.
    pub(super) fn wanted(&self, branch: Option<&str>) -> Wanted {
        match (&self.tag, branch) {
            (Some(pattern), _) => Wanted::Tag(pattern.clone()),
            (None, Some(branch)) => Wanted::Branch(branch.to_owned()),
            (None, None) => Wanted::Head,
        }
    }

    /// Opens it for reading.
    pub(super) fn open(&self) -> Result<Open<'_>, SourceError> {
        match &self.place {
            Place::Local(path) => Ok(Open::Local(Repository::open(path)?)),
            Place::Remote(remote) => Ok(Open::Mirror(remote.mirror.open()?)),
        }
    }
}

/// Whether both are the same place, asked in the same way for the same commits. Mirrors are one for each address of a host.
impl PartialEq for Origin {
    fn eq(&self, other: &Self) -> bool {
        let place = match (&self.place, &other.place) {
            (Place::Local(one), Place::Local(other)) => one == other,
            (Place::Remote(one), Place::Remote(other)) => {
                Arc::ptr_eq(&one.mirror, &other.mirror) && one.credential == other.credential
            }
            (Place::Local(_), Place::Remote(_)) | (Place::Remote(_), Place::Local(_)) => false,
        };
        place && self.tag == other.tag && self.trust == other.trust
    }
}

impl Eq for Origin {}

/// Why a repository could not be looked into.
#[derive(Debug, thiserror::Error)]
pub enum LookError {
    /// The server, or the way there.
    #[error(transparent)]
    Remote(#[from] RemoteError),
    /// What is asked with.
    #[error(transparent)]
    Credential(#[from] CredentialError),
    /// The repository itself.
    #[error(transparent)]
    Source(#[from] SourceError),
}

impl Origin {
    /// Gets what is newest of `branch`, or of the tags that are followed, and opens the repository at it: for a check of a
    /// host, not for an agent.
    pub async fn look(&self, branch: Option<&str>) -> Result<(Repository, Commit), LookError> {
        let wanted = self.wanted(branch);
        if let Place::Remote(remote) = &self.place {
            remote.mirror.update(&wanted, &remote.access()?).await?;
        }
        let open = self.open()?;
        let commit = open.newest(&wanted)?;
        Ok((Repository::open(open.root())?, commit))
    }
}

impl From<PathBuf> for Origin {
    fn from(path: PathBuf) -> Self {
        Self { place: Place::Local(path), tag: None, trust: None }
    }
}

/// Where it is, without any credential.
impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.place {
            Place::Local(path) => path.display().fmt(f),
            Place::Remote(remote) => remote.mirror.address().fmt(f),
        }
    }
}

impl Remote {
    /// With what the server is asked, read anew.
    pub(super) fn access(&self) -> Result<Access, CredentialError> {
        Ok(match &self.credential {
            None => Access::Anonymous,
            Some(GitCredential::Basic { username, password }) => Access::Basic {
                username: username.clone(),
                password: credential::read(password)?.expose().to_owned(),
            },
            Some(GitCredential::Ssh { key, known_hosts }) => Access::Ssh {
                identity: match key {
                    SshKey::File(path) => Identity::File(path.into()),
                    SshKey::Agent(socket) => Identity::Agent(socket.into()),
                },
                known_hosts: known_hosts.into(),
            },
        })
    }
}

/// A repository that is open for reading.
pub(super) enum Open<'o> {
    Local(Repository),
    Mirror(Opened<'o>),
}

impl Open<'_> {
    /// The newest commit of what is wanted.
    pub(super) fn newest(&self, wanted: &Wanted) -> Result<Commit, SourceError> {
        let repository = match self {
            Self::Mirror(mirror) => return mirror.resolve(&mirror.newest(wanted)?),
            Self::Local(repository) => repository,
        };
        match wanted {
            Wanted::Head => repository.resolve("HEAD"),
            Wanted::Branch(branch) => repository.resolve(branch),
            Wanted::Tag(pattern) => {
                let tags = repository.tags()?;
                let commit = match pattern.highest(tags.iter().map(String::as_str)) {
                    Some(tag) => repository.reference(&format!("refs/tags/{tag}"))?,
                    None => None,
                };
                match commit {
                    // By its id, for a branch may have the name of the tag.
                    Some(commit) => repository.resolve(&commit),
                    None => Err(SourceError::NoSuchTag {
                        path: repository.root().to_owned(),
                        pattern: pattern.to_string(),
                    }),
                }
            }
        }
    }

    /// Whether the files of a commit are all there. Only a mirror can be made anew where they aren't.
    pub(super) fn is_damaged(&self, commit: &str) -> bool {
        match self {
            Self::Local(_) => false,
            Self::Mirror(mirror) => !mirror.is_sound(commit),
        }
    }
}

impl Deref for Open<'_> {
    type Target = Repository;

    fn deref(&self) -> &Repository {
        match self {
            Self::Local(repository) => repository,
            Self::Mirror(mirror) => mirror,
        }
    }
}
