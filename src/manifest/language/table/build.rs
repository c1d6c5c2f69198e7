//! The attributes of `build`.

use super::super::types::{List, Object, Pairs, Path, Short, Size, Textual, Type, Unique, key};
use super::service::{SOURCE, sources};
use super::storage::BUILD_ULIMITS;
use super::{ADDRESSES, DISTINCT, TEXTS};

/// `services.*.build`
pub(super) static BUILD: Object = Object {
    of: "`build`",
    attributes: &[
        key("context", Type::Path(Path::Context)),
        key("dockerfile", Type::Text),
        key("dockerfile_inline", Type::Text),
        key("entitlements", TEXTS),
        key("args", Type::Pairs(Pairs::Argument)),
        key("provenance", Type::Textual(Textual::Flag)),
        key("sbom", Type::Textual(Textual::Flag)),
        key("ssh", Type::Short(Short::Keys, &TEXTS)),
        key("labels", Type::Pairs(Pairs::Empty)),
        key("cache_from", TEXTS),
        key("cache_to", TEXTS),
        key("no_cache", Type::Flag),
        key("additional_contexts", Type::Pairs(Pairs::Contexts)),
        key("pull", Type::Flag),
        key("extra_hosts", Type::Short(Short::Hosts, &ADDRESSES)),
        key("isolation", Type::Text),
        key("network", Type::Text),
        key("target", Type::Text),
        key("secrets", sources(&SECRETS)),
        key("shm_size", Type::Size(Size::Whole)),
        key("tags", DISTINCT),
        key("ulimits", BUILD_ULIMITS),
        key("platforms", TEXTS),
        key("privileged", Type::Flag),
    ],
    extensible: true,
    lax: false,
};

static SECRETS: List = List { item: SOURCE, unique: Unique::Never, single: false };
