//! The labels by which containers, networks and volumes are known.
//!
//! Labels say who an object is and never what phase it is in: Docker fixes them at creation. Evenkeel's own decide
//! over ownership; Compose's are there so that tools which group by Compose project show the stack as one.

use std::collections::BTreeMap;

use super::adopted::ComposeOrigin;
use super::desired::{Condition, Dependency};
use super::name::{ContainerId, ContainerName, DeployId, ImageId, Instance, ServiceName, StackName};

/// The stack that owns the object. Without this label Evenkeel writes to nothing.
pub const STACK: &str = "evenkeel.stack";
/// The service of a container.
pub const SERVICE: &str = "evenkeel.service";
/// The number of a container within its service.
pub const INSTANCE: &str = "evenkeel.instance";
/// The deploy that created the object.
pub const DEPLOY: &str = "evenkeel.deploy";

/// The names of labels that say of a network what its manifest declared, where Docker doesn't tell that from what it
/// filled in itself. A network can't change, so what was declared when it was made holds for as long as it is there.
const DECLARED_PREFIX: &str = "evenkeel.declared.";

/// The names of labels that say which image is mounted at a target. Docker tells no more than the name that it was mounted
/// by, and what that meant when the container was made holds as long as the container is there.
const MOUNTED_PREFIX: &str = "evenkeel.mounted.";

/// The Compose project of an object.
pub const COMPOSE_PROJECT: &str = "com.docker.compose.project";

/// Label names that a manifest may not set.
pub const RESERVED_PREFIXES: [&str; 2] = ["evenkeel.", "com.docker.compose."];

/// Whether a label belongs to Evenkeel or Compose and isn't a manifest's to set.
pub fn is_reserved(name: &str) -> bool {
    RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// What stands for the deploy of a container that no deploy has made.
const NO_DEPLOY: &str = "adopted";

/// What Compose's labels say of a container; absent where they don't say all of it.
pub fn compose_origin(labels: &BTreeMap<String, String>) -> Option<ComposeOrigin> {
    let get = |name: &str| labels.get(&format!("com.docker.compose.{name}"));
    Some(ComposeOrigin {
        project: get("project")?.clone(),
        service: get("service")?.parse().ok()?,
        number: get("container-number")?.parse().ok()?,
        one_off: get("oneoff").is_some_and(|word| word.eq_ignore_ascii_case("true")),
        depends_on: get("depends_on").map(|text| dependencies(text)).unwrap_or_default(),
    })
}

/// `db:service_healthy:true,cache:service_started:false`: a service, its condition, whether it is restarted with it.
fn dependencies(text: &str) -> BTreeMap<ServiceName, Dependency> {
    let one = |entry: &str| {
        let mut parts = entry.split(':');
        let name = parts.next()?.parse().ok()?;
        let condition = match parts.next() {
            Some("service_healthy") => Condition::Healthy,
            Some("service_completed_successfully") => Condition::Completed,
            Some(_) | None => Condition::Started,
        };
        let restart = parts.next() == Some("true");
        Some((name, Dependency { condition, required: true, restart }))
    };
    text.split(',').filter_map(one).collect()
}

/// Which container of a stack it is, and which deploy has made it. One that bears no label of ours is who Compose says
/// it is, else itself: whether it is anybody's, only who adopted it knows.
///
/// # Errors
/// Says which label of a container of ours is missing or makes no sense.
pub fn identity(
    labels: &BTreeMap<String, String>,
    (id, name): (&ContainerId, &ContainerName),
) -> Result<(Instance, DeployId), String> {
    fn parsed<T: std::str::FromStr<Err: std::fmt::Display>>(text: &str) -> Result<T, String> {
        text.parse().map_err(|error| format!("{error}"))
    }
    if !labels.contains_key(STACK) {
        let (service, number) = match compose_origin(labels) {
            Some(ComposeOrigin { project: _, service, number, one_off: _, depends_on: _ }) => {
                (service, number)
            }
            None => (parsed(name.as_str()).or_else(|_| parsed(id.short()))?, 1),
        };
        // Its own, for a name that it gets when it is replaced.
        return Ok((Instance { service, number }, parsed(&format!("{NO_DEPLOY}-{}", id.short()))?));
    }
    let get = |name: &str| labels.get(name).ok_or_else(|| format!("the container has no {name}"));
    let service = parsed(get(SERVICE)?)?;
    let number = get(INSTANCE)?.parse().map_err(|_| format!("the label {INSTANCE} is no number"))?;
    Ok((Instance { service, number }, parsed(get(DEPLOY)?)?))
}

/// The labels of a container of `stack`, besides those that its manifest declares.
pub fn of_container(stack: &StackName, instance: &Instance, deploy: &DeployId) -> BTreeMap<String, String> {
    let text = |key: &str, value: &dyn ToString| (key.to_owned(), value.to_string());
    BTreeMap::from([
        text(STACK, stack),
        text(SERVICE, &instance.service),
        text(INSTANCE, &instance.number),
        text(DEPLOY, deploy),
        text(COMPOSE_PROJECT, stack),
        text("com.docker.compose.service", &instance.service),
        text("com.docker.compose.container-number", &instance.number),
        text("com.docker.compose.oneoff", &"False"),
        // Compose shows only containers that bear a hash. What it stands for is Compose's own affair.
        text("com.docker.compose.config-hash", &"evenkeel"),
        // What `docker compose ls` shows for the project, where it would name its files.
        text("com.docker.compose.project.config_files", &"managed by evenkeel"),
    ])
}

/// The labels that say which images a container mounts, by their targets.
pub fn of_mounted(images: &BTreeMap<String, ImageId>) -> BTreeMap<String, String> {
    images.iter().map(|(target, id)| (format!("{MOUNTED_PREFIX}{target}"), id.to_string())).collect()
}

/// The images that the labels of a container say are mounted, by their targets.
pub fn mounted(labels: &BTreeMap<String, String>) -> BTreeMap<String, ImageId> {
    let said = |(name, value): (&String, &String)| {
        Some((name.strip_prefix(MOUNTED_PREFIX)?.to_owned(), value.parse().ok()?))
    };
    labels.iter().filter_map(said).collect()
}

/// The labels of a network of `stack`. `key` is its key in the manifests.
pub fn of_network(stack: &StackName, key: &str) -> BTreeMap<String, String> {
    of_shared(stack, "com.docker.compose.network", key)
}

/// The labels that say that these fields of a network were declared.
pub fn of_declared(fields: impl IntoIterator<Item = String>) -> BTreeMap<String, String> {
    fields.into_iter().map(|field| (format!("{DECLARED_PREFIX}{field}"), String::new())).collect()
}

/// The fields that the labels of a network say were declared.
pub fn declared(labels: &BTreeMap<String, String>) -> impl Iterator<Item = &str> {
    labels.keys().filter_map(|name| name.strip_prefix(DECLARED_PREFIX))
}

/// The labels of a volume of `stack`. `key` is its key in the manifests.
pub fn of_volume(stack: &StackName, key: &str) -> BTreeMap<String, String> {
    of_shared(stack, "com.docker.compose.volume", key)
}

fn of_shared(stack: &StackName, compose_label: &str, key: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (STACK.to_owned(), stack.to_string()),
        (COMPOSE_PROJECT.to_owned(), stack.to_string()),
        (compose_label.to_owned(), key.to_owned()),
    ])
}
