//! Volumes, and what a container mounts where.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use super::super::grant::Grant;
use super::super::image::ImageRef;
use super::super::name::VolumeName;

/// What is mounted at a target.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mount {
    /// Where its content comes from.
    pub source: MountSource,
    /// Whether the container may only read it.
    pub read_only: bool,
    /// How it is mounted, where that is not the usual way.
    pub options: MountOptions,
}

impl Mount {
    /// The usual mount of `source`.
    pub fn of(source: MountSource) -> Self {
        Self { source, read_only: false, options: MountOptions::default() }
    }

    /// The tmpfs that the options of the short form ask for: `size=64m,mode=1777,uid=1000`.
    ///
    /// # Errors
    /// Gives the option that the kernel doesn't know.
    pub fn tmpfs(options: &str) -> Result<Self, String> {
        let (mut size, mut mode, mut read_only) = (None, None, false);
        let mut kernel = BTreeSet::new();
        for option in options.split(',').filter(|option| !option.is_empty()) {
            let (name, value) = option.split_once('=').unwrap_or((option, ""));
            let known = match (name, value) {
                ("size", value) if value.ends_with('%') => kernel.insert(option.to_owned()),
                ("size", value) => {
                    size = bytes(value);
                    size.is_some()
                }
                ("mode", value) => {
                    mode = u32::from_str_radix(value, 8).ok();
                    mode.is_some()
                }
                ("ro" | "rw", "") => {
                    read_only = name == "ro";
                    true
                }
                // Docker mounts with these anyway.
                ("noexec" | "nosuid" | "nodev", "") => {
                    kernel.remove(name.trim_start_matches("no"));
                    true
                }
                (name, "") if TMPFS_SWITCHES.contains(&name) => {
                    kernel.insert(name.to_owned());
                    true
                }
                (name, value) if TMPFS_VALUES.contains(&name) && !value.is_empty() => {
                    kernel.insert(option.to_owned());
                    true
                }
                _ => false,
            };
            if !known {
                return Err(option.to_owned());
            }
        }
        // A size of nothing is no limit to the kernel.
        let source = MountSource::Tmpfs { size: size.filter(|size| *size > 0), mode };
        Ok(Self {
            read_only,
            options: MountOptions { kernel, ..MountOptions::default() },
            ..Self::of(source)
        })
    }
}

/// Options of a tmpfs that have no value, as far as Docker lets them pass.
const TMPFS_SWITCHES: [&str; 15] = [
    "exec",
    "suid",
    "dev",
    "sync",
    "async",
    "dirsync",
    "mand",
    "nomand",
    "atime",
    "noatime",
    "diratime",
    "nodiratime",
    "relatime",
    "norelatime",
    "strictatime",
];

/// Options of a tmpfs that have a value.
const TMPFS_VALUES: [&str; 5] = ["uid", "gid", "nr_inodes", "nr_blocks", "mpol"];

/// Reads a size as the options of a tmpfs have it: `64m`.
fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text.get(digits.len()..)?.to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" | "kib" => 1 << 10,
        "m" | "mb" | "mib" => 1 << 20,
        "g" | "gb" | "gib" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

/// What a manifest may say about the way something is mounted. Each source knows only some of it; the others stay at
/// their default.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MountOptions {
    /// Of a bind: whether Docker makes a folder where the host has nothing. Once mounted, nobody can tell.
    pub create_source: bool,
    /// Of a bind or volume: how its files are labelled for `SELinux`.
    pub relabel: Option<Relabel>,
    /// Of a bind: how mounts below it are seen on the other side; absent means `rprivate`.
    pub propagation: Option<Propagation>,
    /// Of a bind: what becomes of mounts below it; absent means that they are there, and read-only if the engine can.
    pub recursive: Option<Recursive>,
    /// Of a volume: whether what the image has at the target is not copied into an empty one.
    pub no_copy: bool,
    /// Of a volume or image: the path in it that is mounted.
    pub subpath: Option<String>,
    /// Of a volume: labels for it, if Docker makes it for this mount.
    pub labels: BTreeMap<String, String>,
    /// Of a tmpfs: options for the kernel besides size and mode, `uid=1000`.
    pub kernel: BTreeSet<String>,
}

/// Who may use the files of a mount, for `SELinux`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Relabel {
    /// Every container: `z`.
    Shared,
    /// This container only: `Z`.
    Private,
}

impl fmt::Display for Relabel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Shared => "z",
            Self::Private => "Z",
        })
    }
}

/// How mounts that are made later below a bind are seen on the other side of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "each is the kernel's word")]
pub enum Propagation {
    Private,
    Shared,
    RShared,
    Slave,
    RSlave,
}

impl fmt::Display for Propagation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Private => "private",
            Self::Shared => "shared",
            Self::RShared => "rshared",
            Self::Slave => "slave",
            Self::RSlave => "rslave",
        })
    }
}

/// What becomes of the mounts that lie below the source of a bind.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Recursive {
    /// They are not there.
    Disabled,
    /// They stay writable where the bind is read-only.
    Writable,
    /// They are read-only with the bind, or it fails.
    ReadOnly,
}

impl fmt::Display for Recursive {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Disabled => "disabled",
            Self::Writable => "writable",
            Self::ReadOnly => "readonly",
        })
    }
}

/// Where the content of a mount comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum MountSource {
    /// A named volume.
    Volume(VolumeName),
    /// A volume without a name, made for this container. The engine names it.
    Anonymous,
    /// A path of the host.
    Bind(String),
    /// A file or folder of the configuration repository, by the digest of its content.
    Repository(ContentDigest),
    /// A config or secret, which is always mounted read-only.
    Grant(Grant),
    /// The file system of an image, read-only.
    Image(ImageRef),
    /// Memory, with its greatest size in bytes and its mode.
    Tmpfs {
        /// Most bytes; absent means no limit.
        size: Option<u64>,
        /// Permission bits.
        mode: Option<u32>,
    },
}

/// SHA-256 over the content of a file or folder of the repository, in hexadecimal digits.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ContentDigest(pub String);

impl fmt::Display for ContentDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// A volume of the stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Docker's name of it.
    pub name: VolumeName,
    /// Whether it exists outside of the stack and is only used.
    pub external: bool,
    /// The driver; absent means `local`.
    pub driver: Option<String>,
    /// The driver's options.
    pub options: BTreeMap<String, String>,
    /// Labels that the manifest declares.
    pub labels: BTreeMap<String, String>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trap_68_options_of_a_tmpfs_are_a_set_whatever_their_order() {
        let mount = Mount::tmpfs("uid=1000,rw,noexec,mode=1777,size=64m,exec").unwrap();
        assert_eq!(mount, Mount::tmpfs("exec,size=65536k,mode=1777,uid=1000").unwrap());
        assert_eq!(mount.source, MountSource::Tmpfs { size: Some(64 << 20), mode: Some(0o1777) });
        assert_eq!(mount.options.kernel, ["exec", "uid=1000"].map(str::to_owned).into());
        assert_eq!(Mount::tmpfs("noexec,nosuid,nodev"), Mount::tmpfs(""));
        assert!(Mount::tmpfs("ro").unwrap().read_only);
        for option in ["size=much", "mode=9", "rshared", "uid", "exec=1"] {
            assert_eq!(Mount::tmpfs(option), Err(option.to_owned()));
        }
    }
}
