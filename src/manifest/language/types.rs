//! The words in which the table of attributes is written.
//!
//! A [`Type`] says four things at once, so that they can't disagree: what may be written at a place, what it is in the
//! long form, how two files' values of it are merged, and what is printed of it. It is data: the reading, the merging
//! and the printing walk the same table, and so do the schema and the manual.

/// What may stand at a place.
#[derive(Clone, Copy)]
pub(crate) enum Type {
    /// Whatever YAML can say, kept as it is.
    Any,
    /// A text; numbers and truth values must be quoted.
    Text,
    /// A text that has the form.
    Formed(Form),
    /// One of these words.
    Word(&'static [&'static str]),
    /// A text, a number, or a truth value too, which becomes a text.
    Textual(Textual),
    /// A truth value, or a text that names one.
    Flag,
    /// A truth value.
    Truth,
    /// A whole number in this range, or a text of one.
    Whole(i64, i64),
    /// A number that is cut off to a whole one not below this one, or a text of one.
    Cut(i64),
    /// A number, or a text of one.
    Decimal,
    /// As the type, and never a text.
    Unquoted(&'static Type),
    /// Bytes, printed as a text of digits.
    Size(Size),
    /// A duration.
    Duration,
    /// A path, relative to the project.
    Path(Path),
    /// A list.
    List(&'static List),
    /// A mapping with keys of the user's own.
    Map(&'static Type),
    /// A mapping of texts, or a list of `KEY=value`.
    Pairs(Pairs),
    /// A mapping with known keys.
    Object(&'static Object),
    /// What can also be written shorter.
    Short(Short, &'static Type),
    /// The same, or nothing at all.
    Maybe(&'static Type),
}

/// What is not a text and becomes one.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Textual {
    /// A number.
    Number,
    /// A whole number.
    Whole,
    /// A number or nothing.
    NumberOrNull,
    /// A number, a truth value or nothing.
    All,
    /// A truth value.
    Flag,
    /// The permissions of a file: a number is printed in octal.
    Mode,
    /// A number of devices, or `all`.
    Count,
}

/// How a size may be written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Size {
    /// As a text: `512m`.
    Text,
    /// Also as a whole number.
    Whole,
    /// Also as any number.
    Number,
}

/// The form of a text.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// The name of a container.
    ContainerName,
    /// When an image is pulled.
    PullPolicy,
}

/// What a path leads to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Path {
    /// A file or folder.
    Plain,
    /// The source of a build, which may be somewhere on the net.
    Context,
    /// What is watched, which can't be nothing.
    Watched,
    /// A file that is read here, and printed no more.
    Read,
    /// A path where the mapping that it is in is of the type `bind`, else a name.
    Bound,
}

/// What a key without a value means in a list of `KEY=value`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Pairs {
    /// The value of the variable of that name, if there is one.
    Variable,
    /// Nothing, and a list that says the same twice is refused.
    Hook,
    /// As `Variable`; and without such a variable the key is left out.
    Argument,
    /// The empty text.
    Empty,
    /// As `Empty`, and a list that says the same twice is refused.
    Plain,
    /// As `Empty`, where values are paths or addresses of sources.
    Contexts,
}

/// What an item of a list is known by: a later one takes the place of an earlier one of the same key.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Unique {
    /// By nothing: items may repeat.
    Never,
    /// Equal items are refused.
    Refused,
    /// By the item itself, up to an equals sign.
    Itself,
    /// By all of the item.
    Whole,
    /// By its `target`.
    Target,
    /// By the path that it is mounted at, below this folder where it names none.
    Mounted(&'static str),
    /// By address, ports and protocol.
    Port,
    /// By its `path`.
    Path,
    /// By its `subnet`.
    Subnet,
}

/// A list.
pub(crate) struct List {
    /// What its items are.
    pub(crate) item: Type,
    /// How items are told apart.
    pub(crate) unique: Unique,
    /// Whether a single text may stand for a list of one.
    pub(crate) single: bool,
}

/// A mapping with known keys.
pub(crate) struct Object {
    /// What it is, for messages: `a service`.
    pub(crate) of: &'static str,
    /// Its keys, in the order in which they are printed.
    pub(crate) attributes: &'static [Attribute],
    /// Whether keys that begin with `x-` may be there.
    pub(crate) extensible: bool,
    /// Whether Compose passes over keys that it doesn't know. These are then only warned of.
    pub(crate) lax: bool,
}

/// One key.
pub(crate) struct Attribute {
    /// The key.
    pub(crate) name: &'static str,
    /// What it holds.
    pub(crate) holds: Type,
    /// When it is printed.
    pub(crate) printed: Printed,
    /// How two files' values are merged.
    pub(crate) merge: Merge,
    /// Whether it must be there, once all files are merged.
    pub(crate) needed: bool,
}

/// When a key is printed.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Printed {
    /// When its value is neither empty, nor zero, nor false.
    Filled,
    /// When it was said.
    Said,
    /// Always; in JSON as nothing or an empty mapping where it was not said.
    Always,
    /// Never.
    Never,
}

/// How two files' values are merged.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Merge {
    /// Mappings by key, lists appended, single values replaced.
    ByKind,
    /// The later replaces the earlier.
    Replace,
    /// By kind, unless both name a `driver` and these differ.
    ByDriver,
}

/// The short forms.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Short {
    /// `command: sh -c x`
    Command,
    /// `test: curl localhost`
    HealthTest,
    /// `8080:80`, which may be many
    Ports,
    /// `./source:/target:ro`
    Mount,
    /// `/dev/a:/dev/b:rwm`
    Device,
    /// `- name`, of a config or secret
    Source,
    /// `env_file: path`
    EnvFiles,
    /// `build: ./folder`
    Build,
    /// `extends: name`
    Extends,
    /// `include: path`
    Include,
    /// `depends_on: [name]`
    Dependencies,
    /// `networks: [name]`
    Names,
    /// `nofile: 1024`
    Ulimit,
    /// The same, and never as a text.
    BuildUlimit,
    /// `gpus: all`
    Gpus,
    /// `external: {name: x}`
    External,
    /// `name=address`
    Hosts,
    /// `default`, `name=path`
    Keys,
    /// A single value for a list of one.
    One,
}

/// An attribute that is printed when filled and merged by kind.
pub(crate) const fn key(name: &'static str, holds: Type) -> Attribute {
    Attribute { name, holds, printed: Printed::Filled, merge: Merge::ByKind, needed: false }
}

impl Attribute {
    /// Printed whenever it was said.
    pub(crate) const fn said(self) -> Self {
        Self { printed: Printed::Said, ..self }
    }

    /// Always printed.
    pub(crate) const fn always(self) -> Self {
        Self { printed: Printed::Always, ..self }
    }

    /// Never printed.
    pub(crate) const fn hidden(self) -> Self {
        Self { printed: Printed::Never, ..self }
    }

    /// Replaced whole by a later file.
    pub(crate) const fn replaced(self) -> Self {
        Self { merge: Merge::Replace, ..self }
    }

    /// Merged only with what has the same driver.
    pub(crate) const fn by_driver(self) -> Self {
        Self { merge: Merge::ByDriver, ..self }
    }

    /// Needed in the whole.
    pub(crate) const fn needed(self) -> Self {
        Self { needed: true, ..self }
    }
}

impl Object {
    /// The attribute of a key.
    pub(crate) fn attribute(&self, name: &str) -> Option<&'static Attribute> {
        self.attributes.iter().find(|attribute| attribute.name == name)
    }
}

impl Type {
    /// The type without its short forms.
    pub(crate) fn long(&self) -> &Self {
        match self {
            Self::Short(_, long) | Self::Maybe(long) => long.long(),
            Self::Any
            | Self::Text
            | Self::Formed(_)
            | Self::Word(_)
            | Self::Textual(_)
            | Self::Flag
            | Self::Truth
            | Self::Whole(..)
            | Self::Cut(_)
            | Self::Decimal
            | Self::Unquoted(_)
            | Self::Size(_)
            | Self::Duration
            | Self::Path(_)
            | Self::List(_)
            | Self::Map(_)
            | Self::Pairs(_)
            | Self::Object(_) => self,
        }
    }
}
