//! A configuration repository as one environment has it: every file below `manifests/` adds services of its own, and
//! the override files of the environment are merged over all of them.

use std::collections::BTreeMap;

use super::collect::{Composed, base, finished, only_tier, outside, placeholder};
use super::compose_file::{self, Found};
use super::language::environment;
use super::language::files::{FILE, Loading, Surroundings};
use super::language::merge::{self, Tags};
use super::language::places;
use super::node::{Entry, Node, Value};
use super::problem::{Problem, Problems, suggestion};
use super::project::{self, PROJECT_FILE, Tiers};
use super::variables::Variables;
use super::{Request, folders};
use crate::model::name::{EnvironmentName, StackName, TierName};
use crate::model::tree::RepoPath;

/// The folder of the manifests.
pub(crate) const MANIFESTS: &str = "manifests";

/// Reads a repository as `environment` has it.
pub(crate) fn repository(
    problems: &mut Problems,
    request: &Request<'_>,
    environment: &EnvironmentName,
    interpolate: bool,
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
        outside: outside(request.missing, &settings.variables),
        declared: settings.variables,
        host: request.host_variables,
        dotenv: BTreeMap::new(),
        placeholder: placeholder(request.missing),
        environment_file: Some(project::environment_path(environment).to_string()),
    };
    let around = Surroundings { base: base(request, ".".to_owned()), variables, trail: Vec::new() };
    let mut loading = Loading {
        problems,
        tree: request.tree,
        interpolate,
        included: 0,
        given: environment::FromVariables::new(),
    };
    let mut foreign = Vec::new();
    let (mut root, folders) = manifests(&mut loading, &around, &mut foreign);
    let declared = settings.tiers.or(project.tiers);
    let (tiers, folder_tiers) = tiers(loading.problems, declared.as_ref(), &folders);
    for path in folders::overrides(loading.problems, request.tree, environment) {
        if let Some(file) = found(&mut loading, path, &around, &mut foreign) {
            merge::merge(&mut root, file, &FILE, Tags::Settled);
        }
    }
    environment::take_over(loading.problems, &mut root, &around.variables, &mut loading.given);
    let default_tier = declared.is_none().then(|| only_tier().ok()).flatten();
    let profiles = settings.profiles.into_iter().map(|(name, span)| (name, Some(span))).collect();
    let (root, active, unread) = finished(&mut loading, root, &around, stack.as_str(), &profiles);
    Some(Composed {
        root,
        unread,
        given: loading.given,
        active,
        project: project.name,
        stack,
        environment: Some(environment.clone()),
        tiers,
        folder_tiers,
        default_tier,
        profiles,
        policy: settings.policy,
        foreign,
        start: RepoPath::root().join(MANIFESTS).unwrap_or_default(),
    })
}

/// Reads a file of a repository, in whose folder its paths begin. One that is no Compose file is kept for later, when
/// it is known what services mount.
fn found(
    loading: &mut Loading<'_>,
    path: RepoPath,
    around: &Surroundings<'_>,
    foreign: &mut Vec<(RepoPath, Problem)>,
) -> Option<Node> {
    let base = around.base.at(places::join(".", path.parent().as_str()));
    let around = Surroundings { base, ..around.clone() };
    match compose_file::read(loading, &path, &around) {
        Found::Compose(file) => Some(file),
        Found::Foreign(problem) => {
            foreign.push((path, *problem));
            None
        }
        Found::Nothing => None,
    }
}

/// Reads everything below `manifests/`: one tree of it, and the services by the folder that they are in.
fn manifests(
    loading: &mut Loading<'_>,
    around: &Surroundings<'_>,
    foreign: &mut Vec<(RepoPath, Problem)>,
) -> (Node, BTreeMap<String, Vec<String>>) {
    let folder = RepoPath::root().join(MANIFESTS).unwrap_or_default();
    let mut paths = Vec::new();
    folders::below(loading.problems, loading.tree, &folder, &mut paths);
    let mut root = compose_file::empty();
    let mut places = BTreeMap::new();
    let mut folders: BTreeMap<String, Vec<String>> = BTreeMap::new();
    for path in paths {
        let inside = path.as_str().strip_prefix(MANIFESTS).unwrap_or("").trim_start_matches('/');
        let tier = inside.split_once('/').map(|(folder, _)| folder.to_owned());
        if let Some(tier) = &tier {
            folders.entry(tier.clone()).or_default();
        }
        let Some(mut file) = found(loading, path, around, foreign) else { continue };
        merge::settle(&mut file);
        if let (Some(tier), Some(services)) = (tier, file.as_map().and_then(|map| map.get("services"))) {
            let names = services.as_map().into_iter().flat_map(|map| &map.entries);
            folders.entry(tier).or_default().extend(names.map(|entry| entry.key.text.clone()));
        }
        join(loading.problems, &mut root, &mut places, file);
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
