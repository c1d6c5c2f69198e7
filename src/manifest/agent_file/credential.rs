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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::manifest::keys::Keys;
    use crate::manifest::project;
    use crate::model::tree::RepoPath;

    const KEYS: Keys = Keys { of: "a test", known: &["token"], later: &[] };

    fn read(value: &str) -> Result<Credential, String> {
        let mut problems = Problems::default();
        let path = RepoPath::root().join("agent.yaml").unwrap();
        let text = format!("token: {value}\n").into_bytes();
        let root = project::scanned(&mut problems, &path, text, &KEYS).unwrap();
        let found = credential(&mut problems, root.as_map().unwrap().get("token").unwrap());
        match problems.finish() {
            Ok(_) => Ok(found.unwrap()),
            Err(report) => Err(report.render(false)),
        }
    }

    #[test]
    fn a_secret_is_in_a_file_or_given_by_systemd() {
        assert_eq!(
            read("{file: /etc/evenkeel/token}"),
            Ok(Credential::File("/etc/evenkeel/token".to_owned()))
        );
        assert_eq!(read("{systemd: forge-token}"), Ok(Credential::Systemd("forge-token".to_owned())));
    }

    #[test]
    fn whatever_else_it_is_said_to_be_is_refused_with_what_to_say() {
        for (value, code, words) in [
            ("hunter2", "inline-secret", "{file: /etc/evenkeel/token}"),
            ("\"hunter2\"", "inline-secret", "{systemd: NAME}"),
            ("[hunter2]", "wrong-type", "a mapping is wanted here"),
            ("{}", "missing-key", "{file: /etc/evenkeel/token}"),
            ("{file: /a, systemd: b}", "missing-key", "where the secret is"),
            ("{env: TOKEN}", "unknown-key", "`env`"),
            ("{value: abc}", "unknown-key", "`value`"),
            ("{file: token}", "relative-path", "begin at `/`"),
            ("{systemd: ../token}", "bad-name", "a file's name"),
            ("{systemd: ..}", "bad-name", "a file's name"),
            ("{systemd: \"\"}", "bad-name", "a file's name"),
        ] {
            let told = read(value).unwrap_err();
            assert!(told.contains(code) && told.contains(words), "{value}: {told}");
        }
    }
}
