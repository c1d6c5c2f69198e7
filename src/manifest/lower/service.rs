//! One service: from its mapping to what is run and how it is treated.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use super::super::collect::Composed;
use super::super::keys;
use super::super::node::{Entry, Map, Node, Value};
use super::super::policy::{self, EnvironmentPolicy};
use super::super::problem::{Problem, Problems, suggestion};
use super::super::read;
use super::super::source::Span;
use super::super::units;
use super::super::variables::STAND_IN;
use super::{
    Context, LoweredService, Places, attach, gate, health, mounts, namespaces, ports, process, resources,
    restart, runtime, update,
};
use crate::model::desired::{Condition, Dependency, Service};
use crate::model::image::{ImageRef, PullPolicy};
use crate::model::name::{ServiceName, TierName};
use crate::model::platform::Platform;
use crate::model::policy::{Drift, Rollback};
use crate::model::spec::ContainerSpec;

/// Reads a service.
pub(super) fn service(cx: &mut Context<'_>, entry: &Entry, composed: &Composed) -> Option<LoweredService> {
    if matches!(entry.value.value, Value::Null) {
        // The outline of the file has said so.
        return None;
    }
    let name: ServiceName = match entry.key.text.parse() {
        Ok(name) => name,
        Err(error) => {
            cx.note(Problem::error("bad-name", entry.key.span, format!("{error}")));
            return None;
        }
    };
    let map = read::honoured_map(cx.problems, &entry.value, &keys::SERVICE)?;
    let mut spec = ContainerSpec::of_image(image(cx, map, entry.key.span)?);
    spec.platform = cx.optional(map, "platform", platform);
    process::read(cx, map, &mut spec);
    switches(cx, map, &mut spec);
    resources::read(cx, map, &mut spec);
    namespaces::read(cx, map, &mut spec);
    runtime::read(cx, map, &mut spec);
    let ports = ports::read(cx, map, &mut spec);
    attach::read(cx, map, &mut spec);
    mounts::read(cx, map, &mut spec);
    spec.healthcheck = map.get("healthcheck").and_then(|node| health::read(cx, node));
    let (depends_on, dependency_places) = dependencies(cx, map);
    let (replicas, replicas_place) = resources::replicas(cx, map);
    let own = map.get("x-evenkeel").and_then(|node| read::checked_map(cx.problems, node, &keys::EVENKEEL));
    let gate = own.and_then(|own| own.get("gate")).and_then(|node| gate::read(cx, node)).unwrap_or_default();
    let updates = update::read(cx, map);
    let policy = policy(cx, own, &composed.policy, updates.on_failure);
    let tier = tier(cx, entry, own, composed)?;
    let (profiles, active) = profiles(cx, map, composed);
    let container_name = cx.optional(map, "container_name", |problems, node| {
        read::parsed(problems, node, "bad-name", "a container name")
    });
    let places = Places {
        name: entry.key.span,
        container_name: map.get("container_name").map(|node| node.span),
        replicas: replicas_place,
        ports,
        depends_on: dependency_places,
        moved_from: own.and_then(|own| own.get("moved_from")).map(|node| node.span),
        gate: own.and_then(|own| own.get("gate")).map(|node| node.span),
        links: attach::links(cx, map),
    };
    let Policy { drift, rollback, watch, moved_from } = policy;
    let pull = cx.optional(map, "pull_policy", pull_policy).unwrap_or_default();
    let service = Service {
        name,
        tier,
        container_name,
        replicas,
        depends_on,
        gate,
        update: updates.update,
        way_back: updates.way_back,
        drift,
        rollback,
        watch,
        moved_from,
        pull,
        spec,
    };
    Some(LoweredService { service, profiles, active, places })
}

/// The profiles that the service belongs to, and whether it runs.
fn profiles(cx: &mut Context<'_>, map: &Map, composed: &Composed) -> (Vec<String>, bool) {
    let said = map.get("profiles").and_then(|node| read::list(cx.problems, node));
    let texts = said.into_iter().flatten();
    let names = texts.filter_map(|node| read::text(cx.problems, node).map(|scalar| scalar.text.clone()));
    let profiles: Vec<String> = names.collect();
    let is_active = |profile: &String| composed.profiles.contains_key(profile);
    let active = profiles.is_empty() || composed.profiles.contains_key("*") || profiles.iter().any(is_active);
    (profiles, active)
}

/// What a service says of how it is treated.
#[derive(Default)]
struct Policy {
    drift: Drift,
    rollback: Rollback,
    watch: Option<Duration>,
    moved_from: Option<ServiceName>,
}

fn policy(
    cx: &mut Context<'_>,
    own: Option<&Map>,
    inherited: &EnvironmentPolicy,
    on_failure: Option<(Rollback, Span)>,
) -> Policy {
    let EnvironmentPolicy { drift, rollback, watch, hosts: _, prune: _, admission: _ } = inherited;
    let watch = watch.filter(|time| !time.is_zero());
    let rollback = on_failure.map_or(*rollback, |(rollback, _)| rollback);
    let Some(own) = own else {
        return Policy { drift: drift.clone(), rollback, watch, moved_from: None };
    };
    let said = |key: &str| own.entry(key).filter(|entry| !matches!(entry.value.value, Value::Null));
    let own_drift = said("drift").and_then(|entry| policy::drift(cx.problems, &entry.value));
    let own_watch = said("watch").and_then(|entry| policy::watch(cx.problems, &entry.value));
    let own_rollback = said("rollback").and_then(|entry| policy::rollback(cx.problems, &entry.value));
    if let (Some((said_there, place)), Some(entry), Some(own)) = (on_failure, said("rollback"), own_rollback)
        && said_there != own
    {
        cx.note(
            Problem::error(
                "said-twice",
                entry.key.span,
                "`rollback` and `failure_action` say different things",
            )
            .related(place, "the other one")
            .hint("keep one of the two: `hold` is `pause`, and `automatic` is `rollback`"),
        );
    }
    let moved_from = cx.optional(own, "moved_from", |problems, node| {
        read::parsed(problems, node, "bad-name", "a service name")
    });
    let drift = own_drift.unwrap_or_default().over(drift);
    let watch = own_watch.or(watch).filter(|time| !time.is_zero());
    Policy { drift, rollback: own_rollback.unwrap_or(rollback), watch, moved_from }
}

/// The image. Where there is none that can be read, some image stands for it, so that the reading can go on.
fn image(cx: &mut Context<'_>, map: &Map, service: Span) -> Option<ImageRef> {
    let nobody = || "unknown".parse().ok();
    if let Some(node) = map.get("image") {
        for key in ["build", "develop"] {
            if let Some(entry) = map.entry(key) {
                let message = format!("`{key}` is not done here: the image is pulled as it is");
                cx.note(
                    Problem::warning("not-built", entry.key.span, message)
                        .hint("build and push it elsewhere"),
                );
            }
        }
        let read = read::parsed(cx.problems, node, "bad-image", "an image reference");
        return read.or_else(|| digest_from_outside(node)).or_else(nobody);
    }
    // One with neither image nor build was refused when the files were read.
    if let Some(build) = map.entry("build") {
        let problem = Problem::error("no-image", build.key.span, "the service is built, and has no `image`");
        cx.note(
            problem
                .related(service, "this service")
                .hint("build the image elsewhere, push it, and name it with `image`"),
        );
    }
    nobody()
}

/// What the image is to be built for.
fn platform(problems: &mut Problems, node: &Node) -> Option<Platform> {
    let platform: Platform = read::parsed(problems, node, "bad-platform", "a platform")?;
    if platform.os() == "linux" {
        return Some(platform);
    }
    let problem = Problem::error("bad-platform", node.span, "only containers of Linux are run here");
    problems.add(problem.hint("as in `linux/amd64` or `linux/arm64`"));
    None
}

/// An image whose digest only the host knows: what stands for that is no digest, but may be a tag.
fn digest_from_outside(node: &Node) -> Option<ImageRef> {
    let (name, digest) = node.as_scalar()?.text.split_once('@')?;
    let repository = name.parse::<ImageRef>().ok()?.repository().to_owned();
    let tag = digest.contains(STAND_IN).then(|| digest.replace(':', "-"))?;
    format!("{repository}:{tag}").parse().ok()
}

/// What is on or off, and what is a single word.
fn switches(cx: &mut Context<'_>, map: &Map, spec: &mut ContainerSpec) {
    let words =
        |problems: &mut Problems, node: &Node| read::text(problems, node).map(|scalar| scalar.text.clone());
    spec.user = cx.optional(map, "user", words);
    spec.working_dir = cx.optional(map, "working_dir", |problems, node| {
        let found = read::text(problems, node)?;
        if !found.text.starts_with('/') {
            problems.add(Problem::error(
                "bad-path",
                node.span,
                "the working directory must be an absolute path",
            ));
            return None;
        }
        Some(found.text.clone())
    });
    spec.hostname = cx.optional(map, "hostname", words);
    spec.stop_signal = cx.optional(map, "stop_signal", words);
    spec.stop_grace = cx.optional(map, "stop_grace_period", read::duration);
    spec.init = cx.optional(map, "init", read::boolean);
    spec.read_only = cx.optional(map, "read_only", read::boolean).unwrap_or_default();
    spec.tty = cx.optional(map, "tty", read::boolean).unwrap_or_default();
    spec.stdin_open = cx.optional(map, "stdin_open", read::boolean).unwrap_or_default();
    spec.privileged = cx.optional(map, "privileged", read::boolean).unwrap_or_default();
    spec.restart = restart::read(cx, map);
}

/// When the registry is asked for the image. That it is one of the words was checked when the files were read.
fn pull_policy(problems: &mut Problems, node: &Node) -> Option<PullPolicy> {
    const DAY: Duration = Duration::from_secs(24 * 60 * 60);
    let found = read::text(problems, node)?;
    let (wrong, hint) = match found.text.as_str() {
        "missing" | "if_not_present" => return Some(PullPolicy::Missing),
        "always" => return Some(PullPolicy::Always),
        "never" => return Some(PullPolicy::Never),
        "daily" => return Some(PullPolicy::Every(DAY)),
        "weekly" => return Some(PullPolicy::Every(DAY * 7)),
        "build" => {
            ("images are not built here", "build and push the image elsewhere, and remove `pull_policy`")
        }
        "refresh" => ("`refresh` doesn't say how often", "say how often: `daily`, `weekly` or `every_12h`"),
        text => {
            if let Some(age) = text.strip_prefix("every_").and_then(units::duration) {
                return Some(PullPolicy::Every(age));
            }
            ("this is no time between two checks", "as in `every_12h` or `every_1d`")
        }
    };
    problems.add(Problem::error("pull-policy", node.span, wrong).hint(hint));
    None
}

fn dependencies(
    cx: &mut Context<'_>,
    map: &Map,
) -> (BTreeMap<ServiceName, Dependency>, BTreeMap<ServiceName, Span>) {
    let (mut depends_on, mut places) = (BTreeMap::new(), BTreeMap::new());
    let Some(found) = map.get("depends_on").and_then(|node| read::map(cx.problems, node)) else {
        return (depends_on, places);
    };
    let links = map.get("links").map(|node| read::one_or_list(cx.problems, node)).unwrap_or_default();
    let linked: BTreeSet<&str> =
        links.iter().filter_map(|link| link.as_scalar()?.text.split(':').next()).collect();
    for entry in &found.entries {
        let name: ServiceName = match entry.key.text.parse() {
            Ok(name) => name,
            Err(error) => {
                cx.note(Problem::error("bad-name", entry.key.span, format!("{error}")));
                continue;
            }
        };
        let mut dependency = Dependency { condition: Condition::Started, required: true, restart: false };
        if !matches!(entry.value.value, Value::Null) {
            let Some(map) = read::map(cx.problems, &entry.value) else { continue };
            // A link implies `restart`, and Compose prints it; a name on a network needs no restart to hold.
            let mut checked = map.clone();
            if linked.contains(entry.key.text.as_str()) {
                checked.remove("restart");
            }
            keys::honoured(cx.problems, &checked, &keys::DEPENDENCY);
            if let Some(condition) = cx.optional(map, "condition", condition) {
                dependency.condition = condition;
            }
            dependency.restart = cx.optional(&checked, "restart", read::boolean).unwrap_or_default();
            dependency.required = cx.optional(map, "required", read::boolean).unwrap_or(true);
        }
        places.insert(name.clone(), entry.key.span);
        depends_on.insert(name, dependency);
    }
    (depends_on, places)
}

fn condition(problems: &mut Problems, node: &Node) -> Option<Condition> {
    read::word(
        problems,
        node,
        &[
            ("service_started", Condition::Started),
            ("service_healthy", Condition::Healthy),
            ("service_completed_successfully", Condition::Completed),
        ],
    )
}

/// The tier: what `x-evenkeel` says, else the folder, else the only one there is.
fn tier(cx: &mut Context<'_>, entry: &Entry, own: Option<&Map>, composed: &Composed) -> Option<TierName> {
    let inherited = composed.folder_tiers.get(&entry.key.text).or(composed.default_tier.as_ref());
    let Some(node) = own.and_then(|own| own.get("tier")) else {
        if inherited.is_none() {
            let names: Vec<&str> = composed.tiers.iter().map(TierName::as_str).collect();
            cx.note(
                Problem::error(
                    "no-tier",
                    entry.key.span,
                    format!("the service `{}` is in no tier", entry.key.text),
                )
                .hint(format!(
                    "put its file at manifests/<tier>/, or say `x-evenkeel: {{tier: …}}`; tiers: {}",
                    names.join(", ")
                )),
            );
        }
        return inherited.or(composed.tiers.first()).cloned();
    };
    let said: TierName = read::parsed(cx.problems, node, "bad-name", "a tier name")?;
    if composed.tiers.contains(&said) {
        return Some(said);
    }
    if composed.environment.is_none() {
        // A manifest of a repository also works by itself, where there is nothing that orders tiers.
        cx.note(
            Problem::warning(
                "unused-tier",
                node.span,
                "a file by itself has a single tier, so this one is not used",
            )
            .hint("order services by `depends_on`, or make it a repository: `evenkeel init --from`"),
        );
        return inherited.cloned();
    }
    let hint = suggestion(said.as_str(), composed.tiers.iter().map(TierName::as_str)).unwrap_or_default();
    cx.note(Problem::error("unknown-tier", node.span, "there is no tier of this name").hint(hint));
    inherited.or(composed.tiers.first()).cloned()
}
