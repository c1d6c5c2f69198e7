//! What others add to a container beside what is declared of it: the client that made it, and the engine.

use std::collections::BTreeSet;

use crate::model::spec::{ContainerSpec, Namespace, Namespaces};
use crate::plan::fields::FieldPath;

/// What Docker's client and Compose give to every container that they make, where the client's `config.json` has
/// `proxies`. No manifest says it.
const PROXY_VARIABLES: [&str; 5] = ["http_proxy", "https_proxy", "ftp_proxy", "no_proxy", "all_proxy"];

/// Whether the field is a variable that Docker's client sets by itself, in small letters or capitals.
pub(in crate::plan) fn is_proxy_variable(path: &FieldPath) -> bool {
    path.as_str().strip_prefix("environment.").is_some_and(|name| {
        PROXY_VARIABLES.iter().any(|known| *known == name || known.to_ascii_uppercase() == name)
    })
}

/// The option that an engine adds by itself where `SELinux` could not tell the container from its host.
const LABEL_DISABLED: &str = "label=disable";

/// What `found` says to the security modules of the host, without what the engine added: all of `declared` counts as
/// said.
pub(in crate::plan) fn security_said(found: &ContainerSpec, declared: &BTreeSet<String>) -> BTreeSet<String> {
    let Namespaces { ipc, pid, .. } = &found.namespaces;
    let is_added = found.privileged || [ipc, pid].contains(&&Some(Namespace::Host));
    let said = |option: &&String| {
        !is_added || option.as_str() != LABEL_DISABLED || declared.contains(option.as_str())
    };
    found.security_opt.iter().filter(said).cloned().collect()
}
