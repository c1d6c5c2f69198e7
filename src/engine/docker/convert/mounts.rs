//! Mounts: asked for in whichever of Docker's three forms can say them, and read back from all of them.
//!
//! Objects say most. Only the older strings let Docker make the source of a bind on every engine and label files for
//! `SELinux`, and only the older map has the options of a tmpfs on every engine.

use std::collections::{BTreeMap, BTreeSet};

use bollard::models::{
    HostConfig, Mount as ApiMount, MountBindOptions, MountBindOptionsPropagationEnum as ApiPropagation,
    MountImageOptions, MountPoint, MountTmpfsOptions, MountType, MountVolumeOptions,
};

use super::{Unreadable, filled, limit, signed};
use crate::model::spec::{Mount, MountOptions, MountSource, Propagation, Recursive, Relabel};

/// The label with which newer engines mark a volume without a name, in what was asked for too.
const ANONYMOUS: &str = "com.docker.volume.anonymous";

/// The mounts of a container in the forms of the API.
#[derive(Debug, Default)]
pub(super) struct ApiMounts {
    pub(super) mounts: Vec<ApiMount>,
    pub(super) binds: Vec<String>,
    pub(super) tmpfs: BTreeMap<String, String>,
}

/// The API's form of `mounts`.
pub(super) fn to_api(mounts: &BTreeMap<String, Mount>) -> Result<ApiMounts, Unreadable> {
    let mut all = ApiMounts::default();
    for (target, mount) in mounts {
        if !mount.options.kernel.is_empty() {
            all.tmpfs.insert(target.clone(), tmpfs_to_options(mount));
        } else if let Some(bind) = bind_string(target, mount) {
            all.binds.push(bind);
        } else if mount.options.relabel.is_some() {
            return Err(format!("Docker can't relabel the mount at {target}: there is a colon in its path"));
        } else {
            all.mounts.push(one_to_api(target, mount)?);
        }
    }
    Ok(all)
}

/// The older form `source:target:options`, where the mount needs it and it can say it.
fn bind_string(target: &str, mount: &Mount) -> Option<String> {
    let Mount { source, read_only, options } = mount;
    let MountOptions {
        create_source,
        relabel,
        propagation,
        recursive,
        no_copy,
        subpath: _,
        labels: _,
        kernel: _,
    } = options;
    let (source, needed) = match source {
        MountSource::Bind(path) => (path.as_str(), *create_source || relabel.is_some()),
        MountSource::Volume(name) => (name.as_str(), relabel.is_some()),
        MountSource::Anonymous
        | MountSource::Repository(_)
        | MountSource::Grant(_)
        | MountSource::Image(_)
        | MountSource::Tmpfs { .. } => return None,
    };
    if !needed || recursive.is_some() || source.contains(':') || target.contains(':') {
        return None;
    }
    let mut words = vec![if *read_only { "ro" } else { "rw" }.to_owned()];
    words.extend(relabel.map(|relabel| relabel.to_string()));
    words.extend(propagation.map(|propagation| propagation.to_string()));
    words.extend(no_copy.then(|| "nocopy".to_owned()));
    Some(format!("{source}:{target}:{}", words.join(",")))
}

fn tmpfs_to_options(mount: &Mount) -> String {
    let mut words: Vec<String> = mount.options.kernel.iter().cloned().collect();
    if let MountSource::Tmpfs { size, mode } = &mount.source {
        words.extend(size.map(|size| format!("size={size}")));
        words.extend(mode.map(|mode| format!("mode={mode:o}")));
    }
    words.extend(mount.read_only.then(|| "ro".to_owned()));
    words.join(",")
}

fn one_to_api(target: &str, mount: &Mount) -> Result<ApiMount, Unreadable> {
    let Mount { source, read_only, options } = mount;
    let blank =
        ApiMount { target: Some(target.to_owned()), read_only: Some(*read_only), ..ApiMount::default() };
    Ok(match source {
        MountSource::Volume(name) => ApiMount {
            typ: Some(MountType::VOLUME),
            source: Some(name.to_string()),
            volume_options: volume_options(options),
            ..blank
        },
        MountSource::Anonymous => {
            ApiMount { typ: Some(MountType::VOLUME), volume_options: volume_options(options), ..blank }
        }
        MountSource::Bind(path) => ApiMount {
            typ: Some(MountType::BIND),
            source: Some(path.clone()),
            bind_options: bind_options(options),
            ..blank
        },
        MountSource::Image(image) => ApiMount {
            typ: Some(MountType::IMAGE),
            source: Some(image.to_string()),
            image_options: options.subpath.clone().map(|path| MountImageOptions { subpath: Some(path) }),
            read_only: None,
            ..blank
        },
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
        MountSource::Grant(grant) => {
            return Err(format!("the {}, mounted at {target}, was not laid down", grant.kind.word()));
        }
    })
}

fn bind_options(options: &MountOptions) -> Option<MountBindOptions> {
    let MountOptions { create_source, propagation, recursive, .. } = options;
    let is = |wanted| (*recursive == Some(wanted)).then_some(true);
    let bind = MountBindOptions {
        propagation: propagation.map(|propagation| match propagation {
            Propagation::Private => ApiPropagation::PRIVATE,
            Propagation::Shared => ApiPropagation::SHARED,
            Propagation::RShared => ApiPropagation::RSHARED,
            Propagation::Slave => ApiPropagation::SLAVE,
            Propagation::RSlave => ApiPropagation::RSLAVE,
        }),
        create_mountpoint: create_source.then_some(true),
        non_recursive: is(Recursive::Disabled),
        read_only_non_recursive: is(Recursive::Writable),
        read_only_force_recursive: is(Recursive::ReadOnly),
    };
    (bind != MountBindOptions::default()).then_some(bind)
}

fn volume_options(options: &MountOptions) -> Option<MountVolumeOptions> {
    let MountOptions { no_copy, subpath, labels, .. } = options;
    let volume = MountVolumeOptions {
        no_copy: no_copy.then_some(true),
        labels: (!labels.is_empty()).then(|| labels.clone().into_iter().collect()),
        driver_config: None,
        subpath: subpath.clone(),
    };
    (volume != MountVolumeOptions::default()).then_some(volume)
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
    // The declared forms have what Docker doesn't show of what it mounted, and the path of a bind before it changed it.
    for declared in host.mounts.iter().flatten() {
        if let (Some(target), Some(source)) = (&declared.target, declared_source(declared)) {
            let read_only = declared.read_only == Some(true) || matches!(source, MountSource::Image(_));
            mounts.insert(target.clone(), Mount { source, read_only, options: declared_options(declared) });
        }
    }
    for bind in host.binds.iter().flatten() {
        if let Some((target, mount)) = from_bind(bind) {
            mounts.insert(target, mount);
        }
    }
    for (target, options) in host.tmpfs.iter().flatten() {
        // Docker refuses what the kernel doesn't know, so this has only what can be read.
        let mount = Mount::tmpfs(options).or_else(|_| Mount::tmpfs(""));
        mounts.extend(mount.ok().map(|mount| (target.clone(), mount)));
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
    Ok(Some((target, Mount { read_only: point.rw == Some(false), ..Mount::of(source) })))
}

/// Reads `source:target:options`. Of an unusual one nothing is read: what Docker mounted tells the rest.
fn from_bind(bind: &str) -> Option<(String, Mount)> {
    let mut parts = bind.split(':');
    let (source, target, words) = (parts.next()?, parts.next()?, parts.next().unwrap_or_default());
    if parts.next().is_some() || target.is_empty() {
        return None;
    }
    let is_path = source.starts_with('/');
    let source = if is_path {
        MountSource::Bind(source.to_owned())
    } else {
        MountSource::Volume(source.parse().ok()?)
    };
    let words: BTreeSet<&str> = words.split(',').collect();
    let mut options = MountOptions { create_source: is_path, ..MountOptions::default() };
    options.no_copy = words.contains("nocopy");
    options.relabel = [("z", Relabel::Shared), ("Z", Relabel::Private)]
        .into_iter()
        .find_map(|(word, relabel)| words.contains(word).then_some(relabel));
    options.propagation = [
        ("private", Propagation::Private),
        ("shared", Propagation::Shared),
        ("rshared", Propagation::RShared),
        ("slave", Propagation::Slave),
        ("rslave", Propagation::RSlave),
    ]
    .into_iter()
    .find_map(|(word, propagation)| words.contains(word).then_some(propagation));
    let target = if target.len() > 1 { target.trim_end_matches('/') } else { target };
    Some((target.to_owned(), Mount { source, read_only: words.contains("ro"), options }))
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
        (MountType::IMAGE, Some(image)) => image.parse().ok().map(MountSource::Image),
        (MountType::TMPFS, _) => {
            let options = mount.tmpfs_options.clone().unwrap_or_default();
            let mode = limit(options.mode).and_then(|mode| u32::try_from(mode).ok());
            Some(MountSource::Tmpfs { size: limit(options.size_bytes), mode })
        }
        (MountType::BIND | MountType::CLUSTER | MountType::IMAGE | MountType::NPIPE, _) => None,
    }
}

fn declared_options(mount: &ApiMount) -> MountOptions {
    let bind = mount.bind_options.clone().unwrap_or_default();
    let volume = mount.volume_options.clone().unwrap_or_default();
    let image = mount.image_options.clone().unwrap_or_default();
    let tmpfs = mount.tmpfs_options.clone().unwrap_or_default();
    MountOptions {
        create_source: bind.create_mountpoint == Some(true),
        relabel: None,
        propagation: bind.propagation.and_then(|propagation| match propagation {
            ApiPropagation::EMPTY | ApiPropagation::RPRIVATE => None,
            ApiPropagation::PRIVATE => Some(Propagation::Private),
            ApiPropagation::SHARED => Some(Propagation::Shared),
            ApiPropagation::RSHARED => Some(Propagation::RShared),
            ApiPropagation::SLAVE => Some(Propagation::Slave),
            ApiPropagation::RSLAVE => Some(Propagation::RSlave),
        }),
        recursive: [
            (bind.non_recursive, Recursive::Disabled),
            (bind.read_only_non_recursive, Recursive::Writable),
            (bind.read_only_force_recursive, Recursive::ReadOnly),
        ]
        .into_iter()
        .find_map(|(is, recursive)| (is == Some(true)).then_some(recursive)),
        no_copy: volume.no_copy == Some(true),
        subpath: filled(volume.subpath).or(filled(image.subpath)),
        labels: volume.labels.into_iter().flatten().filter(|(name, _)| name != ANONYMOUS).collect(),
        // Each is a name, or a name and a value.
        kernel: tmpfs.options.into_iter().flatten().map(|option| option.join("=")).collect(),
    }
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
        let mount = Mount { read_only: true, ..Mount::of(source) };
        assert_eq!(mounts, BTreeMap::from([("/run".to_owned(), mount)]));
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

    fn read(host: &HostConfig) -> BTreeMap<String, Mount> {
        from_api(Vec::new(), host).unwrap()
    }

    #[test]
    fn trap_65_binds_and_mounts_of_the_same_thing_are_read_alike() {
        let binds = ["data:/data:rw", "/srv/x:/x:ro"].map(str::to_owned).to_vec();
        let older = read(&HostConfig { binds: Some(binds), ..HostConfig::default() });
        let mount = |typ, source: &str, target: &str, read_only| ApiMount {
            typ: Some(typ),
            source: Some(source.to_owned()),
            target: Some(target.to_owned()),
            read_only: Some(read_only),
            ..ApiMount::default()
        };
        let mounts = vec![
            mount(MountType::VOLUME, "data", "/data", false),
            mount(MountType::BIND, "/srv/x", "/x", true),
        ];
        let mut newer = read(&HostConfig { mounts: Some(mounts), ..HostConfig::default() });
        // That Docker would have made the folder is all that differs, and no comparison looks at it.
        newer.get_mut("/x").unwrap().options.create_source = true;
        assert_eq!(older, newer);
    }

    #[test]
    fn the_engines_own_mark_on_a_volume_is_no_label_of_the_manifest() {
        let labels = [("a", "b"), (ANONYMOUS, "")].map(|(name, value)| (name.to_owned(), value.to_owned()));
        let volume = MountVolumeOptions { labels: Some(labels.into()), ..MountVolumeOptions::default() };
        let mount = ApiMount { volume_options: Some(volume), ..ApiMount::default() };
        assert_eq!(declared_options(&mount).labels, [("a".to_owned(), "b".to_owned())].into());
    }

    #[test]
    fn trap_66_the_words_of_a_bind_are_a_set() {
        let one = |bind: &str| from_bind(bind).unwrap().1;
        assert_eq!(one("/a:/b"), one("/a:/b:rw,rprivate"));
        assert_eq!(one("/a:/b:Z,ro,rslave"), one("/a:/b:rslave,Z,ro"));
        let options = one("/a:/b:Z,ro,rslave").options;
        assert_eq!(
            (options.relabel, options.propagation),
            (Some(Relabel::Private), Some(Propagation::RSlave))
        );
        assert!(one("data:/b:nocopy").options.no_copy);
        assert_eq!(from_bind("/a:/b/").unwrap().0, "/b");
    }
}
