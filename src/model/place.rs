//! Which hosts a stack is for, and who a host is.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

/// Who a host is.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Identity {
    /// Its name.
    pub name: String,
    /// What else is said of it.
    pub labels: BTreeMap<String, String>,
}

/// A host that an environment names: by its name, or by a label that it bears.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum HostSelector {
    /// The host of this name.
    Name(String),
    /// Every host with this label.
    Label(String, String),
}

impl HostSelector {
    /// Whether `host` is meant.
    pub fn selects(&self, host: &Identity) -> bool {
        match self {
            Self::Name(name) => *name == host.name,
            Self::Label(key, value) => host.labels.get(key) == Some(value),
        }
    }
}

/// Why a text names no host.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` names no host: a host is a name, as in `web1`, or a label, as in `role=web`, of letters, digits, `.`, `_` and `-`"
)]
pub struct BadHost(String);

impl FromStr for HostSelector {
    type Err = BadHost;

    fn from_str(text: &str) -> Result<Self, BadHost> {
        let is_word = |word: &str| {
            let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
            (1..=253).contains(&word.len()) && word.chars().all(fits)
        };
        match text.split_once('=') {
            None if is_word(text) => Ok(Self::Name(text.to_owned())),
            Some((key, value)) if is_word(key) && is_word(value) => {
                Ok(Self::Label(key.to_owned(), value.to_owned()))
            }
            None | Some(_) => Err(BadHost(text.to_owned())),
        }
    }
}

impl fmt::Display for HostSelector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Name(name) => f.pad(name),
            Self::Label(key, value) => f.pad(&format!("{key}={value}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_is_named_or_bears_a_label() {
        let labels = BTreeMap::from([("role".to_owned(), "db".to_owned())]);
        let host = Identity { name: "web1".to_owned(), labels };
        for (text, selected) in [("web1", true), ("web2", false), ("role=db", true), ("role=web", false)] {
            let selector: HostSelector = text.parse().unwrap();
            assert_eq!((selector.selects(&host), selector.to_string().as_str()), (selected, text));
        }
        for text in ["", "=", "a=", "=b", "a b", "a=b=c", "web\n1"] {
            assert!(text.parse::<HostSelector>().is_err(), "{text}");
        }
    }
}
