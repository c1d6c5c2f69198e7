//! Secrets of the agent itself: tokens, keys of webhooks, passwords. They are read where they are used, each time, so that
//! a new one counts without a restart, and are never kept in a text that could be told.

use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::manifest::Credential;

/// The longest secret.
const MAX: u64 = 64 * 1024;

/// The folder in which systemd lays down credentials: its variable.
const FOLDER: &str = "CREDENTIALS_DIRECTORY";

/// A secret. It can't be printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(String);

impl Secret {
    /// A secret that is at hand.
    pub fn new(secret: impl Into<String>) -> Self {
        Self(secret.into())
    }

    /// The secret, for the one use that it is for.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(sensitive)")
    }
}

/// Why a secret can't be used. Never tells anything of its content.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The file can't be read.
    #[error("the secret in {} can't be read", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// Everybody on the host may read it.
    #[error("the secret in {} may be read by everybody on this host; `chmod 0600` it, and change the secret", path.display())]
    Open {
        /// The file.
        path: PathBuf,
    },
    /// It is too long, empty or no text.
    #[error("the secret in {} {what}", path.display())]
    Unfit {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        what: &'static str,
    },
    /// systemd gave no credentials.
    #[error("systemd gives no credential `{0}`: add `LoadCredential={0}:/path` to the unit")]
    NotGiven(String),
}

/// Reads a secret. Blocks for a moment.
pub fn read(credential: &Credential) -> Result<Secret, CredentialError> {
    let folder = std::env::var_os(FOLDER).map(PathBuf::from);
    read_with(credential, folder.as_deref())
}

fn read_with(credential: &Credential, folder: Option<&Path>) -> Result<Secret, CredentialError> {
    match credential {
        Credential::File(path) => read_file(Path::new(path)),
        Credential::Systemd(name) => match folder {
            Some(folder) => read_file(&folder.join(name)),
            None => Err(CredentialError::NotGiven(name.clone())),
        },
    }
}

fn read_file(path: &Path) -> Result<Secret, CredentialError> {
    let failed = |source| CredentialError::Io { path: path.to_owned(), source };
    let unfit = |what| CredentialError::Unfit { path: path.to_owned(), what };
    let file = File::open(path).map_err(failed)?;
    let about = file.metadata().map_err(failed)?;
    if !about.is_file() {
        return Err(unfit("is not in a file"));
    }
    if about.mode() & 0o007 != 0 {
        return Err(CredentialError::Open { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    file.take(MAX + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX {
        return Err(unfit("is longer than 64 KiB"));
    }
    let mut text = String::from_utf8(bytes).map_err(|_| unfit("is not text"))?;
    if text.ends_with('\n') {
        text.pop();
        if text.ends_with('\r') {
            text.pop();
        }
    }
    if text.is_empty() { Err(unfit("is empty")) } else { Ok(Secret(text)) }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn a_secret_is_read_and_never_told() {
        let temp = tempfile::tempdir().unwrap();
        let path = temp.path().join("token");
        let write = |content: &[u8], mode| {
            fs::write(&path, content).unwrap();
            fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        };
        let file = Credential::File(path.to_str().unwrap().to_owned());
        let read = || read_with(&file, None);
        write(b"hunter2\n", 0o600);
        let secret = read().unwrap();
        assert_eq!(secret.expose(), "hunter2");
        assert_eq!(format!("{secret:?}"), "(sensitive)");
        for (content, mode, words) in [
            (&b"hunter2"[..], 0o644, "may be read by everybody"),
            (b"\n", 0o600, "is empty"),
            (b"\xff\xfe", 0o600, "is not text"),
            (&vec![b'x'; 65 * 1024], 0o600, "longer than 64 KiB"),
        ] {
            write(content, mode);
            let told = read().unwrap_err().to_string();
            assert!(told.contains(words) && !told.contains("hunter2"), "{told}");
        }
        fs::remove_file(&path).unwrap();
        assert!(read().unwrap_err().to_string().contains("can't be read"));
    }

    #[test]
    fn systemd_gives_a_folder() {
        let temp = tempfile::tempdir().unwrap();
        fs::write(temp.path().join("forge"), "hunter2").unwrap();
        fs::set_permissions(temp.path().join("forge"), fs::Permissions::from_mode(0o400)).unwrap();
        let given = Credential::Systemd("forge".to_owned());
        assert_eq!(read_with(&given, Some(temp.path())).unwrap().expose(), "hunter2");
        let told = read_with(&given, None).unwrap_err().to_string();
        assert!(told.contains("LoadCredential=forge"), "{told}");
    }
}
