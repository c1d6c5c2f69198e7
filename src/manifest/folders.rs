//! Which files of a repository are manifests, and which are override files.

use super::problem::{Problem, Problems};
use super::project::{ENVIRONMENT_FILE, ENVIRONMENTS};
use crate::model::name::EnvironmentName;
use crate::model::tree::{EntryKind, FileTree, RepoPath, TreeError};

/// Most files that one stack may consist of.
const FILES_MAX: usize = 5_000;

/// All YAML files below a folder, by path.
pub(crate) fn below(
    problems: &mut Problems,
    tree: &dyn FileTree,
    folder: &RepoPath,
    paths: &mut Vec<RepoPath>,
) {
    let entries = match tree.list(folder) {
        Ok(entries) => entries,
        Err(TreeError::NotFound(_)) => {
            problems
                .add(Problem::error("no-manifests", folder, "the repository has no folder `manifests`").hint(
                "nothing is ever removed because of that; put Compose files at manifests/<tier>/<name>.yaml",
            ));
            return;
        }
        Err(error) => {
            problems.add(Problem::error("unreadable", folder, error.reason()));
            return;
        }
    };
    for entry in entries {
        let Ok(path) = folder.join(&entry.name) else { continue };
        match entry.kind {
            EntryKind::Folder => below(problems, tree, &path, paths),
            EntryKind::File if is_yaml(&entry.name) => paths.push(path),
            EntryKind::File => {}
            EntryKind::Other => problems.add(
                Problem::error("unreadable", &path, "this is a link, a submodule or a special file")
                    .hint("below `manifests` only regular files and folders are read"),
            ),
        }
        if paths.len() > FILES_MAX {
            problems.add(Problem::error(
                "too-many-files",
                folder,
                format!("there are more than {FILES_MAX} files"),
            ));
            paths.clear();
            return;
        }
    }
}

fn is_yaml(name: &str) -> bool {
    let extension = name.rsplit_once('.').map(|(_, extension)| extension);
    matches!(extension, Some("yaml" | "yml")) && !name.starts_with('.')
}

/// The override files of an environment, by name.
pub(crate) fn overrides(
    problems: &mut Problems,
    tree: &dyn FileTree,
    environment: &EnvironmentName,
) -> Vec<RepoPath> {
    let Ok(folder) = RepoPath::root().join(&format!("{ENVIRONMENTS}/{environment}")) else {
        return Vec::new();
    };
    let entries = match tree.list(&folder) {
        Ok(entries) => entries,
        Err(error) => {
            problems.add(Problem::error("unreadable", &folder, error.reason()));
            return Vec::new();
        }
    };
    let wanted = |name: &str| is_yaml(name) && name != ENVIRONMENT_FILE;
    let mut paths = Vec::new();
    for entry in entries.iter().filter(|entry| wanted(&entry.name)) {
        let Ok(path) = folder.join(&entry.name) else { continue };
        match entry.kind {
            EntryKind::File => paths.push(path),
            EntryKind::Folder => {}
            EntryKind::Other => {
                problems.add(Problem::error(
                    "unreadable",
                    &path,
                    "this is a link, a submodule or a special file",
                ));
            }
        }
    }
    paths
}
