//! Where the values of variables come from.
//!
//! In a repository: what Evenkeel itself says, then `variables` of `environment.yaml`, then the process environment
//! of the host. For single files, as Compose has it: the host's, then `.env`. A value from the host or from `.env`
//! is sensitive: Git does not hold it in the clear, so nobody is shown it.

use std::collections::BTreeMap;

use super::node::Taint;
use super::problem::nearest;

/// A declared variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Declared {
    /// Its value.
    Value(String),
    /// `{from: host}`: the host's process environment must have it.
    FromHost,
}

/// All variables of one resolution.
#[derive(Debug, Clone)]
pub(crate) struct Variables<'a> {
    /// Those that say where they come from: `COMPOSE_PROJECT_NAME`.
    pub(crate) own: BTreeMap<String, String>,
    /// `variables` of the environment.
    pub(crate) declared: BTreeMap<String, Declared>,
    /// The host's process environment.
    pub(crate) host: &'a BTreeMap<String, String>,
    /// `.env` beside the first file.
    pub(crate) dotenv: BTreeMap<String, String>,
    /// What stands for the value of a variable that must come from the host and doesn't.
    pub(crate) placeholder: Option<&'static str>,
    /// What stands for the values of variables that come from the host, by name; absent where nothing may stand for a
    /// variable that isn't even declared.
    pub(crate) outside: Option<BTreeMap<String, String>>,
    /// The environment's file, for hints.
    pub(crate) environment_file: Option<String>,
}

/// What stands for the value of `name`, where only the host has it. It is made of the name, so that another variable in
/// its place is seen, and of letters that an image reference may have, too.
pub(crate) fn stand_in(name: &str) -> String {
    format!("{STAND_IN}{}", name.to_ascii_lowercase().replace('_', "-"))
}

/// How every text begins that stands for a value from outside.
pub(crate) const STAND_IN: &str = "from-outside-";

/// The value of a variable.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Lookup<'v> {
    Known { text: &'v str, taint: Taint },
    Unknown,
}

impl Variables<'_> {
    /// The value of `name`.
    pub(crate) fn lookup(&self, name: &str) -> Lookup<'_> {
        let sensitive = |text| Lookup::Known { text, taint: Taint::Sensitive };
        if let Some(text) = self.own.get(name) {
            return Lookup::Known { text, taint: Taint::Variable };
        }
        let host = self.host.get(name).map(|text| sensitive(text));
        match self.declared.get(name) {
            Some(Declared::Value(text)) => Lookup::Known { text, taint: Taint::Variable },
            Some(Declared::FromHost) => {
                let outside = || self.outside.as_ref()?.get(name).map(|text| sensitive(text));
                let placeholder = || self.placeholder.map(sensitive);
                host.or_else(outside).or_else(placeholder).unwrap_or(Lookup::Unknown)
            }
            None => {
                host.or_else(|| self.dotenv.get(name).map(|text| sensitive(text))).unwrap_or(Lookup::Unknown)
            }
        }
    }

    /// Whether something stands for the value of `name`.
    pub(crate) fn is_outside(&self, name: &str) -> bool {
        let from_host = || self.declared.get(name) == Some(&Declared::FromHost);
        let by_name = self.outside.as_ref().is_some_and(|outside| outside.contains_key(name));
        let is_stood_for = by_name || (self.placeholder.is_some() && from_host());
        is_stood_for && !self.host.contains_key(name) && !self.own.contains_key(name)
    }

    /// What to do about a variable without a value.
    pub(crate) fn how_to_set(&self, name: &str) -> String {
        self.how_to_give(name, &format!(", or give a default: `${{{name}:-…}}`"))
    }

    /// The same, where there is `another` way or none.
    pub(crate) fn how_to_give(&self, name: &str, another: &str) -> String {
        if self.declared.get(name) == Some(&Declared::FromHost) {
            return format!("it must come from the host: set `{name}` in the environment of this process");
        }
        let known = self.declared.keys().chain(self.dotenv.keys()).map(String::as_str);
        if let Some(similar) = nearest(name, known) {
            return format!("there is a variable `{similar}`: is that the one?");
        }
        let file = match &self.environment_file {
            Some(path) => format!("declare it under `variables` in {path}"),
            None => "set it in `.env` beside the first file".to_owned(),
        };
        let or = if another.is_empty() { ", or" } else { "," };
        format!("{file}{or} set it in the environment of this process{another}")
    }
}
