//! Whether a stack is for this host.

use super::refusal::Refusal;
use crate::model::desired::Desired;
use crate::model::place::Identity;

/// Why `desired` is not for `host`, if it isn't.
pub fn check(desired: &Desired, host: &Identity) -> Option<Refusal> {
    if desired.hosts.is_empty() || desired.hosts.iter().any(|selector| selector.selects(host)) {
        return None;
    }
    let named: Vec<String> = desired.hosts.iter().map(|selector| format!("`{selector}`")).collect();
    let labels: Vec<String> = host.labels.iter().map(|(key, value)| format!("`{key}={value}`")).collect();
    let bears = if labels.is_empty() { String::new() } else { format!(" with {}", labels.join(", ")) };
    Some(Refusal::new(
        format!(
            "the stack `{}` is not for this host: it is for {}, and this is `{}`{bears}",
            desired.stack,
            named.join(", "),
            host.name
        ),
        "add this host to `hosts` of environment.yaml, or say what it is with `--host NAME` or `--label KEY=VALUE`",
    ))
}
