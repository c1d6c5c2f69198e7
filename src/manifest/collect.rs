//! Which files there are, and how they become one tree.
//!
//! In a repository every file below `manifests/` adds services of its own, and the override files of the environment
//! are merged over all of them. Single files are merged one over the other, as Compose does with several `-f`.

use std::collections::BTreeMap;

use super::compose_file::{self, Found, Part};
use super::node::{Entry, Map, Node, Value};
use super::overlay;
use super::problem::{Problem, Problems, suggestion};
use super::project::{self, PROJECT_FILE, Tiers};
use super::read;
use super::source::Span;
use super::variables::{Lookup, Variables};
use super::{MissingVariables, Request, dotenv, folders};
use crate::model::name::{EnvironmentName, StackName, TierName};
use crate::model::tree::{FileTree, RepoPath, TreeError};

/// The folder of the manifests.
pub(crate) const MANIFESTS: &str = "manifests";
/// The tier of services where nothing says another.
const ONLY_TIER: &str = "services";
/// What stands for a value that only the host has.
const PLACEHOLDER: &str = "placeholder";

/// One tree of all files, and what goes with it.
#[derive(Debug)]
pub(crate) struct Composed {
    /// `services`, `networks` and `volumes`.
    pub(crate) root: Map,
    pub(crate) project: String,
    pub(crate) stack: StackName,
    pub(crate) environment: Option<EnvironmentName>,
    pub(crate) tiers: Vec<TierName>,
    /// The tier of a service by the folder of its file.
    pub(crate) folder_tiers: BTreeMap<String, TierName>,
    /// The tier of all others.
    pub(crate) default_tier: Option<TierName>,
    /// Active profiles, and where the repository says so.
    pub(crate) profiles: BTreeMap<String, Option<Span>>,
    /// Files that are no Compose files, and what is wrong about that unless a service mounts them.
    pub(crate) foreign: Vec<(RepoPath, Problem)>,
    /// Where the reading began, for what is wrong with the whole.
    pub(crate) start: RepoPath,
    /// What relative paths are relative to; absent: to the folder of the file that says them.
    pub(crate) base: Option<RepoPath>,
}

/// Reads a repository as `environment` has it.
pub(crate) fn repository(
    problems: &mut Problems,
    request: &Request<'_>,
    environment: &EnvironmentName,
) -> Option<Composed> {
    let project = project::project(problems, request.tree);
    let settings = project::environment(problems, request.tree, environment);
    let (project, settings) = (project?, settings?);
    let stack = match settings.stack {
        Some(stack) => stack,
        None => match format!("{}-{environment}", project.name).parse::<StackName>() {
            Ok(stack) => stack,
            Err(error) => {
                let file = project::environment_path(environment);
                problems.add(
                    Problem::error("bad-name", &file, error.to_string()).hint("give `stack` in this file"),
                );
                return None;
            }
        },
    };
    let variables = Variables {
        own: BTreeMap::from([
            ("COMPOSE_PROJECT_NAME".to_owned(), stack.to_string()),
            ("EVENKEEL_ENVIRONMENT".to_owned(), environment.to_string()),
        ]),
        declared: settings.variables,
        host: request.host_variables,
        dotenv: BTreeMap::new(),
        placeholder: placeholder(request.missing),
        environment_file: Some(project::environment_path(environment).to_string()),
    };
    let mut foreign = Vec::new();
    let (mut root, folders) = manifests(problems, request.tree, &variables, &mut foreign);
    let declared = settings.tiers.or(project.tiers);
    let (tiers, folder_tiers) = tiers(problems, declared.as_ref(), &folders);
    for path in folders::overrides(problems, request.tree, environment) {
        if let Some(file) = found(problems, request.tree, (path, Part::Override), &mut foreign) {
            let file = compose_file::filled(problems, &variables, file);
            overlay::merge(problems, &mut root, file);
        }
    }
    let default_tier = declared.is_none().then(|| only_tier().ok()).flatten();
    Some(Composed {
        root: into_map(root),
        project: project.name,
        stack,
        environment: Some(environment.clone()),
        tiers,
        folder_tiers,
        default_tier,
        profiles: settings.profiles.into_iter().map(|(name, span)| (name, Some(span))).collect(),
        foreign,
        start: RepoPath::root().join(MANIFESTS).unwrap_or_default(),
        base: None,
    })
}

/// Reads single files, the later merged over the earlier.
pub(crate) fn files(
    problems: &mut Problems,
    request: &Request<'_>,
    files: &[RepoPath],
    default_project: &str,
) -> Option<Composed> {
    let Some(first) = files.first() else {
        problems.add(Problem::error("no-files", &RepoPath::root(), "no Compose file is given"));
        return None;
    };
    let base = first.parent();
    let mut variables = Variables {
        own: BTreeMap::new(),
        declared: BTreeMap::new(),
        host: request.host_variables,
        dotenv: dotenv_beside(problems, request, &base),
        placeholder: placeholder(request.missing),
        environment_file: None,
    };
    let mut foreign = Vec::new();
    let read: Vec<Node> = files
        .iter()
        .filter_map(|path| found(problems, request.tree, (path.clone(), Part::File), &mut foreign))
        .collect();
    let stack = stack_of(problems, &variables, &read, default_project)?;
    variables.own.insert("COMPOSE_PROJECT_NAME".to_owned(), stack.to_string());
    let mut root: Option<Node> = None;
    for file in read {
        let mut file = compose_file::filled(problems, &variables, file);
        match &mut root {
            None => {
                overlay::settle(&mut file);
                root = Some(file);
            }
            Some(root) => overlay::merge(problems, root, file),
        }
    }
    let tier = only_tier().ok()?;
    let profiles = match variables.lookup("COMPOSE_PROFILES") {
        Lookup::Known { text, taint: _ } => {
            text.split(',').map(|name| (name.trim().to_owned(), None)).collect()
        }
        Lookup::Unknown => BTreeMap::new(),
    };
    Some(Composed {
        root: into_map(root?),
        project: stack.to_string(),
        stack,
        environment: None,
        tiers: vec![tier.clone()],
        folder_tiers: BTreeMap::new(),
        default_tier: Some(tier),
        profiles,
        foreign,
        start: first.clone(),
        base: Some(base),
    })
}

fn only_tier() -> Result<TierName, crate::model::name::NameError> {
    ONLY_TIER.parse()
}

fn placeholder(missing: MissingVariables) -> Option<&'static str> {
    match missing {
        MissingVariables::Refuse => None,
        MissingVariables::Placeholder => Some(PLACEHOLDER),
    }
}

fn into_map(root: Node) -> Map {
    match root.value {
        Value::Map(map) => map,
        Value::Null | Value::Scalar(_) | Value::List(_) => Map::default(),
    }
}

fn dotenv_beside(
    problems: &mut Problems,
    request: &Request<'_>,
    folder: &RepoPath,
) -> BTreeMap<String, String> {
    let Ok(path) = folder.join(".env") else { return BTreeMap::new() };
    match request.tree.read(&path) {
        Ok(file) => dotenv::beside(problems, &path, &file.bytes, request.host_variables),
        Err(TreeError::NotFound(_)) => BTreeMap::new(),
        Err(error) => {
            problems.add(Problem::error("unreadable", &path, error.to_string()));
            BTreeMap::new()
        }
    }
}

/// The stack's name: `name` of the last file that says one, else the default made fit, as Compose does.
fn stack_of(
    problems: &mut Problems,
    variables: &Variables<'_>,
    files: &[Node],
    default_project: &str,
) -> Option<StackName> {
    let said = files.iter().rev().find_map(|file| file.as_map()?.get("name"));
    if let Some(node) = said {
        let mut node = node.clone();
        super::interpolate::fill(problems, variables, &mut node);
        return read::parsed(problems, &node, "bad-name", "a project name");
    }
    let kept = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || matches!(c, '_' | '-');
    let name: String = default_project.to_lowercase().chars().filter(|c| kept(*c)).collect();
    let parsed = name.trim_start_matches(['_', '-']).parse();
    if let Err(error) = &parsed {
        problems.add(
            Problem::error("bad-name", &RepoPath::root(), format!("the project has no usable name: {error}"))
                .hint("give `name` at the top of the file"),
        );
    }
    parsed.ok()
}

/// Reads a file. One that is no Compose file is kept for later, when it is known what services mount.
fn found(
    problems: &mut Problems,
    tree: &dyn FileTree,
    (path, part): (RepoPath, Part),
    foreign: &mut Vec<(RepoPath, Problem)>,
) -> Option<Node> {
    match compose_file::read(problems, tree, &path, part) {
        Found::Compose(file) => Some(file),
        Found::Foreign(problem) if part == Part::File => {
            // It was asked for by its name, so it is no other's file.
            problems.add(problem);
            None
        }
        Found::Foreign(problem) => {
            foreign.push((path, problem));
            None
        }
        Found::Nothing => None,
    }
}

/// Reads everything below `manifests/`: one tree of it, and the services by the folder that they are in.
fn manifests(
    problems: &mut Problems,
    tree: &dyn FileTree,
    variables: &Variables<'_>,
    foreign: &mut Vec<(RepoPath, Problem)>,
) -> (Node, BTreeMap<String, Vec<String>>) {
    let folder = RepoPath::root().join(MANIFESTS).unwrap_or_default();
    let mut paths = Vec::new();
    folders::below(problems, tree, &folder, &mut paths);
    let mut root = compose_file::empty();
    let mut places = BTreeMap::new();
    let mut folders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in paths {
        let inside = path.as_str().strip_prefix(MANIFESTS).unwrap_or("").trim_start_matches('/');
        let tier = inside.split_once('/').map(|(folder, _)| folder.to_owned());
        if let Some(tier) = &tier {
            folders.entry(tier.clone()).or_default();
        }
        let Some(file) = found(problems, tree, (path, Part::Manifest), foreign) else { continue };
        let mut file = compose_file::filled(problems, variables, file);
        overlay::settle(&mut file);
        if let (Some(tier), Some(services)) = (tier, file.as_map().and_then(|map| map.get("services"))) {
            let names = services.as_map().into_iter().flat_map(|map| &map.entries);
            folders.entry(tier).or_default().extend(names.map(|entry| entry.key.text.clone()));
        }
        join(problems, &mut root, &mut places, file);
    }
    (root, folders)
}

/// Adds what a further manifest declares. A service is declared once; networks and volumes may be repeated in the
/// same words, so that each file also works by itself.
///
/// `places` knows where in its section each key stands.
fn join(
    problems: &mut Problems,
    root: &mut Node,
    places: &mut BTreeMap<(String, String), usize>,
    file: Node,
) {
    let (Some(root), Value::Map(file)) = (root.as_map_mut(), file.value) else { return };
    for section in file.entries {
        let (name, Value::Map(map)) = (section.key.text, section.value.value) else { continue };
        let Some(known) = root.get_mut(&name).and_then(Node::as_map_mut) else { continue };
        let what = name.trim_end_matches('s');
        for entry in map.entries {
            let place = places.entry((name.clone(), entry.key.text.clone())).or_insert(known.entries.len());
            let Some(first) = known.entries.get_mut(*place) else {
                known.entries.push(entry);
                continue;
            };
            if what == "service" || !agree(first, &entry) {
                let message = format!("the {what} `{}` is declared in two files", entry.key.text);
                let hint = match what {
                    "service" => "rename one of them; to change it for one environment, use an override file",
                    _ => "say the same in both files, or leave its value empty in one of them",
                };
                problems.add(
                    Problem::error("declared-twice", entry.key.span, message)
                        .label("again here")
                        .related(first.key.span, "first here")
                        .hint(hint),
                );
            } else if matches!(first.value.value, Value::Null) {
                *first = entry;
            }
        }
    }
}

fn agree(first: &Entry, second: &Entry) -> bool {
    let says_nothing = |entry: &Entry| matches!(entry.value.value, Value::Null);
    says_nothing(first) || says_nothing(second) || first.value.says_the_same(&second.value)
}

/// The order of the tiers, and the tier of each service that is in a folder.
fn tiers(
    problems: &mut Problems,
    declared: Option<&Tiers>,
    folders: &BTreeMap<String, Vec<String>>,
) -> (Vec<TierName>, BTreeMap<String, TierName>) {
    let mut of_services = BTreeMap::new();
    let Some(declared) = declared else {
        if let Some(folder) = folders.keys().next() {
            let path = RepoPath::root().join(PROJECT_FILE).unwrap_or_default();
            let list: Vec<&str> = folders.keys().map(String::as_str).collect();
            problems.add(
                Problem::error(
                    "no-tiers",
                    &path,
                    format!("`manifests` has folders (`{folder}`), and no tiers are declared"),
                )
                .hint(format!("add `tiers: [{}]`, in the order in which they are applied", list.join(", "))),
            );
        }
        return (only_tier().into_iter().collect(), of_services);
    };
    for (folder, services) in folders {
        let tier = declared.names.iter().find(|name| name.as_str() == folder);
        // Where there is no such tier one is guessed, so that nothing more is said about its services.
        let guess = tier.or(declared.names.first());
        of_services.extend(
            guess.into_iter().flat_map(|tier| services.iter().map(|name| (name.clone(), tier.clone()))),
        );
        if tier.is_none() {
            let names = declared.names.iter().map(TierName::as_str);
            let hint = suggestion(folder, names).unwrap_or_default();
            problems.add(
                Problem::error(
                    "unknown-tier",
                    declared.span,
                    format!("the folder `manifests/{folder}` is no tier"),
                )
                .label("the tiers are declared here")
                .hint(format!("add it to `tiers`, or rename the folder; {hint}")),
            );
        }
    }
    (declared.names.clone(), of_services)
}
