//! Mounts: always asked for as objects, read back from every form that Docker has for them.

use std::collections::BTreeMap;

use bollard::models::{HostConfig, Mount as ApiMount, MountPoint, MountTmpfsOptions, MountType};

use super::{Unreadable, filled, limit, signed};
use crate::model::spec::{Mount, MountSource};

/// The API's form of `mounts`.
pub(super) fn to_api(mounts: &BTreeMap<String, Mount>) -> Result<Vec<ApiMount>, Unreadable> {
    mounts.iter().map(|(target, mount)| one_to_api(target, mount)).collect()
}

fn one_to_api(target: &str, mount: &Mount) -> Result<ApiMount, Unreadable> {
    let Mount { source, read_only } = mount;
    let blank =
        ApiMount { target: Some(target.to_owned()), read_only: Some(*read_only), ..ApiMount::default() };
    Ok(match source {
        MountSource::Volume(name) => {
            ApiMount { typ: Some(MountType::VOLUME), source: Some(name.to_string()), ..blank }
        }
        MountSource::Anonymous => ApiMount { typ: Some(MountType::VOLUME), ..blank },
        MountSource::Bind(path) => {
            ApiMount { typ: Some(MountType::BIND), source: Some(path.clone()), ..blank }
        }
        MountSource::Tmpfs { size, mode } => ApiMount {
            typ: Some(MountType::TMPFS),
            tmpfs_options: Some(MountTmpfsOptions {
                size_bytes: size.map(signed),
                mode: mode.map(i64::from),
                options: None,
            }),
            ..blank
        },
        MountSource::Repository(digest) => {
            return Err(format!(
                "the file {digest} of the repository, mounted at {target}, was not laid down"
            ));
        }
    })
}

/// Every mount of a container, declared or given by its image.
pub(super) fn from_api(
    points: Vec<MountPoint>,
    host: &HostConfig,
) -> Result<BTreeMap<String, Mount>, Unreadable> {
    let mut mounts = BTreeMap::new();
    for point in points {
        if let Some((target, mount)) = from_point(point, host)? {
            mounts.insert(target, mount);
        }
    }
    // The declared form has the size and mode of a tmpfs, and the path of a bind before Docker changed it.
    for declared in host.mounts.iter().flatten() {
        if let (Some(target), Some(source)) = (&declared.target, declared_source(declared)) {
            mounts.insert(target.clone(), Mount { source, read_only: declared.read_only == Some(true) });
        }
    }
    for (target, options) in host.tmpfs.iter().flatten() {
        mounts.insert(target.clone(), tmpfs_of_options(options));
    }
    Ok(mounts)
}

fn from_point(point: MountPoint, host: &HostConfig) -> Result<Option<(String, Mount)>, Unreadable> {
    let Some(target) = point.destination else { return Ok(None) };
    let source = match point.typ.as_deref() {
        Some("bind") => MountSource::Bind(point.source.unwrap_or_default()),
        Some("volume") => volume(point.name.as_deref().unwrap_or_default(), host)?,
        Some("tmpfs") => MountSource::Tmpfs { size: None, mode: None },
        _ => return Ok(None),
    };
    Ok(Some((target, Mount { source, read_only: point.rw == Some(false) })))
}

/// A volume with a name of 64 hexadecimal digits that nobody asked for by that name was named by Docker.
fn volume(name: &str, host: &HostConfig) -> Result<MountSource, Unreadable> {
    let looks_generated = name.len() == 64 && name.bytes().all(|byte| byte.is_ascii_hexdigit());
    let in_binds = host.binds.iter().flatten().any(|bind| bind.split(':').next() == Some(name));
    if looks_generated && !in_binds {
        return Ok(MountSource::Anonymous);
    }
    name.parse().map(MountSource::Volume).map_err(|error| format!("{error}"))
}

fn declared_source(mount: &ApiMount) -> Option<MountSource> {
    let source = filled(mount.source.clone());
    match (mount.typ?, source) {
        (MountType::BIND, Some(path)) => Some(MountSource::Bind(path)),
        (MountType::VOLUME, None) => Some(MountSource::Anonymous),
        (MountType::VOLUME, Some(name)) => name.parse().ok().map(MountSource::Volume),
        (MountType::TMPFS, _) => {
            let options = mount.tmpfs_options.clone().unwrap_or_default();
            let mode = limit(options.mode).and_then(|mode| u32::try_from(mode).ok());
            Some(MountSource::Tmpfs { size: limit(options.size_bytes), mode })
        }
        (MountType::BIND | MountType::CLUSTER | MountType::IMAGE | MountType::NPIPE, _) => None,
    }
}

/// Reads the older form, `rw,noexec,size=64m,mode=1770`.
fn tmpfs_of_options(options: &str) -> Mount {
    let value = |key: &str| options.split(',').find_map(|part| part.strip_prefix(key));
    let size = value("size=").and_then(bytes);
    let mode = value("mode=").and_then(|mode| u32::from_str_radix(mode, 8).ok());
    Mount {
        source: MountSource::Tmpfs { size, mode },
        read_only: options.split(',').any(|part| part == "ro"),
    }
}

fn bytes(text: &str) -> Option<u64> {
    let digits = text.trim_end_matches(|c: char| c.is_ascii_alphabetic());
    let factor = match text[digits.len()..].to_ascii_lowercase().as_str() {
        "" | "b" => 1,
        "k" | "kb" => 1 << 10,
        "m" | "mb" => 1 << 20,
        "g" | "gb" => 1 << 30,
        _ => return None,
    };
    digits.parse::<u64>().ok()?.checked_mul(factor)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_older_form_of_a_tmpfs_is_read() {
        let host = HostConfig {
            tmpfs: Some([("/run".to_owned(), "ro,size=64m,mode=1770".to_owned())].into()),
            ..HostConfig::default()
        };
        let mounts = from_api(Vec::new(), &host).unwrap();
        let source = MountSource::Tmpfs { size: Some(64 << 20), mode: Some(0o1770) };
        assert_eq!(mounts, BTreeMap::from([("/run".to_owned(), Mount { source, read_only: true })]));
    }

    #[test]
    fn a_volume_of_the_image_is_anonymous_and_a_bound_one_has_its_name() {
        let point = |name: &str, target: &str| MountPoint {
            typ: Some("volume".to_owned()),
            name: Some(name.to_owned()),
            destination: Some(target.to_owned()),
            rw: Some(true),
            ..MountPoint::default()
        };
        let host = HostConfig { binds: Some(vec!["data:/data:rw".to_owned()]), ..HostConfig::default() };
        let mounts = from_api(vec![point(&"a".repeat(64), "/cache"), point("data", "/data")], &host).unwrap();
        assert_eq!(mounts["/cache"].source, MountSource::Anonymous);
        assert_eq!(mounts["/data"].source, MountSource::Volume("data".parse().unwrap()));
    }
}
