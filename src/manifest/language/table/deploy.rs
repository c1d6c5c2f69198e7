//! The attributes of `deploy`.

use super::super::types::{List, Object, Pairs, Size, Textual, Type, Unique, key};
use super::{COUNT, CUT, STRICT, TEXTS, WHOLE};

/// `services.*.deploy`
pub(super) static DEPLOY: Object = Object {
    of: "`deploy`",
    attributes: &[
        key("mode", Type::Text),
        key("replicas", COUNT).said(),
        key("labels", Type::Pairs(Pairs::Empty)),
        key("update_config", Type::Object(&UPDATE)).said(),
        key("rollback_config", Type::Object(&UPDATE)).said(),
        key("resources", Type::Object(&RESOURCES)).always(),
        key("restart_policy", Type::Object(&RESTART)).said(),
        key("placement", Type::Object(&PLACEMENT)).always(),
        key("endpoint_mode", Type::Text),
    ],
    extensible: true,
    lax: false,
};

static UPDATE: Object = Object {
    of: "the configuration of an update",
    attributes: &[
        key("parallelism", COUNT).said(),
        key("delay", Type::Duration),
        key("failure_action", Type::Text),
        key("monitor", Type::Duration),
        key("max_failure_ratio", Type::Decimal),
        key("order", Type::Word(&["start-first", "stop-first"])),
    ],
    extensible: true,
    lax: false,
};

static RESTART: Object = Object {
    of: "`restart_policy`",
    attributes: &[
        key("condition", Type::Text),
        key("delay", Type::Duration).said(),
        key("max_attempts", COUNT).said(),
        key("window", Type::Duration).said(),
    ],
    extensible: true,
    lax: false,
};

static RESOURCES: Object = Object {
    of: "`deploy.resources`",
    attributes: &[
        key("limits", Type::Object(&LIMITS)).said(),
        key("reservations", Type::Object(&RESERVATIONS)).said(),
    ],
    extensible: true,
    lax: false,
};

static LIMITS: Object = Object {
    of: "limits",
    attributes: &[key("cpus", Type::Decimal), key("memory", Type::Size(Size::Text)), key("pids", WHOLE)],
    extensible: true,
    lax: false,
};

static RESERVATIONS: Object = Object {
    of: "reservations",
    attributes: &[
        key("cpus", Type::Decimal),
        key("memory", Type::Size(Size::Text)),
        key("devices", DEVICES),
        key("generic_resources", GENERIC),
    ],
    extensible: true,
    lax: false,
};

const DEVICES: Type =
    Type::List(&List { item: Type::Object(&DEVICE_REQUEST), unique: Unique::Never, single: false });
const GENERIC: Type =
    Type::List(&List { item: Type::Object(&GENERIC_RESOURCE), unique: Unique::Never, single: false });

static DEVICE_REQUEST: Object = Object {
    of: "a request for devices",
    attributes: &[
        key("capabilities", STRICT).needed(),
        key("driver", Type::Text),
        key("count", Type::Textual(Textual::Count)),
        key("device_ids", STRICT),
        key("options", Type::Pairs(Pairs::Plain)),
    ],
    extensible: true,
    lax: false,
};

/// `services.*.gpus.*`: as a request for devices, and it needs nothing.
pub(super) static GPU: Object = Object {
    of: "a request for GPUs",
    attributes: &[
        key("capabilities", STRICT),
        key("driver", Type::Text),
        key("count", Type::Textual(Textual::Count)),
        key("device_ids", STRICT),
        key("options", Type::Pairs(Pairs::Plain)),
    ],
    extensible: true,
    lax: true,
};

static GENERIC_RESOURCE: Object = Object {
    of: "a generic resource",
    attributes: &[key("discrete_resource_spec", Type::Object(&DISCRETE)).said()],
    extensible: true,
    lax: false,
};

static DISCRETE: Object = Object {
    of: "`discrete_resource_spec`",
    attributes: &[key("kind", Type::Text).always(), key("value", CUT).always()],
    extensible: true,
    lax: false,
};

static PLACEMENT: Object = Object {
    of: "`placement`",
    attributes: &[
        key("constraints", TEXTS),
        key("preferences", PREFERENCES),
        key("max_replicas_per_node", COUNT),
    ],
    extensible: true,
    lax: false,
};
const PREFERENCES: Type =
    Type::List(&List { item: Type::Object(&PREFERENCE), unique: Unique::Never, single: false });

static PREFERENCE: Object =
    Object { of: "a preference", attributes: &[key("spread", Type::Text)], extensible: true, lax: false };
