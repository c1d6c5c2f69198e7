//! Takes what looks secret out of a file that is to be written, and escapes what would be read as a variable.
//!
//! Where a manifest lets a value come from outside, one that looks secret is replaced by a variable: in `environment`,
//! and in the words of commands. Nothing tells for sure what is secret: to take too much costs a line in `.env`.

use std::collections::{BTreeMap, BTreeSet};

use serde_yaml::{Mapping, Value};

use super::super::escape;
use crate::model::secret::{is_secret, password};
use crate::model::text::Text;

/// A value that a file takes from outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// The value that it has now.
    pub value: Text,
    /// Where that was found: `db.environment.POSTGRES_PASSWORD`.
    pub found: String,
}

/// A secret of fewer characters is not looked for inside of other values: it would be found everywhere.
const TELLING_CHARS: usize = 6;

/// Takes secrets out of `file`, the tree of a Compose file, and escapes the rest.
pub(super) fn take_out(file: &mut Mapping, notes: &mut Vec<String>) -> BTreeMap<String, Variable> {
    let mut taking = Taking::default();
    for (key, value) in file.iter_mut() {
        if key != "services" {
            escape(value);
            continue;
        }
        // All that keys tell is known before other values are looked through for it.
        for (name, map) in services(value) {
            taking.environment(name, map);
        }
        for (name, map) in services(value) {
            taking.credentials(name, map);
        }
        for (name, map) in services(value) {
            taking.rest(name, map, notes);
        }
    }
    taking.variables
}

fn services(value: &mut Value) -> impl Iterator<Item = (&str, &mut Mapping)> {
    let all = value.as_mapping_mut().into_iter().flatten();
    all.filter_map(|(name, service)| Some((name.as_str()?, service.as_mapping_mut()?)))
}

#[derive(Default)]
struct Taking {
    variables: BTreeMap<String, Variable>,
    /// What was taken out of environments: service and key.
    taken: BTreeSet<(String, String)>,
}

impl Taking {
    /// The variable that stands for `value`: called `name`, or as the service too where that is another value.
    fn stand_in(&mut self, service: &str, name: &str, value: &str, found: String) -> String {
        let name = variable(name);
        let longer = variable(&format!("{service}_{name}").to_uppercase());
        let numbered = (2..=u32::MAX).map(|number| format!("{longer}_{number}"));
        let free = |name: &String| self.variables.get(name).is_none_or(|known| known.value.expose() == value);
        let name = [name, longer.clone()].into_iter().chain(numbered).find(free).unwrap_or(longer);
        let variable = Variable { value: Text::sensitive(value), found };
        self.variables.entry(name.clone()).or_insert(variable);
        needed(&name)
    }

    /// Takes out what its key says to be secret.
    fn environment(&mut self, service: &str, map: &mut Mapping) {
        self.entries(service, map, |key, value, _| is_secret(key, value));
    }

    /// Takes out addresses with a password that is no secret found so far.
    fn credentials(&mut self, service: &str, map: &mut Mapping) {
        self.entries(service, map, |_, value, known| {
            password(value).is_some_and(|found| !known.iter().any(|(secret, _)| *secret == found))
        });
    }

    fn entries(
        &mut self,
        service: &str,
        map: &mut Mapping,
        is_meant: impl Fn(&str, &str, &[(String, String)]) -> bool,
    ) {
        let Some(Value::Mapping(entries)) = map.get_mut("environment") else { return };
        for (key, value) in entries.iter_mut() {
            let (Some(key), Some(text)) = (key.as_str(), value.as_str()) else { continue };
            let place = (service.to_owned(), key.to_owned());
            if !self.taken.contains(&place) && is_meant(key, text, &self.known()) {
                *value = self.stand_in(service, key, text, format!("{service}.environment.{key}")).into();
                self.taken.insert(place);
            }
        }
    }

    /// The values that were taken out and their names, the longest first.
    fn known(&self) -> Vec<(String, String)> {
        let all = self.variables.iter();
        let mut known: Vec<_> =
            all.map(|(name, variable)| (variable.value.expose().to_owned(), name.clone())).collect();
        known.retain(|(value, _)| value.chars().count() >= TELLING_CHARS);
        known.sort_by_key(|(value, _)| std::cmp::Reverse(value.len()));
        known
    }

    fn rest(&mut self, service: &str, map: &mut Mapping, notes: &mut Vec<String>) {
        for (key, value) in map.iter_mut() {
            match (key.as_str().unwrap_or_default(), value) {
                ("environment", Value::Mapping(entries)) => {
                    for (key, value) in entries.iter_mut() {
                        let place = (service.to_owned(), key.as_str().unwrap_or_default().to_owned());
                        if let (false, Value::String(text)) = (self.taken.contains(&place), value) {
                            *text = replaced(text, &self.known());
                        }
                    }
                }
                ("command" | "entrypoint", Value::Sequence(words)) => self.words(service, words),
                ("healthcheck", Value::Mapping(check)) => {
                    if let Some(Value::Sequence(words)) = check.get_mut("test") {
                        self.words(service, words);
                    }
                }
                ("labels", value) => {
                    notes.extend(telling(service, value));
                    escape(value);
                }
                (_, value) => escape(value),
            }
        }
    }

    /// The words of a command, of which each may be a line for a shell.
    fn words(&mut self, service: &str, words: &mut [Value]) {
        let mut asked = None;
        for word in words {
            let Value::String(text) = word else { continue };
            let parts: Vec<String> =
                text.split(' ').map(|part| self.part(service, part, &mut asked)).collect();
            *text = parts.join(" ");
        }
    }

    /// A part of a command without blanks. `asked` is the option before it, where its value is secret.
    fn part(&mut self, service: &str, part: &str, asked: &mut Option<String>) -> String {
        let found = format!("the command of {service}");
        let named = |option: &str| format!("{service}_{}", option.trim_start_matches('-')).to_uppercase();
        let option = asked.take();
        if let Some(option) = option.filter(|_| !part.is_empty() && !part.starts_with('-')) {
            return self.known_or(part, |taking| taking.stand_in(service, &named(&option), part, found));
        }
        match part.split_once('=') {
            Some((name, value)) if is_secret(name, value) && !value.starts_with('$') => {
                let value =
                    self.known_or(value, |taking| taking.stand_in(service, &named(name), value, found));
                return format!("{}={value}", name.replace('$', "$$"));
            }
            None if part.starts_with('-') && is_secret(part, "x") => *asked = Some(part.to_owned()),
            Some(_) | None => {}
        }
        if let Some(secret) = password(part) {
            let known = self.known();
            if !known.iter().any(|(value, _)| *value == secret) && !secret.starts_with('$') {
                let stand_in = self.stand_in(service, &named("PASSWORD"), &secret, found);
                let (before, after) = part.split_once(&format!(":{secret}@")).unwrap_or((part, ""));
                return format!("{}:{stand_in}@{}", replaced(before, &known), replaced(after, &known));
            }
        }
        replaced(part, &self.known())
    }

    /// `value` with what is known in it replaced, or what `otherwise` says where nothing is.
    fn known_or(&mut self, value: &str, otherwise: impl FnOnce(&mut Self) -> String) -> String {
        let known = self.known();
        if known.iter().any(|(secret, _)| value.contains(secret.as_str())) {
            replaced(value, &known)
        } else {
            otherwise(self)
        }
    }
}

/// `text`, with variables for the secrets in it and everything else escaped.
fn replaced(text: &str, known: &[(String, String)]) -> String {
    let first = known.iter().filter_map(|(value, name)| Some((text.find(value.as_str())?, value, name)));
    match first.min_by_key(|(at, value, _)| (*at, std::cmp::Reverse(value.len()))) {
        None => text.replace('$', "$$"),
        Some((at, value, name)) => {
            let (before, rest) = text.split_at(at);
            let after = rest.get(value.len()..).unwrap_or_default();
            format!("{}{}{}", before.replace('$', "$$"), needed(name), replaced(after, known))
        }
    }
}

/// The variable of that name. Without a value it is an error: an empty one would replace the container, without a secret.
fn needed(name: &str) -> String {
    format!("${{{name}:?}}")
}

/// `name` as the name of a variable.
fn variable(name: &str) -> String {
    let fit = |c: char| if c.is_ascii_alphanumeric() { c } else { '_' };
    let name: String = name.chars().map(fit).collect();
    if name.starts_with(|c: char| c.is_ascii_digit()) { format!("_{name}") } else { name }
}

/// Labels can't come from outside: everybody who reaches Docker reads them.
fn telling(service: &str, labels: &Value) -> Vec<String> {
    let Value::Mapping(labels) = labels else { return Vec::new() };
    let pairs = labels.iter().filter_map(|(name, value)| Some((name.as_str()?, value.as_str()?)));
    let secret = pairs.filter(|(name, value)| is_secret(name, value) || password(value).is_some());
    secret
        .map(|(name, _)| {
            format!("the label `{name}` of {service} looks secret and stands here in the clear, as in Docker")
        })
        .collect()
}
