//! Repositories as they are found, made with libgit2 in temporary folders: which commits they have, and what is refused.
#![allow(clippy::unwrap_used, reason = "what the tests make themselves must be there")]

use std::collections::BTreeSet;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

use evenkeel::model::desired::Revision;
use evenkeel::model::tree::{FileTree, RepoPath};
use evenkeel::source::{Kind, Repository, SourceError};
use git2::{Oid, Signature, Time};
use tempfile::TempDir;

mod trees;
mod watching;

const FILE: i32 = 0o100_644;

fn init(path: &Path, bare: bool) -> git2::Repository {
    let mut options = git2::RepositoryInitOptions::new();
    options.bare(bare).initial_head("main").external_template(false);
    git2::Repository::init_opts(path, &options).unwrap()
}

fn bare() -> (TempDir, git2::Repository) {
    let folder = tempfile::tempdir().unwrap();
    let git = init(folder.path(), true);
    (folder, git)
}

fn path(text: &str) -> RepoPath {
    text.parse().unwrap()
}

/// A tree object as its bytes: libgit2's own builder would refuse what the tests need.
fn tree(git: &git2::Repository, entries: &[(&[u8], i32, Oid)]) -> Oid {
    let mut bytes = Vec::new();
    for (name, mode, id) in entries {
        bytes.extend(format!("{mode:o} ").bytes());
        bytes.extend(*name);
        bytes.push(0);
        bytes.extend(id.as_bytes());
    }
    git.odb().unwrap().write(git2::ObjectType::Tree, &bytes).unwrap()
}

/// A commit of `tree` on top of the branch.
fn commit(git: &git2::Repository, branch: &str, message: &str, tree: Oid) -> Oid {
    let parent = git
        .find_branch(branch, git2::BranchType::Local)
        .ok()
        .map(|branch| branch.get().peel_to_commit().unwrap());
    let seconds = parent.as_ref().map_or(1_000_000_000, |parent| parent.time().seconds() + 60);
    let author = Signature::new("Ada", "ada@example.org", &Time::new(seconds, 120)).unwrap();
    let tree = git.find_tree(tree).unwrap();
    let name = format!("refs/heads/{branch}");
    git.commit(Some(&name), &author, &author, message, &tree, parent.as_ref().as_slice()).unwrap()
}

/// A commit of one file, `evenkeel.yaml`.
fn commit_text(git: &git2::Repository, branch: &str, text: &str) -> Oid {
    let blob = git.blob(text.as_bytes()).unwrap();
    let tree = tree(git, &[(b"evenkeel.yaml", FILE, blob)]);
    commit(git, branch, text, tree)
}

#[test]
fn a_repository_is_told_by_what_is_there() {
    let folder = tempfile::tempdir().unwrap();
    let root = folder.path().canonicalize().unwrap();
    init(&root.join("bare.git"), true);
    init(&root.join("work"), false);
    fs::create_dir_all(root.join("work/manifests/apps")).unwrap();
    fs::create_dir_all(root.join("plain")).unwrap();
    fs::write(root.join("file"), "").unwrap();
    symlink(root.join("work"), root.join("link")).unwrap();
    for (place, kind, expected) in [
        ("bare.git", Kind::Bare, "bare.git"),
        ("work", Kind::WorkTree, "work"),
        ("work/manifests/apps", Kind::WorkTree, "work"),
        ("work/.git", Kind::WorkTree, "work"),
        ("link", Kind::WorkTree, "work"),
        ("plain", Kind::Folder, "plain"),
    ] {
        let repository = Repository::open(&root.join(place)).unwrap();
        assert_eq!((repository.kind(), repository.root()), (kind, &*root.join(expected)), "{place}");
    }
    let refused = |place: &str| Repository::open(&root.join(place)).err().unwrap();
    assert!(matches!(refused("none"), SourceError::Missing { .. }));
    assert!(matches!(refused("file"), SourceError::NotAFolder { .. }));

    fs::create_dir(root.join("plain/.git")).unwrap();
    assert!(matches!(refused("plain"), SourceError::Git { .. }), "a damaged repository is no plain folder");
}

#[test]
fn a_repository_can_go_to_another_thread() {
    fn is_send<T: Send>(_: &T) {}
    let (folder, git) = bare();
    commit_text(&git, "main", "one");
    let repository = Repository::open(folder.path()).unwrap();
    is_send(&repository);
    is_send(&repository.commit_tree("main").unwrap());
}

#[test]
fn a_revision_is_found_by_every_name() {
    let (folder, git) = bare();
    let first = commit_text(&git, "main", "first").to_string();
    let second = commit_text(&git, "main", "second").to_string();
    let object = git.find_object(git.revparse_single(&first).unwrap().id(), None).unwrap();
    let tagger = Signature::new("Ada", "ada@example.org", &Time::new(0, 0)).unwrap();
    git.tag("v1", &object, &tagger, "annotated", false).unwrap();
    let repository = Repository::open(folder.path()).unwrap();
    for (spec, expected) in [
        ("main", &second),
        ("refs/heads/main", &second),
        ("HEAD", &second),
        ("HEAD~1", &first),
        ("main^", &first),
        ("v1", &first),
        (&first, &first),
        (&first[..10], &first),
    ] {
        assert_eq!(&repository.resolve(spec).unwrap().id, expected, "{spec}");
    }
    let second = repository.resolve("main").unwrap();
    assert_eq!((second.summary.as_str(), second.author.as_str()), ("second", "Ada"));
    assert_eq!(second.time.as_second(), 1_000_000_060);
    let log = |most| repository.log("main", most).unwrap().into_iter().map(|commit| commit.summary);
    assert!(log(9).eq(["second", "first"]));
    assert!(log(1).eq(["second"]));
}

#[test]
fn a_branch_can_not_be_taken_over_by_a_name() {
    let (folder, git) = bare();
    let good = commit_text(&git, "main", "good");
    let evil = commit_text(&git, "evil", "evil");
    git.reference("refs/tags/main", evil, true, "").unwrap();
    git.reference(&format!("refs/heads/{good}"), evil, true, "").unwrap();
    fs::write(folder.path().join("refs/heads/HEAD"), format!("{evil}\n")).unwrap();
    let repository = Repository::open(folder.path()).unwrap();
    for spec in ["main", "HEAD", &good.to_string()] {
        assert_eq!(repository.resolve(spec).unwrap().id, good.to_string(), "{spec}");
    }
}

#[test]
fn a_revision_that_is_not_there_has_a_clear_error() {
    let (folder, git) = bare();
    let repository = Repository::open(folder.path()).unwrap();
    for spec in ["main", "HEAD"] {
        assert!(matches!(repository.resolve(spec), Err(SourceError::NoCommits { .. })));
    }
    commit_text(&git, "trunk", "one");
    for spec in ["main", "HEAD", "", "..", "a b", "HEAD~9", "-x", "0123456", &"0".repeat(40), "a\u{0}b"] {
        match repository.resolve(spec) {
            Err(SourceError::NoSuchRevision { branches, .. }) => assert_eq!(branches, ["trunk"]),
            other => panic!("{spec}: {other:?}"),
        }
    }
    assert!(matches!(repository.resolve("trunk^{tree}"), Err(SourceError::NotACommit { .. })));
    let error = repository.resolve("\u{1b}[2Jmain\u{202e}").unwrap_err().to_string();
    assert!(error.starts_with("`[2Jmain` is not a branch, tag or commit of `/"), "{error}");
}

#[test]
fn a_short_id_of_two_objects_is_ambiguous() {
    let (folder, git) = bare();
    commit_text(&git, "main", "one");
    let mut seen = BTreeSet::new();
    let prefix = (0..u32::from(u16::MAX) + 2)
        .map(|number| git.blob(&number.to_be_bytes()).unwrap().to_string()[..4].to_owned())
        .find(|prefix| !seen.insert(prefix.clone()))
        .unwrap();
    let error = Repository::open(folder.path()).unwrap().resolve(&prefix).unwrap_err();
    assert!(matches!(error, SourceError::Ambiguous { .. }), "{error:?}");
}

#[test]
fn the_texts_of_a_commit_are_made_harmless() {
    let (folder, git) = bare();
    let message = format!("\u{1b}[31mred\u{202e}\u{7}\r\nstill {}", "x".repeat(1000));
    commit(&git, "main", &message, tree(&git, &[]));
    let summary = Repository::open(folder.path()).unwrap().resolve("main").unwrap().summary;
    assert!(summary.starts_with("[31mred still xxx") && summary.ends_with("x…"), "{summary:?}");
    assert_eq!(summary.chars().count(), 120);
}

#[test]
fn ancestors_are_told_from_strangers() {
    let (folder, git) = bare();
    let [first, second] = ["1", "2"].map(|text| commit_text(&git, "main", text).to_string());
    let other = commit_text(&git, "other", "3").to_string();
    let repository = Repository::open(folder.path()).unwrap();
    for (ancestor, descendant, expected) in [
        (&first, &second, true),
        (&second, &second, true),
        (&second, &first, false),
        (&other, &second, false),
        (&"1".repeat(40), &second, false),
    ] {
        assert_eq!(repository.is_ancestor(ancestor, descendant).unwrap(), expected);
    }
    assert!(repository.is_ancestor("none", &second).is_err());
    assert!(repository.is_ancestor(&first, &"1".repeat(40)).is_err());
}

#[test]
fn a_work_tree_is_its_commit_only_while_clean() {
    let folder = tempfile::tempdir().unwrap();
    let git = init(folder.path(), false);
    let revision = || Repository::open(folder.path()).unwrap().work_tree().unwrap().1;
    assert_eq!(revision(), Revision::WorkTree(None));

    let file = folder.path().join("evenkeel.yaml");
    fs::write(&file, "one").unwrap();
    fs::write(folder.path().join(".git/info/exclude"), "*.log\n").unwrap();
    assert_eq!(revision(), Revision::WorkTree(None));
    let mut index = git.index().unwrap();
    index.add_path(Path::new("evenkeel.yaml")).unwrap();
    index.write().unwrap();
    let head = commit(&git, "main", "one", index.write_tree().unwrap()).to_string();
    assert_eq!(revision(), Revision::Commit(head.clone()));

    fs::write(folder.path().join("a.log"), "").unwrap();
    assert_eq!(revision(), Revision::Commit(head.clone()), "ignored files are no change");
    fs::write(folder.path().join("new"), "").unwrap();
    assert_eq!(revision(), Revision::WorkTree(Some(head.clone())));
    fs::remove_file(folder.path().join("new")).unwrap();
    fs::write(&file, "two").unwrap();
    assert_eq!(revision(), Revision::WorkTree(Some(head)));
    let (tree, _) = Repository::open(folder.path()).unwrap().work_tree().unwrap();
    assert_eq!(tree.read(&path("evenkeel.yaml")).unwrap().bytes, b"two");
}

#[test]
fn each_kind_of_repository_refuses_what_it_has_not() {
    let (folder, _git) = bare();
    let repository = Repository::open(folder.path()).unwrap();
    assert!(matches!(repository.work_tree(), Err(SourceError::NoWorkTree { .. })));

    let plain = tempfile::tempdir().unwrap();
    let repository = Repository::open(plain.path()).unwrap();
    assert!(matches!(repository.resolve("main"), Err(SourceError::NotARepository { .. })));
    assert_eq!(repository.work_tree().unwrap().1, Revision::WorkTree(None));
}

#[test]
fn packed_references_are_seen_by_an_open_repository() {
    let (folder, git) = bare();
    commit_text(&git, "main", "one");
    let repository = Repository::open(folder.path()).unwrap();
    assert_eq!(repository.resolve("main").unwrap().summary, "one");

    let packed = commit_text(&git, "next", "two");
    let text = format!("# pack-refs with: peeled fully-peeled sorted \n{packed} refs/heads/main\n");
    fs::write(folder.path().join("packed-refs"), text).unwrap();
    fs::remove_file(folder.path().join("refs/heads/main")).unwrap();
    assert_eq!(repository.resolve("main").unwrap().summary, "two");
}
