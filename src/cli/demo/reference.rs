//! The reference stack, as this program carries it, made fit for a demonstration: under another name, on free ports
//! and in a free subnet, so that it collides with nothing on the host.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, bail};

/// Each file with its path in a repository.
const FILES: &[(&str, &[u8])] = include!(concat!(env!("OUT_DIR"), "/reference_stack.rs"));

const ENVIRONMENT: &str = "environments/dev/environment.yaml";

/// The files of a repository, by their path.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Files(BTreeMap<String, Vec<u8>>);

impl Files {
    /// The reference stack as it is.
    pub(super) fn of_reference_stack() -> Self {
        Self(FILES.iter().map(|(path, bytes)| ((*path).to_owned(), bytes.to_vec())).collect())
    }

    /// The files.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, &[u8])> {
        self.0.iter().map(|(path, bytes)| (path.as_str(), bytes.as_slice()))
    }

    /// The variables that name a port of the host.
    pub(super) fn port_variables(&self) -> BTreeSet<String> {
        let manifests = self.0.iter().filter(|(path, _)| path.starts_with("manifests/"));
        manifests.flat_map(|(_, bytes)| ports_in(&String::from_utf8_lossy(bytes))).collect()
    }

    /// Gives the environment `dev` another stack name and these variables.
    pub(super) fn settle(&mut self, stack: &str, variables: &BTreeMap<String, String>) -> anyhow::Result<()> {
        let lines: Vec<String> =
            variables.iter().map(|(name, value)| format!("  {name}: {value}\n")).collect();
        let settings = format!("stack: {stack}\n\nvariables:\n{}", lines.concat());
        self.replace(ENVIRONMENT, "variables:\n", &settings)
    }

    /// Replaces the one place in the file at `path` that reads `old`.
    pub(super) fn replace(&mut self, path: &str, old: &str, new: &str) -> anyhow::Result<()> {
        let file = self.0.get_mut(path).with_context(|| format!("the reference stack has no {path}"))?;
        let text = std::str::from_utf8(file).with_context(|| format!("{path} is no text"))?;
        if text.matches(old).count() != 1 {
            bail!("{path} of the reference stack does not have `{}` once", old.trim());
        }
        *file = text.replacen(old, new, 1).into_bytes();
        Ok(())
    }
}

/// The names in every `${NAME_PORT:-…}` of a text.
fn ports_in(text: &str) -> Vec<String> {
    let names = text.split("${").skip(1).filter_map(|rest| rest.split_once(":-")).map(|(name, _)| name);
    names.filter(|name| name.ends_with("_PORT")).map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_published_port_is_moved() {
        let mut files = Files::of_reference_stack();
        let names = files.port_variables();
        let published =
            FILES.iter().map(|(_, bytes)| String::from_utf8_lossy(bytes).matches("    ports:\n").count());
        assert_eq!(names.len(), published.sum::<usize>(), "a service publishes a port without a variable");
        let variables = names.into_iter().map(|name| (name, "1".to_owned())).collect();
        files.settle("evenkeel-demo", &variables).unwrap();
        let (_, environment) = files.iter().find(|(path, _)| *path == ENVIRONMENT).unwrap();
        let environment = String::from_utf8(environment.to_vec()).unwrap();
        assert!(environment.contains("stack: evenkeel-demo\n") && environment.contains("  KAFKA_PORT: 1\n"));
    }

    #[test]
    fn a_text_that_is_not_there_is_not_replaced() {
        let mut files = Files::of_reference_stack();
        assert!(files.replace(ENVIRONMENT, "no such text", "").is_err());
        assert!(files.replace("nothing.yaml", "a", "").is_err());
        assert_eq!(files, Files::of_reference_stack());
    }
}
