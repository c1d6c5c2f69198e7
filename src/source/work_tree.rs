//! Files as they lie in a folder of this machine.
//!
//! For people who try out manifests before they commit them, and for `-f FILE` outside of any repository. Every part
//! of a path is looked at without following links, and what was opened must be what was looked at.

use std::fs::{self, File, Metadata};
use std::io::{self, ErrorKind, Read};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::model::tree::{EntryKind, FILE_BYTES_MAX, FileTree, RepoPath, TreeEntry, TreeError, TreeFile};

use super::walk::{self, Names, Node, NodeOf, Storage, check_size};

/// The files below a folder, as they are at the moment of reading.
#[derive(Debug, Clone)]
pub struct WorkTree {
    root: PathBuf,
    nested: Nested,
}

/// How a repository inside of the folder is treated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Nested {
    /// As a commit would hold it: as a submodule, which is refused.
    Submodule,
    /// As any other folder, where there is no Git around it.
    Folder,
}

/// The files below `root`, where `root` is in no repository. The empty path is the current folder. Nothing is read
/// before a file is asked for.
pub fn folder_tree(root: &Path) -> WorkTree {
    let root = if root.as_os_str().is_empty() { Path::new(".") } else { root };
    WorkTree::new(root, Nested::Folder)
}

/// A file that was looked at but not yet opened.
pub(super) struct SeenFile {
    path: PathBuf,
    seen: Metadata,
}

impl WorkTree {
    pub(super) fn new(root: &Path, nested: Nested) -> Self {
        Self { root: root.to_owned(), nested }
    }

    fn node(&self, path: PathBuf, seen: Metadata) -> NodeOf<Self> {
        let kind = seen.file_type();
        if kind.is_symlink() {
            Node::Refused("a symbolic link")
        } else if kind.is_dir() {
            match self.nested {
                Nested::Submodule if fs::symlink_metadata(path.join(".git")).is_ok() => {
                    Node::Refused("a submodule")
                }
                Nested::Submodule | Nested::Folder => Node::Folder(path),
            }
        } else if kind.is_file() {
            Node::File(SeenFile { path, seen })
        } else {
            Node::Refused("a special file")
        }
    }
}

impl Storage for WorkTree {
    type Folder = PathBuf;
    type File = SeenFile;

    fn root(&self) -> Result<PathBuf, TreeError> {
        let root = RepoPath::root();
        // The root itself may be reached through a link: whoever runs the program has named it.
        let seen = fs::metadata(&self.root).map_err(|error| failed(&root, &error))?;
        if seen.is_dir() { Ok(self.root.clone()) } else { Err(TreeError::NotAFolder(root)) }
    }

    fn child(&self, folder: &PathBuf, path: &RepoPath) -> Result<Option<NodeOf<Self>>, TreeError> {
        let file = folder.join(path.file_name());
        match fs::symlink_metadata(&file) {
            Ok(seen) => Ok(Some(self.node(file, seen))),
            Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failed(path, &error)),
        }
    }

    fn content(&self, file: SeenFile, path: &RepoPath) -> Result<TreeFile, TreeError> {
        let SeenFile { path: place, seen } = file;
        check_size(path, seen.len())?;
        let opened = File::open(&place).map_err(|error| failed(path, &error))?;
        let found = opened.metadata().map_err(|error| failed(path, &error))?;
        // Between the look and the opening, a link may have taken the place of the file.
        if (found.dev(), found.ino()) != (seen.dev(), seen.ino()) {
            let message = "it was replaced while it was read".to_owned();
            return Err(TreeError::Unreadable { path: path.clone(), message });
        }
        let mut bytes = Vec::new();
        opened
            .take(FILE_BYTES_MAX.saturating_add(1))
            .read_to_end(&mut bytes)
            .map_err(|error| failed(path, &error))?;
        // It may have grown.
        check_size(path, bytes.len() as u64)?;
        // Git, too, asks only whether the owner may execute a file.
        Ok(TreeFile { bytes, executable: found.mode() & 0o100 != 0 })
    }

    fn names(&self, folder: &PathBuf, names: &mut Names<'_>) -> Result<(), TreeError> {
        let path = names.folder().clone();
        for entry in fs::read_dir(folder).map_err(|error| failed(&path, &error))? {
            let place = entry.map_err(|error| failed(&path, &error))?.path();
            let seen = match fs::symlink_metadata(&place) {
                Ok(seen) => seen,
                // Editors come and go with their temporary files.
                Err(error) if error.kind() == ErrorKind::NotFound => continue,
                Err(error) => return Err(failed(&path, &error)),
            };
            let name = place.file_name().unwrap_or_default().to_owned();
            let kind = match self.node(place, seen) {
                Node::Folder(_) => EntryKind::Folder,
                Node::File(_) => EntryKind::File,
                Node::Refused(_) => EntryKind::Other,
            };
            names.add(name.as_bytes(), kind)?;
        }
        Ok(())
    }
}

impl FileTree for WorkTree {
    fn read(&self, path: &RepoPath) -> Result<TreeFile, TreeError> {
        walk::read(self, path)
    }

    fn list(&self, folder: &RepoPath) -> Result<Vec<TreeEntry>, TreeError> {
        walk::list(self, folder)
    }
}

fn failed(path: &RepoPath, error: &io::Error) -> TreeError {
    match error.kind() {
        ErrorKind::NotFound => TreeError::NotFound(path.clone()),
        _ => TreeError::Unreadable { path: path.clone(), message: error.to_string() },
    }
}
