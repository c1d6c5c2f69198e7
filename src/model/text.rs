//! Text that may be sensitive.

use std::fmt;

/// A text from a manifest, an environment or a container, with the knowledge whether people may see it.
///
/// A text is sensitive when any part of it came from outside the repository: what Git does not hold in the clear
/// is not printed either. `Debug` and `Display` show `(sensitive)` instead of such a text, and there is no
/// serialisation: who needs the characters must say [`Text::expose`].
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Text {
    value: String,
    sensitive: bool,
}

/// What is shown in the place of a sensitive text.
pub const REDACTED: &str = "(sensitive)";

impl Text {
    /// A text that anybody may see.
    pub fn plain(value: impl Into<String>) -> Self {
        Self { value: value.into(), sensitive: false }
    }

    /// A text that is never shown.
    pub fn sensitive(value: impl Into<String>) -> Self {
        Self { value: value.into(), sensitive: true }
    }

    /// A text of the given sensitivity.
    pub fn new(value: impl Into<String>, sensitive: bool) -> Self {
        Self { value: value.into(), sensitive }
    }

    /// Whether the text must not be shown.
    pub fn is_sensitive(&self) -> bool {
        self.sensitive
    }

    /// The characters themselves, for the engine and for keyed digests.
    pub fn expose(&self) -> &str {
        &self.value
    }
}

impl From<&str> for Text {
    fn from(value: &str) -> Self {
        Self::plain(value)
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(if self.sensitive { REDACTED } else { &self.value })
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.sensitive { f.write_str(REDACTED) } else { fmt::Debug::fmt(&self.value, f) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sensitive_text_is_shown_nowhere() {
        let text = Text::sensitive("hunter2");
        assert_eq!(format!("{text} {text:?}"), "(sensitive) (sensitive)");
        assert_eq!(text.expose(), "hunter2");
    }
}
