//! The folder of mirrors on the disk: how objects get into a mirror, how it is made anew, and how what was cut off is
//! cleared away. Everything here blocks.

use std::collections::BTreeSet;
use std::fs::{self, DirBuilder, File};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use git2::{Indexer, Oid, Repository, RepositoryInitOptions};
use sha2::{Digest, Sha256};

use super::error::RemoteProblem;

/// How the name of everything begins that is only there for a while.
const PASSING: &str = ".passing-";
/// So many packs of an hour ago or more are put into one.
const PACKS_MAX: usize = 50;
/// Younger packs stay: what was deployed a moment ago may be in one, and no reference names it yet.
const YOUNG: Duration = Duration::from_secs(60 * 60);
/// The file in which a pack is received.
pub(super) const RECEIVED: &str = "received";
/// The mode of a pack: nobody writes into one.
const PACK_MODE: u32 = 0o400;

/// The name of the mirror of an address: something to recognise it by, and a digest.
pub(super) fn name(address: &str) -> String {
    let last = address.rsplit('/').next().unwrap_or_default().trim_end_matches(".git");
    let fits = |c: &char| c.is_ascii_alphanumeric() || "._-".contains(*c);
    let known: String = last.chars().filter(fits).take(40).collect();
    let digest = hex::encode(Sha256::digest(address.as_bytes()));
    format!("{}-{}.git", known.trim_start_matches('.'), &digest[..16])
}

/// Makes the folder, and clears away what was cut off in it.
pub(super) fn tidy(folder: &Path) -> Result<(), RemoteProblem> {
    let failed = |error: io::Error| RemoteProblem::io(folder, &error);
    DirBuilder::new().recursive(true).mode(0o700).create(folder).map_err(failed)?;
    for entry in fs::read_dir(folder).map_err(failed)? {
        let path = entry.map_err(failed)?.path();
        let is_passing = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(PASSING));
        if is_passing {
            let gone = if path.is_dir() { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
            gone.map_err(failed)?;
        } else if path.is_dir() {
            tidy_mirror(&path).map_err(failed)?;
        }
    }
    Ok(())
}

/// Removes locks that nobody holds any more, and packs that are not whole.
fn tidy_mirror(mirror: &Path) -> io::Result<()> {
    let mut folders = vec![mirror.join("refs")];
    while let Some(folder) = folders.pop() {
        for entry in entries(&folder)? {
            if entry.is_dir() {
                folders.push(entry);
            } else if entry.extension().is_some_and(|ending| ending == "lock") {
                fs::remove_file(entry)?;
            }
        }
    }
    for entry in entries(mirror)? {
        if entry.extension().is_some_and(|ending| ending == "lock") {
            fs::remove_file(entry)?;
        }
    }
    for entry in entries(&mirror.join("objects/pack"))? {
        let is_whole = ["pack", "idx"].iter().all(|ending| entry.with_extension(ending).is_file());
        if !is_whole && entry.is_file() {
            fs::remove_file(entry)?;
        }
    }
    Ok(())
}

fn entries(folder: &Path) -> io::Result<Vec<PathBuf>> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.map(|entry| Ok(entry?.path())).collect(),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// A folder that goes when it is dropped, or at the next start.
pub(super) fn passing(folder: &Path) -> Result<tempfile::TempDir, RemoteProblem> {
    let made = tempfile::Builder::new().prefix(PASSING).tempdir_in(folder);
    made.map_err(|error| RemoteProblem::io(folder, &error))
}

/// Makes an empty mirror. Nothing of the host's settings gets into it.
pub(super) fn make(path: &Path) -> Result<Repository, RemoteProblem> {
    let mut options = RepositoryInitOptions::new();
    options.bare(true).external_template(false).mkpath(true).no_reinit(true).initial_head("evenkeel/none");
    Repository::init_opts(path, &options).map_err(|error| RemoteProblem::git(path, "make a mirror", &error))
}

/// Puts a received pack into a mirror, once its objects are what their names say and lead to all that `target` needs.
pub(super) fn install(
    mirror: &Repository,
    (passing, target): (&Path, Oid),
    stopped: &AtomicBool,
) -> Result<(), RemoteProblem> {
    let failed = |error: git2::Error| RemoteProblem::git(passing, "store the objects", &error);
    // Laid out as a folder of objects, so that they can be looked at before they are in the mirror.
    let beside = passing.join("objects");
    let packs = beside.join("pack");
    fs::create_dir_all(&packs).map_err(|error| RemoteProblem::io(&packs, &error))?;
    let objects = mirror.odb().map_err(failed)?;
    // Its own check for completeness takes a submodule's commit, which is never here, for missing.
    let mut indexer = Indexer::new(Some(&objects), &packs, PACK_MODE, false).map_err(failed)?;
    let pack = passing.join(RECEIVED);
    let mut file = File::open(&pack).map_err(|error| RemoteProblem::io(&pack, &error))?;
    let mut chunk = vec![0; 1 << 20];
    loop {
        let read = file.read(&mut chunk).map_err(|error| RemoteProblem::io(&pack, &error))?;
        if read == 0 {
            break;
        }
        if stopped.load(Ordering::Relaxed) {
            return Err(RemoteProblem::Stopped);
        }
        io::Write::write_all(&mut indexer, &chunk[..read]).map_err(|error| {
            let of_git = error.get_ref().and_then(|inner| inner.downcast_ref::<git2::Error>());
            of_git.map_or_else(
                || RemoteProblem::io(passing, &error),
                |inner| RemoteProblem::git(passing, "store the objects", inner),
            )
        })?;
    }
    let name = indexer.commit().map_err(failed)?;
    let Some(beside) = beside.to_str() else {
        let message = "its name is no text".to_owned();
        return Err(RemoteProblem::File { path: beside, message });
    };
    objects.add_disk_alternate(beside).map_err(failed)?;
    if !leads_on(mirror, target) {
        return Err(RemoteProblem::Protocol("it sends less than what it says it has"));
    }
    place(mirror.path(), &packs, &name)
}

/// Whether everything is there that `target` leads to and that the references of the mirror don't.
fn leads_on(mirror: &Repository, target: Oid) -> bool {
    let commits = || -> Result<Oid, git2::Error> {
        let commit = mirror.find_object(target, None)?.peel_to_commit()?.id();
        let mut walk = mirror.revwalk()?;
        walk.push(commit)?;
        for reference in mirror.references()? {
            walk.hide(reference?.peel_to_commit()?.id())?;
        }
        for id in walk {
            mirror.find_commit(id?)?;
        }
        Ok(commit)
    };
    commits().is_ok_and(|commit| is_sound(mirror, commit))
}

/// Moves a pack and then its index into a mirror: without an index, nobody looks at a pack.
fn place(mirror: &Path, from: &Path, name: &str) -> Result<(), RemoteProblem> {
    let to = mirror.join("objects/pack");
    fs::create_dir_all(&to).map_err(|error| RemoteProblem::io(&to, &error))?;
    for ending in ["pack", "idx"] {
        let file = format!("pack-{name}.{ending}");
        let from = from.join(&file);
        let moved = File::open(&from)
            .and_then(|file| file.sync_all())
            .and_then(|()| fs::rename(&from, to.join(file)));
        moved.map_err(|error| RemoteProblem::io(&to, &error))?;
    }
    let synced = File::open(&to).and_then(|folder| folder.sync_all());
    synced.map_err(|error| RemoteProblem::io(&to, &error))
}

/// Whether everything of a commit's files can be read and is what its name says.
pub(super) fn is_sound(mirror: &Repository, commit: Oid) -> bool {
    let whole = || -> Result<(), git2::Error> {
        let mut trees = vec![mirror.find_commit(commit)?.tree_id()];
        let mut seen = BTreeSet::new();
        let objects = mirror.odb()?;
        while let Some(id) = trees.pop() {
            if !seen.insert(id) {
                continue;
            }
            for entry in &mirror.find_tree(id)? {
                match entry.kind() {
                    Some(git2::ObjectType::Tree) => trees.push(entry.id()),
                    // What is too large to be used is not unpacked either.
                    Some(git2::ObjectType::Blob)
                        if objects.read_header(entry.id())?.0 as u64
                            <= crate::model::tree::FILE_BYTES_MAX =>
                    {
                        objects.read(entry.id())?;
                    }
                    Some(_) | None => {}
                }
            }
        }
        Ok(())
    };
    whole().is_ok()
}

/// Puts many small packs into one, with everything that a reference leads to. Returns whether there was need for it.
///
/// Whoever reads meanwhile must be kept out while the old ones are removed: `alone` does that.
pub(super) fn compact<G>(
    mirror: &Path,
    folder: &Path,
    alone: impl FnOnce() -> G,
) -> Result<bool, RemoteProblem> {
    let old = old_packs(&mirror.join("objects/pack")).map_err(|error| RemoteProblem::io(mirror, &error))?;
    if old.len() < PACKS_MAX {
        return Ok(false);
    }
    let beside = passing(folder)?;
    let packed = || -> Result<String, git2::Error> {
        let git = Repository::open_bare(mirror)?;
        let mut walk = git.revwalk()?;
        for reference in git.references()? {
            walk.push(reference?.peel_to_commit()?.id())?;
        }
        let mut builder = git.packbuilder()?;
        builder.insert_walk(&mut walk)?;
        builder.write(beside.path(), PACK_MODE)?;
        Ok(builder.name()?.unwrap_or_default().to_owned())
    };
    let name = packed().map_err(|error| RemoteProblem::git(folder, "put packs together", &error))?;
    place(mirror, beside.path(), &name)?;
    let _alone = alone();
    for stem in old.iter().filter(|stem| !stem.ends_with(format!("pack-{name}"))) {
        // The index goes first: without one, nobody looks at the rest.
        for ending in ["idx", "pack"] {
            let path = stem.with_extension(ending);
            fs::remove_file(&path).map_err(|error| RemoteProblem::io(&path, &error))?;
        }
    }
    Ok(true)
}

/// The packs that are not young, by their path without an ending.
fn old_packs(folder: &Path) -> io::Result<BTreeSet<PathBuf>> {
    let mut old = BTreeSet::new();
    for path in entries(folder)? {
        let is_index = path.extension().is_some_and(|ending| ending == "idx");
        if is_index && fs::metadata(&path)?.modified()?.elapsed().is_ok_and(|age| age > YOUNG) {
            old.insert(path.with_extension(""));
        }
    }
    Ok(old)
}
