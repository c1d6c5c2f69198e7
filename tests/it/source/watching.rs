//! What is heard of a push, a commit and a saved file.

use std::fs;
use std::path::Path;
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

use evenkeel::model::tree::{FileTree, RepoPath};
use evenkeel::source::{Kind, Repository, Watch, folder_tree, watch};

use super::trees::{check_sample, sample_folder};
use super::{bare, commit_text, init, path};

/// An event that has not come after so long does not come.
const PATIENCE: Duration = Duration::from_secs(20);

fn heard(place: &Path) -> (Watch, Receiver<()>) {
    let (sender, receiver) = channel();
    let repository = Repository::open(place).unwrap();
    let watch = watch(&repository, move || sender.send(()).unwrap_or_default()).unwrap();
    (watch, receiver)
}

#[test]
fn a_push_to_a_bare_repository_is_heard_of() {
    let (folder, _git) = bare();
    let (watch, hints) = heard(folder.path());
    let work = tempfile::tempdir().unwrap();
    let git = init(work.path(), false);
    let id = commit_text(&git, "main", "pushed").to_string();
    let mut remote = git.remote_anonymous(folder.path().to_str().unwrap()).unwrap();
    remote.push(&["refs/heads/main:refs/heads/main"], None).unwrap();

    let repository = Repository::open(folder.path()).unwrap();
    hints.recv_timeout(PATIENCE).unwrap();
    assert_eq!(repository.resolve("main").unwrap().id, id);

    drop(watch);
    let end = std::iter::from_fn(|| match hints.recv_timeout(PATIENCE) {
        Ok(()) => Some(true),
        Err(RecvTimeoutError::Disconnected) => None,
        Err(RecvTimeoutError::Timeout) => Some(false),
    });
    assert!(end.into_iter().all(|in_time| in_time), "a dropped watch lets go of what it calls");
}

#[test]
fn a_commit_to_a_new_branch_of_a_work_tree_is_heard_of() {
    let folder = tempfile::tempdir().unwrap();
    let git = init(folder.path(), false);
    let (_watch, hints) = heard(&folder.path().join(".git"));
    fs::write(folder.path().join("draft.yaml"), "").unwrap();
    commit_text(&git, "team/feature", "one");
    hints.recv_timeout(PATIENCE).unwrap();
}

#[test]
fn a_linked_work_tree_is_read_and_watched_like_its_origin() {
    let folder = tempfile::tempdir().unwrap();
    let origin = folder.path().canonicalize().unwrap().join("origin");
    let linked = origin.with_file_name("linked");
    let git = init(&origin, false);
    commit_text(&git, "main", "one");
    git.worktree("linked", &linked, None).unwrap();
    let repository = Repository::open(&linked).unwrap();
    assert_eq!((repository.kind(), repository.root()), (Kind::WorkTree, &*linked));
    let tree = repository.commit_tree("main").unwrap();
    assert_eq!(tree.read(&path("evenkeel.yaml")).unwrap().bytes, b"one");
    let (files, revision) = repository.work_tree().unwrap();
    assert_eq!(revision.commit(), Some(repository.resolve("HEAD").unwrap().id.as_str()));
    assert_eq!(files.list(&RepoPath::root()).unwrap().len(), 1);

    let (_watch, hints) = heard(&linked);
    commit_text(&git, "main", "two");
    hints.recv_timeout(PATIENCE).unwrap();
    assert_eq!(repository.resolve("main").unwrap().summary, "two");
}

#[test]
fn a_saved_file_of_a_plain_folder_is_heard_of_and_a_read_one_is_not() {
    let folder = tempfile::tempdir().unwrap();
    sample_folder(folder.path());
    let (_watch, hints) = heard(folder.path());
    check_sample(&folder_tree(folder.path()));
    // Events come in order: had reading been heard of, its hints would lie before that of the removal.
    fs::remove_file(folder.path().join("manifests.yaml")).unwrap();
    hints.recv_timeout(PATIENCE).unwrap();
    assert_eq!(hints.try_recv().ok(), None);

    fs::write(folder.path().join("new.tmp"), "services: {}\n").unwrap();
    fs::rename(folder.path().join("new.tmp"), folder.path().join("manifests.yaml")).unwrap();
    hints.recv_timeout(PATIENCE).unwrap();
}
