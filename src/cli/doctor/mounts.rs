//! What is mounted where, by the words of `/proc/self/mountinfo`; and whether a folder of a container is the same folder of
//! its host.

use std::path::{Path, PathBuf};

use super::finding::Finding;

/// A mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Mount {
    /// Which folder of its file system is mounted.
    pub(super) root: PathBuf,
    /// Where.
    pub(super) point: PathBuf,
    /// The kind of file system: `ext4`.
    pub(super) kind: String,
}

/// The mount that `path` is in.
pub(super) fn mount_of(mountinfo: &str, path: &Path) -> Option<Mount> {
    let mounts = mountinfo.lines().filter_map(mount);
    // Of several at one place the last one hides the others.
    mounts.filter(|mount| path.starts_with(&mount.point)).max_by_key(|mount| mount.point.components().count())
}

/// `36 35 98:0 /root /point rw,noatime master:1 - ext3 /dev/root rw`
fn mount(line: &str) -> Option<Mount> {
    let (of_mount, of_system) = line.split_once(" - ")?;
    let mut words = of_mount.split(' ').skip(3);
    let (root, point) = (unescaped(words.next()?), unescaped(words.next()?));
    Some(Mount { root, point, kind: of_system.split(' ').next()?.to_owned() })
}

/// Blanks in paths are written as octal numbers.
fn unescaped(word: &str) -> PathBuf {
    let blanks = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    blanks.iter().fold(word.to_owned(), |text, (code, blank)| text.replace(code, blank)).into()
}

/// Whether this process runs in a container.
pub(super) fn is_in_container() -> bool {
    ["/.dockerenv", "/run/.containerenv"].iter().any(|mark| Path::new(mark).exists())
}

/// Judges whether the state folder at `path`, as a container sees it, is the same folder of the host.
pub(super) fn same_on_host(path: &Path, mountinfo: &str) -> Finding {
    const CHECK: &str = "container";
    let why = "containers mount files from below it, and Docker looks for them on the host under the very path that it is \
               told";
    let hint = format!("mount it under its own name: `volumes: [\"{0}:{0}\"]`", path.display());
    let mount = mount_of(mountinfo, path).filter(|mount| mount.point != Path::new("/"));
    match mount {
        None => Finding::failed(
            CHECK,
            format!("{} is inside of this container, and goes with it", path.display()),
        ),
        // The folder of the host, as seen from the root of its own file system: `/lib/x` where `/var` is one.
        Some(Mount { root, point, .. }) if point.ends_with(root.strip_prefix("/").unwrap_or(&root)) => {
            return Finding::ok(CHECK, format!("{} is the same folder here and on the host", path.display()));
        }
        Some(Mount { root, .. }) => Finding::failed(
            CHECK,
            format!(
                "{} is {} on the disk of the host, and not the same path",
                path.display(),
                root.display()
            ),
        ),
    }
    .why(why)
    .hint(hint)
}

/// The container that this process runs in, from what Docker mounts into each: its names and addresses.
pub(super) fn own_container(mountinfo: &str) -> Option<&str> {
    let (_, rest) = mountinfo.split_once("/containers/")?;
    let id = rest.get(..64)?;
    id.bytes().all(|byte| byte.is_ascii_hexdigit()).then_some(id)
}

#[cfg(test)]
mod tests {
    use super::super::finding::Verdict;
    use super::*;

    const HOST: &str = "22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\n\
                        40 22 8:2 / /var rw shared:2 - xfs /dev/sda2 rw\n\
                        41 40 0:50 / /var/lib/my\\040disk rw - nfs4 server:/x rw\n";

    #[test]
    fn a_path_is_in_its_nearest_mount() {
        for (path, kind) in [("/etc", "ext4"), ("/var/lib/evenkeel", "xfs"), ("/var/lib/my disk/a", "nfs4")] {
            assert_eq!(mount_of(HOST, Path::new(path)).unwrap().kind, kind);
        }
        assert_eq!(mount_of("", Path::new("/")), None);
        assert_eq!(mount_of("nonsense\n1 2 3 - x", Path::new("/")), None);
    }

    #[test]
    fn a_container_knows_itself_by_what_docker_mounts_into_it() {
        let id = "3f".repeat(32);
        let line =
            format!("50 22 8:1 /var/lib/docker/containers/{id}/hosts /etc/hosts rw - ext4 /dev/sda1 rw\n");
        assert_eq!(own_container(&format!("{HOST}{line}")), Some(id.as_str()));
        for other in [HOST, "", "50 22 8:1 /srv/containers/x /x rw - ext4 /dev/sda1 rw\n"] {
            assert_eq!(own_container(other), None, "{other}");
        }
    }

    #[test]
    fn the_state_folder_of_a_container_is_the_same_on_the_host() {
        let path = Path::new("/var/lib/evenkeel");
        let overlay = "22 1 0:60 / / rw - overlay overlay rw\n";
        for (mount, expected) in [
            ("", Verdict::Failed),
            ("50 22 8:1 /var/lib/evenkeel /var/lib/evenkeel rw - ext4 /dev/sda1 rw\n", Verdict::Ok),
            // `/var` is a file system of its own on the host, then the folder itself.
            ("50 22 8:1 /lib/evenkeel /var/lib/evenkeel rw - ext4 /dev/sda2 rw\n", Verdict::Ok),
            ("50 22 8:1 / /var/lib/evenkeel rw - ext4 /dev/sda3 rw\n", Verdict::Ok),
            ("50 22 8:1 /var/lib /var/lib rw - ext4 /dev/sda1 rw\n", Verdict::Ok),
            ("50 22 8:1 /srv/state /var/lib/evenkeel rw - ext4 /dev/sda1 rw\n", Verdict::Failed),
            (
                "50 22 8:1 /var/lib/docker/volumes/x/_data /var/lib/evenkeel rw - ext4 /dev/sda1 rw\n",
                Verdict::Failed,
            ),
        ] {
            let finding = same_on_host(path, &format!("{overlay}{mount}"));
            assert_eq!(finding.verdict, expected, "{mount}: {finding:?}");
        }
    }
}
