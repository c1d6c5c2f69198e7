//! `extends`: a service as another one, of the same file or of another, with its own settings merged over it.

use std::collections::BTreeMap;

use super::super::interpolate;
use super::super::node::{Map, Node, Value};
use super::super::problem::{Problem, suggestion};
use super::super::read as node_read;
use super::super::source::Span;
use super::super::weight;
use super::files::{Loading, Surroundings};
use super::long::Reading;
use super::merge::{self, Tags};
use super::places::{self, Base};
use super::table;
use super::types::Type;
use crate::model::tree::RepoPath;

const SERVICE: Type = Type::Object(&table::SERVICE);
/// Most services that one may extend through others.
const CHAIN_MAX: usize = 100;

/// The services of one file.
struct Services {
    base: Base,
    /// As they stand there, where only those that are asked for are read.
    raw: BTreeMap<String, Node>,
    /// In the long form, with what they extend.
    done: BTreeMap<String, Option<Node>>,
}

/// A step on the way from a service to what it extends.
struct Step {
    file: RepoPath,
    name: String,
    span: Span,
}

struct Extending<'l, 'a, 's> {
    loading: &'l mut Loading<'a>,
    around: &'s Surroundings<'s>,
    files: BTreeMap<RepoPath, Option<Services>>,
    own: RepoPath,
    trail: Vec<Step>,
}

/// Puts what the services of a document extend below them.
pub(crate) fn apply(loading: &mut Loading<'_>, root: &mut Node, path: &RepoPath, around: &Surroundings<'_>) {
    let Some(services) = root.as_map_mut().and_then(|map| map.get_mut("services")).and_then(Node::as_map_mut)
    else {
        return;
    };
    let extends = |map: &Map| map.entry("extends").is_some();
    if !services.entries.iter().any(|entry| entry.value.as_map().is_some_and(extends)) {
        return;
    }
    let own = Services { base: around.base.clone(), raw: by_name(services), done: BTreeMap::new() };
    let files = BTreeMap::from([(path.clone(), Some(own))]);
    let mut extending = Extending { loading, around, files, own: path.clone(), trail: Vec::new() };
    for entry in &mut services.entries {
        if entry.value.as_map().is_some_and(extends) {
            extending.trail.clear();
            if let Some(whole) = extending.service(path, &entry.key.text, entry.key.span) {
                entry.value = whole;
                continue;
            }
            if let Some(map) = entry.value.as_map_mut() {
                map.remove("extends");
            }
            extending.loading.problems.incomplete();
        }
    }
}

fn by_name(services: &Map) -> BTreeMap<String, Node> {
    services.entries.iter().map(|entry| (entry.key.text.clone(), entry.value.clone())).collect()
}

impl Extending<'_, '_, '_> {
    /// A service in the long form, with all that it extends.
    fn service(&mut self, file: &RepoPath, name: &str, span: Span) -> Option<Node> {
        let services = self.files.get(file)?.as_ref()?;
        if let Some(done) = services.done.get(name) {
            let size = done.as_ref().map_or(0, weight::whole);
            return if self.loading.problems.charge_repeated(span, size) { done.clone() } else { None };
        }
        let node = services.raw.get(name)?.clone();
        let node = if *file == self.own { node } else { self.read(node, &services.base.clone())? };
        let whole = self.with_base(file, name, span, node);
        let size = whole.as_ref().map_or(0, weight::whole);
        if !self.loading.problems.charge_repeated(span, size) {
            return None;
        }
        if let Some(services) = self.files.get_mut(file).and_then(Option::as_mut) {
            services.done.insert(name.to_owned(), whole.clone());
        }
        whole
    }

    fn read(&mut self, mut node: Node, base: &Base) -> Option<Node> {
        if self.loading.interpolate {
            interpolate::fill(self.loading.problems, &self.around.variables, &mut node);
        }
        let mut node = Reading { problems: self.loading.problems, interpolated: self.loading.interpolate }
            .value(node, &SERVICE)?;
        places::resolve(&mut node, &SERVICE, base);
        Some(node)
    }

    fn with_base(&mut self, file: &RepoPath, name: &str, span: Span, mut node: Node) -> Option<Node> {
        let Some(extends) = node.as_map_mut().and_then(|map| map.remove("extends")) else {
            return Some(node);
        };
        let Some(map) = extends.value.as_map() else {
            if extends.value.tag.is_none() {
                let problem = node_read::wrong_type(&extends.value, "the name of a service");
                return self.refuse(problem);
            }
            return Some(node);
        };
        let Some(wanted) = map.get("service") else {
            let problem = Problem::error("missing-key", extends.value.span, "`extends` has no `service`");
            return self.refuse(problem);
        };
        let wanted_name = wanted.as_scalar()?.text.clone();
        let other = match map.get("file").and_then(Node::as_scalar) {
            None => file.clone(),
            Some(scalar) => self.open(file, &scalar.text, map.get("file").map_or(span, |node| node.span))?,
        };
        self.trail.push(Step { file: file.clone(), name: name.to_owned(), span: wanted.span });
        let circle = self.trail.iter().position(|step| step.file == other && step.name == wanted_name);
        if let Some(from) = circle {
            return self.circle(from, wanted.span);
        }
        if self.trail.len() > CHAIN_MAX {
            let message = format!("more than {CHAIN_MAX} services extend one another");
            return self.refuse(Problem::error("too-deep", wanted.span, message));
        }
        let known = self.files.get(&other)?.as_ref()?;
        if !known.raw.contains_key(&wanted_name) {
            let names = known.raw.keys().map(String::as_str);
            let hint = suggestion(&wanted_name, names);
            let message = format!("there is no service `{wanted_name}` in {other} to extend");
            let problem = Problem::error("missing-service", wanted.span, message);
            return self.refuse(match hint {
                Some(hint) => problem.hint(hint),
                None => problem.hint("declare it there, or name another file with `file`"),
            });
        }
        let mut whole = self.service(&other, &wanted_name, wanted.span)?;
        self.trail.pop();
        merge::settle(&mut whole);
        merge::merge(&mut whole, node, &SERVICE, Tags::Kept);
        Some(whole)
    }

    /// Reads the file that a service is in.
    fn open(&mut self, from: &RepoPath, path: &str, span: Span) -> Option<RepoPath> {
        let base = self.files.get(from)?.as_ref()?.base.clone();
        let resolved = base.resolve(path);
        let Ok(file) = RepoPath::root().join(&resolved) else {
            let message = "the file to extend lies outside of the repository";
            return self.refuse(Problem::error("outside", span, message));
        };
        if !self.files.contains_key(&file) {
            let services = self.load(&file, span, &base.at(places::parent(&resolved)));
            self.files.insert(file.clone(), services);
        }
        self.files.get(&file)?.is_some().then_some(file)
    }

    fn load(&mut self, file: &RepoPath, span: Span, base: &Base) -> Option<Services> {
        if let Err(error) = self.loading.tree.read(file) {
            return self.refuse(Problem::error("unreadable", span, error.reason()));
        }
        let mut raw = BTreeMap::new();
        for document in self.loading.documents(file)? {
            let Value::Map(mut map) = document.value else { continue };
            let Some(services) = map.remove("services") else { continue };
            node_read::map(self.loading.problems, &services.value)?;
            if let Value::Map(services) = services.value.value {
                raw.extend(by_name(&services));
            }
        }
        if raw.is_empty() {
            let message = format!("{file} has no services to extend");
            return self.refuse(Problem::error("missing-service", span, message));
        }
        Some(Services { base: base.clone(), raw, done: BTreeMap::new() })
    }

    fn circle<T>(&mut self, from: usize, back: Span) -> Option<T> {
        let steps = &self.trail[from..];
        let names: Vec<&str> = steps.iter().map(|step| step.name.as_str()).collect();
        let first = names.first().copied().unwrap_or_default();
        let message = match names.as_slice() {
            [only] => format!("`{only}` extends itself"),
            names => format!("services extend each other in a circle: {} → {first}", names.join(" → ")),
        };
        let mut problem = Problem::error("cycle", back, message).hint("remove one of these `extends`");
        for step in steps.iter().take(steps.len().saturating_sub(1)) {
            problem = problem.related(step.span, format!("`{}` extends this", step.name));
        }
        self.refuse(problem)
    }

    fn refuse<T>(&mut self, problem: Problem) -> Option<T> {
        self.loading.problems.add(problem);
        None
    }
}
