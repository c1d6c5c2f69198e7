//! Who signed a commit, and whether that is somebody who may deploy.
//!
//! Who may is said by files of the host, never by the repository. They are read each time, so that somebody who is taken
//! out of them can't deploy from then on. Whatever can't be understood counts as not signed.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::error::SourceError;
use super::repository::Repository;

mod gpg;
mod signers;

use signers::Signers;

/// The longest file of those who may sign.
const FILE_MAX: u64 = 1 << 20;
/// The most commits that are looked at between what was deployed last and the newest one.
const COMMITS_MAX: usize = 10_000;

/// Who may sign, and what must be signed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trust {
    /// Whether every commit since the last deployed one must be signed; else only the newest.
    pub every_commit: bool,
    /// Those who may sign with SSH, in the form of OpenSSH's `allowed_signers`.
    pub signers: Option<PathBuf>,
    /// The keys of those who may sign with GPG, a file as `gpg --export` writes it.
    pub keyring: Option<PathBuf>,
}

/// A commit that may not be deployed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unverified {
    /// The commit.
    pub commit: String,
    /// Why not, in words.
    pub why: String,
}

impl Trust {
    /// Why `commit`, by its full id, may not be deployed by its own signature; none if it may. Blocks on files.
    ///
    /// # Errors
    /// [`SourceError`] where the repository can't be read.
    pub fn check(&self, repository: &Repository, commit: &str) -> Result<Option<Unverified>, SourceError> {
        let signers = match self.signers() {
            Ok(signers) => signers,
            Err(why) => return Ok(Some(Unverified { commit: commit.to_owned(), why })),
        };
        self.check_one(repository, commit, signers.as_ref())
    }

    /// The same for every commit that `head` brings and `deployed` didn't have, if that is asked for.
    ///
    /// # Errors
    /// [`SourceError`] where the repository can't be read.
    pub fn check_since(
        &self,
        repository: &Repository,
        deployed: &str,
        head: &str,
    ) -> Result<Option<Unverified>, SourceError> {
        if !self.every_commit {
            return Ok(None);
        }
        let refuse = |why: String| Ok(Some(Unverified { commit: head.to_owned(), why }));
        let signers = match self.signers() {
            Ok(signers) => signers,
            Err(why) => return refuse(why),
        };
        let commits = repository.commits_between(deployed, head, COMMITS_MAX + 1)?;
        if commits.len() > COMMITS_MAX {
            return refuse(format!(
                "it brings more than {COMMITS_MAX} commits; `evenkeel apply` deploys it if that is meant"
            ));
        }
        for commit in commits {
            let unverified = self.check_one(repository, &commit, signers.as_ref())?;
            if unverified.is_some() {
                return Ok(unverified);
            }
        }
        Ok(None)
    }

    fn signers(&self) -> Result<Option<Signers>, String> {
        let Some(path) = &self.signers else { return Ok(None) };
        let text = read(path).map_err(|error| format!("`{}` can't be read: {error}", path.display()))?;
        let signers =
            Signers::parse(&text).map_err(|why| format!("`{}` can't be used: {why}", path.display()))?;
        Ok(Some(signers))
    }

    fn check_one(
        &self,
        repository: &Repository,
        commit: &str,
        signers: Option<&Signers>,
    ) -> Result<Option<Unverified>, SourceError> {
        let signed = repository.signed(commit)?;
        let checked = match &signed {
            None => Err("it is not signed".to_owned()),
            Some(signed) if signed.signature.starts_with(b"-----BEGIN SSH SIGNATURE-----") => match signers {
                Some(signers) => signers.check(signed),
                None => Err("it is signed with SSH, and no `signers` are said".to_owned()),
            },
            Some(signed) if signed.signature.starts_with(b"-----BEGIN PGP SIGNATURE-----") => {
                match &self.keyring {
                    Some(keyring) => gpg::check(signed, keyring),
                    None => Err("it is signed with GPG, and no `keyring` is said".to_owned()),
                }
            }
            Some(_) => Err("its signature is of a kind that can't be checked; SSH and GPG can".to_owned()),
        };
        Ok(checked.err().map(|why| Unverified { commit: commit.to_owned(), why }))
    }
}

/// A commit with its signature.
#[derive(Debug)]
pub(super) struct Signed {
    /// The signature, in its armour.
    pub(super) signature: Vec<u8>,
    /// What was signed: the commit without the signature.
    pub(super) content: Vec<u8>,
    /// The address of who committed.
    pub(super) committer: String,
    /// When it was committed, in seconds since 1970, as the committer says.
    pub(super) time: i64,
}

fn read(path: &Path) -> std::io::Result<String> {
    let mut text = String::new();
    File::open(path)?.take(FILE_MAX + 1).read_to_string(&mut text)?;
    if text.len() as u64 > FILE_MAX {
        return Err(std::io::Error::other("it is longer than 1 MiB"));
    }
    Ok(text)
}
