//! Files by their path in a repository, wherever they are kept.

use std::fmt;
use std::str::FromStr;

/// A path in a repository: relative, with slashes, without `.`, `..` and empty parts. The empty path is the root.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct RepoPath(String);

/// Why a text is not a path in a repository.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RepoPathError {
    /// The path begins with a slash.
    #[error("`{0}` is absolute, not relative to the repository")]
    Absolute(String),
    /// The path leads out of the repository.
    #[error("`{0}` leads out of the repository")]
    Outside(String),
    /// The path has a control character or a backslash.
    #[error("the path has a control character or a backslash")]
    Character,
}

impl RepoPath {
    /// The root of the repository.
    pub fn root() -> Self {
        Self(String::new())
    }

    /// The path as text, with slashes.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The folder that holds the path; the root's is the root.
    pub fn parent(&self) -> Self {
        Self(self.0.rsplit_once('/').map_or("", |(parent, _)| parent).to_owned())
    }

    /// The last part; empty for the root.
    pub fn file_name(&self) -> &str {
        self.0.rsplit_once('/').map_or(self.0.as_str(), |(_, name)| name)
    }

    /// The path as seen from `folder`; absent if it doesn't lie below it.
    pub fn below(&self, folder: &Self) -> Option<Self> {
        if folder.0.is_empty() {
            return Some(self.clone());
        }
        let rest = self.0.strip_prefix(&folder.0)?.strip_prefix('/')?;
        Some(Self(rest.to_owned()))
    }

    /// `relative` as seen from this folder. `.` and `..` are resolved by name.
    ///
    /// # Errors
    /// When the result would lie outside of the repository.
    pub fn join(&self, relative: &str) -> Result<Self, RepoPathError> {
        if relative.starts_with('/') {
            return Err(RepoPathError::Absolute(relative.to_owned()));
        }
        if relative.chars().any(|c| c.is_control() || c == '\\') {
            return Err(RepoPathError::Character);
        }
        let mut parts: Vec<&str> = self.0.split('/').filter(|part| !part.is_empty()).collect();
        for part in relative.split('/') {
            match part {
                "" | "." => {}
                ".." => {
                    parts.pop().ok_or_else(|| RepoPathError::Outside(relative.to_owned()))?;
                }
                part => parts.push(part),
            }
        }
        Ok(Self(parts.join("/")))
    }
}

impl FromStr for RepoPath {
    type Err = RepoPathError;

    fn from_str(text: &str) -> Result<Self, RepoPathError> {
        Self::root().join(text)
    }
}

impl fmt::Display for RepoPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.0.is_empty() { "." } else { &self.0 })
    }
}

/// A file that was read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeFile {
    /// Its bytes.
    pub bytes: Vec<u8>,
    /// Whether it may be executed.
    pub executable: bool,
}

/// One name in a folder.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TreeEntry {
    /// Its name, without slashes.
    pub name: String,
    /// What it is.
    pub kind: EntryKind,
}

/// What a name in a folder stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum EntryKind {
    /// A folder.
    Folder,
    /// A regular file.
    File,
    /// A symbolic link, a submodule or a special file. It is never followed.
    Other,
}

/// Why a file or folder can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TreeError {
    /// There is nothing of that name.
    #[error("`{0}` does not exist")]
    NotFound(RepoPath),
    /// It is a folder, a link, a submodule or a special file.
    #[error("`{path}` is {what}, not a regular file")]
    NotAFile {
        /// The path.
        path: RepoPath,
        /// What it is, with its article: `a folder`.
        what: &'static str,
    },
    /// It isn't a folder.
    #[error("`{0}` is not a folder")]
    NotAFolder(RepoPath),
    /// It is larger than the limit.
    #[error("`{path}` has {bytes} bytes, the limit is {limit}")]
    TooLarge {
        /// The path.
        path: RepoPath,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// The storage failed.
    #[error("`{path}` can't be read: {message}")]
    Unreadable {
        /// The path.
        path: RepoPath,
        /// What the storage said.
        message: String,
    },
}

impl TreeError {
    /// What is wrong, for where the path is told beside it.
    pub fn reason(&self) -> String {
        match self {
            Self::NotFound(_) => "there is no such file or folder".to_owned(),
            Self::NotAFile { path: _, what } => format!("this is {what}, not a regular file"),
            Self::NotAFolder(_) => "this is not a folder".to_owned(),
            Self::TooLarge { path: _, bytes, limit } => {
                format!("this has {bytes} bytes, the limit is {limit}")
            }
            Self::Unreadable { path: _, message } => format!("this can't be read: {message}"),
        }
    }
}

/// A tree of files: a commit, a work tree, or the memory of a test. Reading it follows no symbolic link.
pub trait FileTree {
    /// Reads a regular file whole.
    fn read(&self, path: &RepoPath) -> Result<TreeFile, TreeError>;

    /// Lists a folder, sorted by name.
    fn list(&self, folder: &RepoPath) -> Result<Vec<TreeEntry>, TreeError>;
}

/// The largest file that any tree hands out, in bytes.
pub const FILE_BYTES_MAX: u64 = 16 << 20;

/// A tree in memory.
#[derive(Debug, Clone, Default)]
pub struct MemoryTree {
    files: std::collections::BTreeMap<RepoPath, TreeFile>,
}

impl MemoryTree {
    /// Puts a plain file into the tree, in the place of one that was there.
    pub fn insert(&mut self, path: RepoPath, bytes: impl Into<Vec<u8>>) {
        self.files.insert(path, TreeFile { bytes: bytes.into(), executable: false });
    }
}

impl FileTree for MemoryTree {
    fn read(&self, path: &RepoPath) -> Result<TreeFile, TreeError> {
        if let Some(file) = self.files.get(path) {
            return Ok(file.clone());
        }
        match self.list(path) {
            Ok(_) => Err(TreeError::NotAFile { path: path.clone(), what: "a folder" }),
            Err(_) => Err(TreeError::NotFound(path.clone())),
        }
    }

    fn list(&self, folder: &RepoPath) -> Result<Vec<TreeEntry>, TreeError> {
        let prefix = if folder.0.is_empty() { String::new() } else { format!("{folder}/") };
        let mut entries = std::collections::BTreeSet::new();
        for path in self.files.keys() {
            if let Some(rest) = path.as_str().strip_prefix(&prefix) {
                let (name, kind) = rest
                    .split_once('/')
                    .map_or((rest, EntryKind::File), |(folder, _)| (folder, EntryKind::Folder));
                entries.insert(TreeEntry { name: name.to_owned(), kind });
            }
        }
        if self.files.contains_key(folder) {
            Err(TreeError::NotAFolder(folder.clone()))
        } else if entries.is_empty() && !folder.0.is_empty() {
            Err(TreeError::NotFound(folder.clone()))
        } else {
            Ok(entries.into_iter().collect())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_path_stays_in_the_repository() {
        let folder: RepoPath = "manifests/apps".parse().unwrap();
        assert_eq!(folder.join("./a//b").unwrap().as_str(), "manifests/apps/a/b");
        assert_eq!(folder.join("../x").unwrap().as_str(), "manifests/x");
        assert!(matches!(folder.join("../../../etc"), Err(RepoPathError::Outside(_))));
        assert!(matches!(folder.join("/etc"), Err(RepoPathError::Absolute(_))));
        assert!(matches!(folder.join("a\u{0}b"), Err(RepoPathError::Character)));
    }

    #[test]
    fn a_path_is_seen_from_a_folder_above_it() {
        let path: RepoPath = "home/ann/shop/compose.yaml".parse().unwrap();
        let seen = |folder: &str| path.below(&folder.parse().unwrap()).map(|path| path.to_string());
        assert_eq!(seen("home/ann").as_deref(), Some("shop/compose.yaml"));
        assert_eq!(seen("").as_deref(), Some("home/ann/shop/compose.yaml"));
        assert_eq!(seen("home/an"), None);
    }

    #[test]
    fn a_memory_tree_lists_folders_once() {
        let mut tree = MemoryTree::default();
        for path in ["b/one", "b/two", "a"] {
            tree.insert(path.parse().unwrap(), "");
        }
        let names: Vec<_> =
            tree.list(&RepoPath::root()).unwrap().into_iter().map(|entry| entry.name).collect();
        assert_eq!(names, ["a", "b"]);
        assert!(matches!(tree.list(&"c".parse().unwrap()), Err(TreeError::NotFound(_))));
        assert!(matches!(tree.read(&"b".parse().unwrap()), Err(TreeError::NotAFile { .. })));
    }
}
