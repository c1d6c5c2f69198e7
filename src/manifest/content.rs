//! Files and folders of the repository that a service mounts, and the digest of their content.
//!
//! The digest covers names, bytes and the executable bit, nothing else: the same content has the same digest in every
//! commit, so that only a change of content is a change.

use std::collections::BTreeMap;

use sha2::{Digest, Sha256};

use crate::model::desired::{ContentKind, FileContent, RepositoryContent};
use crate::model::spec::ContentDigest;
use crate::model::tree::{EntryKind, FileTree, RepoPath, TreeError};

/// Most files in a mounted folder.
const FILES_MAX: usize = 2_000;
/// Most bytes in a mounted folder.
const BYTES_MAX: usize = 64 << 20;

/// Reads what is at `path`.
///
/// # Errors
/// Says what can't be read or is too much, naming the path inside of a folder.
pub(crate) fn read(
    tree: &dyn FileTree,
    path: &RepoPath,
) -> Result<(ContentDigest, RepositoryContent), String> {
    let kind = match tree.read(path) {
        Ok(file) => ContentKind::File(FileContent { bytes: file.bytes, executable: file.executable }),
        Err(TreeError::NotAFile { .. }) => {
            let mut files = BTreeMap::new();
            let mut bytes = 0;
            folder(tree, path, "", &mut files, &mut bytes)?;
            ContentKind::Folder(files)
        }
        Err(error) => return Err(error.to_string()),
    };
    Ok((digest(&kind), RepositoryContent { path: path.as_str().to_owned(), kind }))
}

fn folder(
    tree: &dyn FileTree,
    path: &RepoPath,
    prefix: &str,
    files: &mut BTreeMap<String, FileContent>,
    bytes: &mut usize,
) -> Result<(), String> {
    for entry in tree.list(path).map_err(|error| error.to_string())? {
        let inside = path.join(&entry.name).map_err(|error| error.to_string())?;
        let name = format!("{prefix}{}", entry.name);
        match entry.kind {
            EntryKind::Folder => folder(tree, &inside, &format!("{name}/"), files, bytes)?,
            EntryKind::File => {
                let file = tree.read(&inside).map_err(|error| error.to_string())?;
                *bytes += file.bytes.len();
                files.insert(name, FileContent { bytes: file.bytes, executable: file.executable });
            }
            EntryKind::Other => {
                return Err(format!(
                    "`{inside}` is a link, a submodule or a special file, which can't be mounted"
                ));
            }
        }
        if files.len() > FILES_MAX || *bytes > BYTES_MAX {
            return Err(format!("`{path}` holds more than {FILES_MAX} files or {BYTES_MAX} bytes"));
        }
    }
    Ok(())
}

fn digest(kind: &ContentKind) -> ContentDigest {
    let mut hash = Sha256::new();
    match kind {
        ContentKind::File(content) => {
            hash.update(b"file");
            add(&mut hash, content);
        }
        ContentKind::Folder(files) => {
            hash.update(b"folder");
            for (name, content) in files {
                hash.update((name.len() as u64).to_be_bytes());
                hash.update(name.as_bytes());
                add(&mut hash, content);
            }
        }
    }
    ContentDigest(hex::encode(hash.finalize()))
}

fn add(hash: &mut Sha256, content: &FileContent) {
    hash.update([u8::from(content.executable)]);
    hash.update((content.bytes.len() as u64).to_be_bytes());
    hash.update(&content.bytes);
}
