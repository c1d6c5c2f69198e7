//! The files of a commit, read from the object database.
//!
//! Bytes come out as they were committed: no filter runs and no line end is converted.

use crate::model::tree::{EntryKind, FileTree, RepoPath, TreeEntry, TreeError, TreeFile};

use super::commit::clean;
use super::walk::{self, Names, Node, NodeOf, Storage, check_size};

/// The files of one commit. It stays readable whatever happens to the branches, as long as its objects are kept.
pub struct CommitTree {
    // A handle of its own, so that the tree outlives the repository it came from and can go to another thread.
    objects: git2::Repository,
    root: git2::Oid,
}

/// A file of a commit.
pub(super) struct StoredFile {
    id: git2::Oid,
    executable: bool,
}

// The type and permissions that Git stores with a name.
const TYPE_MASK: i32 = 0o170_000;
const FOLDER: i32 = 0o040_000;
const FILE: i32 = 0o100_000;
const LINK: i32 = 0o120_000;
const SUBMODULE: i32 = 0o160_000;
const EXECUTABLE: i32 = 0o100;

impl CommitTree {
    pub(super) fn new(objects: git2::Repository, root: git2::Oid) -> Self {
        Self { objects, root }
    }

    /// Loads the folder `id`, unless it is suspiciously large.
    fn folder(&self, id: git2::Oid, path: &RepoPath) -> Result<git2::Tree<'_>, TreeError> {
        self.check_stored(id, path)?;
        self.objects.find_tree(id).map_err(|error| unreadable(path, &error))
    }

    /// Looks at the size that the header of an object says, so that nothing huge is unpacked to be refused.
    fn check_stored(&self, id: git2::Oid, path: &RepoPath) -> Result<(), TreeError> {
        let objects = self.objects.odb().map_err(|error| unreadable(path, &error))?;
        let (bytes, _) = objects.read_header(id).map_err(|error| unreadable(path, &error))?;
        check_size(path, bytes as u64)
    }
}

impl Storage for CommitTree {
    type Folder = git2::Oid;
    type File = StoredFile;

    fn root(&self) -> Result<git2::Oid, TreeError> {
        Ok(self.root)
    }

    fn child(&self, folder: &git2::Oid, path: &RepoPath) -> Result<Option<NodeOf<Self>>, TreeError> {
        let tree = self.folder(*folder, &path.parent())?;
        Ok(tree.get_name(path.file_name()).map(|entry| {
            let mode = entry.filemode_raw();
            match mode & TYPE_MASK {
                FOLDER => Node::Folder(entry.id()),
                FILE => Node::File(StoredFile { id: entry.id(), executable: mode & EXECUTABLE != 0 }),
                LINK => Node::Refused("a symbolic link"),
                SUBMODULE => Node::Refused("a submodule"),
                _ => Node::Refused("a special file"),
            }
        }))
    }

    fn content(&self, file: StoredFile, path: &RepoPath) -> Result<TreeFile, TreeError> {
        let StoredFile { id, executable } = file;
        self.check_stored(id, path)?;
        let blob = self.objects.find_blob(id).map_err(|error| unreadable(path, &error))?;
        Ok(TreeFile { bytes: blob.content().to_vec(), executable })
    }

    fn names(&self, folder: &git2::Oid, names: &mut Names<'_>) -> Result<(), TreeError> {
        let tree = self.folder(*folder, names.folder())?;
        for entry in &tree {
            let kind = match entry.filemode_raw() & TYPE_MASK {
                FOLDER => EntryKind::Folder,
                FILE => EntryKind::File,
                _ => EntryKind::Other,
            };
            names.add(entry.name_bytes(), kind)?;
        }
        Ok(())
    }
}

impl FileTree for CommitTree {
    fn read(&self, path: &RepoPath) -> Result<TreeFile, TreeError> {
        walk::read(self, path)
    }

    fn list(&self, folder: &RepoPath) -> Result<Vec<TreeEntry>, TreeError> {
        walk::list(self, folder)
    }
}

fn unreadable(path: &RepoPath, error: &git2::Error) -> TreeError {
    TreeError::Unreadable { path: path.clone(), message: clean(error.message().as_bytes(), 200) }
}
