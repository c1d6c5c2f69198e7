//! Which tag of many is the newest release: the highest semantic version among those that match a pattern.

use std::fmt;
use std::str::FromStr;

use semver::Version;

/// A pattern for the names of tags, as in `v*`, `v2.*`, `shop-v*`, `v*-rc.*`. A `*` stands for any characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct TagPattern(String);

/// Why a text is no pattern.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("`tag` is a pattern for names of tags, such as `v*` or `v2.*`")]
pub struct BadPattern;

/// The longest pattern, and the longest name of a tag that is looked at.
const CHARS_MAX: usize = 200;
/// So many `*` are enough for anybody; each further one costs time at every tag.
const STARS_MAX: usize = 4;

impl TagPattern {
    /// The version that a tag stands for; none if it doesn't match, or has none. The version is what is left of the
    /// name without the pattern's beginning, and without a `v`. One before a release counts only where the pattern asks
    /// for such by a `-`.
    pub fn version(&self, tag: &str) -> Option<Version> {
        if tag.len() > CHARS_MAX || !matches(self.0.as_bytes(), tag.as_bytes()) {
            return None;
        }
        let beginning = self.0.find(|c: char| c == '*' || c.is_ascii_digit()).unwrap_or(0);
        let rest = tag.get(beginning..)?;
        let version = Version::parse(rest.strip_prefix('v').unwrap_or(rest)).ok()?;
        let asks_for_more = self.0.get(beginning..).is_some_and(|pattern| pattern.contains('-'));
        (version.pre.is_empty() || asks_for_more).then_some(version)
    }

    /// The tag with the highest version. Of two names for the same version, the one that sorts last.
    pub fn highest<'t>(&self, tags: impl IntoIterator<Item = &'t str>) -> Option<&'t str> {
        let versions = tags.into_iter().filter_map(|tag| Some((self.version(tag)?, tag)));
        versions.max().map(|(_, tag)| tag)
    }
}

/// Whether `text` is what `pattern` says.
fn matches(pattern: &[u8], text: &[u8]) -> bool {
    match pattern.split_first() {
        None => text.is_empty(),
        Some((b'*', rest)) => (0..=text.len()).any(|from| matches(rest, &text[from..])),
        Some((first, rest)) => text.split_first().is_some_and(|(c, text)| c == first && matches(rest, text)),
    }
}

impl FromStr for TagPattern {
    type Err = BadPattern;

    fn from_str(text: &str) -> Result<Self, BadPattern> {
        let fits = |c: char| c.is_ascii_alphanumeric() || "*._-+/".contains(c);
        let is_fit = !text.is_empty()
            && text.len() <= CHARS_MAX
            && text.chars().all(fits)
            && text.matches('*').count() <= STARS_MAX
            && !text.starts_with(['-', '/']);
        if is_fit { Ok(Self(text.to_owned())) } else { Err(BadPattern) }
    }
}

impl fmt::Display for TagPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_highest_version_is_the_newest_release() {
        let tags = [
            "v1.2.0",
            "v1.10.0",
            "v1.9.9",
            "2.0.0",
            "v2.1.0-rc.1",
            "v2.1.0-rc.2",
            "v3",
            "v9.9.9.9",
            "latest",
            "shop-v4.0.0",
            "shop-1.0.0",
            "other/v7.0.0",
        ];
        for (pattern, expected) in [
            ("v*", Some("v1.10.0")),
            ("*", Some("2.0.0")),
            ("v1.*", Some("v1.10.0")),
            ("v1.2.*", Some("v1.2.0")),
            ("v2.*", None),
            ("v2.*-*", Some("v2.1.0-rc.2")),
            ("v*-rc.*", Some("v2.1.0-rc.2")),
            ("shop-*", Some("shop-v4.0.0")),
            ("shop-v*", Some("shop-v4.0.0")),
            ("other/*", Some("other/v7.0.0")),
            ("v1.2.0", Some("v1.2.0")),
            ("nothing*", None),
        ] {
            let found = pattern.parse::<TagPattern>().unwrap();
            assert_eq!(found.highest(tags), expected, "{pattern}");
            assert_eq!(found.highest(tags.into_iter().rev()), expected, "{pattern}, the other way round");
        }
    }

    #[test]
    fn a_pattern_is_short_and_plain() {
        for text in ["", "-v*", "/v*", "v *", "v\n", "v[0-9]", "*****", &"v".repeat(201)] {
            assert_eq!(text.parse::<TagPattern>(), Err(BadPattern), "{text:?}");
        }
    }
}
