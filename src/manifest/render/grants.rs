//! Configs and secrets, as part of the resolved stack.

use serde_yaml::Value;

use super::Out;
use crate::model::grant::{FileAccess, Grant, GrantKind};
use crate::model::spec::{ContainerSpec, MountSource};
use crate::model::text::REDACTED;

/// The configs and secrets of a container, told by where they come from.
pub(super) fn put(out: &mut Out, spec: &ContainerSpec) {
    for kind in [GrantKind::Config, GrantKind::Secret] {
        let mut list = Vec::new();
        for (target, mount) in &spec.mounts {
            let MountSource::Grant(grant) = &mount.source else { continue };
            let Grant { kind: its, origin, content, access: FileAccess { mode, uid, gid } } = grant;
            if *its != kind {
                continue;
            }
            let mut one = Out::default();
            one.put("source", origin.as_str());
            one.put("target", target.as_str());
            one.text("uid", *uid);
            one.text("gid", *gid);
            one.put("mode", format!("{mode:04o}"));
            let sensitive = content.is_sensitive() || kind == GrantKind::Secret;
            let shown = || std::str::from_utf8(content.expose()).unwrap_or("(not text)");
            one.put("x-evenkeel-content", if sensitive { REDACTED } else { shown() });
            list.push(Value::Mapping(one.0));
        }
        if !list.is_empty() {
            out.put(kind.section(), list);
        }
    }
}
