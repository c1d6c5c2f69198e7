//! What a stack asks of the engine that not every engine has.
//!
//! An older engine takes what it doesn't know and drops it without a word, so it is refused before anything is done.

use super::images;
use super::refusal::Refusal;
use crate::model::desired::{Desired, Service};
use crate::model::live::Server;
use crate::model::spec::{ContainerSpec, INTERFACE_NAME, Mount, MountSource, Recursive};

/// A version of the API, and the first Docker that has it.
type Since = ((u32, u32), &'static str);

const DOCKER_20_10: Since = ((1, 41), "20.10");
const DOCKER_23: Since = ((1, 42), "23.0");
const DOCKER_24: Since = ((1, 43), "24.0");
const DOCKER_25: Since = ((1, 44), "25.0");
const DOCKER_26: Since = ((1, 45), "26.0");
const DOCKER_28: Since = ((1, 48), "28.0");
const DOCKER_28_1: Since = ((1, 49), "28.1");

/// Everything that `desired` asks for and `server` doesn't have, or no host can.
pub(super) fn unmet(desired: &Desired, server: &Server) -> Vec<Refusal> {
    let Some(api) = version(&server.api_version) else { return images::torn(desired) };
    let of_services = desired.services.values().flat_map(|service| {
        let Service { name, spec, .. } = service;
        needs(spec).into_iter().map(move |(key, since)| (format!("service `{name}`: `{key}`"), since))
    });
    let without_ipv4 = desired.networks.iter().filter(|(_, spec)| spec.ipv4 == Some(false));
    let of_networks =
        without_ipv4.map(|(key, _)| (format!("network `{key}`: `enable_ipv4: false`"), DOCKER_28));
    of_services
        .chain(of_networks)
        .filter(|(_, (version, _))| api < *version)
        .map(|(what, ((major, minor), docker))| {
            Refusal::new(
                format!(
                    "{what} needs Docker {docker} (API {major}.{minor}), and this host has API {}.{}",
                    api.0, api.1
                ),
                "upgrade Docker on the host, or leave it out",
            )
        })
        .chain(images::torn(desired))
        .collect()
}

/// Whether the engine keeps the id of the first network that a container joined, so that the container can neither start nor
/// join anything once that network is gone. Releases before 25 keep its name.
pub(super) fn ties_to_first_network(server: &Server) -> bool {
    version(&server.api_version).is_none_or(|api| api >= DOCKER_25.0)
}

fn version(text: &str) -> Option<(u32, u32)> {
    let (major, minor) = text.split_once('.')?;
    Some((major.parse().ok()?, minor.parse().ok()?))
}

fn needs(spec: &ContainerSpec) -> Vec<(String, Since)> {
    let mut needs = Vec::new();
    for (name, attachment) in &spec.networks {
        let of = |key: &str| format!("networks.{name}.{key}");
        if attachment.mac.is_some() {
            needs.push((of("mac_address"), DOCKER_25));
        }
        if attachment.gateway_priority != 0 {
            needs.push((of("gw_priority"), DOCKER_28));
        }
        if attachment.options.contains_key(INTERFACE_NAME) {
            needs.push((of("interface_name"), DOCKER_28_1));
        }
    }
    if spec.platform.is_some() {
        needs.push(("platform".to_owned(), DOCKER_20_10));
    }
    if !spec.runtime.annotations.is_empty() {
        needs.push(("annotations".to_owned(), DOCKER_24));
    }
    if spec.healthcheck.as_ref().is_some_and(|check| check.start_interval.is_some()) {
        needs.push(("healthcheck.start_interval".to_owned(), DOCKER_25));
    }
    for (target, mount) in &spec.mounts {
        needs.extend(of_mount(mount).map(|(key, since)| (format!("volumes.{target}.{key}"), since)));
    }
    needs
}

fn of_mount(mount: &Mount) -> Option<(&'static str, Since)> {
    let options = &mount.options;
    match (&mount.source, options.recursive) {
        (MountSource::Image(_), _) if options.subpath.is_some() => Some(("image.subpath", DOCKER_28)),
        (MountSource::Image(_), _) => Some(("type: image", DOCKER_28)),
        (MountSource::Volume(_) | MountSource::Anonymous, _) if options.subpath.is_some() => {
            Some(("volume.subpath", DOCKER_26))
        }
        (_, Some(Recursive::Writable | Recursive::ReadOnly)) => Some(("bind.recursive", DOCKER_25)),
        // Only the newer form says it, and there only newer engines make the source.
        (_, Some(Recursive::Disabled)) if options.create_source => Some(("bind.create_host_path", DOCKER_23)),
        (MountSource::Bind(path), None) if options.create_source && path.contains(':') => {
            Some(("bind.create_host_path", DOCKER_23))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn needed(change: impl FnOnce(&mut ContainerSpec)) -> Vec<(String, (u32, u32))> {
        let mut spec = ContainerSpec::of_image("app:1".parse().unwrap());
        spec.networks.insert("n".parse().unwrap(), crate::model::spec::Attachment::default());
        change(&mut spec);
        needs(&spec).into_iter().map(|(key, (version, _))| (key, version)).collect()
    }

    fn mounted(mount: Mount) -> Vec<(String, (u32, u32))> {
        needed(|spec| drop(spec.mounts.insert("/x".to_owned(), mount)))
    }

    #[test]
    fn trap_74_what_older_engines_would_drop_has_its_version() {
        let attached = |change: fn(&mut crate::model::spec::Attachment)| {
            needed(|spec| spec.networks.values_mut().for_each(change))
        };
        assert_eq!(needed(|_| ()), []);
        let mac = attached(|to| to.mac = "02:42:ac:11:00:99".parse().ok());
        assert_eq!(mac, [("networks.n.mac_address".to_owned(), (1, 44))]);
        let priority = attached(|to| to.gateway_priority = -1);
        assert_eq!(priority, [("networks.n.gw_priority".to_owned(), (1, 48))]);
        let named = attached(|to| drop(to.options.insert(INTERFACE_NAME.to_owned(), "eth7".to_owned())));
        assert_eq!(named, [("networks.n.interface_name".to_owned(), (1, 49))]);
        let mut volume = Mount::of(MountSource::Anonymous);
        assert_eq!(mounted(volume.clone()), []);
        volume.options.subpath = Some("a".to_owned());
        assert_eq!(mounted(volume), [("volumes./x.volume.subpath".to_owned(), (1, 45))]);
        let image = Mount::of(MountSource::Image("other:1".parse().unwrap()));
        assert_eq!(mounted(image), [("volumes./x.type: image".to_owned(), (1, 48))]);
        let mut bind = Mount::of(MountSource::Bind("/srv".to_owned()));
        bind.options.create_source = true;
        assert_eq!(mounted(bind.clone()), []);
        bind.options.recursive = Some(Recursive::Disabled);
        assert_eq!(mounted(bind.clone()), [("volumes./x.bind.create_host_path".to_owned(), (1, 42))]);
        bind.options.recursive = Some(Recursive::ReadOnly);
        assert_eq!(mounted(bind), [("volumes./x.bind.recursive".to_owned(), (1, 44))]);
    }
}
