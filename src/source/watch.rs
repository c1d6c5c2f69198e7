//! Tells that something in a repository may have changed.
//!
//! A watch is a hint and nothing more: it says neither what has changed nor that anything has, and it can fall silent,
//! as when the repository is deleted and made anew. Whoever uses it looks at everything again and, at times, without
//! any hint.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use notify::{EventKind, RecommendedWatcher, RecursiveMode, Watcher};

use super::error::SourceError;
use super::repository::Repository;

/// Watches until it is dropped.
#[derive(Debug)]
pub struct Watch {
    _watcher: RecommendedWatcher,
}

/// Calls `wake` whenever something in `repository` may have changed: a branch or tag of a Git repository, any file of a
/// plain folder. Files of a work tree are not watched, as only its commits are deployed.
///
/// # Caveats
/// One push calls `wake` several times: wait for a quiet moment before looking. It is called on a thread of its own and
/// must not block, and one last call may come after the watch has been dropped.
///
/// # Errors
/// [`SourceError::Watch`], for one where the system's limit of watches is reached. Polling still works then.
pub fn watch(repository: &Repository, wake: impl Fn() + Send + 'static) -> Result<Watch, SourceError> {
    let interest = Interest::of(repository);
    let folders = interest.folders();
    let heard = move |event: notify::Result<notify::Event>| match event {
        Ok(event) if !interest.is_met_by(&event) => {}
        // An error may stand for lost events.
        Ok(_) | Err(_) => wake(),
    };
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| SourceError::Watch { path, source }
    };
    // Links could lead anywhere, and are refused by those who read.
    let config = notify::Config::default().with_follow_symlinks(false);
    let mut watcher = RecommendedWatcher::new(heard, config).map_err(failed(repository.root()))?;
    for (folder, mode) in folders {
        watcher.watch(&folder, mode).map_err(failed(&folder))?;
    }
    Ok(Watch { _watcher: watcher })
}

/// Which files a watch is about.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Interest {
    /// `HEAD`, `packed-refs` and all below `refs`.
    References {
        /// The folders of Git; two in a linked work tree.
        git: BTreeSet<PathBuf>,
        /// The folder of the branches.
        refs: PathBuf,
    },
    /// All below a folder.
    Files {
        /// The folder.
        root: PathBuf,
    },
}

impl Interest {
    fn of(repository: &Repository) -> Self {
        match repository.git_folders() {
            None => Self::Files { root: repository.root().to_owned() },
            Some((own, common)) => Self::References {
                // Collected from its parts, a path compares equal with and without a slash at its end.
                git: [own, common].map(|folder| folder.components().collect()).into(),
                refs: common.join("refs"),
            },
        }
    }

    /// The folders to be watched. A single file is never watched: that ends with the first writer who replaces the file
    /// instead of changing it.
    fn folders(&self) -> Vec<(PathBuf, RecursiveMode)> {
        match self {
            Self::Files { root } => vec![(root.clone(), RecursiveMode::Recursive)],
            Self::References { git, refs } => {
                let mut folders = vec![(refs.clone(), RecursiveMode::Recursive)];
                folders.extend(git.iter().map(|folder| (folder.clone(), RecursiveMode::NonRecursive)));
                folders
            }
        }
    }

    fn is_met_by(&self, event: &notify::Event) -> bool {
        // Reading is what causes most events of access, ours included: heeding them would never end.
        if matches!(event.kind, EventKind::Access(_)) {
            return false;
        }
        event.need_rescan() || event.paths.iter().any(|path| self.concerns(path))
    }

    fn concerns(&self, path: &Path) -> bool {
        let ends_with = |ending: &str| path.extension().is_some_and(|found| found == ending);
        match self {
            // Git writes `main.lock` and renames it to `main`; the second event is the one that counts.
            Self::References { .. } if ends_with("lock") => false,
            Self::References { git, refs } => {
                let named = ["HEAD", "packed-refs"].iter().any(|name| path.ends_with(name));
                named || path.starts_with(refs) || git.contains(path)
            }
            Self::Files { .. } if ends_with("tmp") => false,
            Self::Files { root } => path
                .strip_prefix(root)
                .is_ok_and(|inside| inside.components().all(|part| part.as_os_str() != ".git")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    use notify::Event;
    use notify::event::{AccessKind, Flag, ModifyKind};

    #[test]
    fn only_what_moves_a_revision_is_heard_of_in_git() {
        let interest = Interest::References { git: [PathBuf::from("/r")].into(), refs: "/r/refs".into() };
        for (path, heard) in [
            ("/r/refs/heads/main", true),
            ("/r/refs/heads/feature", true),
            ("/r/refs/heads/main.lock", false),
            ("/r/packed-refs", true),
            ("/r/packed-refs.lock", false),
            ("/r/HEAD", true),
            ("/r", true),
            ("/r/index", false),
            ("/r/FETCH_HEAD", false),
            ("/r/COMMIT_EDITMSG", false),
        ] {
            assert_eq!(interest.concerns(Path::new(path)), heard, "{path}");
        }
    }

    #[test]
    fn all_files_of_a_folder_are_heard_of() {
        let interest = Interest::Files { root: "/r.tmp/.git/r".into() };
        for (path, heard) in [
            ("manifests/apps/web.yaml", true),
            ("", true),
            ("web.yaml.tmp", false),
            ("nested/.git/index", false),
            (".gitignore", true),
        ] {
            assert_eq!(interest.concerns(&Path::new("/r.tmp/.git/r").join(path)), heard, "{path}");
        }
    }

    #[test]
    fn reading_is_not_heard_of_and_lost_events_are() {
        let interest = Interest::Files { root: "/r".into() };
        let event = |kind| Event::new(kind).add_path("/r/a".into());
        assert!(!interest.is_met_by(&event(EventKind::Access(AccessKind::Any))));
        assert!(interest.is_met_by(&event(EventKind::Modify(ModifyKind::Any))));
        assert!(interest.is_met_by(&Event::new(EventKind::Other).set_flag(Flag::Rescan)));
    }
}
