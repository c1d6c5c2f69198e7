//! The normal form: a container as a flat map of fields, in the manifest's terms.
//!
//! What is desired, what is live and what was last applied are all brought into this form before they are compared,
//! so that one comparison serves every field. A sensitive value is kept as a keyed digest only.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use hmac::{Hmac, Mac};
use serde::{Deserialize, Serialize};
use sha2::Sha256;

use crate::model::text::{REDACTED, Text};

/// Version of the normal form. The ledger keeps it beside every record; records of another version are projected
/// anew or ignored, never compared.
pub const VERSION: u32 = 1;

/// A field, as a path in the manifest's terms: `environment.LOG_LEVEL`, `ports.8000/tcp`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FieldPath(String);

impl FieldPath {
    /// The field of that name.
    pub fn new(path: impl Into<String>) -> Self {
        Self(path.into())
    }

    /// The path as text.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Whether the field is `group` or lies below it.
    pub fn is_in(&self, group: &str) -> bool {
        self.0.strip_prefix(group).is_some_and(|rest| rest.is_empty() || rest.starts_with('.'))
    }
}

impl fmt::Display for FieldPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// The value of a field.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum FieldValue {
    /// A word of a known set, a number, a name: shown as it is.
    Word(String),
    /// A free text: shown in quotation marks.
    Quoted(String),
    /// A list, in its order.
    List(Vec<FieldValue>),
    /// An amount of memory.
    Bytes(u64),
    /// A time.
    Time(Duration),
    /// A switch.
    Switch(bool),
    /// A file or folder of the repository that is mounted.
    Content {
        /// Digest of its content.
        digest: String,
        /// Whether the container may only read it.
        read_only: bool,
    },
    /// A value that must not be shown: its keyed digest.
    Sensitive(String),
}

impl FieldValue {
    /// A word.
    pub fn word(word: &impl ToString) -> Self {
        Self::Word(word.to_string())
    }

    /// A free text, which may be sensitive.
    pub fn text(text: &Text, key: &DigestKey) -> Self {
        if text.is_sensitive() {
            Self::Sensitive(key.digest(text.expose()))
        } else {
            Self::Quoted(text.expose().to_owned())
        }
    }

    /// A list of free texts. One sensitive text makes the whole list sensitive, for its other parts may tell which.
    pub fn texts(texts: &[Text], key: &DigestKey) -> Self {
        if texts.iter().any(Text::is_sensitive) {
            let texts: Vec<&str> = texts.iter().map(Text::expose).collect();
            return Self::Sensitive(key.digest_list(&texts));
        }
        Self::List(texts.iter().map(|text| Self::Quoted(text.expose().to_owned())).collect())
    }

    fn into_raw(self) -> String {
        match self {
            Self::Quoted(text) | Self::Word(text) | Self::Sensitive(text) => text,
            other @ (Self::List(_)
            | Self::Bytes(_)
            | Self::Time(_)
            | Self::Switch(_)
            | Self::Content { .. }) => other.to_string(),
        }
    }

    /// The same value as a sensitive one.
    pub fn hidden(self, key: &DigestKey) -> Self {
        match self {
            Self::Sensitive(_) => self,
            Self::Quoted(text) | Self::Word(text) => Self::Sensitive(key.digest(&text)),
            Self::List(items) => {
                let items: Vec<String> = items.into_iter().map(Self::into_raw).collect();
                Self::Sensitive(key.digest_list(&items))
            }
            other @ (Self::Bytes(_) | Self::Time(_) | Self::Switch(_) | Self::Content { .. }) => {
                Self::Sensitive(key.digest(&other.into_raw()))
            }
        }
    }
}

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;
const GIB: u64 = 1 << 30;

impl fmt::Display for FieldValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Word(word) => f.write_str(word),
            Self::Quoted(text) => write!(f, "{text:?}"),
            Self::List(items) => {
                f.write_str("[")?;
                for (at, item) in items.iter().enumerate() {
                    let comma = if at == 0 { "" } else { ", " };
                    write!(f, "{comma}{item}")?;
                }
                f.write_str("]")
            }
            // Only whole units, so that two different amounts never look alike.
            Self::Bytes(bytes) => match *bytes {
                bytes if bytes >= GIB && bytes % GIB == 0 => write!(f, "{} GiB", bytes / GIB),
                bytes if bytes >= MIB && bytes % MIB == 0 => write!(f, "{} MiB", bytes / MIB),
                bytes if bytes >= KIB && bytes % KIB == 0 => write!(f, "{} KiB", bytes / KIB),
                bytes => write!(f, "{bytes} B"),
            },
            Self::Time(time) => write!(f, "{time:?}"),
            Self::Switch(on) => write!(f, "{on}"),
            Self::Content { digest, read_only } => {
                let mode = if *read_only { ", read-only" } else { "" };
                write!(f, "content {}{mode}", digest.get(..12).unwrap_or(digest))
            }
            Self::Sensitive(_) => f.write_str(REDACTED),
        }
    }
}

/// Fields by their path.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Fields(BTreeMap<FieldPath, FieldValue>);

impl Fields {
    /// Sets a field.
    pub fn set(&mut self, path: impl Into<String>, value: FieldValue) {
        self.0.insert(FieldPath::new(path), value);
    }

    /// Sets a field if there is a value for it.
    pub fn set_some(&mut self, path: impl Into<String>, value: Option<FieldValue>) {
        if let Some(value) = value {
            self.set(path, value);
        }
    }

    /// Takes a field away.
    pub fn remove(&mut self, path: &FieldPath) {
        self.0.remove(path);
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The value of a field.
    pub fn get(&self, path: &FieldPath) -> Option<&FieldValue> {
        self.0.get(path)
    }

    /// All fields, sorted by path.
    pub fn iter(&self) -> impl Iterator<Item = (&FieldPath, &FieldValue)> {
        self.0.iter()
    }

    /// All paths, sorted.
    pub fn paths(&self) -> impl Iterator<Item = &FieldPath> {
        self.0.keys()
    }

    /// Replaces the values at `paths` by keyed digests.
    pub fn hide(&mut self, paths: &std::collections::BTreeSet<FieldPath>, key: &DigestKey) {
        for path in paths {
            if let Some(value) = self.0.remove(path) {
                self.0.insert(path.clone(), value.hidden(key));
            }
        }
    }
}

/// The host's own key for digests of sensitive values. Without it, the plain digest of a short secret could be
/// guessed by trying.
#[derive(Clone)]
pub struct DigestKey([u8; 32]);

impl DigestKey {
    /// The key made of these bytes, which must be random and private.
    pub fn new(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The digest of `text` under this key, in hexadecimal digits.
    pub fn digest(&self, text: &str) -> String {
        self.digest_bytes(text.as_bytes())
    }

    /// The digest of `bytes` under this key, in hexadecimal digits.
    pub fn digest_bytes(&self, bytes: &[u8]) -> String {
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else {
            unreachable!("HMAC takes keys of every length")
        };
        mac.update(bytes);
        hex::encode(mac.finalize().into_bytes())
    }

    /// The digest of a list of texts. Two lists that differ in where a text ends have different digests.
    fn digest_list(&self, texts: &[impl AsRef<str>]) -> String {
        let parts: Vec<String> =
            texts.iter().map(|text| format!("{}:{}", text.as_ref().len(), text.as_ref())).collect();
        self.digest(&parts.concat())
    }
}

impl fmt::Debug for DigestKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("DigestKey")
    }
}
