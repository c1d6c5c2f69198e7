//! Files of a commit and of a folder: both read alike, and both refuse what leads elsewhere.

use std::fs;
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use evenkeel::model::tree::{EntryKind, FILE_BYTES_MAX, FileTree, MemoryTree, RepoPath, TreeError};
use evenkeel::source::{Repository, folder_tree};
use git2::Oid;

use super::{FILE, bare, commit, init, path, tree};

const PROGRAM: i32 = 0o100_755;
const LINK: i32 = 0o120_000;
const SUBMODULE: i32 = 0o160_000;
const FOLDER: i32 = 0o040_000;

/// The same content in every kind of tree.
fn sample(git: &git2::Repository) -> Oid {
    let yaml = git.blob(b"services: {}\n").unwrap();
    let script = git.blob(b"#!/bin/sh\n").unwrap();
    let apps = tree(git, &[(b"run.sh", PROGRAM, script), (b"web.yaml", FILE, yaml)]);
    let manifests = tree(git, &[(b"apps", FOLDER, apps)]);
    // In Git's order, a folder is sorted as if its name ended with a slash.
    tree(git, &[(b"manifests.yaml", FILE, yaml), (b"manifests", FOLDER, manifests)])
}

pub(super) fn sample_folder(root: &Path) {
    fs::create_dir_all(root.join("manifests/apps")).unwrap();
    for file in ["manifests/apps/web.yaml", "manifests.yaml"] {
        fs::write(root.join(file), "services: {}\n").unwrap();
    }
    let script = root.join("manifests/apps/run.sh");
    fs::write(&script, "#!/bin/sh\n").unwrap();
    fs::set_permissions(script, fs::Permissions::from_mode(0o755)).unwrap();
}

/// What every tree says of the sample.
pub(super) fn check_sample(tree: &dyn FileTree) {
    let names = |folder: &str| {
        let entries = tree.list(&path(folder)).unwrap();
        entries.into_iter().map(|entry| (entry.name, entry.kind)).collect::<Vec<_>>()
    };
    let file = |name: &str| (name.to_owned(), EntryKind::File);
    let folder = |name: &str| (name.to_owned(), EntryKind::Folder);
    assert_eq!(names(""), [folder("manifests"), file("manifests.yaml")]);
    assert_eq!(names("manifests"), [folder("apps")]);
    assert_eq!(names("manifests/apps"), [file("run.sh"), file("web.yaml")]);

    assert_eq!(tree.read(&path("manifests/apps/web.yaml")).unwrap().bytes, b"services: {}\n");
    assert!(!tree.read(&path("manifests.yaml")).unwrap().executable);

    for missing in ["none", "manifests/none", "manifests.yaml/none", "manifests/apps/web.yaml/none/none"] {
        assert_eq!(tree.read(&path(missing)), Err(TreeError::NotFound(path(missing))));
        assert_eq!(tree.list(&path(missing)), Err(TreeError::NotFound(path(missing))));
    }
    assert_eq!(tree.list(&path("manifests.yaml")), Err(TreeError::NotAFolder(path("manifests.yaml"))));
    for folder in ["", "manifests", "manifests/apps"] {
        let expected = TreeError::NotAFile { path: path(folder), what: "a folder" };
        assert_eq!(tree.read(&path(folder)), Err(expected));
    }
}

#[test]
fn every_tree_reads_alike() {
    let (folder, git) = bare();
    commit(&git, "main", "one", sample(&git));
    let committed = Repository::open(folder.path()).unwrap().commit_tree("main").unwrap();
    check_sample(&committed);
    assert!(committed.read(&path("manifests/apps/run.sh")).unwrap().executable);

    let plain = tempfile::tempdir().unwrap();
    sample_folder(plain.path());
    let files = folder_tree(plain.path());
    check_sample(&files);
    assert!(files.read(&path("manifests/apps/run.sh")).unwrap().executable);

    let mut memory = MemoryTree::default();
    for name in ["manifests/apps/web.yaml", "manifests/apps/run.sh", "manifests.yaml"] {
        memory.insert(path(name), "services: {}\n");
    }
    check_sample(&memory);
}

#[test]
fn a_commit_with_links_and_submodules_keeps_them_to_itself() {
    let (folder, git) = bare();
    let target = git.blob(b"/etc").unwrap();
    let commit_id = Oid::from_str(&"1".repeat(40)).unwrap();
    let pointer = git.blob(b"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 1\n").unwrap();
    let hidden = tree(&git, &[(b"config", FILE, target)]);
    let root = tree(
        &git,
        &[
            (b".git", FOLDER, hidden),
            (b"large", FILE, pointer),
            (b"link", LINK, target),
            (b"module", SUBMODULE, commit_id),
        ],
    );
    commit(&git, "main", "hostile", root);
    let tree = Repository::open(folder.path()).unwrap().commit_tree("main").unwrap();
    let kinds: Vec<_> =
        tree.list(&RepoPath::root()).unwrap().into_iter().map(|entry| (entry.name, entry.kind)).collect();
    let expected = [("large", EntryKind::File), ("link", EntryKind::Other), ("module", EntryKind::Other)];
    assert_eq!(kinds, expected.map(|(name, kind)| (name.to_owned(), kind)));
    check_refused(&tree);
    assert!(matches!(tree.read(&path(".git/config")), Err(TreeError::NotFound(_))));
}

/// What both trees say of `link`, `module` and `large`.
fn check_refused(tree: &dyn FileTree) {
    for (read, at, what) in [
        ("link", "link", "a symbolic link"),
        ("link/passwd", "link", "a symbolic link"),
        ("module", "module", "a submodule"),
        ("module/file", "module", "a submodule"),
        ("large", "large", "a Git LFS pointer"),
    ] {
        assert_eq!(tree.read(&path(read)), Err(TreeError::NotAFile { path: path(at), what }));
    }
    for folder in ["link", "module"] {
        assert_eq!(tree.list(&path(folder)), Err(TreeError::NotAFolder(path(folder))));
    }
}

#[test]
fn a_commit_with_names_that_lead_elsewhere_is_refused() {
    let (folder, git) = bare();
    let blob = git.blob(b"").unwrap();
    let repository = Repository::open(folder.path()).unwrap();
    for name in [&b".."[..], b".", b"a/b", b"../../etc/passwd", b"a\\b", b"a\nb", b"\xff"] {
        let root = tree(&git, &[(name, FILE, blob)]);
        commit(&git, "main", "hostile", root);
        let tree = repository.commit_tree("main").unwrap();
        assert!(matches!(tree.list(&RepoPath::root()), Err(TreeError::Unreadable { .. })), "{name:?}");
        assert!(matches!(tree.read(&path("b")), Err(TreeError::NotFound(_))), "{name:?}");
    }
}

#[test]
fn a_commit_with_one_name_for_two_things_is_refused() {
    let (folder, git) = bare();
    let blob = git.blob(b"").unwrap();
    let inner = tree(&git, &[(b"b", FILE, blob)]);
    commit(&git, "main", "forged", tree(&git, &[(b"a", FILE, blob), (b"a", FOLDER, inner)]));
    let tree = Repository::open(folder.path()).unwrap().commit_tree("main").unwrap();
    let error = tree.list(&RepoPath::root()).unwrap_err();
    assert_eq!(error.to_string(), "`.` can't be read: it holds the name `a` twice");
}

#[test]
fn a_work_tree_follows_no_link_out_of_itself() {
    let folder = tempfile::tempdir().unwrap();
    let (root, outside) = (folder.path().join("root"), folder.path().join("outside"));
    init(&root, false);
    init(&root.join("module"), false);
    fs::write(root.join("module/file"), "").unwrap();
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("passwd"), "secret").unwrap();
    symlink(&outside, root.join("link")).unwrap();
    fs::write(root.join("large"), "version https://git-lfs.github.com/spec/v1\n").unwrap();
    let socket = std::os::unix::net::UnixListener::bind(root.join("socket")).unwrap();

    let (tree, _) = Repository::open(&root).unwrap().work_tree().unwrap();
    let kinds: Vec<_> =
        tree.list(&RepoPath::root()).unwrap().into_iter().map(|entry| (entry.name, entry.kind)).collect();
    let expected = [
        ("large", EntryKind::File),
        ("link", EntryKind::Other),
        ("module", EntryKind::Other),
        ("socket", EntryKind::Other),
    ];
    assert_eq!(kinds, expected.map(|(name, kind)| (name.to_owned(), kind)));
    check_refused(&tree);
    let special = TreeError::NotAFile { path: path("socket"), what: "a special file" };
    assert_eq!(tree.read(&path("socket")), Err(special));
    assert!(matches!(tree.read(&path(".git/HEAD")), Err(TreeError::NotFound(_))));
    drop(socket);

    // Where there is no Git around it, a nested repository is a folder like any other.
    let plain = folder_tree(&root);
    assert_eq!(plain.read(&path("module/file")).unwrap().bytes, b"");
    assert!(matches!(plain.read(&path("module/.git/HEAD")), Err(TreeError::NotFound(_))));
}

#[test]
fn a_file_above_the_limit_is_refused_unread() {
    let (folder, git) = bare();
    let blob = git.blob(&vec![0; usize::try_from(FILE_BYTES_MAX).unwrap() + 1]).unwrap();
    let root = tree(&git, &[(b"large", FILE, blob)]);
    commit(&git, "main", "large", root);
    let committed = Repository::open(folder.path()).unwrap().commit_tree("main").unwrap();

    let plain = tempfile::tempdir().unwrap();
    fs::File::create(plain.path().join("large")).unwrap().set_len(FILE_BYTES_MAX + 1).unwrap();
    let expected =
        TreeError::TooLarge { path: path("large"), bytes: FILE_BYTES_MAX + 1, limit: FILE_BYTES_MAX };
    assert_eq!(committed.read(&path("large")), Err(expected.clone()));
    assert_eq!(folder_tree(plain.path()).read(&path("large")), Err(expected));
}
