//! Mounts and networks of a container in the normal form, and when two attachments are the same.

use std::collections::BTreeMap;

use super::fields::{FieldValue, Fields};
use super::normal::{clean_path, laid_down, words};
use crate::model::name::NetworkName;
use crate::model::spec::{
    Attachment, ContainerSpec, ContentDigest, INTERFACE_NAME, Mount, MountOptions, MountSource,
};

pub(super) fn set_networks(
    fields: &mut Fields,
    networks: &BTreeMap<NetworkName, Attachment>,
    hostname: Option<&str>,
) {
    for (name, attachment) in networks {
        fields.set(format!("networks.{name}"), FieldValue::word(&"joined"));
        let mut attachment = attachment.clone();
        // Whatever is declared, Docker makes the host name an alias, and some engines list it.
        attachment.aliases.retain(|alias| Some(alias.as_str()) != hostname);
        set_attachment(fields, name, &attachment);
    }
}

/// What is declared of an attachment, apart from that there is one.
pub(super) fn set_attachment(fields: &mut Fields, name: &NetworkName, attachment: &Attachment) {
    let Attachment { first, aliases, ipv4, ipv6, link_local, mac, options, gateway_priority, links } =
        attachment;
    let mut set = |key: &str, value| fields.set_some(format!("networks.{name}.{key}"), value);
    set("priority", first.then(|| FieldValue::word(&"first")));
    set("aliases", words(aliases));
    set("ipv4_address", ipv4.map(|ip| FieldValue::word(&ip)));
    set("ipv6_address", ipv6.map(|ip| FieldValue::word(&ip)));
    set("link_local_ips", words(link_local));
    set("mac_address", mac.map(|mac| FieldValue::word(&mac)));
    set("gw_priority", (*gateway_priority != 0).then(|| FieldValue::word(gateway_priority)));
    set("links", words(links.iter().map(|(target, name)| format!("{target}:{name}"))));
    for (option, value) in options {
        match option.as_str() {
            INTERFACE_NAME => set("interface_name", Some(FieldValue::word(value))),
            option => set(&format!("driver_opts.{option}"), Some(FieldValue::Quoted(value.clone()))),
        }
    }
}

/// Whether `found` is what `wanted` declares. Which network is the first and a hardware address that nobody chose
/// don't count.
pub(super) fn is_attached(wanted: &Attachment, found: &Attachment) -> bool {
    let comparable =
        Attachment { first: found.first || wanted.first, mac: wanted.mac.and(found.mac), ..found.clone() };
    Attachment { first: comparable.first, ..wanted.clone() } == comparable
}

/// Whether the networks of the container can become those of `spec` by leaving and joining while it runs.
///
/// Docker keeps the first network as a part of the container itself, so that one must stay joined; and before API
/// 1.54 a container that joins can't bring its hardware address.
pub(super) fn can_be_joined_live(spec: &ContainerSpec, live: &ContainerSpec) -> bool {
    let first_stays = live
        .networks
        .iter()
        .filter(|(_, found)| found.first)
        .all(|(name, _)| spec.networks.contains_key(name));
    let differing = spec
        .networks
        .iter()
        .filter(|(name, wanted)| live.networks.get(*name).is_none_or(|found| !is_attached(wanted, found)));
    let first_is_right = spec.networks.iter().all(|(name, wanted)| {
        !wanted.first
            || live.networks.values().all(|found| !found.first)
            || live.networks.get(name).is_some_and(|found| found.first)
    });
    first_stays && first_is_right && differing.into_iter().all(|(_, wanted)| wanted.mac.is_none())
}

pub(super) fn mount_value(mount: &Mount, files: &str) -> Option<FieldValue> {
    let Mount { source, read_only, options } = mount;
    let content =
        |digest: &ContentDigest| FieldValue::Content { digest: digest.0.clone(), read_only: *read_only };
    let source = match source {
        MountSource::Volume(name) => format!("volume {name}"),
        MountSource::Anonymous => "anonymous volume".to_owned(),
        MountSource::Bind(path) => match laid_down(path, files) {
            Some(digest) => return Some(content(&digest)),
            None => format!("bind {}", clean_path(path)),
        },
        MountSource::Repository(digest) => return Some(content(digest)),
        // It has fields of its own.
        MountSource::Grant(_) => return None,
        MountSource::Image(image) => format!("image {image}"),
        MountSource::Tmpfs { size, mode } => {
            let size = size.map(|size| format!(" size {}", FieldValue::Bytes(size))).unwrap_or_default();
            let mode = mode.map(|mode| format!(" mode {mode:o}")).unwrap_or_default();
            format!("tmpfs{size}{mode}")
        }
    };
    let mut parts = vec![source];
    parts.extend(read_only.then(|| "read-only".to_owned()));
    parts.extend(how(options));
    Some(FieldValue::Word(parts.join(", ")))
}

/// How it is mounted. Whether Docker would have made the source is no property of what is mounted.
fn how(options: &MountOptions) -> Vec<String> {
    let MountOptions { create_source: _, relabel, propagation, recursive, no_copy, subpath, labels, kernel } =
        options;
    let mut parts = Vec::new();
    parts.extend(relabel.map(|relabel| relabel.to_string()));
    parts.extend(propagation.map(|propagation| propagation.to_string()));
    parts.extend(recursive.map(|recursive| format!("recursive {recursive}")));
    parts.extend(no_copy.then(|| "nocopy".to_owned()));
    parts.extend(subpath.as_ref().map(|path| format!("subpath {path}")));
    parts.extend(labels.iter().map(|(name, value)| format!("label {name}={value}")));
    parts.extend(kernel.iter().cloned());
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn container(networks: &[(&str, Attachment)]) -> ContainerSpec {
        let mut spec = ContainerSpec::of_image("app:1".parse().unwrap());
        spec.networks =
            networks.iter().map(|(name, attachment)| (name.parse().unwrap(), attachment.clone())).collect();
        spec
    }

    fn first() -> Attachment {
        Attachment { first: true, ..Attachment::default() }
    }

    fn with_mac() -> Attachment {
        Attachment { mac: "02:42:ac:11:00:99".parse().ok(), ..Attachment::default() }
    }

    #[test]
    fn trap_51_networks_change_live_unless_a_hardware_address_or_the_first_one_moves() {
        let plain = Attachment::default;
        let live = container(&[("a", first()), ("b", plain())]);
        for (wanted, expected) in [
            (vec![("a", plain()), ("b", plain()), ("c", plain())], true),
            (vec![("a", plain())], true),
            (vec![("b", plain())], false),
            (vec![], false),
            (vec![("a", first()), ("b", plain())], true),
            (vec![("a", plain()), ("b", first())], false),
            (vec![("a", plain()), ("b", with_mac())], false),
        ] {
            assert_eq!(can_be_joined_live(&container(&wanted), &live), expected, "{wanted:?}");
        }
        assert!(can_be_joined_live(&container(&[("a", first())]), &container(&[])));
    }

    #[test]
    fn trap_49_a_hardware_address_counts_only_where_it_is_declared() {
        assert!(is_attached(&Attachment::default(), &with_mac()));
        assert!(!is_attached(&with_mac(), &Attachment::default()));
        assert!(is_attached(&with_mac(), &Attachment { first: true, ..with_mac() }));
    }

    #[test]
    fn trap_70_that_docker_may_make_the_source_is_no_difference() {
        let mut made = Mount::of(MountSource::Bind("/srv/x/".to_owned()));
        let found = Mount::of(MountSource::Bind("/srv/x".to_owned()));
        made.options.create_source = true;
        assert_eq!(mount_value(&made, "/files"), mount_value(&found, "/files"));
        made.options.no_copy = true;
        assert_ne!(mount_value(&made, "/files"), mount_value(&found, "/files"));
    }
}
