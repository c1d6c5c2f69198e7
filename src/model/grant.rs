//! Configs and secrets: single files that a service is granted.

use std::fmt;
use std::sync::Arc;

use super::text::REDACTED;

/// A config or secret as one service is granted it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Grant {
    /// Which of the two it is.
    pub kind: GrantKind,
    /// Where it comes from, for people: the path of a file, or `configs.NAME`.
    pub origin: String,
    /// What is in it.
    pub content: GrantContent,
    /// Who may do what with it in the container.
    pub access: FileAccess,
}

/// The two kinds, which differ in where a file is mounted unless said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum GrantKind {
    /// `configs`
    Config,
    /// `secrets`
    Secret,
}

impl GrantKind {
    /// The section of a Compose file in which they are declared.
    pub fn section(self) -> &'static str {
        match self {
            Self::Config => "configs",
            Self::Secret => "secrets",
        }
    }

    /// What one of them is called.
    pub fn word(self) -> &'static str {
        match self {
            Self::Config => "config",
            Self::Secret => "secret",
        }
    }
}

/// The bytes of a file that may be sensitive. Like a [`super::text::Text`], those show themselves to nobody.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct GrantContent {
    bytes: Arc<[u8]>,
    sensitive: bool,
}

impl GrantContent {
    /// Bytes of the given sensitivity.
    pub fn new(bytes: impl Into<Arc<[u8]>>, sensitive: bool) -> Self {
        Self { bytes: bytes.into(), sensitive }
    }

    /// Whether the bytes must not be shown.
    pub fn is_sensitive(&self) -> bool {
        self.sensitive
    }

    /// The bytes themselves, for laying them down and for keyed digests.
    pub fn expose(&self) -> &[u8] {
        &self.bytes
    }
}

impl fmt::Debug for GrantContent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sensitive { f.write_str(REDACTED) } else { write!(f, "{} bytes", self.bytes.len()) }
    }
}

/// The permissions and the owner of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct FileAccess {
    /// Permission bits.
    pub mode: u32,
    /// Its user; absent means root, or whoever lays it down.
    pub uid: Option<u32>,
    /// Its group; absent means that of root, or of whoever lays it down.
    pub gid: Option<u32>,
}

impl Default for FileAccess {
    /// Readable by everybody in the container, as the Compose Specification has it.
    fn default() -> Self {
        Self { mode: 0o444, uid: None, gid: None }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sensitive_bytes_are_shown_nowhere() {
        let grant = |sensitive| Grant {
            kind: GrantKind::Secret,
            origin: "secrets.password".to_owned(),
            content: GrantContent::new(&b"hunter2"[..], sensitive),
            access: FileAccess::default(),
        };
        assert!(format!("{:?}", grant(true)).contains("(sensitive)"));
        assert!(!format!("{:?} {:?}", grant(true), grant(false)).contains("hunter2"));
    }
}
