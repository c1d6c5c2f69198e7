//! Where a secret of agent.yaml is: in a file, or given by systemd. The secret itself is never in agent.yaml, for that is
//! read, copied and shown by many.

use crate::manifest::keys;
use crate::manifest::node::{Node, Value};
use crate::manifest::problem::{Problem, Problems};
use crate::manifest::read;

/// Where a secret is.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Credential {
    /// In a file of the host, an absolute path.
    File(String),
    /// In the file of this name that systemd gives by `LoadCredential=`.
    Systemd(String),
}

const HINT: &str =
    "say where it is: `{file: /etc/evenkeel/token}`, or `{systemd: NAME}` for one that systemd gives";

/// Reads where a secret is.
pub(super) fn credential(problems: &mut Problems, node: &Node) -> Option<Credential> {
    if matches!(node.value, Value::Scalar(_)) {
        let message = "a secret is not written into agent.yaml";
        problems.add(Problem::error("inline-secret", node.span, message).hint(HINT));
        return None;
    }
    let map = read::checked_map(problems, node, &keys::CREDENTIAL)?;
    match map.entries.as_slice() {
        [entry] if entry.key.text == "file" => super::absolute(problems, &entry.value).map(Credential::File),
        [entry] if entry.key.text == "systemd" => {
            let name = read::text(problems, &entry.value)?;
            let is_name = !name.text.is_empty()
                && name.text != "."
                && name.text != ".."
                && !name.text.contains(['/', '\0']);
            if !is_name {
                let message = "the name of a credential is a file's name";
                problems.add(Problem::error("bad-name", entry.value.span, message));
            }
            is_name.then(|| Credential::Systemd(name.text.clone()))
        }
        _ => {
            let problem = Problem::error("missing-key", node.span, "this doesn't say where the secret is");
            problems.add(problem.hint(HINT));
            None
        }
    }
}
