//! The mirror of one repository: kept up to date by [`Mirror::update`], read by whoever opens it as a repository.
//!
//! One fetch goes on at a time, however many follow the repository. Reading never waits for one: objects are only ever
//! added, and a reference moves when everything that it leads to is there.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};

use git2::{ErrorCode, Oid};
use sha2::{Digest, Sha256};
use tokio::task;
use tokio::time;
use tracing::{info, warn};

use super::error::{RemoteError, RemoteProblem};
use super::ssh::{Share, Standing};
use super::talk::Talk;
use super::{Access, Network, Wanted, shelf};
use crate::model::address::RemoteAddress;
use crate::model::name::EnvironmentName;
use crate::source::{Repository, SourceError};

/// So many commits the server is told that are here already. One of them is nearly always the last that was fetched.
const HAVES_MAX: usize = 256;

/// What an update has found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Updated {
    /// The same as before.
    Same,
    /// Another commit.
    Moved,
}

/// A bare repository of this host with what was fetched from a server.
#[derive(Debug)]
pub struct Mirror {
    address: RemoteAddress,
    path: PathBuf,
    network: Arc<Network>,
    /// Held during a fetch, with a connection that stands where there is one.
    fetching: tokio::sync::Mutex<Option<Standing>>,
    /// Held for writing while the whole folder, or a pack in it, is replaced.
    place: RwLock<()>,
    /// Whether the objects were found to be readable since the start, or since somebody doubted it.
    is_sound: AtomicBool,
}

/// A mirror that is open for reading. It stays in its place meanwhile, so it isn't to be kept for long.
pub struct Opened<'m> {
    repository: Repository,
    address: &'m RemoteAddress,
    _place: RwLockReadGuard<'m, ()>,
}

impl Opened<'_> {
    /// The commit that was last found where `wanted` is.
    ///
    /// # Errors
    /// [`SourceError::NotFetched`] where that was never asked for, and as [`Repository::reference`].
    pub fn newest(&self, wanted: &Wanted) -> Result<String, SourceError> {
        match self.reference(&observed(wanted))? {
            Some(commit) => Ok(commit),
            None => Err(SourceError::NotFetched { address: self.address.to_string() }),
        }
    }

    /// Whether all files of `commit`, by its full id, can be read.
    pub fn is_sound(&self, commit: &str) -> bool {
        let git = git2::Repository::open_bare(self.root());
        let id = Oid::from_str(commit);
        git.is_ok_and(|git| id.is_ok_and(|id| shelf::is_sound(&git, id)))
    }
}

impl std::ops::Deref for Opened<'_> {
    type Target = Repository;

    fn deref(&self) -> &Repository {
        &self.repository
    }
}

/// What a fetch begins with.
struct Start {
    /// The folder in which the objects are put: the mirror, or one beside it.
    path: PathBuf,
    /// Where the mirror is made anew, the folder around it.
    beside: Option<tempfile::TempDir>,
    /// Whether the wanted object is there already.
    has_target: bool,
    /// Commits that are there.
    haves: Vec<String>,
}

impl Mirror {
    pub(super) fn new(address: RemoteAddress, network: Arc<Network>) -> Self {
        let path = network.folder.join(shelf::name(&address.to_string()));
        Self {
            address,
            path,
            network,
            fetching: tokio::sync::Mutex::default(),
            place: RwLock::default(),
            is_sound: AtomicBool::new(false),
        }
    }

    /// Where the repository is.
    pub fn address(&self) -> &RemoteAddress {
        &self.address
    }

    /// The folder of the mirror. Nothing is there before the first update.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Opens it for reading. Blocks on files.
    ///
    /// # Errors
    /// [`SourceError::NotFetched`] before the first update, and as [`Repository::open`].
    pub fn open(&self) -> Result<Opened<'_>, SourceError> {
        let place = self.place.read().unwrap_or_else(PoisonError::into_inner);
        if !self.path.is_dir() {
            return Err(SourceError::NotFetched { address: self.address.to_string() });
        }
        Ok(Opened { repository: Repository::open(&self.path)?, address: &self.address, _place: place })
    }

    /// Keeps `commit` and all before it, as what `environment` runs, whatever becomes of the branches. Blocks on files.
    ///
    /// # Errors
    /// As for [`Mirror::open`]; [`SourceError::Git`] where it can't be written.
    pub fn keep(&self, environment: &EnvironmentName, commit: &str) -> Result<(), SourceError> {
        self.open()?.set_reference(&format!("{APPLIED}{environment}"), commit)
    }

    /// Lets the next update look whether all objects can be read, and make the mirror anew where they can't.
    pub fn doubt(&self) {
        self.is_sound.store(false, Ordering::Relaxed);
    }

    /// Asks the server what `wanted` is, and gets it if it isn't here yet. Dropping the future gives it up; the mirror
    /// is as before then.
    ///
    /// # Errors
    /// Whatever went wrong. The mirror is as before, and can be read.
    pub async fn update(self: &Arc<Self>, wanted: &Wanted, access: &Access) -> Result<Updated, RemoteError> {
        let mut standing = self.fetching.lock().await;
        let updated = self.talk(wanted, access, standing.as_mut()).await;
        self.stand(&mut standing, access, updated.is_ok()).await;
        updated.map_err(|problem| RemoteError { address: self.address.to_string(), problem })
    }

    /// Sees to it that a connection stands for the next time, where that is by SSH and all is well.
    async fn stand(&self, standing: &mut Option<Standing>, access: &Access, is_well: bool) {
        let Access::Ssh { identity, known_hosts } = access else { return };
        if is_well && standing.as_mut().is_some_and(|standing| standing.is_fit(identity, known_hosts)) {
            return;
        }
        if let Some(old) = standing.take() {
            old.leave().await;
        }
        if is_well {
            *standing = Standing::begin(&self.address, (identity, known_hosts), &self.network.folder);
        }
    }

    async fn talk(
        self: &Arc<Self>,
        wanted: &Wanted,
        access: &Access,
        standing: Option<&mut Standing>,
    ) -> Result<Updated, RemoteProblem> {
        let network = Arc::clone(&self.network);
        let deadline = time::Instant::now() + network.timeout;
        let late = |_| RemoteProblem::Timeout(network.timeout);
        let share = match (standing, access) {
            (Some(standing), Access::Ssh { identity, known_hosts }) => {
                let is_fit = standing.is_fit(identity, known_hosts);
                if is_fit { Share::Use(standing.socket()) } else { Share::Alone }
            }
            (Some(_) | None, _) => Share::Alone,
        };
        let opening = Talk::open(&self.address, (access, &network), wanted, share);
        let talk = time::timeout_at(deadline, opening).await.map_err(late)??;
        let target = talk.target.id.clone();
        let (mirror, asked, name) = (Arc::clone(self), target.clone(), observed(wanted));
        let start = blocking(move |_| mirror.start(&asked, &name)).await?;
        let name = observed(wanted);
        if start.has_target {
            talk.leave().await;
            let mirror = Arc::clone(self);
            return blocking(move |stopped| mirror.finish(start, (&name, &target), None, stopped)).await;
        }
        let passing = shelf::passing(&network.folder)?;
        let path = passing.path().join(shelf::RECEIVED);
        let failed = |error: std::io::Error| RemoteProblem::io(&network.folder, &error);
        let mut file = std::io::BufWriter::new(fs::File::create(&path).map_err(failed)?);
        let fetching = talk.fetch(&start.haves, &network, &mut file);
        time::timeout_at(deadline, fetching).await.map_err(late)??;
        std::io::Write::flush(&mut file).map_err(failed)?;
        let mirror = Arc::clone(self);
        blocking(move |stopped| mirror.finish(start, (&name, &target), Some(&passing), stopped)).await
    }

    /// Finds out what is there, and makes the mirror if nothing is, or nothing that can be read.
    fn start(&self, target: &str, name: &str) -> Result<Start, RemoteProblem> {
        if !self.path.exists() {
            shelf::make(&self.path)?;
        }
        let known = self.look(target, name);
        match known {
            Ok((has_target, haves)) => Ok(Start { path: self.path.clone(), beside: None, has_target, haves }),
            Err(why) => {
                warn!(repository = %self.address, why, "the mirror is damaged, and made anew beside it");
                let beside = shelf::passing(&self.network.folder)?;
                let path = beside.path().join("mirror.git");
                shelf::make(&path)?;
                Ok(Start { path, beside: Some(beside), has_target: false, haves: Vec::new() })
            }
        }
    }

    /// Whether the target is there, and which commits are; or why nothing of it is to be relied on.
    fn look(&self, target: &str, name: &str) -> Result<(bool, Vec<String>), String> {
        let damaged = |error: git2::Error| error.message().to_owned();
        let git = git2::Repository::open_bare(&self.path).map_err(damaged)?;
        let known = match git.refname_to_id(name) {
            Ok(id) => Some(id),
            Err(error) if error.code() == ErrorCode::NotFound => None,
            Err(error) => return Err(damaged(error)),
        };
        if !self.is_sound.load(Ordering::Relaxed) {
            if known.is_some_and(|known| !shelf::is_sound(&git, known)) {
                return Err("objects can't be read, or are not what they should be".to_owned());
            }
            self.is_sound.store(true, Ordering::Relaxed);
        }
        let target = Oid::from_str(target).map_err(damaged)?;
        let has_target = git.odb().map_err(damaged)?.exists(target);
        let haves = || -> Result<Vec<String>, git2::Error> {
            let mut walk = git.revwalk()?;
            for reference in git.references()? {
                walk.push(reference?.peel_to_commit()?.id())?;
            }
            walk.take(HAVES_MAX).map(|id| Ok(id?.to_string())).collect()
        };
        Ok((has_target, haves().map_err(damaged)?))
    }

    /// Puts what was received in its place, and moves the reference.
    fn finish(
        &self,
        start: Start,
        (name, target): (&str, &str),
        received: Option<&tempfile::TempDir>,
        stopped: &AtomicBool,
    ) -> Result<Updated, RemoteProblem> {
        let failed = |error: git2::Error| RemoteProblem::git(&self.path, "move the reference", &error);
        let git = git2::Repository::open_bare(&start.path).map_err(failed)?;
        let id = Oid::from_str(target).map_err(failed)?;
        if let Some(received) = received {
            shelf::install(&git, (received.path(), id), stopped)?;
        }
        let object = git.find_object(id, None).map_err(failed)?;
        let commit = object.peel_to_commit().map_err(failed)?.id();
        let before = git.refname_to_id(name).ok();
        if before != Some(commit) {
            git.reference(name, commit, true, "").map_err(failed)?;
        }
        if let Some(beside) = start.beside {
            self.replace(&git, &start.path, beside.path())?;
            return Ok(Updated::Moved);
        }
        if received.is_some() {
            self.compact();
        }
        Ok(if before == Some(commit) { Updated::Same } else { Updated::Moved })
    }

    /// Puts a new mirror into the place of the damaged one, with what can be told of it.
    fn replace(&self, new: &git2::Repository, path: &Path, beside: &Path) -> Result<(), RemoteProblem> {
        if let Ok(old) = git2::Repository::open_bare(&self.path) {
            for reference in old.references_glob(&format!("{APPLIED}*")).into_iter().flatten().flatten() {
                // Only what the new one has as well: the server may have forgotten the rest.
                if let (Ok(name), Some(id)) = (reference.name(), reference.target())
                    && new.find_commit(id).is_ok()
                {
                    new.reference(name, id, true, "")
                        .map_err(|error| RemoteProblem::git(path, "keep what is deployed", &error))?;
                }
            }
        }
        let failed = |error: std::io::Error| RemoteProblem::io(&self.path, &error);
        let _alone = self.place.write().unwrap_or_else(PoisonError::into_inner);
        // What is left of the old one goes with the folder.
        fs::rename(&self.path, beside.join("old.git")).map_err(failed)?;
        fs::rename(path, &self.path).map_err(failed)?;
        info!(repository = %self.address, "the mirror was made anew");
        self.is_sound.store(true, Ordering::Relaxed);
        Ok(())
    }

    /// Keeps the number of packs small. That it fails is no reason not to use what was fetched.
    fn compact(&self) {
        let alone = || self.place.write().unwrap_or_else(PoisonError::into_inner);
        if let Err(problem) = shelf::compact(&self.path, &self.network.folder, alone) {
            warn!(repository = %self.address, %problem, "the mirror could not be made smaller");
        }
    }
}

/// Where it is kept what environments run.
const APPLIED: &str = "refs/evenkeel/applied/";

/// The reference that says what was found where `wanted` is.
fn observed(wanted: &Wanted) -> String {
    match wanted {
        Wanted::Head => "refs/evenkeel/head".to_owned(),
        Wanted::Branch(branch) => format!("refs/evenkeel/branch/{}", digest(branch)),
        Wanted::Tag(pattern) => format!("refs/evenkeel/tag/{}", digest(&pattern.to_string())),
    }
}

/// A name that is fit for a reference, whatever `text` is.
fn digest(text: &str) -> String {
    hex::encode(&Sha256::digest(text.as_bytes())[..8])
}

/// Runs something that blocks on files. It hears when nobody waits for it any more.
async fn blocking<T: Send + 'static>(
    body: impl FnOnce(&AtomicBool) -> Result<T, RemoteProblem> + Send + 'static,
) -> Result<T, RemoteProblem> {
    struct Leaves(Arc<AtomicBool>);
    impl Drop for Leaves {
        fn drop(&mut self) {
            self.0.store(true, Ordering::Relaxed);
        }
    }
    let stopped = Arc::new(AtomicBool::new(false));
    let _leaves = Leaves(Arc::clone(&stopped));
    match task::spawn_blocking(move || body(&stopped)).await {
        Ok(result) => result,
        Err(error) => match error.try_into_panic() {
            Ok(panic) => std::panic::resume_unwind(panic),
            Err(_) => Err(RemoteProblem::Stopped),
        },
    }
}
