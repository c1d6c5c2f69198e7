//! The labels by which containers, networks and volumes are known.
//!
//! Labels say who an object is and never what phase it is in: Docker fixes them at creation. Evenkeel's own decide
//! over ownership; Compose's are there so that tools which group by Compose project show the stack as one.

use std::collections::BTreeMap;

use super::name::{DeployId, Instance, StackName};

/// The stack that owns the object. Without this label Evenkeel writes to nothing.
pub const STACK: &str = "evenkeel.stack";
/// The service of a container.
pub const SERVICE: &str = "evenkeel.service";
/// The number of a container within its service.
pub const INSTANCE: &str = "evenkeel.instance";
/// The deploy that created the object.
pub const DEPLOY: &str = "evenkeel.deploy";

/// Label names that a manifest may not set.
pub const RESERVED_PREFIXES: [&str; 2] = ["evenkeel.", "com.docker.compose."];

/// Whether a label belongs to Evenkeel or Compose and isn't a manifest's to set.
pub fn is_reserved(name: &str) -> bool {
    RESERVED_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// The labels of a container of `stack`, besides those that its manifest declares.
pub fn of_container(stack: &StackName, instance: &Instance, deploy: &DeployId) -> BTreeMap<String, String> {
    let text = |key: &str, value: &dyn ToString| (key.to_owned(), value.to_string());
    BTreeMap::from([
        text(STACK, stack),
        text(SERVICE, &instance.service),
        text(INSTANCE, &instance.number),
        text(DEPLOY, deploy),
        text("com.docker.compose.project", stack),
        text("com.docker.compose.service", &instance.service),
        text("com.docker.compose.container-number", &instance.number),
        text("com.docker.compose.oneoff", &"False"),
        // Compose shows only containers that bear a hash. What it stands for is Compose's own affair.
        text("com.docker.compose.config-hash", &"evenkeel"),
        // What `docker compose ls` shows for the project, where it would name its files.
        text("com.docker.compose.project.config_files", &"managed by evenkeel"),
    ])
}

/// The labels of a network of `stack`. `key` is its key in the manifests.
pub fn of_network(stack: &StackName, key: &str) -> BTreeMap<String, String> {
    of_shared(stack, "com.docker.compose.network", key)
}

/// The labels of a volume of `stack`. `key` is its key in the manifests.
pub fn of_volume(stack: &StackName, key: &str) -> BTreeMap<String, String> {
    of_shared(stack, "com.docker.compose.volume", key)
}

fn of_shared(stack: &StackName, compose_label: &str, key: &str) -> BTreeMap<String, String> {
    BTreeMap::from([
        (STACK.to_owned(), stack.to_string()),
        ("com.docker.compose.project".to_owned(), stack.to_string()),
        (compose_label.to_owned(), key.to_owned()),
    ])
}
