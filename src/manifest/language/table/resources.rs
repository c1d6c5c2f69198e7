//! Networks, volumes, configs, secrets and models.

use super::super::types::{List, Object, Pairs, Short, Textual, Type, Unique, key};
use super::{OPTIONS, PATH, TEXTS};

/// `external: true`, and the older `external: {name: x}`.
const EXTERNAL: Type = Type::Short(Short::External, &Type::Flag);
const LABELS: Type = Type::Pairs(Pairs::Empty);

/// `networks.*`
pub(crate) static NETWORK: Object = Object {
    of: "a network",
    attributes: &[
        key("name", Type::Text),
        key("driver", Type::Text),
        key("driver_opts", OPTIONS),
        key("ipam", Type::Object(&IPAM)).always(),
        key("external", EXTERNAL),
        key("internal", Type::Flag),
        key("attachable", Type::Flag),
        key("labels", LABELS),
        key("enable_ipv4", Type::Flag).said(),
        key("enable_ipv6", Type::Flag).said(),
    ],
    extensible: true,
    lax: false,
};

static IPAM: Object = Object {
    of: "the address management of a network",
    attributes: &[
        key("driver", Type::Text),
        key("config", POOLS),
        key("options", Type::Map(&Type::Text)).hidden(),
    ],
    extensible: true,
    lax: false,
};
const POOLS: Type = Type::List(&List { item: Type::Object(&POOL), unique: Unique::Subnet, single: false });

static POOL: Object = Object {
    of: "an address range",
    attributes: &[
        key("subnet", Type::Text),
        key("gateway", Type::Text),
        key("ip_range", Type::Text),
        key("aux_addresses", Type::Map(&Type::Text)),
    ],
    extensible: true,
    lax: false,
};

/// `volumes.*`
pub(crate) static VOLUME: Object = Object {
    of: "a volume",
    attributes: &[
        key("name", Type::Text),
        key("driver", Type::Text),
        key("driver_opts", OPTIONS),
        key("external", EXTERNAL),
        key("labels", LABELS),
    ],
    extensible: true,
    lax: false,
};

/// `secrets.*`
pub(crate) static SECRET: Object = Object {
    of: "a secret",
    attributes: &[
        key("name", Type::Text),
        key("environment", Type::Text),
        key("file", PATH),
        key("external", EXTERNAL),
        key("labels", LABELS),
        key("driver", Type::Text),
        key("driver_opts", Type::Map(&Type::Textual(Textual::Whole))),
        key("template_driver", Type::Text),
    ],
    extensible: true,
    lax: false,
};

/// `configs.*`
pub(crate) static CONFIG: Object = Object {
    of: "a config",
    attributes: &[
        key("name", Type::Text),
        key("content", Type::Text),
        key("environment", Type::Text),
        key("file", PATH),
        key("external", EXTERNAL),
        key("labels", LABELS),
        key("template_driver", Type::Text),
    ],
    extensible: true,
    lax: false,
};

/// `models.*`
pub(super) static MODEL: Object = Object {
    of: "a model",
    attributes: &[
        key("name", Type::Text),
        key("model", Type::Text).needed(),
        key("context_size", Type::Unquoted(&super::WHOLE)),
        key("runtime_flags", TEXTS),
    ],
    extensible: true,
    lax: false,
};
