//! The way from the root of a tree to a file, and all that is refused on it.
//!
//! A commit and a work tree differ in where their nodes are stored, never in which of them may be read: that is decided
//! here, once. Each part of a path is looked at before the next one is, so a link or submodule in the middle ends the
//! walk. `.git` does not exist.

use crate::model::tree::{EntryKind, FILE_BYTES_MAX, RepoPath, TreeEntry, TreeError, TreeFile};

use super::commit::clean;

/// The most names that a folder may have.
const FOLDER_ENTRIES_MAX: usize = 10_000;

/// The most folders that may lie in each other.
const DEPTH_MAX: usize = 64;

/// How every pointer begins that Git LFS stores in the place of a file.
const LFS_POINTER: &[u8] = b"version https://git-lfs.github.com/spec/";

/// Where the nodes of a tree are stored.
pub(super) trait Storage {
    /// A folder that may be entered.
    type Folder;
    /// A file that may be read.
    type File;

    /// The root folder.
    fn root(&self) -> Result<Self::Folder, TreeError>;

    /// The node in `folder` that is called as `path` ends. It follows no link.
    fn child(&self, folder: &Self::Folder, path: &RepoPath) -> Result<Option<NodeOf<Self>>, TreeError>;

    /// The content of a file, with its size checked before it is in memory.
    fn content(&self, file: Self::File, path: &RepoPath) -> Result<TreeFile, TreeError>;

    /// The names in `folder`, in any order. It may stop soon after [`Names::add`] refused one.
    fn names(&self, folder: &Self::Folder, names: &mut Names<'_>) -> Result<(), TreeError>;
}

/// What a name stands for.
pub(super) enum Node<Folder, File> {
    Folder(Folder),
    File(File),
    /// It is neither entered nor read. The text says what it is, with its article.
    Refused(&'static str),
}

pub(super) type NodeOf<S> = Node<<S as Storage>::Folder, <S as Storage>::File>;

/// Reads the file at `path`.
pub(super) fn read<S: Storage>(storage: &S, path: &RepoPath) -> Result<TreeFile, TreeError> {
    let (at, node) = walk(storage, path)?;
    match node {
        Node::Folder(_) => Err(TreeError::NotAFile { path: at, what: "a folder" }),
        Node::Refused(what) => Err(TreeError::NotAFile { path: at, what }),
        Node::File(_) if at != *path => Err(TreeError::NotFound(path.clone())),
        Node::File(file) => {
            let file = storage.content(file, path)?;
            if file.bytes.starts_with(LFS_POINTER) {
                return Err(TreeError::NotAFile { path: at, what: "a Git LFS pointer" });
            }
            Ok(file)
        }
    }
}

/// Lists the folder at `path`, sorted by name.
pub(super) fn list<S: Storage>(storage: &S, path: &RepoPath) -> Result<Vec<TreeEntry>, TreeError> {
    let (at, node) = walk(storage, path)?;
    match node {
        Node::File(_) if at != *path => Err(TreeError::NotFound(path.clone())),
        Node::File(_) | Node::Refused(_) => Err(TreeError::NotAFolder(at)),
        Node::Folder(folder) => {
            let mut names = Names { folder: path, entries: Vec::new() };
            storage.names(&folder, &mut names)?;
            names.sorted()
        }
    }
}

/// Walks towards `path` and ends there, or earlier at what is not a folder.
fn walk<S: Storage>(storage: &S, path: &RepoPath) -> Result<(RepoPath, NodeOf<S>), TreeError> {
    let mut at = (RepoPath::root(), Node::Folder(storage.root()?));
    for step in steps(path)? {
        let Node::Folder(folder) = &at.1 else { break };
        let node = match step.file_name() {
            ".git" => None,
            _ => storage.child(folder, &step)?,
        };
        at = (step, node.ok_or_else(|| TreeError::NotFound(path.clone()))?);
    }
    Ok(at)
}

/// `path` and the folders that hold it, from below the root on.
fn steps(path: &RepoPath) -> Result<Vec<RepoPath>, TreeError> {
    let depth = path.as_str().split('/').count();
    if DEPTH_MAX < depth {
        let message = format!("it lies {depth} folders deep, the limit is {DEPTH_MAX}");
        return Err(TreeError::Unreadable { path: path.clone(), message });
    }
    let mut steps = Vec::with_capacity(depth);
    let mut step = path.clone();
    while step != RepoPath::root() {
        let parent = step.parent();
        steps.push(step);
        step = parent;
    }
    steps.reverse();
    Ok(steps)
}

/// Refuses a file, or a stored folder, of more bytes than any tree hands out.
pub(super) fn check_size(path: &RepoPath, bytes: u64) -> Result<(), TreeError> {
    if FILE_BYTES_MAX < bytes {
        return Err(TreeError::TooLarge { path: path.clone(), bytes, limit: FILE_BYTES_MAX });
    }
    Ok(())
}

/// The names of one folder, as they are collected.
pub(super) struct Names<'a> {
    folder: &'a RepoPath,
    entries: Vec<TreeEntry>,
}

impl Names<'_> {
    /// The folder whose names are collected.
    pub(super) fn folder(&self) -> &RepoPath {
        self.folder
    }

    /// Adds a name, as stored.
    ///
    /// # Errors
    /// When there are too many, or the name is none: Git can store names like `..`, `a/b` or bytes that are no text.
    /// Such a name is refused together with its folder, because to leave it out in silence would change what the
    /// folder says.
    pub(super) fn add(&mut self, name: &[u8], kind: EntryKind) -> Result<(), TreeError> {
        if name == b".git" {
            return Ok(());
        }
        let unreadable = |message| TreeError::Unreadable { path: self.folder.clone(), message };
        if self.entries.len() == FOLDER_ENTRIES_MAX {
            return Err(unreadable(format!("it holds more than {FOLDER_ENTRIES_MAX} names")));
        }
        let text = std::str::from_utf8(name).ok().filter(|text| self.is_plain(text));
        let Some(text) = text else {
            return Err(unreadable(format!("it holds the unusable name `{}`", clean(name, 60))));
        };
        self.entries.push(TreeEntry { name: text.to_owned(), kind });
        Ok(())
    }

    /// The entries by name. A damaged or forged commit can hold a name twice, and each reader would see another one.
    fn sorted(mut self) -> Result<Vec<TreeEntry>, TreeError> {
        self.entries.sort();
        let twice = self.entries.windows(2).find(|pair| pair[0].name == pair[1].name);
        match twice {
            None => Ok(self.entries),
            Some(pair) => Err(TreeError::Unreadable {
                path: self.folder.clone(),
                message: format!("it holds the name `{}` twice", clean(pair[0].name.as_bytes(), 60)),
            }),
        }
    }

    /// Whether the path of the name is the folder's plus just that name.
    fn is_plain(&self, name: &str) -> bool {
        self.folder.join(name).is_ok_and(|path| path.parent() == *self.folder && path.file_name() == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_that_leads_elsewhere_is_refused() {
        let folder: RepoPath = "a/b".parse().unwrap();
        for (name, fine) in [
            (&b"web.yaml"[..], true),
            (b".hidden", true),
            ("größe".as_bytes(), true),
            (b"b", true),
            (b".", false),
            (b"..", false),
            (b"", false),
            (b"../b", false),
            (b"x/../y", false),
            (b"/etc", false),
            (b"x\\y", false),
            (b"x\ny", false),
            (b"\xff", false),
        ] {
            let mut names = Names { folder: &folder, entries: Vec::new() };
            assert_eq!(names.add(name, EntryKind::File).is_ok(), fine, "{name:?}");
        }
    }

    #[test]
    fn a_folder_has_a_limited_number_of_names() {
        let root = RepoPath::root();
        let mut names = Names { folder: &root, entries: Vec::new() };
        for number in 0..FOLDER_ENTRIES_MAX {
            names.add(number.to_string().as_bytes(), EntryKind::File).unwrap();
        }
        names.add(b".git", EntryKind::Folder).unwrap();
        let error = names.add(b"one more", EntryKind::File).unwrap_err();
        assert_eq!(error.to_string(), "`.` can't be read: it holds more than 10000 names");
    }

    #[test]
    fn the_steps_to_a_path_begin_below_the_root() {
        let steps_of = |text: &str| steps(&text.parse().unwrap()).map(|steps| steps.len());
        assert_eq!(steps_of(""), Ok(0));
        assert_eq!(steps_of("a/b/c"), Ok(3));
        assert!(steps_of(&"a/".repeat(DEPTH_MAX + 1)).is_err());
    }
}
