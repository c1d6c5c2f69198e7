//! The resolved project: the model that `docker compose config` prints.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value as Json;

use super::super::diagnostic::Diagnostic;
use super::super::node::{Entry, Map, Node};
use super::super::source::Span;
use super::print::{For, Printing};
use super::table;
use super::{unique, yaml};

/// Where something is that nobody wrote.
pub(crate) const NOWHERE: Span = Span { source: u32::MAX, start: 0, end: 0 };

/// Whether values from outside of the repository are printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reveal {
    /// `(sensitive)` stands for them.
    Hidden,
    /// They are, as when two programs are compared; never where somebody else may read it.
    All,
}

/// How a model is printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Show<'s> {
    /// Whether values from outside of the repository are printed.
    pub reveal: Reveal,
    /// Where the tree lies on the host, as an absolute path: relative paths are printed as paths below it.
    pub folder: &'s str,
    /// Whether variables were filled in; then a `$` that is left is printed as `$$`.
    pub interpolated: bool,
}

/// A project in the long form, with all of its files merged and nothing left unsaid.
#[derive(Debug, Clone)]
pub struct Model {
    /// The active services, and what they use.
    pub(crate) root: Map,
    /// What services say themselves where files say more, by name.
    pub(crate) unread: BTreeMap<String, Map>,
    /// The profiles of all services.
    pub(crate) profiles: BTreeSet<String>,
    /// What the project is called.
    pub(crate) project: String,
    /// What is worth a look.
    pub(crate) warnings: Vec<Diagnostic>,
}

impl Model {
    /// What the project is called.
    pub fn project(&self) -> &str {
        &self.project
    }

    /// What is worth a look.
    pub fn warnings(&self) -> &[Diagnostic] {
        &self.warnings
    }

    /// The model as JSON, the same as that of `docker compose config --format json`.
    pub fn to_json(&self, show: &Show<'_>) -> Json {
        let printed = Printing { show, format: For::Json, escaped: show.interpolated }.file(&self.root);
        serde_json::to_value(printed).unwrap_or_default()
    }

    /// The model as Compose YAML, which resolves to the same again.
    pub fn to_yaml(&self, show: &Show<'_>) -> String {
        let printed = Printing { show, format: For::Yaml, escaped: show.interpolated }.file(&self.root);
        yaml::written(&printed)
    }

    /// The names of the active services.
    pub fn services(&self) -> Vec<String> {
        self.keys("services")
    }

    /// The names of the volumes that active services use, as the files call them.
    pub fn volumes(&self) -> Vec<String> {
        self.keys("volumes")
    }

    /// The names of the networks that active services use, as the files call them.
    pub fn networks(&self) -> Vec<String> {
        self.keys("networks")
    }

    /// The profiles of all services, active or not.
    pub fn profiles(&self) -> Vec<String> {
        self.profiles.iter().cloned().collect()
    }

    /// The images of the active services. One that is only built is called as Compose would call it.
    pub fn images(&self) -> Vec<String> {
        let image = |entry: &Entry| {
            let image = entry.value.as_map().and_then(|map| map.get("image")).and_then(Node::as_scalar);
            image.map_or_else(|| format!("{}-{}", self.project, entry.key.text), |scalar| scalar.text.clone())
        };
        self.entries("services").map(image).collect()
    }

    /// The digest of each active service's settings, as Compose computes it, by name.
    pub fn hashes(&self, show: &Show<'_>) -> Vec<(String, String)> {
        let printing = Printing { show, format: For::Json, escaped: false };
        let of = |entry: &Entry| {
            let map = entry.value.as_map()?;
            Some((
                entry.key.text.clone(),
                super::hash::of(&printing, map, &table::SERVICE, self.unread.get(&entry.key.text)),
            ))
        };
        self.entries("services").filter_map(of).collect()
    }

    fn entries(&self, section: &str) -> impl Iterator<Item = &Entry> {
        let map = self.root.get(section).and_then(Node::as_map);
        let mut entries: Vec<&Entry> = map.into_iter().flat_map(|map| &map.entries).collect();
        entries.sort_by(|a, b| a.key.text.cmp(&b.key.text));
        entries.into_iter()
    }

    fn keys(&self, section: &str) -> Vec<String> {
        self.entries(section).map(|entry| entry.key.text.clone()).collect()
    }
}

/// The profiles of all services.
pub(crate) fn profiles(root: &Map) -> BTreeSet<String> {
    let services = root.get("services").and_then(Node::as_map);
    let of = |entry: &Entry| {
        let list =
            entry.value.as_map().and_then(|map| map.get("profiles")).map(unique::items).unwrap_or_default();
        list.iter().filter_map(Node::as_scalar).map(|scalar| scalar.text.clone()).collect::<Vec<_>>()
    };
    services.into_iter().flat_map(|map| &map.entries).flat_map(of).collect()
}

/// Leaves only the active services, and what they use.
pub(crate) fn prune(root: &mut Map, active: &BTreeSet<String>) {
    if let Some(services) = root.get_mut("services").and_then(Node::as_map_mut) {
        services.entries.retain(|entry| active.contains(&entry.key.text));
    }
    let nothing = Map::default();
    let services = root.get("services").and_then(Node::as_map).unwrap_or(&nothing);
    let services: Vec<&Map> = services.entries.iter().filter_map(|entry| entry.value.as_map()).collect();
    let joined = |key: &str| -> BTreeSet<String> {
        let maps = services.iter().filter_map(|map| map.get(key).and_then(Node::as_map));
        maps.flat_map(|map| &map.entries).map(|entry| entry.key.text.clone()).collect()
    };
    let sources = |maps: &mut dyn Iterator<Item = &Map>, key: &str| -> BTreeSet<String> {
        let lists = maps.filter_map(|map| map.get(key)).flat_map(unique::items);
        let source = |item: &Node| Some(item.as_map()?.get("source")?.as_scalar()?.text.clone());
        lists.filter_map(source).collect()
    };
    let own = |key: &str| sources(&mut services.iter().copied(), key);
    let built = services.iter().filter_map(|map| map.get("build").and_then(Node::as_map));
    let mut secrets = own("secrets");
    secrets.extend(sources(&mut built.into_iter(), "secrets"));
    let used = [
        ("networks", joined("networks")),
        ("volumes", own("volumes")),
        ("configs", own("configs")),
        ("secrets", secrets),
    ];
    for (section, used) in used {
        if let Some(map) = root.get_mut(section).and_then(Node::as_map_mut) {
            map.entries.retain(|entry| used.contains(&entry.key.text));
        }
    }
}
