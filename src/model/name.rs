//! Names: one type for each kind, so that a service's name can't be used where a container's is meant.
//!
//! A name is checked once, when it is parsed. Everything that has the type may rely on it, the engine's URLs
//! included: no name holds a slash, a question mark or a control character.

use std::fmt;
use std::str::FromStr;

/// Why a text is not a name of the wanted kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is not a valid {kind}: {rule}")]
pub struct NameError {
    kind: &'static str,
    text: String,
    rule: &'static str,
}

/// Longest text of a refused name that an error repeats.
const SHOWN_CHARS: usize = 80;

fn checked(
    kind: &'static str,
    rule: &'static str,
    text: &str,
    accepts: fn(&str) -> bool,
) -> Result<String, NameError> {
    if accepts(text) {
        return Ok(text.to_owned());
    }
    let shown = text.chars().filter(|c| !c.is_control()).take(SHOWN_CHARS).collect();
    Err(NameError { kind, text: shown, rule })
}

fn is_word(text: &str, longest: usize, first: fn(char) -> bool, rest: fn(char) -> bool) -> bool {
    let mut chars = text.chars();
    text.len() <= longest && chars.next().is_some_and(first) && chars.all(rest)
}

fn is_lower_name(text: &str) -> bool {
    let lower = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit();
    is_word(text, 63, lower, |c| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-'))
}

fn is_key(text: &str) -> bool {
    let key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    is_word(text, 128, key, key)
}

fn is_object_name(text: &str) -> bool {
    let rest = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    is_word(text, 200, |c| c.is_ascii_alphanumeric(), rest)
}

fn is_id(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or(text);
    is_word(hex, 64, |c| c.is_ascii_hexdigit(), |c| c.is_ascii_hexdigit())
}

macro_rules! name_type {
    ($(#[$doc:meta])* $name:ident, $kind:literal, $accepts:ident, $rule:literal) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub struct $name(String);

        impl $name {
            /// The name as text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                checked($kind, $rule, text, $accepts).map(Self)
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.pad(&self.0)
            }
        }

        impl AsRef<str> for $name {
            fn as_ref(&self) -> &str {
                &self.0
            }
        }
    };
}

name_type!(
    /// A stack: project × environment on one host. It is the Compose project name of all its containers.
    StackName, "stack name", is_lower_name,
    "lower-case letters, digits, `_` and `-`, beginning with a letter or digit, at most 63"
);
name_type!(
    /// A folder below `environments/`.
    EnvironmentName, "environment name", is_lower_name,
    "lower-case letters, digits, `_` and `-`, beginning with a letter or digit, at most 63"
);
name_type!(
    /// A group of services that is applied together, in order.
    TierName, "tier name", is_lower_name,
    "lower-case letters, digits, `_` and `-`, beginning with a letter or digit, at most 63"
);
name_type!(
    /// A key below `services:`.
    ServiceName, "service name", is_key, "letters, digits, `.`, `_` and `-`, at most 128"
);
name_type!(
    /// A key below `networks:`.
    NetworkKey, "network key", is_key, "letters, digits, `.`, `_` and `-`, at most 128"
);
name_type!(
    /// A key below `volumes:`.
    VolumeKey, "volume key", is_key, "letters, digits, `.`, `_` and `-`, at most 128"
);
name_type!(
    /// A container's name as Docker knows it.
    ContainerName, "container name", is_object_name,
    "letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 200"
);
name_type!(
    /// A network's name as Docker knows it.
    NetworkName, "network name", is_object_name,
    "letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 200"
);
name_type!(
    /// A volume's name as Docker knows it.
    VolumeName, "volume name", is_object_name,
    "letters, digits, `.`, `_` and `-`, beginning with a letter or digit, at most 200"
);
name_type!(
    /// A container's id, as the engine gave it.
    ContainerId, "container id", is_id, "hexadecimal digits"
);
name_type!(
    /// A network's id, as the engine gave it.
    NetworkId, "network id", is_id, "hexadecimal digits"
);
name_type!(
    /// An image's id (the digest of its configuration), as the engine gave it.
    ImageId, "image id", is_id, "`sha256:` and hexadecimal digits"
);
name_type!(
    /// One deploy of one stack: the key of its ledger record and a label of the containers it created.
    DeployId, "deploy id", is_lower_name, "lower-case letters and digits"
);

impl ContainerId {
    /// The first twelve digits, as Docker's own tools show an id.
    pub fn short(&self) -> &str {
        self.0.get(..12).unwrap_or(&self.0)
    }
}

impl ImageId {
    /// The first twelve digits after `sha256:`, as Docker's own tools show an id.
    pub fn short(&self) -> &str {
        let hex = self.0.strip_prefix("sha256:").unwrap_or(&self.0);
        hex.get(..12).unwrap_or(hex)
    }
}

/// One of the containers of a service: `web-1`. Services without replicas have the instance 1.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Instance {
    /// The service it belongs to.
    pub service: ServiceName,
    /// Its number, from 1, as in the label `com.docker.compose.container-number`.
    pub number: u32,
}

impl fmt::Display for Instance {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&format!("{}-{}", self.service, self.number))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_that_could_change_a_url_are_refused() {
        for text in ["a/../b", "a?x", "", "-a", "a b", "a\n", "é", "\u{202e}a", &"a".repeat(201)] {
            assert!(text.parse::<ContainerName>().is_err(), "{text:?}");
        }
        assert!("auren-dev.1_x".parse::<ContainerName>().is_ok());
    }

    #[test]
    fn a_stack_name_is_a_compose_project_name() {
        assert!("auren-dev".parse::<StackName>().is_ok());
        assert!("Auren".parse::<StackName>().is_err());
        assert!("_auren".parse::<StackName>().is_err());
    }

    #[test]
    fn an_error_repeats_no_control_characters_and_no_long_text() {
        let error = format!("\u{1b}[31m{}", "x".repeat(500)).parse::<ServiceName>().unwrap_err().to_string();
        assert!(!error.contains('\u{1b}'));
        assert!(error.len() < 250, "{error}");
    }
}
