//! Repositories on servers. Each has one *mirror* on this host: a bare repository that is fetched into and then read like
//! any other one. Nothing is ever checked out, no hook, filter or submodule runs, and nothing is pushed.
//!
//! What comes from a server is hostile until it was checked: bytes and objects are counted, objects are checked by their
//! digests and for completeness before any reference names them, and whatever is cut off leaves only a folder that the
//! next start clears away.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use crate::model::address::RemoteAddress;
use crate::model::release::TagPattern;

mod error;
mod packet;
mod http;
mod ssh;
mod talk;
mod shelf;
mod mirror;

pub use error::{RemoteError, RemoteProblem};
pub use mirror::{Mirror, Opened, Updated};

/// The most bytes of a list of references.
const ADVERTISED_MAX: u64 = 64 << 20;

/// What is followed of a repository.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Wanted {
    /// The branch that the repository names as its own.
    Head,
    /// A branch.
    Branch(String),
    /// The highest version among tags.
    Tag(TagPattern),
}

/// With what a server is asked. Read anew for each time, and never kept.
#[derive(Clone)]
pub enum Access {
    /// With nothing.
    Anonymous,
    /// With a name and a password or token, by HTTP.
    Basic {
        /// The name.
        username: String,
        /// The password or token.
        password: String,
    },
    /// With a key, by SSH.
    Ssh {
        /// Where the key is.
        identity: Identity,
        /// The file with the keys of servers.
        known_hosts: PathBuf,
    },
}

/// Where a key for SSH is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Identity {
    /// In a file.
    File(PathBuf),
    /// With an agent that listens on this socket.
    Agent(PathBuf),
}

impl fmt::Debug for Access {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Anonymous => f.write_str("Anonymous"),
            Self::Basic { .. } => f.write_str("Basic (sensitive)"),
            Self::Ssh { identity, known_hosts } => {
                f.debug_struct("Ssh").field("identity", identity).field("known_hosts", known_hosts).finish()
            }
        }
    }
}

/// How servers are reached, and how much is taken from them.
#[derive(Debug, Clone)]
pub struct Network {
    /// The folder in which mirrors are.
    pub folder: PathBuf,
    /// A file with further authorities whose certificates count.
    pub ca: Option<PathBuf>,
    /// The proxy for HTTP; never used for this host itself.
    pub proxy: Option<String>,
    /// The longest time for one fetch.
    pub timeout: Duration,
    /// The most bytes of one fetch.
    pub max_size: u64,
    /// The most objects of one fetch.
    pub max_objects: u64,
}

impl Network {
    /// No proxy, no further authority, and the usual limits.
    pub fn new(folder: PathBuf) -> Self {
        Self {
            folder,
            ca: None,
            proxy: None,
            timeout: Duration::from_secs(120),
            max_size: 500 << 20,
            max_objects: 1_000_000,
        }
    }
}

/// The mirrors of this host: one for each repository, however many follow it.
#[derive(Debug)]
pub struct Mirrors {
    network: Arc<Network>,
    known: Mutex<BTreeMap<String, Arc<Mirror>>>,
}

impl Mirrors {
    /// The mirrors below the folder of `network`, which is made if need be. What was cut off there is cleared away, so
    /// nobody else may use the folder meanwhile. Blocks on files.
    ///
    /// # Errors
    /// [`RemoteProblem::File`] or [`RemoteProblem::DiskFull`] where the folder can't be used.
    pub fn open(network: Network) -> Result<Self, RemoteProblem> {
        shelf::tidy(&network.folder)?;
        Ok(Self { network: Arc::new(network), known: Mutex::default() })
    }

    /// The mirror of a repository.
    pub fn of(&self, address: &RemoteAddress) -> Arc<Mirror> {
        let mut known = self.known.lock().unwrap_or_else(PoisonError::into_inner);
        let mirror = known
            .entry(address.to_string())
            .or_insert_with(|| Arc::new(Mirror::new(address.clone(), Arc::clone(&self.network))));
        Arc::clone(mirror)
    }

    /// The folder in which they are.
    pub fn folder(&self) -> &Path {
        &self.network.folder
    }
}
