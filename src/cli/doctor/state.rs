//! Whether the state folder is safe: whose it is, how much room there is, and whether its file system keeps what it is told.

use std::fs::{self, Metadata};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{StatVfs, statvfs};

use super::finding::Finding;
use super::mounts::{Mount, mount_of};
use crate::cli::words;

const CHECK: &str = "state";
const DISK: &str = "state-disk";
const FILE_SYSTEM: &str = "state-files";

/// Less room than that is a failure: a ledger and the files of a deploy no longer fit.
const BYTES_MIN: u64 = 100 << 20;
/// Less room than that is a warning.
const BYTES_FEW: u64 = 1 << 30;
/// The same in inodes: each file that is laid down takes one.
const INODES_MIN: u64 = 1_000;
const INODES_FEW: u64 = 20_000;

/// Looks at the folder at `path`, of a process of the user `me`. `mounts` is what `/proc/self/mountinfo` says.
pub(super) fn examine(path: &Path, me: u32, mounts: &str) -> Vec<Finding> {
    // What isn't there yet will be made where its nearest folder is.
    let Some((nearest, about)) =
        path.ancestors().find_map(|at| fs::metadata(at).ok().map(|about| (at, about)))
    else {
        return vec![Finding::failed(CHECK, format!("{} can't be looked at", path.display()))];
    };
    let mut findings = vec![if nearest == path {
        owned(path, &about, me)
    } else {
        Finding::ok(CHECK, format!("{} is not there yet, and is made by the first deploy", path.display()))
    }];
    match statvfs(nearest) {
        Ok(room) => findings.push(enough(DISK, nearest, &room)),
        Err(error) => findings.push(
            Finding::warning(DISK, format!("nobody knows how much room there is in {}", nearest.display()))
                .why(error.to_string()),
        ),
    }
    let canonical = nearest.canonicalize().unwrap_or_else(|_| nearest.to_owned());
    if let Some(mount) = mount_of(mounts, &canonical) {
        findings.push(keeps(&mount));
    }
    if nearest == path && about.is_dir() {
        findings.extend(locks(path));
    }
    findings
}

fn owned(path: &Path, about: &Metadata, me: u32) -> Finding {
    let shown = path.display();
    if !about.is_dir() {
        return Finding::failed(CHECK, format!("{shown} is not a folder"))
            .hint("say another one with `state` in agent.yaml");
    }
    if about.uid() != me {
        return Finding::failed(
            CHECK,
            format!("{shown} belongs to the user {}, and this is {me}", about.uid()),
        )
        .why("an agent that can't write its ledger deploys nothing")
        .hint("run this as the user of the agent, with `sudo` for the packaged one");
    }
    let mode = about.mode() & 0o777;
    if mode & 0o077 != 0 {
        return Finding::failed(CHECK, format!("others may look into {shown}, its mode is {mode:04o}"))
            .why("files of `secrets` lie below it")
            .hint(format!("chmod 0700 {shown}"));
    }
    Finding::ok(CHECK, format!("{shown} is for its owner alone"))
}

/// Judges the room where `path` is.
pub(super) fn enough(check: &'static str, path: &Path, room: &StatVfs) -> Finding {
    let bytes = room.f_bavail.saturating_mul(room.f_frsize);
    // A file system that makes inodes as they are needed counts none.
    let inodes = (room.f_files > 0).then_some(room.f_favail);
    judged_room(check, path, bytes, inodes)
}

fn judged_room(check: &'static str, path: &Path, bytes: u64, inodes: Option<u64>) -> Finding {
    let shown = path.display();
    let free = words::bytes(bytes);
    let hint = "make room: `docker system df` says what Docker holds, `du -x -d2 /var | sort -n` the rest";
    let few = inodes.filter(|free| *free < INODES_FEW);
    if bytes < BYTES_MIN || inodes.is_some_and(|free| free < INODES_MIN) {
        let what = few.map_or(free, |inodes| format!("{inodes} inodes"));
        return Finding::failed(check, format!("only {what} are free in {shown}"))
            .why("the next deploy would fail for want of room")
            .hint(hint);
    }
    if let Some(inodes) = few {
        return Finding::warning(check, format!("only {inodes} inodes are free in {shown}")).hint(hint);
    }
    if bytes < BYTES_FEW {
        return Finding::warning(check, format!("only {free} are free in {shown}")).hint(hint);
    }
    Finding::ok(check, format!("{free} are free in {shown}"))
}

/// Judges the kind of file system.
fn keeps(mount: &Mount) -> Finding {
    let Mount { kind, .. } = mount;
    match kind.as_str() {
        "nfs" | "nfs4" | "cifs" | "smb3" | "9p" | "vboxsf" | "virtiofs" | "fuse.sshfs" | "fuse.s3fs"
        | "fuse.rclone" | "fuse.glusterfs" | "ceph" => Finding::failed(
            FILE_SYSTEM,
            format!("the state folder is on {kind}, over a network or from another system"),
        )
        .why("SQLite needs locks and flushes that such file systems don't keep")
        .hint("say a folder on a disk of this host with `state` in agent.yaml"),
        "tmpfs" | "ramfs" => Finding::failed(
            FILE_SYSTEM,
            format!("the state folder is on {kind}, which is empty after a restart"),
        )
        .why("the memory of what was deployed, and files that containers mount, would be gone")
        .hint("say a folder on a disk with `state` in agent.yaml"),
        kind => Finding::ok(FILE_SYSTEM, format!("the state folder is on {kind}")),
    }
}

/// Tries to lock a file there, which some file systems let through and others refuse.
fn locks(path: &Path) -> Option<Finding> {
    let tried = tempfile::Builder::new().prefix(".doctor-").tempfile_in(path).and_then(|file| {
        file.as_file().sync_all()?;
        file.as_file().try_lock().map_err(std::io::Error::from)
    });
    let error = tried.err()?;
    Some(
        Finding::failed(FILE_SYSTEM, format!("no file can be written and locked in {}", path.display()))
            .why(error.to_string())
            .hint("run this as the user of the agent; if it is that, see `dmesg` and `mount`"),
    )
}

#[cfg(test)]
mod tests {
    use std::fs::Permissions;
    use std::os::unix::fs::PermissionsExt;

    use super::super::finding::Verdict;
    use super::*;

    fn me(path: &Path) -> u32 {
        fs::metadata(path).unwrap().uid()
    }

    fn of<'a>(findings: &'a [Finding], check: &str) -> &'a Finding {
        findings.iter().find(|finding| finding.check == check).unwrap()
    }

    #[test]
    fn a_folder_is_for_its_owner_alone() {
        let temp = tempfile::tempdir().unwrap();
        let me = me(temp.path());
        for (mode, expected) in [(0o700, Verdict::Ok), (0o750, Verdict::Failed), (0o755, Verdict::Failed)] {
            fs::set_permissions(temp.path(), Permissions::from_mode(mode)).unwrap();
            let findings = examine(temp.path(), me, "");
            assert_eq!(of(&findings, CHECK).verdict, expected, "{mode:o}");
        }
        assert_eq!(fs::read_dir(temp.path()).unwrap().count(), 0, "what is made is removed");
        let findings = examine(temp.path(), me + 1, "");
        assert!(of(&findings, CHECK).what.contains("belongs to"), "{findings:?}");
        fs::write(temp.path().join("file"), "").unwrap();
        assert_eq!(of(&examine(&temp.path().join("file"), me, ""), CHECK).verdict, Verdict::Failed);
        let findings = examine(&temp.path().join("a/b"), me, "");
        assert!(of(&findings, CHECK).what.contains("not there yet"), "{findings:?}");
    }

    #[test]
    fn room_is_counted_in_bytes_and_in_inodes() {
        let at = Path::new("/x");
        for (bytes, inodes, expected) in [
            (50 << 20, Some(1_000_000), Verdict::Failed),
            (500 << 20, Some(1_000_000), Verdict::Warning),
            (50 << 30, Some(1_000_000), Verdict::Ok),
            (50 << 30, Some(10), Verdict::Failed),
            (50 << 30, Some(10_000), Verdict::Warning),
            (50 << 30, None, Verdict::Ok),
        ] {
            assert_eq!(judged_room(DISK, at, bytes, inodes).verdict, expected, "{bytes} {inodes:?}");
        }
        assert!(judged_room(DISK, at, 50 << 30, Some(10)).what.contains("10 inodes"));
    }

    #[test]
    fn a_file_system_that_forgets_or_cant_lock_is_none_for_a_ledger() {
        let mount = |kind: &str| Mount { root: "/".into(), point: "/".into(), kind: kind.to_owned() };
        for (kind, expected) in [
            ("ext4", Verdict::Ok),
            ("xfs", Verdict::Ok),
            ("nfs4", Verdict::Failed),
            ("fuse.sshfs", Verdict::Failed),
            ("tmpfs", Verdict::Failed),
        ] {
            assert_eq!(keeps(&mount(kind)).verdict, expected, "{kind}");
        }
    }
}
