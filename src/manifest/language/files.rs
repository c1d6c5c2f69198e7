//! Files → one tree in the long form: each is read, its variables filled in, extended, and merged over the earlier.

use super::super::interpolate;
use super::super::load;
use super::super::node::{Node, Value};
use super::super::problem::{Problem, Problems};
use super::super::read as node_read;
use super::super::variables::Variables;
use super::long::Reading;
use super::merge::{self, Tags};
use super::places::{self, Base};
use super::types::Type;
use super::{environment, extends, include, table};
use crate::model::tree::{FileTree, RepoPath};

/// What a whole file is.
pub(crate) const FILE: Type = Type::Object(&table::FILE);

/// The reading of all files of one request.
pub(crate) struct Loading<'a> {
    pub(crate) problems: &'a mut Problems,
    pub(crate) tree: &'a dyn FileTree,
    /// Whether variables are filled in.
    pub(crate) interpolate: bool,
    /// How many files were included so far.
    pub(crate) included: usize,
    /// The variables that configs and secrets are made from.
    pub(crate) given: environment::FromVariables,
}

/// What a file is read with.
#[derive(Clone)]
pub(crate) struct Surroundings<'v> {
    /// What its paths are relative to.
    pub(crate) base: Base,
    /// The variables.
    pub(crate) variables: Variables<'v>,
    /// The files that include it, the outermost first, and then itself.
    pub(crate) trail: Vec<RepoPath>,
}

impl Loading<'_> {
    /// Reads files that are included, the later merged over the earlier. Nothing when none says anything.
    pub(crate) fn model(&mut self, files: &[RepoPath], around: &Surroundings<'_>) -> Option<Node> {
        let mut root: Option<Node> = None;
        for path in files {
            for document in self.stand(path).unwrap_or_default() {
                if matches!(document.value, Value::Null) {
                    self.problems.add(
                        Problem::warning("empty-file", path, "the file is empty, so it includes nothing")
                            .hint("remove it"),
                    );
                    continue;
                }
                let Some(file) = self.document(document, path, around) else { continue };
                put(&mut root, file);
            }
        }
        if let Some(root) = &mut root {
            environment::take_over(self.problems, root, &around.variables, &mut self.given);
        }
        root
    }

    /// The documents of a file, of which none is empty.
    pub(crate) fn documents(&mut self, path: &RepoPath) -> Option<Vec<Node>> {
        let documents = self.stand(path)?;
        let empty = documents.iter().find(|document| matches!(document.value, Value::Null));
        if let Some(empty) = empty {
            let message = "the file is empty, or one of its documents is";
            let problem = match documents.len() {
                1 => Problem::error("empty-file", path, "the file is empty"),
                _ => Problem::error("empty-file", empty.span, message),
            };
            self.problems.add(problem.hint("remove it, or declare `services`"));
            self.problems.incomplete();
            return None;
        }
        Some(documents)
    }

    /// The documents of a file as they stand there.
    pub(crate) fn stand(&mut self, path: &RepoPath) -> Option<Vec<Node>> {
        let documents = match self.tree.read(path) {
            // However small, a file costs as much as a page to read.
            Ok(file)
                if !self
                    .problems
                    .charge_repeated(path, file.bytes.len().min(load::BYTES_MAX) + (4 << 10)) =>
            {
                None
            }
            Ok(file) => load::load_all(self.problems, path, file.bytes),
            Err(error) => {
                self.problems.add(Problem::error("unreadable", path, error.reason()));
                None
            }
        };
        if documents.is_none() {
            self.problems.incomplete();
        }
        documents
    }

    /// A document in the long form, with its variables filled in, and with what it extends and includes.
    pub(crate) fn document(
        &mut self,
        mut node: Node,
        path: &RepoPath,
        around: &Surroundings<'_>,
    ) -> Option<Node> {
        if node_read::map(self.problems, &node).is_none() {
            self.problems.incomplete();
            return None;
        }
        if self.interpolate {
            interpolate::fill(self.problems, &around.variables, &mut node);
        }
        let mut node =
            Reading { problems: self.problems, interpolated: self.interpolate }.value(node, &FILE)?;
        if let Some(version) = node.as_map().and_then(|map| map.entry("version")) {
            let span = version.key.span;
            self.problems.add(
                Problem::warning("obsolete", span, "`version` is obsolete and means nothing")
                    .hint("remove it"),
            );
        }
        places::resolve(&mut node, &FILE, &around.base);
        extends::apply(self, &mut node, path, around);
        include::apply(self, &mut node, path, around);
        Some(node)
    }
}

/// Merges a file over what there is.
pub(crate) fn put(root: &mut Option<Node>, mut file: Node) {
    match root {
        None => {
            merge::settle(&mut file);
            *root = Some(file);
        }
        Some(root) => merge::merge(root, file, &FILE, Tags::Settled),
    }
}
