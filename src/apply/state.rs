//! The state folder of a host: the ledger, the key for digests, the files laid down, and one lock for each stack.

use std::fs::{self, DirBuilder, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read, Seek, Write};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::files::FileStore;
use super::ledger::{Ledger, LedgerError};
use crate::model::name::StackName;
use crate::plan::fields::DigestKey;

/// The state folder, readable by its owner only.
#[derive(Debug)]
pub struct StateDir {
    path: PathBuf,
    key: DigestKey,
}

/// Why the state folder can't be used.
#[derive(Debug, thiserror::Error)]
pub enum StateError {
    /// The file system refused.
    #[error("{} can't be {doing}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was tried: `made`, `read`.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// The key has another length than a key has.
    #[error("{} is damaged: a key has 32 bytes, this file has {bytes}", path.display())]
    Key {
        /// The file.
        path: PathBuf,
        /// Its length.
        bytes: usize,
    },
    /// The system gave no random bytes.
    #[error("the system gives no random bytes: {0}")]
    Random(String),
    /// Another process works on the stack.
    #[error("another process works on the stack `{stack}`{}", holder.as_ref().map(shown).unwrap_or_default())]
    Held {
        /// The stack.
        stack: StackName,
        /// Who it is, if it said so.
        holder: Option<Holder>,
    },
}

/// Who holds a lock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Holder {
    /// Its process id.
    pub pid: u32,
    /// What it does: `evenkeel run`.
    pub command: String,
    /// Since when.
    pub since: Timestamp,
}

fn shown(holder: &Holder) -> String {
    let Holder { pid, command, since } = holder;
    format!(": `{command}` (process {pid}), since {since:.0}")
}

/// The right to write to one stack. It ends when the value is dropped or the process dies.
#[derive(Debug)]
pub struct Lock {
    file: File,
}

impl Drop for Lock {
    fn drop(&mut self) {
        // Only for people who look into the file: the lock itself goes with the descriptor.
        let _ = self.file.set_len(0);
    }
}

impl StateDir {
    /// Opens the state folder at `path` and makes it if it isn't there.
    pub fn open(path: &Path) -> Result<Self, StateError> {
        let failed = |source| StateError::Io { path: path.to_owned(), doing: "made", source };
        if !path.is_dir() {
            DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed)?;
            fs::set_permissions(path, fs::Permissions::from_mode(0o700)).map_err(failed)?;
        }
        // The engine is told of files below it, and knows nothing of this process's working directory.
        let path = path.canonicalize().map_err(failed)?;
        let key = key(&path)?;
        Ok(Self { path, key })
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The host's key for digests of sensitive values.
    pub fn key(&self) -> &DigestKey {
        &self.key
    }

    /// The files laid down.
    pub fn files(&self) -> FileStore {
        FileStore::new(self.path.join("files"))
    }

    /// Opens the ledger.
    pub fn ledger(&self) -> Result<Ledger, LedgerError> {
        Ledger::open(&self.path.join("ledger.db"))
    }

    /// Takes the right to write to `stack`, or says at once who has it. `command` is what this process does.
    pub fn lock(&self, stack: &StackName, command: &str, now: Timestamp) -> Result<Lock, StateError> {
        let path = self.path.join(format!("{stack}.lock"));
        let failed = |source| StateError::Io { path: path.clone(), doing: "locked", source };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(failed)?;
        match try_for_a_moment(&file) {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => {
                let mut text = String::new();
                // The holder may be writing it just now: then it is only not named.
                let _ = file.read_to_string(&mut text);
                let holder = serde_json::from_str(&text).ok();
                return Err(StateError::Held { stack: stack.clone(), holder });
            }
            Err(TryLockError::Error(source)) => return Err(failed(source)),
        }
        let holder = Holder { pid: std::process::id(), command: command.to_owned(), since: now };
        let text = serde_json::to_string(&holder).map_err(|error| failed(error.into()))?;
        file.set_len(0)
            .and_then(|()| file.rewind())
            .and_then(|()| file.write_all(text.as_bytes()))
            .map_err(failed)?;
        Ok(Lock { file })
    }
}

/// Takes the lock of `file`, which a program that somebody starts just now has for a moment more than its holder: it
/// inherits every open file, and closes them when it becomes that program.
fn try_for_a_moment(file: &File) -> Result<(), TryLockError> {
    for _ in 0..LOCK_TRIES {
        match file.try_lock() {
            Err(TryLockError::WouldBlock) => thread::sleep(LOCK_PAUSE),
            tried => return tried,
        }
    }
    file.try_lock()
}

const LOCK_TRIES: u32 = 10;
const LOCK_PAUSE: Duration = Duration::from_millis(10);

const KEY_BYTES: usize = 32;

/// Reads the key, or makes it: whole under another name first, so that nobody ever reads half a key.
fn key(folder: &Path) -> Result<DigestKey, StateError> {
    let path = folder.join("key");
    let failed = |doing| {
        let path = path.clone();
        move |source| StateError::Io { path, doing, source }
    };
    if !path.exists() {
        let mut bytes = [0; KEY_BYTES];
        getrandom::fill(&mut bytes).map_err(|error| StateError::Random(error.to_string()))?;
        let mut fresh = tempfile::NamedTempFile::new_in(folder).map_err(failed("made"))?;
        fresh.write_all(&bytes).and_then(|()| fresh.as_file().sync_all()).map_err(failed("made"))?;
        match fresh.persist_noclobber(&path) {
            Ok(_) => {}
            // Another process was faster; its key is the key.
            Err(error) if error.error.kind() == ErrorKind::AlreadyExists => {}
            Err(error) => return Err(failed("made")(error.error)),
        }
        File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed("made"))?;
    }
    let bytes = fs::read(&path).map_err(failed("read"))?;
    match <[u8; KEY_BYTES]>::try_from(bytes) {
        Ok(bytes) => Ok(DigestKey::new(bytes)),
        Err(bytes) => Err(StateError::Key { path, bytes: bytes.len() }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stack() -> StackName {
        "auren-dev".parse().unwrap()
    }

    #[test]
    fn the_key_is_private_and_stays() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("state");
        let first = StateDir::open(&path).unwrap();
        let second = StateDir::open(&path).unwrap();
        assert_eq!(first.key().digest("x"), second.key().digest("x"));
        let mode = |name: &str| fs::metadata(path.join(name)).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(""), mode("key")), (0o700, 0o600));
        fs::write(path.join("key"), "short").unwrap();
        assert!(StateDir::open(&path).unwrap_err().to_string().contains("this file has 5"));
    }

    #[test]
    fn a_lock_that_is_let_go_in_a_moment_is_waited_for() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::open(temp.path()).unwrap();
        let held = state.lock(&stack(), "evenkeel apply", Timestamp::UNIX_EPOCH).unwrap();
        let other = thread::spawn(move || {
            thread::sleep(LOCK_PAUSE * 2);
            drop(held);
        });
        state.lock(&stack(), "evenkeel run", Timestamp::UNIX_EPOCH).unwrap();
        other.join().unwrap();
    }

    #[test]
    fn a_held_lock_says_who_holds_it() {
        let temp = tempfile::tempdir().unwrap();
        let state = StateDir::open(temp.path()).unwrap();
        let now: Timestamp = "2026-01-01T08:00:00Z".parse().unwrap();
        let lock = state.lock(&stack(), "evenkeel run", now).unwrap();
        let error = state.lock(&stack(), "evenkeel apply", now).unwrap_err().to_string();
        assert!(error.contains("`evenkeel run`") && error.contains("2026-01-01T08:00:00Z"), "{error}");
        assert!(state.lock(&"other".parse().unwrap(), "evenkeel apply", now).is_ok());
        drop(lock);
        assert!(state.lock(&stack(), "evenkeel apply", now).is_ok());
    }
}
