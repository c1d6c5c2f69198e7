//! Where configs and secrets lie on the host. The path of a mount says all that the comparison needs to know: which of
//! the two it is, a digest of its content, and who may read it.

use std::collections::BTreeSet;

use sha2::{Digest, Sha256};

use super::fields::DigestKey;
use super::normal::Host;
use crate::model::desired::Desired;
use crate::model::grant::{FileAccess, Grant, GrantContent, GrantKind};
use crate::model::live::LiveContainer;
use crate::model::spec::{ContainerSpec, Mount, MountSource};

/// The name of the file in its place.
pub const FILE_NAME: &str = "content";

/// The place of one config or secret, below the folder for files.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Place {
    /// Which of the two it is.
    pub kind: GrantKind,
    /// Whether the digest is a keyed one, for what must not be guessed.
    pub sensitive: bool,
    /// Digest of the content.
    pub digest: String,
    /// Who may do what with the file.
    pub access: FileAccess,
}

const SENSITIVE_CONFIGS: &str = "sensitive-configs";
/// The folders, below that for files, that hold places.
pub const SECTIONS: [&str; 3] = ["configs", SENSITIVE_CONFIGS, "secrets"];

impl Place {
    /// The place of `grant`.
    pub fn of(grant: &Grant, key: &DigestKey) -> Self {
        let Grant { kind, origin: _, content, access } = grant;
        let sensitive = content.is_sensitive() || *kind == GrantKind::Secret;
        let digest = if sensitive { key.digest_bytes(content.expose()) } else { plain_digest(content) };
        Self { kind: *kind, sensitive, digest, access: *access }
    }

    /// The folder, relative to that for files: `secrets/<digest>-0440-u70`.
    pub fn folder(&self) -> String {
        let Self { kind, sensitive, digest, access: FileAccess { mode, uid, gid } } = self;
        let section = match (kind, sensitive) {
            (GrantKind::Config, true) => SENSITIVE_CONFIGS,
            (kind, _) => kind.section(),
        };
        let uid = uid.map(|uid| format!("-u{uid}")).unwrap_or_default();
        let gid = gid.map(|gid| format!("-g{gid}")).unwrap_or_default();
        format!("{section}/{digest}-{mode:04o}{uid}{gid}")
    }

    /// The path of the file on the host, `files` being the folder for files.
    pub fn path(&self, files: &str) -> String {
        format!("{files}/{}/{FILE_NAME}", self.folder())
    }

    /// The place of the file at `below`, a path relative to the folder for files, if it is one of ours.
    pub fn parse(below: &str) -> Option<Self> {
        let (section, rest) = below.split_once('/')?;
        let name = rest.strip_suffix(FILE_NAME)?.strip_suffix('/')?;
        let (kind, sensitive) = match section {
            "configs" => (GrantKind::Config, false),
            SENSITIVE_CONFIGS => (GrantKind::Config, true),
            "secrets" => (GrantKind::Secret, true),
            _ => return None,
        };
        let mut parts = name.split('-');
        let digest = parts.next()?.to_owned();
        let mode = u32::from_str_radix(parts.next()?, 8).ok()?;
        let mut access = FileAccess { mode, uid: None, gid: None };
        for part in parts {
            let id = part.get(1..)?.parse().ok()?;
            match part.as_bytes().first()? {
                b'u' => access.uid = Some(id),
                b'g' => access.gid = Some(id),
                _ => return None,
            }
        }
        let place = Self { kind, sensitive, digest, access };
        // Only what we would write ourselves is ours.
        (place.path("") == format!("/{below}")).then_some(place)
    }
}

/// The digest of a content that anybody may see.
pub fn plain_digest(content: &GrantContent) -> String {
    hex::encode(Sha256::digest(content.expose()))
}

/// The configs and secrets of a container with their places.
pub(super) fn of_spec<'s>(
    spec: &'s ContainerSpec,
    key: &DigestKey,
) -> impl Iterator<Item = (Place, &'s Grant)> {
    spec.mounts.values().filter_map(|mount| match &mount.source {
        MountSource::Grant(grant) => Some((Place::of(grant, key), grant)),
        MountSource::Volume(_)
        | MountSource::Anonymous
        | MountSource::Bind(_)
        | MountSource::Repository(_)
        | MountSource::Image(_)
        | MountSource::Tmpfs { .. } => None,
    })
}

/// The specification as the engine takes it: with configs and secrets mounted from where they are laid down.
pub(super) fn placed(spec: &ContainerSpec, host: Host<'_>) -> ContainerSpec {
    let mut spec = spec.clone();
    for mount in spec.mounts.values_mut() {
        if let MountSource::Grant(grant) = &mount.source {
            mount.source = MountSource::Bind(Place::of(grant, host.key).path(host.files));
        }
    }
    spec
}

/// The folder of what is laid down at `path`, relative to that for files: of a config, of a secret, or of a file of
/// the repository.
pub(super) fn folder_of(path: &str, files: &str) -> Option<String> {
    let below = path.strip_prefix(files)?.strip_prefix('/')?;
    match Place::parse(below) {
        Some(place) => Some(place.folder()),
        None => below.split_once('/').map(|(digest, _)| digest.to_owned()).filter(|digest| is_digest(digest)),
    }
}

/// The folders of what services want laid down.
pub(super) fn wanted(desired: &Desired, host: Host<'_>) -> BTreeSet<String> {
    let mounts = desired.services.values().flat_map(|service| service.spec.mounts.values());
    let folder = |mount: &Mount| match &mount.source {
        MountSource::Grant(grant) => Some(Place::of(grant, host.key).folder()),
        MountSource::Repository(digest) => Some(digest.0.clone()),
        MountSource::Bind(_)
        | MountSource::Volume(_)
        | MountSource::Anonymous
        | MountSource::Image(_)
        | MountSource::Tmpfs { .. } => None,
    };
    mounts.filter_map(folder).collect()
}

/// The folders, below that for files, of what containers mount.
pub(super) fn mounted<'c>(
    containers: impl IntoIterator<Item = &'c LiveContainer>,
    files: &str,
) -> BTreeSet<String> {
    let mounts = containers.into_iter().flat_map(|container| container.spec.mounts.values());
    let folder = |mount: &Mount| match &mount.source {
        MountSource::Bind(path) => folder_of(path, files),
        MountSource::Grant(_)
        | MountSource::Repository(_)
        | MountSource::Volume(_)
        | MountSource::Anonymous
        | MountSource::Image(_)
        | MountSource::Tmpfs { .. } => None,
    };
    mounts.filter_map(folder).collect()
}

/// Whether a name can be the digest of a file of the repository, and not the folder of all configs.
pub fn is_digest(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(kind: GrantKind, sensitive: bool, access: FileAccess) -> Grant {
        let content = GrantContent::new(&b"hunter2"[..], sensitive);
        Grant { kind, origin: "x".to_owned(), content, access }
    }

    #[test]
    fn a_place_is_read_back_from_its_path() {
        let key = DigestKey::new([7; 32]);
        for access in [
            FileAccess::default(),
            FileAccess { mode: 0o440, uid: Some(70), gid: None },
            FileAccess { mode: 0, uid: None, gid: Some(0) },
            FileAccess { mode: 0o4777, uid: Some(u32::MAX), gid: Some(1) },
        ] {
            for (kind, sensitive) in
                [(GrantKind::Config, false), (GrantKind::Config, true), (GrantKind::Secret, true)]
            {
                let place = Place::of(&grant(kind, sensitive, access), &key);
                let path = place.path("/state/files");
                assert_eq!(Place::parse(path.strip_prefix("/state/files/").unwrap()), Some(place.clone()));
                assert_eq!(folder_of(&path, "/state/files"), Some(place.folder()));
            }
        }
        for foreign in ["configs/ab/content", "configs/ab-0444/x", "secrets/ab-0444-x1/content", "ab/content"]
        {
            assert_eq!(Place::parse(foreign), None, "{foreign}");
        }
        assert_eq!(folder_of("/state/files/c0ffee/x", "/state/files").as_deref(), Some("c0ffee"));
        assert_eq!(folder_of("/state/files/configs/x", "/state/files"), None);
    }

    #[test]
    fn the_digest_of_what_is_sensitive_needs_the_key() {
        let digest = |kind, sensitive, key| {
            Place::of(&grant(kind, sensitive, FileAccess::default()), &DigestKey::new([key; 32])).digest
        };
        assert_eq!(digest(GrantKind::Config, false, 1), digest(GrantKind::Config, false, 2));
        assert_ne!(digest(GrantKind::Config, true, 1), digest(GrantKind::Config, true, 2));
        // Whatever is declared as a secret is one.
        assert_ne!(digest(GrantKind::Secret, false, 1), digest(GrantKind::Secret, false, 2));
    }
}
