//! What a service uses of the host: mounts, devices, limits of the kernel.

use super::super::types::{List, Object, Pairs, Path, Short, Size, Type, Unique, key};
use super::WHOLE;

/// `services.*.volumes`
pub(super) const MOUNTS: Type = Type::List(&List {
    item: Type::Short(Short::Mount, &Type::Object(&MOUNT)),
    unique: Unique::Target,
    single: false,
});

static MOUNT: Object = Object {
    of: "a mount",
    attributes: &[
        key("type", Type::Word(&["bind", "volume", "tmpfs", "cluster", "npipe", "image"])).needed(),
        key("source", Type::Path(Path::Bound)),
        key("target", Type::Text).needed(),
        key("read_only", Type::Flag),
        key("consistency", Type::Text),
        key("bind", Type::Object(&BIND)).said(),
        key("volume", Type::Object(&VOLUME)).said(),
        key("tmpfs", Type::Object(&TMPFS)).said(),
        key("image", Type::Object(&IMAGE)).said(),
    ],
    extensible: true,
    lax: false,
};

static BIND: Object = Object {
    of: "a bind mount",
    attributes: &[
        key("selinux", Type::Word(&["z", "Z"])),
        key("propagation", Type::Text),
        key("create_host_path", Type::Flag),
        key("recursive", Type::Word(&["enabled", "disabled", "writable", "readonly"])),
    ],
    extensible: true,
    lax: false,
};

static VOLUME: Object = Object {
    of: "the mount of a volume",
    attributes: &[
        key("labels", Type::Pairs(Pairs::Plain)),
        key("nocopy", Type::Flag),
        key("subpath", Type::Text),
    ],
    extensible: true,
    lax: false,
};

static TMPFS: Object = Object {
    of: "a tmpfs",
    attributes: &[key("size", Type::Size(Size::Whole)), key("mode", Type::Unquoted(&Type::Cut(0)))],
    extensible: true,
    lax: false,
};

static IMAGE: Object = Object {
    of: "the mount of an image",
    attributes: &[key("subpath", Type::Text)],
    extensible: true,
    lax: false,
};

/// `services.*.devices`
pub(super) const DEVICES: Type = Type::List(&List {
    item: Type::Short(Short::Device, &Type::Object(&DEVICE)),
    unique: Unique::Target,
    single: false,
});

static DEVICE: Object = Object {
    of: "a device",
    attributes: &[
        key("source", Type::Text).needed(),
        key("target", Type::Text).needed(),
        key("permissions", Type::Text),
    ],
    extensible: true,
    lax: false,
};

/// `services.*.ulimits`
pub(super) const ULIMITS: Type = Type::Map(&Type::Short(Short::Ulimit, &Type::Object(&ULIMIT)));

/// `services.*.build.ulimits`
pub(super) const BUILD_ULIMITS: Type = Type::Map(&Type::Short(Short::BuildUlimit, &Type::Object(&ULIMIT)));

static ULIMIT: Object = Object {
    of: "a limit",
    attributes: &[key("soft", WHOLE).needed(), key("hard", WHOLE).needed()],
    extensible: true,
    lax: false,
};

const WEIGHED: Type = Type::Whole(0, 65_535);

/// `services.*.blkio_config`
pub(super) static BLKIO: Object = Object {
    of: "`blkio_config`",
    attributes: &[
        key("weight", Type::Unquoted(&WEIGHED)),
        key("weight_device", WEIGHTS),
        key("device_read_bps", RATES),
        key("device_read_iops", RATES),
        key("device_write_bps", RATES),
        key("device_write_iops", RATES),
    ],
    extensible: false,
    lax: false,
};
const RATES: Type = Type::List(&List { item: Type::Object(&RATE), unique: Unique::Never, single: false });
const WEIGHTS: Type = Type::List(&List { item: Type::Object(&WEIGHT), unique: Unique::Never, single: false });

static RATE: Object = Object {
    of: "a rate of a device",
    attributes: &[key("path", Type::Text).always(), key("rate", Type::Size(Size::Whole)).always()],
    extensible: false,
    lax: false,
};

static WEIGHT: Object = Object {
    of: "the weight of a device",
    attributes: &[key("path", Type::Text).always(), key("weight", Type::Unquoted(&WEIGHED)).always()],
    extensible: false,
    lax: false,
};
