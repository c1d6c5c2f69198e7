//! Lays files and folders of the repository down on the host, where containers mount them from.
//!
//! Each content has a place of its own, named by its digest, and is never changed there: a new content is another
//! place and another mount, so that no running container's file changes under it.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, DirBuilder, File, OpenOptions, Permissions, TryLockError};
use std::io::{self, ErrorKind, Write};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt, PermissionsExt, fchown};
use std::path::{Path, PathBuf};

use crate::engine::effect;
use crate::model::desired::{ContentKind, FileContent, RepositoryContent};
use crate::model::grant::FileAccess;
use crate::model::spec::ContentDigest;
use crate::model::tree::RepoPath;
use crate::plan::grants::{self, FILE_NAME, Place};

/// The folder in which contents are laid down, as `<root>/<digest>/<name>`.
#[derive(Debug, Clone)]
pub struct FileStore {
    root: PathBuf,
}

/// Why a content can't be laid down or read back.
#[derive(Debug, thiserror::Error)]
pub enum FilesError {
    /// The file system refused.
    #[error("{} can't be {doing}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// `written` or `read`.
        doing: &'static str,
        /// What the system said.
        source: io::Error,
    },
    /// A name in the content could lead out of its place.
    #[error("`{0}` can't be laid down: it is not a plain path below its folder")]
    Name(String),
    /// Another deploy has the lock.
    #[error("another deploy has been discarding files for too long")]
    Busy,
}

/// Name of a content whose path in the repository has none: the root itself.
const ROOT_NAME: &str = "repository";

impl FileStore {
    /// The store below `root`, an absolute path. The folder is made when something is laid down.
    pub fn new(root: PathBuf) -> Self {
        Self { root }
    }

    /// The folder of the store.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// Where `content` is on the host once it is laid down.
    pub fn host_path(&self, digest: &ContentDigest, content: &RepositoryContent) -> String {
        self.place(digest).join(name_of(content)).to_string_lossy().into_owned()
    }

    fn place(&self, digest: &ContentDigest) -> PathBuf {
        // A digest is a word; whatever else it might be must not lead anywhere.
        self.root.join(digest.0.replace(['/', '.'], "_"))
    }

    /// Lays `content` down: readable by all, writable by nobody, on the disk when this returns. What is there already
    /// stays; what somebody changed there is put right.
    pub fn lay_down(&self, digest: &ContentDigest, content: &RepositoryContent) -> Result<(), FilesError> {
        effect::begins();
        let place = self.place(digest);
        make_folder(&place)?;
        let target = place.join(name_of(content));
        match &content.kind {
            ContentKind::File(file) => write_file(&target, file)?,
            ContentKind::Folder(files) => write_folder(&target, files)?,
        }
        sync(&self.root)
    }

    /// What is laid down under `digest`, for showing how it differs from what is to come. Its path is only its name:
    /// where in the repository it was is not on record.
    pub fn read_back(&self, digest: &ContentDigest) -> Result<Option<RepositoryContent>, FilesError> {
        let place = self.place(digest);
        let entries = match fs::read_dir(&place) {
            Ok(entries) => entries,
            Err(error) if error.kind() == ErrorKind::NotFound => return self.read_config(digest),
            Err(source) => return Err(FilesError::Io { path: place, doing: "read", source }),
        };
        let mut names: Vec<_> = entries
            .filter_map(Result::ok)
            .map(|entry| entry.file_name())
            .filter(|name| !is_partial(name))
            .collect();
        names.sort();
        let Some(name) = names.into_iter().next() else { return Ok(None) };
        let path = place.join(&name);
        let failed = |source| FilesError::Io { path: path.clone(), doing: "read", source };
        let kind = if fs::symlink_metadata(&path).map_err(failed)?.is_dir() {
            let mut files = BTreeMap::new();
            read_folder(&path, "", &mut files).map_err(failed)?;
            ContentKind::Folder(files)
        } else {
            ContentKind::File(read_file(&path).map_err(failed)?)
        };
        Ok(Some(RepositoryContent { path: name.to_string_lossy().into_owned(), kind }))
    }
}

impl FileStore {
    /// The config whose content has this digest, with whatever mode it was laid down.
    fn read_config(&self, digest: &ContentDigest) -> Result<Option<RepositoryContent>, FilesError> {
        let folder = self.root.join("configs");
        let Ok(entries) = fs::read_dir(&folder) else { return Ok(None) };
        let of_digest = |name: &std::ffi::OsString| {
            name.to_str().and_then(|name| name.split_once('-')).is_some_and(|(known, _)| known == digest.0)
        };
        let mut names = entries.filter_map(Result::ok).map(|entry| entry.file_name());
        let Some(name) = names.find(of_digest) else { return Ok(None) };
        let path = folder.join(name).join(FILE_NAME);
        let bytes =
            fs::read(&path).map_err(|source| FilesError::Io { path: path.clone(), doing: "read", source })?;
        let kind = ContentKind::File(FileContent { bytes, executable: false });
        Ok(Some(RepositoryContent { path: FILE_NAME.to_owned(), kind }))
    }
}

/// Proof that nobody discards what is laid down; it ends when it is dropped.
#[derive(Debug)]
pub struct Held(#[expect(dead_code, reason = "the lock goes with the descriptor")] File);

/// Proof that nobody lays anything down; it ends when it is dropped.
#[derive(Debug)]
pub struct Alone(#[expect(dead_code, reason = "the lock goes with the descriptor")] File);

/// The file whose lock keeps laying down and discarding apart, between stacks and processes.
const LOCK: &str = ".lock";

impl FileStore {
    /// Lays a config or secret down in its place, with its mode and owner, on the disk when this returns. Only root,
    /// or whoever this process belongs to, gets to it other than through a container.
    pub fn grant(&self, place: &Place, bytes: &[u8]) -> Result<(), FilesError> {
        effect::begins();
        make_folder(&self.root)?;
        let folder = self.root.join(place.folder());
        for folder in folder.parent().into_iter().chain([folder.as_path()]) {
            written(folder, DirBuilder::new().recursive(true).mode(0o700).create(folder))?;
            written(folder, fs::set_permissions(folder, Permissions::from_mode(0o700)))?;
        }
        let FileAccess { mode, uid, gid } = place.access;
        write(&folder.join(FILE_NAME), bytes, Form { mode, uid, gid })?;
        // The file is on the disk; so must be the way to it, or a container starts without it after a power failure.
        let parent = folder.parent().unwrap_or(&self.root);
        sync(parent)?;
        sync(&self.root)
    }

    /// Keeps what is laid down from being discarded, unless somebody does just that. Any number may hold it.
    pub fn hold(&self) -> Result<Option<Held>, FilesError> {
        let file = self.lock_file()?;
        Ok(self.locked(file.try_lock_shared())?.then_some(Held(file)))
    }

    /// The right to discard, if nobody lays anything down just now.
    pub fn alone(&self) -> Result<Option<Alone>, FilesError> {
        let file = self.lock_file()?;
        Ok(self.locked(file.try_lock())?.then_some(Alone(file)))
    }

    fn locked(&self, tried: Result<(), TryLockError>) -> Result<bool, FilesError> {
        match tried {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(source)) => {
                Err(FilesError::Io { path: self.root.clone(), doing: "locked", source })
            }
        }
    }

    fn lock_file(&self) -> Result<File, FilesError> {
        make_folder(&self.root)?;
        let path = self.root.join(LOCK);
        let options = OpenOptions::new().create(true).truncate(false).write(true).mode(0o600).open(&path);
        written(&path, options)
    }

    /// The folders in which something is laid down, relative to that of the store. What isn't ours is not among them.
    pub fn folders(&self) -> Result<BTreeSet<String>, FilesError> {
        let mut found = BTreeSet::new();
        for name in names_in(&self.root)? {
            if grants::is_digest(&name) {
                found.insert(name);
                continue;
            }
            if !grants::SECTIONS.contains(&name.as_str()) {
                continue;
            }
            let inside = names_in(&self.root.join(&name))?.into_iter().map(|inner| format!("{name}/{inner}"));
            found.extend(inside.filter(|folder| Place::parse(&format!("{folder}/{FILE_NAME}")).is_some()));
        }
        Ok(found)
    }

    /// Deletes `folders`, except for those from which a path of `binds` is mounted. Gives how many there were.
    pub fn discard(
        &self,
        folders: &BTreeSet<String>,
        binds: &BTreeSet<String>,
        _: &Alone,
    ) -> Result<usize, FilesError> {
        let mut discarded = 0;
        for folder in folders {
            let path = self.root.join(folder);
            // A path without any turn: whatever the plan says, nothing outside is deleted.
            let plain = RepoPath::root().join(folder).is_ok_and(|plain| plain.as_str() == folder);
            if !plain || folder.is_empty() || binds.iter().any(|bind| Path::new(bind).starts_with(&path)) {
                continue;
            }
            effect::begins();
            written(&path, fs::remove_dir_all(&path).or_else(|error| absent_is_fine(&error)))?;
            discarded += 1;
        }
        Ok(discarded)
    }
}

/// The names in a folder, none where there is no folder.
fn names_in(folder: &Path) -> Result<Vec<String>, FilesError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
        Err(source) => return Err(FilesError::Io { path: folder.to_owned(), doing: "read", source }),
    };
    Ok(entries.filter_map(|entry| entry.ok()?.file_name().into_string().ok()).collect())
}

fn name_of(content: &RepositoryContent) -> &str {
    content.path.rsplit('/').next().filter(|name| !matches!(*name, "" | "." | "..")).unwrap_or(ROOT_NAME)
}

fn is_partial(name: &std::ffi::OsStr) -> bool {
    name.to_string_lossy().starts_with(PARTIAL_PREFIX)
}

/// Files that are being written begin so; after a crash one may be left, which the next writer replaces.
const PARTIAL_PREFIX: &str = ".evenkeel-";

fn written<T>(path: &Path, result: io::Result<T>) -> Result<T, FilesError> {
    result.map_err(|source| FilesError::Io { path: path.to_owned(), doing: "written", source })
}

fn make_folder(path: &Path) -> Result<(), FilesError> {
    written(path, fs::create_dir_all(path))?;
    // The user of a container reads it, whatever this process's umask is.
    written(path, fs::set_permissions(path, Permissions::from_mode(0o755)))
}

/// Writes every file of a folder and takes away what doesn't belong there. A file that is as it should be isn't
/// touched: a container may have it open.
fn write_folder(target: &Path, files: &BTreeMap<String, FileContent>) -> Result<(), FilesError> {
    make_folder(target)?;
    for (name, file) in files {
        let path = RepoPath::root()
            .join(name)
            .ok()
            .filter(|path| path.as_str() == name && !name.is_empty())
            .ok_or_else(|| FilesError::Name(name.clone()))?;
        let mut folder = target.to_owned();
        let mut parts: Vec<&str> = path.as_str().split('/').collect();
        let last = parts.pop().unwrap_or_default();
        for part in parts {
            folder.push(part);
            make_folder(&folder)?;
        }
        write_file(&folder.join(last), file)?;
    }
    let mut found = BTreeMap::new();
    let listed = read_folder(target, "", &mut found);
    listed.map_err(|source| FilesError::Io { path: target.to_owned(), doing: "read", source })?;
    for foreign in found.keys().filter(|name| !files.contains_key(*name)) {
        let path = target.join(foreign);
        written(&path, fs::remove_file(&path))?;
    }
    Ok(())
}

fn mode_of(file: &FileContent) -> u32 {
    if file.executable { 0o555 } else { 0o444 }
}

fn write_file(target: &Path, file: &FileContent) -> Result<(), FilesError> {
    write(target, &file.bytes, Form { mode: mode_of(file), uid: None, gid: None })
}

/// What a file is to be besides its bytes.
#[derive(Debug, Clone, Copy)]
struct Form {
    mode: u32,
    uid: Option<u32>,
    gid: Option<u32>,
}

/// Writes a file in one move: whoever looks sees all of it or none.
fn write(target: &Path, bytes: &[u8], form: Form) -> Result<(), FilesError> {
    if is_intact(target, bytes, form) {
        return Ok(());
    }
    let (Some(folder), Some(name)) = (target.parent(), target.file_name()) else {
        return Err(FilesError::Name(target.display().to_string()));
    };
    let partial = folder.join(format!("{PARTIAL_PREFIX}{}", name.to_string_lossy()));
    written(&partial, fs::remove_file(&partial).or_else(|error| absent_is_fine(&error)))?;
    let mut out =
        written(&partial, OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial))?;
    written(&partial, out.write_all(bytes))?;
    if form.uid.is_some() || form.gid.is_some() {
        let owned = fchown(&out, form.uid, form.gid);
        owned.map_err(|source| FilesError::Io {
            path: target.to_owned(),
            doing: "given its owner",
            source,
        })?;
    }
    written(&partial, out.set_permissions(Permissions::from_mode(form.mode)))?;
    written(&partial, out.sync_all())?;
    written(target, fs::rename(&partial, target))?;
    sync(folder)
}

fn sync(folder: &Path) -> Result<(), FilesError> {
    written(folder, File::open(folder).and_then(|folder| folder.sync_all()))
}

fn absent_is_fine(error: &io::Error) -> io::Result<()> {
    if error.kind() == ErrorKind::NotFound { Ok(()) } else { Err(io::Error::from(error.kind())) }
}

fn is_intact(target: &Path, wanted: &[u8], form: Form) -> bool {
    fs::symlink_metadata(target).is_ok_and(|metadata| {
        metadata.is_file()
            && metadata.permissions().mode() & 0o7777 == form.mode
            && form.uid.is_none_or(|uid| metadata.uid() == uid)
            && form.gid.is_none_or(|gid| metadata.gid() == gid)
            && metadata.len() == wanted.len() as u64
    }) && fs::read(target).is_ok_and(|bytes| bytes == wanted)
}

fn read_file(path: &Path) -> io::Result<FileContent> {
    let executable = fs::metadata(path)?.permissions().mode() & 0o100 != 0;
    Ok(FileContent { bytes: fs::read(path)?, executable })
}

fn read_folder(folder: &Path, prefix: &str, files: &mut BTreeMap<String, FileContent>) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        let path = format!("{prefix}{}", name.to_string_lossy());
        if entry.file_type()?.is_dir() {
            read_folder(&entry.path(), &format!("{path}/"), files)?;
        } else if !is_partial(&name) {
            files.insert(path, read_file(&entry.path())?);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::grant::GrantKind;

    fn file(text: &str, executable: bool) -> FileContent {
        FileContent { bytes: text.as_bytes().to_vec(), executable }
    }

    fn digest() -> ContentDigest {
        ContentDigest("0a".repeat(32))
    }

    fn folder(files: &[(&str, FileContent)]) -> RepositoryContent {
        let files = files.iter().map(|(name, file)| ((*name).to_owned(), file.clone())).collect();
        RepositoryContent { path: "manifests/monitoring/rules".into(), kind: ContentKind::Folder(files) }
    }

    #[test]
    fn a_file_lies_under_its_digest_and_can_only_be_read() {
        let temp = tempfile::tempdir().unwrap();
        let store = FileStore::new(temp.path().join("files"));
        let content = RepositoryContent {
            path: "m/prometheus.yml".into(),
            kind: ContentKind::File(file("a: 1", false)),
        };
        store.lay_down(&digest(), &content).unwrap();
        let path = store.host_path(&digest(), &content);
        assert_eq!(path, format!("{}/{}/prometheus.yml", store.root().display(), digest()));
        assert_eq!(fs::read_to_string(&path).unwrap(), "a: 1");
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o444);
        let back = store.read_back(&digest()).unwrap().unwrap();
        assert_eq!((back.path.as_str(), back.kind), ("prometheus.yml", content.kind));
    }

    #[test]
    fn a_folder_is_put_right_when_somebody_changed_it() {
        let temp = tempfile::tempdir().unwrap();
        let store = FileStore::new(temp.path().to_owned());
        let content = folder(&[("a.yml", file("a", false)), ("sub/run.sh", file("#!", true))]);
        store.lay_down(&digest(), &content).unwrap();
        let path = PathBuf::from(store.host_path(&digest(), &content));
        fs::remove_file(path.join("a.yml")).unwrap();
        fs::write(path.join("foreign"), "x").unwrap();
        store.lay_down(&digest(), &content).unwrap();
        assert_eq!(store.read_back(&digest()).unwrap().unwrap().kind, content.kind);
        assert!(!path.join("foreign").exists());
    }

    #[test]
    fn laying_down_again_touches_nothing() {
        use std::os::unix::fs::MetadataExt;
        let temp = tempfile::tempdir().unwrap();
        let store = FileStore::new(temp.path().to_owned());
        let content = folder(&[("a.yml", file("a", false))]);
        let inode = || {
            let path = PathBuf::from(store.host_path(&digest(), &content)).join("a.yml");
            fs::metadata(path).unwrap().ino()
        };
        store.lay_down(&digest(), &content).unwrap();
        let before = inode();
        store.lay_down(&digest(), &content).unwrap();
        assert_eq!(inode(), before);
    }

    #[test]
    fn a_grant_has_its_mode_and_only_root_gets_to_it() {
        let temp = tempfile::tempdir().unwrap();
        let store = FileStore::new(temp.path().join("files"));
        let owner = fs::metadata(temp.path()).unwrap();
        let place = Place {
            kind: GrantKind::Secret,
            sensitive: true,
            digest: "0a".repeat(32),
            access: FileAccess { mode: 0o440, uid: Some(owner.uid()), gid: Some(owner.gid()) },
        };
        let path = PathBuf::from(place.path(&store.root().to_string_lossy()));
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode() & 0o7777;
        for _ in 0..2 {
            store.grant(&place, b"hunter2").unwrap();
            assert_eq!(fs::read(&path).unwrap(), b"hunter2");
            assert_eq!((mode(&path), mode(path.parent().unwrap())), (0o440, 0o700));
            assert_eq!(mode(&store.root().join("secrets")), 0o700);
            // What somebody changed is put right.
            fs::set_permissions(&path, Permissions::from_mode(0o666)).unwrap();
            fs::write(&path, "changed").unwrap();
        }
    }

    #[test]
    fn what_is_mounted_or_lies_elsewhere_is_not_discarded() {
        let temp = tempfile::tempdir().unwrap();
        let store = FileStore::new(temp.path().join("files"));
        for folder in ["files/configs/a", "files/configs/ab", "files/c0ffee", "elsewhere"] {
            fs::create_dir_all(temp.path().join(folder)).unwrap();
        }
        let folders = ["configs/a", "configs/ab", "c0ffee", "gone", "../elsewhere", "", "configs/../.."];
        let folders = folders.map(str::to_owned).into();
        let binds = [store.root().join("configs/a/content").to_string_lossy().into_owned()].into();
        let alone = store.alone().unwrap().unwrap();
        store.discard(&folders, &binds, &alone).unwrap();
        let there = |folder: &str| temp.path().join(folder).exists();
        assert!(there("files/configs/a") && there("elsewhere"));
        assert!(!there("files/configs/ab") && !there("files/c0ffee"));
    }

    #[test]
    fn only_what_was_laid_down_is_found() {
        let temp = tempfile::tempdir().unwrap();
        let store = FileStore::new(temp.path().join("files"));
        assert_eq!(store.folders().unwrap(), BTreeSet::new());
        let ours = ["configs/ab-0444", "c0ffee", "secrets/ab-0440-u70", "sensitive-configs/ab-0444"];
        for folder in ours.into_iter().chain(["configs/mine", "notes", "secrets/deep/ab-0444"]) {
            fs::create_dir_all(store.root().join(folder)).unwrap();
        }
        assert_eq!(store.folders().unwrap(), ours.map(str::to_owned).into());
    }

    #[test]
    fn nothing_is_discarded_while_something_is_laid_down() {
        let temp = tempfile::tempdir().unwrap();
        let store = FileStore::new(temp.path().join("files"));
        let held = [store.hold().unwrap().unwrap(), store.hold().unwrap().unwrap()];
        assert!(store.alone().unwrap().is_none());
        drop(held);
        let alone = store.alone().unwrap();
        assert!(alone.is_some() && store.hold().unwrap().is_none());
    }

    #[test]
    fn no_name_leads_out_of_the_place() {
        let temp = tempfile::tempdir().unwrap();
        let store = FileStore::new(temp.path().join("files"));
        for name in ["../x", "/etc/x", "a/../../x", "a//b", ""] {
            let result = store.lay_down(&digest(), &folder(&[(name, file("x", false))]));
            assert!(matches!(result, Err(FilesError::Name(_))), "{name:?} gave {result:?}");
        }
        assert_eq!(store.read_back(&ContentDigest("../..".into())).unwrap(), None);
    }
}
