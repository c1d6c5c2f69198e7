//! What the fuzz targets feed: the three grammars that read texts of strangers, without anything around them.
//!
//! It is here because fuzz targets are a crate of their own and these grammars are nobody's public interface. Nothing
//! in this crate uses it.

use std::collections::BTreeMap;

use super::dotenv::{self, Format};
use super::load;
use super::node::Taint;
use super::problem::Problems;
use super::template::{self, What};
use crate::model::tree::RepoPath;

fn told(problems: Problems) -> String {
    match problems.finish() {
        Ok(warnings) => warnings.iter().map(|warning| warning.render(false)).collect(),
        Err(report) => report.render(false),
    }
}

fn outside(name: &str) -> Option<(&'static str, Taint)> {
    match name {
        "A" => Some(("hunter2", Taint::Sensitive)),
        "B" => Some(("", Taint::Variable)),
        _ => None,
    }
}

/// Reads a YAML file; the text says what was wrong with it.
pub fn yaml(bytes: &[u8]) -> String {
    let mut problems = Problems::default();
    let _ = load::load(&mut problems, &RepoPath::root(), bytes.to_vec());
    told(problems)
}

/// Reads a file of variables; the text says what was wrong with it. `$A` is a secret, `$B` is empty.
pub fn dotenv(bytes: &[u8], raw: bool) -> (BTreeMap<String, String>, String) {
    let (mut problems, mut known) = (Problems::default(), BTreeMap::new());
    let format = if raw { Format::Raw } else { Format::Dotenv };
    let path = RepoPath::root();
    let file = dotenv::File { path: &path, bytes, format, taint: Taint::Literal };
    dotenv::read(&mut problems, &file, &outside, &mut known);
    (known.into_iter().map(|(name, held)| (name, held.text)).collect(), told(problems))
}

/// Fills in a template: what becomes of it unless it is refused, whether that is sensitive, and the parts that there is
/// something to say about. `$A` is a secret, `$B` is empty.
pub fn interpolation(template: &str) -> (Option<String>, bool, Vec<String>) {
    let filled = template::fill(template, Taint::Literal, &outside);
    let accepted = filled.notes.iter().all(|note| matches!(note.what, What::Unset { .. }));
    let parts = filled.notes.iter().map(|note| template[note.at.clone()].to_owned()).collect();
    (accepted.then_some(filled.text), filled.taint == Taint::Sensitive, parts)
}
